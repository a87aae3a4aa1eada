// @workos/authkit-session is what framework integrations are built from. The
// storage below is the one of its README: cookies of a Request and a Response.
import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";
import { configure, createAuthService, CookieSessionStorage } from "@workos/authkit-session";
import { startBerth } from "./harness/berth.js";
import { Visitor } from "./harness/pages.js";

const redirectUri = "http://localhost:3000/callback";
const password = "correct horse battery staple";

class RequestStorage extends CookieSessionStorage {
  async getCookie(request, name) {
    for (const part of (request.headers.get("cookie") ?? "").split(";")) {
      const [key, ...value] = part.trim().split("=");
      if (key === name) return decodeURIComponent(value.join("="));
    }
    return null;
  }
}

// Jar keeps the cookies that the service sets, as a browser would.
class Jar extends Map {
  take(headers) {
    for (const line of [headers?.["Set-Cookie"] ?? []].flat()) {
      const [pair] = line.split(";");
      const cut = pair.indexOf("=");
      if (/max-age=0/i.test(line)) this.delete(pair.slice(0, cut));
      else this.set(pair.slice(0, cut), pair.slice(cut + 1));
    }
  }
  request() {
    return new Request("http://localhost:3000/", { headers: { cookie: [...this].map(([k, v]) => `${k}=${v}`).join("; ") } });
  }
}

let berth, env, service;

before(async () => {
  berth = await startBerth();
  env = await berth.environment("session", { redirectURIs: [redirectUri], homepage: "http://localhost:3000/" });
  configure({ ...env.options(), apiHttps: false, apiPort: berth.port, apiKey: env.apiKey, redirectUri, cookiePassword: "a cookie password of more than thirty-two characters" });
  service = createAuthService({ sessionStorageFactory: (config) => new RequestStorage(config) });
  await env.user("ada@example.com", password);
});
after(() => berth?.stop());

async function signIn(jar) {
  const { url, headers } = await service.createSignIn(undefined, { returnPathname: "/account" });
  jar.take(headers);
  const back = await new Visitor().signIn(url, "ada@example.com", password);
  const got = await service.handleCallback(jar.request(), undefined, { code: back.searchParams.get("code"), state: back.searchParams.get("state") });
  jar.take(got.headers);
  return got;
}

test("@workos/authkit-session 0.7: sign-in, callback, a request, an expired token, sign-out", async () => {
  const jar = new Jar();
  assert.equal((await service.withAuth(jar.request())).auth.user, null);
  const got = await signIn(jar);
  assert.equal(got.returnPathname, "/account");

  const { auth } = await service.withAuth(jar.request());
  assert.equal(auth.user.email, "ada@example.com");
  assert.equal(auth.claims.sid, auth.sessionId);

  mock.timers.enable({ apis: ["Date"], now: Date.now() + 6 * 60 * 1000 });
  let renewed;
  try {
    renewed = await service.withAuth(jar.request());
  } finally {
    mock.timers.reset();
  }
  assert.equal(renewed.auth.user.email, "ada@example.com");
  assert.equal(renewed.auth.sessionId, auth.sessionId);
  assert.ok(renewed.refreshedSessionData, "an expired token is refreshed");
  jar.take((await service.saveSession(undefined, renewed.refreshedSessionData)).headers);

  const out = await service.signOut(auth.sessionId, { returnTo: "http://localhost:3000/" });
  jar.take(out.headers);
  const visitor = await new Visitor().open(out.logoutUrl);
  assert.equal(visitor.left?.href, "http://localhost:3000/");
  assert.equal((await service.withAuth(jar.request())).auth.user, null);
});

test("@workos/authkit-session 0.7: a callback with a foreign state is refused before any exchange", async () => {
  const jar = new Jar();
  const { url, headers } = await service.createSignIn(undefined, {});
  jar.take(headers);
  const back = await new Visitor().signIn(url, "ada@example.com", password);
  await assert.rejects(service.handleCallback(new Jar().request(), undefined, { code: back.searchParams.get("code"), state: back.searchParams.get("state") }));
  // The code is still unspent: the right browser can use it.
  const got = await service.handleCallback(jar.request(), undefined, { code: back.searchParams.get("code"), state: back.searchParams.get("state") });
  assert.ok(got.authResponse?.user);
});

test("@workos/authkit-session 0.7: a session that was ended elsewhere is over at its next refresh", async () => {
  const jar = new Jar();
  await signIn(jar);
  const { auth } = await service.withAuth(jar.request());
  await env.call("POST", "/user_management/sessions/revoke", { session_id: auth.sessionId });
  mock.timers.enable({ apis: ["Date"], now: Date.now() + 6 * 60 * 1000 });
  try {
    const late = await service.withAuth(jar.request()).then((r) => r.auth.user, (err) => err.constructor.name);
    assert.ok(late === null || /Error$/.test(late), String(late));
  } finally {
    mock.timers.reset();
  }
});
