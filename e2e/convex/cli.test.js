// The vendor's command line, unmodified, as developers and builds use it:
// against `berth serve`, with nothing but variables between the two.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { startBerth } from "../harness/berth.js";
import { Visitor } from "../harness/pages.js";
import { checkout } from "./harness/checkout.js";

const project = "numbers";
const flags = ["--project", project];

let berth, dev, team, prod, person;
const builds = [];

before(async () => {
  berth = await startBerth();
  team = await berth.call("GET", "/berth/v1/me");
  dev = await checkout("react-vite-authkit", { env: { BERTH_SERVER: berth.url, BERTH_TOKEN: berth.token, VERCEL_PROJECT_PRODUCTION_URL: "numbers.example.com" } });
});
after(() => Promise.all([berth?.stop(), ...[dev, ...builds].map((c) => c?.remove())]));

/** A developer's command, through berth exec. */
const convex = (args, options = {}) => dev.exec(args, { flags, ...options });

/** A checkout of a build machine: it knows the server and one key, and nothing of berth. */
async function build(key, env = {}) {
  const made = await checkout("react-vite-authkit", { env: { CONVEX_PROVISION_HOST: berth.url, CONVEX_VERSION_API_ORIGIN: berth.url, CONVEX_DEPLOY_KEY: key, ...env } });
  builds.push(made);
  return made;
}

/** The part of berth exec that sends the tool's calls to api.workos.com to the server. */
async function preload() {
  const all = JSON.parse((await dev.berth(["exec", ...flags, "--print-env", "--json"])).out);
  return Object.fromEntries(all.filter((v) => ["NODE_OPTIONS", "BERTH_HOSTS"].includes(v.name)).map((v) => [v.name, v.value]));
}

const projectId = async () => (await berth.call("GET", `/v1/teams/${team.team_slug}/projects/${project}`)).id;
const deployments = async (kind) => (await berth.call("GET", `/v1/projects/${await projectId()}/list_deployments`)).filter((d) => !kind || d.deploymentType === kind);
const environments = async () => (await berth.call("GET", `/platform/teams/${team.team_id}/environments`)).data;
const key = async (what, target) => Object.values(await berth.call("POST", `/v1/${target}/${what}`, { name: `${what}-${Math.random().toString(36).slice(2)}` }))[0];
const numbers = (list) => JSON.stringify(list.numbers);
const answer = (result) => JSON.parse(result.out);

test("the first `dev --once` makes a deployment, its auth environment, and pushes", async () => {
  const { text } = await convex(["dev", "--once", "--typecheck", "enable"]);
  assert.match(text, /Provisioned a dev deployment and saved its:\n {4}client URL as VITE_CONVEX_URL/);
  assert.match(text, /New AuthKit environment provisioned/);
  assert.match(text, /AuthKit redirect URI added: http:\/\/localhost:5173\/callback/);
  assert.match(text, /AuthKit CORS origin added: http:\/\/localhost:5173/);
  assert.match(text, /WorkOS AuthKit environment ready/);
  assert.match(text, /Convex functions ready!/);
  const local = await dev.local();
  assert.match(local.CONVEX_DEPLOYMENT, /^dev:[a-z]+-[a-z]+-\d+$/);
  assert.match(local.VITE_CONVEX_URL, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.match(local.VITE_WORKOS_CLIENT_ID, /^client_/);
  const { out } = await convex(["env", "list"]);
  assert.ok(out.includes(`WORKOS_CLIENT_ID=${local.VITE_WORKOS_CLIENT_ID}\n`), out);
  assert.match(out, /WORKOS_API_KEY=sk_test_/);
  assert.match(await dev.read("convex/_generated/api.d.ts"), /myFunctions/);
});

test("the second `dev --once` makes nothing", async () => {
  const before = [await deployments(), await environments(), await dev.read(".env.local")];
  const { text } = await convex(["dev", "--once"]);
  assert.doesNotMatch(text, /rovisioned|added/);
  assert.match(text, /Convex functions ready!/);
  assert.deepEqual([await deployments(), await environments(), await dev.read(".env.local")], before);
});

test("`run` calls a query, a mutation and an action, as nobody and as somebody", async () => {
  const ada = ["--identity", JSON.stringify({ subject: "ada", issuer: "https://example.com", tokenIdentifier: "https://example.com|ada" })];
  assert.deepEqual(answer(await convex(["run", "myFunctions:listNumbers", '{"count":5}'])), { numbers: [], viewer: null });
  const refused = await convex(["run", "myFunctions:addNumber", '{"value":1}'], { code: 1 });
  assert.match(refused.text, /Failed to run function "myFunctions:addNumber":\nError: \[Request ID: [0-9a-f]+\] Server Error\nUncaught Error: sign in to add a number\n {4}at handler \(\.\.\/convex\/myFunctions\.ts:\d+:\d+\)/);
  await convex(["run", "myFunctions:addNumber", '{"value":4}', ...ada]);
  assert.equal(answer(await convex(["run", "myFunctions:myAction", '{"value":3}', ...ada])), 7);
  assert.deepEqual(answer(await convex(["run", "api.myFunctions.listNumbers", '{"count":5}', ...ada])), { numbers: [4, 7], viewer: "ada" });
  assert.equal(answer(await convex(["run", "--inline-query", "return (await ctx.db.query('numbers').collect()).length"])), 2);
});

test("`run` tells what is wrong with a call", async () => {
  const wrong = await convex(["run", "myFunctions:listNumbers", '{"count":"many"}'], { code: 1 });
  assert.match(wrong.text, /ArgumentValidationError: Value does not match validator\.\nPath: \.count\nValue: "many"\nValidator: v\.float64\(\)/);
  const unknown = await convex(["run", "myFunctions:nothing"], { code: 1 });
  assert.match(unknown.text, /Could not find function for 'myFunctions:nothing'.*\n\nAvailable functions:\n• myFunctions:addNumber\n• myFunctions:listNumbers\n• myFunctions:myAction/);
});

test("`function-spec` has the validators, `data` the documents", async () => {
  const spec = JSON.parse((await convex(["function-spec"])).out);
  const list = spec.functions.find((f) => f.identifier === "myFunctions.js:listNumbers");
  assert.equal(list.functionType, "Query");
  assert.deepEqual(list.args, { type: "object", value: { count: { fieldType: { type: "number" }, optional: false } } });
  assert.match((await convex(["data", "numbers"])).out, /_creationTime +\| value\n[-|]+\n"[a-z0-9]{32}" +\| [\d.]+ +\| 7\n/);
});

test("`env` sets, gets, lists and removes", async () => {
  assert.match((await convex(["env", "set", "GREETING", "hello"])).text, /Successfully set GREETING \(on dev deployment/);
  assert.equal((await convex(["env", "get", "GREETING"])).out, "hello\n");
  await convex(["env", "set"], { input: "ONE=1\nTWO='two words'\n" });
  assert.match((await convex(["env", "list"])).out, /^GREETING=hello\nONE=1\nTWO="?two words"?\nWORKOS_API_KEY=/);
  assert.match((await convex(["env", "remove", "GREETING"])).text, /Successfully unset GREETING/);
  const gone = await convex(["env", "get", "GREETING"]);
  assert.equal(gone.out, "");
  assert.match(gone.err, /Environment variable "?GREETING"? not found/);
  const builtin = await convex(["env", "set", "CONVEX_SITE_URL", "x"], { code: 1 });
  assert.match(builtin.text, /400 Bad Request: EnvVarNameForbidden/);
});

test("a variable that auth.config reads is not removed", async () => {
  const { text } = await convex(["env", "remove", "WORKOS_CLIENT_ID"], { code: 1 });
  assert.match(text, /400 Bad Request: AuthConfigMissingEnvironmentVariable: Environment variable WORKOS_CLIENT_ID is used in auth config file but its value was not set/);
  assert.match((await convex(["env", "get", "WORKOS_CLIENT_ID"])).out, /^client_/);
});

test("`deployment token create` gives keys, and `deploy` takes the one of production", async () => {
  const made = await convex(["deployment", "token", "create", "ci", "--prod"]);
  assert.match(made.text, /Created deploy key "ci" for [a-z]+-[a-z]+-\d+\./);
  prod = made.out.trim();
  assert.match(prod, /^prod:[a-z]+-[a-z]+-\d+\|\S+$/);
  const machine = await build(prod, { VERCEL_PROJECT_PRODUCTION_URL: "numbers.example.com" });

  // A deploy key cannot make an auth environment, and the tool says so.
  const bare = await machine.convex(["deploy"], { code: 1 });
  assert.match(bare.text, /WORKOS_CLIENT_ID|WorkOS/);

  const first = await convex(["integration", "workos", "provision-environment", "--prod"]);
  assert.match(first.text, /New AuthKit environment provisioned/);
  const second = await machine.convex(["deploy", "--message", "first"], { env: await preload() });
  assert.match(second.text, /\[Production\] local:numbers:prod/);
  assert.match(second.text, /Deployed Convex functions to http:\/\/127\.0\.0\.1:\d+/);
  assert.equal(numbers(answer(await machine.convex(["run", "myFunctions:listNumbers", '{"count":5}']))), "[]", "production has none of dev's numbers");
  assert.equal((await deployments("prod")).length, 1);
});

test("a deploy runs its command with the deployment's URL", async () => {
  const machine = builds[0];
  const { text } = await machine.convex(["deploy", "--cmd", `node -p "'built for ' + process.env.VITE_CONVEX_URL"`, "--cmd-url-env-var-name", "VITE_CONVEX_URL", "--skip-workos-check"]);
  const [, url] = /built for (http:\/\/127\.0\.0\.1:\d+)/.exec(text) ?? assert.fail(text);
  assert.ok(text.includes(`Deployed Convex functions to ${url}`), text);
  const failed = await machine.convex(["deploy", "--cmd", "exit 3", "--skip-workos-check"], { code: 1 });
  assert.doesNotMatch(failed.text, /Deployed Convex functions/);
});

test("`env` finds its deployment by every selector", async () => {
  const name = (await deployments("dev"))[0].name;
  const prodName = (await deployments("prod"))[0].name;
  await convex(["env", "set", "WHERE", "dev"]);
  await convex(["env", "set", "WHERE", "prod", "--prod"]);
  const get = async (args, options) => (await convex(["env", "get", "WHERE", ...args], options)).out.trim();
  const reference = (await deployments("dev"))[0].reference;
  const { adminKey, url } = await berth.call("POST", "/api/deployment/provision_and_authorize", { teamSlug: team.team_slug, projectSlug: project, deploymentType: "prod" });
  const devKey = await key("create_deploy_key", `deployments/${name}`);

  // Without berth: by keys alone.
  const bare = builds[0];
  await bare.write("prod.env", `CONVEX_DEPLOY_KEY='${prod}'\n`);
  const asked = async (args, env) => (await bare.convex(["env", "get", "WHERE", ...args], { env })).out.trim();
  const keyless = { CONVEX_DEPLOY_KEY: undefined };
  const rows = [
    ["dev", () => get([])],
    ["prod", () => get(["--prod"])],
    ["prod", () => get(["--deployment-name", prodName])],
    ["prod", () => get(["--deployment", prodName])],
    ["prod", () => get(["--deployment", "prod"])],
    ["dev", () => get(["--deployment", reference])],
    ["prod", () => get(["--deployment", `${project}:prod`])],
    ["prod", () => get(["--deployment", `${team.team_slug}:${project}:prod`])],
    ["prod", () => get([], { flags: [...flags, "--prod"] })],
    ["dev", () => get([], { flags: [...flags, "--deployment", name] })],
    ["prod", () => asked([])],
    ["dev", () => asked([], { CONVEX_DEPLOY_KEY: devKey })],
    ["prod", () => asked([], { ...keyless, CONVEX_SELF_HOSTED_URL: url, CONVEX_SELF_HOSTED_ADMIN_KEY: adminKey })],
    ["prod", () => asked(["--url", url, "--admin-key", adminKey], keyless)],
    ["prod", () => asked(["--env-file", "prod.env"], keyless)],
  ];
  assert.deepEqual(await Promise.all(rows.map(([, ask]) => ask())), rows.map(([want]) => want));
});

test("a revoked key opens nothing", async () => {
  const name = (await deployments("prod"))[0].name;
  const made = await berth.call("POST", `/v1/deployments/${name}/create_deploy_key`, { name: "short" });
  const machine = builds[0];
  await machine.convex(["env", "list"], { env: { CONVEX_DEPLOY_KEY: made.deployKey } });
  assert.match((await convex(["deployment", "token", "delete", "short", "--prod"])).text, /Deleted deploy key/i);
  const { text } = await machine.convex(["env", "list"], { env: { CONVEX_DEPLOY_KEY: made.deployKey }, code: 1 });
  assert.match(text, /401/);
});

test("`env default` is what new previews begin with", async () => {
  assert.match((await convex(["env", "default", "set", "STAGE", "preview", "--type", "preview"])).text, /Successfully set STAGE \(in default env vars for preview deployments\)/);
  await convex(["env", "default", "set", "WORKOS_CLIENT_ID", "client_shared", "--type", "preview", "--project", `${team.team_slug}:${project}`]);
  await convex(["env", "default", "set", "EXTRA", "1", "--type", "preview"]);
  await convex(["env", "default", "remove", "EXTRA", "--type", "preview"]);
  assert.equal((await convex(["env", "default", "get", "STAGE", "--type", "preview"])).out, "preview\n");
  assert.equal((await convex(["env", "default", "list", "--type", "preview"])).out, "STAGE=preview\nWORKOS_CLIENT_ID=client_shared\n");
  assert.match((await convex(["env", "default", "list"])).text, /No .*environment variables/i);
});

test("ten branches deploy with one preview key at the same time", async () => {
  const preview = await key("create_preview_deploy_key", `projects/${await projectId()}`);
  assert.match(preview, new RegExp(`^preview:${team.team_slug}:${project}\\|`));
  const branches = Array.from({ length: 10 }, (_, i) => `feature/${i}`);
  const machines = await Promise.all(branches.map((branch) => build(preview, { VERCEL: "1", VERCEL_ENV: "preview", VERCEL_GIT_COMMIT_REF: branch })));
  const results = await Promise.all(machines.map((m) => m.convex(["deploy", "--typecheck", "disable"], { seconds: 120 })));
  const urls = results.map(({ text }) => /Deployed Convex functions to (http:\/\/127\.0\.0\.1:\d+)/.exec(text)?.[1] ?? assert.fail(text));
  assert.equal(new Set(urls).size, 10, `one origin each: ${urls}`);
  const made = await deployments("preview");
  assert.deepEqual(made.map((d) => d.reference).sort(), branches.map((b) => `preview/${b.replace("/", "-")}`).sort());
  const five = machines[5];
  assert.equal((await five.convex(["env", "get", "STAGE", "--preview-name", "feature/5"])).out, "preview\n");
  assert.equal((await convex(["env", "get", "STAGE", "--preview-name", "feature/6"])).out, "preview\n");
  await convex(["run", "myFunctions:addNumber", '{"value":5}', "--preview-name", "feature/5", "--identity", '{"subject":"a","issuer":"b","tokenIdentifier":"b|a"}']);
  const seen = async (name) => numbers(answer(await convex(["run", "myFunctions:listNumbers", '{"count":5}', "--preview-name", name])));
  assert.equal(await seen("feature/5"), "[5]");
  assert.equal(await seen("feature/6"), "[]");

  // The same branch again keeps its deployment; --preview-create makes it anew.
  const again = await five.convex(["deploy", "--typecheck", "disable"]);
  assert.ok(again.text.includes(urls[5]), again.text);
  assert.equal(await seen("feature/5"), "[5]");
  await five.convex(["deploy", "--typecheck", "disable", "--preview-create", "feature/5"]);
  assert.equal(await seen("feature/5"), "[]");
  assert.equal((await deployments("preview")).length, 10);
});

test("`--preview-run` fills a new preview, and only a new one", async () => {
  const machine = await build(builds.at(-1).env.CONVEX_DEPLOY_KEY);
  await machine.write("convex/seed.ts", `import { internalMutation } from "./_generated/server";\nexport default internalMutation({ args: {}, handler: async (ctx) => { await ctx.db.insert("numbers", { value: 42 }); } });\n`);
  const deploy = ["deploy", "--preview-name", "seeded", "--preview-run", "seed", "--typecheck", "disable"];
  assert.match((await machine.convex(deploy)).text, /Finished running function "seed"/);
  assert.doesNotMatch((await machine.convex(deploy)).text, /Finished running function/);
  assert.equal(numbers(answer(await convex(["run", "myFunctions:listNumbers", '{"count":5}', "--preview-name", "seeded"]))), "[42]");
});

test("`logs` shows what functions print and throw", async () => {
  await dev.write("convex/chatter.ts", `import { query } from "./_generated/server";\nexport const talk = query({ args: {}, handler: async () => { console.log("from the query", { a: 1 }); console.warn("careful"); return null; } });\n`);
  await convex(["dev", "--once", "--typecheck", "disable"]);
  await convex(["run", "chatter:talk"]);
  const { text } = await convex(["logs", "--history", "50"], { until: (seen) => seen.includes("careful") && seen.includes("sign in to add a number"), seconds: 30 });
  assert.match(text, /Watching logs for dev deployment/);
  assert.match(text, /\[CONVEX Q\(chatter:talk\)\] \[LOG\] 'from the query' \{\n {2}a: 1\n\}/);
  assert.match(text, /\[CONVEX Q\(chatter:talk\)\] \[WARN\] 'careful'/);
  assert.match(text, /\[CONVEX M\(myFunctions:addNumber\)\] Uncaught Error: sign in to add a number/);
});

test("`integration workos`: status, invitations, and environments of the project's own", async () => {
  const workos = (args, options) => convex(["integration", "workos", ...args], options);
  const status = await workos(["status"]);
  assert.match(status.text, /WorkOS team: local\nWorkOS environment: numbers dev .*\nhttps:\/\/dashboard\.workos\.com\/environment_/);
  assert.match((await workos(["provision-environment"])).text, /environment ready|already/i);
  assert.match((await workos(["invite", "--email", "bob@example.com"])).text, /Successfully sent invitation to bob@example\.com with role admin/);
  assert.match((await workos(["invite", "--email", "bob@example.com"])).text, /✗ bob@example\.com .*already/);
  assert.match((await workos(["list-project-environments"])).text, /No WorkOS environments found for this project/);
  const made = (await workos(["create-project-environment", "--name", "shared"])).text;
  const [, clientId] = /Name: shared\n +Client ID: (client_\S+)\n +API Key: sk_test_/.exec(made) ?? assert.fail(made);
  assert.match((await workos(["create-project-environment", "--name", "shared"], { code: 1 })).text, /shared/);
  assert.ok((await workos(["list-project-environments"])).text.includes(`shared - Client ID: ${clientId}`));
  const gone = await workos(["delete-project-environment", "--client-id", clientId], { tty: [[/Are you sure/, "y\n"]] });
  assert.ok(gone.text.includes(`Deleted environment with client ID '${clientId}'`), gone.text);
  assert.match((await workos(["list-project-environments"])).text, /No WorkOS environments found/);
});

// Approves a device as a new person does on the machine of the server: its
// members' mail is read on the inbox page there.
async function approve(url, email, issuer) {
  const visitor = await new Visitor().open(url);
  await visitor.submit({ user_code: new URL(url).searchParams.get("user_code") });
  await visitor.submit({ decision: "allow" });
  await visitor.follow("/sign-up");
  await visitor.submit({ email, password: "correct horse battery staple" });
  const inbox = await new Visitor().open(`${berth.url}/inbox?client_id=${issuer.split("/").at(-1)}`);
  const code = inbox.html.match(/(?<![\w#])\d{6}(?!\w)/)?.[0] ?? assert.fail(inbox.html);
  await visitor.submit({ code });
  assert.match(visitor.html, /data-hak-page="device\/success"/);
}

test("`login` by the device flow makes a person's own dev deployment reachable, and nobody else's", async () => {
  await dev.berth(["team", "members", "add", "ada@example.com", "--role", "developer", "--yes"]);
  const { issuer, client_id: client } = await berth.call("GET", "/berth/v1/login");
  const ada = await checkout("react-vite-authkit", { env: { CONVEX_PROVISION_HOST: berth.url, CONVEX_VERSION_API_ORIGIN: berth.url } });
  builds.push(ada);
  let approved;
  const login = await ada.convex(["login", "--device-name", "laptop", "--no-open", "--login-flow", "poll", "--accept-opt-ins", "--override-auth-url", issuer, "--override-auth-client", client], {
    seconds: 90,
    until: (seen) => {
      const visit = /Visit (\S+) to finish logging in/.exec(seen);
      if (visit) approved ??= approve(visit[1], "ada@example.com", issuer);
      return false;
    },
  });
  await approved;
  assert.match(login.text, /Saved credentials to /);
  const status = (await ada.convex(["login", "status"])).text;
  assert.match(status, /Status: Logged in/);
  assert.match(status, /local/);

  const first = await ada.convex(["dev", "--once", "--configure", "existing", "--team", team.team_slug, "--project", project, "--dev-deployment", "cloud", "--typecheck", "disable"], { env: await preload() });
  assert.match(first.text, /Convex functions ready!/);
  const name = (await ada.local()).CONVEX_DEPLOYMENT.replace(/^dev:/, "");
  await ada.convex(["env", "set", "WHOSE", "ada"]);
  assert.equal((await ada.convex(["env", "get", "WHOSE", "--deployment", "dev"])).out, "ada\n");
  const others = (await deployments("dev")).find((d) => d.name !== name);
  for (const target of [["--prod"], ["--deployment-name", others.name]]) {
    const refused = await ada.convex(["env", "list", ...target], { code: 1 });
    assert.match(refused.text, /You do not have permission to use (production of this project|the dev deployment [a-z0-9-]+ of somebody else)/);
  }

  // convex keeps the login by the port of the control plane.
  const { accessToken } = JSON.parse(await readFile(path.join(ada.home.folder, `.convex-test-${berth.port}/config.json`), "utf8"));
  person = { checkout: ada, token: accessToken };

  const { text } = await ada.convex(["logout"]);
  assert.match(text, /logged out/i);
  await ada.convex(["env", "list"], { code: 1 });
});

test("`integration workos`: a disconnected team provisions nothing until it has a team again", async () => {
  const workos = (args, options) => convex(["integration", "workos", ...args], options);
  const kept = await workos(["disconnect-team"], { tty: [[/Are you sure/, "n\n"]] });
  assert.match(kept.text, /Cancelled/);
  const gone = await workos(["disconnect-team"], { tty: [[/Are you sure/, "y\n"]] });
  assert.match(gone.text, /Successfully disconnected WorkOS team "local"/);
  assert.match((await workos(["disconnect-team"])).text, /does not have an associated WorkOS team/);
  assert.match((await workos(["status"])).text, /WorkOS team: Not provisioned/);
  const fresh = await checkout("react-vite-authkit", { env: dev.env });
  builds.push(fresh);
  const refused = await fresh.exec(["dev", "--once"], { flags, code: 1 });
  assert.match(refused.text, /WorkOS/);

  // It takes an admin with an address: a team token has none.
  await berth.call("POST", "/berth/v1/members", { email: "ada@example.com", role: "admin", projects: [] });
  const again = await person.checkout.convex(["integration", "workos", "provision-team"], {
    env: { CONVEX_OVERRIDE_ACCESS_TOKEN: person.token },
    tty: [[/Create a WorkOS team and enable/, "y\n"], [/ada@example\.com/, "\n"]],
  });
  assert.match(again.text, /Successfully created WorkOS team "local"/);
  assert.match((await workos(["status"])).text, /WorkOS team: local/);
});
