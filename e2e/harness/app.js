// Starts the server of an app under test, with a clock that a test can put
// ahead: so a token expires without a wait.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, startProgram, temporary } from "./berth.js";

const clock = fileURLToPath(new URL("clock.cjs", import.meta.url));

/**
 * Starts a Node app. prepare(origin) makes its environment and answers its
 * variables; args gets the port; probe is a path that answers once it is up.
 */
export async function startApp({ node = process.execPath, args, cwd, prepare, probe }) {
  const { folder, remove } = await temporary("berth-e2e-app-");
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  try {
    const program = await startProgram(node, args(String(port)), {
      cwd,
      ready: () => fetch(origin + probe, { redirect: "manual" }).then((r) => r.status < 500, () => false),
      env: { ...(await prepare(origin)), NODE_ENV: "production", NODE_OPTIONS: `--require ${JSON.stringify(clock)}`, CLOCK_FILE: path.join(folder, "clock") },
    });
    return {
      origin,
      output: program.output,
      /** Runs a step while the app's clock is ahead by the seconds. */
      async ahead(seconds, step) {
        const set = async (value) => {
          await writeFile(path.join(folder, "clock"), String(value));
          await new Promise((resolve) => setTimeout(resolve, 60)); // the app reads it every 20 ms
        };
        await set(seconds);
        try {
          return await step();
        } finally {
          await set(0);
        }
      },
      async stop() {
        await program.stop();
        await remove();
      },
    };
  } catch (err) {
    await remove();
    throw err;
  }
}
