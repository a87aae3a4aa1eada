package hosted

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// mountMagicCode registers sign-in by a code sent to the address.
func (p *Pages) mountMagicCode(show, form func(string, route.Handler)) {
	form("POST /magic-code/send", p.sendMagicCode)
	show("GET /magic-code", p.showMagicCode)
	form("POST /magic-code", p.magicCode)
}

// sendMagicCode is reached from the sign-in page with an address, and from the
// page of the code, again, without one. A known and an unknown address are
// answered alike: both get a mail, the unknown one for a new account.
func (p *Pages) sendMagicCode(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	ctx, sealed := r.Context(), r.PostForm.Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	if !p.Auth.MailOpen(e) {
		return auth.ErrSignUpClosed
	}
	again := ""
	email := strings.TrimSpace(r.PostForm.Get(web.FieldEmail))
	if email == "" && flow.MagicEmail != "" {
		email, again = flow.MagicEmail, "&sent=1"
	}
	if identity.CheckEmail(email) != nil {
		page := p.signInPage(e, flow, frame, sealed)
		page.Email, page.EmailError = email, "Enter your e-mail address to get a code."
		return p.writeSignIn(w, r, e, http.StatusUnprocessableEntity, page, flow)
	}
	if left, err := p.elsewhere(w, r, e, flow, email); left || err != nil {
		return err
	}
	if err := p.limitSend(e, identity.MagicAuth, email); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	// Where only invited people have accounts, an unknown address gets the same
	// page and no mail.
	if _, err := p.Auth.MagicAuth(ctx, e, email); err != nil && fault.Code(err) != auth.ErrSignUpClosed.Code {
		return err
	}
	flow.MagicEmail, flow.Pending = email, nil
	if sealed, err = p.Auth.SealFlow(flow); err != nil {
		return err
	}
	return p.to(w, pageURL("/magic-code", e, sealed)+again)
}

func (p *Pages) magicCodePage(r *http.Request, e *store.Env, flow *auth.Flow, frame web.Frame, sealed string) web.MagicCode {
	hidden := []web.Field{{Name: "flow", Value: sealed}}
	return web.MagicCode{Frame: frame, Email: flow.MagicEmail, Form: web.Form{Action: "/magic-code", Hidden: hidden},
		ResendForm: web.Form{Action: "/magic-code/send", Hidden: hidden}, SignInURL: pageURL("/sign-in", e, sealed), Inbox: p.inbox(r, e)}
}

func (p *Pages) showMagicCode(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err == nil && flow.MagicEmail == "" {
		err = auth.ErrFlow
	}
	if err != nil {
		return err
	}
	page := p.magicCodePage(r, e, flow, frame, sealed)
	if r.URL.Query().Get("sent") == "1" {
		page.Notice = "A new code is on its way."
	}
	return web.Write(w, http.StatusOK, page, flow.RedirectURI)
}

func (p *Pages) magicCode(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err == nil && flow.MagicEmail == "" {
		err = auth.ErrFlow
	}
	if err != nil {
		return err
	}
	if err := p.limitCode(e, flow.MagicEmail); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	u, err := p.Auth.CheckMagicCode(r.Context(), e, flow.MagicEmail, r.PostForm.Get(web.FieldCode))
	if err == nil {
		return p.advance(w, r, e, flow, u, p.Auth.NewPending(e, u, "magic_code"))
	}
	if f := fault.From(err); strings.Contains(f.Code, "one_time_code") {
		page := p.magicCodePage(r, e, flow, frame, sealed)
		page.CodeError = f.Message
		return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
	}
	return err
}
