package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// workplace is an organization with a workspace, a project in it, roles for
// both, and a member without any of them.
type workplace struct {
	*customer
	acme, om           string
	workspace, project string // ids of resources
	member             string // path of the member
}

func newWorkplace(t testing.TB) *workplace {
	t.Helper()
	w := &workplace{customer: newCustomer(t, start(t))}
	w.acme = w.organization(t, "Acme")
	w.om = w.customer.member(t, w.acme, w.user(t, email), nil)
	w.member = "/authorization/organization_memberships/" + w.om
	for slug, kind := range map[string]string{"workspace:edit": "workspace", "project:view": "project", "project:edit": "project", "org:read": ""} {
		body := m{"slug": slug, "name": slug}
		if kind != "" {
			body["resource_type_slug"] = kind
		}
		w.ok(t, 201, "POST", "/authorization/permissions", body)
	}
	for slug, of := range map[string]string{"workspace-admin": "workspace", "project-viewer": "project"} {
		w.ok(t, 201, "POST", "/authorization/roles", m{"slug": slug, "name": slug, "resource_type_slug": of})
	}
	w.ok(t, 201, "POST", "/authorization/roles", m{"slug": "admin", "name": "Admin"})
	w.ok(t, 200, "PUT", "/authorization/roles/workspace-admin/permissions", m{"permissions": []string{"workspace:edit", "project:view", "project:edit"}})
	w.ok(t, 200, "PUT", "/authorization/roles/project-viewer/permissions", m{"permissions": []string{"project:view"}})
	w.ok(t, 200, "PUT", "/authorization/roles/admin/permissions", m{"permissions": []string{"org:read", "project:edit"}})
	w.workspace = w.ok(t, 201, "POST", "/authorization/resources", m{"organization_id": w.acme, "resource_type_slug": "workspace", "external_id": "ws 1", "name": "Engineering"})["id"].(string)
	w.project = w.ok(t, 201, "POST", "/authorization/resources", m{"organization_id": w.acme, "resource_type_slug": "project", "external_id": "p/1", "name": "Web",
		"description": "a site", "parent_resource_id": w.workspace})["id"].(string)
	return w
}

func (w *workplace) allowed(t testing.TB, permission string, on m) bool {
	t.Helper()
	body := m{"permission_slug": permission}
	for k, v := range on {
		body[k] = v
	}
	return w.ok(t, 200, "POST", w.member+"/check", body)["authorized"].(bool)
}

// listed collects a member of the entries of a list.
func listed(list m, name string) []string {
	out := []string{}
	for _, v := range list["data"].([]any) {
		out = append(out, v.(m)[name].(string))
	}
	slices.Sort(out)
	return out
}

func TestRolesOnResourcesReachWhatIsBelow(t *testing.T) {
	w := newWorkplace(t)
	byID := m{"resource_id": w.project}
	byName := m{"resource_external_id": "p/1", "resource_type_slug": "project"}
	if w.allowed(t, "project:edit", byID) {
		t.Error("a member without a role may edit")
	}
	given := w.ok(t, 201, "POST", w.member+"/role_assignments", m{"role_slug": "workspace-admin", "resource_id": w.workspace})
	if again := w.ok(t, 201, "POST", w.member+"/role_assignments", m{"role_slug": "workspace-admin", "resource_id": w.workspace}); again["id"] != given["id"] {
		t.Errorf("the same role again = %v, want the assignment %v", again, given["id"])
	}
	if !w.allowed(t, "project:edit", byID) || !w.allowed(t, "project:edit", byName) || w.allowed(t, "org:read", byID) {
		t.Error("a role on the workspace does not reach its project, or reaches too far")
	}
	perms := w.ok(t, 200, "GET", w.member+"/resources/project/p%2F1/permissions", nil)
	if diff := cmp.Diff([]string{"project:edit", "project:view", "workspace:edit"}, listed(perms, "slug")); diff != "" {
		t.Errorf("effective permissions (-want +got):\n%s", diff)
	}
	children := w.ok(t, 200, "GET", w.member+"/resources?permission_slug=project:view&parent_resource_id="+w.workspace, nil)
	if diff := cmp.Diff([]string{w.project}, listed(children, "id")); diff != "" {
		t.Errorf("resources of the member (-want +got):\n%s", diff)
	}
	who := "/authorization/organizations/" + w.acme + "/resources/project/p%2F1/organization_memberships?permission_slug=project:view"
	if got := listed(w.ok(t, 200, "GET", who, nil), "id"); len(got) != 0 {
		t.Errorf("members with a role on the project itself = %v, want none", got)
	}
	found := w.ok(t, 200, "GET", who+"&assignment=indirect", nil)
	if got := listed(found, "id"); !slices.Equal(got, []string{w.om}) || found["data"].([]any)[0].(m)["user"].(m)["email"] != email {
		t.Errorf("members who can view = %v, want the one, with the user", found)
	}
	// The member's role in the organization is an assignment too.
	if got := listed(w.ok(t, 200, "GET", w.member+"/role_assignments", nil), "id"); len(got) != 2 {
		t.Errorf("assignments = %v, want 2", got)
	}
	if got := listed(w.ok(t, 200, "GET", w.member+"/role_assignments?resource_type_slug=organization", nil), "id"); len(got) != 1 {
		t.Errorf("assignments on the organization = %v, want 1", got)
	}
	if got := listed(w.ok(t, 200, "GET", "/authorization/resources/"+w.workspace+"/role_assignments?role_slug=workspace-admin", nil), "id"); !slices.Equal(got, []string{given["id"].(string)}) {
		t.Errorf("assignments on the workspace = %v", got)
	}
	w.ok(t, 200, "PUT", "/user_management/organization_memberships/"+w.om+"/deactivate", nil)
	if w.allowed(t, "project:edit", byID) {
		t.Error("an inactive member may edit")
	}
	w.ok(t, 200, "PUT", "/user_management/organization_memberships/"+w.om+"/reactivate", nil)
	w.ok(t, 204, "DELETE", w.member+"/role_assignments/"+given["id"].(string), nil)
	if w.allowed(t, "project:edit", byID) {
		t.Error("the role is taken and the member may still edit")
	}
	moved := w.ok(t, 200, "PATCH", "/authorization/resources/"+w.project, m{"parent_resource_external_id": w.acme, "parent_resource_type_slug": "organization", "description": nil})
	if moved["parent_resource_id"] != identity.OrganizationResourceID(w.acme) || moved["description"] != nil || moved["name"] != "Web" {
		t.Errorf("moved project = %v", moved)
	}
	w.ok(t, 200, "PUT", "/user_management/organization_memberships/"+w.om, m{"role_slug": "admin"})
	if !w.allowed(t, "project:edit", byID) {
		t.Error("a role in the organization does not reach its resources")
	}
}

// What a group has in the whole organization shows in its members and their tokens.
func TestGroupsGiveRoles(t *testing.T) {
	w := newWorkplace(t)
	groups := "/organizations/" + w.acme + "/groups"
	g := w.ok(t, 201, "POST", groups, m{"name": "Leads", "description": "who lead"})["id"].(string)
	roles := "/authorization/groups/" + g + "/role_assignments"
	_, session := w.password(t, email, nil)
	token := func() m {
		t.Helper()
		var status int
		if status, session = w.refresh(t, session, ""); status != 200 {
			t.Fatalf("refresh = %d %v", status, session)
		}
		return claimsOf(t, session)
	}
	want := func(step string, role string, all, permissions []any) {
		t.Helper()
		if diff := cmp.Diff(m{"org_id": w.acme, "role": role, "roles": all, "permissions": permissions}, token()); diff != "" {
			t.Errorf("claims after %s (-want +got):\n%s", step, diff)
		}
	}
	onOrganization := w.ok(t, 201, "POST", roles, m{"role_slug": "admin"})
	want("a group without members", "member", []any{"member"}, []any{})
	w.ok(t, 200, "POST", groups+"/"+g+"/organization-memberships", m{"organization_membership_id": w.om})
	w.ok(t, 200, "POST", groups+"/"+g+"/organization-memberships", m{"organization_membership_id": w.om})
	want("joining", "admin", []any{"admin", "member"}, []any{"org:read", "project:edit"})
	w.ok(t, 201, "POST", roles, m{"role_slug": "project-viewer", "resource_external_id": "p/1", "resource_type_slug": "project"})
	want("a role on a resource", "admin", []any{"admin", "member"}, []any{"org:read", "project:edit"})
	if !w.allowed(t, "project:view", m{"resource_id": w.project}) {
		t.Error("the group's role on the project does not reach its member")
	}
	var derived string
	for _, v := range w.ok(t, 200, "GET", w.member+"/role_assignments", nil)["data"].([]any) {
		if source := v.(m)["source"].(m); source["group_role_assignment_id"] == onOrganization["id"] && source["type"] == "group" {
			derived = v.(m)["id"].(string)
		}
	}
	w.refused(t, 403, "", "DELETE", w.member+"/role_assignments/"+derived, nil)
	if got := listed(w.ok(t, 200, "GET", "/user_management/organization_memberships/"+w.om+"/groups", nil), "id"); !slices.Equal(got, []string{g}) {
		t.Errorf("groups of the member = %v, want the one", got)
	}
	if got := listed(w.ok(t, 200, "GET", groups+"/"+g+"/organization-memberships", nil), "id"); !slices.Equal(got, []string{w.om}) {
		t.Errorf("members of the group = %v, want the one", got)
	}
	kept := w.ok(t, 200, "PUT", roles, m{"role_assignments": []any{m{"role_slug": "admin"}, m{"role_slug": "admin"}, m{"role_slug": "workspace-admin", "resource_id": w.workspace}}})
	if !slices.Contains(listed(kept, "id"), onOrganization["id"].(string)) || len(kept["data"].([]any)) != 2 {
		t.Errorf("replaced roles = %v, want two, one of them kept", kept)
	}
	w.ok(t, 204, "DELETE", roles, m{"role_slug": "admin"})
	want("taking the group's role", "member", []any{"member"}, []any{})
	w.ok(t, 200, "PATCH", groups+"/"+g, m{"name": "Leaders"})
	w.ok(t, 204, "DELETE", groups+"/"+g+"/organization-memberships/"+w.om, nil)
	w.ok(t, 204, "DELETE", groups+"/"+g, nil)
	events, _, err := w.e.Events(t.Context(), store.EventFilter{OrganizationID: w.acme, Names: []string{"group.created", "group.updated", "group.deleted", "group.member_added", "group.member_removed", "organization_membership.updated"}}, store.Page{Limit: 100, Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, v := range events {
		told = append(told, v.Name)
		if v.Name == "group.member_added" && (!strings.Contains(string(v.Data), g) || !strings.Contains(string(v.Data), w.om)) {
			t.Errorf("group.member_added tells %s", v.Data)
		}
	}
	if diff := cmp.Diff([]string{"group.created", "group.member_added", "organization_membership.updated", "organization_membership.updated", "group.updated", "group.member_removed", "group.deleted"}, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAuthorizationErrorBodies(t *testing.T) {
	w := newWorkplace(t)
	other := w.organization(t, "Other")
	stranger := w.customer.member(t, other, w.user(t, "b@example.com"), nil)
	groups := "/organizations/" + w.acme + "/groups"
	g := w.ok(t, 201, "POST", groups, m{"name": "G"})["id"].(string)
	roles := "/authorization/groups/" + g + "/role_assignments"
	w.ok(t, 201, "POST", roles, m{"role_slug": "admin"})
	w.ok(t, 201, "POST", "/authorization/organizations/"+w.acme+"/roles", m{"slug": "org-own", "name": "Own"})
	w.ok(t, 201, "POST", roles, m{"role_slug": "org-own"})
	long := strings.Repeat("x", 300)
	elsewhere := w.ok(t, 201, "POST", "/authorization/resources", m{"organization_id": other, "resource_type_slug": "project", "external_id": "o", "name": "O"})["id"].(string)
	resources, project := "/authorization/resources", "/authorization/resources/"+w.project
	root := "/authorization/resources/" + identity.OrganizationResourceID(w.acme)
	make := func(more m) m {
		body := m{"organization_id": w.acme, "resource_type_slug": "project", "external_id": "new", "name": "N"}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	for _, try := range []struct {
		status             int
		code, method, path string
		body               any
	}{
		{409, "authorization_resource_external_id_conflict", "POST", resources, make(m{"external_id": "p/1"})},
		{409, "permission_slug_conflict", "POST", "/authorization/permissions", m{"slug": "org:read", "name": "X"}},
		{409, "role_slug_conflict", "POST", "/authorization/roles", m{"slug": "admin", "name": "X"}},
		{409, "duplicate_group_role_assignment", "POST", roles, m{"role_slug": "admin"}},
		{409, "role_has_group_role_mappings", "DELETE", "/authorization/organizations/" + w.acme + "/roles/org-own", nil},
		{409, "resource_has_dependents", "DELETE", "/authorization/resources/" + w.workspace, nil},
		{400, "bad_request", "POST", resources, make(m{"resource_type_slug": "organization"})},
		{400, "bad_request", "POST", "/authorization/permissions", m{"slug": "z", "name": "X", "resource_type_slug": ""}},
		{400, "bad_request", "GET", w.member + "/resources?permission_slug=org:read", nil},
		{400, "missing_organization_id_or_resource_type_slug", "GET", resources + "?resource_external_id=x", nil},
		{422, "", "POST", resources, make(m{"external_id": strings.Repeat("x", 129)})},
		{422, "", "POST", resources, make(m{"external_id": "é"})},
		{422, "", "POST", resources, make(m{"external_id": ""})},
		{422, "", "POST", resources, make(m{"name": long})},
		{422, "", "POST", resources, make(m{"name": 7})},
		{422, "", "POST", resources, make(m{"description": long})},
		{422, "", "POST", resources, make(m{"parent_resource_id": w.workspace, "parent_resource_type_slug": "workspace"})},
		{422, "", "POST", resources, make(m{"parent_resource_type_slug": "workspace"})},
		{404, "", "POST", resources, make(m{"parent_resource_id": elsewhere})},
		{404, "", "POST", resources, make(m{"organization_id": "org_odd"})},
		{422, "", "PATCH", "/authorization/resources/" + w.workspace, m{"parent_resource_id": w.project}},
		{403, "", "PATCH", root, m{"name": "X"}},
		{403, "", "DELETE", root + "?cascade_delete=true", nil},
		{404, "", "GET", resources + "/authz_resource_odd", nil},
		{404, "", "GET", "/authorization/organizations/" + other + "/resources/project/p%2F1", nil},
		{422, "", "POST", w.member + "/check", m{"resource_id": w.project}},
		{422, "", "POST", w.member + "/check", m{"permission_slug": "org:read"}},
		{422, "", "POST", w.member + "/check", m{"permission_slug": "org:read", "resource_id": w.project, "resource_type_slug": "project"}},
		{404, "", "POST", w.member + "/check", m{"permission_slug": "odd", "resource_id": w.project}},
		{404, "", "POST", w.member + "/check", m{"permission_slug": "org:read", "resource_id": "authz_resource_odd"}},
		{404, "", "POST", "/authorization/organization_memberships/om_odd/check", m{"permission_slug": "org:read", "resource_id": w.project}},
		{422, "", "POST", w.member + "/role_assignments", m{"role_slug": "project-viewer", "resource_id": w.workspace}},
		{422, "", "POST", w.member + "/role_assignments", m{"role_slug": "admin"}},
		{404, "", "POST", w.member + "/role_assignments", m{"role_slug": "odd", "resource_id": w.workspace}},
		{404, "", "POST", w.member + "/role_assignments", m{"role_slug": "project-viewer", "resource_id": elsewhere}},
		{404, "", "DELETE", w.member + "/role_assignments", m{"role_slug": "project-viewer", "resource_id": w.project}},
		{422, "", "DELETE", w.member + "/role_assignments", m{"role_slug": "member", "resource_external_id": w.acme, "resource_type_slug": "organization"}},
		{404, "", "DELETE", w.member + "/role_assignments/role_assignment_odd", nil},
		{422, "", "POST", "/authorization/roles/project-viewer/permissions", m{"slug": "org:read"}},
		{404, "", "PUT", "/authorization/roles/admin/permissions", m{"permissions": []string{"odd"}}},
		{422, "", "GET", project + "/organization_memberships", nil},
		{400, "bad_request", "GET", project + "/organization_memberships?permission_slug=org:read&assignment=odd", nil},
		{422, "", "POST", groups, m{"name": ""}},
		{422, "", "POST", groups, m{"name": long}},
		{404, "", "GET", "/organizations/" + other + "/groups/" + g, nil},
		{404, "", "POST", groups + "/" + g + "/organization-memberships", m{"organization_membership_id": stranger}},
		{404, "", "DELETE", groups + "/" + g + "/organization-memberships/" + w.om, nil},
		{404, "", "DELETE", roles, m{"role_slug": "workspace-admin", "resource_id": w.workspace}},
		{404, "", "DELETE", roles + "/gra_odd", nil},
		{422, "", "PUT", roles, m{}},
		{422, "", "PUT", roles, m{"role_assignments": slices.Repeat([]any{m{"role_slug": "admin"}}, 101)}},
		{422, "invalid_request_parameters", "GET", groups + "?limit=0", nil},
	} {
		w.refused(t, try.status, try.code, try.method, try.path, try.body)
	}
	// A resource of another organization is one that the member has no role on.
	if w.allowed(t, "org:read", m{"resource_id": elsewhere}) {
		t.Error("a member may do something in another organization")
	}
	// A role for projects is none to have in a whole organization.
	w.refused(t, 422, "invalid_role", "PUT", "/user_management/organization_memberships/"+w.om, m{"role_slug": "project-viewer"})
}

func TestRolesAndPermissionsAreTold(t *testing.T) {
	c := newCustomer(t, start(t))
	acme := c.organization(t, "Acme")
	c.ok(t, 201, "POST", "/authorization/permissions", m{"slug": "p", "name": "P"})
	c.ok(t, 200, "PATCH", "/authorization/permissions/p", m{"name": "Q"})
	c.ok(t, 201, "POST", "/authorization/roles", m{"slug": "r", "name": "R"})
	c.ok(t, 200, "POST", "/authorization/roles/r/permissions", m{"slug": "p"})
	c.ok(t, 200, "POST", "/authorization/roles/r/permissions", m{"slug": "p"}) // no effect
	own := "/authorization/organizations/" + acme + "/roles"
	c.ok(t, 201, "POST", own, m{"slug": "org-r", "name": "R"})
	c.ok(t, 200, "PATCH", own+"/org-r", m{"description": "D"})
	c.ok(t, 204, "DELETE", own+"/org-r", nil)
	c.ok(t, 204, "DELETE", "/authorization/permissions/p", nil)
	var told []string
	for _, v := range c.ok(t, 200, "GET", "/events?order=asc&limit=100", nil)["data"].([]any) {
		event := v.(m)
		told = append(told, event["event"].(string))
		data := event["data"].(m)
		if event["event"] == "organization_role.updated" && (data["object"] != "organization_role" || data["description"] != "D" || data["organization_id"] != acme) {
			t.Errorf("organization_role.updated tells %v", data)
		}
	}
	want := []string{"organization.created", "permission.created", "permission.updated", "role.created", "role.updated", "organization_role.created", "organization_role.updated", "organization_role.deleted", "permission.deleted"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
