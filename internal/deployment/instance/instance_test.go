package instance

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

// server is what convex/server makes of handlers, in short: enough to reach every
// host call that the tests need.
const server = `
const ask = async (op, a) => {
	try { return JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(a))); }
	catch (e) { if (e.data !== undefined) throw new ConvexError(e.data); throw new Error(e.message); }
};
export class ConvexError extends Error {
	constructor(data) { super(JSON.stringify(data)); this.name = "ConvexError"; this.data = data; this[Symbol.for("ConvexError")] = true; }
}
const rows = async (table, index, range) => {
	const source = index ? { type: "IndexRange", indexName: table + "." + index, range } : { type: "FullTableScan", tableName: table };
	const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query: { source, operators: [] } })));
	const all = [];
	for (;;) {
		const { value, done } = await ask("1.0/queryStreamNext", { queryId });
		if (done) return all;
		all.push(value);
	}
};
const register = (kind, visibility) => (handler, args = '{"type":"any"}', returns = "null") => {
	const f = () => { throw new Error("call it through the deployment"); };
	f["is" + kind] = true;
	f["is" + visibility] = true;
	f.exportArgs = () => args;
	f.exportReturns = () => returns;
	const run = async (text) => {
		try { return JSON.stringify((await handler({ ask, rows, who: () => ask("1.0/getUserIdentity", {}) }, JSON.parse(text)[0])) ?? null); }
		catch (e) { if (e && e[Symbol.for("ConvexError")]) e.data = JSON.stringify(e.data); throw e; }
	};
	f["invoke" + kind] = kind === "Action" ? (id, text) => run(text) : run;
	return f;
};
export const query = register("Query", "Public"), mutation = register("Mutation", "Public"), action = register("Action", "Public");
export const hidden = register("Mutation", "Internal");
`

const notes = `import { query, mutation, action, hidden, ConvexError } from "./_deps/server.js";
export const list = query(async (ctx) => (await ctx.rows("notes")).map((n) => n.text));
export const add = mutation(async (ctx, a) => { console.log("added", a.text); return (await ctx.ask("1.0/insert", { table: "notes", value: a }))._id; },
	'{"type":"object","value":{"text":{"fieldType":{"type":"string"},"optional":false}}}', '{"type":"id","tableName":"notes"}');
export const count = mutation(async (ctx) => {
	const [c] = await ctx.rows("counters");
	if (!c) return ctx.ask("1.0/insert", { table: "counters", value: { n: 1 } }).then(() => 1);
	await ctx.ask("1.0/shallowMerge", { id: c._id, value: { n: c.n + 1 } });
	return c.n + 1;
});
export const twice = action(async (ctx) => { await ctx.ask("1.0/actions/mutation", { name: "notes:add", args: { text: "a" } }); return ctx.ask("1.0/actions/query", { name: "notes:list", args: {} }); });
export const whoami = query((ctx) => ctx.who());
export const half = mutation(async (ctx) => {
	await ctx.ask("1.0/insert", { table: "notes", value: { text: "outer" } });
	try { await ctx.ask("1.0/runUdf", { udfType: "mutation", name: "notes:fails", args: {} }); } catch (e) { return e.data; }
});
export const fails = hidden(async (ctx) => { await ctx.ask("1.0/insert", { table: "notes", value: { text: "inner" } }); throw new ConvexError({ why: "told" }); });
export const env = query(() => process.env.NAME ?? null);
export const later = mutation((ctx) => ctx.ask("1.0/schedule", { name: "notes:add", args: { text: "later" }, ts: 0 }));
export const wrong = query(() => 5, '{"type":"any"}', '{"type":"string"}');
`

func testInstance(t testing.TB, kind claim.Kind) *Instance {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "berth.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	team, err := db.CreateTeam(ctx, "Acme", "admin@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := team.OpenDeployment(ctx, "shop", kind, "one", false)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRegistry(Config{DB: db, Fetch: &deployment.Fetcher{}, Log: slog.New(slog.DiscardHandler), URLs: func(store.Deployment) (string, string) { return "http://127.0.0.1:1", "http://127.0.0.1:2" }})
	t.Cleanup(r.Close)
	i, release, err := r.Open(ctx, d.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return i
}

func push(t testing.TB, i *Instance, modules ...runtime.Module) (*StartedPush, error) {
	t.Helper()
	var r PushRequest
	r.AppDefinition.ChangedModules = append(modules, runtime.Module{Path: "_deps/server.js", Source: server, Environment: "isolate"})
	r.AppDefinition.UDFServerVersion = "1.48.0"
	return i.StartPush(t.Context(), r)
}

func pushNotes(t testing.TB, i *Instance) {
	t.Helper()
	s, err := push(t, i, runtime.Module{Path: "notes.js", Source: notes, Environment: "isolate"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.FinishPush(t.Context(), *s, false); err != nil {
		t.Fatal(err)
	}
}

var client = Caller{Name: "HttpApi"}

func result(t testing.TB, out Outcome, err error) string {
	t.Helper()
	if err != nil {
		t.Fatalf("call = %v", err)
	}
	if out.Failure != nil {
		t.Fatalf("call failed: %s", out.Failure.Message)
	}
	return string(out.Value)
}

func TestPushedFunctionsRun(t *testing.T) {
	i := testInstance(t, claim.Dev)
	if out, err := i.Query(t.Context(), client, "notes:list", []byte("[{}]"), nil); err != nil || out.Failure == nil || !strings.Contains(out.Failure.Message, "Could not find public function for 'notes:list'") {
		t.Fatalf("before the first push = %+v, %v", out, err)
	}
	pushNotes(t, i)
	ctx := t.Context()
	out, err := i.Mutation(ctx, client, "notes:add", []byte(`[{"text":"one"}]`))
	if id := result(t, out, err); len(id) < 31 {
		t.Errorf("add = %s, want an id", id)
	}
	if len(out.Logs) != 1 || out.Logs[0].Messages[0] != "'added'" {
		t.Errorf("logs = %v", out.Logs)
	}
	out, err = i.Action(ctx, client, "notes:twice", []byte(`{}`))
	if got := result(t, out, err); got != `["one","a"]` {
		t.Errorf("twice = %s", got)
	}
	out, err = i.Mutation(ctx, client, "notes.js:half", nil)
	if got := result(t, out, err); got != `{"why":"told"}` {
		t.Errorf("half = %s, want the data of the inner error", got)
	}
	out, err = i.Query(ctx, client, "notes:list", nil, nil)
	if got := result(t, out, err); got != `["one","a","outer"]` {
		t.Errorf("list = %s, want what the failed inner mutation wrote to be taken back", got)
	}
	entries, next, _ := i.Logs(0)
	if len(entries) < 5 || next == 0 || entries[0].Identifier != "notes:add" {
		t.Errorf("%d log entries, next %d", len(entries), next)
	}
}

func TestWhatCannotBeCalledIsSaid(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	for _, c := range []struct{ path, args, want string }{
		{"notes:fails", "", "Could not find public function for 'notes:fails'."},
		{"notes:none", "", "Could not find public function"},
		{"notes:add", "", "Trying to execute notes:add as Query, but it is defined as Mutation."},
		{"notes:wrong", "", "ReturnsValidationError: Value does not match validator."},
		{"notes:list", `[1]`, "ArgumentValidationError"},
	} {
		var args []byte
		if c.args != "" {
			args = []byte(c.args)
		}
		out, err := i.Query(t.Context(), client, c.path, args, nil)
		if err != nil || out.Failure == nil || !strings.Contains(out.Failure.Message, c.want) || !strings.HasPrefix(out.Failure.Message, "[Request ID: ") {
			t.Errorf("%s = %+v, %v, want %q", c.path, out.Failure, err, c.want)
		}
	}
	out, err := i.Mutation(t.Context(), client, "notes:add", []byte(`[{"text":5}]`))
	if err != nil || out.Failure == nil || !strings.Contains(out.Failure.Message, "ArgumentValidationError: Value does not match validator.\nPath: .text\nValue: 5.0\nValidator: v.string()") {
		t.Errorf("wrong argument = %+v, %v", out.Failure, err)
	}
	out, err = i.Call(t.Context(), Caller{Admin: true, Name: "HttpApi"}, "notes:fails", nil)
	if err != nil || out.Failure == nil || string(out.Failure.Data) != `{"why":"told"}` {
		t.Errorf("an admin calls an internal function = %+v, %v", out.Failure, err)
	}
}

func TestProductionHidesWhatFunctionsThrew(t *testing.T) {
	i := testInstance(t, claim.Prod)
	pushNotes(t, i)
	out, err := i.Call(t.Context(), Caller{Admin: true}, "notes:fails", nil)
	if err != nil || out.Failure == nil || strings.Contains(out.Failure.Message, "told") || !strings.HasSuffix(out.Failure.Message, "Server Error") || out.Failure.Data == nil {
		t.Errorf("failure = %+v, %v, want a short text with the data of the ConvexError", out.Failure, err)
	}
}

func TestMutationsInParallelAreSerializable(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	const n = 24
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				out, err := i.Mutation(t.Context(), client, "notes:count", nil)
				if err != nil {
					t.Error(err)
				}
				if out.Failure == nil || !strings.Contains(out.Failure.Message, "on every subsequent retry") {
					return
				}
			}
		})
	}
	wg.Wait()
	out, err := i.Mutation(t.Context(), client, "notes:count", nil)
	if got := result(t, out, err); got != "25" {
		t.Errorf("the counter = %s, want %d", got, n+1)
	}
}

func TestVariablesReachFunctionsAndAuthConfig(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	text := func(s string) *string { return &s }
	if err := i.ChangeVariables(t.Context(), []deployment.Change{{Name: "NAME", Value: text("ada")}}); err != nil {
		t.Fatal(err)
	}
	out, err := i.Query(t.Context(), client, "notes:env", nil, nil)
	if got := result(t, out, err); got != `"ada"` {
		t.Errorf("env = %s", got)
	}
	_, err = push(t, i, runtime.Module{Path: "notes.js", Source: notes}, runtime.Module{Path: "auth.config.js", Source: `export default { providers: [{ domain: process.env.ISSUER, applicationID: "x" }] };`})
	if fault.Code(err) != "AuthConfigMissingEnvironmentVariable" {
		t.Errorf("a push that reads an unset variable = %v", err)
	}
	s, err := push(t, i, runtime.Module{Path: "notes.js", Source: notes})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.ChangeVariables(t.Context(), []deployment.Change{{Name: "NAME", Value: nil}}); err != nil {
		t.Fatal(err)
	}
	if _, err := i.FinishPush(t.Context(), *s, false); fault.Code(err) != "RaceDetected" {
		t.Errorf("finish after a variable changed = %v, want RaceDetected", err)
	}
}

func TestPushesThatCannotBeAreRefused(t *testing.T) {
	i := testInstance(t, claim.Dev)
	for name, source := range map[string]string{"at load": `throw new Error("at load")`, "not pushed": `import "./none.js"`, "notes.js:1": "export const ="} {
		if _, err := push(t, i, runtime.Module{Path: "notes.js", Source: source}); err == nil || !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "Hit an error while pushing:\n") {
			t.Errorf("push of %q = %v", source, err)
		}
	}
	if _, err := i.FinishPush(t.Context(), StartedPush{Push: "none"}, false); fault.Code(err) != "RaceDetected" {
		t.Errorf("finish of an unknown push = %v", err)
	}
}

func TestScheduledCallsRunOnce(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	out, err := i.Mutation(t.Context(), client, "notes:later", nil)
	var id string
	if err := json.Unmarshal([]byte(result(t, out, err)), &id); err != nil {
		t.Fatal(err)
	}
	for {
		_, next, _ := i.data.Since(i.data.Timestamp())
		d, err := i.data.Begin().Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if state := jobState(d.Fields()); state == "success" {
			break
		} else if state == "failed" {
			t.Fatal("the scheduled call failed")
		}
		select {
		case <-next:
		case <-t.Context().Done():
			t.Fatal("the scheduled call did not run")
		}
	}
	out, err = i.Query(t.Context(), client, "notes:list", nil, nil)
	if got := result(t, out, err); got != `["later"]` {
		t.Errorf("list = %s, want the note once", got)
	}
}

func TestACallerThatGoesAwayStopsTheCall(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Query(ctx, client, "notes:list", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Query of a caller that is gone = %v", err)
	}
}
