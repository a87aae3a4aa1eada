// Test accounts in a browser: signed in from the start with what `berth users
// storage-state` wrote, or with one click on the sign-in page.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { binary, startBerth, temporary } from "./harness/berth.js";
import { launch, picture } from "./harness/browser.js";
import { serveStatic } from "./harness/static.js";

let berth, browser, app, project;
before(async () => {
  [berth, browser, app, project] = await Promise.all([startBerth(), launch(), serveStatic(fileURLToPath(new URL("apps/spa/dist", import.meta.url))), temporary("berth-e2e-project-")]);
});
after(async () => {
  await Promise.all([berth?.stop(), browser?.close(), app?.stop()]);
  await project?.remove();
});

test("a test account is signed in with its storage state, or with one click; nothing is typed", async () => {
  const files = {
    "package.json": JSON.stringify({ name: "shop", scripts: { dev: "vite" }, devDependencies: { vite: "7" } }),
    "convex.json": JSON.stringify({ authKit: { dev: { configure: { redirectUris: [app.origin], corsOrigins: [app.origin] } } } }),
    "convex/auth.config.ts": `const clientId = process.env.WORKOS_CLIENT_ID;
export default { providers: [{ type: "customJwt", issuer: \`https://api.workos.com/user_management/\${clientId}\`, algorithm: "RS256", jwks: \`https://api.workos.com/sso/jwks/\${clientId}\` }] };
`,
  };
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(project.folder, "app", name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const cwd = path.join(project.folder, "app");
  const env = { PATH: process.env.PATH, HOME: project.folder, USER: "ada", GIT_CONFIG_NOSYSTEM: "1", BERTH_SERVER: berth.url, BERTH_TOKEN: berth.token };
  const run = (command, ...args) => promisify(execFile)(command, args, { cwd, env, timeout: 60000 });
  await run("git", "init", "-q");
  await run(binary, "dev", "--once");
  await run(binary, "users", "create", "ada@example.com");
  await run(binary, "users", "storage-state", "ada@example.com", "--app-url", app.origin, "--out", ".auth/ada.json");

  const [, clientId] = (await readFile(path.join(cwd, ".env.local"), "utf8")).match(/CLIENT_ID="?(client_\w+)/);
  app.settings = { clientId, apiHostname: "localhost", port: berth.port, https: false, devMode: true };
  const context = await browser.newContext({ storageState: path.join(cwd, ".auth/ada.json") });
  try {
    const page = await context.newPage();
    await page.goto(app.origin);
    await page.getByRole("heading", { name: "Hello ada@example.com" }).waitFor({ timeout: 15000 });
    await picture(page, "storage-state");
    assert.equal(new URL(page.url()).origin, app.origin);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.getByRole("heading", { name: "Signed out" }).waitFor();
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    const one = page.getByRole("region", { name: "Test users" }).getByRole("button", { name: /ada@example.com/ });
    await one.waitFor();
    await picture(page, "test-users");
    await one.click();
    await page.getByRole("heading", { name: "Hello ada@example.com" }).waitFor();
  } finally {
    await context.close();
  }
});
