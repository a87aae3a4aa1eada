package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// connected is what a tenant has of applications: one with a secret, an
// authorization of its user, a device that waits and a sign-in elsewhere.
type connected struct {
	app      identity.Application
	machine  identity.Application
	secret   string // of app
	secretID string
	machined string // secret of machine
	token    string // access token of machine
	external store.External
}

func newConnected(t testing.TB, s *server.Server, v *tenant) connected {
	t.Helper()
	ctx, e := t.Context(), v.env
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var c connected
	var err error
	c.app, err = e.CreateApplication(ctx, identity.Application{Kind: identity.OAuthApplication, Name: v.mark, Description: v.mark, Scopes: []string{v.mark},
		OrganizationID: v.circle.organization.ID, RedirectURIs: []identity.ApplicationRedirect{{URI: "https://" + v.mark + ".example/cb", Default: true}}})
	must(err)
	id, value, err := e.AddApplicationSecret(ctx, c.app.ID)
	must(err)
	c.secretID, c.secret = id.ID, value.Reveal()
	must(e.Allow(ctx, identity.Authorization{Application: c.app, UserID: v.user.ID, OrganizationID: v.circle.organization.ID, Scopes: []string{"openid", v.mark}}))
	c.machine, err = e.CreateApplication(ctx, identity.Application{Kind: identity.M2MApplication, Name: v.mark, OrganizationID: v.circle.organization.ID})
	must(err)
	_, value, err = e.AddApplicationSecret(ctx, c.machine.ID)
	must(err)
	c.machined = value.Reveal()
	status, out := oauthCall(t, s, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {c.machine.ClientID}, "client_secret": {c.machined}})
	if status != http.StatusOK {
		t.Fatalf("client_credentials = %d %v", status, out)
	}
	c.token = out["access_token"].(string)
	c.external, err = e.AddExternal(ctx, "x", time.Now().Add(time.Hour))
	must(err)
	return c
}

func (c connected) state(t testing.TB, v *tenant) []any {
	t.Helper()
	ctx, e := t.Context(), v.env
	page := store.Page{Limit: 100}
	apps, _, _, err := e.Applications(ctx, "", page)
	if err != nil {
		t.Fatal(err)
	}
	allowed, _, _, err := e.Authorizations(ctx, v.user.ID, "", page)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := e.ApplicationSecrets(ctx, c.app.ID)
	if err != nil {
		t.Fatal(err)
	}
	x, err := e.External(ctx, c.external.ID)
	if err != nil {
		t.Fatal(err)
	}
	return []any{apps, allowed, secrets, x}
}

func ofApp(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/connect/applications/" + b.connected.app.ID + suffix }
}

func authkitPath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/authkit/" + b.env.ClientID + suffix }
}

func init() { maps.Copy(rows, connectRows) }

// The OAuth endpoints take forms; what a client of A gets there of B is tried in
// TestClientsReachTheirOwnEnvironment.
var connectRows = map[string]row{
	"GET /connect/applications": {path: func(b *tenant) string {
		return "/connect/applications?organization_id=" + b.circle.organization.ID
	}, own: apiKey, accepts: true},
	"POST /connect/applications": {path: fixed("/connect/applications"), own: apiKey, bodies: bodies(func(b *tenant) []any {
		return []any{m{"name": "Mallory", "application_type": "m2m", "organization_id": b.circle.organization.ID},
			m{"name": "Mallory", "application_type": "oauth", "is_first_party": false, "organization_id": b.circle.organization.ID}}
	})},
	"GET /connect/applications/{id}":                 {path: ofApp(""), own: apiKey},
	"PUT /connect/applications/{id}":                 {path: ofApp(""), own: apiKey, bodies: bodies(func(*tenant) []any { return []any{m{"name": "Mallory"}} })},
	"DELETE /connect/applications/{id}":              {path: ofApp(""), own: apiKey},
	"GET /connect/applications/{id}/client_secrets":  {path: ofApp("/client_secrets"), own: apiKey},
	"POST /connect/applications/{id}/client_secrets": {path: ofApp("/client_secrets"), own: apiKey, bodies: bodies(func(*tenant) []any { return []any{m{}} })},
	"DELETE /connect/client_secrets/{id}":            {path: func(b *tenant) string { return "/connect/client_secrets/" + b.connected.secretID }, own: apiKey},
	"GET /user_management/users/{id}/authorized_applications": {path: func(b *tenant) string {
		return "/user_management/users/" + b.user.ID + "/authorized_applications"
	}, own: apiKey},
	"DELETE /user_management/users/{id}/authorized_applications/{application_id}": {path: func(b *tenant) string {
		return "/user_management/users/" + b.user.ID + "/authorized_applications/" + b.connected.app.ID
	}, own: apiKey},
	"GET /organizations/{id}/authorized_applications": {path: under(organizationPath, "/authorized_applications"), own: apiKey},
	"POST /authkit/oauth2/complete": {path: fixed("/authkit/oauth2/complete"), own: apiKey, bodies: bodies(func(b *tenant) []any {
		return []any{m{"external_auth_id": b.connected.external.ID, "user": m{"id": "mallory", "email": "mallory@example.com"}}}
	})},
	// Whoever has the client ID of an environment may begin a device flow there.
	"POST /user_management/authorize/device": {path: fixed("/user_management/authorize/device"), accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"client_id": b.env.ClientID}} })},

	"POST /oauth2/device_authorization":                     {path: fixed("/oauth2/device_authorization"), bodies: clientBodies},
	"POST /authkit/{client_id}/oauth2/device_authorization": {path: authkitPath("/oauth2/device_authorization"), bodies: clientBodies},
	"POST /authkit/{client_id}/oauth2/token":                {path: authkitPath("/oauth2/token"), bodies: clientBodies},
	"POST /oauth2/introspection":                            {path: fixed("/oauth2/introspection"), bodies: clientBodies},
	"POST /authkit/{client_id}/oauth2/introspection":        {path: authkitPath("/oauth2/introspection"), bodies: clientBodies},
	"POST /oauth2/revoke":                                   {path: fixed("/oauth2/revoke"), bodies: clientBodies},
	"POST /authkit/{client_id}/oauth2/revoke":               {path: authkitPath("/oauth2/revoke"), bodies: clientBodies},
	"OPTIONS /oauth2/token":                                 {path: fixed("/oauth2/token"), accepts: true},
	"OPTIONS /oauth2/revoke":                                {path: fixed("/oauth2/revoke"), accepts: true},
	"OPTIONS /oauth2/userinfo":                              {path: fixed("/oauth2/userinfo"), accepts: true},
	"OPTIONS /authkit/{client_id}/oauth2/token":             {path: authkitPath("/oauth2/token"), accepts: true},
	"OPTIONS /authkit/{client_id}/oauth2/revoke":            {path: authkitPath("/oauth2/revoke"), accepts: true},
	"OPTIONS /authkit/{client_id}/oauth2/userinfo":          {path: authkitPath("/oauth2/userinfo"), accepts: true},
	"GET /oauth2/userinfo":                                  {path: fixed("/oauth2/userinfo")},
	"POST /oauth2/userinfo":                                 {path: fixed("/oauth2/userinfo")},
	"GET /authkit/{client_id}/oauth2/userinfo":              {path: authkitPath("/oauth2/userinfo")},
	"POST /authkit/{client_id}/oauth2/userinfo":             {path: authkitPath("/oauth2/userinfo")},

	// Public: keys and addresses.
	"GET /oauth2/jwks":                      {path: func(b *tenant) string { return "/oauth2/jwks?client_id=" + b.env.ClientID }, accepts: true},
	"GET /authkit/{client_id}/oauth2/jwks":  {path: authkitPath("/oauth2/jwks"), accepts: true},
	"GET /.well-known/openid-configuration": {path: func(b *tenant) string { return "/.well-known/openid-configuration?client_id=" + b.env.ClientID }, accepts: true},
	"GET /.well-known/oauth-authorization-server": {path: func(b *tenant) string {
		return "/.well-known/oauth-authorization-server?client_id=" + b.connected.app.ClientID
	}, accepts: true},
	"GET /authkit/{client_id}/.well-known/openid-configuration":       {path: authkitPath("/.well-known/openid-configuration"), accepts: true},
	"GET /authkit/{client_id}/.well-known/oauth-authorization-server": {path: authkitPath("/.well-known/oauth-authorization-server"), accepts: true},
	"GET /.well-known/oauth-authorization-server/authkit/{client_id}": {path: func(b *tenant) string { return "/.well-known/oauth-authorization-server/authkit/" + b.env.ClientID }, accepts: true},
	"GET /.well-known/openid-configuration/authkit/{client_id}":       {path: func(b *tenant) string { return "/.well-known/openid-configuration/authkit/" + b.env.ClientID }, accepts: true},

	// Pages.
	"GET /oauth2/authorize": {path: func(b *tenant) string {
		return "/oauth2/authorize?response_type=code&client_id=" + b.connected.app.ClientID + "&redirect_uri=https://elsewhere.example/cb"
	}},
	"GET /authkit/{client_id}/oauth2/authorize": {path: authkitPath("/oauth2/authorize?response_type=code&client_id=client_x")},
	"GET /application-authorization":            {path: fixed("/application-authorization?flow=x")},
	"POST /application-authorization":           {path: fixed("/application-authorization")},
	"GET /authkit/{client_id}/external-auth": {path: func(b *tenant) string {
		return "/authkit/" + b.env.ClientID + "/external-auth?external_auth_id=" + b.connected.external.ID
	}},
	"GET /device":          {path: fixed("/device"), accepts: true},
	"POST /device":         {path: fixed("/device")},
	"GET /device/confirm":  {path: fixed("/device/confirm?flow=x")},
	"POST /device/confirm": {path: fixed("/device/confirm")},
	"GET /device/success":  {path: fixed("/device/success?client_id=client_x"), accepts: true},
	"GET /device/denied":   {path: fixed("/device/denied?client_id=client_x"), accepts: true},
}

func clientBodies(a, b *tenant) []any {
	return []any{m{"client_id": a.connected.app.ClientID, "client_secret": a.connected.secret, "token": b.connected.token}}
}

// oauthCall posts a form to an endpoint of RFC 6749 and reads the JSON answer.
func oauthCall(t testing.TB, s *server.Server, path string, form url.Values) (int, m) {
	t.Helper()
	return postForm(t, s.URL()+path, form, "", "")
}

// A client of one environment gets nothing at another's address, learns nothing
// of its tokens, and ends none of them.
func TestClientsReachTheirOwnEnvironment(t *testing.T) {
	s := start(t)
	a, b := newTenant(t, s), newTenant(t, s)
	mine := url.Values{"client_id": {a.connected.machine.ClientID}, "client_secret": {a.connected.machined}}
	with := func(more url.Values) url.Values {
		out := maps.Clone(mine)
		maps.Copy(out, more)
		return out
	}
	at := "/authkit/" + b.env.ClientID + "/oauth2/"
	for _, path := range []string{at + "token", at + "introspection", at + "revoke", at + "device_authorization"} {
		if status, out := oauthCall(t, s, path, with(url.Values{"grant_type": {"client_credentials"}, "token": {b.connected.token}})); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
			t.Errorf("POST %s by a client of A = %d %v, want 401 invalid_client", path, status, out)
		}
	}
	if status, out := oauthCall(t, s, "/oauth2/introspection", with(url.Values{"token": {b.connected.token}})); status != http.StatusOK || out["active"] != false || len(out) != 1 {
		t.Errorf("introspection of a token of B by A = %d %v, want 200 and nothing but inactive", status, out)
	}
	if status, _ := oauthCall(t, s, "/oauth2/revoke", with(url.Values{"token": {b.connected.token}})); status != http.StatusOK {
		t.Errorf("revocation = %d, want 200", status)
	}
	for name, form := range map[string]url.Values{
		"the secret of A for the client of B": {"client_id": {b.connected.machine.ClientID}, "client_secret": {a.connected.machined}},
		"the API key of A":                    {"client_id": {b.env.ClientID}, "client_secret": {a.apiKey}},
		"the secret of another application":   {"client_id": {b.connected.machine.ClientID}, "client_secret": {b.connected.secret}},
	} {
		form.Set("token", b.connected.token)
		if status, out := oauthCall(t, s, "/oauth2/introspection", form); status != http.StatusUnauthorized {
			t.Errorf("introspection with %s = %d %v, want 401", name, status, out)
		}
	}
	form := url.Values{"client_id": {b.env.ClientID}, "client_secret": {b.apiKey}, "token": {b.connected.token}}
	if status, out := oauthCall(t, s, "/oauth2/introspection", form); status != http.StatusOK || out["active"] != true {
		t.Errorf("introspection by B's own server = %d %v, want it active", status, out)
	}
}
