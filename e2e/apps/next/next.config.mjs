import path from "node:path";

// The packages are installed two folders up.
const root = path.join(import.meta.dirname, "../..");

export default { turbopack: { root }, outputFileTracingRoot: root };
