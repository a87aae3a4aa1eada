// Loaded into Node programs that berth exec, berth dev and berth deploy start.
// It sends what they ask of the hosts named in BERTH_HOSTS, and of no other, to
// the Berth server. Without that variable it does nothing.
"use strict";
(() => {
  let hosts;
  try {
    hosts = JSON.parse(process.env.BERTH_HOSTS || "null");
  } catch {
    return;
  }
  const loaded = Symbol.for("berth.preload");
  if (hosts === null || typeof hosts !== "object" || globalThis[loaded]) return;
  Object.defineProperty(globalThis, loaded, { value: true });
  const serverOf = (host) =>
    typeof host === "string" && Object.prototype.hasOwnProperty.call(hosts, host) ? hosts[host] : undefined;

  const fetch = globalThis.fetch;
  if (typeof fetch === "function") {
    const mapped = {
      // A method of an object, so that it has the name and length of the original.
      fetch(input, init = undefined) {
        let target = input;
        try {
          const request = typeof input === "object" && input !== null && !(input instanceof URL) && "url" in input;
          const url = new URL(request ? input.url : input);
          const server = url.protocol === "https:" && url.port === "" ? serverOf(url.hostname) : undefined;
          if (server !== undefined) {
            const there = server + url.pathname + url.search;
            target = request ? new Request(there, input) : there;
          }
        } catch {
          target = input; // the original tells what is wrong with it
        }
        return fetch.call(this, target, init);
      },
    }.fetch;
    Object.defineProperty(globalThis, "fetch", { value: mapped, writable: true, configurable: true, enumerable: true });
  }

  // WebSockets of the convex command line are opened with tls.connect.
  if (!Object.keys(hosts).some((host) => host.endsWith(".convex.cloud"))) return;
  const tls = require("node:tls");
  const net = require("node:net");
  const connect = tls.connect;
  tls.connect = function (...args) {
    const options = args[0];
    if (typeof options !== "object" || options === null || options.socket || Number(options.port || 443) !== 443) {
      return connect.apply(this, args);
    }
    const server = serverOf(options.host || options.servername);
    if (server === undefined) return connect.apply(this, args);
    const to = new URL(server);
    if (to.protocol === "https:") {
      args[0] = { ...options, host: to.hostname, servername: to.hostname, port: Number(to.port || 443) };
      return connect.apply(this, args);
    }
    const socket = net.connect({ host: to.hostname, port: Number(to.port || 80) });
    const done = args.find((arg) => typeof arg === "function");
    socket.once("connect", () => socket.emit("secureConnect"));
    if (done) socket.once("secureConnect", done);
    return socket;
  };
  require("node:module").syncBuiltinESMExports();
})();
