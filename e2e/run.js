// Builds what the tests need (the binary, then each app once) and runs them.
//
// usage: npm test [-- FILE...]     BERTH_BIN=path uses a binary that is built already
import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
process.chdir(here);

let current;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => current?.kill(signal));

async function run(command, args, options = {}) {
  current = spawn(command, args, { stdio: "inherit", ...options });
  const code = await new Promise((resolve, reject) => current.once("error", reject).once("close", (status, signal) => resolve(signal ?? status)));
  if (code !== 0) {
    console.error(`${[command, ...args].join(" ")}: ${code}`);
    process.exit(1);
  }
}

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (["node_modules", "dist", ".next", "next-env.d.ts", "routeTree.gen.ts"].includes(entry.name)) continue;
    const full = path.join(folder, entry.name);
    time = Math.max(time, entry.isDirectory() ? newest(full) : statSync(full).mtimeMs);
  }
  return time;
}

// An app is built again when its sources or the packages changed.
async function build(app, result) {
  const built = existsSync(path.join("apps", app, result)) ? statSync(path.join("apps", app, result)).mtimeMs : 0;
  const changed = Math.max(newest(path.join("apps", app)), statSync("node_modules/.package-lock.json").mtimeMs);
  if (built > changed) return;
  const began = Date.now();
  await run("npm", ["run", "--silent", "build", "--workspace", `apps/${app}`], { env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" } });
  console.log(`built apps/${app} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

if (!process.env.BERTH_BIN) await run("make", ["--no-print-directory", "-C", "..", "build"]);
if (!process.env.BERTH_GALLERY) await run("go", ["build", "-buildvcs=false", "-o", "bin/gallery", "./scripts/gallery"], { cwd: ".." });
await build("spa", "dist/index.html");
await build("next", ".next/BUILD_ID");
await build("tanstack", "dist/server/server.js");

// A test names the Node that it needs by its folder: newest/ has its own.
const newestNode = path.resolve("newest/node_modules/.bin/node");
const suites = [
  [process.execPath, readdirSync(".").filter((name) => name.endsWith(".test.js"))],
  [newestNode, readdirSync("newest").filter((name) => name.endsWith(".test.js")).map((name) => `newest/${name}`)],
  [process.execPath, readdirSync("convex").filter((name) => name.endsWith(".test.js")).map((name) => `convex/${name}`)],
];

const asked = process.argv.slice(2);
for (const [node, all] of suites) {
  const files = asked.length > 0 ? all.filter((name) => asked.includes(name)) : all;
  if (files.length > 0) await run(node, ["--disable-warning=ExperimentalWarning", "--test", "--test-reporter=spec", ...files]);
}
