package syncws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
)

func transitions(m received) bool { return m.Type == "Transition" }

func TestQueriesAreSentOnceAndWhenTheyChange(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	c.add(0, "users:notes", "{}")
	c.value(0, `[]`)
	if c.at.Identity != 0 || c.at.QuerySet != 1 {
		t.Errorf("version = %+v, want query set 1 of nobody", c.at)
	}
	c.add(1, "users:counter", `{"owner":"x"}`)
	c.value(1, `[]`)
	r.mutate(0, "users:addNote", `[{"body":"hi"}]`)
	m := c.until("an update", transitions)
	if len(m.Modifications) != 1 || m.Modifications[0].QueryID != 0 || string(m.Modifications[0].Value) != `["hi"]` {
		t.Errorf("update = %+v, want query 0 alone", m.Modifications)
	}
	r.mutate(0, "users:count", `[{"owner":"y"}]`) // another range
	r.mutate(0, "users:count", `[{"owner":"x"}]`)
	m = c.until("an update", transitions)
	if len(m.Modifications) != 1 || m.Modifications[0].QueryID != 1 || string(m.Modifications[0].Value) != `[1]` {
		t.Errorf("update = %+v, want query 1 alone, nothing for the other range", m.Modifications)
	}
	c.send(`{"type":"ModifyQuerySet","baseVersion":2,"newVersion":7,"modifications":[{"type":"Remove","queryId":0}]}`)
	m = c.until("the removal", transitions)
	if c.at.QuerySet != 7 || len(m.Modifications) != 1 || m.Modifications[0].Type != "QueryRemoved" {
		t.Errorf("removal = %+v at %+v, want QueryRemoved and query set 7", m.Modifications, c.at)
	}
}

func TestAMutationIsFollowedByATransitionThatReachesIt(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	for id, path := range []string{"users:addNote", "users:nothing", "users:addNote"} {
		c.send(`{"type":"Mutation","requestId":%d,"udfPath":%q,"args":[{"body":"b"}]}`, id, path)
		m := c.until("the answer", func(m received) bool { return m.Type == "MutationResponse" })
		if !m.Success || m.RequestID != uint32(id) || m.TS == nil {
			t.Fatalf("%s = %+v", path, m)
		}
		due := (place{TS: *m.TS}).ts(t)
		c.until("the transition", func(received) bool { return c.at.ts(t) >= due })
	}
	c.send(`{"type":"Mutation","requestId":9,"udfPath":"users:refuses","args":[{}]}`)
	m := c.until("the answer", func(m received) bool { return m.Type == "MutationResponse" })
	if m.Success || m.TS != nil || string(m.ErrorData) != `"no"` || !strings.Contains(string(m.Result), "Request ID") {
		t.Errorf("a failed mutation = %+v, want its text, data and ts null", m)
	}
	c.send(`{"type":"Action","requestId":10,"udfPath":"myFunctions:myAction","args":[{}]}`)
	if m = c.until("the answer", func(m received) bool { return m.Type == "ActionResponse" }); !m.Success || string(m.Result) != "null" || m.TS != nil {
		t.Errorf("action = %+v", m)
	}
}

func TestMutationsOfAClientRunInOrder(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	const n = 40
	for id := range n {
		c.send(`{"type":"Mutation","requestId":%d,"udfPath":"users:count","args":[{"owner":"me"}]}`, id)
	}
	for id := range n {
		m := c.until("an answer", func(m received) bool { return m.Type == "MutationResponse" })
		if m.RequestID != uint32(id) || string(m.Result) != fmt.Sprint(id+1) {
			t.Fatalf("answer %d = request %d, result %s", id, m.RequestID, m.Result)
		}
	}
}

// A client that lost its connection sends again what it has no answer to (R90).
func TestAMutationThatIsSentAgainHappensOnce(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	const hello = `{"type":"Connect","sessionId":"11111111-0000-4000-8000-000000000001","connectionCount":0,"lastCloseReason":null,"clientTs":0}`
	const mutation = `{"type":"Mutation","requestId":5,"udfPath":"users:count","args":[{"owner":"me"}]}`
	first := r.dial(0)
	first.send(hello)
	first.send(mutation)
	first.conn.CloseNow() // perhaps before it ran, perhaps after
	for range 3 {
		c := r.dial(0)
		c.send(hello)
		c.send(mutation)
		if m := c.until("the answer", func(m received) bool { return m.Type == "MutationResponse" }); string(m.Result) != "1" {
			t.Errorf("count = %s, want 1 each time", m.Result)
		}
	}
	other := r.connect(0)
	other.send(mutation)
	if m := other.until("the answer", func(m received) bool { return m.Type == "MutationResponse" }); string(m.Result) != "2" {
		t.Errorf("another client's count = %s, want 2", m.Result)
	}
}

func TestFailuresAreSentAndSentAgainOnlyWhenTheyDiffer(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	c.add(0, "users:fails", "{}")
	c.value(0, `"fine"`)
	c.add(1, "users:none", "{}")
	m := c.until("the failure", transitions)
	if f := m.Modifications[0]; f.Type != "QueryFailed" || !strings.Contains(f.ErrorMessage, "Could not find public function for 'users:none'") {
		t.Errorf("unknown function = %+v", f)
	}
	r.mutate(0, "users:addNote", `[{"body":"hi"}]`)
	m = c.until("the failure", transitions)
	if f := m.Modifications[0]; len(m.Modifications) != 1 || f.Type != "QueryFailed" || string(f.ErrorData) != `{"why":"told"}` {
		t.Errorf("failure = %+v", m.Modifications)
	}
	r.mutate(0, "users:addNote", `[{"body":"ho"}]`) // fails again in the same way
	c.add(2, "users:notes", `{}`)
	if m = c.until("the new query", transitions); len(m.Modifications) != 1 || m.Modifications[0].QueryID != 2 {
		t.Errorf("update = %+v, want the new query alone", m.Modifications)
	}
}

func TestAnIdentityIsConfirmedWithItsResults(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	c.add(0, "users:me", "{}")
	c.add2(1, "users:counter", `{"owner":"user_1"}`)
	c.until("both queries", func(received) bool { return c.at.QuerySet == 2 })
	c.authenticate(r.clock.user(t, "user_1"))
	m := c.until("the confirmation", func(received) bool { return c.at.Identity == 1 })
	if len(m.Modifications) != 1 || string(m.Modifications[0].Value) != `"http://issuer.test/|user_1"` {
		t.Errorf("confirmation = %+v, want the query that asks who calls, and no other", m.Modifications)
	}
	// Twice at once: each is one step, the last one counts.
	c.send(`{"type":"Authenticate","baseVersion":1,"tokenType":"User","value":%q}`, r.clock.user(t, "user_2"))
	c.send(`{"type":"Authenticate","baseVersion":2,"tokenType":"User","value":%q}`, r.clock.user(t, "user_3"))
	c.until("both confirmations", func(received) bool { return c.at.Identity == 3 })
	if got := string(c.results[0].Value); got != `"http://issuer.test/|user_3"` {
		t.Errorf("me = %s, want user_3", got)
	}
	c.send(`{"type":"Authenticate","baseVersion":3,"tokenType":"None"}`)
	c.until("signed out", func(received) bool { return c.at.Identity == 4 })
	if got := string(c.results[0].Value); got != `null` {
		t.Errorf("me = %s, want null", got)
	}
}

// add2 is add before the answer to another one.
func (c *client) add2(id int, path, args string) {
	c.t.Helper()
	c.send(`{"type":"ModifyQuerySet","baseVersion":%d,"newVersion":%d,"modifications":[{"type":"Add","queryId":%d,"udfPath":%q,"args":[%s]}]}`, c.at.QuerySet+1, c.at.QuerySet+2, id, path, args)
}

func TestResultsOfOneUserAreNotAnothers(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	clients := map[string]*client{}
	for _, sub := range []string{"anna", "bert", "carl"} {
		c := r.connect(0)
		c.authenticate(r.clock.user(t, sub))
		c.until("the confirmation", transitions)
		c.add(0, "users:mine", "{}")
		c.value(0, `[]`)
		clients[sub] = c
	}
	for n, sub := range []string{"anna", "bert", "carl"} {
		for range n + 1 {
			r.mutate(0, "users:count", fmt.Sprintf(`[{"owner":%q}]`, sub))
		}
	}
	for n, sub := range []string{"anna", "bert", "carl"} {
		clients[sub].value(0, fmt.Sprintf(`[%d]`, n+1))
	}
}

func TestNewFunctionsAndVariablesReachSubscribers(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"local|key"}`)
	c.until("the confirmation", transitions)
	c.add(0, "users:env", "{}")
	c.value(0, `null`)
	c.add(1, "_system/cli/queryEnvironmentVariables", "{}")
	c.value(1, `[]`)
	c.add(2, "_system/nothing", "{}")
	if m := c.until("the failure", transitions); !strings.Contains(m.Modifications[0].ErrorMessage, "not supported by Berth") {
		t.Errorf("unknown system query = %+v", m.Modifications)
	}
	name := "n1"
	if err := r.open(0).ChangeVariables(t.Context(), []deployment.Change{{Name: "NAME", Value: &name}}); err != nil {
		t.Fatal(err)
	}
	c.value(0, `"n1"`)
	c.value(1, `[{"name":"NAME","value":"n1"}]`)
	r.push(0, strings.Replace(usersModule, "process.env.NAME ?? null", `"new code"`, 1))
	c.value(0, `"new code"`)
}

func TestPagesKeepTheirEnds(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	for _, body := range []string{"a", "b", "c"} {
		r.mutate(0, "users:addNote", fmt.Sprintf(`[{"body":%q}]`, body))
	}
	c := r.connect(0)
	c.add(0, "users:pages", "{}")
	c.value(0, `["c","b"]`)
	if c.results[0].Journal == nil {
		t.Fatal("a query with pages has no journal")
	}
	journal := *c.results[0].Journal
	r.mutate(0, "users:addNote", `[{"body":"d"}]`)
	c.value(0, `["d","c","b"]`)
	again := r.connect(0)
	again.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"users:pages","args":[{}],"journal":%q}]}`, journal)
	again.value(0, `["d","c","b"]`)
	fresh := r.connect(0)
	fresh.add(0, "users:pages", "{}")
	fresh.value(0, `["d","c"]`)
}

func TestLargeTransitionsComeInParts(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	const n = 6
	c.send("%s", manyBig(n))
	m := c.until("a part", func(received) bool { return true })
	if m.Type != "TransitionChunk" && c.sent == 0 {
		t.Fatalf("the first message is %s, want TransitionChunk", m.Type)
	}
	c.until("the last part", func(received) bool { return c.at.QuerySet == 1 })
	if len(c.results) != n || len(c.results[n-1].Value) < 900_000 {
		t.Errorf("%d results, the last one of %d bytes", len(c.results), len(c.results[n-1].Value))
	}
}

func TestSplitCutsAtCharacters(t *testing.T) {
	text := strings.Repeat("aé漢😀", 50)
	for n := 4; n < 40; n++ {
		parts := split(text, n)
		for _, p := range parts {
			if len(p) > n || strings.ToValidUTF8(p, "?") != p {
				t.Fatalf("split(%d) has the part %q", n, p)
			}
		}
		if strings.Join(parts, "") != text {
			t.Fatalf("split(%d) loses text", n)
		}
	}
}

func TestWhatClientsMayNotSendIsFatal(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	const hello = `{"type":"Connect","sessionId":"s","clientTs":0}`
	for _, c := range []struct{ name, messages, want string }{
		{"no JSON", "nothing", "Received a message that cannot be read"},
		{"a negative version", hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":-1,"newVersion":1}`, "Received a message that cannot be read"},
		{"not Connect first", `{"type":"Event"}`, `The first message must be Connect, got "Event"`},
		{"Connect twice", hello + "\n" + hello, "Connect was sent twice"},
		{"an unknown type", hello + "\n" + `{"type":"Dance"}`, `Unknown message type "Dance"`},
		{"a query set of another base", hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[]}`, "Base version 1 passed up doesn't match the current version 0"},
		{"a query set that does not grow", hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":0,"modifications":[]}`, "The new version 0 of the query set does not follow 0"},
		{"an identity of another base", hello + "\n" + `{"type":"Authenticate","baseVersion":3,"tokenType":"None"}`, "Base version 3 passed up doesn't match the current version 0"},
		{"an unknown kind of token", hello + "\n" + `{"type":"Authenticate","baseVersion":0,"tokenType":"Ring"}`, `Unknown token type "Ring"`},
		{"a query twice", hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":1,"udfPath":"a"},{"type":"Add","queryId":1,"udfPath":"a"}]}`, "Duplicate query ID: 1"},
		{"removing what is not there", hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Remove","queryId":1}]}`, "Nonexistent query ID: 1"},
		{"an unknown modification", hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Swap","queryId":1}]}`, `Unknown modification "Swap"`},
		{"a wrong admin key", hello + "\n" + `{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"local|guess"}`, "BadAdminKey: The provided admin key was invalid for this instance"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := *r
			r.t = t
			conn := r.dial(0)
			for m := range strings.SplitSeq(c.messages, "\n") {
				conn.send("%s", m)
			}
			m := conn.until("FatalError", func(m received) bool { return m.Type == "FatalError" })
			if m.Error != c.want {
				t.Errorf("FatalError = %q, want %q", m.Error, c.want)
			}
			conn.ends(websocket.StatusNoStatusRcvd, "")
		})
	}
}

func TestAdminsActAsUsers(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	c.add(0, "_system/cli/queryEnvironmentVariables:default", "{}")
	if m := c.until("the refusal", transitions); m.Modifications[0].ErrorMessage != "You do not have permission to perform this operation" {
		t.Errorf("system query of nobody = %+v", m.Modifications)
	}
	c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"local|key","impersonating":{"issuer":"i","subject":"s"}}`)
	c.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[{"type":"Add","queryId":2,"udfPath":"users:me","args":[{}]}]}`)
	c.value(2, `"i|s"`)
	c.value(0, `[]`)
}

// The ends of a connection by the kind of refusal (convex-deployment 1.8 and 4.3; R18).
func TestRefusedTokensEndTheConnectionInTheirWay(t *testing.T) {
	r := newRig(t, 1, claim.Prod)
	r.providers = `{ domain: "https://oidc.test", applicationID: "oidc" }`
	r.push(0, usersModule)
	c := r.connect(0)
	c.add(0, "users:me", "{}")
	c.value(0, "null")
	if len(c.results[0].LogLines) != 0 {
		t.Errorf("log lines in production = %q, want none", c.results[0].LogLines)
	}
	c.authenticate(token(t, map[string]any{"iss": "http://other.test/", "aud": "app1", "sub": "u", "exp": r.clock.seconds() + 60}))
	m := c.until("AuthError", func(m received) bool { return m.Type == "AuthError" })
	if m.Error != "No auth provider found matching the given token" || *m.BaseVersion != 0 || !*m.AuthUpdateAttempted {
		t.Errorf("AuthError = %+v, want the short text of production", m)
	}
	c.ends(websocket.StatusNoStatusRcvd, "")
	for _, e := range []struct {
		status    int64 // of the provider's discovery
		want      websocket.StatusCode
		reason    string
		attempted bool // an AuthError comes first
	}{
		{418, websocket.StatusNoStatusRcvd, "", true},
		{401, websocket.StatusNoStatusRcvd, "", true},
		{403, websocket.StatusNoStatusRcvd, "", true},
		{404, websocket.StatusNormalClosure, "", false},
		{429, websocket.StatusTryAgainLater, "AuthProviderDiscoveryFailed", false},
		{502, websocket.StatusTryAgainLater, "AuthProviderDiscoveryFailed", false},
	} {
		r.discovery.Store(e.status)
		c := r.connect(0)
		c.authenticate(token(t, map[string]any{"iss": "https://oidc.test", "aud": "oidc", "sub": "u", "iat": r.clock.seconds(), "exp": r.clock.seconds() + 60}))
		if e.attempted {
			if m := c.until("AuthError", func(m received) bool { return m.Type == "AuthError" }); !*m.AuthUpdateAttempted || *m.BaseVersion != 0 {
				t.Errorf("status %d: AuthError = %+v", e.status, m)
			}
		}
		c.ends(e.want, e.reason)
	}
}

// An identity that ran out ends the connection before the next mutation, action
// or update, and not before (R18).
func TestExpiredIdentitiesEnd(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	for _, what := range []string{"mutation", "action", "update", "new query", "touched by nobody"} {
		t.Run(what, func(t *testing.T) {
			r := *r
			r.t = t
			c := r.connect(0)
			c.authenticate(token(t, map[string]any{"iss": "http://issuer.test/", "aud": "app1", "sub": "u", "exp": r.clock.seconds() + 10}))
			c.add(0, "users:mine", "{}")
			c.until("both", func(received) bool { return c.at.Identity == 1 && c.at.QuerySet == 1 })
			r.clock.add(20 * time.Second)
			switch what {
			case "mutation":
				c.send(`{"type":"Mutation","requestId":0,"udfPath":"users:nothing","args":[{}]}`)
			case "action":
				c.send(`{"type":"Action","requestId":0,"udfPath":"myFunctions:myAction","args":[{}]}`)
			case "update":
				r.mutate(0, "users:count", `[{"owner":"u"}]`)
			case "new query":
				c.add(1, "users:notes", "{}")
			default:
				r.mutate(0, "users:count", `[{"owner":"somebody else"}]`)
				c.send(`{"type":"Authenticate","baseVersion":1,"tokenType":"User","value":%q}`, r.clock.user(t, "v"))
				c.until("the new identity", func(received) bool { return c.at.Identity == 2 })
				return
			}
			m := c.until("AuthError", func(m received) bool { return m.Type == "AuthError" })
			if m.Error != "Convex token identity expired" || *m.BaseVersion != 1 || *m.AuthUpdateAttempted {
				t.Errorf("AuthError = %q base %d attempted %v", m.Error, *m.BaseVersion, *m.AuthUpdateAttempted)
			}
			c.ends(websocket.StatusNoStatusRcvd, "")
		})
	}
}

func TestADeletedDeploymentEndsItsConnections(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	c := r.connect(0)
	c.add(0, "users:notes", "{}")
	c.value(0, "[]")
	r.registry.Forget(r.names[0])
	c.ends(websocket.StatusTryAgainLater, "DeploymentClosed")
}
