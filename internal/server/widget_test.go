package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
)

// R99: tokens of widgets and of the Client API are signed, short, and not to be
// taken for access tokens.
func TestWidgetTokens(t *testing.T) {
	v := newShop(t, server.Config{})
	const scope = "widgets:users-table:manage"
	v.permission(t, scope)
	if _, err := v.env.AddRolePermission(t.Context(), "", "member", scope); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path   string
		body   m
		aud    string
		scopes any
		org    any
		life   float64
	}{
		"of an organization": {"/widgets/token", m{"user_id": v.user.ID, "organization_id": v.organization.ID, "scopes": []string{scope, scope}}, "widgets", []any{scope}, v.organization.ID, 3600},
		"of a user alone":    {"/widgets/token", m{"user_id": v.user.ID}, "widgets", nil, nil, 3600},
		"of the Client API":  {"/client/token", m{"user_id": v.user.ID, "organization_id": v.organization.ID}, "client", nil, v.organization.ID, 300},
	} {
		t.Run(name, func(t *testing.T) {
			out := v.json(t, "POST", c.path, c.body, http.StatusCreated)
			claims := decode(t, out["token"].(string))
			life := claims["exp"].(float64) - claims["iat"].(float64)
			for _, made := range []string{"iat", "exp", "jti"} {
				delete(claims, made)
			}
			want := m{"iss": v.s.URL() + "/" + c.aud + "/" + v.env.ClientID, "aud": c.aud, "sub": v.user.ID, "client_id": v.env.ClientID}
			if c.scopes != nil {
				want["scopes"] = c.scopes
			}
			if c.org != nil {
				want["org_id"] = c.org
			}
			if diff := cmp.Diff(want, claims); diff != "" || life != c.life {
				t.Errorf("claims, for %v seconds, want %v (-want +got):\n%s", life, c.life, diff)
			}
		})
	}
	stranger := v.application.user(t, "bob@example.com", "Bob")
	for name, c := range map[string]struct {
		path   string
		body   m
		status int
		says   string
	}{
		"nobody":                         {"/widgets/token", m{"organization_id": v.organization.ID}, 422, "user_id"},
		"scopes without an organization": {"/widgets/token", m{"user_id": v.user.ID, "scopes": []string{scope}}, 422, "organization_id"},
		"a scope of nothing":             {"/widgets/token", m{"user_id": v.user.ID, "organization_id": v.organization.ID, "scopes": []string{"widgets:all"}}, 422, "scopes"},
		"a scope that the user has not":  {"/widgets/token", m{"user_id": v.user.ID, "organization_id": v.organization.ID, "scopes": []string{"widgets:sso:manage"}}, 400, "widgets:sso:manage"},
		"a user who is no member":        {"/widgets/token", m{"user_id": stranger.ID, "organization_id": v.organization.ID}, 400, "not an active member"},
		"an unknown user":                {"/widgets/token", m{"user_id": "user_none"}, 404, "user_none"},
		"an unknown organization":        {"/client/token", m{"user_id": v.user.ID, "organization_id": "org_none"}, 404, "org_none"},
		"a client token of nobody":       {"/client/token", m{"organization_id": v.organization.ID}, 422, "required"},
		"a client token of no member":    {"/client/token", m{"user_id": stranger.ID, "organization_id": v.organization.ID}, 400, "not an active member"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := call(t, v.s, "POST", c.path, v.key, c.body); status != c.status || !strings.Contains(text, c.says) {
				t.Errorf("POST %s = %d %s, want %d with %q", c.path, status, text, c.status, c.says)
			}
		})
	}
}
