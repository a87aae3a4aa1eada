package authkit

import (
	"net/http"
	"slices"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func (a *API) mountMemberships(on *keyed.Routes) {
	on.Handle("POST /user_management/organization_memberships", a.createMembership)
	on.Handle("GET /user_management/organization_memberships", a.listMemberships)
	on.Handle("GET /user_management/organization_memberships/{id}", a.getMembership)
	on.Handle("PUT /user_management/organization_memberships/{id}", a.updateMembership)
	on.Handle("DELETE /user_management/organization_memberships/{id}", a.deleteMembership)
	on.Handle("PUT /user_management/organization_memberships/{id}/deactivate", a.deactivateMembership)
	on.Handle("PUT /user_management/organization_memberships/{id}/reactivate", a.reactivateMembership)
}

func membership(m identity.Membership, u identity.User) workos.OrganizationMembership {
	out := workos.OrganizationMembership{Object: "organization_membership", ID: m.ID, UserID: m.UserID, OrganizationID: m.OrganizationID, OrganizationName: m.OrganizationName,
		Status: string(m.Status), Roles: make([]workos.RoleSlug, len(m.Roles)), User: User(u), CustomAttributes: map[string]any{},
		CreatedAt: workos.At(m.CreatedAt), UpdatedAt: workos.At(m.UpdatedAt)}
	for i, slug := range m.Roles {
		out.Roles[i] = workos.RoleSlug{Slug: slug}
	}
	if len(out.Roles) > 0 {
		out.Role = out.Roles[0]
	}
	return out
}

func (a *API) answerMembership(e *store.Env, w http.ResponseWriter, r *http.Request, status int, m identity.Membership, err error) error {
	if err != nil {
		return err
	}
	u, err := e.User(r.Context(), m.UserID)
	if err != nil {
		return err
	}
	return route.JSON(w, status, membership(m, u))
}

// roleChoice is how a body names roles: one, several, or none of them.
type roleChoice struct {
	RoleSlug  *string   `json:"role_slug"`
	RoleSlugs *[]string `json:"role_slugs"`
}

// roles returns the chosen slugs; chosen is false when the body names none.
func (c roleChoice) roles() (slugs []string, chosen bool, err error) {
	switch {
	case c.RoleSlug != nil && c.RoleSlugs != nil:
		return nil, false, fault.New(fault.Invalid, "role_slug and role_slugs cannot be sent together.").WithCode("invalid_request_parameters")
	case c.RoleSlugs != nil && len(*c.RoleSlugs) == 0:
		return nil, false, fault.New(fault.Invalid, "role_slugs needs at least one role.").WithCode("invalid_request_parameters")
	case c.RoleSlugs != nil:
		return *c.RoleSlugs, true, nil
	case c.RoleSlug != nil:
		return []string{*c.RoleSlug}, true, nil
	}
	return nil, false, nil
}

func (a *API) createMembership(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		UserID         string `json:"user_id"`
		OrganizationID string `json:"organization_id"`
		roleChoice
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.UserID == "" || b.OrganizationID == "" {
		return fault.New(fault.Invalid, "user_id and organization_id are required.").WithCode("invalid_request_parameters")
	}
	roles, _, err := b.roles()
	if err != nil {
		return err
	}
	m, err := e.CreateMembership(r.Context(), b.OrganizationID, b.UserID, roles)
	return a.answerMembership(e, w, r, http.StatusCreated, m, err)
}

func (a *API) listMemberships(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return workos.CodeAnswer(http.StatusBadRequest, "invalid_request_parameters", fault.From(err).Message).Write(w)
	}
	q := r.URL.Query()
	f := store.MembershipFilter{UserID: q.Get("user_id"), OrganizationID: q.Get("organization_id"), Statuses: several(r, "statuses")}
	if f.UserID == "" && f.OrganizationID == "" {
		return fault.New(fault.Invalid, "At least one of user_id and organization_id is required.").WithCode("missing_user_id_or_organization_id")
	}
	for _, s := range f.Statuses {
		if !slices.Contains([]string{"active", "inactive", "pending"}, s) {
			return workos.CodeAnswer(http.StatusBadRequest, "invalid_request_parameters", "statuses must be any of active, inactive and pending.").Write(w)
		}
	}
	if len(f.Statuses) == 0 {
		f.Statuses = []string{string(identity.MembershipActive)}
	}
	list, before, after, err := e.Memberships(r.Context(), f, p)
	if err != nil {
		return err
	}
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.UserID
	}
	users, err := e.UsersByID(r.Context(), ids)
	if err != nil {
		return err
	}
	out := make([]workos.OrganizationMembership, len(list))
	for i, m := range list {
		out[i] = membership(m, users[m.UserID])
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getMembership(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	m, err := e.Membership(r.Context(), r.PathValue("id"))
	return a.answerMembership(e, w, r, http.StatusOK, m, err)
}

func (a *API) updateMembership(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b roleChoice
	if err := route.Read(r, &b); err != nil {
		return err
	}
	roles, chosen, err := b.roles()
	if err != nil {
		return err
	}
	if !chosen {
		return a.getMembership(e, w, r)
	}
	m, err := e.SetMembershipRoles(r.Context(), r.PathValue("id"), roles)
	return a.answerMembership(e, w, r, http.StatusOK, m, err)
}

func (a *API) deleteMembership(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteMembership(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *API) deactivateMembership(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	m, err := e.DeactivateMembership(r.Context(), r.PathValue("id"))
	return a.answerMembership(e, w, r, http.StatusOK, m, err)
}

func (a *API) reactivateMembership(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	m, err := e.ReactivateMembership(r.Context(), r.PathValue("id"))
	return a.answerMembership(e, w, r, http.StatusOK, m, err)
}
