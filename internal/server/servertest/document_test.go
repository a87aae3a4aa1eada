package servertest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/workos"
)

func load(t *testing.T) *Document {
	t.Helper()
	d, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The list of operations that the server goes by is the document's.
func TestOperationsAreThoseOfTheDocument(t *testing.T) {
	known := map[string]workos.Operation{}
	for _, o := range workos.Operations() {
		known[o.String()] = o
	}
	all := load(t).Operations()
	for _, o := range all {
		if known[o.String()] != o {
			t.Errorf("the list has %v for %v of the document", known[o.String()], o)
		}
	}
	if len(all) != 170 {
		t.Errorf("the document has %d operations, want 170: is it another version?", len(all))
	}
}

const jwks = `{"keys":[{"alg":"RS256","kty":"RSA","use":"sig","kid":"a","n":"x","e":"AQAB","x5c":["x"],"x5t#S256":"x"}]}`

func TestCheck(t *testing.T) {
	d := load(t)
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
		want         string // part of the problem; "" for none
	}{
		{"GET", "/sso/jwks/client_1", 200, jwks, ""},
		{"GET", "/sso/jwks/client_1", 200, strings.Replace(jwks, `"AQAB"`, "65537", 1), "e"},
		{"GET", "/sso/jwks/client_1", 200, `{}`, "keys"},
		{"GET", "/sso/jwks/client_1", 200, `<html>`, "no JSON"},
		{"GET", "/sso/jwks/client_1", 418, `{}`, "does not list"},
		{"GET", "/sso/jwks/client_1", 404, `{"message":"Not Found"}`, ""},
		{"GET", "/user_management/users", 401, `{"message":"Unauthorized"}`, ""},
		{"GET", "/user_management/users", 401, `{}`, "neither message nor error"},
		{"GET", "/nothing", 418, `x`, ""},
	} {
		err := d.Check(tt.method, tt.path, tt.status, "application/json", []byte(tt.body))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Check(%s %s, %d, %s) = %v, want %q", tt.method, tt.path, tt.status, tt.body, err, tt.want)
		}
	}
}

func TestTransport(t *testing.T) {
	d := load(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/sso/jwks/wrong" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(jwks))
	}))
	t.Cleanup(s.Close)
	c := &http.Client{Transport: &Transport{Base: s.Client().Transport, Document: func() (*Document, error) { return d, nil }}}
	if resp, err := c.Get(s.URL + "/sso/jwks/right"); err != nil || resp.Body.Close() != nil {
		t.Errorf("an answer that fits = %v, want nil", err)
	}
	if _, err := c.Get(s.URL + "/sso/jwks/wrong"); err == nil {
		t.Error("an answer that does not fit passes")
	}
	c.Transport.(*Transport).Exceptions = []Exception{{"GET /sso/jwks/{clientId}", http.StatusTeapot, "", "a test"}}
	if resp, err := c.Get(s.URL + "/sso/jwks/wrong"); err != nil || resp.Body.Close() != nil {
		t.Errorf("an answer that is an exception = %v, want nil", err)
	}
}
