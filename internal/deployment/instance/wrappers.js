// query and internalQuery for inline queries: what convex/server makes of a
// handler that only reads.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const textOf = (bytes) => {
	let out = "";
	for (let i = 0; i < bytes.length; i += 3) {
		const n = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
		out += alphabet[(n >> 18) & 63] + alphabet[(n >> 12) & 63] + (i + 1 < bytes.length ? alphabet[(n >> 6) & 63] : "=") + (i + 2 < bytes.length ? alphabet[n & 63] : "=");
	}
	return out;
};
const decode = (v) => {
	if (v === null || typeof v !== "object") return v;
	if (Array.isArray(v)) return v.map(decode);
	if (typeof v.$integer === "string") return new DataView(bytesOf(v.$integer).buffer).getBigInt64(0, true);
	if (typeof v.$float === "string") return new DataView(bytesOf(v.$float).buffer).getFloat64(0, true);
	if (typeof v.$bytes === "string") return bytesOf(v.$bytes).buffer;
	return Object.fromEntries(Object.entries(v).map(([k, e]) => [k, decode(e)]));
};
const eight = (set) => {
	const view = new DataView(new ArrayBuffer(8));
	set(view);
	return textOf(new Uint8Array(view.buffer));
};
const encode = (v) => {
	switch (typeof v) {
		case "bigint": return { $integer: eight((view) => view.setBigInt64(0, v, true)) };
		case "number": return Number.isFinite(v) && !Object.is(v, -0) ? v : { $float: eight((view) => view.setFloat64(0, v, true)) };
		case "boolean": case "string": return v;
		case "object": break;
		default: throw new Error(`${String(v)} is not a supported Convex type`);
	}
	if (v === null) return null;
	if (v instanceof ArrayBuffer) return { $bytes: textOf(new Uint8Array(v)) };
	if (Array.isArray(v)) return v.map(encode);
	const prototype = Object.getPrototypeOf(v);
	if (prototype !== null && prototype !== Object.prototype) throw new Error(`${String(v)} is not a supported Convex type`);
	return Object.fromEntries(Object.entries(v).filter(([, e]) => e !== undefined).map(([k, e]) => [k, encode(e)]));
};
const orUndefined = (v) => (v === undefined ? { $undefined: null } : encode(v));

const fail = (e) => {
	if (e.data === undefined) throw new Error(e.message);
	const error = new Error(typeof e.data === "string" ? e.data : JSON.stringify(e.data));
	error.name = "ConvexError";
	error.data = decode(e.data);
	error[Symbol.for("ConvexError")] = true;
	throw error;
};
const ask = async (op, args) => {
	try {
		return decode(JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args))));
	} catch (e) {
		return fail(e);
	}
};
const askNow = (op, args) => {
	try {
		return decode(JSON.parse(Convex.syscall(op, JSON.stringify(args))));
	} catch (e) {
		return fail(e);
	}
};

class Expression {
	constructor(inner) { this.inner = inner; }
}
const expression = (v) => (v instanceof Expression ? v.inner : { $literal: orUndefined(v) });
const filters = { field: (path) => new Expression({ $field: path }) };
for (const name of ["eq", "neq", "lt", "lte", "gt", "gte", "add", "sub", "mul", "div", "mod"]) {
	filters[name] = (a, b) => new Expression({ ["$" + name]: [expression(a), expression(b)] });
}
filters.neg = (a) => new Expression({ $neg: expression(a) });
filters.not = (a) => new Expression({ $not: expression(a) });
filters.and = (...all) => new Expression({ $and: all.map(expression) });
filters.or = (...all) => new Expression({ $or: all.map(expression) });

class Range {
	list = [];
}
for (const name of ["eq", "gt", "gte", "lt", "lte"]) {
	Range.prototype[name] = function (fieldPath, value) {
		this.list.push({ type: name[0].toUpperCase() + name.slice(1), fieldPath, value: orUndefined(value) });
		return this;
	};
}

class Query {
	constructor(source, operators = []) {
		this.source = source;
		this.operators = operators;
	}
	#with(operator) { return new Query(this.source, [...this.operators, operator]); }
	withIndex(name, range = (q) => q) {
		return new Query({ type: "IndexRange", indexName: `${this.source.tableName}.${name}`, range: range(new Range()).list, order: null }, this.operators);
	}
	fullTableScan() { return this; }
	order(order) { return new Query({ ...this.source, order }, this.operators); }
	filter(predicate) { return this.#with({ filter: expression(predicate(filters)) }); }
	limit(n) { return this.#with({ limit: n }); }
	async *[Symbol.asyncIterator]() {
		const { queryId } = askNow("1.0/queryStream", { query: this, version: "1.48.0" });
		try {
			for (;;) {
				const { value, done } = await ask("1.0/queryStreamNext", { queryId });
				if (done) return;
				yield value;
			}
		} finally {
			askNow("1.0/queryCleanup", { queryId });
		}
	}
	async collect() {
		const all = [];
		for await (const d of this) all.push(d);
		return all;
	}
	take(n) { return this.limit(n).collect(); }
	async first() { return (await this.take(1))[0] ?? null; }
	async unique() {
		const found = await this.take(2);
		if (found.length > 1) throw new Error("unique() query returned more than one result");
		return found[0] ?? null;
	}
	async count() { return ask("1.0/count", { table: this.source.tableName }); }
	async paginate({ cursor, endCursor = null, numItems, maximumRowsRead }) {
		const { page, isDone, continueCursor, splitCursor, pageStatus } = await ask("1.0/queryPage", { query: this, cursor, endCursor, pageSize: numItems, maximumRowsRead, version: "1.48.0" });
		return { page, isDone, continueCursor, splitCursor, pageStatus };
	}
	toJSON() { return { source: this.source, operators: this.operators }; }
}
const reader = () => {
	const get = (...args) => (args.length === 2 ? ask("1.0/get", { id: args[1], table: args[0], isSystem: false }) : ask("1.0/get", { id: args[0], isSystem: false }));
	const query = (tableName) => new Query({ type: "FullTableScan", tableName, order: null });
	const normalizeId = (table, idString) => askNow("1.0/db/normalizeId", { table, idString }).id;
	return { get, query, normalizeId, table: (name) => ({ get: (id) => get(name, id), query: () => query(name) }) };
};

const nameOf = (ref) => {
	if (typeof ref === "string") return { name: ref };
	const name = ref?.[Symbol.for("functionName")];
	if (typeof name === "string") return { name };
	throw new Error("runQuery takes a reference to a function");
};
const wrap = (visibility) => (definition) => {
	const handler = typeof definition === "function" ? definition : definition.handler;
	const registered = () => { throw new Error("An inline query cannot be called"); };
	registered.isQuery = true;
	registered[visibility] = true;
	registered.exportArgs = () => '{"type":"any"}';
	registered.exportReturns = () => "null";
	registered.invokeQuery = async (text) => {
		const ctx = {
			db: { ...reader(), system: reader() },
			auth: { getUserIdentity: () => ask("1.0/getUserIdentity", { requestId: "" }) },
			storage: { getUrl: (storageId) => ask("1.0/storageGetUrl", { storageId }), getMetadata: (storageId) => ask("1.0/storageGetMetadata", { storageId }) },
			runQuery: (ref, args = {}) => ask("1.0/runUdf", { udfType: "query", args: encode(args), ...nameOf(ref) }),
		};
		try {
			const result = await handler(ctx, ...decode(JSON.parse(text)));
			return JSON.stringify(encode(result === undefined ? null : result));
		} catch (e) {
			if (e !== null && typeof e === "object" && e[Symbol.for("ConvexError")] && e.data !== undefined) e.data = JSON.stringify(encode(e.data));
			throw e;
		}
	};
	return registered;
};
export const query = wrap("isPublic");
export const internalQuery = wrap("isInternal");
