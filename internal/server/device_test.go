package server_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// startDevice begins a device flow of the environment itself.
func (a *account) startDevice(t testing.TB) m {
	t.Helper()
	status, out := authenticateAt(t, a.s.URL()+"/user_management/authorize/device", url.Values{"client_id": {a.e.ClientID}})
	if status != http.StatusOK {
		t.Fatalf("authorize/device = %d %v", status, out)
	}
	return out
}

func authenticateAt(t testing.TB, to string, form url.Values) (int, m) {
	t.Helper()
	return postForm(t, to, form, "", "")
}

func (a *account) poll(t testing.TB, device m) (int, m) {
	t.Helper()
	return authenticateAt(t, a.s.URL()+"/user_management/authenticate", url.Values{"grant_type": {workos.GrantDeviceCode}, "client_id": {a.e.ClientID}, "device_code": {device["device_code"].(string)}})
}

// enter types a user code in a browser and returns the page that shows it again.
func enter(t testing.TB, s *server.Server, c *http.Client, typed string) string {
	t.Helper()
	resp, html := post(t, c, s.URL()+"/device", url.Values{"user_code": {typed}})
	return leadsTo(t, resp, html, "/device/confirm")
}

// approve signs the person in for the device that shows a code.
func (a *account) approve(t testing.TB, userCode string) {
	t.Helper()
	c := browser(t)
	resp, html := submit(t, c, a.s.URL(), enter(t, a.s, c, userCode), "/device/confirm", url.Values{"decision": {"allow"}})
	resp, html = submit(t, c, a.s.URL(), leadsTo(t, resp, html, "/sign-in"), "/sign-in", url.Values{"email": {email}, "password": {password}})
	_, html = get(t, c, a.s.URL()+leadsTo(t, resp, html, "/device/success"))
	if !strings.Contains(html, `data-hak-page="device/success"`) {
		t.Fatalf("the last page:\n%s", html)
	}
}

func TestADeviceSignsIn(t *testing.T) {
	clk := &clock{}
	a := newAccount(t, startWith(t, server.Config{Now: clk.now, Limits: noLimits}), email)
	d := a.startDevice(t)
	code := d["user_code"].(string)
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(code) {
		t.Errorf("user_code = %q", code)
	}
	if d["verification_uri"] != a.s.URL()+"/device" || d["verification_uri_complete"] != a.s.URL()+"/device?user_code="+code || d["expires_in"] != 300.0 || d["interval"] != 5.0 {
		t.Errorf("answer = %v", d)
	}
	wants := func(want string) {
		t.Helper()
		if status, out := a.poll(t, d); status != http.StatusBadRequest || out["error"] != want || out["error_description"] == "" {
			t.Errorf("poll = %d %v, want 400 %s", status, out, want)
		}
	}
	wants("authorization_pending")
	wants("slow_down") // the interval is 10 seconds now
	clk.advance(6 * time.Second)
	wants("slow_down") // and 15
	clk.advance(16 * time.Second)
	wants("authorization_pending")

	// A link with the code shows it, and looks nothing up until somebody says so.
	c := browser(t)
	if resp, html := get(t, c, d["verification_uri_complete"].(string)); resp.StatusCode != http.StatusOK || !strings.Contains(html, `value="`+code+`"`) || !strings.Contains(html, `data-hak-page="device"`) {
		t.Errorf("page with the code = %d:\n%s", resp.StatusCode, html)
	}
	resp, html := post(t, c, a.s.URL()+"/device", url.Values{"user_code": {"BCDF-GHJ"}})
	refusedWith(t, resp, html, "No device waits for this code")
	page := enter(t, a.s, c, " "+strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	if _, html := get(t, c, a.s.URL()+page); !strings.Contains(html, code) { // RFC 8628 section 5.4
		t.Errorf("the confirmation does not show the code:\n%s", html)
	}
	if resp, _ := get(t, browser(t), a.s.URL()+page); resp.StatusCode < 400 {
		t.Errorf("the confirmation in another browser = %d, want it refused", resp.StatusCode)
	}
	a.approve(t, code)
	status, out := a.poll(t, d)
	if status != http.StatusOK || out["authentication_method"] != "Password" || out["user"].(m)["email"] != email {
		t.Fatalf("poll after the sign-in = %d %v, want tokens", status, out)
	}
	if claims := decode(t, out["access_token"].(string)); claims["iss"] != a.s.URL()+"/user_management/"+a.e.ClientID {
		t.Errorf("iss = %v", claims["iss"])
	}
	if status, out := a.refresh(t, out["refresh_token"]); status != http.StatusOK {
		t.Errorf("refresh = %d %v, want 200", status, out)
	}
	wants("invalid_grant")
}

func TestADeviceIsRefusedOrForgotten(t *testing.T) {
	clk := &clock{}
	a := newAccount(t, startWith(t, server.Config{Now: clk.now, Limits: noLimits}), email)
	b := newAccount(t, a.s, email)
	base := a.s.URL()
	refused := func(d m, want string) {
		t.Helper()
		if status, out := a.poll(t, d); status != http.StatusBadRequest || out["error"] != want {
			t.Errorf("poll = %d %v, want 400 %s", status, out, want)
		}
	}
	t.Run("denied", func(t *testing.T) {
		d, c := a.startDevice(t), browser(t)
		page := enter(t, a.s, c, d["user_code"].(string))
		resp, html := submit(t, c, base, page, "/device/confirm", url.Values{"decision": {"deny"}})
		if _, html = get(t, c, base+leadsTo(t, resp, html, "/device/denied")); !strings.Contains(html, `data-hak-page="device/denied"`) {
			t.Errorf("the last page:\n%s", html)
		}
		refused(d, "access_denied")
		refused(d, "access_denied")
		if resp, _ := get(t, c, base+page); resp.StatusCode < 400 {
			t.Errorf("confirmation after a refusal = %d, want it refused", resp.StatusCode)
		}
	})
	t.Run("expired while somebody signs in", func(t *testing.T) {
		d, c := a.startDevice(t), browser(t)
		resp, html := submit(t, c, base, enter(t, a.s, c, d["user_code"].(string)), "/device/confirm", url.Values{"decision": {"allow"}})
		page := leadsTo(t, resp, html, "/sign-in")
		clk.advance(auth.DeviceLifetime + time.Second)
		resp, html = submit(t, c, base, page, "/sign-in", url.Values{"email": {email}, "password": {password}})
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(html, "No device waits") {
			t.Errorf("sign-in for an expired device = %d:\n%s", resp.StatusCode, html)
		}
		refused(d, "expired_token")
		clk.advance(2 * time.Hour)
		if err := a.s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		refused(d, "invalid_grant") // nothing of it is left
	})
	t.Run("approved and not fetched in time", func(t *testing.T) {
		d := a.startDevice(t)
		a.approve(t, d["user_code"].(string))
		clk.advance(auth.DeviceLifetime)
		refused(d, "expired_token")
	})
	t.Run("another environment's code", func(t *testing.T) {
		d := a.startDevice(t)
		a.approve(t, d["user_code"].(string))
		if status, out := b.poll(t, d); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			t.Errorf("poll by another environment = %d %v, want 400 invalid_grant", status, out)
		}
		if status, out := a.poll(t, d); status != http.StatusOK {
			t.Errorf("poll by its own = %d %v, want tokens", status, out)
		}
	})
	t.Run("an unknown code or client", func(t *testing.T) {
		refused(m{"device_code": "x"}, "invalid_grant")
		if status, out := authenticateAt(t, base+"/user_management/authorize/device", url.Values{"client_id": {"client_x"}}); status != http.StatusBadRequest || out["error"] != "invalid_client" {
			t.Errorf("device of an unknown client = %d %v, want 400 invalid_client", status, out)
		}
	})
}

// RFC 8628 section 5.1: codes that are tried from one address are counted.
func TestUserCodesCannotBeGuessed(t *testing.T) {
	a := newAccount(t, start(t), email)
	for range 10 {
		if resp, html := post(t, browser(t), a.s.URL()+"/device", url.Values{"user_code": {"BCDF-GHJK"}}); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Fatalf("a wrong code = %d:\n%s", resp.StatusCode, html)
		}
	}
	d := a.startDevice(t)
	if resp, _ := post(t, browser(t), a.s.URL()+"/device", url.Values{"user_code": {d["user_code"].(string)}}); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the right code after ten wrong ones = %d, want 429", resp.StatusCode)
	}
	for range 9 {
		a.startDevice(t)
	}
	if status, out := authenticateAt(t, a.s.URL()+"/user_management/authorize/device", url.Values{"client_id": {a.e.ClientID}}); status != http.StatusTooManyRequests {
		t.Errorf("the eleventh device of a minute = %d %v, want 429", status, out)
	}
}

func TestADeviceCodeIsSpentOnce(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	a.signIn(t) // once, see TestACodeIsSpentOnce
	d := a.startDevice(t)
	a.approve(t, d["user_code"].(string))
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch status, out := a.poll(t, d); {
			case status == http.StatusOK:
				wins.Add(1)
			case status != http.StatusBadRequest || out["error"] != "invalid_grant":
				t.Errorf("a losing poll = %d %v, want 400 invalid_grant", status, out)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d of 50 polls got tokens, want 1", wins.Load())
	}
}

// A device flow outlives the server: what it waits for is in the store.
func TestADeviceOutlivesTheServer(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	s, err := server.New(ctx, server.Config{DataDir: dir, Addr: "127.0.0.1:0", Hash: fastHash, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	a := newAccount(t, s, email)
	d := a.startDevice(t)
	if status, out := a.poll(t, d); out["error"] != "authorization_pending" {
		t.Fatalf("poll = %d %v", status, out)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.s = startWith(t, server.Config{DataDir: dir})
	if _, out := a.poll(t, d); out["error"] != "slow_down" {
		t.Errorf("poll right after a restart = %v, want slow_down", out)
	}
	a.approve(t, d["user_code"].(string))
	if status, out := a.poll(t, d); status != http.StatusOK {
		t.Errorf("poll after a restart = %d %v, want tokens", status, out)
	}
}

// The device flow of a third-party application, driven by a client library: the
// person confirms the code, signs in, consents, and the device has its tokens.
func TestADeviceOfAnApplication(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	c := newOAuthApp(t, a, m{"uses_pkce": true, "is_first_party": false, "organization_id": a.organization(t, "Acme")})
	d, err := c.config.DeviceAuth(t.Context())
	if err != nil {
		t.Fatalf("DeviceAuth = %v", err)
	}
	b := browser(t)
	page := enter(t, a.s, b, d.UserCode)
	if _, html := get(t, b, a.s.URL()+page); !strings.Contains(html, "Tide Tables") {
		t.Errorf("the confirmation does not name the application:\n%s", html)
	}
	resp, html := submit(t, b, a.s.URL(), page, "/device/confirm", url.Values{"decision": {"allow"}})
	resp, html = submit(t, b, a.s.URL(), leadsTo(t, resp, html, "/sign-in"), "/sign-in", url.Values{"email": {email}, "password": {password}})
	page = leadsTo(t, resp, html, "/application-authorization")
	if status, out := c.post(t, "token", url.Values{"grant_type": {workos.GrantDeviceCode}, "device_code": {d.DeviceCode}}); out["error"] != "authorization_pending" {
		t.Errorf("poll before consent = %d %v, want authorization_pending", status, out)
	}
	resp, html = submit(t, b, a.s.URL(), page, "/application-authorization", url.Values{"decision": {"allow"}})
	leadsTo(t, resp, html, "/device/success")
	d.Interval = 1
	tok, err := c.config.DeviceAccessToken(t.Context(), d)
	if err != nil || tok.RefreshToken == "" || tok.Extra("id_token") == nil {
		t.Fatalf("DeviceAccessToken = %v, %v", tok, err)
	}
	if status, out := a.poll(t, m{"device_code": d.DeviceCode}); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
		t.Errorf("User Management takes an application's device code: %d %v", status, out)
	}
	// A refusal at the consent is one of the device.
	if d, err = c.config.DeviceAuth(t.Context(), oauth2.SetAuthURLParam("scope", "openid notes:read")); err != nil {
		t.Fatal(err)
	}
	resp, html = submit(t, b, a.s.URL(), enter(t, a.s, b, d.UserCode), "/device/confirm", url.Values{"decision": {"allow"}})
	resp, html = submit(t, b, a.s.URL(), leadsTo(t, resp, html, "/sign-in"), "/sign-in", url.Values{"email": {email}, "password": {password}})
	resp, html = submit(t, b, a.s.URL(), leadsTo(t, resp, html, "/application-authorization"), "/application-authorization", url.Values{"decision": {"deny"}})
	leadsTo(t, resp, html, "/device/denied")
	if status, out := c.post(t, "token", url.Values{"grant_type": {workos.GrantDeviceCode}, "device_code": {d.DeviceCode}}); status != http.StatusBadRequest || out["error"] != "access_denied" {
		t.Errorf("poll after a refusal = %d %v, want access_denied", status, out)
	}
}

// The second factor is asked for in a device flow as in any sign-in.
func TestADeviceAsksForTheSecondFactor(t *testing.T) {
	f := newMFA(t)
	p, _ := f.enrolled(t)
	a := &account{s: f.s, e: f.e}
	d, c := a.startDevice(t), browser(t)
	resp, html := submit(t, c, f.s.URL(), enter(t, f.s, c, d["user_code"].(string)), "/device/confirm", url.Values{"decision": {"allow"}})
	resp, html = submit(t, c, f.s.URL(), leadsTo(t, resp, html, "/sign-in"), "/sign-in", url.Values{"email": {"ada@example.com"}, "password": {password}})
	page := leadsTo(t, resp, html, "/mfa/verification")
	if _, out := a.poll(t, d); out["error"] != "authorization_pending" {
		t.Errorf("poll before the second factor = %v, want authorization_pending", out)
	}
	resp, html = submit(t, c, f.s.URL(), page, "/mfa/verification", url.Values{"code": {p.code(t, 0)}})
	leadsTo(t, resp, html, "/device/success")
	if status, out := a.poll(t, d); status != http.StatusOK {
		t.Errorf("poll after the second factor = %d %v, want tokens", status, out)
	}
}

// The environment's own application signs people in for others (Standalone Connect).
func TestAnotherSiteSignsThePersonIn(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	c := newOAuthApp(t, a, nil)
	settings := a.e.Settings
	settings.Connect.LoginURI = "https://app.example.com/login?from=berth"
	if err := a.e.SetSettings(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	begin := func(b *http.Client) string {
		t.Helper()
		resp, html := get(t, b, c.config.AuthCodeURL("st ate", oauth2.S256ChallengeOption(verifier)))
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || to.Host != "app.example.com" || to.Query().Get("from") != "berth" || to.Query().Get("external_auth_id") == "" {
			t.Fatalf("authorize = %d to %v, want the login URI:\n%s", resp.StatusCode, to, html)
		}
		return to.Query().Get("external_auth_id")
	}
	b := browser(t)
	id := begin(b)
	ask := m{"external_auth_id": id, "user": m{"id": "u-1", "email": "grace@example.com", "name": "Grace Hopper", "metadata": m{"plan": "pro"}}}
	out := a.api(t, "POST", "/authkit/oauth2/complete", ask, http.StatusOK)
	if out := a.api(t, "POST", "/authkit/oauth2/complete", ask, http.StatusBadRequest); out["code"] != "external_auth_session_already_completed" {
		t.Errorf("second completion = %v", out)
	}
	if resp, _ := get(t, browser(t), out["redirect_uri"].(string)); resp.StatusCode < 400 {
		t.Errorf("going on in another browser = %d, want it refused", resp.StatusCode)
	}
	resp, html := get(t, b, out["redirect_uri"].(string))
	tok, err := c.config.Exchange(t.Context(), c.returned(t, resp, html).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("Exchange = %v", err)
	}
	u, err := a.e.UserByExternalID(t.Context(), "u-1")
	if err != nil || u.FirstName != "Grace" || u.Metadata["plan"] != "pro" || !u.EmailVerified || decode(t, tok.AccessToken)["sub"] != u.ID {
		t.Errorf("user = %+v, %v", u, err)
	}
	if resp, _ := get(t, b, out["redirect_uri"].(string)); resp.StatusCode < 400 {
		t.Errorf("going on twice = %d, want it refused", resp.StatusCode)
	}
	for name, try := range map[string]struct {
		body   m
		status int
		code   string
	}{
		"an unknown sign-in":     {m{"external_auth_id": "x", "user": m{"id": "u-2", "email": "x@example.com"}}, 404, ""},
		"an address of another":  {m{"external_auth_id": begin(b), "user": m{"id": "u-2", "email": email}}, 400, "email_not_available"},
		"no address":             {m{"external_auth_id": begin(b), "user": m{"id": "u-2", "email": "x"}}, 400, "invalid_email"},
		"no id":                  {m{"external_auth_id": begin(b), "user": m{"email": "x@example.com"}}, 422, "invalid_request_parameters"},
		"consent options":        {m{"external_auth_id": begin(b), "user": m{"id": "u-2", "email": "x@example.com"}, "user_consent_options": []any{m{}}}, 422, "user_consent_options_not_supported"},
		"an organization's, new": {m{"external_auth_id": begin(b), "user": m{"id": "u-3", "email": "x3@example.com"}}, 200, ""},
	} {
		if out := a.api(t, "POST", "/authkit/oauth2/complete", try.body, try.status); try.code != "" && out["code"] != try.code {
			t.Errorf("%s = %v, want %s", name, out, try.code)
		}
	}
}

// Nothing of an application outlives it, its user, or its environment.
func TestApplicationsAreDeletedWhole(t *testing.T) {
	s := startWith(t, server.Config{Limits: noLimits})
	team, _ := environment(t, s, "other")
	for name, remove := range map[string]func(c *oauthApp) error{
		"the application": func(c *oauthApp) error { return c.e.DeleteApplication(t.Context(), c.app["id"].(string)) },
		"the user":        func(c *oauthApp) error { return c.e.DeleteUser(t.Context(), userID(t, c.e, email)) },
		"the environment": func(c *oauthApp) error { return team.DeleteEnvironment(t.Context(), c.e.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newOAuthApp(t, newAccount(t, s, email), nil)
			tok := c.tokens(t)
			session := decode(t, tok.AccessToken)["sid"].(string)
			if _, err := c.e.ApplicationSession(t.Context(), session); err != nil {
				t.Fatal(err)
			}
			user := userID(t, c.e, email)
			if err := remove(c); err != nil {
				t.Fatal(err)
			}
			if _, err := c.e.ApplicationSession(t.Context(), session); err == nil {
				t.Error("the session is still there")
			}
			if list, _, _, err := c.e.Authorizations(t.Context(), user, "", store.Page{Limit: 10}); err != nil || len(list) != 0 {
				t.Errorf("authorizations = %v, %v; want none", list, err)
			}
			if status, out := c.post(t, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}}); status < 400 || status >= 500 {
				t.Errorf("refresh = %d %v, want it refused", status, out)
			}
		})
	}
}

func TestUserCodesAreReadAsPeopleTypeThem(t *testing.T) {
	for typed, want := range map[string]string{"BCDF-GHJK": "BCDF-GHJK", "bcdfghjk": "BCDF-GHJK", " b c-d f g h j k ": "BCDF-GHJK", "BCDF-GHJ": "", "BCDF-GHJKL": "", "ACDF-GHJK": "", "": "", "БCDF-GHJK": "", "BCDF-GHJ1": ""} {
		if got := identity.NormalUserCode(typed); got != want {
			t.Errorf("NormalUserCode(%q) = %q, want %q", typed, got, want)
		}
	}
}
