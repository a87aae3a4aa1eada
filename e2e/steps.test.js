// The steps of a sign-in that need a browser and more than a password: social
// and single sign-on, second factors, devices, consent, the test users' list.
// The SDKs are authkit-react and @workos-inc/node.
import { WorkOS } from "@workos-inc/node";
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startBerth } from "./harness/berth.js";
import { launch, picture, signIn, visit } from "./harness/browser.js";
import { complaints } from "./harness/gallery.js";
import { serveStatic } from "./harness/static.js";
import { totp } from "./harness/totp.js";

const dist = fileURLToPath(new URL("apps/spa/dist", import.meta.url));
const password = "correct horse battery staple";
let berth, browser, app, env;

before(async () => {
  // Hosted pages take three social sign-ins a minute, as WorkOS documents; this file makes more.
  [berth, browser, app] = await Promise.all([startBerth("--no-rate-limits"), launch(), serveStatic(dist)]);
  env = await environment("steps");
  app.settings = settings(env);
});
after(() => Promise.all([berth?.stop(), browser?.close(), app?.stop()]));

const environment = (name) => berth.environment(name, { redirectURIs: [app.origin], origins: [app.origin], homepage: `${app.origin}/` });
const settings = (e) => ({ clientId: e.clientId, apiHostname: "localhost", port: berth.port, https: false, devMode: true });
const told = (name, story) => test(name, () => visit(browser, `steps-${name.replaceAll(/\W+/g, "-")}`, story));
const heading = (page, text) => page.getByRole("heading", { name: text }).waitFor();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const change = (e, patch) => berth.call("PATCH", `/berth/v1/environments/${e.clientId}/settings`, patch);

async function begin(page) {
  await page.goto(app.origin);
  await press(page, "Sign in");
  await page.getByLabel("Email").waitFor();
}

told("Google, through the test identity provider, makes an account; the second time it is one click", async (page, context) => {
  const said = await complaints(page, berth.url);
  await begin(page);
  await page.getByRole("link", { name: "Continue with Google" }).click();
  await heading(page, /Test identity provider/);
  await picture(page, "steps-test-provider");
  await page.getByLabel("Email").fill("grace@example.com");
  await page.getByLabel("First name").fill("Grace");
  await press(page, "Continue");
  await heading(page, "Hello grace@example.com");
  const { data } = await env.call("GET", "/user_management/users?email=grace@example.com");
  const identities = await env.call("GET", `/user_management/users/${data[0].id}/identities`);
  assert.deepEqual([data[0].first_name, data[0].email_verified, (identities.data ?? identities).map((i) => i.provider)], ["Grace", true, ["GoogleOAuth"]]);
  await press(page, "Sign out");
  await heading(page, "Signed out");
  await begin(page);
  await page.getByRole("link", { name: "Continue with Google" }).click();
  await page.getByRole("button", { name: /grace@example.com/ }).click();
  await heading(page, "Hello grace@example.com");
  assert.deepEqual(said, []);
  assert.equal((await context.cookies()).some((c) => /berth_browser/.test(c.name) && !c.httpOnly), false);
});

told("a person of an organization with single sign-on is led to its provider", async (page) => {
  const said = await complaints(page, berth.url);
  const org = await env.call("POST", "/organizations", { name: "Acme", domain_data: [{ domain: "acme.example", state: "verified" }] });
  await berth.call("POST", `/berth/v1/environments/${env.clientId}/connections`, { organization_id: org.id, connection_type: "OktaOIDC", kind: "test" });
  await begin(page);
  await page.getByLabel("Email").fill("eve@acme.example");
  await press(page, "Use single sign-on");
  await heading(page, /Test identity provider/);
  assert.equal(await page.getByLabel("Email").inputValue(), "eve@acme.example");
  await page.getByLabel("Groups").fill("Admins");
  await press(page, "Continue");
  await heading(page, "Hello eve@acme.example");
  assert.equal(await page.locator("#organization").textContent(), org.id);
  assert.deepEqual(said, []);
});

told("what a provider refuses ends at the application, with the reason", async (page) => {
  const requests = [];
  page.on("request", (r) => requests.push(r.url()));
  await begin(page);
  await page.getByRole("link", { name: "Continue with GitHub" }).click();
  await press(page, "Deny access");
  await page.waitForURL((url) => url.origin === app.origin);
  assert.ok(requests.some((url) => url.startsWith(app.origin) && url.includes("error=access_denied")), requests.join("\n"));
});

told("a second factor is set up with the code of the page, then asked for", async (page, context) => {
  const strict = await environment("factors");
  await change(strict, { mfa_required: true });
  app.settings = settings(strict);
  try {
    await strict.user("ada@example.com", password);
    await begin(page);
    await signIn(page, "ada@example.com", password);
    await heading(page, "Set up two-step sign-in");
    await picture(page, "steps-totp-enroll");
    const secret = (await page.locator(".secret").textContent()).replaceAll(/\s/g, "");
    const now = Date.now();
    await page.getByLabel("6-digit code from the app").fill("000000");
    await press(page, "Continue");
    await page.getByText("The code is not right").waitFor();
    await page.getByLabel("6-digit code from the app").fill(totp(secret, now - 30000));
    await page.keyboard.press("Enter");
    await heading(page, "Hello ada@example.com");
    await press(page, "Sign out");
    await heading(page, "Signed out");
    await context.clearCookies();
    await begin(page);
    await signIn(page, "ada@example.com", password);
    await heading(page, "Enter your code");
    await page.getByLabel("6-digit code from the app").fill(totp(secret, now));
    await press(page, "Continue");
    await heading(page, "Hello ada@example.com");
  } finally {
    app.settings = settings(env);
  }
});

told("a device is connected: the code is typed, compared and allowed", async (page) => {
  const said = await complaints(page, berth.url);
  await env.user("device@example.com", password);
  const post = (target, body) => fetch(berth.url + target, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }).then(async (r) => ({ status: r.status, body: await r.json() }));
  const { body: device } = await post("/user_management/authorize/device", { client_id: env.clientId });
  const poll = () => post("/user_management/authenticate", { client_id: env.clientId, grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: device.device_code });
  assert.equal((await poll()).body.error, "authorization_pending");
  assert.equal((await poll()).body.error, "slow_down");
  await page.goto(device.verification_uri);
  await page.getByLabel("Code on the device").fill(device.user_code.toLowerCase());
  await page.keyboard.press("Enter");
  await heading(page, "Connect this device?");
  assert.equal(await page.locator(".shown-code").textContent(), device.user_code);
  await picture(page, "steps-device-confirm");
  await press(page, "Yes, connect it");
  await signIn(page, "device@example.com", password);
  await heading(page, "Your device is connected");
  let got;
  for (const deadline = Date.now() + 15000; ; await new Promise((resolve) => setTimeout(resolve, 500))) {
    got = await poll();
    if (got.status === 200 || Date.now() > deadline || got.body.error !== "slow_down") break;
  }
  assert.equal(got.body.user?.email, "device@example.com", JSON.stringify(got.body));
  assert.deepEqual(said, []);
  const workos = new WorkOS(env.apiKey, env.options());
  const fresh = await workos.userManagement.authenticateWithRefreshToken({ clientId: env.clientId, refreshToken: got.body.refresh_token });
  assert.ok(fresh.accessToken);
});

told("an application asks for consent, once; what it got is the person's", async (page) => {
  await env.user("consent@example.com", password);
  const org = await env.call("POST", "/organizations", { name: "Partners" });
  const callback = `${app.origin}/partner`;
  const application = await env.call("POST", "/connect/applications", {
    name: "Tide Tables", application_type: "oauth", is_first_party: false, organization_id: org.id, uses_pkce: true, redirect_uris: [{ uri: callback }],
  });
  const issuer = `${berth.url}/authkit/${env.clientId}`;
  const metadata = await fetch(`${issuer}/.well-known/openid-configuration`).then((r) => r.json());
  assert.equal(metadata.issuer, issuer);

  async function authorize(decide) {
    const verifier = randomBytes(32).toString("base64url");
    const url = new URL(metadata.authorization_endpoint);
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    for (const [k, v] of Object.entries({ client_id: application.client_id, redirect_uri: callback, response_type: "code", scope: "openid profile email", state: "s-1", code_challenge: challenge, code_challenge_method: "S256" })) url.searchParams.set(k, v);
    let back;
    const seen = (r) => { if (r.url().startsWith(callback)) back = new URL(r.url()); };
    page.on("request", seen);
    await page.goto(url.href);
    await signIn(page, "consent@example.com", password);
    await decide();
    await page.waitForURL((at) => at.origin === app.origin);
    page.off("request", seen);
    assert.deepEqual([back.searchParams.get("state"), back.searchParams.get("iss")], ["s-1", issuer]);
    return { verifier, params: back.searchParams };
  }
  const refused = await authorize(async () => {
    await heading(page, "Allow access?");
    await picture(page, "steps-consent");
    await press(page, "Cancel");
  });
  assert.equal(refused.params.get("error"), "access_denied");
  const allowed = await authorize(async () => {
    await page.getByText("Tide Tables").waitFor();
    await press(page, "Allow");
  });
  const body = new URLSearchParams({ grant_type: "authorization_code", client_id: application.client_id, redirect_uri: callback, code: allowed.params.get("code"), code_verifier: allowed.verifier });
  const tokens = await fetch(metadata.token_endpoint, { method: "POST", body }).then((r) => r.json());
  const info = await fetch(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } }).then((r) => r.json());
  assert.equal(info.email, "consent@example.com", JSON.stringify(tokens));
  assert.ok((await authorize(async () => {})).params.get("code"), "consent is asked once");
});

told("the pages of an environment have its name, logo and colour", async (page) => {
  const brand = await environment("brand");
  await change(brand, { brand: { name: "Lighthouse & Sons", accent: "#c2410c", logo_url: "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCA5NiAyNCI+PHJlY3Qgd2lkdGg9Ijk2IiBoZWlnaHQ9IjI0IiByeD0iNiIgZmlsbD0iI2MyNDEwYyIvPjwvc3ZnPg==" } });
  app.settings = settings(brand);
  try {
    const said = await complaints(page, berth.url);
    await begin(page);
    assert.match(await page.title(), /Lighthouse & Sons/);
    const colour = () => page.getByRole("button", { name: "Sign in", exact: true }).evaluate((e) => getComputedStyle(e).backgroundColor);
    assert.equal(await colour(), "rgb(194, 65, 12)");
    assert.ok(await page.getByRole("img", { name: "Lighthouse & Sons" }).evaluate((i) => i.naturalWidth > 0));
    await picture(page, "steps-brand-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await picture(page, "steps-brand-dark");
    assert.deepEqual(said, []);
  } finally {
    app.settings = settings(env);
  }
});

told("the keyboard alone signs in, and scripts are not needed on the pages", async (page) => {
  await env.user("keys@example.com", password);
  await begin(page);
  await page.keyboard.type("keys@example.com"); // the first field has the focus
  await page.keyboard.press("Tab");
  await page.keyboard.type("a wrong password");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  assert.match(await page.title(), /^Error: /);
  assert.equal(await page.evaluate(() => document.activeElement.name), "password");
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await heading(page, "Hello keys@example.com");
});

told("too many attempts get a page that says when to come back", async (page) => {
  const limited = await startBerth();
  try {
    const env = await limited.environment("limited", { redirectURIs: [`${app.origin}/callback`] });
    await env.user("busy@example.com", password);
    await page.goto(new WorkOS(env.apiKey, env.options()).userManagement.getAuthorizationUrl({ clientId: env.clientId, provider: "authkit", redirectUri: `${app.origin}/callback` }));
    for (let i = 0; i < 12; i++) {
      const answer = page.waitForResponse((r) => r.request().method() === "POST" && r.url().startsWith(limited.url));
      await signIn(page, "busy@example.com", "a wrong password");
      const got = await answer;
      if (got.status() !== 429) continue;
      assert.ok(Number(got.headers()["retry-after"]) > 0);
      await heading(page, "Too many attempts");
      return void (await picture(page, "steps-rate-limited"));
    }
    assert.fail("twelve wrong passwords were taken");
  } finally {
    await limited.stop();
  }
});
