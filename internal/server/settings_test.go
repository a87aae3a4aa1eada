package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
)

// R91: an environment's settings are read with their defaults, changed one by
// one, and shown by its pages.
func TestSettingsAreReadChangedAndShown(t *testing.T) {
	v := newShop(t, server.Config{})
	token, path := v.teamToken(t), "/berth/v1/environments/"+v.env.ClientID+"/settings"
	do := func(method string, body any) map[string]any {
		t.Helper()
		status, text := call(t, v.s, method, path, token, body)
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); err != nil || status != http.StatusOK {
			t.Fatalf("%s %s = %d %s", method, path, status, text)
		}
		return out
	}
	want := m{"brand": m{"name": "", "logo_url": "", "accent": ""}, "algorithm": "RS256", "audience": "", "access_token_lifetime": 300.0,
		"session_lifetime": 2592000.0, "session_inactivity": 0.0, "methods": m{"password": true, "magic_code": true, "sso": true, "sign_up": true},
		"mfa_required": false, "pages": m{"list_test_users": false}, "connect": m{"login_uri": ""}}
	if diff := cmp.Diff(want, do("GET", nil)); diff != "" {
		t.Errorf("settings at first (-want +got):\n%s", diff)
	}
	const logo = "https://acme.example/logo.svg"
	do("PATCH", m{"brand": m{"name": "Acme & Sons", "logo_url": logo, "accent": "#0a7f3f"}, "access_token_lifetime": 600})
	do("PATCH", m{"methods": m{"sign_up": false}, "session_lifetime": 3600})
	want["brand"], want["access_token_lifetime"], want["session_lifetime"] = m{"name": "Acme & Sons", "logo_url": logo, "accent": "#0a7f3f"}, 600.0, 3600.0
	want["methods"] = m{"password": true, "magic_code": true, "sso": true, "sign_up": false}
	do("PATCH", m{"mfa_required": true, "pages": m{"list_test_users": true}, "connect": m{"login_uri": "https://app.example.com/login?from=berth"}})
	want["mfa_required"], want["pages"], want["connect"] = true, m{"list_test_users": true}, m{"login_uri": "https://app.example.com/login?from=berth"}
	if diff := cmp.Diff(want, do("GET", nil)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if _, err := v.env.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	c := browser(t)
	resp, _ := get(t, c, authorizeURL(v.s.URL(), v.env.ClientID, callback, nil))
	_, html := get(t, c, v.s.URL()+resp.Header.Get("Location"))
	for _, part := range []string{"Acme &amp; Sons", `src="` + logo + `"`, "#0a7f3f"} {
		if !strings.Contains(html, part) {
			t.Errorf("the sign-in page has no %s:\n%s", part, html)
		}
	}
	do("PATCH", m{"brand": m{"name": "", "logo_url": "", "accent": ""}, "access_token_lifetime": 0})
	if out := do("GET", nil); out["access_token_lifetime"] != 300.0 || out["session_lifetime"] != 3600.0 {
		t.Errorf("settings after defaults were asked for = %v, want 300 seconds, and the session's as it was", out)
	}
}

func TestBadSettingsAreRefusedAndChangeNothing(t *testing.T) {
	v := newShop(t, server.Config{})
	token, path := v.teamToken(t), "/berth/v1/environments/"+v.env.ClientID+"/settings"
	_, before := call(t, v.s, "GET", path, token, nil)
	for name, c := range map[string]struct {
		body any
		says string
	}{
		"a member nobody knows":        {m{"acces_token_lifetime": 600}, `there is no member \"acces_token_lifetime\"`},
		"one within the brand":         {m{"brand": m{"logo": "x"}}, `there is no member \"logo\"`},
		"a duration as text":           {m{"access_token_lifetime": "10m"}, "access_token_lifetime must be a int64"},
		"a token of a second":          {m{"access_token_lifetime": 1}, "tokens live"},
		"a token of two days":          {m{"access_token_lifetime": 172800}, "tokens live"},
		"a negative session":           {m{"session_lifetime": -1}, "session_lifetime"},
		"a session of four minutes":    {m{"session_lifetime": 240}, "sessions live from 5m"},
		"an endless session":           {m{"session_lifetime": int64(1) << 62}, "out of range"},
		"another algorithm":            {m{"algorithm": "none"}, "RS256 or ES256"},
		"a logo over http":             {m{"brand": m{"logo_url": "http://acme.example/x.png"}}, "https"},
		"a colour that is none":        {m{"brand": m{"accent": "blue"}}, "#1f5fae"},
		"a right and a wrong one":      {m{"audience": "x", "algorithm": "none"}, "RS256 or ES256"},
		"a list":                       {[]int{1}, "must be"},
		"no body":                      {nil, "no body"},
		"a switch that is text":        {m{"methods": m{"sso": "off"}}, "methods.sso must be a bool"},
		"a login page of an app":       {m{"connect": m{"login_uri": "myapp://login"}}, "http or https"},
		"a login page of any host":     {m{"connect": m{"login_uri": "https://*.example.com/login"}}, "wildcard"},
		"a login page with a fragment": {m{"connect": m{"login_uri": "https://example.com/login#x"}}, "login URI"},
		"an audience of control signs": {m{"audience": "a\x01"}, "audience"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := call(t, v.s, "PATCH", path, token, c.body); status != http.StatusBadRequest || !strings.Contains(text, c.says) {
				t.Errorf("PATCH = %d %s, want 400 with %q", status, text, c.says)
			}
		})
	}
	if _, after := call(t, v.s, "GET", path, token, nil); after != before {
		t.Errorf("settings after refusals = %s, want %s", after, before)
	}
}

// Changes of two people at once: both stay.
func TestNoSettingIsLost(t *testing.T) {
	v := newShop(t, server.Config{})
	token, path := v.teamToken(t), "/berth/v1/environments/"+v.env.ClientID+"/settings"
	var wg sync.WaitGroup
	for _, body := range []m{{"brand": m{"name": "Acme"}}, {"brand": m{"accent": "#06c"}}, {"audience": "x"}, {"access_token_lifetime": 600}, {"methods": m{"sso": false}}} {
		wg.Go(func() {
			if status, text := call(t, v.s, "PATCH", path, token, body); status != http.StatusOK {
				t.Errorf("PATCH = %d %s", status, text)
			}
		})
	}
	wg.Wait()
	_, text := call(t, v.s, "GET", path, token, nil)
	for _, part := range []string{`"Acme"`, `"#06c"`, `"audience":"x"`, `:600`, `"sso":false`} {
		if !strings.Contains(text, part) {
			t.Errorf("settings = %s, want %s among them", text, part)
		}
	}
}

// How members of one organization may sign in is set by the team, and only to
// what somebody can keep.
func TestOrganizationMethodsAreSetByTheTeam(t *testing.T) {
	v := newShop(t, server.Config{})
	o, err := v.env.CreateOrganization(t.Context(), identity.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	token, path := v.teamToken(t), "/berth/v1/environments/"+v.env.ClientID+"/organizations/"+o.ID+"/methods"
	do := func(method string, body any, status int, want string) {
		t.Helper()
		if got, text := call(t, v.s, method, path, token, body); got != status || !strings.Contains(text, want) {
			t.Errorf("%s %v = %d %s, want %d with %s", method, body, got, text, status, want)
		}
	}
	do("GET", nil, http.StatusOK, "null")
	do("PUT", m{"sso": true, "social": []string{"GoogleOAuth"}}, http.StatusOK, "{}")
	do("PUT", m{"password": true, "social": []string{"FaceOAuth"}}, http.StatusBadRequest, "is no social provider")
	do("PUT", m{}, http.StatusBadRequest, "organization_methods_invalid")
	do("PUT", m{"passwords": true}, http.StatusBadRequest, "there is no member")
	do("GET", nil, http.StatusOK, `{"sso":true,"password":false,"magic_auth":false,"social":["GoogleOAuth"]}`)
	do("DELETE", nil, http.StatusOK, "{}")
	do("GET", nil, http.StatusOK, "null")
}
