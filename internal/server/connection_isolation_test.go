package server_test

import (
	"maps"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// bridge is what a tenant has of single sign-on.
type bridge struct {
	connection identity.Connection
	social     identity.Connection
	profile    identity.Profile
}

func newBridge(t testing.TB, s *server.Server, v *tenant) bridge {
	t.Helper()
	ctx, e := t.Context(), v.env
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bridge
	var err error
	b.connection, err = e.CreateConnection(ctx, identity.Connection{OrganizationID: v.circle.organization.ID, Type: "GenericOIDC", Kind: identity.OIDCConnection, Name: v.mark,
		State: identity.ConnectionActive, Issuer: "https://login.example.com", ClientID: v.mark, ClientSecret: "secret"})
	must(err)
	b.social, err = e.SocialConnection(ctx, "GoogleOAuth")
	must(err)
	b.profile, err = e.PutProfile(ctx, identity.Profile{ConnectionID: b.connection.ID, IDPID: v.mark, Email: v.user.Email, FirstName: v.mark})
	must(err)
	must(e.LinkProfile(ctx, b.profile.ID, v.user.ID))
	must(e.AddProfileCode(ctx, []byte(v.mark), b.profile.ID, nil, time.Now().Add(time.Hour)))
	return b
}

func (b bridge) state(t testing.TB, e *store.Env) []any {
	t.Helper()
	list, _, _, err := e.Connections(t.Context(), store.ConnectionFilter{}, store.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Profile(t.Context(), b.profile.ID)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.OrganizationMethods(t.Context(), b.connection.OrganizationID)
	if err != nil {
		t.Fatal(err)
	}
	return []any{list, p, m}
}

func init() { maps.Copy(rows, connectionRows) }

func teamConnection(suffix func(b *tenant) string) func(*tenant) string {
	return func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID + suffix(b) }
}

func oneConnection(b *tenant) string { return "/connections/" + b.bridge.connection.ID }
func allConnections(*tenant) string  { return "/connections" }
func methodsOf(b *tenant) string     { return "/organizations/" + b.circle.organization.ID + "/methods" }

// connectionRows are the rows of single sign-on. Sign-ins that are away at a
// provider are tried in connection_test.go.
var connectionRows = map[string]row{
	"GET /connections":         {path: func(b *tenant) string { return "/connections?organization_id=" + b.circle.organization.ID }, own: apiKey, accepts: true},
	"GET /connections/{id}":    {path: func(b *tenant) string { return oneConnection(b) }, own: apiKey},
	"DELETE /connections/{id}": {path: func(b *tenant) string { return oneConnection(b) }, own: apiKey},
	"GET /user_management/users/{id}/identities": {path: func(b *tenant) string {
		return "/user_management/users/" + b.user.ID + "/identities"
	}, own: apiKey},
	"GET /sso/authorize": {path: func(b *tenant) string {
		return "/sso/authorize?response_type=code&client_id=" + b.env.ClientID + "&connection=" + b.bridge.connection.ID + "&redirect_uri=https://elsewhere.example/callback"
	}, public: func(b *tenant) []string { return []string{b.mark, b.uri.URI, b.origin.Origin} }},
	"GET /sso/begin":          {path: fixed("/sso/begin?flow=x")},
	"GET /sso/callback":       {path: fixed("/sso/callback?state=x&code=y")},
	"GET /sso/test-provider":  {path: fixed("/sso/test-provider?state=x")},
	"POST /sso/test-provider": {path: fixed("/sso/test-provider")},
	"POST /sign-in/sso":       {path: fixed("/sign-in/sso")},
	"GET /sso/logout":         {path: fixed("/sso/logout?token=x")},
	"GET /sso/profile":        {path: fixed("/sso/profile")},
	"POST /sso/token": {path: fixed("/sso/token"), bodies: func(a, b *tenant) []any {
		return []any{
			m{"grant_type": "authorization_code", "client_id": a.env.ClientID, "client_secret": a.apiKey, "code": b.mark},
			m{"grant_type": "authorization_code", "client_id": b.env.ClientID, "client_secret": a.apiKey, "code": b.mark},
		}
	}},
	"POST /sso/logout/authorize": {path: fixed("/sso/logout/authorize"), own: apiKey,
		bodies: bodies(func(b *tenant) []any { return []any{m{"profile_id": b.bridge.profile.ID}} })},

	"GET /berth/v1/environments/{client_id}/connections": {path: teamConnection(allConnections), own: teamToken},
	"POST /berth/v1/environments/{client_id}/connections": {path: teamConnection(allConnections), own: teamToken, bodies: func(a, b *tenant) []any {
		return []any{m{"connection_type": "SlackOAuth"}}
	}},
	"PATCH /berth/v1/environments/{client_id}/connections/{id}": {path: teamConnection(oneConnection), own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"state": "inactive"}} })},
	"DELETE /berth/v1/environments/{client_id}/connections/{id}":        {path: teamConnection(oneConnection), own: teamToken},
	"GET /berth/v1/environments/{client_id}/organizations/{id}/methods": {path: teamConnection(methodsOf), own: teamToken},
	"PUT /berth/v1/environments/{client_id}/organizations/{id}/methods": {path: teamConnection(methodsOf), own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"sso": true}} })},
	"DELETE /berth/v1/environments/{client_id}/organizations/{id}/methods": {path: teamConnection(methodsOf), own: teamToken},
}
