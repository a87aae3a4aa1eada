package hosted

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

func organizationPage(e *store.Env, frame web.Frame, u identity.User, memberships []identity.Membership, sealed string) web.OrganizationSelection {
	page := web.OrganizationSelection{Frame: frame, Email: u.Email, SignInURL: pageURL("/sign-in", e, sealed),
		Form: web.Form{Action: "/organization-selection", Hidden: []web.Field{{Name: "flow", Value: sealed}}}}
	for _, m := range memberships {
		page.Organizations = append(page.Organizations, web.Organization{ID: m.OrganizationID, Name: m.OrganizationName})
	}
	return page
}

// choosing reads the flow of a sign-in whose next step is the choice of an
// organization. It returns nil memberships when another step comes first, or
// none is left: which organizations a person is in is told to nobody who has
// not done all before it.
func (p *Pages) choosing(w http.ResponseWriter, r *http.Request, sealed string) (*store.Env, *auth.Flow, web.Frame, identity.User, []identity.Membership, error) {
	e, flow, frame, u, err := p.pending(w, r, sealed)
	if err != nil {
		return e, flow, frame, u, nil, err
	}
	err = p.Auth.Next(r.Context(), e, u, flow.Pending)
	step, ok := errors.AsType[*auth.StepUp](err)
	if ok && step.Step == auth.StepOrganizationSelection {
		return e, flow, frame, u, step.Memberships, nil
	}
	if ok {
		err = nil
	}
	return e, flow, frame, u, nil, err
}

func (p *Pages) showOrganizations(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	e, flow, frame, u, memberships, err := p.choosing(w, r, sealed)
	if err != nil {
		return err
	}
	if memberships == nil {
		return p.advance(w, r, e, flow, u, flow.Pending)
	}
	return web.Write(w, http.StatusOK, organizationPage(e, frame, u, memberships, sealed), flow.RedirectURI)
}

func (p *Pages) chooseOrganization(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, u, memberships, err := p.choosing(w, r, sealed)
	if err != nil {
		return err
	}
	if memberships == nil {
		return p.advance(w, r, e, flow, u, flow.Pending)
	}
	err = p.Auth.ChooseOrganization(r.Context(), e, flow.Pending, r.PostForm.Get(web.FieldOrganization))
	if fault.Code(err) == "invalid_organization_id" {
		page := organizationPage(e, frame, u, memberships, sealed)
		page.Error = "You are not a member of this organization any more. Choose another one."
		return web.Write(w, http.StatusUnprocessableEntity, page, flow.RedirectURI)
	}
	if err != nil {
		return err
	}
	return p.advance(w, r, e, flow, u, flow.Pending)
}

// invite is where the link of an invitation leads: to a sign-in or sign-up that
// returns to the environment's default redirect URI. An unusable invitation is
// told here, because the person has not been at the application yet.
func (p *Pages) invite(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	e, err := p.DB.EnvByClientID(r.Context(), q.Get("client_id"))
	if err == nil {
		_, err = p.Auth.UsableInvitation(r.Context(), e, q.Get("invitation_token"))
	}
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return fault.New(fault.NotFound, "This invitation has expired or was withdrawn.").WithFix("Ask the person who invited you for a new one.")
	}
	if err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	return p.to(w, "/user_management/authorize?"+url.Values{"client_id": {e.ClientID}, "response_type": {"code"}, "provider": {"authkit"},
		"invitation_token": {q.Get("invitation_token")}}.Encode())
}
