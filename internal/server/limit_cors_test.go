package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server"
)

// A program in a browser can read that it has to wait and for how long, also
// where its address is refused before a route is reached, and only pages of
// known origins can.
func TestABrowserReadsTheAnswerOfALimit(t *testing.T) {
	clk := newStopped()
	rules := limit.Documented()
	rules.Requests = limit.Rule{Max: 1, Per: time.Minute}
	s := startWith(t, server.Config{Now: clk.now, Limits: &rules})
	_, e := environment(t, s, "dev")
	if _, err := e.AddCORSOrigin(t.Context(), "https://app.example.com"); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, origin, accept string) http.Header {
		t.Helper()
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr = "192.0.2.1:1000"
		r.Header.Set("Accept", accept)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := s.Recorded(r)
		if want := http.StatusTooManyRequests; method != http.MethodOptions && w.Code != want {
			t.Fatalf("%s %s = %d, want %d", method, path, w.Code, want)
		}
		return w.Header()
	}
	first := httptest.NewRequest("GET", "/berth/v1/health", nil)
	first.RemoteAddr = "192.0.2.1:1000"
	if got := s.Answer(first); got != http.StatusOK {
		t.Fatalf("first request = %d, want 200", got)
	}
	for name, c := range map[string]struct {
		method, path, origin, accept string
		allowed                      string
	}{
		"the token endpoint":               {"POST", "/user_management/authenticate", "https://app.example.com", "*/*", "https://app.example.com"},
		"the token endpoint for a strange": {"POST", "/user_management/authenticate", "https://evil.example", "*/*", ""},
		"the token endpoint for a server":  {"POST", "/user_management/authenticate", "", "*/*", ""},
		"keys":                             {"GET", "/sso/jwks/" + e.ClientID, "https://app.example.com", "*/*", "*"},
		"discovery":                        {"GET", "/user_management/" + e.ClientID + "/.well-known/openid-configuration", "", "*/*", "*"},
		"a call with an API key":           {"GET", "/user_management/users", "https://app.example.com", "application/json", ""},
		"Berth's own protocol":             {"GET", "/berth/v1/me", "", "application/json", ""},
		"a page":                           {"GET", "/sign-in", "https://app.example.com", "text/html", ""},
		"an address that is none":          {"GET", "/nowhere", "", "*/*", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := ask(c.method, c.path, c.origin, c.accept)
			if h.Get("Retry-After") != "60" || h.Get("Access-Control-Allow-Origin") != c.allowed || (h.Get("Access-Control-Expose-Headers") == "Retry-After") != (c.allowed != "") {
				t.Errorf("%s %s of %q = %v, want Retry-After 60 and allowed origin %q", c.method, c.path, c.origin, h, c.allowed)
			}
		})
	}
	h := ask("OPTIONS", "/user_management/authenticate", "https://app.example.com", "*/*")
	if h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || h.Get("Retry-After") != "" {
		t.Errorf("preflight over the limit = %v, want it answered, so that the browser sends the request and reads its answer", h)
	}
}
