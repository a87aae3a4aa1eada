package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// fastHash keeps tests quick; the parameters are those of a test, not of a server.
var fastHash = auth.HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1}

// noLimits is for tests that sign one person in more often than the documented
// rates allow, and whose subject is another.
var noLimits = &limit.Rules{}

func start(t testing.TB) *server.Server {
	t.Helper()
	return startWith(t, server.Config{})
}

// startWith runs a server on a fresh folder and a free port until the test ends.
func startWith(t testing.TB, cfg server.Config) *server.Server {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.Hash == (auth.HashParams{}) {
		cfg.Hash = fastHash
	}
	cfg.Addr, cfg.Version = "127.0.0.1:0", "test"
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return s
}

func environment(t testing.TB, s *server.Server, name string) (*store.Team, *store.Env) {
	t.Helper()
	team, err := s.Store().FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	e, err := team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return team, e
}

// browser follows redirects only when told to, and keeps cookies.
func browser(t testing.TB) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

const verifier = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var flowField = regexp.MustCompile(`name="flow" value="([^"]+)"`)

func get(t testing.TB, c *http.Client, u string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body(t, resp)
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func post(t testing.TB, c *http.Client, u string, form url.Values) (*http.Response, string) {
	t.Helper()
	resp, err := c.PostForm(u, form)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body(t, resp)
}

// signIn goes through authorize and the hosted page and returns the code.
func signIn(t testing.TB, c *http.Client, base string, e *store.Env, redirectURI, page string, form url.Values) string {
	t.Helper()
	q := url.Values{"client_id": {e.ClientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "provider": {"authkit"},
		"state": {"a b&c"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	if page == "/sign-up" {
		q.Set("screen_hint", "sign-up")
	}
	resp, _ := get(t, c, base+"/user_management/authorize?"+q.Encode())
	if resp.StatusCode != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), page) {
		t.Fatalf("authorize = %d to %q, want 302 to %s", resp.StatusCode, resp.Header.Get("Location"), page)
	}
	resp, html := get(t, c, base+resp.Header.Get("Location"))
	m := flowField.FindStringSubmatch(html)
	if resp.StatusCode != http.StatusOK || m == nil {
		t.Fatalf("page = %d, flow field %v:\n%s", resp.StatusCode, m, html)
	}
	form.Set("flow", m[1])
	resp, html = post(t, c, base+page, form)
	if page == "/sign-up" {
		resp, html = proveAddress(t, c, base, e, form.Get("email"), resp, html)
	}
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("post %s = %d, want 303:\n%s", page, resp.StatusCode, html)
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), redirectURI) || to.Query().Get("state") != "a b&c" {
		t.Fatalf("callback = %v, %v; want %s with the state", to, err, redirectURI)
	}
	return to.Query().Get("code")
}

func authenticate(t testing.TB, base string, body url.Values) (int, map[string]any) {
	t.Helper()
	resp, text := post(t, http.DefaultClient, base+"/user_management/authenticate", body)
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("authenticate answered %q: %v", text, err)
	}
	return resp.StatusCode, out
}

func TestSignUpSignInRefreshAndSignOut(t *testing.T) {
	s := start(t)
	_, e := environment(t, s, "dev")
	const callback = "http://localhost:5173/callback"
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	if err := e.SetHomepage(t.Context(), "http://localhost:5173"); err != nil {
		t.Fatal(err)
	}
	c := browser(t)
	code := signIn(t, c, s.URL(), e, callback, "/sign-up", url.Values{"email": {"ada@example.com"}, "password": {"correct horse"}, "name": {"Ada Lovelace"}})
	status, out := authenticate(t, s.URL(), url.Values{"grant_type": {"authorization_code"}, "client_id": {e.ClientID}, "code": {code}, "code_verifier": {verifier}})
	if status != http.StatusOK || out["access_token"] == "" {
		t.Fatalf("exchange = %d %v, want 200 with tokens", status, out)
	}
	status, again := authenticate(t, s.URL(), url.Values{"grant_type": {"refresh_token"}, "client_id": {e.ClientID}, "refresh_token": {out["refresh_token"].(string)}})
	if status != http.StatusOK || again["access_token"] == out["access_token"] || again["refresh_token"] == out["refresh_token"] {
		t.Fatalf("refresh = %d, want 200 with new tokens", status)
	}
	code = signIn(t, c, s.URL(), e, callback, "/sign-in", url.Values{"email": {"ADA@example.com"}, "password": {"correct horse"}})
	status, out = authenticate(t, s.URL(), url.Values{"grant_type": {"authorization_code"}, "client_id": {e.ClientID}, "code": {code}, "code_verifier": {verifier}})
	if status != http.StatusOK {
		t.Fatalf("second exchange = %d %v, want 200", status, out)
	}
	claims := decode(t, out["access_token"].(string))
	resp, _ := get(t, c, s.URL()+"/user_management/sessions/logout?session_id="+claims["sid"].(string))
	if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "http://localhost:5173" {
		t.Fatalf("logout = %d to %q, want 302 to the homepage", resp.StatusCode, resp.Header.Get("Location"))
	}
	status, out = authenticate(t, s.URL(), url.Values{"grant_type": {"refresh_token"}, "client_id": {e.ClientID}, "refresh_token": {out["refresh_token"].(string)}})
	if status != http.StatusBadRequest || out["error"] != "invalid_grant" {
		t.Fatalf("refresh after sign-out = %d %v, want 400 invalid_grant", status, out)
	}
}

func decode(t testing.TB, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts, want 3", len(parts))
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
