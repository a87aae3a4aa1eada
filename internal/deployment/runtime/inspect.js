// How console shows values: returns the text of one value.
(() => {
	"use strict";
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
	return safely;
});
