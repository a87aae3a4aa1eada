// Serves every hosted page with made-up data, and checks a page as a person
// with a phone, a keyboard or a screen reader meets it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startProgram } from "./berth.js";

const binary = fileURLToPath(new URL("../../bin/gallery", import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Starts scripts/gallery. names are the samples; each is at origin/NAME. */
export async function startGallery() {
  const program = await startProgram(process.env.BERTH_GALLERY || path.resolve(binary), [], { ready: (output) => output.includes("\n") });
  const origin = program.output().trim();
  const names = await fetch(`${origin}/pages.json`).then((r) => r.json());
  return { origin, names, stop: program.stop };
}

/** Keeps what the pages of an origin complain about: console errors, blocked content, failed requests. */
export async function complaints(page, origin = "") {
  const list = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && m.location().url.startsWith(origin) && list.push(m.text()));
  page.on("pageerror", (err) => list.push(String(err)));
  page.on("requestfailed", (r) => r.url().startsWith(origin) && list.push(`${r.url()}: ${r.failure()?.errorText}`));
  return list;
}

/** Checks what holds for a page in every size and scheme. */
export async function sound(page) {
  const seen = await page.evaluate(() => ({
    title: document.title,
    headings: [...document.querySelectorAll("h1")].map((h) => h.textContent),
    mains: document.querySelectorAll("main").length,
    language: document.documentElement.lang,
    scripts: document.scripts.length,
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    // Text that is cut without a sign of it: an ellipsis or a line clamp says so.
    cut: [...document.querySelectorAll("h1, h2, p, li, dd, code, label, button, a")]
      .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).overflow === "hidden" && getComputedStyle(e).textOverflow !== "ellipsis" && !e.matches(".unseen"))
      .map((e) => e.outerHTML.slice(0, 120)),
    // A target of at least 24 by 24 (WCAG 2.2, 2.5.8); links in a sentence are exempt.
    small: [...document.querySelectorAll("button:not(.text), input:not([type=hidden]), summary")]
      .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24)
      .map((e) => e.outerHTML.slice(0, 120)),
    // No control is outside the page or under another.
    hidden: [...document.querySelectorAll("main button, main a[href], main input:not([type=hidden])")]
      .filter((e) => {
        const box = e.getBoundingClientRect();
        return box.left < 0 || box.right > document.documentElement.clientWidth + 1;
      })
      .map((e) => e.outerHTML.slice(0, 120)),
  }));
  const { title, headings, ...rest } = seen;
  assert.equal(headings.length, 1, `headings of the first level: ${headings}`);
  assert.ok(headings[0].trim().length > 3, `the heading is ${headings[0]}`);
  assert.ok(title.trim().length > 3, `the title is ${title}`);
  assert.deepEqual(rest, { mains: 1, language: "en", scripts: 0, sideways: 0, cut: [], small: [], hidden: [] });
}

const everything = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };

/** Runs axe-core: labels, roles, landmarks, contrast of at least 4.5 and what else WCAG 2.2 AA asks. */
export const accessible = (page) => obeys(page, everything);

/** Runs the part of axe-core that depends on the colours. */
export const contrasting = (page) => obeys(page, { type: "rule", values: ["color-contrast"] });

async function obeys(page, runOnly) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), runOnly);
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join("; ").slice(0, 500)}`), []);
}

/** Checks that a page fits the narrowest phones, and so a desktop at 400 % (WCAG 2.2, 1.4.10). */
export async function narrow(page) {
  const size = page.viewportSize();
  await page.setViewportSize({ width: 320, height: 568 });
  await sound(page);
  await page.setViewportSize(size);
}

/** Goes through a page with Tab: every control is reached, in the order of reading, and shows its focus. */
export async function tabbable(page) {
  const all = await page.evaluate(() => {
    const list = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary, select, textarea")].filter((e) => !e.disabled && e.checkVisibility());
    list.forEach((e, i) => (e.dataset.tab = i));
    document.body.tabIndex = -1;
    document.body.focus(); // where Tab begins
    return list.length;
  });
  const order = [];
  for (let i = 0; i < all; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      const style = getComputedStyle(e);
      return { tab: e.dataset.tab, what: e.outerHTML.slice(0, 120), outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2, top: e.getBoundingClientRect().bottom + scrollY };
    });
    assert.ok(at.outline, `no visible focus on ${at.what}`);
    order.push(at);
  }
  assert.deepEqual(order.map((o) => o.tab), Array.from({ length: all }, (_, i) => String(i)), "Tab follows the document");
  for (let i = 1; i < order.length; i++) assert.ok(order[i].top >= order[i - 1].top - 48, `Tab goes up, from ${order[i - 1].what} to ${order[i].what}`);
}
