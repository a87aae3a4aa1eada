// The example apps, built and served for a browser.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startProgram } from "../../harness/berth.js";
import { convex } from "./checkout.js";

const here = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => path.resolve(here, "node_modules/.bin", name);

/** Commands that a shell runs in a checkout. */
export const commands = { push: `${convex} dev --once --typecheck disable`, build: `${bin("vite")} build --logLevel error` };

// Next compiles NEXT_PUBLIC_ variables into the app. One build serves every
// deployment of the tests: these names stand for the values, and are replaced
// in each copy, as image builds do that are configured when they start.
const placeholders = { NEXT_PUBLIC_CONVEX_URL: "http://convex-url.invalid", NEXT_PUBLIC_WORKOS_REDIRECT_URI: "http://redirect-uri.invalid/callback" };

async function* files(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* files(full);
    else if (entry.isFile()) yield full;
  }
}

/** Builds the Next app of a checkout, unless these sources were built before. Returns the folder. */
export async function builtNext(checkout) {
  const hash = createHash("sha256").update(await readFile(path.join(here, "package-lock.json")));
  for await (const file of files(checkout.folder)) {
    const name = path.relative(checkout.folder, file);
    if (!/^(node_modules|\.next|\.env\.local|next-env\.d\.ts|convex\.json)/.test(name)) hash.update(name).update(await readFile(file));
  }
  const built = path.join(here, "work", `next-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(built)) return built;
  const env = { ...placeholders, WORKOS_CLIENT_ID: "client_build", WORKOS_API_KEY: "sk_build", WORKOS_COOKIE_PASSWORD: "x".repeat(32), NEXT_TELEMETRY_DISABLED: "1", CI: "1" };
  await checkout.run(bin("next"), ["build"], { env, seconds: 600 });
  await rm(path.join(checkout.folder, ".next/cache"), { recursive: true, force: true });
  await rename(path.join(checkout.folder, ".next"), built);
  return built;
}

/** Puts a build into a checkout, with its values. */
export async function installNext(built, checkout, values) {
  const target = path.join(checkout.folder, ".next");
  await mkdir(target, { recursive: true });
  await cp(built, target, { recursive: true });
  for await (const file of files(target)) {
    if (!/\.(js|json|html|rsc|body|meta)$/.test(file)) continue;
    const text = await readFile(file, "utf8");
    let now = text;
    for (const [name, placeholder] of Object.entries(placeholders)) now = now.replaceAll(placeholder, values[name]);
    if (now !== text) await writeFile(file, now);
  }
}

/** Starts `next start` in a checkout. */
export function startNext(checkout, port, values) {
  const env = checkout.variables({ ...values, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" });
  return startProgram(process.execPath, [path.resolve(here, "node_modules/next/dist/bin/next"), "start", "-p", String(port)], {
    cwd: checkout.folder,
    env,
    ready: () => fetch(`http://localhost:${port}/`, { redirect: "manual" }).then((r) => r.status < 500, () => false),
    seconds: 60,
  });
}
