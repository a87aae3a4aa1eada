package hosted

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// mountConnect registers what applications send a person's browser to.
func (p *Pages) mountConnect(show, form func(string, route.Handler)) {
	show("GET /oauth2/authorize", p.authorizeApplication)
	show("GET /authkit/{client_id}/oauth2/authorize", p.authorizeApplication)
	show("GET /application-authorization", p.showConsent)
	form("POST /application-authorization", p.decideConsent)
	show("GET /authkit/{client_id}/external-auth", p.resumeExternal)
}

// requestParameters are those of an authorization request that must not be sent
// twice (RFC 6749 section 3.1); of resource we support one (RFC 8707 section 2).
var requestParameters = []string{"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"resource", "prompt", "login_hint", "screen_hint", "organization_id", "request", "request_uri"}

func (p *Pages) authorizeApplication(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The query of the authorization request cannot be read.").WithFix("Percent-encode its values.")
	}
	for _, name := range requestParameters {
		if len(q[name]) > 1 {
			return fault.New(fault.Invalid, "The parameter %s was sent more than once.", name)
		}
	}
	a := auth.AuthorizationRequest{EnvironmentClientID: r.PathValue("client_id"), ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"),
		ResponseType: q.Get("response_type"), ResponseMode: q.Get("response_mode"), Scope: q.Get("scope"), State: q.Get("state"), Nonce: q.Get("nonce"),
		CodeChallenge: q.Get("code_challenge"), CodeChallengeMethod: q.Get("code_challenge_method"), Resource: q.Get("resource"), Prompt: q.Get("prompt"),
		LoginHint: q.Get("login_hint"), ScreenHint: q.Get("screen_hint"), OrganizationID: q.Get("organization_id"), Request: q.Has("request") || q.Has("request_uri")}
	e, flow, err := p.Auth.BeginApplication(r.Context(), a, p.browser(w, r))
	if err != nil {
		return p.refuse(w, r, e, flow, a.ClientID, err)
	}
	sealed, err := p.Auth.SealFlow(flow)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if login := e.Settings.Connect.LoginURI; login != "" {
		x, err := e.AddExternal(r.Context(), sealed, flow.Begun.Add(auth.FlowLifetime))
		if err != nil {
			return err
		}
		target, err := url.Parse(login)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "The environment's login URI cannot be read.")
		}
		params := target.Query()
		params.Set("external_auth_id", x.ID)
		target.RawQuery = params.Encode()
		http.Redirect(w, r, target.String(), http.StatusFound)
		return nil
	}
	path := "/sign-in"
	if flow.SignUp {
		path = "/sign-up"
	}
	http.Redirect(w, r, pageURL(path, e, sealed), http.StatusFound)
	return nil
}

// consented asks for consent where it is needed: true says that the browser was
// sent to the page that does.
func (p *Pages) consented(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, pending *auth.Pending) (asked bool, err error) {
	needed, err := p.Auth.NeedsConsent(r.Context(), e, flow, pending)
	if err != nil || !needed {
		return false, err
	}
	flow.Pending = pending
	sealed, err := p.Auth.SealFlow(flow)
	if err != nil {
		return false, err
	}
	return true, p.to(w, pageURL("/application-authorization", e, sealed))
}

// scopeTexts say what the standard scopes mean.
var scopeTexts = map[string]string{identity.ScopeOpenID: "Know who you are", identity.ScopeProfile: "See your name and picture",
	identity.ScopeEmail: "See your email address", identity.ScopeOffline: "Keep access while you are away"}

// openConsent reads a flow whose sign-in lacks nothing but consent. A page of an
// earlier step, or of no application, has none: done is true when the browser
// was sent on.
func (p *Pages) openConsent(w http.ResponseWriter, r *http.Request, sealed string) (e *store.Env, flow *auth.Flow, u identity.User, page web.Consent, done bool, err error) {
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return e, flow, u, page, false, err
	}
	app, err := p.Auth.AppOf(r.Context(), e, flow)
	if err == nil && app.ID == "" {
		err = auth.ErrFlow
	}
	if err != nil {
		return e, flow, u, page, false, err
	}
	err = p.Auth.Next(r.Context(), e, u, flow.Pending)
	if _, ok := errors.AsType[*auth.StepUp](err); ok {
		return e, flow, u, page, true, p.advance(w, r, e, flow, u, flow.Pending)
	}
	if err != nil {
		return e, flow, u, page, false, err
	}
	page = web.Consent{Frame: frame, Application: app.Name, Email: u.Email,
		Form: web.Form{Action: "/application-authorization", Hidden: []web.Field{{Name: "flow", Value: sealed}}}}
	for _, name := range flow.Purpose.Scopes {
		page.Scopes = append(page.Scopes, web.Scope{Name: name, Text: scopeTexts[name]})
	}
	if to, err := url.Parse(flow.RedirectURI); err == nil {
		page.Host = to.Host
	}
	return e, flow, u, page, false, nil
}

func (p *Pages) showConsent(w http.ResponseWriter, r *http.Request) error {
	_, flow, _, page, done, err := p.openConsent(w, r, r.URL.Query().Get("flow"))
	if err != nil || done {
		return err
	}
	return web.Write(w, http.StatusOK, page, flow.RedirectURI)
}

func (p *Pages) decideConsent(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	e, flow, u, _, done, err := p.openConsent(w, r, r.PostForm.Get("flow"))
	if err != nil || done {
		return err
	}
	if r.PostForm.Get(web.FieldDecision) == web.DecisionAllow {
		return p.conclude(w, r, e, flow, u, flow.Pending)
	}
	if flow.Purpose.DeviceID != "" {
		return p.denyDevice(w, r, e, flow)
	}
	return p.to(w, auth.ReturnURL(flow, url.Values{"error": {auth.ErrNoConsent.Code}, "error_description": {auth.ErrNoConsent.Description}}))
}

// resumeExternal goes on with a sign-in that the environment's own application
// did. It works once, and in the browser that began the sign-in only.
func (p *Pages) resumeExternal(w http.ResponseWriter, r *http.Request) error {
	e, err := p.DB.EnvByClientID(r.Context(), r.PathValue("client_id"))
	if err != nil {
		return auth.ErrFlow
	}
	id := r.URL.Query().Get("external_auth_id")
	x, err := e.External(r.Context(), id)
	if fault.Is(err, fault.NotFound) {
		return auth.ErrFlow
	}
	if err != nil {
		return err
	}
	of, flow, _, err := p.open(w, r, x.Flow)
	if err != nil || of.ID != e.ID {
		return auth.ErrFlow
	}
	if x, err = e.ResumeExternal(r.Context(), id); fault.Is(err, fault.NotFound) {
		return auth.ErrFlow
	}
	if err != nil {
		return err
	}
	u, err := e.User(r.Context(), x.UserID)
	if err != nil {
		return err
	}
	return p.advance(w, r, e, flow, u, p.Auth.NewExternalPending(e, u))
}
