// A Next.js app with @workos-inc/authkit-nextjs, built for production, in a
// real browser.
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
    args: (port) => [path.join(here, "node_modules/next/dist/bin/next"), "start", "--port", port],
    cwd: path.join(here, "apps/next"),
    probe: "/sign-in",
    prepare: async (at) => {
      env = await berth.environment("next", { redirectURIs: [`${at}/callback`], homepage: `${at}/` });
      return {
        ...env.variables(),
        NEXT_PUBLIC_WORKOS_REDIRECT_URI: `${at}/callback`,
        WORKOS_COOKIE_PASSWORD: "a cookie password of more than thirty-two characters",
        NEXT_TELEMETRY_DISABLED: "1",
      };
    },
  });
  origin = app.origin;
});
after(async () => {
  await Promise.all([app?.stop(), browser?.close()]);
  await berth?.stop();
});

const told = (name, story) => test(`@workos-inc/authkit-nextjs 3.0.1: ${name}`, () => visit(browser, `next-${name.replaceAll(/\W+/g, "-")}`, story));
const heading = (page, text) => page.getByRole("heading", { name: text }).waitFor();
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

async function account(page) {
  await page.goto(`${origin}/account`);
  await page.locator("#token").waitFor();
  return claims(await page.locator("#token").textContent());
}

told("sign-up with the code from the inbox", async (page) => {
  await page.goto(origin);
  await page.getByRole("link", { name: "Sign up" }).click();
  await page.getByLabel("Email").fill("new@example.com");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Create account" }).click();
  const { code } = await env.mail("new@example.com", "email_verification");
  await page.getByLabel("6-digit code").fill(code);
  await page.getByRole("button", { name: "Continue" }).click();
  await heading(page, "Hello new@example.com");
});

told("a protected page asks for sign-in and is shown afterwards", async (page) => {
  await env.user("ada@example.com", password);
  await page.goto(`${origin}/account`);
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  await picture(page, "next-sign-in");
  await signIn(page, "ada@example.com", password);
  await heading(page, "Account of ada@example.com");
  assert.equal(page.url(), `${origin}/account`);
  await picture(page, "next-account");
});

told("a session is refreshed after its token has expired", async (page) => {
  await env.user("expiry@example.com", password);
  await page.goto(`${origin}/sign-in`);
  await signIn(page, "expiry@example.com", password);
  await heading(page, "Hello expiry@example.com");
  const first = await account(page);
  const second = await app.ahead(360, async () => {
    const seen = await account(page);
    await page.waitForLoadState("networkidle"); // the provider asks for the session too
    return seen;
  });
  assert.equal(second.sid, first.sid);
  assert.notEqual(second.jti, first.jti);
  const third = await account(page);
  assert.equal(third.sid, first.sid);
  assert.notEqual(third.jti, first.jti, "a refreshed token is in the cookie");
  assert.equal((await account(page)).jti, third.jti, "a valid token is not refreshed");
});

told("sign-out by a form ends on the homepage, and the session with it", async (page, context) => {
  await env.user("out@example.com", password);
  await page.goto(`${origin}/sign-in`);
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
  await picture(page, "next-signed-out");
});

told("a session that was revoked is over when its token has expired", async (page) => {
  await env.user("revoked@example.com", password);
  await page.goto(`${origin}/sign-in`);
  await signIn(page, "revoked@example.com", password);
  await heading(page, "Hello revoked@example.com");
  const { sid } = await account(page);
  await env.call("POST", "/user_management/sessions/revoke", { session_id: sid });
  await app.ahead(360, async () => {
    await page.goto(`${origin}/account`);
    await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  });
});

told("the organization is switched by a server action, and kept by the next refresh", async (page) => {
  const { id } = await env.user("org@example.com", password);
  const [one, two] = await Promise.all(["One", "Two"].map((name) => env.call("POST", "/organizations", { name })));
  for (const { id: organization_id } of [one, two]) await env.call("POST", "/user_management/organization_memberships", { user_id: id, organization_id });
  await page.goto(`${origin}/sign-in`);
  await signIn(page, "org@example.com", password);
  await heading(page, "Choose an organization");
  await picture(page, "next-organization");
  await page.getByRole("button", { name: "One" }).click();
  await heading(page, "Hello org@example.com");
  assert.equal((await account(page)).org_id, one.id);
  await page.getByLabel("Organization").fill(two.id);
  await page.getByRole("button", { name: "Switch" }).click();
  await page.locator("#organization", { hasText: two.id }).waitFor();
  assert.equal((await account(page)).org_id, two.id);
  await app.ahead(360, async () => assert.equal((await account(page)).org_id, two.id));
});

told("a redirect URI that is not registered gets a page", async (page) => {
  await page.goto(`${origin}/sign-in`);
  const url = new URL(`${berth.url}/user_management/authorize`);
  for (const [k, v] of Object.entries({ client_id: env.clientId, redirect_uri: `${origin}/callback/`, response_type: "code", provider: "authkit" })) url.searchParams.set(k, v);
  const answer = await page.goto(url.href);
  assert.equal(answer.status(), 400);
  assert.equal(await page.title(), "Invalid Redirect URI");
  await page.getByText(`${origin}/callback/`).first().waitFor();
});

told("a shorter token life and a new signing key, ES256, sign nobody out", async (page, context) => {
  const change = (target, method, body) => berth.call(method, `/berth/v1/environments/${env.clientId}/${target}`, body);
  await env.user("keys@example.com", password);
  await page.goto(`${origin}/sign-in`);
  await signIn(page, "keys@example.com", password);
  await heading(page, "Hello keys@example.com");
  const first = await account(page);
  const header = async () => JSON.parse(Buffer.from((await page.locator("#token").textContent()).split(".")[0], "base64url"));
  const old = await header();
  assert.equal(old.alg, "RS256");
  await change("settings", "PATCH", { access_token_lifetime: 60, algorithm: "ES256" });
  await change("signing_keys", "POST", { now: true, algorithm: "ES256" });
  assert.equal((await account(page)).jti, first.jti, "the old key still checks the old token");
  await app.ahead(360, async () => {
    const second = await account(page);
    assert.deepEqual([second.sid, second.exp - second.iat], [first.sid, 60]);
    assert.equal((await header()).alg, "ES256");
    assert.notEqual((await header()).kid, old.kid);
  });
  const third = await account(page);
  assert.equal(third.sid, first.sid);
  await context.clearCookies();
  await page.goto(`${origin}/sign-in`);
  await signIn(page, "keys@example.com", password);
  await heading(page, "Hello keys@example.com");
  assert.notEqual((await account(page)).sid, first.sid);
  assert.equal((await header()).alg, "ES256");
});
