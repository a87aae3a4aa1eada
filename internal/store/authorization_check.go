package store

import (
	"context"

	"github.com/berthdev/berth/internal/identity"
)

// A member has a permission on a resource when a role that holds it was given
// on that resource or on one above it, up to the organization: to the member or
// to a group that the member is in. Only active members have any.

// above is the resource $2 of the environment $1 and everything above it.
const above = `WITH RECURSIVE up (id, parent_id) AS (
	SELECT id, parent_id FROM authorization_resources WHERE environment_id = $1 AND id = $2
	UNION SELECT r.id, r.parent_id FROM authorization_resources r JOIN up ON r.id = up.parent_id) `

// allowed selects the ids of the permissions that the member $3 has there.
const allowed = `SELECT rp.permission_id FROM role_permissions rp WHERE rp.role_id IN
	(SELECT g.role_id FROM grants g WHERE g.membership_id = $3 AND g.resource_id IN (SELECT id FROM up))
	AND EXISTS (SELECT 1 FROM organization_memberships WHERE environment_id = $1 AND id = $3 AND status = 'active')`

// Allowed reports whether a member has a permission on a resource. One of
// another organization is like any other that the member has no role on.
// Errors are NotFound for members, permissions and resources that do not exist.
func (e *Env) Allowed(ctx context.Context, membershipID, permission string, resource identity.ResourceRef) (bool, error) {
	r, err := e.memberResource(ctx, membershipID, resource)
	if err != nil {
		return false, err
	}
	p, err := e.Permission(ctx, permission)
	if err != nil {
		return false, err
	}
	var yes bool
	err = e.db.row(ctx, above+"SELECT EXISTS (SELECT 1 FROM ("+allowed+") WHERE permission_id = $4)", e.ID, r.ID, membershipID, p.ID).Scan(&yes)
	return yes, err
}

// memberResource finds a resource as a member's request names it: an external id
// is one of the member's organization, an id may be any.
func (e *Env) memberResource(ctx context.Context, membershipID string, ref identity.ResourceRef) (identity.Resource, error) {
	m, err := e.Membership(ctx, membershipID)
	if err != nil {
		return identity.Resource{}, err
	}
	organizationID := m.OrganizationID
	if ref.ID != "" {
		organizationID = ""
	}
	return e.findResource(e.reading(ctx), organizationID, ref)
}

// AllowedPermissions returns a page of what a member may do on a resource.
func (e *Env) AllowedPermissions(ctx context.Context, membershipID string, resource identity.ResourceRef, p Page) (list []identity.Permission, before, after string, err error) {
	r, err := e.memberResource(ctx, membershipID, resource)
	if err != nil {
		return nil, "", "", err
	}
	return pageOf(ctx, e.db, above+"SELECT "+permissionColumns+" FROM permissions WHERE environment_id = $1 AND id IN ("+allowed+")", []any{e.ID, r.ID, membershipID}, p, scanPermission, func(v identity.Permission) string { return v.ID })
}

// holders selects the ids of the roles that hold the permission $4.
const holders = "(SELECT role_id FROM role_permissions WHERE permission_id = $4)"

// AllowedResources returns a page of the children of a resource on which a member
// has a permission. A permission of a type other than organization selects the
// children of its type.
func (e *Env) AllowedResources(ctx context.Context, membershipID, permission string, parent identity.ResourceRef, page Page) (list []identity.Resource, before, after string, err error) {
	r, err := e.memberResource(ctx, membershipID, parent)
	if err != nil {
		return nil, "", "", err
	}
	p, err := e.Permission(ctx, permission)
	if err != nil {
		return nil, "", "", err
	}
	kind := p.ResourceType
	if kind == identity.OrganizationResource {
		kind = ""
	}
	cond, order, more := page.where(6)
	err = e.db.list(ctx, above+"SELECT "+resourceColumns+` FROM authorization_resources WHERE environment_id = $1 AND parent_id = $2 AND ($5 = '' OR resource_type = $5)
		AND EXISTS (SELECT 1 FROM organization_memberships m WHERE m.environment_id = $1 AND m.id = $3 AND m.status = 'active')
		AND (EXISTS (SELECT 1 FROM grants g WHERE g.membership_id = $3 AND g.resource_id IN (SELECT id FROM up) AND g.role_id IN `+holders+`)
			OR authorization_resources.id IN (SELECT g.resource_id FROM grants g WHERE g.membership_id = $3 AND g.role_id IN `+holders+"))"+cond+order, func(s scanner) error {
		v, err := scanResource(s)
		list = append(list, v)
		return err
	}, append([]any{e.ID, r.ID, membershipID, p.ID, kind}, more...)...)
	list, before, after = cut(list, page, func(v identity.Resource) string { return v.ID })
	return list, before, after, err
}

// AllowedMemberships returns a page of the active members who have a permission
// on a resource: by a role given on that very resource, or with inherited set
// also by one given above it. The plus keeps SQLite from the index by role, which
// would lead to the members of every organization.
func (e *Env) AllowedMemberships(ctx context.Context, resource identity.Resource, permission string, inherited bool, page Page) (list []identity.Membership, before, after string, err error) {
	p, err := e.Permission(ctx, permission)
	if err != nil {
		return nil, "", "", err
	}
	cond, order, more := page.where(6)
	err = e.db.list(ctx, above+"SELECT "+membershipColumns+` FROM organization_memberships WHERE environment_id = $1 AND organization_id = $3 AND status = 'active'
		AND id IN (SELECT g.membership_id FROM grants g WHERE g.membership_id IN (SELECT id FROM organization_memberships WHERE environment_id = $1 AND organization_id = $3)
			AND +g.role_id IN `+holders+` AND (g.resource_id = $2 OR $5 AND g.resource_id IN (SELECT id FROM up)))`+cond+order, func(s scanner) error {
		m, err := scanMembership(s)
		list = append(list, m)
		return err
	}, append([]any{e.ID, resource.ID, resource.OrganizationID, p.ID, inherited}, more...)...)
	list, before, after = cut(list, page, func(m identity.Membership) string { return m.ID })
	return list, before, after, err
}

const assignmentColumns = `id, membership_id, (SELECT slug FROM roles WHERE roles.id = grants.role_id), resource_id,
	(SELECT resource_type FROM authorization_resources r WHERE r.id = grants.resource_id), (SELECT external_id FROM authorization_resources r WHERE r.id = grants.resource_id),
	group_assignment_id, created_at`

func scanAssignment(s scanner) (identity.RoleAssignment, error) {
	var a identity.RoleAssignment
	var created int64
	err := s.Scan(&a.ID, &a.MembershipID, &a.RoleSlug, &a.Resource.ID, &a.Resource.Type, &a.Resource.ExternalID, &a.GroupAssignmentID, &created)
	a.CreatedAt = fromMillis(created)
	return a, err
}

// AssignmentFilter narrows a list of assignments by their resource; empty
// members do not.
type AssignmentFilter struct {
	ResourceID   string
	ResourceType string
	ExternalID   string
}

// RoleAssignments returns a page of the roles that a member has, on the
// organization and everything in it, directly and by groups.
func (e *Env) RoleAssignments(ctx context.Context, membershipID string, f AssignmentFilter, p Page) (list []identity.RoleAssignment, before, after string, err error) {
	if _, err := e.Membership(ctx, membershipID); err != nil {
		return nil, "", "", err
	}
	return e.assignments(ctx, `membership_id = $1 AND EXISTS (SELECT 1 FROM authorization_resources r WHERE r.environment_id = $2 AND r.id = grants.resource_id
		AND ($3 = '' OR r.id = $3) AND ($4 = '' OR r.resource_type = $4) AND ($5 = '' OR r.external_id = $5))`,
		[]any{membershipID, e.ID, f.ResourceID, f.ResourceType, f.ExternalID}, p)
}

// ResourceAssignments returns a page of the roles that members have by an
// assignment on this very resource; roleSlug "" does not narrow it.
func (e *Env) ResourceAssignments(ctx context.Context, r identity.Resource, roleSlug string, p Page) (list []identity.RoleAssignment, before, after string, err error) {
	return e.assignments(ctx, `resource_id = $1 AND membership_id IN (SELECT id FROM organization_memberships WHERE environment_id = $2 AND organization_id = $3)
		AND ($4 = '' OR role_id IN (SELECT id FROM roles WHERE environment_id = $2 AND slug = $4))`, []any{r.ID, e.ID, r.OrganizationID, roleSlug}, p)
}

func (e *Env) assignments(ctx context.Context, where string, args []any, p Page) (list []identity.RoleAssignment, before, after string, err error) {
	return pageOf(ctx, e.db, "SELECT "+assignmentColumns+" FROM grants WHERE "+where, args, p, scanAssignment, func(a identity.RoleAssignment) string { return a.ID })
}
