package authorization

import (
	"context"
	"net/http"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/authkit"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func mountAccess(on routes) {
	on.handle("POST /authorization/organization_memberships/{membership}/check", check)
	on.handle("GET /authorization/organization_memberships/{membership}/resources", listAllowedResources)
	on.handle("GET /authorization/organization_memberships/{membership}/resources/{resource}/permissions", listAllowedPermissions)
	on.handle("GET /authorization/organization_memberships/{membership}/resources/{type}/{external_id}/permissions", listAllowedPermissions)
	on.handle("GET /authorization/resources/{resource}/organization_memberships", listAllowedMemberships)
	on.handle("GET /authorization/organizations/{organization}/resources/{type}/{external_id}/organization_memberships", listAllowedMemberships)
}

func baseMembership(m identity.Membership) workos.BaseMembership {
	return workos.BaseMembership{Object: "organization_membership", ID: m.ID, UserID: m.UserID, OrganizationID: m.OrganizationID, OrganizationName: m.OrganizationName,
		Status: string(m.Status), CustomAttributes: map[string]any{}, CreatedAt: workos.At(m.CreatedAt), UpdatedAt: workos.At(m.UpdatedAt)}
}

func check(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Permission string  `json:"permission_slug"`
		ResourceID *string `json:"resource_id"`
		ExternalID *string `json:"resource_external_id"`
		Type       *string `json:"resource_type_slug"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	ref, err := choice{b.ResourceID, b.Type, b.ExternalID}.ref("")
	switch {
	case err != nil:
		return err
	case b.Permission == "":
		return unprocessable("permission_slug is required.")
	case ref == identity.ResourceRef{}:
		return unprocessable("Send resource_id, or both resource_external_id and resource_type_slug.")
	}
	yes, err := e.Allowed(r.Context(), r.PathValue("membership"), b.Permission, ref)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.AuthorizationCheck{Authorized: yes})
}

// fromQuery returns nil for a parameter that is not there.
func fromQuery(r *http.Request, name string) *string {
	if q := r.URL.Query(); q.Has(name) {
		return new(q.Get(name))
	}
	return nil
}

func listAllowedResources(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	permission := r.URL.Query().Get("permission_slug")
	parent, err := choice{fromQuery(r, "parent_resource_id"), fromQuery(r, "parent_resource_type_slug"), fromQuery(r, "parent_resource_external_id")}.ref("parent_")
	switch {
	case err != nil:
		return err
	case permission == "":
		return unprocessable("permission_slug is required.")
	case parent == identity.ResourceRef{}:
		return badRequest("Send parent_resource_id, or both parent_resource_external_id and parent_resource_type_slug.")
	}
	return answerPage(w, r, resource, func(ctx context.Context, p store.Page) ([]identity.Resource, string, string, error) {
		return e.AllowedResources(ctx, r.PathValue("membership"), permission, parent, p)
	})
}

func listAllowedPermissions(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return answerPage(w, r, permission, func(ctx context.Context, p store.Page) ([]identity.Permission, string, string, error) {
		return e.AllowedPermissions(ctx, r.PathValue("membership"), pathRef(r), p)
	})
}

// listAllowedMemberships lists who has a permission on a resource. Without the
// assignment parameter those are the ones with a role on that very resource, as
// WorkOS documents it (Resource Discovery).
func listAllowedMemberships(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := pathResource(e, r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	inherited := q.Get("assignment") == "indirect"
	switch {
	case q.Get("permission_slug") == "":
		return unprocessable("permission_slug is required.")
	case !inherited && q.Get("assignment") != "" && q.Get("assignment") != "direct":
		return badRequest("assignment must be direct or indirect.")
	}
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	list, before, after, err := e.AllowedMemberships(r.Context(), v, q.Get("permission_slug"), inherited, p)
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
	return route.JSON(w, http.StatusOK, workos.NewList(shapes(list, func(m identity.Membership) workos.BaseMembership {
		out := baseMembership(m)
		out.User = new(authkit.User(users[m.UserID]))
		return out
	}), before, after))
}
