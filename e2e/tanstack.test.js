// A TanStack Start app with @workos/authkit-tanstack-react-start, built for
// production, in a real browser. The framework asks for a newer Node.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startApp } from "./harness/app.js";
import { startBerth } from "./harness/berth.js";
import { launch, picture, signIn, visit } from "./harness/browser.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const password = "correct horse battery staple";
let berth, browser, app, origin, env;

before(async () => {
  [berth, browser] = await Promise.all([startBerth(), launch()]);
  app = await startApp({
    node: path.join(here, "newest/node_modules/.bin/node"),
    args: (port) => [path.join(here, "node_modules/srvx/bin/srvx.mjs"), "--prod", "--host", "localhost", "--port", port, "--static", "../client", "dist/server/server.js"],
    cwd: path.join(here, "apps/tanstack"),
    probe: "/",
    prepare: async (at) => {
      env = await berth.environment("tanstack", { redirectURIs: [`${at}/api/auth/callback`], homepage: `${at}/` });
      return { ...env.variables(), WORKOS_REDIRECT_URI: `${at}/api/auth/callback`, WORKOS_COOKIE_PASSWORD: "a cookie password of more than thirty-two characters" };
    },
  });
  origin = app.origin;
});
after(async () => {
  await Promise.all([app?.stop(), browser?.close()]);
  await berth?.stop();
});

const told = (name, story) => test(`@workos/authkit-tanstack-react-start 0.11: ${name}`, () => visit(browser, `tanstack-${name.replaceAll(/\W+/g, "-")}`, story));
const heading = (page, text) => page.getByRole("heading", { name: text }).waitFor();
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

async function account(page) {
  await page.goto(`${origin}/account`);
  await page.locator("#token").waitFor();
  return claims(await page.locator("#token").textContent());
}

told("a protected page asks for sign-in and is shown afterwards", async (page) => {
  await env.user("ada@example.com", password);
  await page.goto(`${origin}/account`);
  await signIn(page, "ada@example.com", password);
  await heading(page, "Account of ada@example.com");
  assert.equal(page.url(), `${origin}/account`);
  await picture(page, "tanstack-account");
  await page.reload();
  await heading(page, "Account of ada@example.com");
});

told("a session is refreshed after its token has expired", async (page) => {
  await env.user("expiry@example.com", password);
  await page.goto(`${origin}/api/auth/sign-in`);
  await signIn(page, "expiry@example.com", password);
  await heading(page, "Hello expiry@example.com");
  const first = await account(page);
  const second = await app.ahead(360, async () => {
    const seen = await account(page);
    await page.waitForLoadState("networkidle");
    return seen;
  });
  assert.equal(second.sid, first.sid);
  assert.notEqual(second.jti, first.jti);
  const third = await account(page);
  assert.equal(third.sid, first.sid);
  assert.notEqual(third.jti, first.jti, "a refreshed token is in the cookie");
});

told("sign-out ends on the homepage, and the session with it", async (page, context) => {
  await env.user("out@example.com", password);
  await page.goto(`${origin}/api/auth/sign-in`);
  await signIn(page, "out@example.com", password);
  await heading(page, "Hello out@example.com");
  const { sub } = await account(page);
  await page.goto(origin);
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Signed out");
  assert.equal(page.url(), `${origin}/`);
  assert.equal((await context.cookies(origin)).some((c) => c.name === "wos-session"), false);
  const { data } = await env.call("GET", `/user_management/users/${sub}/sessions`);
  assert.deepEqual(data.filter((s) => s.status === "active"), []);
  await picture(page, "tanstack-signed-out");
});
