// Preloaded into an app under test (NODE_OPTIONS): its clock runs ahead by the
// seconds in the file CLOCK_FILE, read at most every 20 ms.
const { readFileSync } = require("node:fs");

const RealDate = Date;
let ahead = 0;
let readAt = 0;

function now() {
  const real = RealDate.now();
  if (real - readAt > 20) {
    readAt = real;
    try {
      ahead = Number(readFileSync(process.env.CLOCK_FILE, "utf8")) * 1000 || 0;
    } catch {
      ahead = 0;
    }
  }
  return real + ahead;
}

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(now());
    else super(...args);
  }
  static now() {
    return now();
  }
};
