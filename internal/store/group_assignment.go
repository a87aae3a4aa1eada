package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const groupAssignmentColumns = `id, group_id, (SELECT slug FROM roles WHERE roles.id = group_role_assignments.role_id), resource_id,
	(SELECT resource_type FROM authorization_resources r WHERE r.id = group_role_assignments.resource_id),
	(SELECT external_id FROM authorization_resources r WHERE r.id = group_role_assignments.resource_id), created_at`

func scanGroupAssignment(s scanner) (identity.GroupRoleAssignment, error) {
	var a identity.GroupRoleAssignment
	var created int64
	err := s.Scan(&a.ID, &a.GroupID, &a.RoleSlug, &a.Resource.ID, &a.Resource.Type, &a.Resource.ExternalID, &created)
	a.CreatedAt = fromMillis(created)
	return a, err
}

func noGroupAssignment(name string) error {
	return fault.New(fault.NotFound, "Group role assignment not found: '%s'.", name).WithCode("group_role_assignment_not_found")
}

// RoleOn is a role and the resource that it is given on.
type RoleOn struct {
	RoleSlug string
	Resource identity.ResourceRef
}

// GroupAssignments returns a page of the roles of a group.
func (e *Env) GroupAssignments(ctx context.Context, groupID string, p Page) (list []identity.GroupRoleAssignment, before, after string, err error) {
	if _, err := e.Group(ctx, "", groupID); err != nil {
		return nil, "", "", err
	}
	return pageOf(ctx, e.db, "SELECT "+groupAssignmentColumns+" FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2", []any{e.ID, groupID}, p, scanGroupAssignment, func(a identity.GroupRoleAssignment) string { return a.ID })
}

// GroupAssignment returns an assignment of a group by its id.
func (e *Env) GroupAssignment(ctx context.Context, groupID, id string) (identity.GroupRoleAssignment, error) {
	if _, err := e.Group(ctx, "", groupID); err != nil {
		return identity.GroupRoleAssignment{}, err
	}
	a, err := scanGroupAssignment(e.db.row(ctx, "SELECT "+groupAssignmentColumns+" FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2 AND id = $3", e.ID, groupID, id))
	if isNoRows(err) {
		return a, noGroupAssignment(id)
	}
	return a, err
}

// changeGroupRoles runs fn on a group and records whose roles it changes.
func (e *Env) changeGroupRoles(ctx context.Context, groupID string, fn func(*tx, identity.Group) error) error {
	return e.db.write(ctx, func(tx *tx) error {
		g, err := e.findGroup(tx.row, "", groupID)
		if err != nil {
			return err
		}
		return e.withGroupRoles(tx, g, func() error { return fn(tx, g) })
	})
}

// assignToGroup gives a group a role; added is false when it had it.
func (e *Env) assignToGroup(tx *tx, g identity.Group, on RoleOn) (a identity.GroupRoleAssignment, added bool, err error) {
	r, err := e.findResource(tx.row, g.OrganizationID, on.Resource)
	if err != nil {
		return a, false, err
	}
	role, err := e.assignableRole(tx, g.OrganizationID, on.RoleSlug, r.Type)
	if err != nil {
		return a, false, err
	}
	n, err := tx.exec("INSERT INTO group_role_assignments (environment_id, id, group_id, resource_id, role_id, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		e.ID, identity.NewID(identity.PrefixGroupRoleAssignment), g.ID, r.ID, role, millis(e.db.now()))
	if err != nil {
		return a, false, err
	}
	a, err = scanGroupAssignment(tx.row("SELECT "+groupAssignmentColumns+" FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2 AND resource_id = $3 AND role_id = $4", e.ID, g.ID, r.ID, role))
	return a, n > 0, err
}

// AssignGroupRole gives all members of a group a role. One that the group has is
// a Conflict.
func (e *Env) AssignGroupRole(ctx context.Context, groupID string, on RoleOn) (identity.GroupRoleAssignment, error) {
	var a identity.GroupRoleAssignment
	err := e.changeGroupRoles(ctx, groupID, func(tx *tx, g identity.Group) error {
		var added bool
		var err error
		a, added, err = e.assignToGroup(tx, g, on)
		if err == nil && !added {
			return fault.New(fault.Conflict, "The group has the role '%s' on that resource already.", on.RoleSlug).WithCode("duplicate_group_role_assignment")
		}
		return err
	})
	return a, err
}

// ReplaceGroupRoles makes the roles of a group exactly these. Those that it had
// keep their ids.
func (e *Env) ReplaceGroupRoles(ctx context.Context, groupID string, roles []RoleOn) ([]identity.GroupRoleAssignment, error) {
	list := []identity.GroupRoleAssignment{}
	err := e.changeGroupRoles(ctx, groupID, func(tx *tx, g identity.Group) error {
		kept := make([]string, 0, len(roles))
		for _, on := range roles {
			a, _, err := e.assignToGroup(tx, g, on)
			if err != nil {
				return err
			}
			kept = append(kept, a.ID)
		}
		if _, err := tx.exec("DELETE FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2 AND id NOT IN (SELECT value FROM json_each($3))", e.ID, g.ID, idList(kept)); err != nil {
			return err
		}
		return tx.rows("SELECT "+groupAssignmentColumns+" FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2 ORDER BY id DESC", func(s scanner) error {
			a, err := scanGroupAssignment(s)
			list = append(list, a)
			return err
		}, e.ID, g.ID)
	})
	return list, err
}

// UnassignGroupRole takes a role on a resource from a group. One that the group
// does not have is NotFound.
func (e *Env) UnassignGroupRole(ctx context.Context, groupID string, on RoleOn) error {
	return e.changeGroupRoles(ctx, groupID, func(tx *tx, g identity.Group) error {
		r, err := e.findResource(tx.row, g.OrganizationID, on.Resource)
		if err != nil {
			return err
		}
		n, err := tx.exec("DELETE FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2 AND resource_id = $3 AND role_id IN (SELECT id FROM roles WHERE environment_id = $1 AND slug = $4)",
			e.ID, g.ID, r.ID, on.RoleSlug)
		if err == nil && n == 0 {
			return noGroupAssignment(on.RoleSlug)
		}
		return err
	})
}

// DeleteGroupAssignment is UnassignGroupRole by the id of the assignment.
func (e *Env) DeleteGroupAssignment(ctx context.Context, groupID, id string) error {
	return e.changeGroupRoles(ctx, groupID, func(tx *tx, g identity.Group) error {
		n, err := tx.exec("DELETE FROM group_role_assignments WHERE environment_id = $1 AND group_id = $2 AND id = $3", e.ID, g.ID, id)
		if err == nil && n == 0 {
			return noGroupAssignment(id)
		}
		return err
	})
}
