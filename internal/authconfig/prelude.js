(() => {
	"use strict";
	const lookup = globalThis.__lookup, decode = globalThis.__atob, encode = globalThis.__btoa;
	delete globalThis.__lookup;
	delete globalThis.__atob;
	delete globalThis.__btoa;
	const { stringify } = JSON;
	const TextOf = String, Failure = Error, Mirror = Proxy;
	const { defineProperty, create } = Object;

	const refuse = (what) => { throw new Failure(what + " unsupported when evaluating auth config file"); };
	const hide = (name, value) => defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

	// Errors raised by the host arrive as TypeErrors, so the host answers with
	// data and the error is made here.
	const env = new Mirror(create(null), {
		get(_, name) {
			if (typeof name !== "string") return undefined;
			const value = lookup(name);
			if (typeof value === "string") return value;
			throw new Failure("Environment variable " + name + " is used in auth config file but its value was not set");
		},
	});
	hide("process", { env });

	const silent = () => {};
	hide("console", { debug: silent, error: silent, info: silent, log: silent, trace: silent, warn: silent, table: silent, group: silent, groupEnd: silent, time: silent, timeEnd: silent });

	Math.random = () => refuse("Math.random");

	// A date that is given needs no clock; the present does.
	const RealDate = Date;
	const NoClock = new Mirror(RealDate, {
		apply: () => refuse("Date"),
		construct: (target, args, newTarget) => args.length === 0 ? refuse("Date") : Reflect.construct(target, args, newTarget),
	});
	RealDate.now = () => refuse("Date");
	defineProperty(RealDate.prototype, "constructor", { value: NoClock, writable: true, configurable: true, enumerable: false });
	hide("Date", NoClock);

	for (const name of ["crypto", "performance"]) {
		hide(name, new Mirror({}, { get: (_, member) => typeof member === "string" ? refuse(name + "." + member) : undefined }));
	}
	for (const name of ["fetch", "setTimeout", "setInterval", "setImmediate", "queueMicrotask"]) {
		hide(name, () => refuse(name));
	}
	const latin1 = (name, convert) => (text) => {
		const out = convert(TextOf(text));
		if (typeof out === "string") return out;
		throw new Failure(name + ": the text is not of the right form");
	};
	hide("atob", latin1("atob", decode));
	hide("btoa", latin1("btoa", encode));

	// outcome: [status, text]; status is pending, missing, json, unserializable or thrown.
	let outcome = ["pending", ""];
	const explain = (error) => {
		try {
			if (error instanceof Failure) {
				const stack = error.stack;
				return TextOf(error.name) + ": " + TextOf(error.message) + (typeof stack === "string" && stack !== "" ? "\n" + stack.trimEnd() : "");
			}
			return TextOf(error);
		} catch {
			return "an error that cannot be shown";
		}
	};
	hide("__start", () => {
		delete globalThis.__start;
		import("auth.config.js").then((module) => {
			const config = module.default;
			if (config === undefined || config === null) {
				outcome = ["missing", ""];
				return;
			}
			let text;
			try {
				text = stringify(config);
			} catch (error) {
				outcome = ["unserializable", explain(error)];
				return;
			}
			outcome = typeof text === "string" ? ["json", text] : ["unserializable", ""];
		}).catch((error) => { outcome = ["thrown", explain(error)]; });
	});
	defineProperty(globalThis, "__outcome", { value: (part) => outcome[part], writable: false, configurable: false, enumerable: false });
})();
