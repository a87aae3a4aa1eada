// What an application server does with @workos-inc/node. The same story is
// told to each major version of the SDK.
import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";
import { startBerth } from "../harness/berth.js";
import { Visitor } from "../harness/pages.js";

const redirectUri = "http://localhost:3000/callback";
const password = "correct horse battery staple";
const cookiePassword = "a cookie password of more than thirty-two characters";
const tokenLife = 5 * 60 * 1000;

/** fails returns the error with which a promise ends. */
async function fails(promise) {
  try {
    await promise;
  } catch (err) {
    return err;
  }
  assert.fail("the call succeeded, want an error");
}

export function nodeSuite(sdk, version) {
  const { WorkOS, OauthException, NotFoundException, UnauthorizedException } = sdk;
  let berth, env, workos, um;

  before(async () => {
    berth = await startBerth();
    env = await berth.environment("node", { redirectURIs: [redirectUri], homepage: "http://localhost:3000/" });
    workos = new WorkOS(env.apiKey, env.options());
    um = workos.userManagement;
  });
  after(() => berth?.stop());

  const told = (name, run) => test(`@workos-inc/node ${version}: ${name}`, run);

  // signedIn goes through the hosted page and exchanges the code.
  async function signedIn(email, options = {}) {
    await env.user(email, password);
    const { url, state, codeVerifier } = await um.getAuthorizationUrlWithPKCE({ provider: "authkit", redirectUri });
    const back = await new Visitor().signIn(url, email, password);
    assert.equal(back.origin + back.pathname, redirectUri);
    assert.equal(back.searchParams.get("state"), state);
    return um.authenticateWithCode({ code: back.searchParams.get("code"), codeVerifier, ...options });
  }

  told("a person signs in on the hosted page; secret and PKCE together", async () => {
    const got = await signedIn("ada@example.com");
    assert.equal(got.user.email, "ada@example.com");
    assert.equal(got.user.firstName, "Ada");
    assert.equal(got.authenticationMethod, "Password");
    assert.equal(got.organizationId, undefined);
    assert.ok(got.accessToken && got.refreshToken);
    assert.ok(got.user.lastSignInAt);
  });

  told("a public client exchanges a code with its verifier alone", async () => {
    await env.user("public@example.com", password);
    const open = new WorkOS({ ...env.options() });
    const { url, codeVerifier } = await open.userManagement.getAuthorizationUrlWithPKCE({ provider: "authkit", redirectUri });
    const back = await new Visitor().signIn(url, "public@example.com", password);
    const code = back.searchParams.get("code");
    const got = await open.userManagement.authenticateWithCodeAndVerifier({ code, codeVerifier });
    assert.equal(got.user.email, "public@example.com");
    const again = await open.userManagement.authenticateWithRefreshToken({ refreshToken: got.refreshToken });
    assert.notEqual(again.refreshToken, got.refreshToken);
    const err = await fails(open.userManagement.authenticateWithCodeAndVerifier({ code, codeVerifier }));
    assert.ok(err instanceof OauthException, String(err));
    assert.equal(err.error, "invalid_grant");
  });

  told("a code without its verifier, and a code of nobody, are refused", async () => {
    await env.user("stolen@example.com", password);
    const { url } = await um.getAuthorizationUrlWithPKCE({ provider: "authkit", redirectUri });
    const back = await new Visitor().signIn(url, "stolen@example.com", password);
    for (const code of [back.searchParams.get("code"), "01M7XTT8F9E4VAZAACYFSK0QRF"]) {
      const err = await fails(um.authenticateWithCode({ code }));
      assert.ok(err instanceof OauthException, String(err));
      assert.equal(err.status, 400);
      assert.equal(err.error, "invalid_grant");
    }
  });

  told("a sealed session is checked, expires, is refreshed and signed out", async () => {
    const { sealedSession, user } = await signedIn("sealed@example.com", { session: { sealSession: true, cookiePassword } });
    const session = um.loadSealedSession({ sessionData: sealedSession, cookiePassword });
    const fresh = await session.authenticate();
    assert.equal(fresh.authenticated, true);
    assert.equal(fresh.user.id, user.id);

    mock.timers.enable({ apis: ["Date"], now: Date.now() + tokenLife + 1000 });
    try {
      assert.deepEqual(await session.authenticate(), { authenticated: false, reason: "invalid_jwt" });
    } finally {
      mock.timers.reset();
    }
    const refreshed = await session.refresh();
    assert.equal(refreshed.authenticated, true);
    const renewed = um.loadSealedSession({ sessionData: refreshed.sealedSession, cookiePassword });
    const now = await renewed.authenticate();
    assert.equal(now.sessionId, fresh.sessionId);
    assert.notEqual(now.accessToken, fresh.accessToken);

    const { data } = await um.listSessions(user.id);
    assert.deepEqual(data.map((s) => [s.id, s.status, s.authMethod]), [[fresh.sessionId, "active", "password"]]);

    const visitor = await new Visitor().open(await renewed.getLogoutUrl({ returnTo: "http://localhost:3000/" }));
    assert.equal(visitor.left?.href, "http://localhost:3000/");
    const ended = await renewed.refresh();
    assert.deepEqual([ended.authenticated, ended.reason], [false, "invalid_grant"]);
  });

  told("ten refreshes of one token at once give one session", async () => {
    const { refreshToken } = await signedIn("parallel@example.com");
    const all = await Promise.all(Array.from({ length: 10 }, () => um.authenticateWithRefreshToken({ refreshToken })));
    assert.equal(new Set(all.map((t) => t.refreshToken)).size, 1, "a replay inside the window returns the rotated token");
  });

  told("users are created, found, changed, listed by pages and deleted", async () => {
    const made = await um.createUser({ email: "crud@example.com", firstName: "Grace", lastName: "Hopper", metadata: { plan: "pro" }, externalId: "ext-1" });
    assert.equal(made.emailVerified, false);
    assert.deepEqual(await um.getUser(made.id), made);
    assert.deepEqual(await um.getUserByExternalId("ext-1"), made);
    const changed = await um.updateUser({ userId: made.id, firstName: "Rear Admiral", emailVerified: true });
    assert.deepEqual([changed.firstName, changed.lastName, changed.emailVerified, changed.metadata], ["Rear Admiral", "Hopper", true, { plan: "pro" }]);

    for (let i = 0; i < 12; i++) await um.createUser({ email: `page-${i}@pages.example.com` });
    const first = await um.listUsers();
    assert.equal(first.data.length, 10);
    assert.ok(first.listMetadata.after);
    const everybody = await first.autoPagination();
    assert.equal(everybody.filter((u) => u.email.endsWith("@pages.example.com")).length, 12);
    assert.equal(new Set(everybody.map((u) => u.id)).size, everybody.length);
    const byMail = await um.listUsers({ email: "CRUD@example.com" });
    assert.deepEqual(byMail.data.map((u) => u.id), [made.id]);

    await um.deleteUser(made.id);
    const err = await fails(um.getUser(made.id));
    assert.ok(err instanceof NotFoundException, String(err));
  });

  told("the password grant signs in; a wrong password tells nothing more", async () => {
    await env.user("password@example.com", password);
    const got = await um.authenticateWithPassword({ email: "Password@Example.com", password });
    assert.equal(got.user.email, "password@example.com");
    for (const email of ["password@example.com", "nobody@example.com"]) {
      const err = await fails(um.authenticateWithPassword({ email, password: "a wrong password" }));
      assert.equal(err.status, 400);
      assert.equal(err.code ?? err.rawData?.code, "invalid_credentials");
    }
  });

  told("an address is verified before the first tokens", async () => {
    await um.createUser({ email: "verify@example.com", password });
    const step = await fails(um.authenticateWithPassword({ email: "verify@example.com", password }));
    assert.equal(step.status, 403);
    assert.equal(step.rawData.code, "email_verification_required");
    const pendingAuthenticationToken = step.rawData.pending_authentication_token;
    const wrong = await fails(um.authenticateWithEmailVerification({ code: "000000", pendingAuthenticationToken }));
    assert.deepEqual([wrong.status, wrong.code ?? wrong.rawData?.code], [400, "invalid_one_time_code"]);
    const { code } = await env.mail("verify@example.com", "email_verification");
    assert.equal((await um.getEmailVerification(step.rawData.email_verification_id)).code, code);
    const got = await um.authenticateWithEmailVerification({ code, pendingAuthenticationToken });
    assert.equal(got.user.emailVerified, true);
  });

  told("a code by mail signs in, once", async () => {
    const magic = await um.createMagicAuth({ email: "magic@example.com" });
    assert.equal(magic.code.length, 6);
    assert.equal((await env.mail("magic@example.com", "magic_auth")).code, magic.code);
    const got = await um.authenticateWithMagicAuth({ email: "magic@example.com", code: magic.code });
    assert.deepEqual([got.authenticationMethod, got.user.id, got.user.emailVerified], ["MagicAuth", magic.userId, true]);
    const err = await fails(um.authenticateWithMagicAuth({ email: "magic@example.com", code: magic.code }));
    assert.equal(err.status, 400);
    assert.match(err.code ?? err.rawData?.code, /one_time_code/);
  });

  told("a password is reset through its mail and ends the old sessions", async () => {
    await env.user("reset@example.com", password);
    const old = await um.authenticateWithPassword({ email: "reset@example.com", password });
    const reset = await um.createPasswordReset({ email: "reset@example.com" });
    assert.match(reset.passwordResetUrl, /^http/);
    const { user } = await um.resetPassword({ token: reset.passwordResetToken, newPassword: "another long passphrase" });
    assert.equal(user.id, old.user.id);
    assert.equal((await um.authenticateWithPassword({ email: "reset@example.com", password: "another long passphrase" })).user.id, user.id);
    const again = await fails(um.resetPassword({ token: reset.passwordResetToken, newPassword: "yet another passphrase" }));
    assert.ok(again.status >= 400 && again.status < 500, String(again));
    assert.equal((await fails(um.authenticateWithRefreshToken({ refreshToken: old.refreshToken }))).error, "invalid_grant");
  });

  told("a wrong API key is an UnauthorizedException", async () => {
    const err = await fails(new WorkOS("sk_test_wrong", env.options()).userManagement.listUsers());
    assert.ok(err instanceof UnauthorizedException, String(err));
  });

  told("a member is signed in to the organization, and to another on refresh", async () => {
    const { user } = await signedIn("member@example.com");
    const [one, two] = await Promise.all(["One", "Two"].map((name) => workos.organizations.createOrganization({ name })));
    for (const { id } of [one, two]) await um.createOrganizationMembership({ userId: user.id, organizationId: id });
    const step = await fails(um.authenticateWithPassword({ email: "member@example.com", password }));
    assert.equal(step.rawData.code, "organization_selection_required");
    assert.deepEqual(step.rawData.organizations.map((o) => o.name).sort(), ["One", "Two"]);
    const got = await um.authenticateWithOrganizationSelection({ pendingAuthenticationToken: step.rawData.pending_authentication_token, organizationId: one.id });
    assert.equal(got.organizationId, one.id);
    const switched = await um.authenticateWithRefreshToken({ refreshToken: got.refreshToken, organizationId: two.id });
    assert.equal(switched.organizationId, two.id);
    const kept = await um.authenticateWithRefreshToken({ refreshToken: switched.refreshToken });
    assert.equal(kept.organizationId, two.id, "the session keeps its last organization");
  });
}
