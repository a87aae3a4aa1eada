package authkit

import (
	"crypto/rand"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// mountRoles registers roles of the environment and of organizations. The
// handlers are the same: without an organization in the path it is "".
func (a *API) mountRoles(on *keyed.Routes) {
	on.Handle("POST /authorization/roles", a.createRole)
	on.Handle("GET /authorization/roles", a.listRoles)
	on.Handle("GET /authorization/roles/{slug}", a.getRole)
	on.Handle("PATCH /authorization/roles/{slug}", a.updateRole)
	on.Handle("PUT /authorization/roles/{slug}/permissions", a.setRolePermissions)
	on.Handle("POST /authorization/roles/{slug}/permissions", a.addRolePermission)

	on.Handle("POST /authorization/organizations/{organization}/roles", a.createRole)
	on.Handle("GET /authorization/organizations/{organization}/roles", a.listRoles)
	on.Handle("GET /authorization/organizations/{organization}/roles/{slug}", a.getRole)
	on.Handle("PATCH /authorization/organizations/{organization}/roles/{slug}", a.updateRole)
	on.Handle("DELETE /authorization/organizations/{organization}/roles/{slug}", a.deleteRole)
	on.Handle("PUT /authorization/organizations/{organization}/roles/{slug}/permissions", a.setRolePermissions)
	on.Handle("POST /authorization/organizations/{organization}/roles/{slug}/permissions", a.addRolePermission)
	on.Handle("DELETE /authorization/organizations/{organization}/roles/{slug}/permissions/{permission}", a.removeRolePermission)

	on.Handle("POST /authorization/permissions", a.createPermission)
	on.Handle("GET /authorization/permissions", a.listPermissions)
	on.Handle("GET /authorization/permissions/{slug}", a.getPermission)
	on.Handle("PATCH /authorization/permissions/{slug}", a.updatePermission)
	on.Handle("DELETE /authorization/permissions/{slug}", a.deletePermission)
}

func role(r identity.Role) workos.Role {
	out := workos.Role{Object: "role", ID: r.ID, Slug: r.Slug, Name: r.Name, Description: keyed.OrNull(r.Description), Type: "EnvironmentRole", ResourceType: r.ResourceType,
		Permissions: r.Permissions, CreatedAt: workos.At(r.CreatedAt), UpdatedAt: workos.At(r.UpdatedAt)}
	if r.OrganizationID != "" {
		out.Type = "OrganizationRole"
	}
	return out
}

func permission(p identity.Permission) workos.Permission {
	return workos.Permission{Object: "permission", ID: p.ID, Slug: p.Slug, Name: p.Name, Description: keyed.OrNull(p.Description), ResourceType: p.ResourceType,
		CreatedAt: workos.At(p.CreatedAt), UpdatedAt: workos.At(p.UpdatedAt)}
}

func answerRole(w http.ResponseWriter, status int, r identity.Role, err error) error {
	if err != nil {
		return answerLimits(w, err)
	}
	return route.JSON(w, status, role(r))
}

func answerPermission(w http.ResponseWriter, status int, p identity.Permission, err error) error {
	if err != nil {
		return answerLimits(w, err)
	}
	return route.JSON(w, status, permission(p))
}

// answerLimits writes the 422 of shape A that the authorization API has.
func answerLimits(w http.ResponseWriter, err error) error {
	if f := fault.From(err); f.Code == "unprocessable" {
		return workos.MessageAnswer(http.StatusUnprocessableEntity, f.Message).Write(w)
	}
	return err
}

// namedBody is what roles and permissions are made from and changed by.
type namedBody struct {
	Slug         *string                `json:"slug"`
	Name         *string                `json:"name"`
	Description  keyed.Nullable[string] `json:"description"`
	ResourceType string                 `json:"resource_type_slug"`
}

// check holds the body to the limits of the OpenAPI document.
func (b namedBody) check(creates bool) error {
	switch {
	case creates && b.Name == nil, b.Name != nil && strings.TrimSpace(*b.Name) == "":
		return unprocessable("name is required.")
	case b.Name != nil && utf8.RuneCountInString(*b.Name) > identity.MaxRoleName:
		return unprocessable("name has at most %d characters.", identity.MaxRoleName)
	case utf8.RuneCountInString(b.Description.Value) > identity.MaxRoleDescription:
		return unprocessable("description has at most %d characters.", identity.MaxRoleDescription)
	case b.ResourceType != "" && b.ResourceType != identity.OrganizationResource:
		return fault.New(fault.Invalid, "Berth has no resource types but %q.", identity.OrganizationResource).WithCode("bad_request")
	}
	return nil
}

func badSlug(err error) error {
	return fault.New(fault.Invalid, "%s", fault.From(err).Message).WithCode("bad_request")
}

// slugOf makes the slug of an organization's role from its name.
func slugOf(name string) string {
	var b strings.Builder
	b.WriteString(identity.OrganizationRolePrefix)
	for _, r := range strings.ToLower(name) {
		if b.Len() > 36 {
			break
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-") + "-" + strings.ToLower(rand.Text()[:6])
}

func (a *API) createRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(true); err != nil {
		return answerLimits(w, err)
	}
	v := identity.Role{OrganizationID: r.PathValue("organization"), Name: *b.Name, Description: b.Description.Value, ResourceType: identity.OrganizationResource}
	switch {
	case b.Slug != nil:
		v.Slug = *b.Slug
	case v.OrganizationID != "":
		v.Slug = slugOf(v.Name)
	}
	if err := identity.CheckRoleSlug(v.Slug, v.OrganizationID != ""); err != nil {
		return badSlug(err)
	}
	v, err := e.CreateRole(r.Context(), v)
	return answerRole(w, http.StatusCreated, v, err)
}

func (a *API) listRoles(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	list, err := e.Roles(r.Context(), r.PathValue("organization"))
	if err != nil {
		return err
	}
	out := workos.RoleList{Object: "list", Data: make([]workos.Role, len(list))}
	for i, v := range list {
		out.Data[i] = role(v)
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) getRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := e.Role(r.Context(), r.PathValue("organization"), r.PathValue("slug"))
	return answerRole(w, http.StatusOK, v, err)
}

func (a *API) updateRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(false); err != nil {
		return answerLimits(w, err)
	}
	v, err := e.RenameRole(r.Context(), r.PathValue("organization"), r.PathValue("slug"), b.Name, keyed.Text(b.Description))
	return answerRole(w, http.StatusOK, v, err)
}

func (a *API) deleteRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteRole(r.Context(), r.PathValue("organization"), r.PathValue("slug")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) setRolePermissions(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Permissions *[]string `json:"permissions"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.Permissions == nil {
		return answerLimits(w, unprocessable("permissions is required."))
	}
	v, err := e.SetRolePermissions(r.Context(), r.PathValue("organization"), r.PathValue("slug"), *b.Permissions)
	return answerRole(w, http.StatusOK, v, err)
}

func (a *API) addRolePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.Slug == nil || *b.Slug == "" {
		return answerLimits(w, unprocessable("slug is required."))
	}
	v, err := e.AddRolePermission(r.Context(), r.PathValue("organization"), r.PathValue("slug"), *b.Slug)
	return answerRole(w, http.StatusOK, v, err)
}

func (a *API) removeRolePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := e.RemoveRolePermission(r.Context(), r.PathValue("organization"), r.PathValue("slug"), r.PathValue("permission"))
	return answerRole(w, http.StatusOK, v, err)
}

func (a *API) createPermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(true); err != nil {
		return answerLimits(w, err)
	}
	p := identity.Permission{Name: *b.Name, Description: b.Description.Value, ResourceType: identity.OrganizationResource}
	if b.Slug != nil {
		p.Slug = *b.Slug
	}
	if err := identity.CheckPermissionSlug(p.Slug); err != nil {
		return badSlug(err)
	}
	p, err := e.CreatePermission(r.Context(), p)
	return answerPermission(w, http.StatusCreated, p, err)
}

func (a *API) listPermissions(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	list, before, after, err := e.Permissions(r.Context(), p)
	if err != nil {
		return err
	}
	out := make([]workos.Permission, len(list))
	for i, v := range list {
		out[i] = permission(v)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getPermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := e.Permission(r.Context(), r.PathValue("slug"))
	return answerPermission(w, http.StatusOK, p, err)
}

func (a *API) updatePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(false); err != nil {
		return answerLimits(w, err)
	}
	p, err := e.RenamePermission(r.Context(), r.PathValue("slug"), b.Name, keyed.Text(b.Description))
	return answerPermission(w, http.StatusOK, p, err)
}

func (a *API) deletePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeletePermission(r.Context(), r.PathValue("slug")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
