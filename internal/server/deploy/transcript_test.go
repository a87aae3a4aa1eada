package deploy_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/claim"
)

type transcript struct {
	Tokens map[string]struct {
		Header object `json:"header"`
		Claims object `json:"claims"`
		Parts  int    `json:"parts"`
	} `json:"tokens"`
	Exchanges []struct {
		Name    string `json:"name"`
		Request struct {
			Method, Path string
			Headers      map[string]string
			Body, JSON   any
		} `json:"request"`
		Response struct {
			Status int
			Body   any
			JSON   any
		} `json:"response"`
	} `json:"exchanges"`
}

func readTranscript(t *testing.T, name string) transcript {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all transcript
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	requestIDs = regexp.MustCompile(`\[Request ID: [0-9a-f]{16}\]`)
	documentID = regexp.MustCompile(`\b[a-z0-9]{31,37}\b`)
)

// same makes what differs from run to run alike: ids, stacks and how an object
// is shown in the log.
func same(v any) any {
	switch v := v.(type) {
	case string:
		v = requestIDs.ReplaceAllString(v, "[Request ID]")
		v = documentID.ReplaceAllString(v, "ID")
		if strings.HasPrefix(v, "[LOG] 'server identity' ") && !strings.HasSuffix(v, " null") {
			return "[LOG] 'server identity' <object>"
		}
		if strings.Contains(v, "Server Error") {
			return firstLines(v, 2)
		}
		return v
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = same(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for n, e := range v {
			out[n] = same(e)
		}
		return out
	}
	return v
}

// R20 and the function API: every recorded exchange of the unmodified clients is
// answered as recorded.
func TestRecordedFunctionCallsAreAnswered(t *testing.T) {
	h := newHouse(t)
	s := h.open(claim.Dev, "ada")
	s.push(authConfig(keyOnce()))
	all := readTranscript(t, "http-transcripts.json")
	t0 := h.clock.Now().Unix()
	other := newKey(t)
	tokens := map[string]string{}
	for name, token := range all.Tokens {
		claims := object{}
		for k, v := range token.Claims {
			claims[k] = v
			if text, ok := v.(string); ok && strings.HasPrefix(text, "t0") {
				n, err := strconv.Atoi(strings.TrimPrefix(text, "t0"))
				if err != nil {
					t.Fatal(err)
				}
				// The tokens after the first were made one second later.
				claims[k] = t0 + int64(n)
				if name != "<jwt 1>" {
					claims[k] = t0 + int64(n) - 1
				}
			}
		}
		if name == "<jwt 1>" {
			claims["email"], claims["sid"], claims["properties"] = "a@b.c", "session_0", object{"role": "admin", "deep": object{"x": 1}}
		}
		key := keyOnce()
		if name == "<jwt 12>" {
			key = other
		}
		tokens[name] = sign(t, key, token.Header, claims)
		if token.Parts == 2 {
			tokens[name] = tokens[name][:strings.LastIndexByte(tokens[name], '.')]
		}
	}
	if len(all.Exchanges) != 34 {
		t.Fatalf("%d exchanges, want 34", len(all.Exchanges))
	}
	ts := ""
	for _, e := range all.Exchanges {
		t.Run(e.Name, func(t *testing.T) {
			var body any
			if e.Request.Body != nil {
				body = e.Request.Body
				if b := body.(map[string]any); b["ts"] != nil {
					b["ts"] = ts
				}
			}
			authorization := e.Request.Headers["Authorization"]
			for name, token := range tokens {
				authorization = strings.Replace(authorization, name, token, 1)
			}
			authorization = strings.Replace(authorization, "local|key", s.key, 1)
			got := send(t, e.Request.Method, s.url+e.Request.Path, authorization, body)
			status, want := e.Response.Status, same(e.Response.Body).(map[string]any)
			v := got.json(t)
			switch e.Name {
			case "timestamp for a consistent query":
				ts, _ = v["ts"].(string)
				want["ts"] = v["ts"]
			case "CLI `convex run` users:me":
				// The stub had no identities; the deployment acts as the one in the key.
				want["value"], want["logLines"] = "https://x.test|u9", []any{"[LOG] 'server identity' <object>"}
			case "mutation throwing ConvexError, no token":
				// The class itself writes its data, not sorted.
				want["errorMessage"] = "[Request ID] Server Error\nUncaught ConvexError: {\"code\":\"unauthenticated\",\"big\":\"1n\"}"
			case "wrong aud", "no aud":
				// New providers are sorted, those without application ID first; the stub kept the order of the file.
				list := "[CustomJWT(issuer=http://issuer.test/user_management/client_1, app_id=none), CustomJWT(issuer=http://issuer.test/, app_id=app1)]"
				text := want["message"].(string)
				want["message"] = text[:strings.IndexByte(text, '[')] + list
			case "CLI `convex run` users:boom":
				status = 560 // the command line takes it as well as 200
			}
			if got.status != status {
				t.Errorf("status = %d, want %d", got.status, status)
			}
			if diff := cmp.Diff(any(want), same(v)); diff != "" {
				t.Errorf("answer differs (-recorded +got):\n%s", diff)
			}
		})
	}
}

// The pushes of the unmodified command line, with modules of the tests in the
// place of those that the record leaves out.
func TestRecordedPushesAreAnswered(t *testing.T) {
	h := newHouse(t)
	s := h.open(claim.Dev, "ada")
	auth := `export default { providers: [{ type: "customJwt", applicationID: process.env.WORKOS_CLIENT_ID, issuer: "https://api.workos.com/", jwks: "https://api.workos.com/sso/jwks/" + process.env.WORKOS_CLIENT_ID, algorithm: "RS256" },
	{ type: "customJwt", issuer: "https://api.workos.com/user_management/" + process.env.WORKOS_CLIENT_ID, jwks: "https://api.workos.com/sso/jwks/" + process.env.WORKOS_CLIENT_ID, algorithm: "RS256" }] };`
	modules := []object{module("_deps/server.js", convexServer), module("users.js", usersModule), module("myFunctions.js", numbersModule), module("auth.config.js", auth)}
	started := json.RawMessage("null")
	var hashes []any
	for n, e := range readTranscript(t, "push-transcripts.json").Exchanges {
		name := strconv.Itoa(n) + " " + e.Request.Path
		body := e.Request.Body
		push := pushBody(s.key, modules...)
		if len(hashes) > 0 {
			app := push["appDefinition"].(object)
			var unchanged []object
			for _, m := range hashes {
				m := m.(map[string]any)
				unchanged = append(unchanged, object{"path": m["path"], "environment": m["environment"], "sha256": m["hash"]})
			}
			app["changedModules"], app["unchangedModuleHashes"] = []any{}, unchanged
		}
		var got answer
		switch e.Request.Path {
		case "/api/deploy2/evaluate_schema", "/api/deploy2/start_push":
			got = s.brotli(e.Request.Path, push)
		case "/api/deploy2/finish_push":
			got = s.brotli(e.Request.Path, object{"adminKey": s.key, "startPush": started, "dryRun": false, "message": nil})
		default:
			got = s.admin(e.Request.Method, e.Request.Path, body)
		}
		if got.status != e.Response.Status {
			t.Fatalf("%s = %d %s, want %d", name, got.status, got.text, e.Response.Status)
		}
		switch e.Request.Path {
		case "/api/update_environment_variables":
			if e.Response.Status == http.StatusOK && got.text != "" {
				t.Errorf("%s answers %q, want nothing", name, got.text)
			}
		case "/api/get_config_hashes":
			hashes = got.json(t)["moduleHashes"].([]any)
		case "/api/deploy2/start_push":
			started = json.RawMessage(got.text)
		case "/api/v1/get_canonical_urls":
			if v := got.json(t); v["convexCloudUrl"] != s.url || v["convexSiteUrl"] != s.site {
				t.Errorf("%s = %s, want %s and %s", name, got.text, s.url, s.site)
			}
		}
		want, ok := e.Response.Body.(map[string]any)
		if !ok {
			continue
		}
		v := got.json(t)
		if e.Response.Status != http.StatusOK {
			if v["code"] != want["code"] || !strings.Contains(v["message"].(string), strings.TrimPrefix(want["message"].(string), "Hit an error while pushing:\n")) {
				t.Errorf("%s = %s, want %v", name, got.text, want)
			}
		}
		for k, w := range want {
			if _, there := v[k]; !there {
				t.Errorf("%s has no member %s, which the recorded answer has (%v)", name, k, w)
			}
		}
	}
	if got := s.call("query", "users:notes", object{}).value(t); !cmp.Equal(got, []any{}) {
		t.Errorf("notes = %v after the pushes, want an empty list", got)
	}
}

func TestRecordedLogsHaveTheirShape(t *testing.T) {
	h := newHouse(t)
	s := h.open(claim.Dev, "ada")
	s.push(authConfig(keyOnce()))
	for _, call := range []struct {
		kind, path string
		args       object
	}{{"mutation", "myFunctions:addNumber", object{"value": 1}}, {"query", "myFunctions:listNumbers", object{"count": 2}}, {"query", "users:boom", object{}}, {"query", "users:me", object{}}} {
		s.call(call.kind, call.path, call.args)
	}
	recorded := readTranscript(t, "logs.json").Exchanges[0]
	got := s.admin("GET", recorded.Request.Path, nil).json(t)
	want := recorded.Response.Body.(map[string]any)["entries"].([]any)
	entries, _ := got["entries"].([]any)
	if len(entries) != len(want) {
		t.Fatalf("%d entries, want %d", len(entries), len(want))
	}
	for n, e := range entries {
		e, w := e.(map[string]any), want[n].(map[string]any)
		for _, k := range []string{"kind", "identifier", "udfType", "error", "caller", "environment", "componentPath", "cachedResult", "willRetry"} {
			if diff := cmp.Diff(w[k], e[k]); diff != "" {
				t.Errorf("entry %d, %s (-recorded +got):\n%s", n, k, diff)
			}
		}
		if len(e["logLines"].([]any)) != len(w["logLines"].([]any)) {
			t.Errorf("entry %d has the lines %v, want %v", n, e["logLines"], w["logLines"])
		}
	}
	// With the new cursor there is nothing until something happens.
	type poll struct{ a answer }
	next := make(chan poll, 1)
	cursor := strconv.FormatFloat(got["newCursor"].(float64), 'f', -1, 64)
	go func() { next <- poll{s.admin("GET", "/api/stream_function_logs?cursor="+cursor, nil)} }()
	s.call("query", "users:notes", object{})
	if p := <-next; !strings.Contains(p.a.text, `"identifier":"users:notes"`) || strings.Contains(p.a.text, "users:boom") {
		t.Errorf("the next poll = %s, want the new call only", p.a.text)
	}
}

func TestRecordedInlineQueryIsAnswered(t *testing.T) {
	h := newHouse(t)
	s := h.open(claim.Dev, "ada")
	for _, e := range readTranscript(t, "run-inline-query.json").Exchanges {
		if e.Request.Path != "/api/run_test_function" {
			continue
		}
		got := s.admin("POST", e.Request.Path, e.Request.JSON)
		if diff := cmp.Diff(e.Response.JSON, any(got.json(t))); diff != "" {
			t.Errorf("answer (-recorded +got):\n%s", diff)
		}
	}
	s.push("")
	s.call("mutation", "myFunctions:addNumber", object{"value": 7})
	s.call("mutation", "myFunctions:addNumber", object{"value": 8})
	inline := func(code string) answer {
		return s.admin("POST", "/api/run_test_function", object{"args": object{}, "format": "convex_encoded_json",
			"bundle": object{"path": "testQuery.js", "source": `import { query } from "convex:/_system/repl/wrappers.js"; export default query({ handler: async (ctx) => {` + code + `} });`}})
	}
	for code, want := range map[string]any{
		`return (await ctx.db.query("numbers").collect()).map((n) => n.value)`:                              []any{7.0, 8.0},
		`return (await ctx.db.query("numbers").filter((q) => q.gt(q.field("value"), 7)).first()).value`:     8.0,
		`return (await ctx.db.query("numbers").withIndex("by_creation_time").order("desc").take(1)).length`: 1.0,
		`const n = await ctx.db.query("numbers").first(); return (await ctx.db.get(n._id)).value`:           7.0,
		`return (await ctx.db.query("numbers").paginate({ cursor: null, numItems: 1 })).page.length`:        1.0,
		`return { n: 2n ** 40n, b: new Uint8Array([1, 2, 3, 4]).buffer, f: -0 }`:                            object{"n": object{"$integer": "AAAAAAABAAA="}, "b": object{"$bytes": "AQIDBA=="}, "f": object{"$float": "AAAAAAAAAIA="}},
		`return ctx.runQuery("myFunctions:listNumbers", { count: 5 })`:                                      object{"viewer": nil, "numbers": []any{7.0, 8.0}},
		`return ctx.auth.getUserIdentity()`:                                                                 nil,
		`console.log("seen"); for await (const n of ctx.db.query("numbers")) return n.value`:                7.0,
		`return ctx.db.normalizeId("numbers", "no id")`:                                                     nil,
	} {
		if diff := cmp.Diff(want, inline(code).value(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", code, diff)
		}
	}
	for code, want := range map[string]string{
		`throw new Error("kaboom")`: "kaboom", `return await ctx.db.insert("numbers", {})`: "not a function",
		`return (`: "testQuery.js", `return await ctx.runQuery("users:purge")`: "defined as Mutation",
	} {
		if a := inline(code); a.status != 560 || !strings.Contains(a.text, want) {
			t.Errorf("%s = %d %s, want 560 with %q", code, a.status, a.text, want)
		}
	}
}

// brotli sends a body as the command line sends pushes.
func (s *shop) brotli(path string, body any) answer {
	s.h.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.h.t.Fatal(err)
	}
	var b bytes.Buffer
	w := brotli.NewWriterLevel(&b, 4)
	if _, err := w.Write(data); err != nil {
		s.h.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		s.h.t.Fatal(err)
	}
	return send(s.h.t, "POST", s.url+path, "Convex "+s.key, b.Bytes(), "Content-Encoding", "br")
}
