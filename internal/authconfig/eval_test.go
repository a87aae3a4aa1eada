package authconfig

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

// workosTemplate is what the bundler makes of the AuthKit template's file.
const workosTemplate = `var e=process.env.WORKOS_CLIENT_ID,t={providers:[{type:"customJwt",issuer:"https://api.workos.com/",algorithm:"RS256",applicationID:e,jwks:` + "`https://api.workos.com/sso/jwks/${e}`" + `},{type:"customJwt",issuer:` + "`https://api.workos.com/user_management/${e}`" + `,algorithm:"RS256",jwks:` + "`https://api.workos.com/sso/jwks/${e}`" + `}]},i=t;export{i as default};`

func TestEvalTemplate(t *testing.T) {
	got, err := Eval(t.Context(), workosTemplate, map[string]string{"WORKOS_CLIENT_ID": "client_1"})
	if err != nil {
		t.Fatalf("Eval = %v, want a result", err)
	}
	const jwks = "https://api.workos.com/sso/jwks/client_1"
	want := []Provider{
		{CustomJWT, "https://api.workos.com/user_management/client_1", nil, jwks, "RS256"},
		{CustomJWT, "https://api.workos.com/", new("client_1"), jwks, "RS256"},
	}
	if diff := cmp.Diff(want, got.Providers); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"WORKOS_CLIENT_ID"}, got.Reads); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
}

func TestEvalVariables(t *testing.T) {
	env := map[string]string{"A": "a", "EMPTY": "", "CONVEX_SITE_URL": "http://127.0.0.1:1"}
	tests := []struct {
		name, source string
		json         string
		missing      string
		reads        []string
	}{
		{"a set variable", `export default {providers:[],v:process.env.A}`, `{"providers":[],"v":"a"}`, "", []string{"A"}},
		{"an empty variable is set", `export default {providers:[],v:process.env.EMPTY}`, `{"providers":[],"v":""}`, "", []string{"EMPTY"}},
		{"a built-in variable", `export default {providers:[],v:process.env.CONVEX_SITE_URL}`, `{"providers":[],"v":"http://127.0.0.1:1"}`, "", []string{"CONVEX_SITE_URL"}},
		{"a default does not help", `export default {providers:[],v:process.env.NO ?? "x"}`, "", "NO", []string{"NO"}},
		{"the second one is named", `process.env.A; process.env.NO; export default {}`, "", "NO", []string{"A", "NO"}},
		{"only try and catch helps", `let v; try { v = process.env.NO } catch { v = process.env.A } export default {providers:[],v}`, `{"providers":[],"v":"a"}`, "", []string{"NO", "A"}},
		{"reads are listed once", `process.env.A; process.env.EMPTY; process.env.A; export default {providers:[]}`, `{"providers":[]}`, "", []string{"A", "EMPTY"}},
		{"members of undefined vanish", `export default {providers:[],v:undefined}`, `{"providers":[]}`, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Eval(t.Context(), tt.source, env)
			if tt.missing == "" && err != nil {
				t.Fatalf("Eval = %v, want a result", err)
			}
			if tt.missing != "" {
				e, ok := errors.AsType[*Error](err)
				text := "Environment variable " + tt.missing + " is used in auth config file but its value was not set"
				if !ok || e.Code != CodeMissingVariable || e.Variable != tt.missing || e.Message != text {
					t.Errorf("Eval = %#v, want %s about %s", err, CodeMissingVariable, tt.missing)
				}
			}
			if string(got.JSON) != tt.json {
				t.Errorf("JSON = %s, want %s", got.JSON, tt.json)
			}
			if diff := cmp.Diff(tt.reads, got.Reads); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvalRefusals(t *testing.T) {
	tests := []struct{ name, source, code, text string }{
		{"no default export", `export const a = 1`, CodeMissingExport, "auth config file is missing default export."},
		{"null", `export default null`, CodeMissingExport, "auth config file is missing default export."},
		{"a function", `export default () => 1`, CodeUnserializable, "auth config file can only contain strings"},
		{"a cycle", `const a = {}; a.a = a; export default a`, CodeUnserializable, "auth config file can only contain strings"},
		{"a BigInt", `export default 1n`, CodeUnserializable, "auth config file can only contain strings"},
		{"a syntax error", `export default {`, CodeInvalid, "Uncaught SyntaxError"},
		{"an error", `throw new Error("boom")`, CodeInvalid, "Uncaught Error: boom"},
		{"a thrown thing that cannot be shown", `throw {toString() { throw 1 }}`, CodeInvalid, "Uncaught an error that cannot be shown"},
		{"randomness", `Math.random()`, CodeInvalid, "Math.random unsupported when evaluating auth config file"},
		{"crypto", `crypto.randomUUID()`, CodeInvalid, "crypto.randomUUID unsupported"},
		{"the clock", `Date.now()`, CodeInvalid, "Date unsupported when evaluating auth config file"},
		{"a date of now", `new Date()`, CodeInvalid, "Date unsupported"},
		{"a date by way of a prototype", `new (new Date(0).constructor)()`, CodeInvalid, "Date unsupported"},
		{"performance", `performance.now()`, CodeInvalid, "performance.now unsupported"},
		{"fetch", `await fetch("http://127.0.0.1")`, CodeInvalid, "fetch unsupported"},
		{"a timer", `setTimeout(() => {}, 1)`, CodeInvalid, "setTimeout unsupported"},
		{"an import", `import a from "./other.js"; export default a`, CodeInvalid, "Can't import ./other.js while evaluating auth config file"},
		{"a dynamic import", `await import("node:fs")`, CodeInvalid, "Can't import node:fs while evaluating auth config file"},
		{"deep recursion", `const f = () => f() + 1; f()`, CodeInvalid, "recurses too deeply"},
		{"deep nesting in the source", "export default " + strings.Repeat("[", 5000), CodeInvalid, "stack overflow"},
		{"one huge array", `new Uint8Array(1e9)`, CodeInvalid, "more than 32 MiB"},
		{"a promise that never settles", `await new Promise(() => {})`, CodeInvalid, "waits for something that never happens"},
		{"a blocking wait", `Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0)`, CodeInvalid, "Uncaught"},
		{"an attack on the outcome", `globalThis.__outcome = () => "json"`, CodeInvalid, "read-only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Eval(t.Context(), tt.source, nil)
			e, ok := errors.AsType[*Error](err)
			if ok && raceDetector && strings.Contains(e.Message, "longer than 1s") {
				return // slowed down, the time limit may come before another one
			}
			if !ok || e.Code != tt.code || !strings.Contains(e.Message, tt.text) {
				t.Errorf("Eval = %#v, want %s with %q", err, tt.code, tt.text)
			}
		})
	}
}

func TestEvalEndsEndlessCode(t *testing.T) {
	endless := map[string]string{
		"a loop that catches":        `for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }`,
		"a regular expression":       `/^(a+)+$/.test("a".repeat(80) + "b")`,
		"a comparison":               `[3, 2, 1].sort(() => { for (;;) {} })`,
		"serialising":                `export default {toJSON() { for (;;) {} }}`,
		"a memory bomb that catches": `const a = []; for (;;) try { for (;;) a.push(new Array(1e5).fill(a)) } catch {}`,
	}
	if raceDetector {
		clear(endless)
	}
	endless["a loop"] = `for (;;) {}`
	for name, source := range endless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := Eval(t.Context(), source, nil)
			if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Message, "longer than 1s") {
				t.Errorf("Eval = %v, want the time limit", err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("Eval took %v, want about a second", took)
			}
		})
	}
}

func TestEvalStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Eval(ctx, `for (;;) {}`, nil)
	if !fault.Is(err, fault.Interrupted) {
		t.Errorf("Eval = %v, want interrupted", err)
	}
}

func TestEvalDoesNotShareStateBetweenCalls(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			source := `if (globalThis.seen) throw new Error("shared"); globalThis.seen = true; Array.prototype.map = null;
				export default {providers: [{domain: process.env.D, applicationID: process.env.D}]}`
			name := "d" + strconv.Itoa(i) + ".com"
			got, err := Eval(t.Context(), source, map[string]string{"D": name})
			if err != nil || len(got.Providers) != 1 || *got.Providers[0].ApplicationID != name {
				t.Errorf("Eval %d = %v, %v, want the provider %s", i, got, err, name)
			}
		})
	}
	wg.Wait()
}

// The engine's heap is invisible to Go's collector, so a leak shows only in
// the size of the process.
func TestEvalReturnsItsMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	bomb := `const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))`
	rounds := 20
	if raceDetector {
		rounds = 4
	}
	for range 3 {
		_, _ = Eval(t.Context(), bomb, nil)
	}
	before := resident(t)
	for range rounds {
		if _, err := Eval(t.Context(), bomb, nil); err == nil {
			t.Fatal("Eval of a memory bomb = nil, want the memory limit")
		}
	}
	if grown := resident(t) - before; grown > 64<<20 {
		t.Errorf("%d memory bombs left %d MiB behind, want none", rounds, grown>>20)
	}
}

func resident(t testing.TB) int {
	t.Helper()
	runtime.GC()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func BenchmarkEval(b *testing.B) {
	env := map[string]string{"WORKOS_CLIENT_ID": "client_1"}
	before := resident(b)
	for b.Loop() {
		if _, err := Eval(b.Context(), workosTemplate, env); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(resident(b)-before)/(1<<20), "MiB-grown")
}

func FuzzEval(f *testing.F) {
	f.Add(workosTemplate)
	f.Add(`export default {providers:[{domain:process.env.A,applicationID:"x"}]}`)
	f.Add(`await Promise.reject(1)`)
	f.Fuzz(func(t *testing.T, source string) {
		result, err := Eval(t.Context(), source, map[string]string{"A": "a.com"})
		if _, ok := errors.AsType[*Error](err); err != nil && !ok {
			t.Fatalf("Eval(%q) = %v, want an *Error", source, err)
		}
		if result == nil {
			t.Fatalf("Eval(%q) gave no result", source)
		}
	})
}
