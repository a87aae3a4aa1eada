package auth

import (
	"context"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// Purpose is what a sign-in is for when it does not end with a code of User
// Management: a device that waits, or an application's authorization request.
type Purpose struct {
	DeviceID      string   `json:"d,omitempty"` // of a device; "" for an authorization request
	UserCode      string   `json:"u,omitempty"` // shown by the device
	ApplicationID string   `json:"a,omitempty"` // "" for a device of the environment itself
	Scopes        []string `json:"s,omitempty"`
	Resource      string   `json:"r,omitempty"` // RFC 8707
	Nonce         string   `json:"n,omitempty"`
	Consent       bool     `json:"c,omitempty"` // ask even who allowed it before
	Issuer        string   `json:"i,omitempty"` // goes with every answer (RFC 9207)
}

// ConnectIssuer returns the issuer of tokens for applications: the AuthKit
// domain of an environment, which here is a path of the server.
func (s *Service) ConnectIssuer(e *store.Env) string {
	return s.baseURL() + "/authkit/" + e.ClientID
}

// AuthorizationRequest is an application's authorization request (RFC 6749
// section 4.1.1, OpenID Connect Core 1.0 section 3.1.2.1) after its parameters
// were read.
type AuthorizationRequest struct {
	EnvironmentClientID string // the environment whose address was called; "" for that of no one
	ClientID            string // of the application
	RedirectURI         string
	ResponseType        string
	ResponseMode        string
	Scope               string
	State               string
	Nonce               string
	CodeChallenge       string
	CodeChallengeMethod string
	Resource            string
	Prompt              string
	LoginHint           string
	ScreenHint          string
	OrganizationID      string
	Request             bool // a request object came, by value or reference
}

// maxRequestText bounds what an application has kept for it, in bytes.
const maxRequestText = 2048

// BeginApplication checks an application's authorization request and begins a
// sign-in in one browser. An unknown application is NotFound and a redirect URI
// that is not its own Invalid, both for a page and never answered by a redirect;
// the rest is a *ReturnError with a Flow to return through.
func (s *Service) BeginApplication(ctx context.Context, a AuthorizationRequest, browser string) (*store.Env, *Flow, error) {
	e, app, err := s.db.EnvByApplication(ctx, a.ClientID)
	if err != nil {
		return nil, nil, err
	}
	if a.EnvironmentClientID != "" && a.EnvironmentClientID != e.ClientID || app.Kind != identity.OAuthApplication {
		return nil, nil, fault.New(fault.NotFound, "no application has the client ID %q", a.ClientID).WithCode("client_not_found")
	}
	to := a.RedirectURI
	if to == "" {
		to = app.DefaultRedirect()
	}
	if to == "" || !app.Allows(to) {
		return e, nil, fault.New(fault.Invalid, "The application asked to return to an address that is not registered for it.").
			WithFix("Register the exact address as a redirect URI of the application.").WithCode("redirect_uri_invalid")
	}
	scopes, scopesOK := identity.ParseScope(a.Scope)
	flow := &Flow{EnvironmentID: e.ID, ClientID: e.ClientID, RedirectURI: to, State: a.State, CodeChallenge: a.CodeChallenge, LoginHint: a.LoginHint,
		SignUp: a.ScreenHint == "sign-up", Browser: browserHash(browser), Begun: s.db.Now(),
		Purpose: &Purpose{ApplicationID: app.ID, Scopes: scopes, Resource: a.Resource, Nonce: a.Nonce, Issuer: s.ConnectIssuer(e)}}
	back := func(code, description string) error { return &ReturnError{Code: code, Description: description} }
	prompts := strings.Fields(a.Prompt)
	switch {
	case a.ResponseType == "":
		return e, flow, back("invalid_request", "response_type is missing.")
	case a.ResponseType != "code":
		return e, flow, back("unsupported_response_type", "response_type must be code.")
	case a.ResponseMode != "" && a.ResponseMode != "query":
		return e, flow, back("invalid_request", "response_mode must be query.")
	case a.Request:
		return e, flow, back("request_not_supported", "Request objects are not supported.")
	case a.CodeChallenge == "" && (app.UsesPKCE || a.CodeChallengeMethod != ""):
		return e, flow, back("invalid_request", "code_challenge is missing.")
	case a.CodeChallenge != "" && a.CodeChallengeMethod != "S256":
		return e, flow, back("invalid_request", "code_challenge_method must be S256.")
	case a.CodeChallenge != "" && !challengePattern.MatchString(a.CodeChallenge):
		return e, flow, back("invalid_request", "code_challenge must be the base64url form of a SHA-256 hash.")
	case len(a.Nonce) > maxRequestText || len(a.State) > 2*maxRequestText:
		return e, flow, back("invalid_request", "nonce or state is too long.")
	case !scopesOK:
		return e, flow, back("invalid_scope", "The scope cannot be read.")
	case !ValidResource(a.Resource):
		return e, flow, back("invalid_target", "resource must be an absolute URI without fragment.")
	case slices.Contains(prompts, "none"):
		// Nobody is ever signed in here already: each request signs in anew.
		return e, flow, back("login_required", "The person must sign in.")
	}
	if err := checkScopes(app, flow.Purpose); err != nil {
		return e, flow, back("invalid_scope", fault.From(err).Message)
	}
	flow.Purpose.Consent = slices.Contains(prompts, "consent")
	return e, flow, s.preselect(ctx, e, flow, Authorization{OrganizationID: a.OrganizationID})
}

// checkScopes holds what is asked for to what the application may have; nothing
// asked for is the identity of the person.
func checkScopes(app identity.Application, p *Purpose) error {
	if len(p.Scopes) == 0 {
		p.Scopes = []string{identity.ScopeOpenID, identity.ScopeProfile, identity.ScopeEmail}
	}
	for _, scope := range p.Scopes {
		if !app.Grants(scope) {
			return fault.New(fault.Invalid, "The application may not ask for the scope %s.", scope).WithCode("invalid_scope")
		}
	}
	return nil
}

// Ask reads what an application asks for in a device authorization. Errors have
// the codes invalid_scope and invalid_target.
func (s *Service) Ask(app identity.Application, scope, resource string) ([]string, string, error) {
	scopes, ok := identity.ParseScope(scope)
	if !ok || app.Kind != identity.OAuthApplication {
		return nil, "", fault.New(fault.Invalid, "The scope cannot be read, or the application signs nobody in.").WithCode("invalid_scope")
	}
	if !ValidResource(resource) {
		return nil, "", fault.New(fault.Invalid, "resource must be an absolute URI without fragment.").WithCode("invalid_target")
	}
	p := Purpose{Scopes: scopes}
	err := checkScopes(app, &p)
	return p.Scopes, resource, err
}

// ValidResource reports whether text is a resource of RFC 8707 section 2, or "".
func ValidResource(text string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && u.Fragment == "" && !strings.Contains(text, "#") && len(text) <= maxRequestText
}

// AppOf returns the application that a flow is for, or the zero one for a device
// of the environment itself. One that is gone meanwhile is ErrFlow.
func (s *Service) AppOf(ctx context.Context, e *store.Env, f *Flow) (identity.Application, error) {
	if f.Purpose == nil || f.Purpose.ApplicationID == "" {
		return identity.Application{}, nil
	}
	app, err := e.Application(ctx, f.Purpose.ApplicationID)
	if fault.Is(err, fault.NotFound) {
		return app, ErrFlow
	}
	return app, err
}

// NeedsConsent reports whether a person must be asked before an application gets
// what it wants: those of other organizations must ask, once for each scope.
func (s *Service) NeedsConsent(ctx context.Context, e *store.Env, f *Flow, p *Pending) (bool, error) {
	app, err := s.AppOf(ctx, e, f)
	if err != nil || app.ID == "" || app.FirstParty {
		return false, err
	}
	if f.Purpose.Consent {
		return true, nil
	}
	have, err := e.AllowedScopes(ctx, app.ID, p.UserID, p.OrganizationID, f.Purpose.Resource)
	if err != nil || have == nil {
		return true, err
	}
	for _, scope := range f.Purpose.Scopes {
		if !slices.Contains(have, scope) {
			return true, nil
		}
	}
	return false, nil
}

// ErrNoConsent is the answer to an application that somebody refused.
var ErrNoConsent = &ReturnError{Code: "access_denied", Description: "The person refused the request."}

// fulfil ends a sign-in that has a purpose: it approves the device or makes the
// code, and returns where the browser goes next.
func (s *Service) fulfil(ctx context.Context, e *store.Env, f *Flow, u identity.User, p *Pending) (string, error) {
	app, err := s.AppOf(ctx, e, f)
	if err != nil {
		return "", err
	}
	if app.ID != "" {
		by := identity.Authentication{UserID: u.ID, Email: u.Email}
		if p.Method == "sso" {
			by.SSO = &identity.SSO{OrganizationID: p.OrganizationID, ConnectionID: p.ConnectionID}
		}
		if err := e.RecordSignIn(ctx, p.Method, by); err != nil {
			return "", err
		}
	}
	if f.Purpose.DeviceID != "" {
		err := e.ApproveDevice(ctx, identity.Device{ID: f.Purpose.DeviceID, UserID: u.ID, OrganizationID: p.OrganizationID, AuthMethod: p.Method, AuthTime: s.db.Now()})
		if err == nil && app.ID != "" {
			err = e.Allow(ctx, identity.Authorization{Application: app, UserID: u.ID, OrganizationID: p.OrganizationID, Resource: f.Purpose.Resource, Scopes: f.Purpose.Scopes})
		}
		return "/device/success?" + url.Values{"client_id": {e.ClientID}}.Encode(), err
	}
	if !app.Allows(f.RedirectURI) || checkScopes(app, f.Purpose) != nil {
		return "", ErrFlow // changed while the page was open
	}
	code := identity.NewULID() + rand.Text()[:16]
	now := s.db.Now()
	err = e.AddApplicationCode(ctx, identity.ApplicationCode{Hash: codeHash(code), ApplicationID: app.ID, UserID: u.ID, OrganizationID: p.OrganizationID,
		RedirectURI: f.RedirectURI, CodeChallenge: f.CodeChallenge, Scopes: f.Purpose.Scopes, Nonce: f.Purpose.Nonce, Resource: f.Purpose.Resource,
		AuthTime: now, ExpiresAt: now.Add(ApplicationCodeLifetime)})
	if err != nil {
		return "", err
	}
	return ReturnURL(f, url.Values{"code": {code}}), nil
}
