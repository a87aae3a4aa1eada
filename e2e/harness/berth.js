// Runs the built berth binary for a test: a free port, a data folder of its
// own, and nothing left behind. Environments are made as a team makes them,
// through the Platform API.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The binary under test: BERTH_BIN, or what `make build` left. */
export const binary = process.env.BERTH_BIN || path.resolve(root, "../bin/berth");

/** A port that was free a moment ago, on both loopback addresses. */
export async function freePort() {
  const probe = createServer();
  await new Promise((resolve, reject) => probe.once("error", reject).listen(0, "localhost", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

// What a test that is cut short must not leave behind.
const running = new Set();
const folders = new Set();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** A folder of a test's own, with a way to remove it. It goes with the process at the latest. */
export async function temporary(prefix) {
  const folder = await mkdtemp(path.join(tmpdir(), prefix));
  folders.add(folder);
  const remove = async () => {
    await rm(folder, { recursive: true, force: true });
    folders.delete(folder);
  };
  return { folder, remove };
}

/**
 * Starts a program and waits until ready() answers true. stop() asks it to
 * end, then makes it. The output is kept for the message of a failure.
 */
export async function startProgram(command, args, { ready, env = {}, cwd, seconds = 30 }) {
  const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output = (output + data).slice(-20000)));
  let spawnError;
  child.once("error", (err) => (spawnError = err));
  const ended = new Promise((resolve) => child.once("close", resolve));
  ended.then(() => running.delete(child));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null && child.pid) {
      child.kill("SIGTERM");
      const hard = setTimeout(() => child.kill("SIGKILL"), 12000);
      await ended;
      clearTimeout(hard);
    }
  };
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    if (spawnError) throw spawnError;
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`${command} ${args.join(" ")} is not ready:\n${output}`);
    }
    if (await ready(output)) return { stop, output: () => output };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Starts `berth serve`, with further arguments. Its public URL is on localhost, as the apps are. */
export async function startBerth(...more) {
  const { folder: data, remove } = await temporary("berth-e2e-");
  const port = await freePort();
  const url = `http://localhost:${port}`;
  let program;
  try {
    program = await startProgram(binary, ["serve", "--data", data, "--addr", `localhost:${port}`, "--public-url", url, ...more], {
      ready: () => fetch(`${url}/berth/v1/health`).then((r) => r.ok, () => false),
    });
    const local = JSON.parse(await readFile(path.join(data, "server.json"), "utf8"));
    return new Berth(url, local.token, () => program.stop().then(remove));
  } catch (err) {
    await program?.stop();
    await remove();
    throw err;
  }
}

class Berth {
  constructor(url, token, stop) {
    Object.assign(this, { url, token, stop });
    this.port = Number(new URL(url).port);
  }

  /** Calls the server with the team's token, or with another bearer key. */
  async call(method, target, body, key = this.token) {
    const response = await fetch(this.url + target, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${target} = ${response.status} ${text}`);
    return text && JSON.parse(text);
  }

  /** Makes an environment with an API key, redirect URIs, origins and a homepage. */
  async environment(name, { redirectURIs = [], origins = [], homepage } = {}) {
    const { team_id: team } = await this.call("GET", "/berth/v1/me");
    const made = await this.call("POST", `/platform/teams/${team}/environments`, { name });
    const key = await this.call("POST", `/platform/teams/${team}/environments/${made.id}/api_keys`, { name: "e2e", expires_at: null });
    const env = new Environment(this, made.client_id, key.value);
    for (const uri of redirectURIs) await env.call("POST", "/user_management/redirect_uris", { uri });
    for (const origin of origins) await env.call("POST", "/user_management/cors_origins", { origin });
    if (homepage) await env.call("PUT", "/user_management/app_homepage_url", { url: homepage });
    return env;
  }
}

class Environment {
  constructor(berth, clientId, apiKey) {
    Object.assign(this, { berth, clientId, apiKey });
  }

  call(method, target, body) {
    return this.berth.call(method, target, body, this.apiKey);
  }

  /** A user who can sign in with the password. */
  user(email, password) {
    return this.call("POST", "/user_management/users", { email, password, email_verified: true, first_name: "Ada", last_name: "Lovelace" });
  }

  /** The newest mail to an address, waited for. */
  async mail(to, kind) {
    for (const deadline = Date.now() + 5000; ; ) {
      const list = await this.berth.call("GET", `/berth/v1/environments/${this.clientId}/messages?to=${encodeURIComponent(to)}`);
      const found = list.find((m) => !kind || m.kind === kind);
      if (found) return found;
      assert.ok(Date.now() < deadline, `no ${kind ?? "mail"} to ${to}; the inbox has ${JSON.stringify(list.map((m) => m.kind))}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** What points an SDK of the server kind at this environment. */
  variables() {
    return { WORKOS_CLIENT_ID: this.clientId, WORKOS_API_KEY: this.apiKey, WORKOS_API_HOSTNAME: "localhost", WORKOS_API_HTTPS: "false", WORKOS_API_PORT: String(this.berth.port) };
  }

  /** The options of the WorkOS constructor for this environment. */
  options() {
    return { clientId: this.clientId, apiHostname: "localhost", port: this.berth.port, https: false };
  }
}
