package server_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// rights are what a tenant has of resources, groups, and roles on them.
type rights struct {
	parent, child   identity.Resource
	viewer          identity.Role // for resources of the child's type
	view            identity.Permission
	assignment      identity.RoleAssignment // of the circle's member, on the child
	group           identity.Group          // the member is in it
	groupAssignment identity.GroupRoleAssignment
}

func newRights(t testing.TB, e *store.Env, c circle, mark string) rights {
	t.Helper()
	ctx := t.Context()
	var v rights
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	v.parent, err = e.CreateResource(ctx, identity.Resource{OrganizationID: c.organization.ID, Type: "workspace", ExternalID: mark, Name: mark}, identity.ResourceRef{})
	must(err)
	v.child, err = e.CreateResource(ctx, identity.Resource{OrganizationID: c.organization.ID, Type: "project", ExternalID: mark, Name: mark}, identity.ResourceRef{ID: v.parent.ID})
	must(err)
	v.view, err = e.CreatePermission(ctx, identity.Permission{Slug: strings.ToLower(mark) + ":view", Name: mark, ResourceType: "project"})
	must(err)
	v.viewer, err = e.CreateRole(ctx, identity.Role{OrganizationID: c.organization.ID, Slug: "org-v" + strings.ToLower(mark), Name: mark, ResourceType: "project"})
	must(err)
	v.viewer, err = e.AddRolePermission(ctx, c.organization.ID, v.viewer.Slug, v.view.Slug)
	must(err)
	on := store.RoleOn{RoleSlug: v.viewer.Slug, Resource: identity.ResourceRef{ID: v.child.ID}}
	v.assignment, err = e.AssignRole(ctx, c.membership.ID, on)
	must(err)
	v.group, err = e.CreateGroup(ctx, identity.Group{OrganizationID: c.organization.ID, Name: mark})
	must(err)
	_, err = e.AddGroupMember(ctx, c.organization.ID, v.group.ID, c.membership.ID)
	must(err)
	v.groupAssignment, err = e.AssignGroupRole(ctx, v.group.ID, on)
	must(err)
	return v
}

// state is all that is kept of rights.
func (v rights) state(t testing.TB, e *store.Env, c circle) []any {
	t.Helper()
	ctx, all := t.Context(), store.Page{Limit: 100}
	var out []any
	keep := func(v any, _, _ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	keep(pageOf(e.Resources(ctx, store.ResourceFilter{}, all)))
	keep(pageOf(e.RoleAssignments(ctx, c.membership.ID, store.AssignmentFilter{}, all)))
	keep(pageOf(e.Groups(ctx, c.organization.ID, all)))
	keep(pageOf(e.MembershipGroups(ctx, c.membership.ID, all)))
	keep(pageOf(e.GroupAssignments(ctx, v.group.ID, all)))
	return out
}

func pageOf[T any](list []T, before, after string, err error) (any, string, string, error) {
	return list, before, after, err
}

func init() { maps.Copy(rows, authorizationRows) }

func resourcePath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/authorization/resources/" + b.rights.child.ID + suffix }
}

func resourceOfPath(suffix string) func(*tenant) string {
	return func(b *tenant) string {
		return "/authorization/organizations/" + b.circle.organization.ID + "/resources/project/" + b.rights.child.ExternalID + suffix
	}
}

func memberPath(suffix string) func(*tenant) string {
	return func(b *tenant) string {
		return "/authorization/organization_memberships/" + b.circle.membership.ID + suffix
	}
}

func groupRolesPath(suffix func(*tenant) string) func(*tenant) string {
	return func(b *tenant) string {
		path := "/authorization/groups/" + b.rights.group.ID + "/role_assignments"
		if suffix != nil {
			path += suffix(b)
		}
		return path
	}
}

func groupPath(suffix string) func(*tenant) string {
	return func(b *tenant) string {
		return "/organizations/" + b.circle.organization.ID + "/groups/" + b.rights.group.ID + suffix
	}
}

// roleOn are bodies that give a role: all of b, and each part of b with the rest of a.
func roleOn(a, b *tenant) []any {
	return []any{m{"role_slug": b.rights.viewer.Slug, "resource_id": b.rights.child.ID},
		m{"role_slug": a.rights.viewer.Slug, "resource_id": b.rights.child.ID},
		m{"role_slug": b.rights.viewer.Slug, "resource_id": a.rights.child.ID},
		m{"role_slug": b.rights.viewer.Slug, "resource_external_id": b.rights.child.ExternalID, "resource_type_slug": "project"}}
}

// authorizationRows are the rows of resources, what roles are on them, and groups.
var authorizationRows = map[string]row{
	"POST /authorization/resources": {path: fixed("/authorization/resources"), own: apiKey, bodies: func(a, b *tenant) []any {
		id := identity.NewULID()
		return []any{m{"organization_id": b.circle.organization.ID, "external_id": id, "name": "Mine", "resource_type_slug": "project", "parent_resource_id": b.rights.parent.ID},
			m{"organization_id": b.circle.organization.ID, "external_id": id, "name": "Mine", "resource_type_slug": "project"},
			m{"organization_id": a.circle.organization.ID, "external_id": id, "name": "Mine", "resource_type_slug": "project", "parent_resource_id": b.rights.parent.ID},
			m{"organization_id": a.circle.organization.ID, "external_id": id, "name": "Mine", "resource_type_slug": "project", "parent_resource_external_id": b.rights.parent.ExternalID, "parent_resource_type_slug": "workspace"}}
	}},
	"GET /authorization/resources": {path: func(b *tenant) string {
		return "/authorization/resources?organization_id=" + b.circle.organization.ID
	}, own: apiKey, accepts: true},
	"GET /authorization/resources/{resource}": {path: resourcePath(""), own: apiKey},
	"PATCH /authorization/resources/{resource}": {path: resourcePath(""), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"name": "Mallory"}, m{"parent_resource_id": a.rights.parent.ID}}
	}},
	"DELETE /authorization/resources/{resource}":                                                      {path: resourcePath("?cascade_delete=true"), own: apiKey},
	"GET /authorization/organizations/{organization}/resources/{type}/{external_id}":                  {path: resourceOfPath(""), own: apiKey},
	"PATCH /authorization/organizations/{organization}/resources/{type}/{external_id}":                {path: resourceOfPath(""), own: apiKey, bodies: named},
	"DELETE /authorization/organizations/{organization}/resources/{type}/{external_id}":               {path: resourceOfPath("?cascade_delete=true"), own: apiKey},
	"GET /authorization/resources/{resource}/role_assignments":                                        {path: resourcePath("/role_assignments"), own: apiKey},
	"GET /authorization/organizations/{organization}/resources/{type}/{external_id}/role_assignments": {path: resourceOfPath("/role_assignments"), own: apiKey},
	"GET /authorization/resources/{resource}/organization_memberships": {path: func(b *tenant) string {
		return resourcePath("/organization_memberships?permission_slug=" + b.rights.view.Slug)(b)
	}, own: apiKey},
	"GET /authorization/organizations/{organization}/resources/{type}/{external_id}/organization_memberships": {path: func(b *tenant) string {
		return resourceOfPath("/organization_memberships?permission_slug=" + b.rights.view.Slug)(b)
	}, own: apiKey},

	"POST /authorization/organization_memberships/{membership}/check": {path: memberPath("/check"), own: apiKey, bodies: bodies(func(b *tenant) []any {
		return []any{m{"permission_slug": b.rights.view.Slug, "resource_id": b.rights.child.ID}}
	})},
	"GET /authorization/organization_memberships/{membership}/resources": {path: func(b *tenant) string {
		return memberPath("/resources?permission_slug=" + b.rights.view.Slug + "&parent_resource_id=" + b.rights.parent.ID)(b)
	}, own: apiKey},
	"GET /authorization/organization_memberships/{membership}/resources/{resource}/permissions": {path: func(b *tenant) string {
		return memberPath("/resources/" + b.rights.child.ID + "/permissions")(b)
	}, own: apiKey},
	"GET /authorization/organization_memberships/{membership}/resources/{type}/{external_id}/permissions": {path: func(b *tenant) string {
		return memberPath("/resources/project/" + b.rights.child.ExternalID + "/permissions")(b)
	}, own: apiKey},
	"GET /authorization/organization_memberships/{membership}/role_assignments":    {path: memberPath("/role_assignments"), own: apiKey},
	"POST /authorization/organization_memberships/{membership}/role_assignments":   {path: memberPath("/role_assignments"), own: apiKey, bodies: roleOn},
	"DELETE /authorization/organization_memberships/{membership}/role_assignments": {path: memberPath("/role_assignments"), own: apiKey, bodies: roleOn},
	"DELETE /authorization/organization_memberships/{membership}/role_assignments/{assignment}": {path: func(b *tenant) string {
		return memberPath("/role_assignments/" + b.rights.assignment.ID)(b)
	}, own: apiKey},

	"GET /authorization/groups/{group}/role_assignments": {path: groupRolesPath(nil), own: apiKey},
	"POST /authorization/groups/{group}/role_assignments": {path: groupRolesPath(nil), own: apiKey, bodies: func(a, b *tenant) []any {
		return append([]any{m{"role_slug": b.circle.role.Slug}}, roleOn(a, b)...)
	}},
	"PUT /authorization/groups/{group}/role_assignments": {path: groupRolesPath(nil), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"role_assignments": []any{}}, m{"role_assignments": roleOn(a, b)}}
	}},
	"DELETE /authorization/groups/{group}/role_assignments": {path: groupRolesPath(nil), own: apiKey, bodies: roleOn},
	"GET /authorization/groups/{group}/role_assignments/{assignment}": {path: groupRolesPath(func(b *tenant) string {
		return "/" + b.rights.groupAssignment.ID
	}), own: apiKey},
	"DELETE /authorization/groups/{group}/role_assignments/{assignment}": {path: groupRolesPath(func(b *tenant) string {
		return "/" + b.rights.groupAssignment.ID
	}), own: apiKey},

	"POST /organizations/{organization}/groups":                                 {path: under(organizationPath, "/groups"), own: apiKey, bodies: named},
	"GET /organizations/{organization}/groups":                                  {path: under(organizationPath, "/groups"), own: apiKey},
	"GET /organizations/{organization}/groups/{group}":                          {path: groupPath(""), own: apiKey},
	"PATCH /organizations/{organization}/groups/{group}":                        {path: groupPath(""), own: apiKey, bodies: named},
	"DELETE /organizations/{organization}/groups/{group}":                       {path: groupPath(""), own: apiKey},
	"GET /organizations/{organization}/groups/{group}/organization-memberships": {path: groupPath("/organization-memberships"), own: apiKey},
	"POST /organizations/{organization}/groups/{group}/organization-memberships": {path: groupPath("/organization-memberships"), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"organization_membership_id": b.circle.membership.ID}, m{"organization_membership_id": a.circle.membership.ID}}
	}},
	"DELETE /organizations/{organization}/groups/{group}/organization-memberships/{membership}": {path: func(b *tenant) string {
		return groupPath("/organization-memberships/" + b.circle.membership.ID)(b)
	}, own: apiKey},
	"GET /user_management/organization_memberships/{membership}/groups": {path: under(membershipPath, "/groups"), own: apiKey},
}
