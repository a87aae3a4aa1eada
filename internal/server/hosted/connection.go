package hosted

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// Bounds of what an application hands on to a provider.
const (
	maxHandedOn  = 20  // scopes, and parameters
	maxParameter = 512 // bytes of one
)

// single are the parameters of an authorization request that must not be sent
// twice (RFC 6749 section 3.1).
var single = []string{"client_id", "redirect_uri", "response_type", "state", "code_challenge", "code_challenge_method", "provider", "connection_id",
	"organization_id", "invitation_token", "connection", "organization", "domain", "domain_hint", "login_hint", "prompt"}

// Query reads the query of an authorization request.
func Query(r *http.Request) (url.Values, error) {
	// URL.Query drops what it cannot read; a redirect URI that is dropped would
	// be taken for one that was not sent.
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The query of the authorization request cannot be read.").WithFix("Percent-encode its values.")
	}
	for _, name := range single {
		if len(q[name]) > 1 {
			return nil, fault.New(fault.Invalid, "The parameter %s was sent more than once.", name)
		}
	}
	return q, nil
}

// HandOn reads what an authorization request hands on to a provider:
// provider_scopes, repeated or separated by commas, and
// provider_query_params[name]=value.
func HandOn(q url.Values, a *auth.Authorization) {
	for _, v := range q["provider_scopes"] {
		for _, scope := range strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' }) {
			if len(a.Scopes) < maxHandedOn && len(scope) <= maxParameter {
				a.Scopes = append(a.Scopes, scope)
			}
		}
	}
	for k, v := range q {
		name, ok := strings.CutPrefix(k, "provider_query_params[")
		if name, closed := strings.CutSuffix(name, "]"); ok && closed && name != "" && len(a.Query) < maxHandedOn && len(name)+len(v[0]) <= maxParameter {
			if a.Query == nil {
				a.Query = map[string]string{}
			}
			a.Query[name] = v[0]
		}
	}
}

// Browser returns the browser's cookie value, and sets one when it has none.
func (p *Pages) Browser(w http.ResponseWriter, r *http.Request) string { return p.browser(w, r) }

// Cookie returns the browser's cookie value, "" when it has none.
func Cookie(r *http.Request) string {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// Open reads the flow of a page.
func (p *Pages) Open(w http.ResponseWriter, r *http.Request, sealed string) (*store.Env, *auth.Flow, web.Frame, error) {
	return p.open(w, r, sealed)
}

// Frame names the deployment that the pages are for.
func (p *Pages) Frame(r *http.Request, e *store.Env, redirectURI string) (web.Frame, error) {
	return p.frame(r.Context(), e, redirectURI)
}

// Refuse shows or returns what is wrong with an authorization request.
func (p *Pages) Refuse(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, clientID string, err error) error {
	return p.refuse(w, r, e, flow, clientID, err)
}

// Advance finishes a sign-in whose first factor was right, or shows the step
// that it still needs.
func (p *Pages) Advance(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, u identity.User, pending *auth.Pending) error {
	return p.advance(w, r, e, flow, u, pending)
}

// TooManyIn shows the page of a limit in an environment's frame.
func (p *Pages) TooManyIn(w http.ResponseWriter, r *http.Request, frame web.Frame, err error) error {
	return p.tooMany(w, r, frame, err)
}

// CheckOrigin refuses form posts that another site causes.
func CheckOrigin(r *http.Request) error { return checkOrigin(r) }

// Answer writes an error as a page.
func Answer(w http.ResponseWriter, r *http.Request, f *fault.Error) { answer(w, r, f) }

// beginURL is where a flow leaves for an identity provider.
func beginURL(e *store.Env, sealed, provider string) string {
	q := url.Values{"client_id": {e.ClientID}, "flow": {sealed}}
	if provider != "" {
		q.Set("provider", provider)
	}
	return "/sso/begin?" + q.Encode()
}

// leave sends the browser from a posted form to the identity provider of an
// address.
func (p *Pages) leave(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, email string, list []identity.Connection) error {
	if err := p.Auth.LeadTo(flow, email, list); err != nil {
		return p.refuse(w, r, e, flow, e.ClientID, err)
	}
	frame, err := p.frame(r.Context(), e, flow.RedirectURI)
	if err != nil {
		return err
	}
	sealed, err := p.Auth.SealFlow(flow)
	if err != nil {
		return err
	}
	to := beginURL(e, sealed, "")
	w.Header().Set("Refresh", "0; url="+to)
	return web.Write(w, http.StatusOK, web.Leaving{Frame: frame, Connection: list[0].Name, URL: to})
}

// elsewhere sends people whose organization has an identity provider there. It
// reports whether it answered.
func (p *Pages) elsewhere(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, email string) (bool, error) {
	list, err := p.Auth.ConnectionsOf(r.Context(), e, email)
	if err != nil || len(list) == 0 {
		return false, err
	}
	return true, p.leave(w, r, e, flow, email, list)
}

// otherMethod answers a sign-in that must be done in another way. It reports
// whether err is of that kind.
func (p *Pages) otherMethod(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, err error) (bool, error) {
	if sso, ok := errors.AsType[*auth.SSORequired](err); ok {
		return true, p.leave(w, r, e, flow, sso.Email, sso.Connections)
	}
	if _, ok := errors.AsType[*auth.OrganizationMethodsRequired](err); ok {
		return true, p.refuse(w, r, e, flow, e.ClientID, &auth.ReturnError{Code: "access_denied", Description: "The organization does not take this way of signing in."})
	}
	if _, ok := errors.AsType[*auth.ReturnError](err); ok {
		return true, p.refuse(w, r, e, flow, e.ClientID, err)
	}
	return false, nil
}

// providers are the links to social providers on a page.
func (p *Pages) providers(r *http.Request, e *store.Env, sealed string) ([]web.Provider, error) {
	types, err := p.Auth.SocialProviders(r.Context(), e)
	out := make([]web.Provider, len(types))
	for i, typ := range types {
		out[i] = web.Provider{Name: identity.SocialProviderName(typ), URL: beginURL(e, sealed, typ)}
	}
	return out, err
}

// others adds to a sign-in page what leads elsewhere.
func (p *Pages) others(r *http.Request, e *store.Env, sealed string, page *web.SignIn) error {
	var err error
	if page.Providers, err = p.providers(r, e, sealed); err != nil {
		return err
	}
	page.NoPassword = e.Settings.Methods.NoPassword
	if e.Settings.Methods.NoSSO {
		return nil
	}
	has, err := e.HasSSO(r.Context())
	if has {
		page.SSOURL = "/sign-in/sso"
	}
	return err
}

// singleSignOn is reached from the sign-in page with an address.
func (p *Pages) singleSignOn(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed, email := r.PostForm.Get("flow"), strings.TrimSpace(r.PostForm.Get(web.FieldEmail))
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	if left, err := p.elsewhere(w, r, e, flow, email); left || err != nil {
		return err
	}
	page := p.signInPage(e, flow, frame, sealed)
	page.Email, page.EmailError = email, "No organization with single sign-on has this address."
	if identity.CheckEmail(email) != nil {
		page.EmailError = "Enter your work e-mail address to use single sign-on."
	}
	return p.writeSignIn(w, r, e, http.StatusUnprocessableEntity, page, flow)
}

func (p *Pages) mountConnections(form func(string, route.Handler)) {
	form("POST /sign-in/sso", p.singleSignOn)
}

// mayJoin reports whether the flow may lead to a new account with a password.
func (p *Pages) mayJoin(e *store.Env, flow *auth.Flow) bool {
	off := e.Settings.Methods
	return p.Auth.MailOpen(e) && !off.NoPassword && (!off.NoSignUp || flow.InvitationToken != "")
}
