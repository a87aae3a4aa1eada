package authorization

import (
	"context"
	"net/http"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func mountAssignments(on routes) {
	on.handle("GET /authorization/organization_memberships/{membership}/role_assignments", listAssignments)
	on.handle("POST /authorization/organization_memberships/{membership}/role_assignments", assignRole)
	on.handle("DELETE /authorization/organization_memberships/{membership}/role_assignments", unassignRole)
	on.handle("DELETE /authorization/organization_memberships/{membership}/role_assignments/{assignment}", deleteAssignment)
	on.handle("GET /authorization/resources/{resource}/role_assignments", listResourceAssignments)
	on.handle("GET /authorization/organizations/{organization}/resources/{type}/{external_id}/role_assignments", listResourceAssignments)

	on.handle("GET /authorization/groups/{group}/role_assignments", listGroupAssignments)
	on.handle("POST /authorization/groups/{group}/role_assignments", assignGroupRole)
	on.handle("PUT /authorization/groups/{group}/role_assignments", replaceGroupRoles)
	on.handle("DELETE /authorization/groups/{group}/role_assignments", unassignGroupRole)
	on.handle("GET /authorization/groups/{group}/role_assignments/{assignment}", getGroupAssignment)
	on.handle("DELETE /authorization/groups/{group}/role_assignments/{assignment}", deleteGroupAssignment)
}

func assigned(r identity.Resource) workos.AssignedResource {
	return workos.AssignedResource{ID: r.ID, ExternalID: r.ExternalID, ResourceType: r.Type}
}

// assignment is never changed, so its two times are one.
func assignment(a identity.RoleAssignment) workos.RoleAssignment {
	out := workos.RoleAssignment{Object: "role_assignment", ID: a.ID, MembershipID: a.MembershipID, Role: workos.RoleSlug{Slug: a.RoleSlug}, Resource: assigned(a.Resource),
		Source: workos.AssignmentSource{Type: "direct", GroupAssignmentID: keyed.OrNull(a.GroupAssignmentID)}, CreatedAt: workos.At(a.CreatedAt), UpdatedAt: workos.At(a.CreatedAt)}
	if a.GroupAssignmentID != "" {
		out.Source.Type = "group"
	}
	return out
}

func groupAssignment(a identity.GroupRoleAssignment) workos.GroupRoleAssignment {
	return workos.GroupRoleAssignment{Object: "group_role_assignment", ID: a.ID, GroupID: a.GroupID, Role: workos.RoleSlug{Slug: a.RoleSlug}, Resource: assigned(a.Resource),
		CreatedAt: workos.At(a.CreatedAt), UpdatedAt: workos.At(a.CreatedAt)}
}

// assignmentBody names a role and a resource to have it on.
type assignmentBody struct {
	RoleSlug   string  `json:"role_slug"`
	ResourceID *string `json:"resource_id"`
	ExternalID *string `json:"resource_external_id"`
	Type       *string `json:"resource_type_slug"`
}

// on checks the body. Only groups can leave the resource out.
func (b assignmentBody) on(group bool) (store.RoleOn, error) {
	ref, err := choice{b.ResourceID, b.Type, b.ExternalID}.ref("")
	switch {
	case err != nil:
		return store.RoleOn{}, err
	case b.RoleSlug == "":
		return store.RoleOn{}, unprocessable("role_slug is required.")
	case !group && ref == identity.ResourceRef{}:
		return store.RoleOn{}, unprocessable("Send resource_id, or both resource_external_id and resource_type_slug.")
	}
	return store.RoleOn{RoleSlug: b.RoleSlug, Resource: ref}, nil
}

func readAssignment(r *http.Request, group bool) (store.RoleOn, error) {
	var b assignmentBody
	if err := route.Read(r, &b); err != nil {
		return store.RoleOn{}, err
	}
	return b.on(group)
}

func listAssignments(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := store.AssignmentFilter{ResourceID: q.Get("resource_id"), ResourceType: q.Get("resource_type_slug"), ExternalID: q.Get("resource_external_id")}
	return answerPage(w, r, assignment, func(ctx context.Context, p store.Page) ([]identity.RoleAssignment, string, string, error) {
		return e.RoleAssignments(ctx, r.PathValue("membership"), f, p)
	})
}

func assignRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	on, err := readAssignment(r, false)
	if err != nil {
		return err
	}
	a, err := e.AssignRole(r.Context(), r.PathValue("membership"), on)
	return answer(w, http.StatusCreated, a, err, assignment)
}

func unassignRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	on, err := readAssignment(r, false)
	if err != nil {
		return err
	}
	return noContent(w, e.UnassignRole(r.Context(), r.PathValue("membership"), on))
}

func deleteAssignment(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return noContent(w, e.DeleteRoleAssignment(r.Context(), r.PathValue("membership"), r.PathValue("assignment")))
}

func listResourceAssignments(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := pathResource(e, r)
	if err != nil {
		return err
	}
	return answerPage(w, r, assignment, func(ctx context.Context, p store.Page) ([]identity.RoleAssignment, string, string, error) {
		return e.ResourceAssignments(ctx, v, r.URL.Query().Get("role_slug"), p)
	})
}

func listGroupAssignments(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return answerPage(w, r, groupAssignment, func(ctx context.Context, p store.Page) ([]identity.GroupRoleAssignment, string, string, error) {
		return e.GroupAssignments(ctx, r.PathValue("group"), p)
	})
}

func assignGroupRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	on, err := readAssignment(r, true)
	if err != nil {
		return err
	}
	a, err := e.AssignGroupRole(r.Context(), r.PathValue("group"), on)
	return answer(w, http.StatusCreated, a, err, groupAssignment)
}

func replaceGroupRoles(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Assignments *[]assignmentBody `json:"role_assignments"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	switch {
	case b.Assignments == nil:
		return unprocessable("role_assignments is required.")
	case len(*b.Assignments) > identity.MaxGroupAssignments:
		return unprocessable("role_assignments has at most %d entries.", identity.MaxGroupAssignments)
	}
	roles := make([]store.RoleOn, len(*b.Assignments))
	for i, entry := range *b.Assignments {
		var err error
		if roles[i], err = entry.on(true); err != nil {
			return err
		}
	}
	list, err := e.ReplaceGroupRoles(r.Context(), r.PathValue("group"), roles)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.NewList(shapes(list, groupAssignment), "", ""))
}

func unassignGroupRole(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	on, err := readAssignment(r, true)
	if err != nil {
		return err
	}
	return noContent(w, e.UnassignGroupRole(r.Context(), r.PathValue("group"), on))
}

func getGroupAssignment(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	a, err := e.GroupAssignment(r.Context(), r.PathValue("group"), r.PathValue("assignment"))
	return answer(w, http.StatusOK, a, err, groupAssignment)
}

func deleteGroupAssignment(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return noContent(w, e.DeleteGroupAssignment(r.Context(), r.PathValue("group"), r.PathValue("assignment")))
}
