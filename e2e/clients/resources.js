// The management calls of @workos-inc/node, resource by resource. The names of
// a few differ between the majors; what they say does not.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { startBerth } from "../harness/berth.js";
import { Visitor } from "../harness/pages.js";
import { totp } from "../harness/totp.js";

const redirectUri = "http://localhost:3000/callback";
const password = "correct horse battery staple";
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
const slugs = (list) => list.map((one) => one.slug).sort();

export function resourceSuite(sdk, version) {
  const { WorkOS, NotFoundException, RateLimitExceededException, SignatureVerificationException } = sdk;
  const major = Number(version.split(".")[0]);
  let berth, env, workos, um;
  before(async () => {
    berth = await startBerth();
    env = await berth.environment("resources", { redirectURIs: [redirectUri], homepage: "http://localhost:3000/" });
    workos = new WorkOS(env.apiKey, env.options());
    um = workos.userManagement;
  });
  after(() => berth?.stop());
  const told = (name, run) => test(`@workos-inc/node ${version}: ${name}`, run);

  async function fails(promise) {
    const err = await promise.then(() => undefined, (e) => e);
    assert.ok(err, "the call succeeded, want an error");
    return err;
  }

  told("organizations and their domains", async () => {
    const made = await workos.organizations.createOrganization({ name: "Acme", externalId: "acme", metadata: { tier: "gold" }, domainData: [{ domain: "acme.example", state: "verified" }] });
    assert.deepEqual([made.name, made.externalId, made.metadata, made.domains.map((d) => [d.domain, d.state])], ["Acme", "acme", { tier: "gold" }, [["acme.example", "verified"]]]);
    assert.deepEqual(await workos.organizations.getOrganizationByExternalId("acme"), made);
    const changed = await workos.organizations.updateOrganization({ organization: made.id, name: "Acme Ltd" });
    assert.deepEqual([changed.name, changed.metadata], ["Acme Ltd", { tier: "gold" }]);
    const { data } = await workos.organizations.listOrganizations({ domains: ["acme.example"] });
    assert.deepEqual(data.map((o) => o.id), [made.id]);
    const domains = workos.organizationDomains;
    const domain = await (domains.createOrganizationDomain ?? domains.create).call(domains, { organizationId: made.id, domain: "acme.test" });
    assert.deepEqual([domain.domain, domain.state], ["acme.test", "pending"]);
    assert.equal((await (domains.getOrganizationDomain ?? domains.get).call(domains, domain.id)).id, domain.id);
    await workos.organizations.deleteOrganization(made.id);
    assert.ok((await fails(workos.organizations.getOrganization(made.id))) instanceof NotFoundException);
  });

  told("memberships with roles and permissions, which reach the token", async () => {
    const { authorization } = workos;
    await authorization.createPermission({ slug: "notes:write", name: "Write notes" });
    await authorization.createEnvironmentRole({ slug: "writer", name: "Writer" });
    const role = await authorization.setEnvironmentRolePermissions("writer", { permissions: ["notes:write"] });
    assert.deepEqual(role.permissions, ["notes:write"]);
    assert.ok(slugs((await authorization.listEnvironmentRoles()).data).includes("writer"));
    const org = await workos.organizations.createOrganization({ name: "Writers" });
    const own = await authorization.createOrganizationRole(org.id, { slug: "org-lead", name: "Lead" });
    assert.equal(own.slug, "org-lead");
    assert.ok(slugs((await authorization.listOrganizationRoles(org.id)).data).includes("org-lead"));

    const user = await env.user("writer@example.com", password);
    const member = await um.createOrganizationMembership({ userId: user.id, organizationId: org.id, roleSlug: "writer" });
    assert.deepEqual([member.status, member.role.slug], ["active", "writer"]);
    const got = await um.authenticateWithPassword({ email: "writer@example.com", password });
    const said = claims(got.accessToken);
    assert.deepEqual([said.org_id, said.role, said.permissions], [org.id, "writer", ["notes:write"]]);
    assert.equal((await um.updateOrganizationMembership(member.id, { roleSlug: "org-lead" })).role.slug, "org-lead");
    assert.equal((await um.deactivateOrganizationMembership(member.id)).status, "inactive");
    assert.equal((await um.reactivateOrganizationMembership(member.id)).status, "active");
    assert.deepEqual((await um.listOrganizationMemberships({ organizationId: org.id })).data.map((m) => m.id), [member.id]);
    if (workos.groups) {
      const group = await workos.groups.createGroup({ organizationId: org.id, name: "Editors" });
      await workos.groups.addOrganizationMembership({ organizationId: org.id, groupId: group.id, organizationMembershipId: member.id });
      assert.deepEqual((await workos.groups.listOrganizationMemberships({ organizationId: org.id, groupId: group.id })).data.map((m) => m.id), [member.id]);
      assert.deepEqual((await workos.groups.listGroups({ organizationId: org.id })).data.map((g) => g.name), ["Editors"]);
    }
    await um.deleteOrganizationMembership(member.id);
    await authorization.deletePermission("notes:write");
  });

  told("an invitation is sent, found and accepted", async () => {
    const org = await workos.organizations.createOrganization({ name: "Inviters" });
    const sent = await um.sendInvitation({ email: "guest@example.com", organizationId: org.id });
    assert.equal(sent.state, "pending");
    await env.mail("guest@example.com", "invitation");
    assert.equal((await um.findInvitationByToken(sent.token)).id, sent.id);
    assert.deepEqual((await um.listInvitations({ organizationId: org.id })).data.map((i) => i.id), [sent.id]);
    await um.resendInvitation(sent.id);
    await env.user("guest@example.com", password);
    const visitor = new Visitor(); // the link in the mail leads through the homepage; the SDK has no parameter for the token
    const url = `${um.getAuthorizationUrl({ provider: "authkit", redirectUri, clientId: env.clientId })}&invitation_token=${sent.token}`;
    const back = await visitor.signIn(url, "guest@example.com", password);
    const got = await um.authenticateWithCode({ code: back.searchParams.get("code") });
    assert.equal(got.organizationId, org.id);
    assert.equal((await um.getInvitation(sent.id)).state, "accepted");
    const other = await um.sendInvitation({ email: "other@example.com" });
    assert.equal((await um.revokeInvitation(other.id)).state, "revoked");
  });

  told("a feature flag reaches its targets and their tokens", async () => {
    const user = await env.user("flags@example.com", password);
    await berth.call("POST", `/berth/v1/environments/${env.clientId}/feature_flags`, { slug: "dark-mode", name: "Dark mode" });
    await workos.featureFlags.enableFeatureFlag("dark-mode");
    await workos.featureFlags.addFlagTarget({ slug: "dark-mode", targetId: user.id });
    assert.equal((await workos.featureFlags.getFeatureFlag("dark-mode")).enabled, true);
    assert.deepEqual(slugs((await workos.featureFlags.listFeatureFlags()).data), ["dark-mode"]);
    const list = um.listUserFeatureFlags ? um.listUserFeatureFlags({ userId: user.id }) : workos.featureFlags.listUserFeatureFlags({ userId: user.id });
    assert.deepEqual(slugs((await list).data), ["dark-mode"]);
    const { accessToken } = await um.authenticateWithPassword({ email: "flags@example.com", password });
    assert.deepEqual(claims(accessToken).feature_flags, ["dark-mode"]);
    await workos.featureFlags.removeFlagTarget({ slug: "dark-mode", targetId: user.id });
    await workos.featureFlags.disableFeatureFlag("dark-mode");
  });

  told("an organization's API key is made, shown once, checked and deleted", async () => {
    const org = await workos.organizations.createOrganization({ name: "Keys" });
    const keys = workos.organizations.createOrganizationApiKey ? workos.organizations : workos.apiKeys;
    const made = await keys.createOrganizationApiKey({ organizationId: org.id, name: "CI" });
    assert.ok(made.value);
    const validate = (value) => (workos.apiKeys.validateApiKey ? workos.apiKeys.validateApiKey({ value }) : workos.apiKeys.createValidation({ value }));
    assert.equal((await validate(made.value)).apiKey.id, made.id);
    const { data } = await keys.listOrganizationApiKeys({ organizationId: org.id });
    assert.deepEqual(data.map((k) => [k.id, k.value]), [[made.id, undefined]]);
    await workos.apiKeys.deleteApiKey(made.id);
    assert.equal((await validate(made.value)).apiKey, null);
  });

  told("a connection is listed, and single sign-on gives a profile", async () => {
    const org = await workos.organizations.createOrganization({ name: "Federated", domainData: [{ domain: "fed.example", state: "verified" }] });
    const made = await berth.call("POST", `/berth/v1/environments/${env.clientId}/connections`, { organization_id: org.id, connection_type: "GenericOIDC", kind: "test" });
    const { data } = await workos.sso.listConnections({ organizationId: org.id });
    assert.deepEqual(data.map((c) => [c.id, c.state]), [[made.id, "active"]]);
    assert.equal((await workos.sso.getConnection(made.id)).organizationId, org.id);
    const visitor = await new Visitor().open(workos.sso.getAuthorizationUrl({ clientId: env.clientId, connection: made.id, redirectUri, state: "s-1" }));
    await visitor.submit({ email: "eve@fed.example", first_name: "Eve", groups: "Admins", decision: "allow" });
    assert.equal(visitor.left?.searchParams.get("state"), "s-1", visitor.html);
    const { profile, accessToken } = await workos.sso.getProfileAndToken({ clientId: env.clientId, code: visitor.left.searchParams.get("code") });
    assert.deepEqual([profile.email, profile.firstName, profile.connectionId, profile.organizationId], ["eve@fed.example", "Eve", made.id, org.id]);
    assert.equal((await workos.sso.getProfile({ accessToken })).id, profile.id);
    await workos.sso.deleteConnection(made.id);
  });

  told("a second factor is enrolled by the SDK, then asked for", async () => {
    const user = await env.user("factor@example.com", password);
    const enroll = { userId: user.id, type: "totp", totpIssuer: "Harbour", totpUser: "factor@example.com" };
    const made = await (um.enrollAuthFactor ? um.enrollAuthFactor(enroll) : workos.multiFactorAuth.createUserAuthFactor(enroll));
    const { secret, uri, qrCode } = made.authenticationFactor.totp;
    assert.match(uri, /^otpauth:\/\/totp\//);
    assert.match(qrCode, /^data:image\//);
    const mfa = workos.multiFactorAuth ?? workos.mfa;
    const now = Date.now();
    const verified = await mfa.verifyChallenge({ authenticationChallengeId: made.authenticationChallenge.id, code: totp(secret, now - 30000) });
    assert.equal(verified.valid, true);

    const step = await fails(um.authenticateWithPassword({ email: "factor@example.com", password }));
    assert.equal(step.rawData.code, "mfa_challenge");
    const pendingAuthenticationToken = step.rawData.pending_authentication_token;
    const challenge = await mfa.challengeFactor({ authenticationFactorId: step.rawData.authentication_factors[0].id });
    const wrong = await fails(um.authenticateWithTotp({ code: "000000", authenticationChallengeId: challenge.id, pendingAuthenticationToken }));
    assert.equal(wrong.status, 400);
    const got = await um.authenticateWithTotp({ code: totp(secret, now), authenticationChallengeId: challenge.id, pendingAuthenticationToken });
    assert.equal(got.user.id, user.id);
  });

  told("events are listed; webhooks are signed as constructEvent wants it", async () => {
    const received = [];
    let arrived;
    const first = new Promise((resolve) => (arrived = resolve));
    const sink = createServer(async (request, response) => {
      let text = "";
      for await (const part of request) text += part;
      received.push({ text, header: request.headers["workos-signature"] });
      response.end();
      arrived();
    });
    await new Promise((resolve) => sink.listen(0, "localhost", resolve));
    try {
      const endpointUrl = `http://localhost:${sink.address().port}/hook`;
      const endpoint = await env.call("POST", "/webhook_endpoints", { endpoint_url: endpointUrl, events: ["user.created"] });
      const user = await um.createUser({ email: "hook@example.com" });
      await Promise.race([first, new Promise((_, reject) => setTimeout(() => reject(new Error("no webhook within 10 s")), 10000).unref())]);
      const [{ text, header }] = received;
      const event = await workos.webhooks.constructEvent({ payload: JSON.parse(text), sigHeader: header, secret: endpoint.secret });
      assert.deepEqual([event.event, event.data.id, event.data.email], ["user.created", user.id, "hook@example.com"]);
      const forged = { ...JSON.parse(text), event: "user.deleted" };
      assert.ok((await fails(workos.webhooks.constructEvent({ payload: forged, sigHeader: header, secret: endpoint.secret }))) instanceof SignatureVerificationException);
      const { data } = await workos.events.listEvents({ events: ["user.created"] });
      assert.ok(data.some((e) => e.id === event.id));
      await env.call("DELETE", `/webhook_endpoints/${endpoint.id}`);
    } finally {
      await new Promise((resolve) => sink.close(resolve));
    }
  });

  told("too many attempts are a RateLimitExceededException that says when to come back", async () => {
    const limited = await berth.environment("limited");
    const client = new WorkOS(limited.apiKey, { ...limited.options(), ...(major > 8 && { maxRetries: 0 }) });
    await limited.user("busy@example.com", password);
    let err;
    for (let i = 0; i < 30 && !(err instanceof RateLimitExceededException); i++) err = await fails(client.userManagement.authenticateWithPassword({ email: "busy@example.com", password: "a wrong password" }));
    assert.ok(err instanceof RateLimitExceededException, String(err));
    assert.equal(err.status, 429);
    assert.ok(err.retryAfter > 0, `retryAfter = ${err.retryAfter}`);
    assert.ok(err.message.length > 5);
  });

  told("each failure is the exception of the SDK for it", async () => {
    await um.createUser({ email: "twice@example.com" });
    const cases = [
      [() => um.createUser({ email: "twice@example.com" }), ["ConflictException", "UnprocessableEntityException", "BadRequestException"]],
      [() => um.createUser({ email: "not an address" }), ["UnprocessableEntityException", "BadRequestException"]],
      [() => um.getUser("user_01JZ8Q4T7N3V9Y2K5M6P8R0S1T"), ["NotFoundException"]],
      [() => um.authenticateWithRefreshToken({ refreshToken: "nobody's" }), ["OauthException"]],
    ];
    for (const [call, kinds] of cases) {
      const err = await fails(call());
      assert.ok(kinds.includes(err.constructor.name), `${err.constructor.name}: ${err.message}`);
      assert.ok(err.message, "the message says what happened");
      if (major > 8) assert.match(err.requestID, /^req_/); // 8 looks for a header in its own spelling and finds none
    }
  });
}
