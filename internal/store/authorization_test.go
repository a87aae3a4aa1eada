package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// company is a random organization with everything that gives access.
type company struct {
	e           *Env
	org         identity.Organization
	members     []identity.Membership
	resources   []identity.Resource // the first is the organization
	permissions []identity.Permission
	roles       []identity.Role
	groups      []identity.Group
	// grants are what was given, as the reference sees it.
	given map[[3]string]bool // member or group, resource, role slug
	in    map[[2]string]bool // group, member
}

// allowed is the rule written down naively: walk up from the resource and look
// for a role that holds the permission.
func (w *company) allowed(m identity.Membership, p string, r identity.Resource, direct bool) bool {
	if m.Status != identity.MembershipActive {
		return false
	}
	byID := map[string]identity.Resource{}
	for _, r := range w.resources {
		byID[r.ID] = r
	}
	for {
		for _, role := range w.roles {
			if !slices.Contains(role.Permissions, p) {
				continue
			}
			if w.given[[3]string{m.ID, r.ID, role.Slug}] {
				return true
			}
			for _, g := range w.groups {
				if w.in[[2]string{g.ID, m.ID}] && w.given[[3]string{g.ID, r.ID, role.Slug}] {
					return true
				}
			}
		}
		if direct || r.ParentID == "" {
			return false
		}
		r = byID[r.ParentID]
	}
}

func newCompany(t testing.TB, e *Env, random *rand.Rand) *company {
	t.Helper()
	ctx := t.Context()
	w := &company{e: e, given: map[[3]string]bool{}, in: map[[2]string]bool{}}
	w.org = must[identity.Organization](t)(e.CreateOrganization(ctx, identity.Organization{Name: "Acme"}))
	w.resources = append(w.resources, must[identity.Resource](t)(e.Resource(ctx, w.org.ID, identity.ResourceRef{})))
	types := []string{"workspace", "project", "app"}
	depth := map[string]int{}
	for i := range 2 + random.IntN(7) {
		parent := w.resources[random.IntN(len(w.resources))]
		if depth[parent.ID] == identity.MaxResourceDepth {
			continue
		}
		r := must[identity.Resource](t)(e.CreateResource(ctx, identity.Resource{OrganizationID: w.org.ID, Type: types[random.IntN(len(types))], ExternalID: fmt.Sprint(i), Name: "r"},
			identity.ResourceRef{ID: parent.ID}))
		depth[r.ID] = depth[parent.ID] + 1
		w.resources = append(w.resources, r)
	}
	for i := range 3 {
		kind := append(types, identity.OrganizationResource)[random.IntN(4)]
		w.permissions = append(w.permissions, must[identity.Permission](t)(e.CreatePermission(ctx, identity.Permission{Slug: fmt.Sprint("p", i), Name: "p", ResourceType: kind})))
	}
	for i, kind := range append(types, identity.OrganizationResource) {
		role := must[identity.Role](t)(e.CreateRole(ctx, identity.Role{Slug: fmt.Sprint("r", i), Name: "r", ResourceType: kind}))
		for _, p := range w.permissions {
			if random.IntN(2) == 0 && (p.ResourceType != identity.OrganizationResource || kind == identity.OrganizationResource) {
				role = must[identity.Role](t)(e.AddRolePermission(ctx, "", role.Slug, p.Slug))
			}
		}
		w.roles = append(w.roles, role)
	}
	for i := range 3 {
		u := must[identity.User](t)(e.CreateUser(ctx, identity.User{Email: fmt.Sprintf("u%d@example.com", i)}))
		m := must[identity.Membership](t)(e.CreateMembership(ctx, w.org.ID, u.ID, nil))
		if random.IntN(6) == 0 {
			m = must[identity.Membership](t)(e.DeactivateMembership(ctx, m.ID))
		}
		w.members = append(w.members, m)
		w.given[[3]string{m.ID, w.resources[0].ID, identity.DefaultRole}] = true
	}
	for range 2 {
		g := must[identity.Group](t)(e.CreateGroup(ctx, identity.Group{OrganizationID: w.org.ID, Name: "g"}))
		for _, m := range w.members {
			if random.IntN(2) == 0 {
				must[identity.Group](t)(e.AddGroupMember(ctx, w.org.ID, g.ID, m.ID))
				w.in[[2]string{g.ID, m.ID}] = true
			}
		}
		w.groups = append(w.groups, g)
	}
	for range random.IntN(8) {
		r := w.resources[random.IntN(len(w.resources))]
		role := w.roles[slices.IndexFunc(w.roles, func(v identity.Role) bool { return v.ResourceType == r.Type })]
		on := RoleOn{RoleSlug: role.Slug, Resource: identity.ResourceRef{ID: r.ID}}
		if random.IntN(2) == 0 {
			m := w.members[random.IntN(len(w.members))]
			must[identity.RoleAssignment](t)(e.AssignRole(ctx, m.ID, on))
			w.given[[3]string{m.ID, r.ID, role.Slug}] = true
			continue
		}
		g := w.groups[random.IntN(len(w.groups))]
		key := [3]string{g.ID, r.ID, role.Slug}
		if _, err := e.AssignGroupRole(ctx, g.ID, on); (fault.Code(err) == "duplicate_group_role_assignment") != w.given[key] {
			t.Fatalf("AssignGroupRole = %v, given before %v", err, w.given[key])
		}
		w.given[key] = true
	}
	return w
}

// agree compares every question about w with the naive reference.
func (w *company) agree(t testing.TB) {
	t.Helper()
	ctx, all := t.Context(), Page{Limit: 100, Ascending: true}
	for _, m := range w.members {
		for _, r := range w.resources {
			var want []string
			for _, p := range w.permissions {
				yes := w.allowed(m, p.Slug, r, false)
				if got, err := w.e.Allowed(ctx, m.ID, p.Slug, identity.ResourceRef{ID: r.ID}); err != nil || got != yes {
					t.Errorf("Allowed(%s, %s, %s) = %v, %v; want %v", m.ID, p.Slug, r.ID, got, err, yes)
				}
				if yes {
					want = append(want, p.Slug)
				}
				var children []string
				for _, c := range w.resources {
					if c.ParentID == r.ID && w.allowed(m, p.Slug, c, false) && (p.ResourceType == identity.OrganizationResource || p.ResourceType == c.Type) {
						children = append(children, c.ID)
					}
				}
				list, _, _, err := w.e.AllowedResources(ctx, m.ID, p.Slug, identity.ResourceRef{ID: r.ID}, all)
				if diff := cmp.Diff(sorted(children), names(list, func(v identity.Resource) string { return v.ID })); err != nil || diff != "" {
					t.Errorf("AllowedResources = %v (-want +got):\n%s", err, diff)
				}
			}
			list, _, _, err := w.e.AllowedPermissions(ctx, m.ID, identity.ResourceRef{Type: r.Type, ExternalID: r.ExternalID}, all)
			if diff := cmp.Diff(want, names(list, func(v identity.Permission) string { return v.Slug })); err != nil || diff != "" {
				t.Errorf("AllowedPermissions = %v (-want +got):\n%s", err, diff)
			}
		}
	}
	for _, r := range w.resources {
		for _, p := range w.permissions {
			for _, inherited := range []bool{false, true} {
				var want []string
				for _, m := range w.members {
					if w.allowed(m, p.Slug, r, !inherited) {
						want = append(want, m.ID)
					}
				}
				list, _, _, err := w.e.AllowedMemberships(ctx, r, p.Slug, inherited, all)
				if diff := cmp.Diff(sorted(want), names(list, func(v identity.Membership) string { return v.ID })); err != nil || diff != "" {
					t.Errorf("AllowedMemberships(inherited %v) = %v (-want +got):\n%s", inherited, err, diff)
				}
			}
		}
	}
}

func sorted(ids []string) []string {
	slices.Sort(ids)
	return ids
}

func names[T any](list []T, name func(T) string) []string {
	var out []string
	for _, v := range list {
		out = append(out, name(v))
	}
	return sorted(out)
}

// What the database answers is what a walk through the same graph finds.
func FuzzAccessAgreesWithAWalk(f *testing.F) {
	for seed := range uint64(12) {
		f.Add(seed)
	}
	tm := team(f, open(f))
	f.Fuzz(func(t *testing.T, seed uint64) {
		e, err := tm.CreateEnvironment(t.Context(), NewEnvironment{Name: "fuzz"})
		if err != nil {
			t.Fatal(err)
		}
		newCompany(t, e, rand.New(rand.NewPCG(seed, 1))).agree(t)
	})
}

// R14: resources, assignments and groups of one environment do not exist in
// another, and nothing of them outlives what they belong to.
func TestAuthorizationStaysInItsEnvironmentAndGoesWithIt(t *testing.T) {
	db := open(t)
	tm := team(t, db)
	ctx := t.Context()
	a, b := env(t, tm, "a"), env(t, tm, "b")
	full := func() (*company, identity.Resource, identity.Resource, identity.RoleAssignment) {
		w := newCompany(t, b, rand.New(rand.NewPCG(1, 1)))
		top := must[identity.Resource](t)(b.CreateResource(ctx, identity.Resource{OrganizationID: w.org.ID, Type: "workspace", ExternalID: "top", Name: "t"}, identity.ResourceRef{}))
		below := must[identity.Resource](t)(b.CreateResource(ctx, identity.Resource{OrganizationID: w.org.ID, Type: "project", ExternalID: "below", Name: "b"}, identity.ResourceRef{ID: top.ID}))
		on := RoleOn{RoleSlug: "r1", Resource: identity.ResourceRef{ID: below.ID}}
		as := must[identity.RoleAssignment](t)(b.AssignRole(ctx, w.members[0].ID, on))
		if _, err := b.AddGroupMember(ctx, w.org.ID, w.groups[0].ID, w.members[0].ID); err != nil {
			t.Fatal(err)
		}
		must[identity.GroupRoleAssignment](t)(b.AssignGroupRole(ctx, w.groups[0].ID, on))
		return w, top, below, as
	}
	count := func(table string) (n int) {
		t.Helper()
		if err := db.row(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	w, top, below, as := full()
	m, g := w.members[0], w.groups[0]
	for name, call := range map[string]func() error{
		"Resource":             func() error { _, err := a.Resource(ctx, "", identity.ResourceRef{ID: top.ID}); return err },
		"UpdateResource":       func() error { _, err := a.UpdateResource(ctx, top.ID, ResourceChange{Name: new("x")}); return err },
		"DeleteResource":       func() error { return a.DeleteResource(ctx, top.ID, true) },
		"Allowed":              func() error { _, err := a.Allowed(ctx, m.ID, "p0", identity.ResourceRef{ID: top.ID}); return err },
		"AssignRole":           func() error { _, err := a.AssignRole(ctx, m.ID, RoleOn{RoleSlug: "member"}); return err },
		"DeleteRoleAssignment": func() error { return a.DeleteRoleAssignment(ctx, m.ID, as.ID) },
		"RoleAssignments": func() error {
			_, _, _, err := a.RoleAssignments(ctx, m.ID, AssignmentFilter{}, Page{Limit: 1})
			return err
		},
		"Group":             func() error { _, err := a.Group(ctx, "", g.ID); return err },
		"AddGroupMember":    func() error { _, err := a.AddGroupMember(ctx, w.org.ID, g.ID, m.ID); return err },
		"DeleteGroup":       func() error { return a.DeleteGroup(ctx, w.org.ID, g.ID) },
		"GroupAssignments":  func() error { _, _, _, err := a.GroupAssignments(ctx, g.ID, Page{Limit: 1}); return err },
		"ReplaceGroupRoles": func() error { _, err := a.ReplaceGroupRoles(ctx, g.ID, nil); return err },
	} {
		if err := call(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s in another environment = %v, want NotFound", name, err)
		}
	}
	if err := b.DeleteResource(ctx, top.ID, false); fault.Code(err) != "resource_has_dependents" {
		t.Errorf("DeleteResource with a child = %v, want resource_has_dependents", err)
	}
	if err := b.DeleteResource(ctx, below.ID, false); fault.Code(err) != "resource_has_dependents" {
		t.Errorf("DeleteResource with roles on it = %v, want resource_has_dependents", err)
	}
	before := count("role_assignments") + count("group_role_assignments")
	if err := b.DeleteResource(ctx, top.ID, true); err != nil {
		t.Fatal(err)
	}
	if left := count("role_assignments") + count("group_role_assignments"); left != before-2 {
		t.Errorf("assignments after the deletion above them = %d, want %d", left, before-2)
	}
	if err := b.DeleteMembership(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteGroup(ctx, w.org.ID, g.ID); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.row(ctx, "SELECT (SELECT count(*) FROM group_members WHERE membership_id = $1 OR group_id = $2) + (SELECT count(*) FROM role_assignments WHERE membership_id = $1) + (SELECT count(*) FROM group_role_assignments WHERE group_id = $2)",
		m.ID, g.ID).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of a deleted member and group, %v; want none", n, err)
	}
	tables := []string{"authorization_resources", "role_assignments", "organization_groups", "group_members", "group_role_assignments"}
	if err := b.DeleteOrganization(ctx, w.org.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if n := count(table); n != 0 {
			t.Errorf("%s has %d rows after the organization is gone, want none", table, n)
		}
	}
	b = env(t, tm, "c")
	full()
	if err := tm.DeleteEnvironment(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if n := count(table); n != 0 {
			t.Errorf("%s has %d rows after the environment is gone, want none", table, n)
		}
	}
}

// Writers of one role's permissions lose nothing that was acknowledged: each
// addition stays, and a replacement is one of those that were sent, whole.
func TestPermissionsOfARoleUnderParallelWriters(t *testing.T) {
	e := env(t, team(t, open(t)), "dev")
	ctx := t.Context()
	var slugs []string
	for i := range 16 {
		slugs = append(slugs, fmt.Sprintf("p%02d", i))
		must[identity.Permission](t)(e.CreatePermission(ctx, identity.Permission{Slug: slugs[i], Name: "p"}))
	}
	var wg sync.WaitGroup
	for _, p := range slugs {
		wg.Go(func() {
			if r, err := e.AddRolePermission(ctx, "", "member", p); err != nil || !slices.Contains(r.Permissions, p) {
				t.Errorf("AddRolePermission(%s) = %v, %v", p, r.Permissions, err)
			}
		})
	}
	wg.Wait()
	if r := must[identity.Role](t)(e.Role(ctx, "", "member")); !slices.Equal(r.Permissions, slugs) {
		t.Errorf("after 16 additions = %v, want all", r.Permissions)
	}
	for i := range slugs {
		wg.Go(func() {
			if r, err := e.SetRolePermissions(ctx, "", "member", slugs[:i]); err != nil || !slices.Equal(r.Permissions, slugs[:i]) {
				t.Errorf("SetRolePermissions(first %d) = %v, %v", i, r.Permissions, err)
			}
		})
	}
	wg.Wait()
	if r := must[identity.Role](t)(e.Role(ctx, "", "member")); !slices.Equal(r.Permissions, slugs[:len(r.Permissions)]) {
		t.Errorf("after replacements = %v, want one of them whole", r.Permissions)
	}
	if _, err := e.SetRolePermissions(ctx, "", "member", []string{"p00", "odd"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("SetRolePermissions with an unknown one = %v, want NotFound", err)
	}
}

func TestResourcesFormATree(t *testing.T) {
	e := env(t, team(t, open(t)), "dev")
	ctx := t.Context()
	o := must[identity.Organization](t)(e.CreateOrganization(ctx, identity.Organization{Name: "A"}))
	var chain []identity.Resource
	at := identity.ResourceRef{}
	for i := range identity.MaxResourceDepth {
		r := must[identity.Resource](t)(e.CreateResource(ctx, identity.Resource{OrganizationID: o.ID, Type: "folder", ExternalID: fmt.Sprint(i), Name: "f"}, at))
		chain, at = append(chain, r), identity.ResourceRef{ID: r.ID}
	}
	ref := func(i int) *identity.ResourceRef { return &identity.ResourceRef{ID: chain[i].ID} }
	if _, err := e.CreateResource(ctx, identity.Resource{OrganizationID: o.ID, Type: "folder", ExternalID: "deep", Name: "f"}, at); fault.Code(err) != "resource_too_deep" {
		t.Errorf("one level too many = %v, want resource_too_deep", err)
	}
	for _, i := range []int{0, 1, len(chain) - 1} {
		if _, err := e.UpdateResource(ctx, chain[0].ID, ResourceChange{Parent: ref(i)}); fault.Code(err) != "resource_cycle" {
			t.Errorf("the first below number %d = %v, want resource_cycle", i, err)
		}
	}
	other := must[identity.Resource](t)(e.CreateResource(ctx, identity.Resource{OrganizationID: o.ID, Type: "folder", ExternalID: "other", Name: "f"}, identity.ResourceRef{}))
	if _, err := e.UpdateResource(ctx, chain[0].ID, ResourceChange{Parent: &identity.ResourceRef{ID: other.ID}}); fault.Code(err) != "resource_too_deep" {
		t.Errorf("a whole chain one level down = %v, want resource_too_deep", err)
	}
	if r, err := e.UpdateResource(ctx, chain[1].ID, ResourceChange{Parent: &identity.ResourceRef{ID: other.ID}}); err != nil || r.ParentID != other.ID {
		t.Errorf("a move that fits = %v, %v", r, err)
	}
	root := identity.OrganizationResourceID(o.ID)
	if err := e.DeleteResource(ctx, root, true); !fault.Is(err, fault.Denied) {
		t.Errorf("DeleteResource(organization) = %v, want Denied", err)
	}
	o.Name = "B"
	must[identity.Organization](t)(e.UpdateOrganization(ctx, o))
	if r := must[identity.Resource](t)(e.Resource(ctx, o.ID, identity.ResourceRef{Type: identity.OrganizationResource, ExternalID: o.ID})); r.Name != "B" || r.ID != root || r.ParentID != "" {
		t.Errorf("resource of the renamed organization = %v", r)
	}
}
