package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// team returns a token of the application's team.
func (v *shop) teamToken(t testing.TB) string {
	t.Helper()
	c, err := v.team.CreateCredential(t.Context(), store.TokenCredential, "ci", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Secret.Reveal()
}

// contract 5: access tokens carry the slugs that the session has, and no claim
// when there are none.
func TestTokensCarryTheFlagsOfTheirSession(t *testing.T) {
	s := startWith(t, server.Config{})
	a := newAccount(t, s, email)
	claim := func() any {
		t.Helper()
		status, out := authenticate(t, s.URL(), url.Values{"grant_type": {"password"}, "client_id": {a.e.ClientID}, "client_secret": {a.key}, "email": {email}, "password": {password}})
		if status != http.StatusOK {
			t.Fatalf("password grant = %d %v", status, out)
		}
		return decode(t, out["access_token"].(string))["feature_flags"]
	}
	if got := claim(); got != nil {
		t.Errorf("feature_flags = %v, want no claim without flags", got)
	}
	token := (&shop{application: &application{team: teamOf(t, s, a.e), env: a.e}}).teamToken(t)
	flags := "/berth/v1/environments/" + a.e.ClientID + "/feature_flags"
	for _, f := range []m{{"slug": "everybody", "enabled": true, "default_value": true}, {"slug": "off", "default_value": true}, {"slug": "mine", "enabled": true}} {
		if status, text := call(t, s, "POST", flags, token, f); status != http.StatusCreated {
			t.Fatalf("POST %s = %d %s", flags, status, text)
		}
	}
	u, err := a.e.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := call(t, s, "POST", "/feature-flags/mine/targets/"+u.ID, a.key, nil); status != http.StatusNoContent {
		t.Fatalf("add a target = %d %s", status, text)
	}
	if diff := cmp.Diff([]any{"everybody", "mine"}, claim()); diff != "" {
		t.Errorf("feature_flags (-want +got):\n%s", diff)
	}
}

func teamOf(t testing.TB, s *server.Server, e *store.Env) *store.Team {
	t.Helper()
	tm, err := s.Store().Team(t.Context(), e.TeamID)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// R99: flags over the API, and what is told about them.
func TestFlagsAreMadeSwitchedAndTargeted(t *testing.T) {
	v, r := newShop(t, server.Config{}), newReceiver(t)
	v.hook(t, r.URL+"/hook", "flag.created", "flag.updated", "flag.rule_updated", "flag.deleted")
	token := v.teamToken(t)
	flags := "/berth/v1/environments/" + v.env.ClientID + "/feature_flags"
	berth := func(method, path string, body any, want int) map[string]any {
		t.Helper()
		status, text := call(t, v.s, method, path, token, body)
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); status != want || err != nil {
			t.Fatalf("%s %s = %d %s, want %d", method, path, status, text, want)
		}
		return out
	}
	berth("POST", flags, m{"slug": "reports", "name": "Reports", "description": "d", "tags": []string{"beta"}}, http.StatusCreated)
	got := v.json(t, "GET", "/feature-flags/reports", nil, http.StatusOK)
	for _, name := range []string{"id", "created_at", "updated_at"} {
		delete(got, name)
	}
	want := m{"object": "feature_flag", "slug": "reports", "name": "Reports", "description": "d", "owner": nil, "tags": []any{"beta"}, "enabled": false, "default_value": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flag (-want +got):\n%s", diff)
	}
	if out := v.json(t, "PUT", "/feature-flags/reports/enable", nil, http.StatusOK); out["enabled"] != true {
		t.Errorf("enable = %v", out)
	}
	v.json(t, "PUT", "/feature-flags/reports/enable", nil, http.StatusOK) // no second event
	v.json(t, "POST", "/feature-flags/reports/targets/"+v.organization.ID, nil, http.StatusNoContent)
	for _, path := range []string{"/organizations/" + v.organization.ID, "/user_management/users/" + v.user.ID} {
		list := v.json(t, "GET", path+"/feature-flags", nil, http.StatusOK)["data"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["slug"] != "reports" {
			t.Errorf("GET %s/feature-flags = %v, want reports", path, list)
		}
	}
	v.json(t, "DELETE", "/feature-flags/reports/targets/"+v.organization.ID, nil, http.StatusNoContent)
	if out := berth("PATCH", flags+"/reports", m{"name": "All reports", "default_value": true}, http.StatusOK); out["name"] != "All reports" || out["enabled"] != true {
		t.Errorf("PATCH = %v", out)
	}
	if out := v.json(t, "PUT", "/feature-flags/reports/disable", nil, http.StatusOK); out["enabled"] != false {
		t.Errorf("disable = %v", out)
	}
	berth("DELETE", flags+"/reports", nil, http.StatusOK)
	v.json(t, "GET", "/feature-flags/reports", nil, http.StatusNotFound)

	names, text := v.events(t, "&events=flag.created&events=flag.updated&events=flag.rule_updated&events=flag.deleted")
	if diff := cmp.Diff([]string{"flag.created", "flag.updated", "flag.rule_updated", "flag.rule_updated", "flag.rule_updated", "flag.updated", "flag.rule_updated",
		"flag.updated", "flag.rule_updated", "flag.deleted"}, names); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	var page struct {
		Data []struct {
			ID      string
			Context json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatal(err)
	}
	for i, part := range map[int]string{
		0: `"source":"dashboard","name":null`,
		1: `"previous_attributes":{"data":{"enabled":false}}`,
		3: `"access_type":"some","configured_targets":{"organizations":[{"id":"` + v.organization.ID + `","name":"Acme"}],"users":[]},"previous_attributes":{"context":{"access_type":"none"`,
		5: `"previous_attributes":{"data":{"default_value":false,"name":"Reports"}}`,
		6: `"access_type":"all"`,
	} {
		if !strings.Contains(string(page.Data[i].Context), part) || !strings.Contains(string(page.Data[i].Context), `"client_id":"`+v.env.ClientID+`"`) {
			t.Errorf("context of event %d = %s, want %s", i, page.Data[i].Context, part)
		}
	}
	for i := range names {
		h := r.next(t)
		if h.ID != page.Data[i].ID || !strings.Contains(h.Body, `"context":`+string(page.Data[i].Context)) {
			t.Errorf("webhook %d = %s, want event %s with its context", i, h.Body, page.Data[i].ID)
		}
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	v := newShop(t, server.Config{})
	token := v.teamToken(t)
	flags := "/berth/v1/environments/" + v.env.ClientID + "/feature_flags"
	if status, text := call(t, v.s, "POST", flags, token, m{"slug": "there"}); status != http.StatusCreated {
		t.Fatalf("POST %s = %d %s", flags, status, text)
	}
	for name, c := range map[string]struct {
		method, path, key string
		body              any
		status            int
		says              string
	}{
		"no slug":                  {"POST", flags, token, m{}, 400, "slug"},
		"a slug with blanks":       {"POST", flags, token, m{"slug": "a b"}, 400, "slug"},
		"a slug that is taken":     {"POST", flags, token, m{"slug": "there"}, 409, "already exists"},
		"a member nobody knows":    {"POST", flags, token, m{"slug": "x", "on": true}, 400, `there is no member \"on\" here`},
		"a switch that is text":    {"PATCH", flags + "/there", token, m{"enabled": "yes"}, 400, "enabled must be a bool"},
		"an empty name":            {"PATCH", flags + "/there", token, m{"name": " "}, 400, "name"},
		"an empty tag":             {"PATCH", flags + "/there", token, m{"tags": []string{""}}, 400, "tag"},
		"no body":                  {"PATCH", flags + "/there", token, nil, 400, "no body"},
		"changing an unknown one":  {"PATCH", flags + "/nope", token, m{"enabled": true}, 404, "nope"},
		"deleting an unknown one":  {"DELETE", flags + "/nope", token, nil, 404, "nope"},
		"enabling an unknown one":  {"PUT", "/feature-flags/nope/enable", v.key, nil, 404, "nope"},
		"a target of another form": {"POST", "/feature-flags/there/targets/abc", v.key, nil, 400, "invalid_resource_id_format"},
		"an unknown target":        {"POST", "/feature-flags/there/targets/org_none", v.key, nil, 404, "org_none"},
		"an unknown user":          {"DELETE", "/feature-flags/there/targets/user_none", v.key, nil, 404, "user_none"},
		"a limit that is none":     {"GET", "/feature-flags?limit=0", v.key, nil, 400, "invalid_request_parameters"},
		"flags of nobody":          {"GET", "/user_management/users/user_none/feature-flags", v.key, nil, 404, "user_none"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := call(t, v.s, c.method, c.path, c.key, c.body); status != c.status || !strings.Contains(text, c.says) {
				t.Errorf("%s %s = %d %s, want %d with %q", c.method, c.path, status, text, c.status, c.says)
			}
		})
	}
}
