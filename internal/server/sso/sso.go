// Package sso serves sign-in at identity providers: the way there and back, the
// built-in test identity provider, and the SSO API (/sso/authorize, token,
// profile, logout), whose codes stand for a profile and not for a user.
//
// A sign-in goes hosted or /sso/authorize -> /sso/begin -> provider ->
// /sso/callback -> further steps of package hosted, or the application. While it
// is away its flow is kept in the store under the hash of the state, works only
// in the browser that began it, and goes with the first answer.
package sso

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/hosted"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/upstream"
)

// API serves the surface.
type API struct {
	DB       *store.DB
	Auth     *auth.Service
	Log      *slog.Logger
	BaseURL  func() string
	Hosted   *hosted.Pages
	Upstream *upstream.Client
	Limits   limit.Set
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: a.Log, Answer: hosted.Answer}
	s.Handle(mux, "GET /sso/authorize", a.authorize)
	s.Handle(mux, "GET /sso/begin", a.begin)
	s.Handle(mux, "GET /sso/callback", a.callback)
	s.Handle(mux, "GET /sso/test-provider", a.showTestProvider)
	s.Handle(mux, "POST /sso/test-provider", a.testProvider)
	s.Handle(mux, "GET /sso/logout", a.logout)

	on := keyed.On(mux, a.DB, a.Log, a.Limits)
	on.Public("POST /sso/token", a.token)
	on.Public("GET /sso/profile", a.profile)
	on.Handle("POST /sso/logout/authorize", a.authorizeLogout)
}

// callbackURL is where providers send the browser back to. It is what is
// registered there.
func (a *API) callbackURL() string { return a.BaseURL() + "/sso/callback" }

// request is what a sign-in asks of its provider.
func (a *API) request(r *auth.ConnectionRequest, state string) upstream.Request {
	f := r.Flow
	return upstream.Request{RedirectURI: a.callbackURL(), State: state, Nonce: r.Nonce, Verifier: r.Verifier, LoginHint: f.LoginHint, DomainHint: f.DomainHint,
		Prompt: f.Prompt, Scopes: f.Scopes, Query: f.Query}
}

// begin leaves for the provider of a flow, or of the button that was followed.
func (a *API) begin(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	e, flow, _, err := a.Hosted.Open(w, r, q.Get("flow"))
	if err != nil {
		return err
	}
	if typ := q.Get("provider"); typ != "" {
		if typ == "authkit" {
			return auth.ErrFlow
		}
		if err := a.Auth.ChooseProvider(r.Context(), e, flow, typ); err != nil {
			return a.Hosted.Refuse(w, r, e, flow, e.ClientID, err)
		}
	}
	if flow.ConnectionID == "" {
		return auth.ErrFlow
	}
	return a.leave(w, r, e, flow)
}

func (a *API) leave(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow) error {
	ctx := r.Context()
	c, req, state, err := a.Auth.LeaveFor(ctx, e, flow)
	if err != nil {
		return a.Hosted.Refuse(w, r, e, flow, e.ClientID, err)
	}
	// The test provider is this server, and people try it again and again.
	if c.Kind == identity.OIDCConnection || e.Production {
		if limited := a.Limits.HostedSSO.Take(route.ClientIP(r)); limited != nil {
			frame, err := a.Hosted.Frame(r, e, flow.RedirectURI)
			if err != nil {
				return err
			}
			return a.Hosted.TooManyIn(w, r, frame, limited)
		}
	}
	to := "/sso/test-provider?" + url.Values{"state": {state}}.Encode()
	if c.Kind == identity.OIDCConnection {
		to, err = a.Upstream.AuthorizeURL(ctx, c, a.request(req, state))
		if err != nil {
			return a.fail(w, r, e, flow, c, err)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to, http.StatusFound)
	return nil
}

// fail tells the application that the provider failed; its log line has the cause.
func (a *API) fail(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, c identity.Connection, err error) error {
	if fault.Code(err) != upstream.Unreachable {
		return err
	}
	a.Log.WarnContext(r.Context(), "identity provider failed", "connection", c.ID, "issuer", c.Issuer, "request_id", route.RequestID(r.Context()), "err", err)
	return a.Hosted.Refuse(w, r, e, flow, e.ClientID, a.Auth.ConnectionFailed(r.Context(), e, c, flow.LoginHint, upstream.Unreachable, fault.From(err).Message))
}

// callback takes what a provider answers.
func (a *API) callback(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	e, c, req, err := a.Auth.Return(ctx, q.Get("state"), hosted.Cookie(r))
	if err != nil {
		if _, ok := errors.AsType[*auth.ReturnError](err); ok {
			return a.Hosted.Refuse(w, r, e, &req.Flow, e.ClientID, err)
		}
		return err
	}
	flow := &req.Flow
	refuse := func(code, description string) error {
		return a.Hosted.Refuse(w, r, e, flow, e.ClientID, a.Auth.ConnectionFailed(ctx, e, c, flow.LoginHint, code, description))
	}
	switch {
	// RFC 9207: an answer that names another issuer is not of this sign-in.
	case q.Has("iss") && q.Get("iss") != c.Issuer:
		return refuse("oauth_failed", "The answer is of another identity provider.")
	case q.Get("error") == "access_denied":
		return refuse("access_denied", "The identity provider denied access.")
	case q.Has("error"):
		return refuse("oauth_failed", "The identity provider reported a failure.")
	case q.Get("code") == "":
		return refuse("oauth_failed", "The identity provider gave no code.")
	}
	said, tokens, err := a.exchange(r, c, req, q.Get("code"))
	if err != nil {
		return a.fail(w, r, e, flow, c, err)
	}
	if flow.ForProfile {
		to, err := a.Auth.FinishProfile(ctx, e, flow, c, said, tokens)
		if err != nil {
			return a.Hosted.Refuse(w, r, e, flow, e.ClientID, err)
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		http.Redirect(w, r, to, http.StatusFound)
		return nil
	}
	u, pending, err := a.Auth.SignInWith(ctx, e, flow, c, said, tokens)
	if err != nil {
		return a.Hosted.Refuse(w, r, e, flow, e.ClientID, err)
	}
	return a.Hosted.Advance(w, r, e, flow, u, pending)
}

func (a *API) exchange(r *http.Request, c identity.Connection, req *auth.ConnectionRequest, code string) (identity.Profile, *identity.ProviderTokens, error) {
	if c.Kind == identity.TestConnection {
		return a.exchangeTest(c, req, code)
	}
	return a.Upstream.Exchange(r.Context(), c, a.request(req, ""), code)
}
