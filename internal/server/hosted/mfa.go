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

// mountSecondFactor registers the pages of the steps mfa_enrollment and
// mfa_challenge.
func (p *Pages) mountSecondFactor(show, form func(string, route.Handler)) {
	show("GET /mfa/enrollment", p.showEnrollment)
	form("POST /mfa/enrollment", p.enroll)
	show("GET /mfa/verification", p.showSecondFactor)
	form("POST /mfa/verification", p.checkSecondFactor)
}

// enrollmentPage shows the secret that waits in the flow. The page of another
// step has none.
func enrollmentPage(e *store.Env, flow *auth.Flow, frame web.Frame, u identity.User, sealed string) (web.TOTPEnroll, error) {
	if flow.Pending.NewSecret == "" {
		return web.TOTPEnroll{}, auth.ErrFlow
	}
	f := auth.NewFactor(u, flow.Pending, frame.Brand.Name)
	key, err := auth.KeyOf(f, false)
	return web.TOTPEnroll{Frame: frame, Form: web.Form{Action: "/mfa/enrollment", Hidden: []web.Field{{Name: "flow", Value: sealed}}},
		URI: key.URI.Reveal(), Secret: f.Secret.Reveal(), Email: u.Email, SignInURL: pageURL("/sign-in", e, sealed)}, err
}

func (p *Pages) showEnrollment(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	page, err := enrollmentPage(e, flow, frame, u, sealed)
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, page, flow.RedirectURI)
}

func (p *Pages) enroll(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	page, err := enrollmentPage(e, flow, frame, u, sealed)
	if err != nil {
		return err
	}
	if err := p.limitFactor(e, u); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	err = p.Auth.Enroll(r.Context(), e, u, flow.Pending, frame.Brand.Name, r.PostForm.Get(web.FieldCode))
	switch f := fault.From(err); {
	case err == nil, f.Code == "factor_exists": // enrolled in another tab: that factor is asked for
		return p.advance(w, r, e, flow, u, flow.Pending)
	case f.Code == "invalid_one_time_code":
		page.CodeError = "The code is not right. Check the clock of your device, then try the next code."
		return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
	}
	return err
}

func secondFactorPage(e *store.Env, frame web.Frame, u identity.User, sealed string) web.TOTPVerify {
	return web.TOTPVerify{Frame: frame, Form: web.Form{Action: "/mfa/verification", Hidden: []web.Field{{Name: "flow", Value: sealed}}},
		Email: u.Email, SignInURL: pageURL("/sign-in", e, sealed)}
}

func (p *Pages) showSecondFactor(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, secondFactorPage(e, frame, u, sealed), flow.RedirectURI)
}

func (p *Pages) checkSecondFactor(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return err
	}
	if err := p.limitFactor(e, u); err != nil {
		return p.tooMany(w, r, frame, err)
	}
	err = p.Auth.AnswerPending(r.Context(), e, u, flow.Pending, r.PostForm.Get(web.FieldCode))
	if err == nil {
		return p.advance(w, r, e, flow, u, flow.Pending)
	}
	if f := fault.From(err); strings.Contains(f.Code, "one_time_code") {
		page := secondFactorPage(e, frame, u, sealed)
		page.CodeError = f.Message
		return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
	}
	return err
}
