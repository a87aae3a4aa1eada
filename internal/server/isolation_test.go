package server_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// tenant is one team with everything that another one must not reach. Its
// texts all hold its mark, so that an answer that leaks one can be recognised.
type tenant struct {
	mark  string
	team  *store.Team
	token string // team token
	plat  string // platform access token

	env     *store.Env
	apiKey  string
	keyID   string
	user    identity.User
	uri     identity.RedirectURI
	origin  identity.CORSOrigin
	session identity.Session
	refresh string
	factor  identity.Factor
	asked   identity.Challenge // of factor
	letters

	deployment store.Deployment
	admin      string
	claim      *claim.Grant
	circle     circle
	crew       crew
	bridge     bridge
	belongings belongings
	connected  connected
	rights     rights
}

const password = "correct horse"

var tenants atomic.Int64

func newTenant(t testing.TB, s *server.Server) *tenant {
	t.Helper()
	ctx, db := t.Context(), s.Store()
	mark := "tenant" + string(rune('a'+tenants.Add(1)%26)) + identity.NewULID()
	v := &tenant{mark: mark}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	v.team, err = db.CreateTeam(ctx, mark, mark+"@admin.example")
	must(err)
	token, err := v.team.CreateCredential(ctx, store.TokenCredential, "ci", time.Time{})
	must(err)
	plat, err := v.team.CreateCredential(ctx, store.AccessCredential, "platform", time.Time{})
	must(err)
	v.token, v.plat = token.Secret.Reveal(), plat.Secret.Reveal()

	req := claim.Request{Project: "shop", Deployment: "shop/preview/" + mark, Kind: claim.Preview, Branch: mark, Mode: claim.Dedicated, APIBase: s.URL(),
		Want: claim.Entries{RedirectURIs: []string{"https://" + strings.ToLower(mark) + ".example/callback"}}, HomepageURL: "https://" + strings.ToLower(mark) + ".example"}
	v.claim, err = v.team.PutClaim(ctx, req)
	must(err)
	v.env, err = v.team.CreateEnvironment(ctx, store.NewEnvironment{Name: mark, IdempotencyKey: v.claim.Placement.EnvironmentKey()})
	must(err)
	key, value, err := v.env.CreateAPIKey(ctx, mark, time.Time{}, "")
	must(err)
	v.keyID, v.apiKey = key.ID, value.Reveal()
	_, err = v.team.Bind(ctx, v.claim.Placement.ID, v.env.ID, v.env.ClientID, value)
	must(err)
	must(v.team.Intend(ctx, v.claim.Claim.ID, req.Want))
	// The default entry cannot be deleted, so the ones to try come second.
	_, err = v.env.AddRedirectURI(ctx, "https://first."+strings.ToLower(mark)+".example/callback")
	must(err)
	v.uri, err = v.env.AddRedirectURI(ctx, req.Want.RedirectURIs[0])
	must(err)
	v.origin, err = v.env.AddCORSOrigin(ctx, "https://"+strings.ToLower(mark)+".example")
	must(err)
	must(v.env.SetHomepage(ctx, req.HomepageURL))
	must(v.env.SetJWTTemplate(ctx, `{"tenant":"`+mark+`"}`))
	v.env, err = db.EnvByClientID(ctx, v.env.ClientID)
	must(err)

	status, user := call(t, s, "POST", "/user_management/users", v.apiKey, map[string]any{"email": mark + "@users.example", "password": password, "first_name": mark, "external_id": "ext-" + mark, "email_verified": true})
	if status != http.StatusCreated {
		t.Fatalf("create user = %d %s", status, user)
	}
	v.user, err = v.env.UserByEmail(ctx, mark+"@users.example")
	must(err)
	status, out := authenticate(t, s.URL(), url.Values{"grant_type": {"password"}, "client_id": {v.env.ClientID}, "client_secret": {v.apiKey},
		"email": {mark + "@users.example"}, "password": {password}})
	if status != http.StatusOK {
		t.Fatalf("password grant = %d %v", status, out)
	}
	v.refresh = out["refresh_token"].(string)
	v.session, err = v.env.Session(ctx, decode(t, out["access_token"].(string))["sid"].(string))
	must(err)

	v.factor, v.asked, err = v.env.AddFactor(ctx, identity.Factor{UserID: v.user.ID, Issuer: mark, Account: v.user.Email, Secret: "JBSWY3DPEHPK3PXP"})
	must(err)

	v.letters = newLetters(t, s, v)
	v.circle = newCircle(t, v.env, mark)
	v.bridge = newBridge(t, s, v)
	v.belongings = newBelongings(t, v)
	v.connected = newConnected(t, s, v)
	v.rights = newRights(t, v.env, v.circle, mark)
	v.deployment, _, err = v.team.OpenDeployment(ctx, "shop", claim.Preview, mark, false)
	must(err)
	_, _, err = v.team.OpenDeployment(ctx, "shop", claim.Prod, "prod", false)
	must(err)
	v.admin = db.AdminKey(v.deployment).Reveal()
	must(db.ChangeDeployment(ctx, v.deployment.Name, func(d *store.Deployment, vars map[string]string) (map[string]string, error) {
		vars["SECRET"] = mark
		return vars, nil
	}))
	v.crew = newCrew(t, s, v)
	return v
}

// call sends a JSON request with a credential ("" for none) and returns status and body.
func call(t testing.TB, s *server.Server, method, path, credential string, send any) (int, string) {
	t.Helper()
	var data []byte
	if send != nil {
		var err error
		if data, err = json.Marshal(send); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(credential, "Bearer "):
		req.Header.Set("Authorization", credential)
	case strings.Contains(credential, "|"):
		req.Header.Set("Authorization", "Convex "+credential)
	case credential != "":
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location") + body(t, resp)
}

// state is all that is kept for a tenant; whatever a stranger does, it stays.
func (v *tenant) state(t testing.TB, s *server.Server) string {
	t.Helper()
	ctx := t.Context()
	must := func(x any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	users, _, _, err := v.env.Users(ctx, "", store.Page{Limit: 100})
	must(nil, err)
	sessions, _, _, err := v.env.Sessions(ctx, v.user.ID, store.Page{Limit: 100})
	must(nil, err)
	factors, _, _, err := v.env.Factors(ctx, v.user.ID, store.Page{Limit: 100})
	must(nil, err)
	asked, _, err := v.env.Challenge(ctx, v.asked.ID)
	must(asked, err)
	var envs []identity.Environment
	all, err := v.team.Environments(ctx)
	must(nil, err)
	for _, e := range all {
		envs = append(envs, e.Environment)
	}
	_, err = s.Store().EnvByAPIKey(ctx, v.apiKey)
	must(nil, err)
	o, err := v.team.Orphans(ctx)
	out, err := json.MarshalIndent([]any{must(o, err), users, sessions, factors, asked, envs, must(v.env.RedirectURIs(ctx)), must(v.env.CORSOrigins(ctx)), must(v.team.Claims(ctx, "")),
		must(v.team.Claim(ctx, v.claim.Claim.Deployment)), must(v.team.Deployments(ctx)), must(s.Store().Variables(ctx, v.deployment.ID)), v.circle.state(t, v.env), v.bridge.state(t, v.env), v.belongings.state(t, v), v.rights.state(t, v.env, v.circle), v.letters.state(t, v.env), v.connected.state(t, v), v.crew.state(t, s, v)}, "", " ")
	must(nil, err)
	return string(out)
}

// row says how a route is tried. path and bodies name b's things; the requests
// are sent with every credential that a has, and with none.
type row struct {
	path   func(b *tenant) string
	bodies func(a, b *tenant) []any
	own    func(v *tenant) string // the credential with which b itself is answered below 400; nil when there is none
	// public routes show a stranger this much of b on purpose.
	public func(b *tenant) []string
	// accepts says that a's own credential may be answered 2xx, about a's own things.
	accepts bool
}

func fixed(path string) func(*tenant) string { return func(*tenant) string { return path } }

func bodies(fn func(b *tenant) []any) func(a, b *tenant) []any {
	return func(_, b *tenant) []any { return fn(b) }
}

func apiKey(v *tenant) string    { return v.apiKey }
func teamToken(v *tenant) string { return v.token }
func admin(v *tenant) string     { return v.admin }

type m = map[string]any

func deploymentPath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/berth/v1/deployments/" + b.deployment.Name + suffix }
}

func claimPath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/berth/v1/claims/" + b.claim.Claim.ID + suffix }
}

func environmentPath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/platform/teams/" + b.team.ID + "/environments" + suffix }
}

func selection(b *tenant) []any {
	return []any{m{"kind": "deploymentName", "deploymentName": b.deployment.Name}, m{"kind": "teamAndProjectSlugs", "teamSlug": b.team.Slug, "projectSlug": "shop"}}
}

// rows has one entry per route of the server, by its pattern.
var rows = map[string]row{
	// AuthKit, public.
	"POST /user_management/authenticate": {path: fixed("/user_management/authenticate"), bodies: func(a, b *tenant) []any {
		return []any{
			m{"grant_type": "refresh_token", "client_id": b.env.ClientID, "refresh_token": a.refresh},
			m{"grant_type": "refresh_token", "client_id": a.env.ClientID, "refresh_token": b.refresh},
			m{"grant_type": "refresh_token", "client_id": a.env.ClientID, "client_secret": a.apiKey, "refresh_token": b.refresh},
			m{"grant_type": "refresh_token", "client_id": b.env.ClientID, "client_secret": a.apiKey, "refresh_token": b.refresh},
			m{"grant_type": "password", "client_id": b.env.ClientID, "client_secret": a.apiKey, "email": b.user.Email, "password": password},
			m{"grant_type": "password", "client_id": a.env.ClientID, "client_secret": a.apiKey, "email": b.user.Email, "password": password},
			m{"grant_type": "password", "client_id": b.env.ClientID, "email": b.user.Email, "password": password},
			m{"grant_type": "password", "client_id": b.env.ClientID, "client_secret": a.token, "email": b.user.Email, "password": password},
			m{"grant_type": workos.GrantMagicAuth, "client_id": a.env.ClientID, "client_secret": a.apiKey, "email": b.user.Email, "code": b.magic.Code},
			m{"grant_type": workos.GrantMagicAuth, "client_id": b.env.ClientID, "client_secret": a.apiKey, "email": b.user.Email, "code": b.magic.Code},
			m{"grant_type": workos.GrantEmailVerification, "client_id": a.env.ClientID, "client_secret": a.apiKey, "pending_authentication_token": b.pending, "code": b.verification.Code},
			m{"grant_type": workos.GrantEmailVerification, "client_id": b.env.ClientID, "client_secret": a.apiKey, "pending_authentication_token": b.pending, "code": b.verification.Code},
		}
	}},
	"OPTIONS /user_management/authenticate": {path: fixed("/user_management/authenticate"), accepts: true},
	"GET /user_management/sessions/logout":  {path: fixed("/user_management/sessions/logout?session_id=" + identity.NewID(identity.PrefixSession)), accepts: true},
	"GET /sso/jwks/{client_id}":             {path: func(b *tenant) string { return "/sso/jwks/" + b.env.ClientID }, accepts: true},
	"GET /user_management/{client_id}/.well-known/openid-configuration": {path: func(b *tenant) string {
		return "/user_management/" + b.env.ClientID + "/.well-known/openid-configuration"
	}, accepts: true},

	// AuthKit, with an API key.
	"POST /user_management/users": {path: fixed("/user_management/users"), own: apiKey, accepts: true, bodies: bodies(func(b *tenant) []any {
		return []any{m{"email": "new-" + identity.NewULID() + "@example.com", "environment_id": b.env.ID, "client_id": b.env.ClientID}}
	})},
	"GET /user_management/users":                     {path: func(b *tenant) string { return "/user_management/users?email=" + b.user.Email }, own: apiKey, accepts: true},
	"GET /user_management/{kind}/{by}/{external_id}": {path: func(b *tenant) string { return "/user_management/users/external_id/" + b.user.ExternalID }, own: apiKey},
	"GET /user_management/users/{id}":                {path: func(b *tenant) string { return "/user_management/users/" + b.user.ID }, own: apiKey},
	"PUT /user_management/users/{id}": {path: func(b *tenant) string { return "/user_management/users/" + b.user.ID }, own: apiKey,
		bodies: bodies(func(b *tenant) []any {
			return []any{m{"first_name": "Mallory"}, m{"id": b.user.ID, "email": "m@example.com", "password": "another password"}}
		})},
	"DELETE /user_management/users/{id}":       {path: func(b *tenant) string { return "/user_management/users/" + b.user.ID }, own: apiKey},
	"GET /user_management/users/{id}/sessions": {path: func(b *tenant) string { return "/user_management/users/" + b.user.ID + "/sessions" }, own: apiKey},
	"POST /user_management/sessions/revoke": {path: fixed("/user_management/sessions/revoke"), own: apiKey,
		bodies: bodies(func(b *tenant) []any { return []any{m{"session_id": b.session.ID}} })},
	"POST /user_management/redirect_uris": {path: fixed("/user_management/redirect_uris"), own: apiKey, accepts: true, bodies: func(a, b *tenant) []any {
		return []any{m{"uri": "https://" + strings.ToLower(identity.NewULID()) + ".example/callback", "client_id": b.env.ClientID}}
	}},
	"GET /user_management/redirect_uris":         {path: func(b *tenant) string { return "/user_management/redirect_uris?before=" + b.uri.ID }, own: apiKey, accepts: true},
	"DELETE /user_management/redirect_uris/{id}": {path: func(b *tenant) string { return "/user_management/redirect_uris/" + b.uri.ID }, own: apiKey},
	"POST /user_management/cors_origins": {path: fixed("/user_management/cors_origins"), own: apiKey, accepts: true, bodies: func(a, b *tenant) []any {
		return []any{m{"origin": "https://" + strings.ToLower(identity.NewULID()) + ".example", "client_id": b.env.ClientID}}
	}},
	"GET /user_management/cors_origins":         {path: fixed("/user_management/cors_origins"), own: apiKey, accepts: true},
	"DELETE /user_management/cors_origins/{id}": {path: func(b *tenant) string { return "/user_management/cors_origins/" + b.origin.ID }, own: apiKey},
	"PUT /user_management/app_homepage_url": {path: fixed("/user_management/app_homepage_url"), own: apiKey, accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"url": "https://mallory.example", "client_id": b.env.ClientID}} })},
	"GET /user_management/jwt_template": {path: fixed("/user_management/jwt_template"), own: apiKey, accepts: true},
	"PUT /user_management/jwt_template": {path: fixed("/user_management/jwt_template"), own: apiKey, accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"content": `{"evil":"yes"}`, "client_id": b.env.ClientID}} })},

	// Second factors.
	"POST /user_management/users/{id}/auth_factors": {path: func(b *tenant) string { return "/user_management/users/" + b.user.ID + "/auth_factors" }, own: apiKey,
		bodies: bodies(func(*tenant) []any { return []any{m{"type": "totp"}} })},
	"GET /user_management/users/{id}/auth_factors": {path: func(b *tenant) string { return "/user_management/users/" + b.user.ID + "/auth_factors" }, own: apiKey},
	"POST /auth/factors/enroll": {path: fixed("/auth/factors/enroll"), own: apiKey,
		bodies: bodies(func(b *tenant) []any {
			return []any{m{"type": "totp", "totp_issuer": "Mallory", "totp_user": "mallory", "user_id": b.user.ID}}
		})},
	"GET /auth/factors/{id}":            {path: func(b *tenant) string { return "/auth/factors/" + b.factor.ID }, own: apiKey},
	"DELETE /auth/factors/{id}":         {path: func(b *tenant) string { return "/auth/factors/" + b.factor.ID }, own: apiKey},
	"POST /auth/factors/{id}/challenge": {path: func(b *tenant) string { return "/auth/factors/" + b.factor.ID + "/challenge" }, own: apiKey},
	"POST /auth/challenges/{id}/verify": {path: func(b *tenant) string { return "/auth/challenges/" + b.asked.ID + "/verify" }, own: apiKey,
		bodies: bodies(func(*tenant) []any { return []any{m{"code": "000000"}} })},

	// Hosted pages: what they show is for whoever has the client ID; flows are
	// tried in TestFlowsStayInTheirEnvironmentAndBrowser.
	"GET /user_management/authorize": {path: func(b *tenant) string {
		return "/user_management/authorize?response_type=code&provider=authkit&client_id=" + b.env.ClientID + "&redirect_uri=https://elsewhere.example/callback"
	}, public: func(b *tenant) []string { return []string{strings.ToLower(b.mark), b.mark} }},
	"GET /sign-in":           {path: fixed("/sign-in?flow=x")},
	"POST /sign-in":          {path: fixed("/sign-in")},
	"GET /sign-up":           {path: fixed("/sign-up?flow=x")},
	"POST /sign-up":          {path: fixed("/sign-up")},
	"POST /magic-code/send":  {path: fixed("/magic-code/send")},
	"GET /magic-code":        {path: fixed("/magic-code?flow=x")},
	"POST /magic-code":       {path: fixed("/magic-code")},
	"GET /mfa/enrollment":    {path: fixed("/mfa/enrollment?flow=x")},
	"POST /mfa/enrollment":   {path: fixed("/mfa/enrollment")},
	"GET /mfa/verification":  {path: fixed("/mfa/verification?flow=x")},
	"POST /mfa/verification": {path: fixed("/mfa/verification")},
	// The inbox is for the person at this machine, who made all of its environments.
	"GET /inbox": {path: func(b *tenant) string { return "/inbox?client_id=" + b.env.ClientID }, accepts: true,
		public: func(b *tenant) []string { return []string{strings.ToLower(b.mark), b.mark, b.user.Email} }},
	"GET /inbox/{id}": {path: func(b *tenant) string {
		return "/inbox/" + identity.NewID(identity.PrefixMessage) + "?client_id=" + b.env.ClientID
	}},
	"GET /app-homepage-url-not-found": {path: fixed("/app-homepage-url-not-found")},

	// Platform API.
	"POST /oauth2/token": {path: fixed("/oauth2/token"), bodies: func(a, b *tenant) []any {
		return []any{m{"grant_type": "client_credentials", "client_id": b.team.ID, "client_secret": a.token}, m{"grant_type": "client_credentials", "client_id": b.team.ID, "client_secret": b.token}}
	}},
	"POST /platform/teams": {path: fixed("/platform/teams"), accepts: true,
		bodies: func(a, b *tenant) []any {
			return []any{m{"name": "Third", "admin_email": strings.ToLower(identity.NewULID()) + "@third.example"}}
		}},
	"GET /platform/teams/{team}":                       {path: func(b *tenant) string { return "/platform/teams/" + b.team.ID }, own: teamToken},
	"POST /platform/teams/{team}/environments":         {path: environmentPath(""), own: teamToken, bodies: bodies(func(*tenant) []any { return []any{m{"name": "mine"}} })},
	"GET /platform/teams/{team}/environments":          {path: environmentPath(""), own: teamToken},
	"GET /platform/teams/{team}/environments/{env}":    {path: func(b *tenant) string { return environmentPath("/" + b.env.ID)(b) }, own: teamToken},
	"DELETE /platform/teams/{team}/environments/{env}": {path: func(b *tenant) string { return environmentPath("/" + b.env.ID)(b) }, own: teamToken},
	"POST /platform/teams/{team}/environments/{env}/api_keys": {path: func(b *tenant) string { return environmentPath("/" + b.env.ID + "/api_keys")(b) }, own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"name": "mine"}} })},
	"POST /platform/teams/{team}/environments/{env}/api_keys/{key}/expire": {path: func(b *tenant) string {
		return environmentPath("/" + b.env.ID + "/api_keys/" + b.keyID + "/expire")(b)
	}, own: teamToken, bodies: bodies(func(*tenant) []any { return []any{m{}} })},
	"POST /platform/teams/{team}/invitations": {path: func(b *tenant) string { return "/platform/teams/" + b.team.ID + "/invitations" }, own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"email": "mallory@example.com", "role_slug": "admin"}} })},

	// Control plane.
	"HEAD /api/authorize":                         {path: fixed("/api/authorize"), own: teamToken, accepts: true},
	"GET /api/deployment/{name}/team_and_project": {path: func(b *tenant) string { return "/api/deployment/" + b.deployment.Name + "/team_and_project" }, own: teamToken},
	"POST /api/deployment/provision_and_authorize": {path: fixed("/api/deployment/provision_and_authorize"), own: teamToken, bodies: bodies(func(b *tenant) []any {
		return []any{m{"teamSlug": b.team.Slug, "projectSlug": "shop", "deploymentType": "prod"}, m{"teamSlug": b.team.Slug, "projectSlug": "shop", "deploymentType": "dev"}}
	})},
	"POST /api/deployment/authorize_within_current_project": {path: fixed("/api/deployment/authorize_within_current_project"), own: teamToken, bodies: func(a, b *tenant) []any {
		var all []any
		for _, s := range selection(b) {
			all = append(all, m{"selectedDeploymentName": b.deployment.Name, "projectSelection": s})
		}
		return append(all, m{"selectedDeploymentName": b.deployment.Name, "projectSelection": m{"kind": "teamAndProjectSlugs", "teamSlug": a.team.Slug, "projectSlug": "shop"}})
	}},
	"POST /api/deployment/authorize_prod": {path: fixed("/api/deployment/authorize_prod"), own: teamToken,
		bodies: bodies(func(b *tenant) []any { return []any{m{"deploymentName": b.deployment.Name}} })},
	"POST /api/deployment/authorize_preview": {path: fixed("/api/deployment/authorize_preview"), own: teamToken, bodies: func(a, b *tenant) []any {
		var all []any
		for _, s := range selection(b) {
			all = append(all, m{"previewName": b.mark, "projectSelection": s})
		}
		return append(all, m{"previewName": b.mark, "projectSelection": m{"kind": "teamAndProjectSlugs", "teamSlug": a.team.Slug, "projectSlug": "shop"}})
	}},
	"POST /api/claim_preview_deployment": {path: fixed("/api/claim_preview_deployment"), own: teamToken, bodies: bodies(func(b *tenant) []any {
		var all []any
		for _, s := range selection(b) {
			all = append(all, m{"identifier": b.mark, "projectSelection": s, "reuse": true}, m{"identifier": b.mark, "projectSelection": s})
		}
		return all
	})},
	"POST /v1/deployments/{name}/delete": {path: func(b *tenant) string { return "/v1/deployments/" + b.deployment.Name + "/delete" }, own: teamToken},

	// Deployments: the admin key selects one, so a stranger's key reaches its own.
	"GET /api/v1/list_environment_variables": {path: fixed("/api/v1/list_environment_variables"), own: admin, accepts: true},
	"POST /api/v1/update_environment_variables": {path: fixed("/api/v1/update_environment_variables"), own: admin, accepts: true,
		bodies: bodies(func(b *tenant) []any {
			return []any{m{"changes": []any{m{"name": "SECRET", "value": "stolen"}}, "deploymentName": b.deployment.Name}}
		})},
	"POST /api/update_environment_variables": {path: fixed("/api/update_environment_variables"), own: admin, accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"changes": []any{m{"name": "SECRET", "value": "stolen"}}}} })},
	"GET /api/v1/get_canonical_urls":               {path: fixed("/api/v1/get_canonical_urls"), own: admin, accepts: true},
	"GET /berth/v1/deployments/{name}/auth_config": {path: deploymentPath("/auth_config"), own: teamToken},
	"PUT /berth/v1/deployments/{name}/auth_config": {path: deploymentPath("/auth_config"), own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"source": "export default {providers: []}"}} })},
	"POST /berth/v1/deployments/{name}/check": {path: deploymentPath("/check"), own: teamToken, bodies: bodies(func(*tenant) []any { return []any{m{"token": "x.y.z"}} })},

	// Berth's own protocol.
	"GET /berth/v1/me":     {path: fixed("/berth/v1/me"), own: teamToken, accepts: true},
	"GET /berth/v1/claims": {path: fixed("/berth/v1/claims"), own: teamToken, accepts: true},
	"GET /berth/v1/claim": {path: func(b *tenant) string {
		return "/berth/v1/claim?deployment=" + url.QueryEscape(b.claim.Claim.Deployment)
	}, own: teamToken},
	// The key of a claim is the team's own name for it: a stranger who uses the same one gets a claim of its own.
	"PUT /berth/v1/claim": {path: fixed("/berth/v1/claim"), own: teamToken, accepts: true, bodies: func(a, b *tenant) []any {
		return []any{m{"project": "shop", "deployment": b.claim.Claim.Deployment, "kind": "preview", "mode": "dedicated", "api_base": b.claim.Placement.APIBase, "want": m{}}}
	}},
	"POST /berth/v1/placements/{id}/bind": {path: func(b *tenant) string { return "/berth/v1/placements/" + b.claim.Placement.ID + "/bind" }, own: teamToken,
		bodies: bodies(func(b *tenant) []any {
			return []any{m{"environment_id": b.env.ID, "client_id": b.env.ClientID, "api_key": "sk_test_mine"}}
		})},
	"POST /berth/v1/claims/{id}/intend": {path: claimPath("/intend"), own: teamToken, bodies: bodies(func(*tenant) []any {
		return []any{m{"redirect_uris": []string{"https://mallory.example"}, "cors_origins": []string{}}}
	})},
	"POST /berth/v1/claims/{id}/confirm": {path: claimPath("/confirm"), own: teamToken, bodies: bodies(func(b *tenant) []any {
		return []any{m{"removed": m{"redirect_uris": []string{b.uri.URI}, "cors_origins": []string{}}, "homepage_url": "https://mallory.example"}}
	})},
	"POST /berth/v1/claims/{id}/release": {path: claimPath("/release"), own: teamToken},
	// It can be repeated after the claim is gone, so an unknown claim is answered like one that is gone.
	"POST /berth/v1/claims/{id}/released": {path: claimPath("/released"), own: teamToken, accepts: true, bodies: bodies(func(b *tenant) []any {
		return []any{m{"redirect_uris": []string{b.uri.URI}, "cors_origins": []string{}}}
	})},
	"GET /berth/v1/orphans":                  {path: fixed("/berth/v1/orphans"), own: teamToken, accepts: true},
	"GET /berth/v1/environments":             {path: fixed("/berth/v1/environments"), own: teamToken, accepts: true},
	"GET /berth/v1/environments/{client_id}": {path: func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID }, own: teamToken},
	"PATCH /berth/v1/environments/{client_id}": {path: func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID }, own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"issuer": "https://mallory.example"}} })},
	"GET /berth/v1/audit":       {path: fixed("/berth/v1/audit"), own: teamToken, accepts: true},
	"GET /berth/v1/deployments": {path: fixed("/berth/v1/deployments"), own: teamToken, accepts: true},
	"POST /berth/v1/tokens": {path: fixed("/berth/v1/tokens"), own: teamToken, accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"name": "mine", "team_id": b.team.ID}} })},
	"POST /berth/v1/events/github": {path: fixed("/berth/v1/events/github"), bodies: bodies(func(b *tenant) []any {
		return []any{m{"ref_type": "branch", "ref": b.mark, "repository": m{"full_name": "acme/shop"}}}
	})},
	"GET /berth/v1/health": {path: fixed("/berth/v1/health"), accepts: true},
}

// R14, R20, R61: nothing that team A holds (a key, token, session or client of
// its environments) shows or changes anything of team B, on any route.
func TestNothingOfOneTeamReachesAnother(t *testing.T) {
	s := start(t)
	patterns := mounted(t)
	seen := map[string]bool{}
	for _, p := range patterns {
		seen[p] = true
		if _, ok := rows[p]; !ok {
			t.Errorf("route %q has no row: say in rows how a stranger is refused there", p)
		}
	}
	for p := range rows {
		if !seen[p] {
			t.Errorf("rows has %q, which is no route any more", p)
		}
	}
	for _, p := range patterns {
		r, ok := rows[p]
		if !ok {
			continue
		}
		t.Run(p, func(t *testing.T) { tryRoute(t, s, p, r) })
	}
}

func tryRoute(t *testing.T, s *server.Server, p string, r row) {
	a, b := newTenant(t, s), newTenant(t, s)
	method, _, _ := strings.Cut(p, " ")
	before := b.state(t, s)
	tries := []any{nil}
	if r.bodies != nil {
		tries = r.bodies(a, b)
	}
	allowed := ""
	if r.public != nil {
		allowed = strings.Join(r.public(b), "\n")
	}
	credentials := map[string]string{"nothing": "", "API key": a.apiKey, "team token": a.token, "platform token": a.plat, "admin key": a.admin, "refresh token": a.refresh,
		"its own admin key with the other's name": strings.ReplaceAll(a.admin, a.deployment.Name, b.deployment.Name)}
	maps.Copy(credentials, a.crew.credentials())
	for name, credential := range credentials {
		for _, try := range tries {
			status, answer := call(t, s, method, r.path(b), credential, try)
			if status >= 500 {
				t.Errorf("%s with %s of A, body %v = %d %s; want no server error", p, name, try, status, answer)
			}
			if status < 400 && !r.accepts {
				t.Errorf("%s with %s of A for a thing of B, body %v = %d %s; want it refused", p, name, try, status, answer)
			}
			asked, err := json.Marshal(try)
			if err != nil {
				t.Fatal(err)
			}
			// What the request itself says may be said back, but for secrets.
			for _, text := range []string{b.mark, strings.ToLower(b.mark), b.user.Email} {
				if strings.Contains(answer, text) && !strings.Contains(allowed+r.path(b)+string(asked), text) {
					t.Errorf("%s with %s of A shows %q of B:\n%s", p, name, text, answer)
				}
			}
			for _, secret := range append(b.crew.secrets, b.apiKey, b.refresh, b.admin, b.token, b.plat, b.belongings.value, b.pending, b.reset.Code, b.connected.secret, password) {
				if strings.Contains(answer, secret) {
					t.Errorf("%s with %s of A shows a secret of B", p, name)
				}
			}
		}
	}
	if diff := cmp.Diff(before, b.state(t, s)); diff != "" {
		t.Errorf("%s by A changed something of B (-before +after):\n%s", p, diff)
	}
	if r.own == nil {
		return
	}
	// The same requests of B itself are answered: they were refused for the right reason.
	for _, try := range tries[:1] {
		if status, answer := call(t, s, method, r.path(b), r.own(b), try); status >= 400 {
			t.Errorf("%s by B itself, body %v = %d %s; want it answered", p, try, status, answer)
		}
	}
}
