// Package connect serves applications that sign people in through an environment
// (WorkOS Connect): their registration with an environment's API key, the OAuth
// 2.0 and OpenID Connect endpoints of each environment, and the device flow
// (RFC 8628), which environments themselves have too. What a person's browser is
// sent to are package hosted's pages.
//
// An environment's AuthKit domain is the path /authkit/<client ID> of the server.
// The same endpoints without that path find the environment by the application's
// client ID.
package connect

import (
	"log/slog"
	"net/http"
	"time"

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
	Limits  limit.Set
	// Platform answers POST /oauth2/token for clients that are no application.
	Platform http.Handler
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	on := keyed.On(mux, a.DB, a.Log, a.Limits)
	on.Handle("GET /connect/applications", a.listApplications)
	on.Handle("POST /connect/applications", a.createApplication)
	on.Handle("GET /connect/applications/{id}", a.getApplication)
	on.Handle("PUT /connect/applications/{id}", a.updateApplication)
	on.Handle("DELETE /connect/applications/{id}", a.deleteApplication)
	on.Handle("GET /connect/applications/{id}/client_secrets", a.listSecrets)
	on.Handle("POST /connect/applications/{id}/client_secrets", a.createSecret)
	on.Handle("DELETE /connect/client_secrets/{id}", a.deleteSecret)
	on.Handle("GET /user_management/users/{id}/authorized_applications", a.listOfUser)
	on.Handle("DELETE /user_management/users/{id}/authorized_applications/{application_id}", a.deleteOfUser)
	on.Handle("GET /organizations/{id}/authorized_applications", a.listOfOrganization)
	on.Handle("POST /authkit/oauth2/complete", a.completeExternal)
	on.Public("POST /user_management/authorize/device", a.startDevice)

	s := route.Surface{Log: a.Log, Answer: answer}
	for _, pattern := range []string{"POST /oauth2/device_authorization", "POST /authkit/{client_id}/oauth2/device_authorization"} {
		s.Handle(mux, pattern, a.deviceAuthorization)
	}
	mux.Handle("POST /oauth2/token", a.tokenOrPlatform(s))
	s.Handle(mux, "POST /authkit/{client_id}/oauth2/token", a.token)
	for _, pattern := range []string{"POST /oauth2/introspection", "POST /authkit/{client_id}/oauth2/introspection"} {
		s.Handle(mux, pattern, a.introspect)
	}
	for _, pattern := range []string{"POST /oauth2/revoke", "POST /authkit/{client_id}/oauth2/revoke"} {
		s.Handle(mux, pattern, a.revoke)
	}
	for _, pattern := range []string{"GET /oauth2/userinfo", "POST /oauth2/userinfo", "GET /authkit/{client_id}/oauth2/userinfo", "POST /authkit/{client_id}/oauth2/userinfo"} {
		s.Handle(mux, pattern, a.userinfo)
	}
	for _, pattern := range []string{
		"OPTIONS /oauth2/token", "OPTIONS /oauth2/revoke", "OPTIONS /oauth2/userinfo",
		"OPTIONS /authkit/{client_id}/oauth2/token", "OPTIONS /authkit/{client_id}/oauth2/revoke", "OPTIONS /authkit/{client_id}/oauth2/userinfo",
	} {
		s.Handle(mux, pattern, a.preflight)
	}
	for _, pattern := range []string{"GET /oauth2/jwks", "GET /authkit/{client_id}/oauth2/jwks"} {
		s.Handle(mux, pattern, a.jwks)
	}
	for _, pattern := range []string{
		"GET /.well-known/openid-configuration", "GET /.well-known/oauth-authorization-server",
		"GET /authkit/{client_id}/.well-known/openid-configuration", "GET /authkit/{client_id}/.well-known/oauth-authorization-server",
		"GET /.well-known/oauth-authorization-server/authkit/{client_id}", "GET /.well-known/openid-configuration/authkit/{client_id}", // RFC 8414 section 3.1
	} {
		s.Handle(mux, pattern, a.metadata)
	}
}

// preflight lets a browser ask for tokens, and with them, from the pages of the
// environment. At the root, where no environment is named, an origin of any
// passes; the answer to the request itself is held to the one environment.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) error {
	origin, ctx := r.Header.Get("Origin"), r.Context()
	known, err := false, error(nil)
	if clientID := r.PathValue("client_id"); clientID == "" {
		known, err = a.DB.OriginKnown(ctx, origin)
	} else {
		var e *store.Env
		if e, err = a.DB.EnvByClientID(ctx, clientID); err == nil {
			known, err = e.AllowsOrigin(ctx, origin)
		}
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if known {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "authorization, content-type")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin lets the pages of the environment's origins read an answer;
// nobody else's.
func allowOrigin(w http.ResponseWriter, r *http.Request, e *store.Env) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	allowed, err := e.AllowsOrigin(r.Context(), origin)
	if err == nil && allowed {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Add("Vary", "Origin")
	}
	return err
}

// startDevice begins the device flow of an environment itself.
func (a *API) startDevice(w http.ResponseWriter, r *http.Request) error {
	var req workos.DeviceAuthorizationRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if req.ClientID == "" {
		return fault.New(fault.Invalid, "Missing client_id.").WithCode("invalid_request")
	}
	e, err := a.DB.EnvByClientID(r.Context(), req.ClientID)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "Invalid client ID.").WithCode("invalid_client")
	}
	if err != nil {
		return err
	}
	return a.startedDevice(w, r, e, identity.Application{}, nil, "")
}

// startedDevice answers with the codes of a device. How many of them one address
// makes an environment keep is bounded.
func (a *API) startedDevice(w http.ResponseWriter, r *http.Request, e *store.Env, app identity.Application, scopes []string, resource string) error {
	if err := a.Limits.Authenticate.Take(e.ID, "device", route.ClientIP(r)); err != nil {
		return err
	}
	d, err := a.Auth.StartDevice(r.Context(), e, app, scopes, resource)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusOK, workos.DeviceAuthorization{DeviceCode: workos.Credential(d.DeviceCode.Reveal()), UserCode: d.UserCode,
		VerificationURI: d.URI, VerificationURIComplete: d.URIWith, ExpiresIn: int(d.Lifetime / time.Second), Interval: int(d.Interval / time.Second)})
}
