// Drives Debian's Chromium. Every test that ends, well or badly, leaves a
// picture in artifacts/.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const artifacts = fileURLToPath(new URL("../artifacts", import.meta.url));
mkdirSync(artifacts, { recursive: true });

/** Opens a browser. CHROMIUM names another executable. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-component-update", "--disable-sync"],
  });
}

/** Writes what a page shows to artifacts/NAME.png, or to NAME when it says .jpg, which is quicker. */
export function picture(page, name) {
  const jpeg = name.endsWith(".jpg");
  return page.screenshot({ path: path.join(artifacts, jpeg ? name : `${name}.png`), fullPage: true, ...(jpeg && { quality: 85 }) });
}

/** Runs a story in a browser profile of its own; a failure leaves its picture. */
export async function visit(browser, name, story) {
  const context = await browser.newContext();
  context.setDefaultTimeout(15000);
  try {
    await story(await context.newPage(), context);
  } catch (err) {
    for (const [i, page] of context.pages().entries()) await picture(page, `failed-${name}-${i}`).catch(() => {});
    throw err;
  } finally {
    await context.close();
  }
}

/** Fills the hosted sign-in page. */
export async function signIn(page, email, password) {
  await page.getByLabel(/e-?mail/i).fill(email);
  await page.getByLabel(/password/i).first().fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}
