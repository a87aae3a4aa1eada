// Package authkit serves the AuthKit protocol: token exchange, sign-out, keys,
// users, sessions and environment configuration, as WorkOS's OpenAPI document
// describes them. The pages of a sign-in are package hosted's.
package authkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// API serves the surface.
type API struct {
	DB      *store.DB
	Auth    *auth.Service
	Log     *slog.Logger
	BaseURL func() string
	// LookupTXT finds the DNS record that proves an organization's domain;
	// nil is the system's resolver.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// CheckTarget refuses a URL that webhooks cannot be sent to.
	CheckTarget func(target string, production bool) error
	Limits      limit.Set

	exchanges keyed.Repeats // of single-use codes
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	on := keyed.On(mux, a.DB, a.Log, a.Limits)

	on.Public("POST /user_management/authenticate", a.authenticate)
	on.Public("OPTIONS /user_management/authenticate", a.preflight)
	on.Public("GET /user_management/sessions/logout", a.logout)
	on.Public("GET /sso/jwks/{client_id}", a.jwks)
	on.Public("GET /user_management/{client_id}/.well-known/openid-configuration", a.discovery)

	on.Handle("POST /user_management/users", a.createUser)
	on.Handle("GET /user_management/users", a.listUsers)
	on.Handle("GET /user_management/users/{id}", a.getUser)
	// The literal pattern would conflict with …/users/{id}/sessions, and one with
	// "users" as its literal with the discovery document.
	on.Handle("GET /user_management/{kind}/{by}/{external_id}", a.getUserByExternalID)
	on.Handle("PUT /user_management/users/{id}", a.updateUser)
	on.Handle("DELETE /user_management/users/{id}", a.deleteUser)
	on.Handle("GET /user_management/users/{id}/sessions", a.listSessions)
	on.Handle("POST /user_management/sessions/revoke", a.revokeSession)

	a.mountMail(on)
	a.mountFactors(on)
	a.mountEvents(on)
	a.mountOrganizations(on)
	a.mountConnections(on)

	on.Handle("POST /user_management/redirect_uris", a.addRedirectURI)
	on.Handle("GET /user_management/redirect_uris", a.listRedirectURIs)
	on.Handle("DELETE /user_management/redirect_uris/{id}", a.deleteRedirectURI)
	on.Handle("POST /user_management/cors_origins", a.addCORSOrigin)
	on.Handle("GET /user_management/cors_origins", a.listCORSOrigins)
	on.Handle("DELETE /user_management/cors_origins/{id}", a.deleteCORSOrigin) // not in WorkOS's reference
	on.Handle("PUT /user_management/app_homepage_url", a.setHomepage)
	on.Handle("GET /user_management/jwt_template", a.getJWTTemplate)
	on.Handle("PUT /user_management/jwt_template", a.setJWTTemplate)
}

func (a *API) jwks(w http.ResponseWriter, r *http.Request) error {
	e, err := a.DB.EnvByClientID(r.Context(), r.PathValue("client_id"))
	if err != nil {
		return err
	}
	set, err := a.Auth.JWKS(r.Context(), e)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Access-Control-Allow-Origin"] = jsonType, jwksCaching, anyOrigin
	h["Etag"] = []string{set.ETag}
	if r.Header.Get("If-None-Match") == set.ETag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Length"] = []string{strconv.Itoa(len(set.Body))}
	_, err = w.Write(set.Body)
	return err
}

// The headers of key sets, made once: they are asked for more than anything
// else. A cache holds a set for a minute, far less than identity.KeyLead.
var (
	jsonType    = []string{"application/json"}
	jwksCaching = []string{"public, max-age=60"}
	anyOrigin   = []string{"*"} // public keys, sent without credentials
)

// discovery serves OpenID Connect Discovery 1.0 metadata.
func (a *API) discovery(w http.ResponseWriter, r *http.Request) error {
	e, err := a.DB.EnvByClientID(r.Context(), r.PathValue("client_id"))
	if err != nil {
		return err
	}
	base := a.BaseURL()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return route.JSON(w, http.StatusOK, map[string]any{
		"issuer":                                a.Auth.Issuer(e),
		"authorization_endpoint":                base + "/user_management/authorize",
		"token_endpoint":                        base + "/user_management/authenticate",
		"jwks_uri":                              base + "/sso/jwks/" + e.ClientID,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{e.Settings.Tokens.SigningAlgorithm()},
		"code_challenge_methods_supported":      []string{"S256"},
		"scopes_supported":                      []string{"openid", "profile", "email"},
	})
}

// logout ends a session and sends the browser on. It has no CORS headers on
// purpose: with them a prefetch of another origin would complete a sign-out.
func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("session_id")
	if id == "" {
		return fault.New(fault.Invalid, "session_id is required").WithCode("invalid_request_parameters")
	}
	e, target, err := a.Auth.SignOut(r.Context(), id, r.URL.Query().Get("return_to"))
	if fault.Is(err, fault.NotFound) {
		target, err = "", nil
	}
	if err != nil {
		return err
	}
	if target == "" {
		target = "/app-homepage-url-not-found"
	}
	if e != nil {
		a.clearSessionCookies(w, r, e.ClientID, target)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusFound)
	return nil
}

func (a *API) preflight(w http.ResponseWriter, r *http.Request) error {
	// The client ID is in the body, which a preflight does not have: the origin
	// is allowed when any environment knows it, and the answer to the request
	// itself is then held to the one environment.
	origin := r.Header.Get("Origin")
	known, err := a.DB.OriginKnown(r.Context(), origin)
	if err != nil {
		return err
	}
	if known {
		AllowOrigin(w, origin)
		w.Header().Set("Access-Control-Allow-Methods", "POST")
		w.Header().Set("Access-Control-Allow-Headers", "content-type")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// AllowOrigin lets the pages of an origin read an answer, with credentials, and
// how long a limit asks them to wait.
func AllowOrigin(w http.ResponseWriter, origin string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	h.Add("Vary", "Origin")
}

// cors holds a browser request to the environment's origins. Requests without
// Origin come from servers.
func (a *API) cors(ctx context.Context, e *store.Env, w http.ResponseWriter, r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	allowed, err := e.AllowsOrigin(ctx, origin)
	if err != nil {
		return err
	}
	if !allowed {
		return fault.New(fault.Denied, "Origin %s is not allowed for this environment.", origin).
			WithFix("add it to corsOrigins in convex.json and run `berth apply`").WithCode("origin_not_allowed")
	}
	AllowOrigin(w, origin)
	return nil
}

func (a *API) authenticate(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	body, err := keyed.Buffer(r)
	if err != nil {
		return err
	}
	var req workos.AuthenticateRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if req.ClientID == "" {
		return fault.New(fault.Invalid, "Missing client_id.").WithCode("invalid_request")
	}
	ctx := r.Context()
	e, err := a.DB.EnvByClientID(ctx, req.ClientID)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "Invalid client ID.").WithCode("invalid_client")
	}
	if err != nil {
		return err
	}
	if err := a.cors(ctx, e, w, r); err != nil {
		return err
	}
	secretGiven := string(req.ClientSecret)
	if secretGiven == "" {
		secretGiven = route.Bearer(r)
	}
	authenticated := false
	if secretGiven != "" {
		keyed, err := a.DB.EnvByAPIKey(ctx, secretGiven)
		if err != nil && !fault.Is(err, fault.Unauthenticated) {
			return err
		}
		if err != nil || keyed.ID != e.ID {
			return fault.New(fault.Invalid, "Invalid client secret.").WithCode("invalid_client")
		}
		authenticated = true
	}
	from := auth.Client{IPAddress: route.ClientIP(r), UserAgent: r.UserAgent()}
	if authenticated && req.IPAddress != "" {
		from.IPAddress = req.IPAddress
	}
	if authenticated && req.UserAgent != "" {
		from.UserAgent = req.UserAgent
	}
	ctx = identity.WithClient(ctx, identity.Client(from))
	if err := a.limitGrant(e, req); err != nil {
		return err
	}
	grant := func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		return a.grant(ctx, e, w, r, req, authenticated, from)
	}
	// workos-go repeats a POST whose answer was lost. A code spent by the first
	// one would end the session it opened, so the same exchange gets the same
	// tokens; another exchange of that code still ends it. Browsers send no key.
	if r.Header.Get("Origin") == "" && spends(req.GrantType) {
		return a.exchanges.Do(grant, e, auth.ReplayWindow, w, r)
	}
	return grant(e, w, r)
}

// spends reports whether a grant uses up what it is given. A refresh token has
// a window of its own, and a password opens one more session.
func spends(grant string) bool {
	return grant != workos.GrantRefresh && grant != workos.GrantPassword
}

// grant answers a request whose environment, origin and client are known.
func (a *API) grant(ctx context.Context, e *store.Env, w http.ResponseWriter, r *http.Request, req workos.AuthenticateRequest, authenticated bool, from auth.Client) error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, format, args...).WithCode("invalid_request")
	}
	var t *auth.Tokens
	var err error
	switch req.GrantType {
	case workos.GrantCode:
		if req.Code == "" {
			return bad("Missing code.")
		}
		t, err = a.Auth.Redeem(ctx, e, auth.Redemption{Code: string(req.Code), Verifier: string(req.CodeVerifier), Authenticated: authenticated, From: from,
			InvitationToken: string(req.InvitationToken)})
		if errors.Is(err, store.ErrCode) {
			err = fault.New(fault.Invalid, "The code '%s' has expired or is invalid.", firstRunes(string(req.Code), 6)).WithCode("invalid_grant")
		}
	case workos.GrantRefresh:
		token := string(req.RefreshToken)
		if token == "" {
			token = cookieRefreshToken(r, e)
		}
		if token == "" {
			return bad("Missing refresh token.")
		}
		t, err = a.Auth.Refresh(ctx, e, token, req.OrganizationID)
	case workos.GrantPassword:
		if !authenticated {
			return fault.New(fault.Invalid, "The password grant needs the API key as client_secret.").WithCode("invalid_client")
		}
		if req.Email == "" || req.Password == "" {
			return bad("Missing email or password.")
		}
		t, err = a.Auth.PasswordGrant(ctx, e, req.Email, string(req.Password), string(req.InvitationToken), from)
	case workos.GrantMagicAuth:
		if req.Email == "" || req.Code == "" {
			return bad("Missing email or code.")
		}
		t, err = a.Auth.MagicAuthGrant(ctx, e, req.Email, string(req.Code), string(req.InvitationToken), from)
	case workos.GrantEmailVerification:
		if req.PendingAuthenticationToken == "" || req.Code == "" {
			return bad("Missing pending_authentication_token or code.")
		}
		t, err = a.Auth.EmailVerificationGrant(ctx, e, string(req.PendingAuthenticationToken), string(req.Code), from)
	case workos.GrantTOTP:
		if req.PendingAuthenticationToken == "" || req.AuthenticationChallengeID == "" || req.Code == "" {
			return bad("Missing pending_authentication_token, authentication_challenge_id or code.")
		}
		t, err = a.Auth.TOTPGrant(ctx, e, string(req.PendingAuthenticationToken), req.AuthenticationChallengeID, string(req.Code), from)
	case workos.GrantOrganizationSelection:
		if req.PendingAuthenticationToken == "" || req.OrganizationID == "" {
			return bad("Missing pending_authentication_token or organization_id.")
		}
		t, err = a.Auth.OrganizationSelectionGrant(ctx, e, string(req.PendingAuthenticationToken), req.OrganizationID, from)
	case workos.GrantDeviceCode:
		if req.DeviceCode == "" {
			return bad("Missing device_code.")
		}
		t, err = a.Auth.DeviceGrant(ctx, e, string(req.DeviceCode), from)
	case "":
		return bad("Missing grant_type.")
	default:
		// The document has no unsupported_grant_type (RFC 6749 section 5.2) here.
		return bad("Grant type %q is not supported by Berth.", req.GrantType)
	}
	if step, ok := errors.AsType[*auth.StepUp](err); ok {
		return stepUp(step).Write(w)
	}
	if other, ok := otherMethod(err); ok {
		return other.Write(w)
	}
	if err != nil {
		return err
	}
	a.setSessionCookies(w, r, e, t)
	return route.JSON(w, http.StatusOK, workos.AuthenticateResponse{User: User(t.User), OrganizationID: t.Session.OrganizationID, AccessToken: workos.Credential(t.AccessToken.Reveal()),
		RefreshToken: workos.Credential(t.RefreshToken.Reveal()), AuthenticationMethod: t.Method, OAuthTokens: keyed.ProviderTokens(t.Provider)})
}

// stepUp is the answer that names the next step of a sign-in.
func stepUp(s *auth.StepUp) workos.Answer {
	switch s.Step {
	case auth.StepMFAEnrollment:
		return workos.MFAEnrollmentRequired(workos.Credential(s.Token), User(s.User))
	case auth.StepMFAChallenge:
		factors := make([]workos.NamedEntry, len(s.Factors))
		for i, f := range s.Factors {
			factors[i] = workos.NamedEntry{ID: f.ID, Type: "totp"}
		}
		return workos.MFAChallengeRequired(workos.Credential(s.Token), User(s.User), factors)
	}
	if s.Step == auth.StepOrganizationSelection {
		return organizationSelection(s)
	}
	return workos.EmailVerificationRequired(workos.Credential(s.Token), s.User.Email, s.MailCodeID)
}

// firstRunes shows the beginning of a code that was refused: enough to find it
// in a log, too little to use.
func firstRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

// User encodes a user.
func User(u identity.User) workos.User {
	out := workos.User{Object: "user", ID: u.ID, Email: u.Email, FirstName: keyed.OrNull(u.FirstName), LastName: keyed.OrNull(u.LastName),
		Name: keyed.OrNull(strings.TrimSpace(u.FirstName + " " + u.LastName)), EmailVerified: u.EmailVerified, ProfilePictureURL: keyed.OrNull(u.ProfilePictureURL),
		ExternalID: keyed.OrNull(u.ExternalID), Metadata: u.Metadata, Locale: keyed.OrNull(u.Locale), LastSignInAt: workos.AtOrNull(u.LastSignInAt),
		CreatedAt: workos.At(u.CreatedAt), UpdatedAt: workos.At(u.UpdatedAt)}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}
