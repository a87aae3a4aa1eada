// The example apps in a real browser, each in a dev deployment and in two
// previews at once: sign-up, live data, tokens that end while a page is open,
// and a token that the backend refuses.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort, startBerth } from "../harness/berth.js";
import { launch, picture } from "../harness/browser.js";
import { serveStatic } from "../harness/static.js";
import { builtNext, commands, installNext, startNext } from "./harness/app.js";
import { checkout, convex } from "./harness/checkout.js";

const password = "correct horse battery staple";
const lifetime = 60; // seconds, the shortest that a token can have

let berth, browser, team;
const closing = [];

before(async () => {
  [berth, browser] = await Promise.all([startBerth(), launch()]);
  team = await berth.call("GET", "/berth/v1/me");
});
after(async () => {
  await browser?.close();
  for (const close of closing.reverse()) await close();
  await berth?.stop();
});

const access = () => ({ BERTH_SERVER: berth.url, BERTH_TOKEN: berth.token });
const heading = (page, name) => page.getByRole("heading", { name }).waitFor();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

// Deployment is a running app with its backend.
class Deployment {
  constructor(label, origin, clientId, convexURL) {
    Object.assign(this, { label, origin, clientId, convexURL });
    this.email = `${label.replaceAll(/\W+/g, "-")}@example.com`;
  }

  /** Opens the app in a browser profile of its own, with what its WebSocket carries. */
  async open() {
    this.context = await browser.newContext();
    closing.push(() => this.context.close());
    this.context.setDefaultTimeout(30000);
    return this.window();
  }

  async window() {
    const page = await this.context.newPage();
    page.traffic = [];
    page.on("websocket", (socket) => {
      page.backend = new URL(socket.url()).origin;
      const keep = (way) => ({ payload }) => page.traffic.push({ way, ...JSON.parse(String(payload)) });
      socket.on("framesent", keep("sent"));
      socket.on("framereceived", keep("received"));
    });
    await page.goto(this.origin);
    return page;
  }

  async code() {
    for (const deadline = Date.now() + 10000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const list = await berth.call("GET", `/berth/v1/environments/${this.clientId}/messages?to=${encodeURIComponent(this.email)}`);
      const found = list.find((m) => m.kind === "email_verification");
      if (found) return found.code;
      assert.ok(Date.now() < deadline, `no code for ${this.email}`);
    }
  }

  async signUp(page) {
    await page.getByRole(this.signUpRole ?? "button", { name: "Sign up", exact: true }).click();
    await page.getByLabel("Email").fill(this.email);
    await page.getByLabel("Password").fill(password);
    await press(page, "Create account");
    await page.getByLabel("6-digit code").fill(await this.code());
    await press(page, "Continue");
    await page.getByText(`Signed in as ${this.email}`).waitFor();
    await page.getByText(/The backend knows you as user_/).waitFor();
    this.since = Date.now();
  }

  async settings(patch) {
    await berth.call("PATCH", `/berth/v1/environments/${this.clientId}/settings`, patch);
  }
}

const ofType = (page, way, type) => page.traffic.filter((f) => f.way === way && f.type === type);

/** The numbers that a page shows. */
async function shown(page) {
  const text = await page.locator("p").filter({ hasText: /^(No numbers yet\.|[\d, ]+)$/ }).textContent();
  return text.startsWith("No") ? [] : text.split(", ").map(Number);
}

async function shows(page, count) {
  await page.waitForFunction((n) => [...document.querySelectorAll("p")].some((p) => (n === 0 ? p.textContent === "No numbers yet." : /^[\d, ]+$/.test(p.textContent) && p.textContent.split(", ").length === n)), count);
  return shown(page);
}

/** A developer's checkout: berth dev, the vendor's push, then the build. */
async function devCheckout(example, port, then) {
  const origin = `http://localhost:${port}`;
  const made = await checkout(example, { env: access(), edit: (text) => text.replaceAll(/http:\/\/localhost:(5173|3000)/g, origin) });
  closing.push(() => made.remove());
  await made.berth(["dev", "--project", example, "--", "sh", "-c", [commands.push, then].filter(Boolean).join(" && ")], { seconds: 120 });
  return { made, origin, local: await made.local() };
}

/** A build of a branch: berth deploy, the vendor's deploy, the build in it. */
async function previewCheckout(example, dev, branch, port, then) {
  const host = `localhost:${port}`;
  const made = await checkout(example, {
    of: dev,
    env: { ...access(), CI: "1", VERCEL: "1", VERCEL_ENV: "preview", VERCEL_GIT_COMMIT_REF: branch, PREVIEW_HOST: host },
    edit: (text) => text.replaceAll("https://${buildEnv.VERCEL_BRANCH_URL}", "http://${buildEnv.PREVIEW_HOST}"),
  });
  closing.push(() => made.remove());
  await made.write("record.mjs", 'import { writeFileSync } from "node:fs";\nwriteFileSync("variables.json", JSON.stringify(process.env));\n');
  const command = [`${process.execPath} record.mjs`, then].filter(Boolean).join(" && ");
  await made.berth(["deploy", "--project", example, "--", convex, "deploy", "--typecheck", "disable", "--cmd", command], { seconds: 120 });
  return { made, origin: `http://${host}`, local: JSON.parse(await made.read("variables.json")) };
}

/** Signs up everywhere at once; each adds another count of numbers, and sees its own alone. */
async function everywhere(all) {
  await Promise.all(
    all.map(async (d, i) => {
      const page = (d.page = await d.open());
      await d.signUp(page);
      assert.deepEqual(await shows(page, 0), []);
      const other = await d.window();
      await other.getByText(`Signed in as ${d.email}`).waitFor();
      await shows(other, 0);
      for (let n = 1; n <= i + 1; n++) {
        await press(page, "Add a number");
        assert.deepEqual(await shows(other, n), await shows(page, n), "the second window follows");
      }
      await picture(other, `convex-${d.label.replaceAll(/\W+/g, "-")}`);
      await other.close();
    }),
  );
  assert.equal(new Set(all.map((d) => d.page.backend)).size, all.length, "each has a backend of its own");
  assert.equal(new Set(all.map((d) => d.clientId)).size, all.length, "and an auth environment");
  await Promise.all(all.map(async (d, i) => assert.equal((await shows(d.page, i + 1)).length, i + 1)));
  for (const d of all) {
    for (const other of all.filter((o) => o !== d)) {
      const mails = await berth.call("GET", `/berth/v1/environments/${d.clientId}/messages?to=${encodeURIComponent(other.email)}`);
      assert.deepEqual(mails, [], `${other.email} is unknown in ${d.label}`);
    }
  }
}

/** Waits until the token of the sign-in has ended, but for the two seconds that convex allows. */
const ended = (d) => new Promise((resolve) => setTimeout(resolve, Math.max(0, d.since + (lifetime + 3) * 1000 - Date.now())));

let vite = [];

test("Vite and authkit-react: dev and two previews, at once and apart", async () => {
  const sites = await Promise.all([1, 2, 3].map(() => freePort()));
  const dev = await devCheckout("react-vite-authkit", sites[0], commands.build);
  const previews = await Promise.all(["feature/one", "feature/two"].map((branch, i) => previewCheckout("react-vite-authkit", dev.made, branch, sites[i + 1], commands.build)));
  vite = await Promise.all(
    [dev, ...previews].map(async ({ made, origin, local }, i) => {
      const site = await serveStatic(`${made.folder}/dist`, Number(new URL(origin).port));
      closing.push(site.stop);
      const d = new Deployment(["vite dev", "vite one", "vite two"][i], origin, local.VITE_WORKOS_CLIENT_ID, local.VITE_CONVEX_URL);
      await d.settings({ access_token_lifetime: lifetime });
      return Object.assign(d, { made });
    }),
  );
  await everywhere(vite);
});

let next = [];

test("Next.js and authkit-nextjs: dev and two previews, at once and apart", async () => {
  const ports = await Promise.all([1, 2, 3].map(() => freePort()));
  const dev = await devCheckout("nextjs-authkit", ports[0]);
  const [built, ...previews] = await Promise.all([builtNext(dev.made), ...["feature/one", "feature/two"].map((branch, i) => previewCheckout("nextjs-authkit", dev.made, branch, ports[i + 1]))]);
  next = await Promise.all(
    [dev, ...previews].map(async ({ made, origin, local }, i) => {
      const values = Object.fromEntries(Object.entries(local).filter(([name]) => /^(WORKOS_|NEXT_PUBLIC_)/.test(name)));
      await installNext(built, made, values);
      const program = await startNext(made, new URL(origin).port, values);
      closing.push(program.stop);
      const d = new Deployment(["next dev", "next one", "next two"][i], origin, values.WORKOS_CLIENT_ID, values.NEXT_PUBLIC_CONVEX_URL);
      await d.settings({ access_token_lifetime: lifetime });
      return Object.assign(d, { made, program, signUpRole: "link" });
    }),
  );
  await everywhere(next);
});

test("a token of another client is refused, with the backend's own words", async () => {
  const d = vite[2];
  const page = await d.window();
  await page.getByText(`Signed in as ${d.email}`).waitFor();
  await d.made.exec(["env", "set", "WORKOS_CLIENT_ID", "client_wrong"], { flags: ["--project", "react-vite-authkit", "--preview", "feature/two"] });
  page.traffic.length = 0;
  await page.reload();
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  const refused = ofType(page, "received", "AuthError");
  assert.equal(refused[0].error, "No auth provider found matching the given token. Check that your JWT's issuer and audience match one of your configured providers: " +
    "[CustomJWT(issuer=https://api.workos.com/user_management/client_wrong, app_id=none), CustomJWT(issuer=https://api.workos.com/, app_id=client_wrong)]");
  assert.equal(refused[0].authUpdateAttempted, true);
  assert.equal(await page.getByText(/Signed in as/).count(), 0);
  await picture(page, "convex-vite-refused");
  await page.close();
});

test("authkit-react: a token ends while the page is open, and the next call goes on with a fresh one", async () => {
  const d = vite[0];
  const count = (await shown(d.page)).length;
  await ended(d);
  d.page.traffic.length = 0;
  await press(d.page, "Add a number");
  await shows(d.page, count + 1);
  const expired = ofType(d.page, "received", "AuthError");
  const again = ofType(d.page, "sent", "Authenticate");
  assert.deepEqual(expired.map((f) => [f.error, f.authUpdateAttempted]), [["Convex token identity expired", false]]);
  assert.ok(claims(again.at(-1).value).exp * 1000 > Date.now(), "the client authenticated anew");
  await d.page.getByText(/The backend knows you as user_/).waitFor();
});

test("authkit-react: sign-out ends the session and closes the backend", async () => {
  const d = vite[0];
  d.page.traffic.length = 0;
  await press(d.page, "Sign out");
  await d.page.waitForURL(`${d.origin}/`);
  await d.page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  assert.equal(await d.page.getByText(/The backend knows you/).count(), 0);
  assert.deepEqual(ofType(d.page, "sent", "Authenticate").filter((f) => f.tokenType === "User"), []);
  await picture(d.page, "convex-vite-signed-out");
});

test("authkit-nextjs: the client takes a fresh token before the old one ends", async () => {
  const d = next[0];
  const count = (await shown(d.page)).length;
  await ended(d);
  const tokens = ofType(d.page, "sent", "Authenticate").map((f) => claims(f.value));
  assert.ok(tokens.at(-1).exp * 1000 > Date.now(), "a token that is still good");
  assert.equal(new Set(tokens.map((c) => c.sid)).size, 1, "one session");
  await press(d.page, "Add a number");
  await shows(d.page, count + 1);
  assert.deepEqual(ofType(d.page, "received", "AuthError"), []);
});

test("authkit-nextjs: sign-out ends the session and closes the backend", async () => {
  const d = next[0];
  await press(d.page, "Sign out");
  await d.page.getByRole("link", { name: "Sign in", exact: true }).waitFor();
  assert.equal(await d.page.getByText(/The backend knows you/).count(), 0);
  await picture(d.page, "convex-next-signed-out");
});
