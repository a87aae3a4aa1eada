package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
)

const goodKey = `{"kid":"sso_oidc_key_pair_01","alg":"ES256","kty":"EC","crv":"P-256","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}`

// vendors are the servers of a sign-in that works: one server for all hosts, told
// apart by their names. answers replaces single answers, by host and path.
type vendors struct {
	answers map[string]http.HandlerFunc
	down    string // host that does not answer
	now     time.Time
}

const (
	pageHost = "https://brave-otter-12.authkit.app/"
	convex   = "happy-otter-123.convex.cloud"
)

func (v vendors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", v.now.UTC().Format(http.TimeFormat))
	if answer := v.answers[r.Host+r.URL.Path]; answer != nil {
		answer(w, r)
		return
	}
	switch place := r.Host + r.URL.Path; {
	case place == "api.workos.com/user_management/authorize":
		http.Redirect(w, r, pageHost+"?client_id="+r.URL.Query().Get("client_id")+"&authorization_session_id=01", http.StatusFound)
	case place == "api.workos.com/user_management/authenticate" && r.Method == http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
		w.WriteHeader(http.StatusNoContent)
	case strings.HasPrefix(place, "api.workos.com/sso/jwks/"):
		keys(`{"keys":[`+goodKey+`]}`)(w, r)
	case r.Host == "brave-otter-12.authkit.app" && r.URL.Path == "/":
		http.SetCookie(w, &http.Cookie{Name: "authorization", Value: "01"})
		http.Redirect(w, r, "/sign-in", http.StatusFound)
	case r.Host == "brave-otter-12.authkit.app":
		if _, err := r.Cookie("authorization"); err != nil {
			http.Error(w, "the sign-in was not begun", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, `<html data-hak-page="sign-in">`)
	case r.Host == convex:
		fmt.Fprint(w, "unknown")
	default:
		http.NotFound(w, r)
	}
}

func keys(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, body)
	}
}

func leadsTo(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusFound) }
}

// towards sends every request to one server, whatever host it names.
type towards struct {
	server *httptest.Server
	down   string
}

func (to towards) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == to.down {
		return nil, errors.New("connection refused")
	}
	sent := r.Clone(r.Context())
	sent.Host, sent.URL.Scheme, sent.URL.Host = r.URL.Host, "http", strings.TrimPrefix(to.server.URL, "http://")
	resp, err := to.server.Client().Transport.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	resp.Request = r
	return resp, nil
}

func (v vendors) connect(t testing.TB, s *Subject) {
	t.Helper()
	v.now = s.Now
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	s.HTTP = &http.Client{Transport: towards{server, v.down}}
}

const (
	authorizeAt = "api.workos.com/user_management/authorize"
	keysAt      = "api.workos.com/sso/jwks/client_01MINE"
)

// liveServers break one answer of the servers at a time.
var liveServers = []struct {
	code    string
	app     string
	servers vendors
	more    func(*Subject)
}{
	{code: "auth-server-unreachable", app: vite, servers: vendors{down: "api.workos.com"}},
	{code: "sign-in-redirect-uri-refused", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{authorizeAt: leadsTo("https://error.workos.com/redirect-uri-invalid?x=1")}}},
	{code: "sign-in-client-unknown", app: next, servers: vendors{answers: map[string]http.HandlerFunc{authorizeAt: leadsTo("https://error.workos.com/sso/client-id-invalid")}}},
	{code: "sign-in-page-disabled", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{authorizeAt: leadsTo("https://error.workos.com/sso/invalid-connection-selector")}}},
	{code: "sign-in-page-fails", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{authorizeAt: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }}}},
	{code: "clock-differs", app: vite, more: func(s *Subject) { s.Now = s.Now.Add(90 * time.Second) }},
	{code: "keys-unreachable", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{keysAt: http.NotFound}}},
	{code: "keys-content-type", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{keysAt: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }}}},
	{code: "keys-unreadable", app: next, servers: vendors{answers: map[string]http.HandlerFunc{keysAt: keys(`{"keys":[` + goodKey + `,{"kty":"OKP","crv":"X25519","x":"AA"}]}`)}}},
	{code: "keys-empty", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{keysAt: keys(`{"keys":[]}`)}}},
	{code: "keys-without-id", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{keysAt: keys(`{"keys":[` + strings.Replace(goodKey, `"kid":"sso_oidc_key_pair_01",`, "", 1) + `]}`)}}},
	{code: "discovery-fails", app: vite, more: func(s *Subject) {
		id := "client_01MINE"
		s.Deployment.Providers = append(s.Deployment.Providers, authconfig.Provider{Kind: authconfig.OIDC, Issuer: "https://auth.example.com", ApplicationID: &id})
	}},
	{code: "deployment-unreachable", app: vite, servers: vendors{down: convex}},
	{code: "token-endpoint-refuses-origin", app: vite, servers: vendors{answers: map[string]http.HandlerFunc{"api.workos.com/user_management/authenticate": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }}}},
}

func TestServersAreAsked(t *testing.T) {
	for _, c := range liveServers {
		t.Run(c.code, func(t *testing.T) {
			s := surrounded(t, c.app)
			c.servers.connect(t, s)
			if c.more != nil {
				c.more(s)
			}
			found := findingsOf(t, s)
			if len(found) == 0 || found[0].Code != c.code {
				t.Fatalf("findings = %+v, want %s first", found, c.code)
			}
			if text := fmt.Sprint(found); strings.Contains(text, "code_challenge") || strings.Contains(text, "?") {
				t.Errorf("findings %s hold the query of an address", text)
			}
		})
	}
}

func TestServersThatWorkGiveNoFinding(t *testing.T) {
	for _, app := range []string{vite, next} {
		s := surrounded(t, app)
		vendors{}.connect(t, s)
		r, err := Run(t.Context(), s, Checks())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) > 0 || len(r.Skipped) > 0 {
			t.Errorf("%s: findings %+v, skipped %+v, want none", app, r.Findings, r.Skipped)
		}
	}
}

// TestACallbackIsNotVisited holds the chain back from the app: a running session
// would send a code there.
func TestACallbackIsNotVisited(t *testing.T) {
	s := surrounded(t, next)
	visited := false
	vendors{answers: map[string]http.HandlerFunc{
		authorizeAt:               leadsTo("http://localhost:3000/callback?code=x"),
		"localhost:3000/callback": func(http.ResponseWriter, *http.Request) { visited = true },
	}}.connect(t, s)
	if found := findingsOf(t, s); len(found) > 0 || visited {
		t.Errorf("findings = %+v, visited = %v, want none and false", found, visited)
	}
}

func TestTheRepairOfGitignoreIsLasting(t *testing.T) {
	s := surrounded(t, vite, edit{".gitignore", ".env.local", "tmp/"})
	s.Git = func(context.Context, string, ...string) (int, error) { return 0, errors.New("git is not installed") }
	found := findingsOf(t, s)
	if len(found) != 1 || found[0].Code != envNotIgnored || found[0].Repair == nil {
		t.Fatalf("findings = %+v, want %s with a repair", found, envNotIgnored)
	}
	if _, err := found[0].Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := findingsOf(t, s); slices.ContainsFunc(found, func(f Finding) bool { return f.Code == envNotIgnored }) {
		t.Errorf("findings after the repair = %+v, want none", found)
	}
}
