package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// Administrative acts of a team token and of an API key are in the team's log,
// newest first, with who did them; secrets and another team's acts are not.
func TestAdministrativeActsAreLogged(t *testing.T) {
	s := start(t)
	team, err := s.Store().CreateTeam(t.Context(), "Acme", "admin@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	credential, err := team.CreateCredential(t.Context(), store.TokenCredential, "ci", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	token := credential.Secret.Reveal()
	do := func(method, path, key string, send any) (out struct{ ID, Value, ClientID string }) {
		t.Helper()
		status, text := call(t, s, method, path, key, send)
		if status >= 400 {
			t.Fatalf("%s %s = %d %s", method, path, status, text)
		}
		var body struct {
			ID       string `json:"id"`
			Value    string `json:"value"`
			ClientID string `json:"client_id"`
		}
		if strings.HasPrefix(text, "{") {
			if err := json.Unmarshal([]byte(text), &body); err != nil {
				t.Fatalf("%s %s answered %s: %v", method, path, text, err)
			}
		}
		return struct{ ID, Value, ClientID string }(body)
	}
	environments := "/platform/teams/" + team.ID + "/environments"
	env := do("POST", environments, token, m{"name": "dev"})
	key := do("POST", environments+"/"+env.ID+"/api_keys", token, m{"name": "app"})
	do("PATCH", "/berth/v1/environments/"+env.ClientID+"/settings", token, m{"mfa_required": true})
	uri := do("POST", "/user_management/redirect_uris", key.Value, m{"uri": "http://localhost:3000/callback"})
	second := do("POST", "/user_management/redirect_uris", key.Value, m{"uri": "http://localhost:3001/callback"})
	do("DELETE", "/user_management/redirect_uris/"+second.ID, key.Value, nil)
	user := do("POST", "/user_management/users", key.Value, m{"email": "ada@example.com", "password": "correct horse"})
	do("DELETE", "/user_management/users/"+user.ID, key.Value, nil)
	if status, _ := call(t, s, "DELETE", "/user_management/users/user_none", key.Value, nil); status != http.StatusNotFound {
		t.Fatalf("delete an unknown user = %d, want 404", status)
	}
	do("POST", environments+"/"+env.ID+"/api_keys/"+key.ID+"/expire", token, m{})
	made := do("POST", "/berth/v1/tokens", token, m{"name": "laptop"})
	do("DELETE", environments+"/"+env.ID, token, nil)
	if uri.ID == "" {
		t.Fatal("the redirect URI has no id")
	}

	status, raw := call(t, s, "GET", "/berth/v1/audit", token, nil)
	if status != http.StatusOK {
		t.Fatalf("GET /berth/v1/audit = %d %s", status, raw)
	}
	for _, secret := range []string{token, key.Value, made.Value, "correct horse", "ada@example.com"} {
		if strings.Contains(raw, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	type line struct{ Environment, Kind, Actor, Action, Target string }
	byTeam, byKey := string(store.ByTeamToken), string(store.ByAPIKey)
	want := []line{
		{env.ID, byTeam, credential.ID, "environment.deleted", env.ID},
		{"", byTeam, credential.ID, "credential.created", made.ID},
		{env.ID, byTeam, credential.ID, "api_key.expired", key.ID},
		{env.ID, byKey, key.ID, "user.deleted", user.ID},
		{env.ID, byKey, key.ID, "user.created", user.ID},
		{env.ID, byKey, key.ID, "redirect_uri.deleted", "http://localhost:3001/callback"},
		{env.ID, byKey, key.ID, "redirect_uri.created", "http://localhost:3001/callback"},
		{env.ID, byKey, key.ID, "redirect_uri.created", "http://localhost:3000/callback"},
		{env.ID, byTeam, credential.ID, "mfa_required.set", "true"},
		{env.ID, byTeam, credential.ID, "api_key.created", key.ID},
		{env.ID, byTeam, credential.ID, "environment.created", env.ID},
	}
	var page berth.AuditPage
	if err := json.Unmarshal([]byte(raw), &page); err != nil {
		t.Fatal(err)
	}
	var got []line
	for _, e := range page.Events {
		got = append(got, line{e.EnvironmentID, e.ActorKind, e.ActorID, e.Action, e.Target})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}

	var paged []berth.AuditEvent
	for after := ""; ; {
		status, raw := call(t, s, "GET", "/berth/v1/audit?limit=4&after="+after, token, nil)
		var part berth.AuditPage
		if err := json.Unmarshal([]byte(raw), &part); err != nil || status != http.StatusOK || len(part.Events) > 4 {
			t.Fatalf("page after %q = %d %s", after, status, raw)
		}
		paged = append(paged, part.Events...)
		if after = part.After; after == "" {
			break
		}
	}
	if diff := cmp.Diff(page.Events, paged); diff != "" {
		t.Errorf("pages of 4 (-whole +paged):\n%s", diff)
	}
	stranger := newTenant(t, s)
	p, err := berth.New(s.URL(), secret.String(stranger.token)).Audit(t.Context(), "")
	if err != nil || len(p.Events) == 0 {
		t.Fatalf("log of another team = %+v, %v; want its acts", p.Events, err)
	}
	for _, e := range p.Events {
		if e.ActorID != stranger.keyID || e.EnvironmentID != stranger.env.ID {
			t.Errorf("log of another team has %+v, want acts of its key %s alone", e, stranger.keyID)
		}
	}
}

// A release is logged with who caused it: a team token, or the server itself.
func TestReleasesAreLogged(t *testing.T) {
	clk := newStopped()
	s := startWith(t, server.Config{Now: clk.now})
	v := newTenant(t, s)
	for _, path := range []string{"/release", "/released"} {
		if status, out := call(t, s, "POST", "/berth/v1/claims/"+v.claim.Claim.ID+path, v.token, m{}); status != http.StatusOK {
			t.Fatalf("%s = %d %s", path, status, out)
		}
	}
	other := newTenant(t, s)
	if _, err := other.team.Release(t.Context(), other.claim.Claim.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    *tenant
		want store.ActorKind
	}{{v, store.ByTeamToken}, {other, store.ByServer}} {
		events, _, _, err := c.v.team.AuditEvents(t.Context(), store.Page{Limit: 1})
		if err != nil || len(events) != 1 || events[0].Action != "claim.released" || events[0].Target != c.v.claim.Claim.Deployment || events[0].Actor.Kind != c.want {
			t.Errorf("newest event = %+v, %v; want the release of %s by %s", events, err, c.v.claim.Claim.Deployment, c.want)
		}
	}
}
