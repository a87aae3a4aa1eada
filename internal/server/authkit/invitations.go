package authkit

import (
	"net/http"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func (a *API) mountInvitations(on *keyed.Routes) {
	on.Handle("POST /user_management/invitations", a.createInvitation)
	on.Handle("GET /user_management/invitations", a.listInvitations)
	on.Handle("GET /user_management/invitations/{id}", a.getInvitation)
	on.Handle("GET /user_management/invitations/by_token/{token}", a.getInvitationByToken)
	on.Handle("POST /user_management/invitations/{id}/accept", a.acceptInvitation)
	on.Handle("POST /user_management/invitations/{id}/revoke", a.revokeInvitation)
	on.Handle("POST /user_management/invitations/{id}/resend", a.resendInvitation)
}

func (a *API) invitation(e *store.Env, i identity.Invitation) workos.UserInvitation {
	return workos.UserInvitation{Object: "invitation", ID: i.ID, Email: i.Email, State: string(i.StateAt(a.DB.Now())), AcceptedAt: workos.AtOrNull(i.AcceptedAt),
		RevokedAt: workos.AtOrNull(i.RevokedAt), ExpiresAt: workos.At(i.ExpiresAt), OrganizationID: keyed.OrNull(i.OrganizationID), InviterUserID: keyed.OrNull(i.InviterUserID),
		AcceptedUserID: keyed.OrNull(i.AcceptedUserID), RoleSlug: keyed.OrNull(i.RoleSlug), Token: workos.Credential(i.Token),
		AcceptURL: workos.Credential(a.Auth.InvitationURL(e, i.Token)), CreatedAt: workos.At(i.CreatedAt), UpdatedAt: workos.At(i.UpdatedAt)}
}

func (a *API) answerInvitation(e *store.Env, w http.ResponseWriter, status int, i identity.Invitation, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store") // it holds a token
	return route.JSON(w, status, a.invitation(e, i))
}

func (a *API) createInvitation(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Email          string `json:"email"`
		OrganizationID string `json:"organization_id"`
		RoleSlug       string `json:"role_slug"`
		ExpiresInDays  *int   `json:"expires_in_days"`
		InviterUserID  string `json:"inviter_user_id"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	i := identity.Invitation{Email: b.Email, OrganizationID: b.OrganizationID, RoleSlug: b.RoleSlug, InviterUserID: b.InviterUserID}
	if b.ExpiresInDays != nil {
		switch i.Days = *b.ExpiresInDays; {
		case i.Days < identity.MinInvitationDays:
			return fault.New(fault.Invalid, "expires_in_days must be at least %d.", identity.MinInvitationDays).WithCode("expires_in_days_too_short")
		case i.Days > identity.MaxInvitationDays:
			return fault.New(fault.Invalid, "expires_in_days must be at most %d.", identity.MaxInvitationDays).WithCode("expires_in_days_too_long")
		}
	}
	i, err := a.Auth.Invite(r.Context(), e, i)
	switch f := fault.From(err); {
	case err == nil:
	case f.Code == "email_invalid":
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "invalid_request_parameters", f.Message).Write(w)
	case f.Code == "invalid_role":
		return workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message).Write(w)
	}
	return a.answerInvitation(e, w, http.StatusCreated, i, err)
}

func (a *API) listInvitations(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	list, before, after, err := e.Invitations(r.Context(), q.Get("email"), q.Get("organization_id"), p)
	if err != nil {
		return err
	}
	out := make([]workos.UserInvitation, len(list))
	for n, i := range list {
		out[n] = a.invitation(e, i)
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getInvitation(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	i, err := e.Invitation(r.Context(), r.PathValue("id"))
	return a.answerInvitation(e, w, http.StatusOK, i, err)
}

func (a *API) getInvitationByToken(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	i, err := e.InvitationByToken(r.Context(), r.PathValue("token"))
	return a.answerInvitation(e, w, http.StatusOK, i, err)
}

func (a *API) acceptInvitation(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	i, err := a.Auth.AcceptInvitation(r.Context(), e, r.PathValue("id"))
	return a.answerInvitation(e, w, http.StatusOK, i, err)
}

func (a *API) revokeInvitation(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	i, err := e.RevokeInvitation(r.Context(), r.PathValue("id"))
	return a.answerInvitation(e, w, http.StatusOK, i, err)
}

func (a *API) resendInvitation(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	i, err := a.Auth.ResendInvitation(r.Context(), e, r.PathValue("id"))
	return a.answerInvitation(e, w, http.StatusOK, i, err)
}
