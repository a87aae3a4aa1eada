package syncws

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
)

// frame is one line of a recording of the unmodified client.
type frame struct {
	AtMs    int             `json:"atMs"`
	Conn    int             `json:"conn"`
	Event   string          `json:"event"`
	Code    int             `json:"code"`
	From    string          `json:"from"`
	Message json.RawMessage `json:"message"`
}

type scenario struct {
	Name   string
	Tokens map[string]struct {
		Claims map[string]any `json:"claims"`
	}
	Frames []frame
}

func readVectors(t *testing.T, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The recordings name the moment a token was made by t0.
func (s scenario) tokens(t *testing.T, t0 time.Time) map[string]string {
	out := map[string]string{}
	for name, tok := range s.Tokens {
		claims := map[string]any{}
		for k, v := range tok.Claims {
			if text, ok := v.(string); ok && strings.HasPrefix(text, "t0") {
				n, err := strconv.Atoi(text[2:])
				if err != nil {
					t.Fatal(err)
				}
				v = t0.Unix() + int64(n)
			}
			claims[k] = v
		}
		// Recorded tokens of one content are different texts.
		claims["jti"] = name
		out[name] = token(t, claims)
	}
	return out
}

// replayed is one connection of a recording, driven against our server.
type replayed struct {
	*client
	recorded  place             // where the recorded client is
	want      map[uint32]string // its results
	answers   map[uint32]received
	authError *received
}

func (c *replayed) read() bool {
	m, ok := c.next()
	if !ok {
		return false
	}
	switch m.Type {
	case "MutationResponse", "ActionResponse":
		c.answers[m.RequestID] = m
	case "AuthError":
		c.authError = &m
	}
	return true
}

// follow reads until our client is where the recorded one is.
func (c *replayed) follow() {
	c.t.Helper()
	for c.at.QuerySet < c.recorded.QuerySet || c.at.Identity < c.recorded.Identity {
		if !c.read() {
			c.t.Fatalf("the connection ended (%v) at %+v, the recorded client reached %+v", c.closed, c.at, c.recorded)
		}
	}
}

// The client side of each recording, sent to our server, gets what drove the
// recorded client: versions, results, responses, AuthErrors and ends (R87, R88, R18).
func TestRecordedClientsGetWhatDroveThem(t *testing.T) {
	var file struct{ Scenarios []scenario }
	readVectors(t, "ws-transcripts.json", &file)
	if len(file.Scenarios) != 11 {
		t.Fatalf("%d scenarios, want 11", len(file.Scenarios))
	}
	r := newRig(t, 1, claim.Dev)
	// Providers keep the place they got by the push that brought them.
	r.providers = fmt.Sprintf(`{ type: "customJwt", issuer: "http://issuer.test/user_management/client_1", jwks: %q, algorithm: "RS256" }`, keySet())
	r.push(0, usersModule)
	for _, s := range file.Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			r := *r
			r.t = t
			t0 := time.Unix(r.clock.seconds()+100, 0)
			replay(t, &r, s, t0, s.tokens(t, t0))
		})
	}
}

func replay(t *testing.T, r *rig, s scenario, t0 time.Time, tokens map[string]string) {
	conns := map[int]*replayed{}
	for n, f := range s.Frames {
		r.clock.set(t0.Add(time.Duration(f.AtMs) * time.Millisecond))
		c := conns[f.Conn]
		switch {
		case f.Event == "open":
			conns[f.Conn] = &replayed{client: r.dial(0), want: map[uint32]string{}, answers: map[uint32]received{}}
		case f.Event == "server closes":
			c.ends(websocket.StatusCode(f.Code), "")
		case f.Event == "client closes":
			c.follow()
			for id, want := range c.want {
				if got := string(c.results[id].Value); got != want {
					t.Errorf("connection %d: query %d = %s, want %s", f.Conn, id, got, want)
				}
			}
			_ = c.conn.Close(websocket.StatusNoStatusRcvd, "")
		case f.From == "client":
			if c.closed == nil && c.authError == nil {
				c.follow()
			}
			text := strings.ReplaceAll(string(f.Message), `"<client clock ms>"`, fmt.Sprint(r.clock.now().UnixMilli()))
			// A session id of the recording is another client's in each scenario.
			text = strings.ReplaceAll(text, "00000000-0000-4000-8000-0000", fmt.Sprintf("00000000-0000-4000-8000-%04d", len(s.Name)))
			for name, value := range tokens {
				text = strings.ReplaceAll(text, name, value)
			}
			c.send("%s", text)
		default:
			c.server(t, n, f)
		}
	}
}

// server compares one message of the recorded server with what ours sends.
func (c *replayed) server(t *testing.T, n int, f frame) {
	t.Helper()
	var want received
	if err := json.Unmarshal([]byte(strings.ReplaceAll(strings.ReplaceAll(string(f.Message), `"<ms>"`, "0"), `"<server clock ns>"`, "0")), &want); err != nil {
		t.Fatal(err)
	}
	switch want.Type {
	case "Transition":
		// Ours may say the same in fewer or more transitions.
		c.recorded = want.EndVersion
		for _, m := range want.Modifications {
			c.want[m.QueryID] = string(m.Value)
			var compact any
			_ = json.Unmarshal(m.Value, &compact)
			text, _ := json.Marshal(compact)
			c.want[m.QueryID] = string(text)
		}
		if len(c.answers) > 0 || len(want.Modifications) == 0 {
			return
		}
		c.follow()
		for _, m := range want.Modifications {
			got := c.results[m.QueryID]
			if string(got.Value) != c.want[m.QueryID] || len(got.LogLines) != len(m.LogLines) || got.Journal != nil {
				t.Errorf("frame %d: query %d = %s, logs %q, want %s, %q", n, m.QueryID, got.Value, got.LogLines, c.want[m.QueryID], m.LogLines)
			}
			for k, line := range m.LogLines {
				if head := strings.TrimSuffix(line, "<object>"); !strings.HasPrefix(got.LogLines[k], head) {
					t.Errorf("frame %d: log line %q, want %q", n, got.LogLines[k], line)
				}
			}
		}
	case "MutationResponse", "ActionResponse":
		for c.answers[want.RequestID].Type == "" {
			if !c.read() {
				t.Fatalf("frame %d: the connection ended (%v) without the answer", n, c.closed)
			}
		}
		got := c.answers[want.RequestID]
		if got.Type != want.Type || got.Success != want.Success || (got.TS == nil) != (want.TS == nil) || len(got.LogLines) != len(want.LogLines) {
			t.Errorf("frame %d: %+v, want %+v", n, got, want)
		}
		if got.TS != nil { // the client's promise resolves with a transition that reaches it
			for c.at.ts(t) < (place{TS: *got.TS}).ts(t) {
				if !c.read() {
					t.Fatalf("frame %d: no transition reached the mutation's commit", n)
				}
			}
		}
	case "AuthError":
		for c.authError == nil {
			if !c.read() {
				t.Fatalf("frame %d: the connection ended (%v) without AuthError", n, c.closed)
			}
		}
		got := c.authError
		if got.Error != want.Error || *got.BaseVersion != *want.BaseVersion || *got.AuthUpdateAttempted != *want.AuthUpdateAttempted {
			t.Errorf("frame %d: AuthError %q base %d attempted %v, want %q, %d, %v", n, got.Error, *got.BaseVersion, *got.AuthUpdateAttempted, want.Error, *want.BaseVersion, *want.AuthUpdateAttempted)
		}
	default:
		t.Fatalf("frame %d: unknown recorded message %s", n, want.Type)
	}
}

// What `convex env list` and `env get` ask over the socket is answered as recorded (R86).
func TestRecordedCommandLineReadsVariables(t *testing.T) {
	var file struct{ Frames []frame }
	readVectors(t, "cli-env-websocket.json", &file)
	r := newRig(t, 1, claim.Dev)
	name := "client_01ABC"
	if err := r.open(0).ChangeVariables(t.Context(), []deployment.Change{{Name: "WORKOS_CLIENT_ID", Value: &name}}); err != nil {
		t.Fatal(err)
	}
	s := scenario{Name: "env", Frames: file.Frames}
	replay(t, r, s, r.clock.now(), nil)
}
