package authorization

import (
	"net/http"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func mountPermissions(on routes) {
	on.handle("POST /authorization/permissions", createPermission)
	on.handle("GET /authorization/permissions", listPermissions)
	on.handle("GET /authorization/permissions/{slug}", getPermission)
	on.handle("PATCH /authorization/permissions/{slug}", updatePermission)
	on.handle("DELETE /authorization/permissions/{slug}", deletePermission)
}

func permission(p identity.Permission) workos.Permission {
	return workos.Permission{Object: "permission", ID: p.ID, Slug: p.Slug, Name: p.Name, Description: keyed.OrNull(p.Description), ResourceType: p.ResourceType,
		CreatedAt: workos.At(p.CreatedAt), UpdatedAt: workos.At(p.UpdatedAt)}
}

func createPermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
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
	p := identity.Permission{Name: *b.Name, Description: b.Description.Value, ResourceType: kind}
	if b.Slug != nil {
		p.Slug = *b.Slug
	}
	if err := identity.CheckPermissionSlug(p.Slug); err != nil {
		return badSlug(err)
	}
	p, err = e.CreatePermission(r.Context(), p)
	return answer(w, http.StatusCreated, p, err, permission)
}

func listPermissions(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return answerPage(w, r, permission, e.Permissions)
}

func getPermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := e.Permission(r.Context(), r.PathValue("slug"))
	return answer(w, http.StatusOK, p, err, permission)
}

func updatePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b namedBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(false); err != nil {
		return err
	}
	p, err := e.RenamePermission(r.Context(), r.PathValue("slug"), b.Name, keyed.Text(b.Description))
	return answer(w, http.StatusOK, p, err, permission)
}

func deletePermission(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return noContent(w, e.DeletePermission(r.Context(), r.PathValue("slug")))
}
