// What functions find around them. It runs once in every context, before the
// pushed modules; the host functions __* are taken and hidden from them. What
// few functions need is in parts, which are loaded when it is first touched.
(() => {
	"use strict";
	const take = (name) => {
		const f = globalThis[name];
		delete globalThis[name];
		return f;
	};
	const hostSync = take("__sync"), hostAsync = take("__async"), hostLog = take("__log"), hostClock = take("__clock");
	const hostRandom = take("__random"), hostURL = take("__url"), hostCodec = take("__codec"), hostDigest = take("__digest"), hostPart = take("__part");
	const { parse, stringify } = JSON;
	const { defineProperty } = Object;
	const define = (name, value) => defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

	// A part is a function of what it needs. The host has none to give when the
	// memory of the context is used up.
	const part = (name, kit) => {
		let made;
		return () => {
			if (made !== undefined) return made;
			const make = hostPart(name);
			if (make === undefined) throw new InternalError("out of memory");
			return (made = make(kit()));
		};
	};
	// lazy defines globals that a part has; only their descriptors show it.
	const lazy = (names, from) => {
		for (const name of names) {
			defineProperty(globalThis, name, {
				get: () => {
					const value = from().globals[name];
					define(name, value);
					return value;
				},
				set: (value) => void define(name, value), configurable: true, enumerable: false,
			});
		}
	};

	// The host answers with a letter and a text: v value, e error {message, data},
	// w the number of something to wait for. (An error raised by the host would
	// arrive as a TypeError.)
	const failure = (text) => {
		const { message, data } = parse(text);
		const error = new Error(message);
		if (data !== undefined) error.data = data;
		return error;
	};
	const waiting = new Map();
	const answer = (text) => {
		if (text[0] === "v") return text.slice(1);
		throw failure(text.slice(1));
	};
	const later = (text) => {
		if (text[0] !== "w") return new Promise((resolve) => resolve(answer(text)));
		return new Promise((resolve, reject) => waiting.set(text.slice(1), { resolve, reject }));
	};

	define("Convex", {
		syscall: (op, args) => answer(hostSync(op, args)),
		asyncSyscall: (op, args) => later(hostAsync(op, args)),
		jsSyscall: (op, args) => {
			const call = web().calls.get(op);
			if (call === undefined) throw new Error("Unknown operation " + op);
			return call(args);
		},
	});

	// process.env: what is not set is undefined in functions.
	const env = Object.create(null);
	define("process", { env });

	// Console: one text per argument.
	const inspector = part("inspect", () => undefined);
	const safely = (value) => inspector()(value);
	const log = (level) => (...args) => hostLog(level, stringify(args.map(safely)));
	const timers = new Map(), counts = new Map();
	const info = log("INFO"), warn = log("WARN");
	const raw = (level, text) => hostLog(level, stringify([text]));
	define("console", {
		debug: log("DEBUG"), error: log("ERROR"), info, log: log("LOG"), warn, trace: log("LOG"), dir: log("LOG"), table: log("LOG"),
		group: log("LOG"), groupEnd: () => {}, groupCollapsed: log("LOG"),
		assert: (ok, ...args) => ok || log("ERROR")("Assertion failed", ...args),
		count: (label = "default") => {
			counts.set(label, (counts.get(label) ?? 0) + 1);
			raw("INFO", label + ": " + counts.get(label));
		},
		countReset: (label = "default") => counts.delete(label),
		time: (label = "default") => timers.set(label, Date.now()),
		timeEnd: (label = "default") => {
			raw("INFO", label + ": " + (Date.now() - (timers.get(label) ?? Date.now())) + "ms");
			timers.delete(label);
		},
		timeLog: (label = "default") => raw("INFO", label + ": " + (Date.now() - (timers.get(label) ?? Date.now())) + "ms"),
	});

	// Chance and time. In queries and mutations chance comes from a seed and time
	// stands still, so that running one again gives the same result.
	let seed = 0, standing = null;
	const RealDate = Date;
	const now = () => standing ?? hostClock();
	class FunctionDate extends RealDate {
		constructor(...args) {
			super(...(args.length === 0 ? [now()] : args));
		}
		static now() {
			return now();
		}
	}
	const callable = new Proxy(FunctionDate, { apply: () => new FunctionDate().toString() });
	Object.defineProperty(RealDate.prototype, "constructor", { value: callable, writable: true, configurable: true, enumerable: false });
	define("Date", callable);
	Math.random = () => {
		// mulberry32
		seed = (seed + 0x6d2b79f5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
	define("performance", { now: () => now() - (standing ?? 0), timeOrigin: 0 });

	const standard = part("standard", () => ({ RealDate, callable, safely, parse, hostRandom, hostURL, hostCodec, hostDigest }));
	lazy(["atob", "btoa", "TextEncoder", "TextDecoder", "crypto", "URLSearchParams", "URL", "structuredClone"], standard);
	define("self", globalThis);
	define("queueMicrotask", (f) => Promise.resolve().then(f));

	// Timers and fetch are for actions.
	let action = false;
	const onlyActions = (name, hint) => {
		if (!action) throw new Error("Can't use " + name + " in queries and mutations. " + hint);
	};
	let nextTimer = 1;
	const running = new Map();
	const setTimer = (name, repeat) => (f, ms = 0, ...args) => {
		onlyActions(name + "()", "Please consider using an action. See https://docs.convex.dev/functions/actions for more details.");
		const id = nextTimer++;
		const once = () => later(hostAsync("timer", stringify({ ms: Math.max(0, Number(ms) || 0) }))).then(() => {
			if (!running.has(id)) return;
			if (!repeat) running.delete(id);
			f(...args);
			if (repeat && running.has(id)) once();
		});
		running.set(id, once());
		return id;
	};
	const clearTimer = (id) => void running.delete(id);
	define("setTimeout", setTimer("setTimeout", false));
	define("setInterval", setTimer("setInterval", true));
	define("clearTimeout", clearTimer);
	define("clearInterval", clearTimer);

	const web = part("web", () => ({ ...standard(), later, hostAsync, onlyActions, parse, stringify }));
	lazy(["Headers", "Blob", "Request", "Response", "AbortSignal", "AbortController", "fetch"], web);

	// What the host calls.
	const host = (name, f) => Object.defineProperty(globalThis, name, { value: f, writable: false, configurable: true, enumerable: false });
	let outcome = "";
	const describe = (error) => {
		const out = { message: "Uncaught " + (error instanceof Error ? String(error.name) + ": " + String(error.message) : typeof error === "string" ? error : safely(error)), stack: "" };
		try {
			if (error instanceof Error && typeof error.stack === "string") out.stack = error.stack;
			if (typeof error === "object" && error !== null && error[Symbol.for("ConvexError")] && error.data !== undefined) {
				out.data = typeof error.data === "string" ? error.data : stringify(error.data);
			}
		} catch {
			out.stack = "";
		}
		return "e" + stringify(out);
	};
	const settle = (promise) => promise.then((value) => (outcome = "v" + value), (error) => {
		try {
			outcome = describe(error);
		} catch {
			outcome = "e" + stringify({ message: "Uncaught an error that cannot be shown", stack: "" });
		}
	});
	host("__outcome", () => outcome);
	host("__settle", (id, text) => {
		const w = waiting.get(id);
		waiting.delete(id);
		if (text[0] === "v") w?.resolve(text.slice(1));
		else w?.reject(failure(text.slice(1)));
	});
	host("__env", (text) => void Object.assign(env, parse(text)));
	host("__begin", (text) => {
		const call = parse(text);
		seed = call.seed | 0;
		standing = call.kind === "Action" || call.kind === "HttpAction" ? null : call.now;
		action = standing === null;
		outcome = "";
		const find = () => {
			const module = globalThis.__modules[call.module];
			const fn = module?.[call.export];
			if (fn === undefined) throw new Error("There is no export " + call.export + " in " + call.module);
			return fn;
		};
		const invoke = async () => {
			switch (call.kind) {
				case "Query": return find().invokeQuery(call.args);
				case "Mutation": return find().invokeMutation(call.args);
				case "Action": return find().invokeAction(call.requestId, call.args);
				case "HttpAction": return find().runRequest(call.args, call.route);
			}
			throw new Error("Unknown kind " + call.kind);
		};
		settle(invoke());
	});
	host("__analyze", () => {
		const kinds = [["isQuery", "Query"], ["isMutation", "Mutation"], ["isAction", "Action"]];
		const out = {};
		for (const [path, module] of Object.entries(globalThis.__modules)) {
			const functions = [];
			let routes = null, crons = null;
			for (const [name, value] of Object.entries(module)) {
				if (value === null || typeof value !== "object" && typeof value !== "function") continue;
				if (path === "http.js" && name === "default" && value.isRouter === true) {
					routes = value.getRoutes().map(([path, method]) => ({ path, method }));
					continue;
				}
				if (path === "crons.js" && name === "default" && value.isCrons === true) {
					crons = value.export();
					continue;
				}
				const of = kinds.filter(([mark]) => Object.hasOwn(value, mark) || value[mark] === true);
				if (value.isHttp) continue;
				if (of.length !== 1 || value.isPublic && value.isInternal) continue;
				functions.push({
					name, udfType: of[0][1], visibility: value.isPublic ? "public" : value.isInternal ? "internal" : null,
					args: typeof value.exportArgs === "function" ? value.exportArgs() : null,
					returns: typeof value.exportReturns === "function" ? value.exportReturns() : null,
				});
			}
			out[path] = { functions, routes, crons };
		}
		outcome = "v" + stringify(out);
	});
	host("__default", (path) => {
		settle((async () => {
			const value = globalThis.__modules[path]?.default;
			if (value === undefined || value === null) return "null";
			return value.export();
		})());
	});
})();
