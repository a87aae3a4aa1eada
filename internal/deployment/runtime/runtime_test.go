package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

// registered is what convex/server makes of a handler, in short.
const registered = `
export const register = (kind, visibility) => (handler, args = '{"type":"any"}') => {
	const f = (ctx, a) => handler(ctx, a);
	f["is" + kind] = true;
	f["is" + visibility] = true;
	f.exportArgs = () => args;
	f.exportReturns = () => "null";
	const ask = async (op, a) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(a)));
	const ctx = { ask, now: (op, a) => JSON.parse(Convex.syscall(op, JSON.stringify(a))) };
	const run = async (text) => {
		try {
			const result = await f(ctx, JSON.parse(text)[0]);
			return JSON.stringify(result === undefined ? null : result);
		} catch (error) {
			if (error && error[Symbol.for("ConvexError")]) error.data = JSON.stringify(error.data);
			throw error;
		}
	};
	f["invoke" + kind] = kind === "Action" ? (id, text) => run(text) : run;
	return f;
};
export class ConvexError extends Error {
	constructor(data) { super(typeof data === "string" ? data : JSON.stringify(data)); this.data = data; this.name = "ConvexError"; this[Symbol.for("ConvexError")] = true; }
}
`

// host answers "echo" with its arguments.
type host struct {
	mu   sync.Mutex
	seen []string
}

func (h *host) note(op string, args []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, op+" "+string(args))
}

func (h *host) Syscall(op string, args []byte) ([]byte, error) {
	h.note(op, args)
	if op == "echo" {
		return args, nil
	}
	return nil, fault.New(fault.Invalid, "Unknown operation %s", op)
}

var errBroken = errors.New("broken disk")

func (h *host) AsyncSyscall(ctx context.Context, op string, args []byte) ([]byte, error) {
	h.note(op, args)
	switch op {
	case "echo":
		return args, nil
	case "data":
		return nil, &HostError{Message: "inner", Data: []byte(`{"code":7}`)}
	case "broken":
		return nil, errBroken
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, fault.New(fault.Invalid, "Unknown async operation %s", op)
}

func compile(t testing.TB, source string, env map[string]string) *Program {
	t.Helper()
	p, err := Compile(t.Context(), []Module{
		{Path: "f.js", Source: "import { register, ConvexError } from \"./_deps/lib.js\";\nconst query = register(\"Query\", \"Public\"), mutation = register(\"Mutation\", \"Public\"), action = register(\"Action\", \"Public\"), hidden = register(\"Query\", \"Internal\");\n" + source, Environment: "isolate"},
		{Path: "_deps/lib.js", Source: registered, Environment: "isolate"},
	}, env)
	if err != nil {
		t.Fatalf("Compile = %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

func call(kind Kind, name, args string) Call {
	return Call{Module: "f.js", Export: name, Kind: kind, Args: []byte("[" + args + "]"), Host: &host{}, Now: time.UnixMilli(1700000000000), RequestID: "abc"}
}

func run(t testing.TB, p *Program, c Call) (string, error) {
	t.Helper()
	out, err := p.Run(t.Context(), c)
	return string(out), err
}

func TestFunctionsRunAndTalkToTheirHost(t *testing.T) {
	p := compile(t, `
export const plain = query(async (ctx, a) => ({ got: a, env: process.env.NAME, none: process.env.NONE ?? null }));
export const sync = query((ctx, a) => ctx.now("echo", a));
export const twice = mutation(async (ctx, a) => [await ctx.ask("echo", a), await ctx.ask("echo", 2)]);
export const parallel = action(async (ctx) => Promise.all([ctx.ask("echo", 1), ctx.ask("echo", 2), ctx.ask("echo", 3)]));
export const nothing = query(() => undefined);
`, map[string]string{"NAME": "ada"})
	for _, c := range []struct {
		kind             Kind
		name, args, want string
	}{
		{Query, "plain", `{"a":1}`, `{"got":{"a":1},"env":"ada","none":null}`},
		{Query, "sync", `{"a":1}`, `{"a":1}`},
		{Mutation, "twice", `{"a":1}`, `[{"a":1},2]`},
		{Action, "parallel", `{}`, `[1,2,3]`},
		{Query, "nothing", `{}`, `null`},
	} {
		if got, err := run(t, p, call(c.kind, c.name, c.args)); got != c.want || err != nil {
			t.Errorf("%s = %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestEachRunIsAFreshContext(t *testing.T) {
	p := compile(t, `
let n = 0;
export const count = query(() => { globalThis.mark = (globalThis.mark ?? 0) + 1; return [++n, globalThis.mark]; });
`, nil)
	for range 4 {
		if got, err := run(t, p, call(Query, "count", "{}")); got != "[1,1]" || err != nil {
			t.Errorf("count = %s, %v, want [1,1] every time", got, err)
		}
	}
}

func TestChanceAndTimeStandStillInQueriesOnly(t *testing.T) {
	p := compile(t, `
export const q = query(() => { const a = Date.now(); return [a, new Date().getTime() === a, Math.random() < 1, typeof Date()]; });
export const a = action(async () => [Date.now() > 1700000000001, await new Promise((r) => setTimeout(() => r("later"), 5))]);
export const t = query(() => setTimeout(() => {}, 1));
`, nil)
	if got, err := run(t, p, call(Query, "q", "{}")); got != `[1700000000000,true,true,"string"]` || err != nil {
		t.Errorf("q = %s, %v", got, err)
	}
	if got, err := run(t, p, call(Action, "a", "{}")); got != `[true,"later"]` || err != nil {
		t.Errorf("a = %s, %v", got, err)
	}
	if _, err := run(t, p, call(Query, "t", "{}")); err == nil || !strings.Contains(err.Error(), "Can't use setTimeout() in queries and mutations") {
		t.Errorf("t = %v, want a refusal", err)
	}
}

func TestWhatAFunctionThrowsIsShownWithItsPlace(t *testing.T) {
	p := compile(t, `
export const boom = query(async () => {
	throw new Error("kaboom");
});
export const told = query(() => { throw new ConvexError({ code: 5 }); });
export const text = query(() => { throw "just text"; });
export const inner = mutation((ctx) => ctx.ask("data", {}));
export const caught = mutation(async (ctx) => { try { await ctx.ask("data", {}); } catch (e) { return [e.message, e.data]; } });
export const unknown = mutation((ctx) => ctx.ask("nothing", {}));
export const never = query(() => new Promise(() => {}));
export const broken = mutation(async (ctx) => { try { await ctx.ask("broken", {}); } catch (e) { return "caught"; } });
`, nil)
	for name, want := range map[string]FunctionError{
		"boom":    {Message: "Uncaught Error: kaboom"},
		"told":    {Message: `Uncaught ConvexError: {"code":5}`, Data: []byte(`{"code":5}`)},
		"text":    {Message: "Uncaught just text"},
		"inner":   {Message: "Uncaught Error: inner"},
		"unknown": {Message: "Uncaught Error: Unknown async operation nothing"},
		"never":   {Message: "Returned promise will never resolve"},
	} {
		kind := Query
		if name == "inner" || name == "unknown" {
			kind = Mutation
		}
		_, err := run(t, p, call(kind, name, "{}"))
		got, ok := errors.AsType[*FunctionError](err)
		if !ok || got.Message != want.Message || string(got.Data) != string(want.Data) {
			t.Errorf("%s = %+v (%v), want %+v", name, got, err, want)
			continue
		}
		if name == "boom" && !strings.Contains(got.Stack, "f.js:5:") {
			t.Errorf("the stack of boom = %q, want line 5 of f.js", got.Stack)
		}
	}
	if got, err := run(t, p, call(Mutation, "caught", "{}")); got != `["inner",{"code":7}]` || err != nil {
		t.Errorf("caught = %s, %v", got, err)
	}
	if _, err := run(t, p, call(Mutation, "broken", "{}")); !errors.Is(err, errBroken) {
		t.Errorf("an error of the host = %v, want %v: functions do not get to handle it", err, errBroken)
	}
}

func TestLimitsStopAFunctionAndNobodyElse(t *testing.T) {
	p := compile(t, `
export const loop = query(() => { for (;;) {} });
export const promises = query(async () => { for (;;) await null; });
export const memory = query(() => { const a = []; for (;;) a.push(new Array(10000).fill(1)); });
export const strings = query(() => { let s = "x"; for (;;) s += s; });
export const deep = query(() => { const f = (n) => f(n + 1) + 1; return f(0); });
export const stubborn = query(() => { for (;;) { try { for (;;) {} } catch {} } });
export const wait = action((ctx) => ctx.ask("wait", {}));
export const fine = query(() => "fine");
`, nil)
	quick := Limits{Time: 100 * time.Millisecond, Memory: 32 << 20}
	var wg sync.WaitGroup
	for name, want := range map[string]string{
		"loop": "Function execution timed out (maximum duration: 100ms)", "promises": "timed out", "stubborn": "timed out",
		"memory": "JavaScript execution ran out of memory (maximum memory usage: 64 MB)", "strings": "", "deep": "Maximum call stack", "wait": "Function execution timed out (maximum duration: 100ms)",
	} {
		wg.Go(func() {
			c := call(Query, name, "{}")
			c.Limits = quick
			if name == "memory" || name == "strings" || name == "deep" {
				c.Limits.Time = 20 * time.Second
			}
			if name == "wait" {
				c.Kind = Action
			}
			_, err := run(t, p, c)
			if f, ok := errors.AsType[*FunctionError](err); !ok || !strings.Contains(f.Message, want) {
				t.Errorf("%s = %v, want %q", name, err, want)
			}
		})
	}
	wg.Wait()
	if got, err := run(t, p, call(Query, "fine", "{}")); got != `"fine"` || err != nil {
		t.Errorf("fine = %s, %v", got, err)
	}
}

func TestConsoleWritesOneTextPerArgument(t *testing.T) {
	data, err := os.ReadFile("testdata/console.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Formatted map[string]string `json:"formatted"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"string": `"server identity"`, "string with quote": `"it's"`, "newline string": `"a\nb"`, "number": "1.5", "negative zero": "-0", "bigint": "5n", "null": "null",
		"undefined": "undefined", "bool": "true", "object": `{email:"a@b.c",nested:{x:1}}`, "empty object": "{}", "array of numbers": "[1,2,3]", "array of objects": "[{a:1},{b:2}]", "empty array": "[]",
		"dotted key": `{"properties.role":"admin","a-b":1}`, "arraybuffer": "new ArrayBuffer(3)", "error": `new Error("kaboom")`, "map": `new Map([["a",1]])`, "set": "new Set([1])",
		"function": "function foo(){}", "class instance": "new (class Foo{a=1})()", "symbol": `Symbol("x")`, "NaN": "NaN"}
	for name, want := range file.Formatted {
		source, ok := values[name]
		if !ok {
			continue // dates end with the name of a zone, which this engine has not
		}
		p := compile(t, "export const f = query(() => { console.log("+source+"); console.error(1, 2); });", nil)
		c := call(Query, "f", "{}")
		var lines []LogLine
		c.Log = func(l LogLine) { lines = append(lines, l) }
		if _, err := run(t, p, c); err != nil {
			t.Fatal(err)
		}
		if len(lines) != 2 || lines[0].Messages[0] != want || lines[0].Level != "LOG" {
			t.Errorf("%s: console.log(%s) wrote %v, want %q", name, source, lines, want)
		}
		if d := cmp.Diff([]string{"1", "2"}, lines[1].Messages); d != "" || lines[1].Level != "ERROR" {
			t.Errorf("console.error wrote %v", lines[1])
		}
	}
}

func TestLogsAreBounded(t *testing.T) {
	p := compile(t, `export const f = query(() => { console.log("x".repeat(100000)); for (let i = 0; i < 1000; i++) console.log(i); });`, nil)
	c := call(Query, "f", "{}")
	var lines []LogLine
	c.Log = func(l LogLine) { lines = append(lines, l) }
	if _, err := run(t, p, c); err != nil {
		t.Fatal(err)
	}
	if len(lines) != maxLogLines || !lines[0].Truncated || len(lines[0].Messages[0]) > maxLogLine || !strings.Contains(lines[maxLogLines-1].Messages[0], "overflow") {
		t.Errorf("%d lines, first of %d bytes, last %q", len(lines), len(lines[0].Messages[0]), lines[len(lines)-1].Messages)
	}
}

func TestAnalyzeFindsFunctions(t *testing.T) {
	p := compile(t, `
export const a = query(() => 1, '{"type":"object","value":{}}');
export const b = hidden(() => 1);
export const c = action(() => 1);
export const constant = 5;
export function helper() {}
export default mutation(() => 1);
`, nil)
	got, err := p.Analyze(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	public, internal := "public", "internal"
	anything := json.RawMessage(`{"type":"any"}`)
	want := map[string]ModuleExports{"f.js": {Functions: []Function{
		{Name: "a", Kind: Query, Visibility: &public, Args: json.RawMessage(`{"type":"object","value":{}}`)},
		{Name: "b", Kind: Query, Visibility: &internal, Args: anything},
		{Name: "c", Kind: Action, Visibility: &public, Args: anything},
		{Name: "default", Kind: Mutation, Visibility: &public, Args: anything},
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Analyze differs (-want +got):\n%s", d)
	}
}

func TestModulesThatCannotBeUsedAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		modules []Module
		want    string
	}{
		"syntax":         {[]Module{{Path: "a.js", Source: "export const = 5"}}, "a.js:1"},
		"missing import": {[]Module{{Path: "a.js", Source: `import "./_deps/none.js"`}}, "not pushed"},
		"node":           {[]Module{{Path: "a.js", Source: "", Environment: "node"}}, "Node.js"},
	} {
		_, err := Compile(t.Context(), c.modules, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Compile = %v, want %q", name, err, c.want)
		}
	}
	p, err := Compile(t.Context(), []Module{{Path: "a.js", Source: `throw new Error("at load")`}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Analyze(t.Context()); err == nil || !strings.Contains(err.Error(), "at load") {
		t.Errorf("Analyze of a module that throws = %v", err)
	}
}

func TestASchemaIsExported(t *testing.T) {
	got, err := Export(t.Context(), Module{Path: "schema.js", Source: `export default { export: () => JSON.stringify({ tables: [], schemaValidation: true }) };`}, nil, nil)
	if err != nil || string(got) != `{"tables":[],"schemaValidation":true}` {
		t.Errorf("Export = %s, %v", got, err)
	}
	if _, err := Export(t.Context(), Module{Path: "schema.js", Source: `export default { export: () => { throw new Error("bad table") } };`}, nil, nil); err == nil || !strings.Contains(err.Error(), "bad table") {
		t.Errorf("Export of a schema that throws = %v", err)
	}
}

func TestInterfacesThatAreMadeOnFirstUse(t *testing.T) {
	p := compile(t, `
export const same = query(() => [URL === URL, URL === globalThis.URL, "fetch" in globalThis, typeof Headers, Object.keys(globalThis).includes("Blob")]);
export const replaced = query(() => { globalThis.atob = 7; globalThis.Blob = class { x = 1 }; return [atob, btoa("a"), new Blob().x, new Request("https://x.example/").url]; });
export const described = query(() => { const d = (URL, Object.getOwnPropertyDescriptor(globalThis, "URL")); return [d.value === URL, d.writable, d.enumerable, d.configurable]; });
`, nil)
	for name, want := range map[string]string{
		"same": `[true,true,true,"function",false]`, "replaced": `[7,"YQ==",1,"https://x.example/"]`, "described": `[true,true,false,true]`,
	} {
		if got, err := run(t, p, call(Query, name, "{}")); got != want || err != nil {
			t.Errorf("%s = %s, %v, want %s", name, got, err, want)
		}
	}
}

func TestTheWebInterfaces(t *testing.T) {
	p := compile(t, `
const check = (name, got, want) => { if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(name + ": " + JSON.stringify(got) + ", want " + JSON.stringify(want)); };
export const all = action(async () => {
	const u = new URL("../b?x=1&y=a%20b#h", "https://user:pw@example.com:8443/a/c/d");
	check("url", [u.href, u.host, u.pathname, u.origin, u.searchParams.get("y")], ["https://user:pw@example.com:8443/a/b?x=1&y=a%20b#h", "example.com:8443", "/a/b", "https://example.com:8443", "a b"]);
	u.searchParams.set("x", "ä&"); u.pathname = "p"; u.port = "";
	check("url set", u.href, "https://user:pw@example.com/p?x=%C3%A4%26&y=a+b#h");
	check("bad url", [URL.canParse("nope"), URL.canParse("https://x")], [false, true]);
	check("text", [...new TextEncoder().encode("é€")], [195, 169, 226, 130, 172]);
	check("decode", new TextDecoder().decode(new Uint8Array([195, 169])), "é");
	check("base64", [btoa("\xff\x00a"), atob("/wBh").charCodeAt(0)], ["/wBh", 255]);
	check("uuid", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()), true);
	check("random", crypto.getRandomValues(new Uint8Array(8)).length, 8);
	check("digest", [...new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("abc")))].slice(0, 3), [186, 120, 22]);
	check("clone", structuredClone({ a: [1, new Map([["k", 2]]).size], d: new Date(5).getTime() }), { a: [1, 1], d: 5 });
	const h = new Headers([["B", "1"], ["a", "2"], ["b", "3"]]);
	check("headers", [...h], [["a", "2"], ["b", "1, 3"]]);
	const r = new Request("https://x.example/", { method: "post", body: JSON.stringify({ a: 1 }), headers: { "X-A": "1" } });
	check("request", [r.method, await r.clone().json(), r.headers.get("x-a"), await r.text()], ["POST", { a: 1 }, "1", '{"a":1}']);
	const s = Response.json({ ok: true }, { status: 201 });
	check("response", [s.status, s.ok, s.headers.get("content-type"), await s.json()], [201, true, "application/json", { ok: true }]);
	check("blob", [await new Blob(["a", new Uint8Array([98])], { type: "text/plain" }).text()], ["ab"]);
	const c = new AbortController(); c.abort();
	check("abort", c.signal.aborted, true);
	return "good";
});
`, nil)
	if got, err := run(t, p, call(Action, "all", "{}")); got != `"good"` || err != nil {
		t.Errorf("all = %s, %v", got, err)
	}
}

func FuzzRun(f *testing.F) {
	for _, seed := range []string{"return 1", "throw null", "await null; return [1n.toString()]", "return new Proxy({}, { get() { throw 5 } })", "globalThis.Promise = null; return 5", "Object.prototype.then = 5", "throw { get message() { throw 1 } }"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p, err := Compile(t.Context(), []Module{{Path: "f.js", Source: "export const f = { isQuery: true, isPublic: true, invokeQuery: async () => JSON.stringify((await (async () => {" + body + "\n})()) ?? null) };"}}, nil)
		if err != nil {
			return
		}
		defer p.Close()
		c := call(Query, "f", "{}")
		c.Limits = Limits{Time: 50 * time.Millisecond, Memory: 16 << 20}
		_, _ = p.Run(t.Context(), c)
	})
}
