// A checkout: a copy of an example app in a folder and with a home of its own,
// where the vendor's command line runs as a developer or a build runs it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { binary, temporary } from "../../harness/berth.js";

const here = fileURLToPath(new URL("..", import.meta.url));
const examples = path.resolve(here, "../../examples");
export const convex = path.resolve(here, "node_modules/.bin/convex");

// Beneath e2e/convex, so that Node finds the packages there.
const work = path.resolve(here, "work");

const running = new Set();
process.once("exit", () => {
  for (const child of running) process.kill(-child.pid, "SIGKILL");
});

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const plain = (text) => text.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "");

/**
 * Copies an example, or another checkout with what the tool generated in it, as
 * a clone has it. edit, if given, changes the text of convex.json.
 */
export async function checkout(example, { edit, env = {}, of } = {}) {
  await mkdir(work, { recursive: true });
  const root = await mkdtemp(path.join(work, `${example}-`));
  const folder = path.join(root, "app");
  const source = of?.folder ?? path.join(examples, example);
  const left = of ? /^(node_modules|\.env\.local|\.next|dist)$/ : /^(node_modules|\.env\.local|\.next|dist|_generated)$/;
  await cp(source, folder, { recursive: true, filter: (name) => name === source || !left.test(path.basename(name)) });
  if (edit) {
    const file = path.join(folder, "convex.json");
    await writeFile(file, edit(await readFile(file, "utf8")));
  }
  // The command line looks for the compiler in the app's own folder alone.
  await mkdir(path.join(folder, "node_modules"));
  await symlink(path.join(here, "node_modules/typescript"), path.join(folder, "node_modules/typescript"));
  // The home is elsewhere: Next takes no folder for a workspace that holds it.
  return new Checkout(root, folder, env, await temporary("berth-e2e-home-"));
}

class Checkout {
  constructor(root, folder, env, home) {
    Object.assign(this, { root, folder, env, home });
  }

  /** Variables that every command of the checkout gets. Nothing of the machine's own comes in. */
  variables(more = {}) {
    const all = { PATH: process.env.PATH, HOME: this.home.folder, BERTH_DATA: path.join(this.home.folder, "berth"), LANG: "C.UTF-8", NO_COLOR: "1", ...this.env, ...more };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  }

  /** The convex command line, as npx would start it. */
  convex(args, options = {}) {
    return this.run(convex, args, options);
  }

  /** The same through berth exec; flags are berth's. */
  exec(args, { flags = [], ...options } = {}) {
    return this.run(binary, ["exec", ...flags, "--", convex, ...args], options);
  }

  berth(args, options = {}) {
    return this.run(binary, args, options);
  }

  /**
   * Runs a program to its end and asserts its exit code. out is what it wrote
   * to stdout, err to stderr, text both. With tty it has a terminal, on which
   * answers are typed: each [pattern, keys] once the pattern was seen.
   */
  async run(command, args, { env, code = 0, input = "", tty, seconds = 60, until } = {}) {
    const line = [command, ...args];
    const [program, given] = tty ? ["script", ["-qefc", line.map(quoted).join(" "), "/dev/null"]] : [command, args];
    const child = spawn(program, given, { cwd: this.folder, env: this.variables({ ...(tty && { TERM: "xterm" }), ...env }), stdio: "pipe", detached: true });
    running.add(child);
    const seen = { out: "", err: "", text: "" };
    const answers = [...(tty ?? [])];
    let stopped = false;
    let from = 0;
    const stop = () => {
      stopped = true;
      child.kill("SIGINT");
    };
    for (const [stream, name] of [[child.stdout, "out"], [child.stderr, "err"]]) {
      stream.setEncoding("utf8").on("data", (data) => {
        seen[name] += data;
        seen.text += data;
        const now = plain(seen.text);
        if (answers.length > 0 && answers[0][0].test(now.slice(from))) {
          from = now.length;
          child.stdin.write(answers.shift()[1]);
        }
        if (until?.(now)) stop();
      });
    }
    child.stdin.on("error", () => {}); // a program that ends first does not read it
    if (!tty) child.stdin.end(input);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid, "SIGKILL");
    }, seconds * 1000);
    const status = await new Promise((resolve, reject) => child.once("error", reject).once("close", (n, signal) => resolve(n ?? signal)));
    clearTimeout(timer);
    running.delete(child);
    for (const name of Object.keys(seen)) seen[name] = plain(seen[name]);
    const what = `${line.map((word) => path.basename(word)).join(" ")} ended with ${status}${late ? ` after ${seconds} s` : ""}:\n${seen.text}`;
    assert.ok(!late, what);
    if (!stopped) assert.equal(status, code, what);
    return { ...seen, code: status };
  }

  read(name) {
    return readFile(path.join(this.folder, name), "utf8");
  }

  write(name, text) {
    return writeFile(path.join(this.folder, name), text);
  }

  /** The variables of .env.local. */
  async local() {
    const text = await this.read(".env.local").catch(() => "");
    return Object.fromEntries([...text.matchAll(/^([A-Z_]+)=("?)([^"\n#]*?)\2\s*(?:#.*)?$/gm)].map(([, name, , value]) => [name, value]));
  }

  async remove() {
    await this.home.remove();
    await rm(this.root, { recursive: true, force: true });
  }
}
