package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// postForm posts a form, with HTTP Basic credentials unless user is "".
func postForm(t testing.TB, to string, form url.Values, user, secret string) (int, m) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		req.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(secret))
	}
	resp, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text := body(t, resp)
	var out m
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("POST %s = %d %s: %v", to, resp.StatusCode, text, err)
		}
	}
	return resp.StatusCode, out
}

// oauthApp is an application of an environment with a person who can sign in.
type oauthApp struct {
	*account
	app    m
	secret string
	config oauth2.Config
	oidc   *oidc.Provider
}

const appCallback = "https://tides.example.com/cb"

func (a *account) api(t testing.TB, method, path string, send any, want int) m {
	t.Helper()
	status, text := call(t, a.s, method, path, a.key, send)
	if status != want {
		t.Fatalf("%s %s = %d %s, want %d", method, path, status, text, want)
	}
	var out m
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
	return out
}

func (a *account) organization(t testing.TB, name string) string {
	t.Helper()
	return a.api(t, "POST", "/organizations", m{"name": name}, http.StatusCreated)["id"].(string)
}

// newOAuthApp registers an application; more changes its registration.
func newOAuthApp(t testing.TB, a *account, more m) *oauthApp {
	t.Helper()
	ask := m{"name": "Tide Tables", "application_type": "oauth", "is_first_party": true, "redirect_uris": []any{m{"uri": appCallback}}, "scopes": []string{"notes:read"}}
	maps.Copy(ask, more)
	c := &oauthApp{account: a, app: a.api(t, "POST", "/connect/applications", ask, http.StatusCreated)}
	if c.app["uses_pkce"] != true {
		c.secret = a.api(t, "POST", "/connect/applications/"+c.app["id"].(string)+"/client_secrets", m{}, http.StatusCreated)["secret"].(string)
	}
	issuer := a.s.URL() + "/authkit/" + a.e.ClientID
	var err error
	if c.oidc, err = oidc.NewProvider(t.Context(), issuer); err != nil {
		t.Fatalf("discovery: %v", err)
	}
	c.config = oauth2.Config{ClientID: c.id(), ClientSecret: c.secret, Endpoint: c.oidc.Endpoint(), RedirectURL: appCallback,
		Scopes: []string{"openid", "profile", "email", "offline_access"}}
	return c
}

func (c *oauthApp) id() string { return c.app["client_id"].(string) }

// authorize goes to the authorization endpoint and signs in there. It returns
// the answer to the last form.
func (c *oauthApp) authorize(t testing.TB, b *http.Client, options ...oauth2.AuthCodeOption) (*http.Response, string) {
	t.Helper()
	resp, html := get(t, b, c.config.AuthCodeURL("st ate", options...))
	if resp.StatusCode != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), "/sign-in?") {
		return resp, html
	}
	return submit(t, b, c.s.URL(), resp.Header.Get("Location"), "/sign-in", url.Values{"email": {email}, "password": {password}})
}

// returned reads the parameters that the application gets.
func (c *oauthApp) returned(t testing.TB, resp *http.Response, html string) url.Values {
	t.Helper()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(resp.Header.Get("Location"), appCallback+"?") {
		t.Fatalf("answer = %d to %q, want the application:\n%s", resp.StatusCode, resp.Header.Get("Location"), html)
	}
	q := to.Query()
	// RFC 9207: every answer names its issuer.
	if q.Get("state") != "st ate" || q.Get("iss") != c.s.URL()+"/authkit/"+c.e.ClientID {
		t.Errorf("answer has state %q and iss %q", q.Get("state"), q.Get("iss"))
	}
	return q
}

func (c *oauthApp) code(t testing.TB, options ...oauth2.AuthCodeOption) string {
	t.Helper()
	resp, html := c.authorize(t, browser(t), options...)
	q := c.returned(t, resp, html)
	if q.Get("code") == "" {
		t.Fatalf("answer = %v, want a code", q)
	}
	return q.Get("code")
}

func (c *oauthApp) tokens(t testing.TB) *oauth2.Token {
	t.Helper()
	tok, err := c.config.Exchange(t.Context(), c.code(t, oauth2.S256ChallengeOption(verifier)), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("Exchange = %v", err)
	}
	return tok
}

// post sends a form to one of the client's endpoints, with its credentials.
func (c *oauthApp) post(t testing.TB, endpoint string, form url.Values) (int, m) {
	t.Helper()
	if c.secret == "" {
		form.Set("client_id", c.id())
		return postForm(t, c.s.URL()+"/authkit/"+c.e.ClientID+"/oauth2/"+endpoint, form, "", "")
	}
	return postForm(t, c.s.URL()+"/authkit/"+c.e.ClientID+"/oauth2/"+endpoint, form, c.id(), c.secret)
}

// The judge is a client library that knows nothing of us: discovery, the code
// flow with PKCE, the ID token with nonce and at_hash, userinfo, refresh.
func TestAnApplicationSignsAPersonIn(t *testing.T) {
	c := newOAuthApp(t, newAccount(t, startWith(t, server.Config{Limits: noLimits}), email), nil)
	ctx := t.Context()
	tok, err := c.config.Exchange(ctx, c.code(t, oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-0S6")), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("Exchange = %v", err)
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := c.oidc.Verifier(&oidc.Config{ClientID: c.id()}).Verify(ctx, raw)
	if err != nil {
		t.Fatalf("Verify = %v", err)
	}
	if err := id.VerifyAccessToken(tok.AccessToken); err != nil || id.Nonce != "n-0S6" || id.Subject == "" {
		t.Errorf("ID token: at_hash %v, nonce %q, sub %q", err, id.Nonce, id.Subject)
	}
	var said struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		AuthTime int64  `json:"auth_time"`
	}
	if err := id.Claims(&said); err != nil || said.Email != email || !said.Verified || time.Since(time.Unix(said.AuthTime, 0)) > time.Minute {
		t.Errorf("claims = %+v, %v", said, err)
	}
	access := decode(t, tok.AccessToken)
	for name, want := range map[string]any{"iss": c.s.URL() + "/authkit/" + c.e.ClientID, "aud": c.e.ClientID, "client_id": c.id(), "sub": id.Subject, "scope": "openid profile email offline_access"} {
		if access[name] != want {
			t.Errorf("access token %s = %v, want %v", name, access[name], want)
		}
	}
	if tok.TokenType != "bearer" {
		t.Errorf("token_type = %q, want bearer", tok.TokenType)
	}
	info, err := c.oidc.UserInfo(ctx, oauth2.StaticTokenSource(tok))
	if err != nil || info.Subject != id.Subject || info.Email != email {
		t.Errorf("UserInfo = %+v, %v", info, err)
	}
	if status, out := c.post(t, "introspection", url.Values{"token": {tok.AccessToken}}); status != http.StatusOK || out["active"] != true || out["sub"] != id.Subject || out["token_type"] != "access_token" {
		t.Errorf("introspection = %d %v", status, out)
	}
	// An ID token is no access token.
	if _, err := c.oidc.UserInfo(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: raw})); err == nil {
		t.Error("UserInfo took an ID token")
	}
	// Nor is a token of User Management.
	if _, err := c.oidc.UserInfo(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: c.signIn(t)["access_token"].(string)})); err == nil {
		t.Error("UserInfo took a token of User Management")
	}
	next, err := c.config.TokenSource(ctx, &oauth2.Token{RefreshToken: tok.RefreshToken}).Token()
	if err != nil || next.RefreshToken == tok.RefreshToken || next.AccessToken == tok.AccessToken {
		t.Fatalf("refresh = %v, %v; want new tokens", next, err)
	}
	if status, _ := c.post(t, "revoke", url.Values{"token": {next.RefreshToken}}); status != http.StatusOK {
		t.Errorf("revocation = %d, want 200", status)
	}
	for name, text := range map[string]string{"refresh": next.RefreshToken, "access": next.AccessToken} {
		if _, out := c.post(t, "introspection", url.Values{"token": {text}}); out["active"] != false {
			t.Errorf("%s token after revocation: %v, want it inactive", name, out)
		}
	}
	if _, err := c.config.TokenSource(ctx, &oauth2.Token{RefreshToken: next.RefreshToken}).Token(); err == nil {
		t.Error("a revoked refresh token was taken")
	}
}

func TestMetadataIsTheSameWhereverItIsAsked(t *testing.T) {
	c := newOAuthApp(t, newAccount(t, start(t), email), nil)
	at := "/authkit/" + c.e.ClientID
	var want m
	for _, path := range []string{at + "/.well-known/openid-configuration", at + "/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server" + at,
		"/.well-known/openid-configuration" + at, "/.well-known/openid-configuration?client_id=" + c.e.ClientID, "/.well-known/oauth-authorization-server?client_id=" + c.id()} {
		status, text := call(t, c.s, "GET", path, "", nil)
		var got m
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK || got["issuer"] != c.s.URL()+at {
			t.Fatalf("GET %s = %d %s", path, status, text)
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("GET %s differs (-first +this):\n%s", path, diff)
		}
	}
	if status, text := call(t, c.s, "GET", "/.well-known/openid-configuration", "", nil); status != http.StatusNotFound {
		t.Errorf("metadata of nobody = %d %s, want 404", status, text)
	}
}

// RFC 6749 section 4.1.2.1: what is wrong with client or redirect URI is shown,
// the rest goes back. RFC 9700 section 2.1: redirect URIs are exact.
func TestAuthorizationRequests(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	public := newOAuthApp(t, a, m{"uses_pkce": true, "redirect_uris": []any{m{"uri": appCallback}, m{"uri": "http://127.0.0.1:8000/cb"}}})
	machine := a.api(t, "POST", "/connect/applications", m{"name": "Robot", "application_type": "m2m", "organization_id": a.organization(t, "Acme")}, http.StatusCreated)
	right := url.Values{"response_type": {"code"}, "client_id": {public.id()}, "redirect_uri": {appCallback}, "state": {"st ate"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "scope": {"openid"}}
	for name, try := range map[string]struct {
		change url.Values
		page   int    // a page with this status
		code   string // an error that goes back
		to     string // or a step of ours
	}{
		"right":                       {to: "/sign-in?"},
		"a registered custom scope":   {change: url.Values{"scope": {"openid notes:read"}}, to: "/sign-in?"},
		"another loopback port":       {change: url.Values{"redirect_uri": {"http://127.0.0.1:52100/cb"}}, to: "/sign-in?"},
		"no redirect URI":             {change: url.Values{"redirect_uri": nil}, to: "/sign-in?"},
		"the screen hint":             {change: url.Values{"screen_hint": {"sign-up"}}, to: "/sign-up?"},
		"another loopback path":       {change: url.Values{"redirect_uri": {"http://127.0.0.1:52100/cb2"}}, page: 400},
		"another loopback name":       {change: url.Values{"redirect_uri": {"http://localhost:8000/cb"}}, page: 400},
		"a slash more":                {change: url.Values{"redirect_uri": {appCallback + "/"}}, page: 400},
		"a query more":                {change: url.Values{"redirect_uri": {appCallback + "?x=1"}}, page: 400},
		"another port":                {change: url.Values{"redirect_uri": {"https://tides.example.com:8443/cb"}}, page: 400},
		"another site":                {change: url.Values{"redirect_uri": {"https://evil.example/cb"}}, page: 400},
		"user information":            {change: url.Values{"redirect_uri": {"https://tides.example.com@evil.example/cb"}}, page: 400},
		"an unknown client":           {change: url.Values{"client_id": {"client_x"}}, page: 404},
		"no client":                   {change: url.Values{"client_id": nil}, page: 404},
		"the environment as client":   {change: url.Values{"client_id": {a.e.ClientID}}, page: 404},
		"an M2M application":          {change: url.Values{"client_id": {machine["client_id"].(string)}}, page: 404},
		"a parameter twice":           {change: url.Values{"redirect_uri": {appCallback, "https://evil.example"}}, page: 400},
		"no response type":            {change: url.Values{"response_type": nil}, code: "invalid_request"},
		"the implicit flow":           {change: url.Values{"response_type": {"token"}}, code: "unsupported_response_type"},
		"a fragment answer":           {change: url.Values{"response_mode": {"fragment"}}, code: "invalid_request"},
		"no PKCE":                     {change: url.Values{"code_challenge": nil, "code_challenge_method": nil}, code: "invalid_request"},
		"plain PKCE":                  {change: url.Values{"code_challenge_method": {"plain"}}, code: "invalid_request"},
		"PKCE without a method":       {change: url.Values{"code_challenge_method": nil}, code: "invalid_request"},
		"a challenge that is none":    {change: url.Values{"code_challenge": {"x"}}, code: "invalid_request"},
		"a scope that is not its own": {change: url.Values{"scope": {"openid admin"}}, code: "invalid_scope"},
		"a scope that is none":        {change: url.Values{"scope": {`a"b`}}, code: "invalid_scope"},
		"a relative resource":         {change: url.Values{"resource": {"/api"}}, code: "invalid_target"},
		"a request object":            {change: url.Values{"request": {"x.y.z"}}, code: "request_not_supported"},
		"no interaction":              {change: url.Values{"prompt": {"none"}}, code: "login_required"},
		"an unknown organization":     {change: url.Values{"organization_id": {"org_x"}}, code: "organization_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			q := maps.Clone(right)
			maps.Copy(q, try.change)
			for _, at := range []string{"/oauth2/authorize?", "/authkit/" + a.e.ClientID + "/oauth2/authorize?"} {
				resp, html := get(t, browser(t), a.s.URL()+at+q.Encode())
				switch to := resp.Header.Get("Location"); {
				case try.page != 0 && (resp.StatusCode != try.page || to != ""):
					t.Errorf("%s = %d to %q, want a page with %d:\n%s", at, resp.StatusCode, to, try.page, html)
				case try.to != "" && !strings.HasPrefix(to, try.to):
					t.Errorf("%s = %d to %q, want %s:\n%s", at, resp.StatusCode, to, try.to, html)
				case try.code != "":
					if got := public.returned(t, resp, html); got.Get("error") != try.code || got.Get("code") != "" {
						t.Errorf("%s returns %v, want %s", at, got, try.code)
					}
				}
			}
		})
	}
}

func TestTokenRequestsOfApplications(t *testing.T) {
	clk := &clock{}
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits, Now: clk.now}), email)
	b := newAccount(t, a.s, email)
	c, other, public, elsewhere := newOAuthApp(t, a, nil), newOAuthApp(t, a, nil), newOAuthApp(t, a, m{"uses_pkce": true}), newOAuthApp(t, b, nil)
	pkce := oauth2.S256ChallengeOption(verifier)
	for name, try := range map[string]struct {
		of, by *oauthApp
		more   url.Values
		begin  []oauth2.AuthCodeOption
		after  time.Duration
		status int
		code   string
	}{
		"right":                             {of: c, begin: []oauth2.AuthCodeOption{pkce}, status: 200},
		"without redirect_uri (OAuth 2.1)":  {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"redirect_uri": nil}, status: 200},
		"confidential without PKCE":         {of: c, more: url.Values{"code_verifier": nil}, status: 200},
		"public with PKCE":                  {of: public, begin: []oauth2.AuthCodeOption{pkce}, status: 200},
		"public with a secret it has not":   {of: public, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"client_secret": {"x"}}, status: 401, code: "invalid_client"},
		"confidential with a verifier only": {of: c, status: 400, code: "invalid_grant"},
		"neither PKCE nor redirect_uri":     {of: c, more: url.Values{"code_verifier": nil, "redirect_uri": nil}, status: 400, code: "invalid_grant"},
		"wrong verifier":                    {of: public, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"code_verifier": {verifier + "x"}}, status: 400, code: "invalid_grant"},
		"no verifier":                       {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"code_verifier": nil}, status: 400, code: "invalid_grant"},
		"another redirect_uri":              {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"redirect_uri": {appCallback + "/"}}, status: 400, code: "invalid_grant"},
		"another application":               {of: c, by: other, begin: []oauth2.AuthCodeOption{pkce}, status: 400, code: "invalid_grant"},
		"another environment":               {of: c, by: elsewhere, begin: []oauth2.AuthCodeOption{pkce}, status: 400, code: "invalid_grant"},
		"expired":                           {of: c, begin: []oauth2.AuthCodeOption{pkce}, after: auth.ApplicationCodeLifetime + time.Second, status: 400, code: "invalid_grant"},
		"no code":                           {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"code": nil}, status: 400, code: "invalid_request"},
		"a parameter twice":                 {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"code_verifier": {verifier, verifier}}, status: 400, code: "invalid_request"},
		"no grant type":                     {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"grant_type": nil}, status: 400, code: "invalid_request"},
		"the password grant":                {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"grant_type": {"password"}}, status: 400, code: "unsupported_grant_type"},
		"client credentials of a person's":  {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"grant_type": {"client_credentials"}}, status: 400, code: "unauthorized_client"},
		"two ways of authentication":        {of: c, begin: []oauth2.AuthCodeOption{pkce}, more: url.Values{"client_secret": {"x"}}, status: 400, code: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			code := try.of.code(t, try.begin...)
			clk.advance(try.after)
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {appCallback}, "code_verifier": {verifier}}
			maps.Copy(form, try.more)
			by := try.of
			if try.by != nil {
				by = try.by
			}
			status, out := by.post(t, "token", form)
			if got, _ := out["error"].(string); status != try.status || got != try.code {
				t.Fatalf("token = %d %v, want %d %s", status, out, try.status, try.code)
			}
			if text := fmt.Sprint(out["error_description"]); strings.Contains(text, code) || strings.Contains(text, verifier) {
				t.Errorf("the answer holds the code or its verifier: %s", text)
			}
		})
	}
	for name, secret := range map[string]string{"wrong secret": "x", "no secret": "", "secret of another application": other.secret} {
		status, out := postForm(t, a.s.URL()+"/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {c.id()}, "client_secret": {secret}, "code": {"x"}}, "", "")
		if status != http.StatusUnauthorized || out["error"] != "invalid_client" {
			t.Errorf("%s = %d %v, want 401 invalid_client", name, status, out)
		}
	}
}

// RFC 9700 sections 4.5 and 4.14.2: of many uses of one code or refresh token
// one wins, and what it gave ends, because somebody else holds the same.
func TestApplicationCodesAndRefreshTokensAreSpentOnce(t *testing.T) {
	c := newOAuthApp(t, newAccount(t, startWith(t, server.Config{Limits: noLimits}), email), nil)
	tok := c.tokens(t) // once before the parallel ones, see TestACodeIsSpentOnce
	race := func(form url.Values) string {
		t.Helper()
		var wins atomic.Int64
		var refresh atomic.Value
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				switch status, out := c.post(t, "token", maps.Clone(form)); {
				case status == http.StatusOK:
					wins.Add(1)
					refresh.Store(out["refresh_token"])
				case status != http.StatusBadRequest || out["error"] != "invalid_grant":
					t.Errorf("a losing request = %d %v, want 400 invalid_grant", status, out)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d of 50 won, want 1", wins.Load())
		}
		return refresh.Load().(string)
	}
	ended := func(refresh string) {
		t.Helper()
		if status, out := c.post(t, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			t.Errorf("refresh after a replay = %d %v, want 400 invalid_grant", status, out)
		}
	}
	ended(race(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}}))
	ended(race(url.Values{"grant_type": {"authorization_code"}, "code": {c.code(t, oauth2.S256ChallengeOption(verifier))}, "code_verifier": {verifier}}))
}

func TestRefreshOfApplications(t *testing.T) {
	c := newOAuthApp(t, newAccount(t, startWith(t, server.Config{Limits: noLimits}), email), nil)
	other := newOAuthApp(t, c.account, nil)
	tok := c.tokens(t)
	refresh := func(by *oauthApp, token, scope string) (int, m) {
		t.Helper()
		return by.post(t, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "scope": {scope}})
	}
	for name, try := range map[string]struct {
		by           *oauthApp
		token, scope string
		code         string
	}{
		"more scope":             {c, tok.RefreshToken, "openid notes:read", "invalid_scope"},
		"another application":    {other, tok.RefreshToken, "", "invalid_grant"},
		"damaged":                {c, tok.RefreshToken[:40], "", "invalid_grant"},
		"of User Management":     {c, c.signIn(t)["refresh_token"].(string), "", "invalid_grant"},
		"an access token":        {c, tok.AccessToken, "", "invalid_grant"},
		"a scope that is no one": {c, tok.RefreshToken, `"`, "invalid_scope"},
	} {
		if status, out := refresh(try.by, try.token, try.scope); status != http.StatusBadRequest || out["error"] != try.code {
			t.Errorf("%s: refresh = %d %v, want 400 %s", name, status, out, try.code)
		}
	}
	// None of that spent it; a narrowed one keeps what the session has.
	status, out := refresh(c, tok.RefreshToken, "email openid")
	if status != http.StatusOK || out["scope"] != "email openid" || out["refresh_token"] == nil {
		t.Fatalf("narrowed refresh = %d %v", status, out)
	}
	if status, out = refresh(c, out["refresh_token"].(string), ""); status != http.StatusOK || out["scope"] != "openid profile email offline_access" {
		t.Errorf("refresh after a narrowed one = %d %v, want all scopes", status, out)
	}
	if status, um := authenticate(t, c.s.URL(), url.Values{"grant_type": {"refresh_token"}, "client_id": {c.e.ClientID}, "refresh_token": {out["refresh_token"].(string)}}); status != http.StatusBadRequest {
		t.Errorf("User Management took an application's refresh token: %d %v", status, um)
	}
}

func TestMachinesGetTokens(t *testing.T) {
	a := newAccount(t, start(t), email)
	org := a.organization(t, "Acme")
	app := a.api(t, "POST", "/connect/applications", m{"name": "Robot", "application_type": "m2m", "organization_id": org, "scopes": []string{"notes:read", "notes:write"}}, http.StatusCreated)
	made := a.api(t, "POST", "/connect/applications/"+app["id"].(string)+"/client_secrets", m{}, http.StatusCreated)
	cfg := clientcredentials.Config{ClientID: app["client_id"].(string), ClientSecret: made["secret"].(string), TokenURL: a.s.URL() + "/oauth2/token", Scopes: []string{"notes:read"}}
	tok, err := cfg.Token(t.Context())
	if err != nil {
		t.Fatalf("Token = %v", err)
	}
	claims := decode(t, tok.AccessToken)
	for name, want := range map[string]any{"sub": cfg.ClientID, "client_id": cfg.ClientID, "org_id": org, "aud": a.e.ClientID, "scope": "notes:read", "iss": a.s.URL() + "/authkit/" + a.e.ClientID} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}
	if tok.RefreshToken != "" {
		t.Error("a machine got a refresh token")
	}
	cfg.EndpointParams = url.Values{"resource": {"https://api.example.com/v1"}}
	if tok, err = cfg.Token(t.Context()); err != nil || decode(t, tok.AccessToken)["aud"] != "https://api.example.com/v1" {
		t.Errorf("token for a resource = %v, %v; want its aud", tok, err)
	}
	cfg.Scopes = []string{"admin"}
	if _, err := cfg.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid_scope") {
		t.Errorf("Token with a scope it has not = %v, want invalid_scope", err)
	}
	// The token is good as long as its application is there.
	ask := url.Values{"client_id": {a.e.ClientID}, "client_secret": {a.key}, "token": {tok.AccessToken}}
	if _, out := oauthCall(t, a.s, "/oauth2/introspection", ask); out["active"] != true {
		t.Errorf("introspection = %v, want it active", out)
	}
	a.api(t, "DELETE", "/organizations/"+org, nil, http.StatusOK)
	if _, out := oauthCall(t, a.s, "/oauth2/introspection", ask); out["active"] != false {
		t.Errorf("introspection after its organization went = %v, want it inactive", out)
	}
}

// A person is asked once for each scope that an application of another
// organization wants, and by prompt=consent again.
func TestConsent(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	org := a.organization(t, "Acme")
	c := newOAuthApp(t, a, m{"is_first_party": false, "organization_id": org})
	pkce := oauth2.S256ChallengeOption(verifier)
	asked := func(options ...oauth2.AuthCodeOption) (*http.Client, string) {
		t.Helper()
		b := browser(t)
		resp, html := c.authorize(t, b, append(options, pkce)...)
		return b, leadsTo(t, resp, html, "/application-authorization")
	}
	b, page := asked()
	resp, html := get(t, b, a.s.URL()+page)
	for _, want := range []string{`data-hak-page="application-authorization"`, "Tide Tables", "tides.example.com", email, "Keep access while you are away"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %q:\n%s", want, html)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://tides.example.com") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy = %s", csp)
	}
	if resp, _ := get(t, browser(t), a.s.URL()+page); resp.StatusCode < 400 {
		t.Errorf("the page in another browser = %d, want it refused", resp.StatusCode)
	}
	resp, html = submit(t, b, a.s.URL(), page, "/application-authorization", url.Values{"decision": {"deny"}})
	if q := c.returned(t, resp, html); q.Get("error") != "access_denied" || q.Get("code") != "" {
		t.Errorf("refusal returns %v, want access_denied", q)
	}
	// A refusal is not remembered, and anything that is no yes is one.
	b, page = asked()
	resp, html = submit(t, b, a.s.URL(), page, "/application-authorization", url.Values{"decision": {"maybe"}})
	if q := c.returned(t, resp, html); q.Get("error") != "access_denied" {
		t.Errorf("an odd decision returns %v, want access_denied", q)
	}
	b, page = asked()
	resp, html = submit(t, b, a.s.URL(), page, "/application-authorization", url.Values{"decision": {"allow"}})
	tok, err := c.config.Exchange(t.Context(), c.returned(t, resp, html).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("Exchange = %v", err)
	}
	c.code(t, pkce) // remembered
	asked(oauth2.SetAuthURLParam("prompt", "consent"))
	c.config.Scopes = append(c.config.Scopes, "notes:read")
	asked()
	c.config.Scopes = []string{"openid"}
	c.code(t, pkce)
	asked(oauth2.SetAuthURLParam("resource", "https://api.example.com"))

	user := userID(t, a.e, email)
	list := a.api(t, "GET", "/user_management/users/"+user+"/authorized_applications", nil, http.StatusOK)["data"].([]any)
	if len(list) != 1 || list[0].(m)["application"].(m)["id"] != c.app["id"] || fmt.Sprint(list[0].(m)["granted_scopes"]) != "[openid profile email offline_access]" {
		t.Fatalf("authorized applications = %v", list)
	}
	a.api(t, "DELETE", "/user_management/users/"+user+"/authorized_applications/"+c.app["id"].(string), nil, http.StatusNoContent)
	a.api(t, "DELETE", "/user_management/users/"+user+"/authorized_applications/"+c.app["id"].(string), nil, http.StatusNotFound)
	if _, out := c.post(t, "introspection", url.Values{"token": {tok.AccessToken}}); out["active"] != false {
		t.Errorf("token after the authorization went = %v, want it inactive", out)
	}
	if status, out := c.post(t, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}}); status != http.StatusBadRequest {
		t.Errorf("refresh after the authorization went = %d %v, want it refused", status, out)
	}
	asked()
}

// RFC 9700 section 4.14.2: a password that is reset ends what applications have
// of the person, and a code that was not redeemed yet.
func TestAResetPasswordEndsApplicationSignIns(t *testing.T) {
	c := newOAuthApp(t, newAccount(t, startWith(t, server.Config{Limits: noLimits}), email), nil)
	tok, code := c.tokens(t), c.code(t, oauth2.S256ChallengeOption(verifier))
	if _, list := call(t, c.s, "GET", "/events?events=authentication.password_succeeded", c.key, nil); strings.Count(list, `"type":"password"`) != 2 {
		t.Errorf("events = %s, want authentication.password_succeeded of both sign-ins", list)
	}
	reset := c.api(t, "POST", "/user_management/password_reset", m{"email": email}, http.StatusCreated)
	c.api(t, "POST", "/user_management/password_reset/confirm", m{"token": reset["password_reset_token"], "new_password": password + "!"}, http.StatusOK)
	for name, form := range map[string]url.Values{
		"refresh token": {"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}},
		"code":          {"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {appCallback}},
	} {
		if status, out := c.post(t, "token", form); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			t.Errorf("%s after the reset = %d %v, want 400 invalid_grant", name, status, out)
		}
	}
	if status, text := call(t, c.s, "GET", "/oauth2/userinfo", tok.AccessToken, nil); status != http.StatusUnauthorized {
		t.Errorf("userinfo after the reset = %d %s, want 401", status, text)
	}
}

// Pages of the environment's origins may ask for tokens and use them; no others.
func TestBrowsersMayCallApplicationEndpoints(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	c := newOAuthApp(t, a, nil)
	_, other := environment(t, a.s, "other")
	const origin, foreign = "https://app.example.com", "https://other.example.com"
	for e, o := range map[*store.Env]string{a.e: origin, other: foreign} {
		if _, err := e.AddCORSOrigin(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(method, path, from, bearer string) http.Header {
		t.Helper()
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id()}, "client_secret": {"wrong"}, "token": {"x"}}
		req, err := http.NewRequestWithContext(t.Context(), method, a.s.URL()+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Origin": {from}, "Content-Type": {"application/x-www-form-urlencoded"}}
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body(t, resp)
		if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("%s %s: Access-Control-Allow-Credentials %q, want none", method, path, got)
		}
		return resp.Header
	}
	token := c.tokens(t).AccessToken
	for _, prefix := range []string{"", "/authkit/" + a.e.ClientID} {
		for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo"} {
			bearer := map[bool]string{true: token}[path == "/oauth2/userinfo"]
			for from, want := range map[string]string{origin: origin, foreign: "", "https://evil.example": "", "null": ""} {
				if got := ask("POST", prefix+path, from, bearer).Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("POST %s from %s: Access-Control-Allow-Origin %q, want %q", prefix+path, from, got, want)
				}
				if prefix == "" && from == foreign {
					want = foreign // a preflight at the root names no environment
				}
				h := ask("OPTIONS", prefix+path, from, "")
				if h.Get("Access-Control-Allow-Origin") != want || (want != "") != strings.Contains(h.Get("Access-Control-Allow-Headers"), "authorization") {
					t.Errorf("OPTIONS %s from %s: headers %v, want %q allowed", prefix+path, from, h, want)
				}
			}
		}
	}
}
