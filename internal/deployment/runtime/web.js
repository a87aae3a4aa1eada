// The web interfaces of actions: Headers, Blob, Request, Response, fetch.
((kit) => {
	"use strict";
	const { later, hostAsync, onlyActions, view, bytesOf, textOf, hexBytes, bytesHex, parse, stringify } = kit;
	const globals = Object.create(null), calls = new Map();
	const define = (name, value) => (globals[name] = value);

	class Headers {
		#map = new Map();
		constructor(init) {
			if (init === undefined || init === null) return;
			const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
			for (const [k, v] of pairs) this.append(k, v);
		}
		#name(k) {
			const name = String(k).toLowerCase();
			if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) throw new TypeError("Invalid header name: '" + k + "'");
			return name;
		}
		append(k, v) {
			const name = this.#name(k), value = String(v).trim();
			const list = this.#map.get(name) ?? [];
			this.#map.set(name, [...list, value]);
		}
		set(k, v) { this.#map.set(this.#name(k), [String(v).trim()]); }
		get(k) { return this.#map.get(this.#name(k))?.join(", ") ?? null; }
		getSetCookie() { return [...(this.#map.get("set-cookie") ?? [])]; }
		has(k) { return this.#map.has(this.#name(k)); }
		delete(k) { this.#map.delete(this.#name(k)); }
		forEach(f, self) { for (const [k, v] of this) f.call(self, v, k, this); }
		*entries() {
			for (const name of [...this.#map.keys()].sort()) {
				if (name === "set-cookie") for (const v of this.#map.get(name)) yield [name, v];
				else yield [name, this.#map.get(name).join(", ")];
			}
		}
		*keys() { for (const [k] of this.entries()) yield k; }
		*values() { for (const [, v] of this.entries()) yield v; }
		[Symbol.iterator]() { return this.entries(); }
	}
	define("Headers", Headers);

	const join = (parts) => {
		const all = parts.map(bytesFrom);
		const out = new Uint8Array(all.reduce((n, p) => n + p.length, 0));
		let at = 0;
		for (const p of all) {
			out.set(p, at);
			at += p.length;
		}
		return out;
	};
	const secret = new WeakMap(); // bytes of blobs and bodies
	class Blob {
		#type;
		constructor(parts = [], options = {}) {
			secret.set(this, join([...parts]));
			this.#type = String(options.type ?? "").toLowerCase();
		}
		get size() { return secret.get(this).length; }
		get type() { return this.#type; }
		async arrayBuffer() { return secret.get(this).slice().buffer; }
		async bytes() { return secret.get(this).slice(); }
		async text() { return textOf(secret.get(this)); }
		slice(from = 0, to = this.size, type = "") { return new Blob([secret.get(this).slice(from, to)], { type }); }
	}
	define("Blob", Blob);
	const bytesFrom = (part) => {
		if (part instanceof Blob) return secret.get(part);
		if (part instanceof ArrayBuffer || ArrayBuffer.isView(part)) return view(part);
		return bytesOf(String(part));
	};

	const typeOf = (body) => {
		if (typeof body === "string") return "text/plain;charset=UTF-8";
		if (body instanceof globalThis.URLSearchParams) return "application/x-www-form-urlencoded;charset=UTF-8";
		if (body instanceof Blob && body.type !== "") return body.type;
		return null;
	};
	class Body {
		#used = false;
		constructor(body, headers) {
			if (body === null || body === undefined) return;
			secret.set(this, bytesFrom(body).slice());
			const type = typeOf(body);
			if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
		}
		get bodyUsed() { return this.#used; }
		get body() { return secret.get(this) === undefined ? null : { locked: this.#used }; }
		#take() {
			if (this.#used) throw new TypeError("Body has already been consumed.");
			this.#used = secret.has(this);
			return secret.get(this) ?? new Uint8Array();
		}
		async arrayBuffer() { return this.#take().slice().buffer; }
		async bytes() { return this.#take().slice(); }
		async text() { return textOf(this.#take()).replace(/^\ufeff/, ""); }
		async json() { return JSON.parse(await this.text()); }
		async blob() { return new Blob([this.#take()], { type: this.headers.get("content-type") ?? "" }); }
		async formData() { throw new Error("formData() is not supported by Berth."); }
	}
	class Request extends Body {
		constructor(input, init = {}) {
			const from = input instanceof Request ? input : null;
			const headers = new Headers(init.headers ?? from?.headers);
			const method = String(init.method ?? from?.method ?? "GET").toUpperCase();
			const body = init.body ?? (from === null ? null : secret.get(from));
			if (body !== null && body !== undefined && (method === "GET" || method === "HEAD")) throw new TypeError("Request with GET/HEAD method cannot have body.");
			super(body, headers);
			this.url = from === null ? new URL(input).href : from.url;
			this.method = method;
			this.headers = headers;
			this.signal = init.signal ?? from?.signal ?? null;
			this.redirect = init.redirect ?? from?.redirect ?? "follow";
		}
		clone() { return new Request(this); }
	}
	define("Request", Request);
	class Response extends Body {
		constructor(body = null, init = {}) {
			const headers = new Headers(init.headers);
			const status = init.status ?? 200;
			if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError("The status must be 200 to 599.");
			super(body, headers);
			this.status = status;
			this.statusText = String(init.statusText ?? "");
			this.headers = headers;
			this.url = "";
			this.redirected = false;
			this.type = "default";
		}
		get ok() { return this.status >= 200 && this.status < 300; }
		clone() { return new Response(secret.get(this) ?? null, this); }
		static json(value, init = {}) {
			const headers = new Headers(init.headers);
			if (!headers.has("content-type")) headers.set("content-type", "application/json");
			return new Response(JSON.stringify(value), { ...init, headers });
		}
		static redirect(url, status = 302) { return new Response(null, { status, headers: { location: String(url) } }); }
		static error() {
			const r = new Response();
			r.type = "error";
			return r;
		}
	}
	define("Response", Response);

	class AbortSignal {
		aborted = false;
		reason = undefined;
		onabort = null;
		#on = [];
		addEventListener(type, f) { if (type === "abort") this.#on.push(f); }
		removeEventListener(type, f) { this.#on = this.#on.filter((o) => o !== f); }
		throwIfAborted() { if (this.aborted) throw this.reason; }
		static abort(reason) {
			const c = new AbortController();
			c.abort(reason);
			return c.signal;
		}
		static timeout(ms) {
			const c = new AbortController();
			setTimeout(() => c.abort(Object.assign(new Error("The operation timed out."), { name: "TimeoutError" })), ms);
			return c.signal;
		}
		static fire(signal, reason) {
			if (signal.aborted) return;
			signal.aborted = true;
			signal.reason = reason ?? Object.assign(new Error("This operation was aborted"), { name: "AbortError" });
			for (const f of [signal.onabort, ...signal.#on]) f?.({ type: "abort", target: signal });
		}
	}
	const { fire } = AbortSignal;
	delete AbortSignal.fire;
	class AbortController {
		signal = new AbortSignal();
		abort(reason) { fire(this.signal, reason); }
	}
	define("AbortSignal", AbortSignal);
	define("AbortController", AbortController);

	define("fetch", async (input, init) => {
		onlyActions("fetch()", "Please consider using an action. See https://docs.convex.dev/functions/actions for more details.");
		const request = new Request(input, init);
		request.signal?.throwIfAborted();
		const aborted = request.signal === null ? [] : [new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)))];
		const sent = later(hostAsync("fetch", stringify({
			url: request.url, method: request.method, headers: [...request.headers], redirect: request.redirect, body: secret.has(request) ? bytesHex(secret.get(request)) : null,
		})));
		let answer;
		try {
			answer = parse(await Promise.race([sent, ...aborted]));
		} catch (error) {
			if (error === request.signal?.reason) throw error;
			throw new TypeError(error.message);
		}
		const response = new Response([204, 205, 304].includes(answer.status) ? null : hexBytes(answer.body), { status: answer.status, statusText: answer.statusText, headers: answer.headers });
		response.url = answer.url;
		response.redirected = answer.url !== request.url;
		return response;
	});

	// HTTP actions: the host's form of requests and responses.
	calls.set("requestFromConvexJson", ({ convexJson: r }) => new Request(r.url, { method: r.method, headers: r.headers, body: r.body === null ? null : hexBytes(r.body) }));
	calls.set("convexJsonFromResponse", ({ response }) => {
		if (!(response instanceof Response)) throw new Error("HTTP actions must return a Response, got " + typeof response);
		return { status: response.status, headers: [...response.headers], body: secret.has(response) ? bytesHex(secret.get(response)) : null };
	});
	// Files.
	calls.set("storage/storeBlob", async ({ blob, options }) => {
		if (!(blob instanceof Blob)) throw new Error("storage.store takes a Blob");
		return parse(await later(hostAsync("storeBlob", stringify({ type: blob.type, body: bytesHex(secret.get(blob)), sha256: options?.sha256 ?? null })))).storageId;
	});
	calls.set("storage/getBlob", async ({ storageId }) => {
		const file = parse(await later(hostAsync("getBlob", stringify({ storageId }))));
		return file === null ? null : new Blob([hexBytes(file.body)], { type: file.type ?? "" });
	});
	return { globals, calls };
});
