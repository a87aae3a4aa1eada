// Interfaces that browsers and Convex offer everywhere and few functions touch:
// base64, text, crypto, URLs, structuredClone.
((kit) => {
	"use strict";
	const { RealDate, callable, safely, parse, hostRandom, hostURL, hostCodec, hostDigest } = kit;
	const globals = Object.create(null);
	const define = (name, value) => (globals[name] = value);
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
	return { globals, view, bytesOf, textOf, hexBytes, bytesHex };
});
