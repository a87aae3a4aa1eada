// Package hosted serves the pages of a sign-in: authorize, sign-in, sign-up,
// and the pages that say what is wrong. The state of a sign-in travels sealed
// in the page (auth.Flow); a cookie ties it to the browser that began it.
package hosted

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// browserCookie ties sign-ins to a browser. It is the same for all tabs.
const browserCookie = "berth_browser"

// Pages serves the surface.
type Pages struct {
	DB      *store.DB
	Auth    *auth.Service
	Log     *slog.Logger
	BaseURL func() string
	// Local reports whether a request comes from the person at this machine,
	// who may read the inbox of lower environments. Nil: nobody.
	Local  func(*http.Request) bool
	Limits limit.Set
}

// Mount registers the routes.
func (p *Pages) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: p.Log, Answer: answer}
	form := func(pattern string, h route.Handler) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			if err := checkOrigin(r); err != nil {
				return err
			}
			return h(w, r)
		})
	}
	s.Handle(mux, "GET /user_management/authorize", p.authorize)
	s.Handle(mux, "GET /sign-in", p.showSignIn)
	form("POST /sign-in", p.signIn)
	p.mountTestUsers(form)
	s.Handle(mux, "GET /sign-up", p.showSignUp)
	form("POST /sign-up", p.signUp)
	s.Handle(mux, "GET /email-verification", p.showVerification)
	form("POST /email-verification", p.verify)
	form("POST /email-verification/send", p.resend)
	s.Handle(mux, "GET /reset-password/request", p.showResetRequest)
	form("POST /reset-password/request", p.requestReset)
	s.Handle(mux, "GET /reset-password", p.showReset)
	form("POST /reset-password", p.reset)
	show := func(pattern string, h route.Handler) { s.Handle(mux, pattern, h) }
	p.mountMagicCode(show, form)
	p.mountSecondFactor(show, form)
	p.mountInbox(show)
	p.mountConnections(form)
	p.mountDevice(show, form)
	p.mountConnect(show, form)
	s.Handle(mux, "GET /organization-selection", p.showOrganizations)
	form("POST /organization-selection", p.chooseOrganization)
	s.Handle(mux, "GET /invite", p.invite)
	s.Handle(mux, "GET /app-homepage-url-not-found", func(w http.ResponseWriter, r *http.Request) error {
		return web.Write(w, http.StatusNotFound, web.HomepageNotFound{Frame: web.Frame{Brand: defaultBrand}, RequestID: route.RequestID(r.Context())})
	})
	mux.Handle("GET "+web.StylesheetPath(), web.Assets())
	mux.Handle("GET "+web.IconPath(), web.Assets())
}

var guard = http.NewCrossOriginProtection()

// checkOrigin refuses form posts that another site causes
// (net/http.CrossOriginProtection). Over plain http to another machine
// browsers send neither Sec-Fetch-Site nor, because the pages have the policy
// no-referrer, an Origin other than "null": there the form's sealed flow, which
// only works with the browser's own cookie, is the proof.
func checkOrigin(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return nil
	}
	if err := guard.Check(r); err != nil {
		return fault.Wrap(err, fault.Denied, "This form was sent by another site.").WithFix("Go back to the application and start again.")
	}
	return nil
}

var defaultBrand = web.Brand{Name: "Berth"}

func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	if f.Kind == fault.RateLimited {
		_ = TooMany(w, r, f)
		return
	}
	page := web.ErrorPage{Frame: web.Frame{Brand: defaultBrand}, RequestID: route.RequestID(r.Context())}
	if f.Kind != fault.Internal {
		page.Title, page.Message, page.Fix = "This did not work", f.Message, f.Fix
	}
	_ = web.Write(w, route.Status(f.Kind), page) // the client is gone; there is nobody to tell
}

// frame names the deployment that the pages are for.
func (p *Pages) frame(ctx context.Context, e *store.Env, redirectURI string) (web.Frame, error) {
	f := web.Frame{Brand: web.Brand{Name: e.Name}, Kind: web.Prod}
	c, err := e.ClaimFor(ctx, redirectURI)
	switch {
	case err != nil:
		return f, err
	case c != nil:
		f.Brand.Name = c.Project
		f.Kind, f.Deployment = web.Kind(c.Kind), strings.TrimPrefix(c.Deployment, c.Project+"/"+string(c.Kind)+"/")
		if c.Kind == claim.Preview && c.Branch != "" {
			f.Deployment = c.Branch
		}
	case !e.Production:
		f.Kind, f.Deployment = web.Dev, e.Name
	}
	if e.Production {
		f.Kind = web.Prod
	}
	if b := e.Settings.Brand; b.Name != "" {
		f.Brand.Name = b.Name
	}
	f.Brand.LogoURL, f.Brand.Accent = e.Settings.Brand.LogoURL, e.Settings.Brand.Accent
	return f, nil
}

// browser returns the browser's cookie value, and sets one when it has none.
func (p *Pages) browser(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(browserCookie); err == nil && len(c.Value) >= 20 && len(c.Value) <= 64 {
		return c.Value
	}
	value := auth.NewBrowser()
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(p.BaseURL(), "https://"), MaxAge: 24 * 60 * 60})
	return value
}

func (p *Pages) authorize(w http.ResponseWriter, r *http.Request) error {
	q, err := Query(r)
	if err != nil {
		return err
	}
	a := auth.Authorization{ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), ResponseType: q.Get("response_type"), Provider: q.Get("provider"),
		ConnectionID: q.Get("connection_id"), OrganizationID: q.Get("organization_id"), State: q.Get("state"), CodeChallenge: q.Get("code_challenge"),
		CodeChallengeMethod: q.Get("code_challenge_method"), ScreenHint: q.Get("screen_hint"), LoginHint: q.Get("login_hint"),
		InvitationToken: q.Get("invitation_token"), DomainHint: q.Get("domain_hint"), Prompt: q.Get("prompt")}
	HandOn(q, &a)
	e, flow, err := p.Auth.Begin(r.Context(), a, p.browser(w, r))
	if err != nil {
		return p.refuse(w, r, e, flow, a.ClientID, err)
	}
	sealed, err := p.Auth.SealFlow(flow)
	if err != nil {
		return err
	}
	path := "/sign-in"
	if flow.SignUp {
		path = "/sign-up"
	}
	w.Header().Set("Cache-Control", "no-store")
	if flow.ConnectionID != "" {
		http.Redirect(w, r, beginURL(e, sealed, ""), http.StatusFound)
		return nil
	}
	http.Redirect(w, r, path+"?"+url.Values{"client_id": {e.ClientID}, "flow": {sealed}}.Encode(), http.StatusFound)
	return nil
}

// refuse shows or returns what is wrong with an authorization request.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, clientID string, err error) error {
	id := route.RequestID(r.Context())
	if back, ok := errors.AsType[*auth.ReturnError](err); ok && flow != nil && flow.RedirectURI == "" { // of a device, which learns nothing of it
		return fault.New(fault.Invalid, "%s", back.Description).WithFix("Go back and start again.")
	} else if ok && flow != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, auth.ReturnURL(flow, url.Values{"error": {back.Code}, "error_description": {back.Description}}), http.StatusFound)
		return nil
	}
	if wrong, ok := errors.AsType[*auth.RedirectURIError](err); ok {
		frame, frameErr := p.frame(r.Context(), e, "")
		if frameErr != nil {
			return frameErr
		}
		page := web.RedirectURIInvalid{Frame: frame, Asked: wrong.Asked, Registered: wrong.Registered, RequestID: id}
		if wrong.Asked != "" {
			if problem := identity.CheckRedirectURI(wrong.Asked, e.Production); problem != nil {
				page.Problem = fault.From(problem).Message
			}
		}
		return web.Write(w, http.StatusBadRequest, page)
	}
	if _, ok := errors.AsType[auth.SelectorError](err); ok {
		return fault.New(fault.Invalid, "The application named no provider, connection or organization.").WithFix("Send provider=authkit with the authorization request.")
	}
	if fault.Is(err, fault.NotFound) {
		return web.Write(w, http.StatusNotFound, web.ClientIDInvalid{Frame: web.Frame{Brand: defaultBrand}, ClientID: clientID, RequestID: id})
	}
	return err
}

// open reads the flow of a page.
func (p *Pages) open(w http.ResponseWriter, r *http.Request, sealed string) (*store.Env, *auth.Flow, web.Frame, error) {
	cookie := ""
	if c, err := r.Cookie(browserCookie); err == nil {
		cookie = c.Value
	}
	e, flow, err := p.Auth.OpenFlow(r.Context(), sealed, cookie)
	if err != nil {
		return nil, nil, web.Frame{}, err
	}
	frame, err := p.frame(r.Context(), e, flow.RedirectURI)
	return e, flow, frame, err
}

func pageURL(path string, e *store.Env, sealed string) string {
	return path + "?" + url.Values{"client_id": {e.ClientID}, "flow": {sealed}}.Encode()
}

func (p *Pages) signInPage(e *store.Env, flow *auth.Flow, frame web.Frame, sealed string) web.SignIn {
	page := web.SignIn{Frame: frame, Form: web.Form{Action: "/sign-in", Hidden: []web.Field{{Name: "flow", Value: sealed}}}, Email: flow.LoginHint}
	off := e.Settings.Methods
	if p.Auth.MailOpen(e) && !off.NoPassword {
		page.ResetURL = pageURL("/reset-password/request", e, sealed)
	}
	if p.Auth.MailOpen(e) && !off.NoMagicCode {
		page.MagicCodeURL = "/magic-code/send"
	}
	if p.mayJoin(e, flow) {
		page.SignUpURL = pageURL("/sign-up", e, sealed)
	}
	return page
}

func (p *Pages) showSignIn(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	return p.writeSignIn(w, r, e, http.StatusOK, p.signInPage(e, flow, frame, sealed), flow)
}

func (p *Pages) readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.").WithFix("Go back and try again.")
	}
	return nil
}

func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	email, password := strings.TrimSpace(r.PostForm.Get(web.FieldEmail)), r.PostForm.Get(web.FieldPassword)
	page := p.signInPage(e, flow, frame, sealed)
	page.Email = email
	if left, err := p.elsewhere(w, r, e, flow, email); left || err != nil {
		return err
	}
	if email == "" {
		page.EmailError = "Enter your e-mail address."
	}
	if password == "" {
		page.PasswordError = "Enter your password."
	}
	if page.EmailError != "" || page.PasswordError != "" {
		return p.writeSignIn(w, r, e, http.StatusUnprocessableEntity, page, flow)
	}
	return p.checkSignIn(w, r, signInAttempt{e: e, flow: flow, frame: frame, sealed: sealed, email: email, password: password,
		wrong: "The e-mail address or the password is not right."})
}

// signInAttempt is an address with a password, typed or kept of a test user.
type signInAttempt struct {
	e               *store.Env
	flow            *auth.Flow
	frame           web.Frame
	sealed          string // flow
	email, password string
	wrong           string // said when the password is not the user's
}

// checkSignIn is the one way from an address and a password to the next step.
func (p *Pages) checkSignIn(w http.ResponseWriter, r *http.Request, a signInAttempt) error {
	if err := p.limitEmail(r, a.e, a.email); err != nil {
		return p.tooMany(w, r, a.frame, err)
	}
	u, err := p.Auth.CheckPassword(r.Context(), a.e, a.email, a.password)
	if fault.Code(err) == "invalid_credentials" {
		page := p.signInPage(a.e, a.flow, a.frame, a.sealed)
		page.Email, page.Error = a.email, a.wrong
		return p.writeSignIn(w, r, a.e, http.StatusUnprocessableEntity, page, a.flow)
	}
	if err != nil {
		return err
	}
	return p.advance(w, r, a.e, a.flow, u, p.Auth.NewPending(a.e, u, "password"))
}

// writeSignIn writes a sign-in page, with the test users where it may have them.
func (p *Pages) writeSignIn(w http.ResponseWriter, r *http.Request, e *store.Env, status int, page web.SignIn, flow *auth.Flow) error {
	if err := p.listTestUsers(r, e, &page); err != nil {
		return err
	}
	for _, f := range page.Form.Hidden {
		if err := p.others(r, e, f.Value, &page); err != nil {
			return err
		}
	}
	return web.Write(w, status, page, flow.RedirectURI)
}

// advance finishes a sign-in, or shows the step that it still needs.
func (p *Pages) advance(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, u identity.User, pending *auth.Pending) error {
	flow.Carry(pending)
	err := p.Auth.Next(r.Context(), e, u, pending)
	if fault.Code(err) == "organization_membership_not_found" && flow.OrganizationID != "" {
		err = &auth.ReturnError{Code: "access_denied", Description: "The user is not a member of the organization."}
		return p.refuse(w, r, e, flow, e.ClientID, err)
	}
	if answered, err := p.otherMethod(w, r, e, flow, err); answered {
		return err
	}
	step, ok := errors.AsType[*auth.StepUp](err)
	if !ok {
		if err != nil {
			return err
		}
		return p.finish(w, r, e, flow, u, pending)
	}
	if step.Step == auth.StepMFAEnrollment {
		p.Auth.BeginEnrollment(step.Pending)
	}
	flow.Pending = step.Pending
	sealed, err := p.Auth.SealFlow(flow)
	if err != nil {
		return err
	}
	return p.to(w, pageURL(stepPages[step.Step], e, sealed))
}

// stepPages are the pages of the steps of a sign-in.
var stepPages = map[auth.Step]string{auth.StepEmailVerification: "/email-verification",
	auth.StepMFAEnrollment: "/mfa/enrollment", auth.StepMFAChallenge: "/mfa/verification", auth.StepOrganizationSelection: "/organization-selection"}

// to sends the browser to another page of ours after a form was posted.
func (p *Pages) to(w http.ResponseWriter, path string) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// finish sends the browser back to the application with a code. 303, so that
// the password is not posted on (RFC 9700 section 4.12).
func (p *Pages) finish(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, u identity.User, pending *auth.Pending) error {
	if asked, err := p.consented(w, r, e, flow, pending); err != nil || asked {
		return err
	}
	return p.conclude(w, r, e, flow, u, pending)
}

// conclude is finish when nobody must be asked any more.
func (p *Pages) conclude(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow, u identity.User, pending *auth.Pending) error {
	target, err := p.Auth.Finish(r.Context(), e, flow, u, pending)
	if err != nil {
		return p.refuse(w, r, e, flow, e.ClientID, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func signUpPage(e *store.Env, frame web.Frame, sealed string) web.SignUp {
	return web.SignUp{Frame: frame, Form: web.Form{Action: "/sign-up", Hidden: []web.Field{{Name: "flow", Value: sealed}}},
		PasswordRules: []string{"At least 10 characters"}, MinPassword: identity.MinPasswordLength, SignInURL: pageURL("/sign-in", e, sealed)}
}

func (p *Pages) showSignUp(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	if !p.mayJoin(e, flow) {
		return auth.ErrSignUpClosed
	}
	page := signUpPage(e, frame, sealed)
	if page.Providers, err = p.providers(r, e, sealed); err != nil {
		return err
	}
	page.Email = flow.LoginHint
	return web.Write(w, http.StatusOK, page, flow.RedirectURI)
}

func (p *Pages) signUp(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	page := signUpPage(e, frame, sealed)
	if page.Providers, err = p.providers(r, e, sealed); err != nil {
		return err
	}
	page.Name, page.Email = strings.TrimSpace(r.PostForm.Get(web.FieldName)), strings.TrimSpace(r.PostForm.Get(web.FieldEmail))
	if left, err := p.elsewhere(w, r, e, flow, page.Email); left || err != nil {
		return err
	}
	if err := p.limitEmail(r, e, page.Email); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	u := identity.User{Email: page.Email}
	u.FirstName, u.LastName, _ = strings.Cut(page.Name, " ")
	u, err = p.Auth.SignUp(r.Context(), e, u, r.PostForm.Get(web.FieldPassword), flow.InvitationToken)
	switch f := fault.From(err); {
	case err == nil:
		return p.advance(w, r, e, flow, u, p.Auth.NewPending(e, u, "password"))
	case f.Code == "email_invalid":
		page.EmailError = "This is not an e-mail address."
	case f.Code == "email_not_available":
		page.EmailError = "There is an account with this address. Sign in instead."
	case strings.HasPrefix(f.Code, "password_"):
		page.PasswordError = strings.ToUpper(f.Message[:1]) + f.Message[1:] + "."
	default:
		return err
	}
	return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
}
