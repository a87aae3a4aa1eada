package authorization

import (
	"crypto/rand"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// mountRoles registers roles of the environment and of organizations. The
// handlers are the same: without an organization in the path it is "".
func mountRoles(on routes) {
	on.handle("POST /authorization/roles", createRole)
	on.handle("GET /authorization/roles", listRoles)
	on.handle("GET /authorization/roles/{slug}", getRole)
	on.handle("PATCH /authorization/roles/{slug}", updateRole)
	on.handle("PUT /authorization/roles/{slug}/permissions", setRolePermissions)
	on.handle("POST /authorization/roles/{slug}/permissions", addRolePermission)

	on.handle("POST /authorization/organizations/{organization}/roles", createRole)
	on.handle("GET /authorization/organizations/{organization}/roles", listRoles)
	on.handle("GET /authorization/organizations/{organization}/roles/{slug}", getRole)
	on.handle("PATCH /authorization/organizations/{organization}/roles/{slug}", updateRole)
	on.handle("DELETE /authorization/organizations/{organization}/roles/{slug}", deleteRole)
	on.handle("PUT /authorization/organizations/{organization}/roles/{slug}/permissions", setRolePermissions)
	on.handle("POST /authorization/organizations/{organization}/roles/{slug}/permissions", addRolePermission)
	on.handle("DELETE /authorization/organizations/{organization}/roles/{slug}/permissions/{permission}", removeRolePermission)
}

func role(r identity.Role) workos.Role {
	out := workos.Role{Object: "role", ID: r.ID, Slug: r.Slug, Name: r.Name, Description: keyed.OrNull(r.Description), Type: "EnvironmentRole", ResourceType: r.ResourceType,
		Permissions: r.Permissions, CreatedAt: workos.At(r.CreatedAt), UpdatedAt: workos.At(r.UpdatedAt)}
	if r.OrganizationID != "" {
		out.Type = "OrganizationRole"
	}
	return out
}

// roleEvent is a role as events tell of it: one of an organization says more.
func roleEvent(r identity.Role) any {
	type common struct {
		Object       string      `json:"object"`
		Slug         string      `json:"slug"`
		ResourceType string      `json:"resource_type_slug"`
		Permissions  []string    `json:"permissions"`
		CreatedAt    workos.Time `json:"created_at"`
		UpdatedAt    workos.Time `json:"updated_at"`
	}
	c := common{"role", r.Slug, r.ResourceType, r.Permissions, workos.At(r.CreatedAt), workos.At(r.UpdatedAt)}
	if r.OrganizationID == "" {
		return c
	}
	c.Object = "organization_role"
	return struct {
		common
		OrganizationID string  `json:"organization_id"`
		Name           string  `json:"name"`
		Description    *string `json:"description"`
	}{c, r.OrganizationID, r.Name, keyed.OrNull(r.Description)}
}

// namedBody is what roles and permissions are made from and changed by.
type namedBody struct {
	Slug         *string                `json:"slug"`
	Name         *string                `json:"name"`
	Description  keyed.Nullable[string] `json:"description"`
	ResourceType *string                `json:"resource_type_slug"`
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
	}
	return nil
}

// resourceType is the type that the body names, or that of organizations.
func (b namedBody) resourceType() (string, error) {
	if b.ResourceType == nil {
		return identity.OrganizationResource, nil
	}
	if err := identity.CheckResourceType(*b.ResourceType); err != nil {
		return "", badSlug(err)
	}
	return *b.ResourceType, nil
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

func createRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(true); err != nil {
		return err
	}
	kind, err := b.resourceType()
	if err != nil {
		return err
	}
	v := identity.Role{OrganizationID: r.PathValue("organization"), Name: *b.Name, Description: b.Description.Value, ResourceType: kind}
	switch {
	case b.Slug != nil:
		v.Slug = *b.Slug
	case v.OrganizationID != "":
		v.Slug = slugOf(v.Name)
	}
	if err := identity.CheckRoleSlug(v.Slug, v.OrganizationID != ""); err != nil {
		return badSlug(err)
	}
	v, err = e.CreateRole(r.Context(), v)
	return answer(w, http.StatusCreated, v, err, role)
}

func listRoles(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	list, err := e.Roles(r.Context(), r.PathValue("organization"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.RoleList{Object: "list", Data: shapes(list, role)})
}

func getRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := e.Role(r.Context(), r.PathValue("organization"), r.PathValue("slug"))
	return answer(w, http.StatusOK, v, err, role)
}

func updateRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(false); err != nil {
		return err
	}
	v, err := e.RenameRole(r.Context(), r.PathValue("organization"), r.PathValue("slug"), b.Name, keyed.Text(b.Description))
	return answer(w, http.StatusOK, v, err, role)
}

func deleteRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return noContent(w, e.DeleteRole(r.Context(), r.PathValue("organization"), r.PathValue("slug")))
}

func setRolePermissions(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Permissions *[]string `json:"permissions"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.Permissions == nil {
		return unprocessable("permissions is required.")
	}
	v, err := e.SetRolePermissions(r.Context(), r.PathValue("organization"), r.PathValue("slug"), *b.Permissions)
	return answer(w, http.StatusOK, v, err, role)
}

func addRolePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.Slug == nil || *b.Slug == "" {
		return unprocessable("slug is required.")
	}
	v, err := e.AddRolePermission(r.Context(), r.PathValue("organization"), r.PathValue("slug"), *b.Slug)
	return answer(w, http.StatusOK, v, err, role)
}

func removeRolePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := e.RemoveRolePermission(r.Context(), r.PathValue("organization"), r.PathValue("slug"), r.PathValue("permission"))
	return answer(w, http.StatusOK, v, err, role)
}
