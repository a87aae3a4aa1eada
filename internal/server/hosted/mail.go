package hosted

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// pending reads the flow of a page that continues a sign-in.
func (p *Pages) pending(w http.ResponseWriter, r *http.Request, sealed string) (*store.Env, *auth.Flow, web.Frame, identity.User, error) {
	e, flow, frame, err := p.open(w, r, sealed)
	if err == nil && (flow.Pending == nil || p.DB.Now().Sub(flow.Pending.Begun) > auth.PendingLifetime) {
		err = auth.ErrFlow
	}
	if err != nil {
		return nil, nil, frame, identity.User{}, err
	}
	u, err := e.User(r.Context(), flow.Pending.UserID)
	if fault.Is(err, fault.NotFound) {
		err = auth.ErrFlow
	}
	return e, flow, frame, u, err
}

func (p *Pages) verificationPage(r *http.Request, e *store.Env, frame web.Frame, u identity.User, sealed string) web.EmailVerification {
	hidden := []web.Field{{Name: "flow", Value: sealed}}
	return web.EmailVerification{Frame: frame, Email: u.Email, Form: web.Form{Action: "/email-verification", Hidden: hidden},
		ResendForm: web.Form{Action: "/email-verification/send", Hidden: hidden}, SignInURL: pageURL("/sign-in", e, sealed), Inbox: p.inbox(r, e)}
}

func (p *Pages) showVerification(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	page := p.verificationPage(r, e, frame, u, sealed)
	if r.URL.Query().Get("sent") == "1" {
		page.Notice = "A new code is on its way."
	}
	return web.Write(w, http.StatusOK, page, flow.RedirectURI)
}

func (p *Pages) verify(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	if err := p.limitCode(e, u.Email); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	verified, err := p.Auth.VerifyPending(r.Context(), e, flow.Pending, r.PostForm.Get(web.FieldCode))
	if err == nil {
		return p.advance(w, r, e, flow, verified, flow.Pending)
	}
	if f := fault.From(err); strings.Contains(f.Code, "one_time_code") {
		page := p.verificationPage(r, e, frame, u, sealed)
		page.CodeError = f.Message
		return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
	}
	return err
}

func (p *Pages) resend(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, _, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	if err := p.limitSend(e, identity.EmailVerification, u.Email); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	if _, err := p.Auth.SendCode(r.Context(), e, u, identity.EmailVerification); err != nil {
		return err
	}
	return p.to(w, pageURL("/email-verification", e, sealed)+"&sent=1")
}

func (p *Pages) resetRequestPage(e *store.Env, frame web.Frame, sealed string) web.ResetRequest {
	return web.ResetRequest{Frame: frame, Form: web.Form{Action: "/reset-password/request", Hidden: []web.Field{{Name: "flow", Value: sealed}}}, SignInURL: pageURL("/sign-in", e, sealed)}
}

func (p *Pages) showResetRequest(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	page := p.resetRequestPage(e, frame, sealed)
	page.Email = flow.LoginHint
	return web.Write(w, http.StatusOK, page, flow.RedirectURI)
}

func (p *Pages) requestReset(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed, email := r.PostForm.Get("flow"), strings.TrimSpace(r.PostForm.Get(web.FieldEmail))
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	if identity.CheckEmail(email) != nil {
		page := p.resetRequestPage(e, frame, sealed)
		page.Email, page.EmailError = email, "This is not an e-mail address."
		return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
	}
	if err := p.limitSend(e, identity.PasswordReset, email); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	// An unknown address gets the same page: who has an account is not told.
	if _, err := p.Auth.RequestReset(r.Context(), e, email); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return web.Write(w, http.StatusOK, web.ResetSent{Frame: frame, Email: email, SignInURL: pageURL("/sign-in", e, sealed), Inbox: p.inbox(r, e)}, flow.RedirectURI)
}

// resetting reads the token of a reset link. The link is opened from a mail, in
// whatever browser that happens in, so there is no flow to tie it to.
func (p *Pages) resetting(r *http.Request, clientID, token string) (*store.Env, identity.MailCode, web.Frame, error) {
	e, err := p.DB.EnvByClientID(r.Context(), clientID)
	if err != nil {
		return nil, identity.MailCode{}, web.Frame{}, auth.ErrFlow
	}
	frame, err := p.frame(r.Context(), e, "")
	if err != nil {
		return nil, identity.MailCode{}, frame, err
	}
	c, err := e.ResetToken(r.Context(), token)
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "This link has expired or was used already.").WithFix("Ask for a new one on the sign-in page.")
	}
	return e, c, frame, err
}

func resetPage(frame web.Frame, c identity.MailCode, clientID string) web.ResetNew {
	return web.ResetNew{Frame: frame, Email: c.Email, PasswordRules: []string{"At least 10 characters"}, MinPassword: identity.MinPasswordLength,
		Form: web.Form{Action: "/reset-password", Hidden: []web.Field{{Name: "client_id", Value: clientID}, {Name: "token", Value: c.Code}}}}
}

func (p *Pages) showReset(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	_, c, frame, err := p.resetting(r, q.Get("client_id"), q.Get("token"))
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, resetPage(frame, c, q.Get("client_id")))
}

func (p *Pages) reset(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	clientID, token := r.PostForm.Get("client_id"), r.PostForm.Get("token")
	e, c, frame, err := p.resetting(r, clientID, token)
	if err != nil {
		return err
	}
	_, err = p.Auth.ResetPassword(r.Context(), e, token, r.PostForm.Get(web.FieldPassword))
	if f := fault.From(err); err != nil && f.Kind == fault.Invalid {
		page := resetPage(frame, c, clientID)
		page.PasswordError = strings.ToUpper(f.Message[:1]) + f.Message[1:] + "."
		return web.Write(w, http.StatusUnprocessableEntity, page)
	}
	if err != nil {
		return err
	}
	home, err := p.homepage(r, e)
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, web.ErrorPage{Frame: frame, Title: "Your password is changed", Message: "You can sign in with it now. All other sessions were ended.", Action: home})
}

// homepage is the link back to the application, when there is exactly one.
func (p *Pages) homepage(r *http.Request, e *store.Env) (web.Link, error) {
	homes, err := e.ClaimedHomepages(r.Context())
	if err != nil {
		return web.Link{}, err
	}
	home := e.HomepageURL
	if len(homes) == 1 {
		home = homes[0]
	}
	if _, err := url.Parse(home); err != nil || home == "" {
		return web.Link{}, nil
	}
	return web.Link{Label: "Go to the application", URL: home}, nil
}
