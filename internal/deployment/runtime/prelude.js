// What functions find around them. It runs once in every context, before the
// pushed modules; the host functions __* are taken and hidden from them.
(() => {
	"use strict";
	const take = (name) => {
		const f = globalThis[name];
		delete globalThis[name];
		return f;
	};
	const hostSync = take("__sync"), hostAsync = take("__async"), hostLog = take("__log"), hostClock = take("__clock");
	const hostRandom = take("__random"), hostURL = take("__url"), hostCodec = take("__codec"), hostDigest = take("__digest");
	const { parse, stringify } = JSON;
	const define = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

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

	const jsCalls = new Map();
	define("Convex", {
		syscall: (op, args) => answer(hostSync(op, args)),
		asyncSyscall: (op, args) => later(hostAsync(op, args)),
		jsSyscall: (op, args) => {
			const call = jsCalls.get(op);
			if (call === undefined) throw new Error("Unknown operation " + op);
			return call(args);
		},
	});

	// process.env: what is not set is undefined in functions.
	const env = Object.create(null);
	define("process", { env });

	// Console: one text per argument.
	const plainKey = /^[A-Za-z_$][A-Za-z0-9_$]*$/;
	const quoted = (s) => "'" + s.replace(/\\/g, "\\\\").replace(/'/g, "\\'").replace(/\n/g, "\\n").replace(/\r/g, "\\r").replace(/\t/g, "\\t") + "'";
	const inspect = (value, seen = [], depth = 0) => {
		switch (typeof value) {
			case "string": return quoted(value);
			case "number": return Object.is(value, -0) ? "-0" : String(value);
			case "bigint": return String(value) + "n";
			case "symbol": return value.toString();
			case "function": return value.name === "" ? "[Function (anonymous)]" : "[Function: " + value.name + "]";
			case "object": break;
			default: return String(value);
		}
		if (value === null) return "null";
		if (seen.includes(value)) return "[Circular]";
		if (value instanceof Error) return "[" + (value.stack && depth === 0 && !value.message ? value.name : value.name + (value.message ? ": " + value.message : "")) + "]";
		if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toString();
		if (value instanceof RegExp) return value.toString();
		if (value instanceof Promise) return "Promise {}";
		if (depth > 8) return "[Object]";
		const inner = [...seen, value], pad = "  ".repeat(depth + 1), end = "  ".repeat(depth);
		const show = (v) => inspect(v, inner, depth + 1);
		const block = (prefix, open, items, close) => items.length === 0 ? prefix + open + close : prefix + open + "\n" + items.map((i) => pad + i).join(",\n") + "\n" + end + close;
		if (Array.isArray(value)) {
			const items = value.map(show);
			if (value.every((v) => v === null || typeof v !== "object")) return items.length === 0 ? "[]" : "[ " + items.join(", ") + " ]";
			return block("", "[", items, "]");
		}
		const name = value.constructor?.name;
		if (value instanceof Map) return block("Map (" + value.size + ") ", "{", [...value].map(([k, v]) => show(k) + " => " + show(v)), "}");
		if (value instanceof Set) return block("Set (" + value.size + ") ", "{", [...value].map(show), "}");
		if (value instanceof ArrayBuffer) return "ArrayBuffer [ArrayBuffer] {}";
		if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return name + "(" + value.length + ") [ " + [...value].join(", ") + " ]";
		const entries = Object.keys(value).map((k) => (plainKey.test(k) ? k : quoted(k)) + ": " + show(value[k]));
		return block(name === undefined || name === "Object" ? "" : name + " ", "{", entries, "}");
	};
	const safely = (value) => {
		try {
			return inspect(value);
		} catch {
			return "[cannot be shown]";
		}
	};
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

	const { atob, btoa, bytesOf, textOf, hexBytes, bytesHex } = (() => {
		const bytesHex = (bytes) => {
			let out = "";
			for (const b of bytes) out += (b < 16 ? "0" : "") + b.toString(16);
			return out;
		};
		const hexBytes = (hex) => {
			const out = new Uint8Array(hex.length / 2);
			for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(hex.substr(2 * i, 2), 16);
			return out;
		};
		const codec = (name, text) => {
			const out = hostCodec(name, text);
			if (out[0] === "v") return out.slice(1);
			throw new TypeError(out.slice(1));
		};
		return {
			atob: (text) => codec("atob", String(text)), btoa: (text) => codec("btoa", String(text)),
			bytesOf: (text) => hexBytes(codec("utf8", text)), textOf: (bytes, fatal) => codec(fatal ? "text!" : "text", bytesHex(bytes)),
			hexBytes, bytesHex,
		};
	})();
	define("atob", atob);
	define("btoa", btoa);
	const view = (data) => ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
	define("TextEncoder", class TextEncoder {
		get encoding() { return "utf-8"; }
		encode(text = "") { return bytesOf(String(text)); }
		encodeInto(text, target) {
			const bytes = bytesOf(text).subarray(0, target.length);
			target.set(bytes);
			return { read: text.length, written: bytes.length };
		}
	});
	define("TextDecoder", class TextDecoder {
		#fatal;
		constructor(label = "utf-8", options = {}) {
			if (!/^(utf-?8|unicode-1-1-utf-8)$/i.test(label)) throw new RangeError("The encoding " + label + " is not supported");
			this.#fatal = options.fatal === true;
		}
		get encoding() { return "utf-8"; }
		get fatal() { return this.#fatal; }
		decode(data) { return data === undefined ? "" : textOf(view(data), this.#fatal).replace(/^\ufeff/, ""); }
	});
	const algorithms = { "SHA-1": 1, "SHA-256": 1, "SHA-384": 1, "SHA-512": 1 };
	define("crypto", {
		getRandomValues: (array) => {
			const bytes = view(array);
			bytes.set(hexBytes(hostRandom(bytes.length)));
			return array;
		},
		randomUUID: () => {
			const b = hexBytes(hostRandom(16));
			b[6] = (b[6] & 0x0f) | 0x40;
			b[8] = (b[8] & 0x3f) | 0x80;
			return bytesHex(b).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
		},
		subtle: {
			digest: async (algorithm, data) => {
				const name = (algorithm.name ?? algorithm).toUpperCase();
				if (!algorithms[name]) throw new Error("crypto.subtle.digest: " + name + " is not supported");
				return hexBytes(hostDigest(name, bytesHex(view(data)))).buffer;
			},
		},
	});

	// URLs are read by the host.
	const readURL = (text, base) => {
		const out = hostURL(String(text), base === undefined ? "" : String(base));
		if (out === "") throw new TypeError("Invalid URL: '" + text + "'");
		return parse(out);
	};
	const form = (text) => encodeURIComponent(text).replace(/[!'()~]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase()).replace(/%20/g, "+");
	const unform = (text) => {
		try {
			return decodeURIComponent(text.replace(/\+/g, " "));
		} catch {
			return text;
		}
	};
	class URLSearchParams {
		#list = [];
		#changed;
		constructor(init = "", changed = () => {}) {
			if (typeof init === "string") {
				for (const part of init.replace(/^\?/, "").split("&")) {
					if (part === "") continue;
					const at = part.indexOf("=");
					this.#list.push(at < 0 ? [unform(part), ""] : [unform(part.slice(0, at)), unform(part.slice(at + 1))]);
				}
			} else {
				const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
				for (const [k, v] of pairs) this.#list.push([String(k), String(v)]);
			}
			this.#changed = changed;
		}
		append(k, v) { this.#list.push([String(k), String(v)]); this.#changed(); }
		delete(k, v) { this.#list = this.#list.filter((p) => p[0] !== String(k) || v !== undefined && p[1] !== String(v)); this.#changed(); }
		get(k) { return this.#list.find((p) => p[0] === String(k))?.[1] ?? null; }
		getAll(k) { return this.#list.filter((p) => p[0] === String(k)).map((p) => p[1]); }
		has(k, v) { return this.#list.some((p) => p[0] === String(k) && (v === undefined || p[1] === String(v))); }
		set(k, v) {
			const at = this.#list.findIndex((p) => p[0] === String(k));
			if (at < 0) return this.append(k, v);
			this.#list = this.#list.filter((p, i) => i === at || p[0] !== String(k));
			this.#list[at] = [String(k), String(v)];
			this.#changed();
		}
		sort() { this.#list.sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0); this.#changed(); }
		forEach(f, self) { for (const [k, v] of this.#list) f.call(self, v, k, this); }
		*entries() { yield* this.#list.map((p) => [...p]); }
		*keys() { yield* this.#list.map((p) => p[0]); }
		*values() { yield* this.#list.map((p) => p[1]); }
		[Symbol.iterator]() { return this.entries(); }
		get size() { return this.#list.length; }
		toString() { return this.#list.map(([k, v]) => form(k) + "=" + form(v)).join("&"); }
	}
	define("URLSearchParams", URLSearchParams);
	const URLClass = class URL {
		#parts;
		#params;
		constructor(text, base) { this.#parts = readURL(text, base); }
		static canParse(text, base) { return hostURL(String(text), base === undefined ? "" : String(base)) !== ""; }
		static parse(text, base) { return URLClass.canParse(text, base) ? new URLClass(text, base) : null; }
		get searchParams() {
			this.#params ??= new URLSearchParams(this.#parts.search, () => {
				const text = this.#params.toString();
				this.#change("search", text === "" ? "" : "?" + text);
			});
			return this.#params;
		}
		#change(name, value) {
			const p = { ...this.#parts, [name]: value };
			const host = name === "host" ? p.host : p.hostname + (p.port === "" ? "" : ":" + p.port);
			const user = p.username === "" ? "" : p.username + (p.password === "" ? "" : ":" + p.password) + "@";
			this.#parts = readURL(p.protocol + (p.host === "" && p.hostname === "" ? "" : "//" + user + host) + p.pathname + p.search + p.hash);
		}
		get href() { return this.#parts.href; }
		set href(v) { this.#parts = readURL(v); this.#params = undefined; }
		get origin() { return this.#parts.origin; }
		toString() { return this.href; }
		toJSON() { return this.href; }
	};
	for (const name of ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
		// Private fields are only reachable inside the class: the accessors go through href.
		Object.defineProperty(URLClass.prototype, name, {
			get() { return readURL(this.href)[name]; },
			set(v) {
				let text = String(v);
				if (name === "search" && text !== "" && text[0] !== "?") text = "?" + text;
				if (name === "hash" && text !== "" && text[0] !== "#") text = "#" + text;
				if (name === "protocol" && !text.endsWith(":")) text += ":";
				if (name === "pathname" && text[0] !== "/") text = "/" + text;
				const p = { ...readURL(this.href), [name]: text };
				const host = name === "host" ? p.host : p.hostname + (p.port === "" ? "" : ":" + p.port);
				const user = p.username === "" ? "" : p.username + (p.password === "" ? "" : ":" + p.password) + "@";
				this.href = p.protocol + (host === "" ? "" : "//" + user + host) + p.pathname + p.search + p.hash;
			},
			configurable: true, enumerable: true,
		});
	}
	define("URL", URLClass);

	define("structuredClone", (value) => {
		const seen = new Map();
		const clone = (v) => {
			if (typeof v === "function" || typeof v === "symbol") throw new TypeError("structuredClone: " + safely(v) + " cannot be cloned");
			if (typeof v !== "object" || v === null) return v;
			if (seen.has(v)) return seen.get(v);
			if (v instanceof RealDate) return new callable(v.getTime());
			if (v instanceof RegExp) return new RegExp(v.source, v.flags);
			if (v instanceof ArrayBuffer) return v.slice(0);
			if (ArrayBuffer.isView(v)) return new v.constructor(v.buffer.slice(v.byteOffset, v.byteOffset + v.byteLength));
			const keep = (copy) => {
				seen.set(v, copy);
				return copy;
			};
			if (Array.isArray(v)) {
				const copy = keep([]);
				for (const e of v) copy.push(clone(e));
				return copy;
			}
			if (v instanceof Map) {
				const copy = keep(new Map());
				for (const [k, e] of v) copy.set(clone(k), clone(e));
				return copy;
			}
			if (v instanceof Set) {
				const copy = keep(new Set());
				for (const e of v) copy.add(clone(e));
				return copy;
			}
			if (v instanceof Error) return keep(new v.constructor(v.message));
			const copy = keep({});
			for (const k of Object.keys(v)) copy[k] = clone(v[k]);
			return copy;
		};
		return clone(value);
	});
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

	const web = { define, later, hostAsync, onlyActions, view, bytesOf, textOf, hexBytes, bytesHex, parse, stringify, jsCalls };
	globalThis.__web = web;

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
