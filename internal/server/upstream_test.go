package server_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

// provider is an OpenID Connect provider in the test's process. The members
// change what it does wrong.
type provider struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu     sync.Mutex
	asked  map[string]url.Values // authorization requests by code
	claims func(m)               // changes the claims of the ID token
	forge  bool                  // signs with another key
	token  func(http.ResponseWriter)
	down   bool
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, asked: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		if p.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answerJSON(w, m{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"end_session_endpoint": p.URL + "/logout", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, m{"keys": []m{{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("POST /token", p.exchange)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// allow is the person's consent at the provider: it returns a code.
func (p *provider) allow(q url.Values) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := rand.Text()
	p.asked[code] = q
	return code
}

func (p *provider) exchange(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()
	q, ok := p.asked[r.PostForm.Get("code")]
	delete(p.asked, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	id, pass, _ := r.BasicAuth()
	pass, _ = url.QueryUnescape(pass) // RFC 6749 section 2.3.1
	if !ok || q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || q.Get("redirect_uri") != r.PostForm.Get("redirect_uri") || id != "berth" || pass != "upstream secret" {
		w.WriteHeader(http.StatusBadRequest)
		answerJSON(w, m{"error": "invalid_grant"})
		return
	}
	if p.token != nil {
		p.token(w)
		return
	}
	claims := m{"iss": p.URL, "aud": "berth", "sub": "person-1", "nonce": q.Get("nonce"), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"email": email, "email_verified": true, "given_name": "Ada", "groups": []string{"Engineering"}}
	if p.claims != nil {
		p.claims(claims)
	}
	key := p.key
	if p.forge {
		key, _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	head, _ := json.Marshal(m{"alg": "RS256", "kid": "k", "typ": "JWT"})
	body, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	signature, _ := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	answerJSON(w, m{"access_token": "upstream-access", "refresh_token": "upstream-refresh", "token_type": "Bearer", "expires_in": 3600,
		"id_token": text + "." + base64.RawURLEncoding.EncodeToString(signature)})
}

func TestRealProviders(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	p := newProvider(t)
	conn, err := a.e.CreateConnection(t.Context(), identity.Connection{Type: "GoogleOAuth", Kind: identity.OIDCConnection, Name: "Google", State: identity.ConnectionActive,
		Issuer: p.URL, ClientID: "berth", ClientSecret: secret.String("upstream secret"), ReturnTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	through := func(t *testing.T) (*http.Response, string) {
		c, _, resp := a.away(t, umAuthorize, url.Values{"provider": {"GoogleOAuth"}, "login_hint": {email}, "provider_scopes": {"calendar"},
			"provider_query_params[access_type]": {"offline"}, "provider_query_params[client_id]": {"evil"}})
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || !strings.HasPrefix(to.String(), p.URL+"/authorize?") {
			return resp, ""
		}
		q := to.Query()
		if q.Get("client_id") != "berth" || q.Get("redirect_uri") != a.s.URL()+"/sso/callback" || q.Get("code_challenge_method") != "S256" || len(q.Get("nonce")) < 20 ||
			q.Get("login_hint") != email || q.Get("access_type") != "offline" || q.Get("scope") != "openid profile email calendar" {
			t.Errorf("request to the provider = %v", q)
		}
		return get(t, c, a.s.URL()+"/sso/callback?"+url.Values{"state": {q.Get("state")}, "code": {p.allow(q)}}.Encode())
	}
	t.Run("a person signs in, with the provider's tokens", func(t *testing.T) {
		resp, html := through(t)
		status, out := a.exchange(t, returned(t, resp, html).Get("code"), nil)
		tokens, _ := out["oauth_tokens"].(m)
		if status != http.StatusOK || out["authentication_method"] != "GoogleOAuth" || tokens["access_token"] != "upstream-access" || tokens["refresh_token"] != "upstream-refresh" {
			t.Errorf("exchange = %d %v, want 200 with the tokens", status, out)
		}
	})
	sessions := func() int {
		u, err := a.e.UserByEmail(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		_, text := call(t, a.s, "GET", "/user_management/users/"+u.ID+"/sessions?limit=100", a.key, nil)
		return strings.Count(text, `"session_`)
	}
	before := sessions()
	claim := func(name string, v any) func() {
		return func() { p.claims = func(c m) { c[name] = v } }
	}
	for name, spoil := range map[string]func(){
		"another nonce":     claim("nonce", "AAAA"),
		"no nonce":          func() { p.claims = func(c m) { delete(c, "nonce") } },
		"another audience":  claim("aud", "somebody"),
		"several audiences": claim("aud", []string{"berth", "somebody"}),
		"another party":     claim("azp", "somebody"),
		"another issuer":    claim("iss", "https://evil.example"),
		"expired":           claim("exp", time.Now().Add(-time.Hour).Unix()),
		"no address":        func() { p.claims = func(c m) { delete(c, "email") } },
		"another signature": func() { p.forge = true },
		"no ID token":       func() { p.token = func(w http.ResponseWriter) { answerJSON(w, m{"access_token": "x"}) } },
		"a huge answer": func() {
			p.token = func(w http.ResponseWriter) { answerJSON(w, m{"access_token": strings.Repeat("x", 3<<20)}) }
		},
		"an error of its own":   func() { p.token = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) } },
		"an answer that is not": func() { p.token = func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) } },
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			p.claims, p.forge, p.token = nil, false, nil
			spoil()
			resp, html := through(t)
			q := returned(t, resp, html)
			if q.Get("error") != "oauth_failed" || q.Get("code") != "" || strings.Contains(q.Get("error_description"), "upstream secret") {
				t.Errorf("answer = %v, want oauth_failed", q)
			}
		})
	}
	if after := sessions(); after != before {
		t.Errorf("%d sessions after the refusals, want %d", after, before)
	}
	t.Run("a provider that is down", func(t *testing.T) {
		other := newProvider(t)
		other.down = true
		o, err := a.e.CreateOrganization(t.Context(), identity.Organization{Name: "Down"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := a.e.CreateConnection(t.Context(), identity.Connection{OrganizationID: o.ID, Type: "GenericOIDC", Kind: identity.OIDCConnection, Name: "Down", State: identity.ConnectionActive,
			Issuer: other.URL, ClientID: "berth", ClientSecret: "upstream secret"})
		if err != nil {
			t.Fatal(err)
		}
		_, _, resp := a.away(t, umAuthorize, url.Values{"connection_id": {c.ID}})
		if got := returned(t, resp, "").Get("error"); got != "oauth_failed" {
			t.Errorf("error = %q, want oauth_failed", got)
		}
	})
	t.Run("its secret is sealed at rest and shown nowhere", func(t *testing.T) {
		if _, text := call(t, a.s, "GET", "/connections/"+conn.ID, a.key, nil); strings.Contains(text, "upstream secret") || strings.Contains(text, "client_secret") {
			t.Errorf("connection = %s, want no secret", text)
		}
	})
}
