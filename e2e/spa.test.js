// A single-page app with @workos-inc/authkit-react in a real browser, in both
// of the SDK's modes: devMode keeps the refresh token in localStorage, the
// other one in cookies that the server sets.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startBerth } from "./harness/berth.js";
import { launch, picture, signIn, visit } from "./harness/browser.js";
import { serveStatic } from "./harness/static.js";

const dist = fileURLToPath(new URL("apps/spa/dist", import.meta.url));
const password = "correct horse battery staple";
let berth, browser, app, stranger, env;

before(async () => {
  [berth, browser, app, stranger] = await Promise.all([startBerth(), launch(), serveStatic(dist), serveStatic(dist)]);
  // The stranger may receive codes, but its origin may not call the API.
  env = await berth.environment("spa", { redirectURIs: [app.origin, stranger.origin], origins: [app.origin], homepage: `${app.origin}/` });
});
after(() => Promise.all([berth?.stop(), browser?.close(), app?.stop(), stranger?.stop()]));

const heading = (page, text) => page.getByRole("heading", { name: text }).waitFor();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

// exchanges counts the token requests of a context, by status.
function exchanges(context) {
  const seen = [];
  context.on("response", (r) => {
    if (r.url().endsWith("/user_management/authenticate") && r.request().method() === "POST") seen.push(r.status());
  });
  return seen;
}

async function token(page, button = "Show token") {
  const before = await page.locator("#token").textContent();
  await press(page, button);
  await page.waitForFunction((old) => document.querySelector("#token").textContent !== old, before, { polling: 50 });
  return page.locator("#token").textContent();
}

for (const devMode of [true, false]) {
  const mode = devMode ? "devMode" : "cookies";
  const settings = (more = {}) => ({ clientId: env.clientId, apiHostname: "localhost", port: berth.port, https: false, devMode, ...more });
  const told = (name, story) => test(`@workos-inc/authkit-react, ${mode}: ${name}`, () => {
    app.settings = stranger.settings = settings();
    return visit(browser, `spa-${mode}-${name.replaceAll(/\W+/g, "-")}`, story);
  });

  async function enter(page, email) {
    await env.user(email, password);
    await page.goto(app.origin);
    await press(page, "Sign in");
    await signIn(page, email, password);
    await heading(page, `Hello ${email}`);
  }

  told("sign-up with the code from the inbox", async (page) => {
    const email = `new-${mode}@example.com`;
    await page.goto(app.origin);
    await press(page, "Sign up");
    await page.getByLabel("Name").fill("Ada Lovelace");
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password").fill(password);
    await picture(page, `spa-${mode}-sign-up`);
    await press(page, "Create account");
    const { code } = await env.mail(email, "email_verification");
    await page.getByLabel("6-digit code").fill(code);
    await picture(page, `spa-${mode}-verification`);
    await press(page, "Continue");
    await heading(page, `Hello ${email}`);
    assert.equal(new URL(page.url()).search, "", "the code leaves the address bar");
    await picture(page, `spa-${mode}-signed-in`);
  });

  told("a reload keeps the session", async (page, context) => {
    const seen = exchanges(context);
    await enter(page, `reload-${mode}@example.com`);
    assert.deepEqual(seen, [200], "one exchange, StrictMode or not");
    await page.reload();
    await heading(page, `Hello reload-${mode}@example.com`);
    assert.deepEqual(seen, [200, 200]);
    const stored = await page.evaluate((id) => localStorage.getItem(`workos:refresh-token:${id}`), env.clientId);
    const cookies = await context.cookies(`${berth.url}/user_management/authenticate`);
    const hidden = cookies.filter((c) => c.httpOnly && c.name.includes(env.clientId));
    if (devMode) {
      assert.ok(stored);
    } else {
      assert.equal(stored, null);
      assert.equal(hidden.length, 1);
      assert.deepEqual((await page.evaluate(() => document.cookie)).includes("workos-has-session="), true);
    }
    const other = await context.newPage();
    await other.goto(app.origin);
    await heading(other, `Hello reload-${mode}@example.com`);
  });

  told("the token is refreshed across its expiry", async (page, context) => {
    await page.clock.install();
    const seen = exchanges(context);
    await enter(page, `expiry-${mode}@example.com`);
    const first = claims(await token(page));
    assert.equal(first.exp - first.iat, 300);
    const refreshed = page.waitForResponse((r) => r.url().endsWith("/user_management/authenticate") && r.request().method() === "POST");
    await page.clock.fastForward("05:30");
    assert.equal((await refreshed).status(), 200);
    await page.waitForFunction(() => document.querySelector("h1")?.textContent.startsWith("Hello"));
    const second = claims(await token(page));
    assert.notEqual(second.jti, first.jti);
    assert.equal(second.sid, first.sid);
    assert.ok(seen.every((status) => status === 200), String(seen));
    assert.equal(await page.locator("body").getAttribute("data-refresh-failed"), null);
  });

  told("two tabs refresh at once and both stay signed in", async (page, context) => {
    const seen = exchanges(context);
    const email = `tabs-${mode}@example.com`;
    await enter(page, email);
    const other = await context.newPage();
    await other.goto(app.origin);
    await heading(other, `Hello ${email}`);
    const started = seen.length;
    const [one, two] = await Promise.all([token(page, "Refresh token"), token(other, "Refresh token")]);
    assert.notEqual(claims(one).jti, claims(two).jti);
    assert.equal(claims(one).sid, claims(two).sid);
    assert.deepEqual(seen.slice(started), [200, 200]);
    await Promise.all([page.reload(), other.reload()]);
    await Promise.all([heading(page, `Hello ${email}`), heading(other, `Hello ${email}`)]);
  });

  told("the organization is switched, and kept on reload", async (page) => {
    const email = `org-${mode}@example.com`;
    const { id } = await env.user(email, password);
    const [one, two] = await Promise.all(["One", "Two"].map((name) => env.call("POST", "/organizations", { name })));
    await env.call("POST", "/user_management/organization_memberships", { user_id: id, organization_id: one.id });
    await page.goto(app.origin);
    await press(page, "Sign in");
    await signIn(page, email, password);
    await heading(page, `Hello ${email}`);
    await page.getByText(one.id).waitFor();
    await env.call("POST", "/user_management/organization_memberships", { user_id: id, organization_id: two.id });
    await page.goto(`${app.origin}/?organization=${two.id}`);
    await page.getByText(one.id).waitFor();
    await press(page, "Switch");
    await page.getByText(two.id).waitFor();
    assert.equal(claims(await token(page)).org_id, two.id);
    await page.reload();
    await page.getByText(two.id).waitFor();
  });

  told("sign-out ends on the homepage, and the session with it", async (page, context) => {
    const email = `out-${mode}@example.com`;
    await enter(page, email);
    const { sub, sid } = claims(await token(page));
    await press(page, "Sign out");
    await heading(page, "Signed out");
    assert.equal(page.url(), `${app.origin}/`);
    const { data } = await env.call("GET", `/user_management/users/${sub}/sessions`);
    assert.deepEqual(data.filter((s) => s.status === "active"), [], `session ${sid} is over`);
    const seen = exchanges(context);
    await page.reload();
    await heading(page, "Signed out");
    assert.deepEqual(seen, [], "nothing is left to refresh");
  });

  told("sign-out without navigation ends the session too", async (page) => {
    const email = `here-${mode}@example.com`;
    await enter(page, email);
    const { sub } = claims(await token(page));
    const left = page.waitForRequest((r) => r.url().includes("/user_management/sessions/logout"));
    await press(page, "Sign out here");
    await left;
    for (const deadline = Date.now() + 5000; ; ) {
      const { data } = await env.call("GET", `/user_management/users/${sub}/sessions`);
      if (data.every((s) => s.status !== "active")) break;
      assert.ok(Date.now() < deadline, "the session is still active");
    }
    await page.goto(app.origin);
    await heading(page, "Signed out");
  });

  told("a redirect URI that is not registered gets a page, not a redirect", async (page) => {
    app.settings = settings({ redirectUri: `${app.origin}/elsewhere` });
    await page.goto(app.origin);
    await press(page, "Sign in");
    await heading(page, "Invalid redirect URI");
    assert.equal(new URL(page.url()).origin, berth.url);
    assert.equal(await page.locator("[data-hak-page]").getAttribute("data-hak-page"), "redirect-uri-invalid");
    assert.match(await page.locator("main, body").first().textContent(), /\/elsewhere/);
    await picture(page, `spa-${mode}-redirect-uri-invalid`);
  });

  told("an origin that is not allowed is refused by CORS and told in the console", async (page, context) => {
    const said = [];
    page.on("console", (m) => said.push(m.text()));
    const email = `stranger-${mode}@example.com`;
    await env.user(email, password);
    await page.goto(stranger.origin);
    await press(page, "Sign in");
    await signIn(page, email, password);
    await page.waitForURL((url) => url.origin === stranger.origin);
    await heading(page, "Signed out");
    assert.ok(said.some((text) => /blocked by CORS policy/.test(text)), said.join("\n"));
    assert.equal((await context.cookies()).some((c) => c.name.includes("refresh")), false);
    await picture(page, `spa-${mode}-origin-not-allowed`);
  });
}
