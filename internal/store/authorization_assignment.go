package store

import (
	"context"
	"slices"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// assignableRole finds a role that applies in an organization and can be given
// on resources of a type.
func (e *Env) assignableRole(tx *tx, organizationID, slug, resourceType string) (id string, err error) {
	var of string
	err = tx.row("SELECT id, resource_type FROM roles WHERE environment_id = $1 AND slug = $3 AND (organization_id IS NULL OR organization_id = $2) ORDER BY organization_id IS NULL LIMIT 1",
		e.ID, organizationID, slug).Scan(&id, &of)
	switch {
	case isNoRows(err):
		return "", noRole(slug)
	case err != nil:
		return "", err
	case of != resourceType:
		return "", fault.New(fault.Invalid, "The role '%s' is for resources of type '%s' and cannot be assigned on one of type '%s'.", slug, of, resourceType).WithCode("role_of_other_resource_type")
	}
	return id, nil
}

func (e *Env) membershipByID(tx *tx, id string) (identity.Membership, error) {
	m, err := scanMembership(tx.row("SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return m, noMembership(id)
	}
	return m, err
}

// AssignRole gives a member a role on a resource of the organization. One that
// the member has there directly changes nothing.
func (e *Env) AssignRole(ctx context.Context, membershipID string, on RoleOn) (identity.RoleAssignment, error) {
	var a identity.RoleAssignment
	err := e.db.write(ctx, func(tx *tx) error {
		m, err := e.membershipByID(tx, membershipID)
		if err != nil {
			return err
		}
		r, err := e.findResource(tx.row, m.OrganizationID, on.Resource)
		if err != nil {
			return err
		}
		role, err := e.assignableRole(tx, m.OrganizationID, on.RoleSlug, r.Type)
		if err != nil {
			return err
		}
		id, now := identity.NewID(identity.PrefixRoleAssignment), millis(e.db.now())
		err = e.withRoles(tx, []string{m.ID}, func() error {
			if r.ParentID == "" {
				_, err := tx.exec("INSERT INTO membership_roles (id, membership_id, role_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", id, m.ID, role, now)
				return err
			}
			_, err := tx.exec("INSERT INTO role_assignments (environment_id, id, membership_id, resource_id, role_id, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
				e.ID, id, m.ID, r.ID, role, now)
			return err
		})
		if err != nil {
			return err
		}
		a, err = scanAssignment(tx.row("SELECT "+assignmentColumns+" FROM grants WHERE membership_id = $1 AND resource_id = $2 AND role_id = $3 AND group_assignment_id = ''", m.ID, r.ID, role))
		return err
	})
	return a, err
}

// UnassignRole takes a role that a member has directly on a resource. One that
// the member does not have so is NotFound.
func (e *Env) UnassignRole(ctx context.Context, membershipID string, on RoleOn) error {
	return e.db.write(ctx, func(tx *tx) error {
		m, err := e.membershipByID(tx, membershipID)
		if err != nil {
			return err
		}
		r, err := e.findResource(tx.row, m.OrganizationID, on.Resource)
		if err != nil {
			return err
		}
		a, err := scanAssignment(tx.row("SELECT "+assignmentColumns+` FROM grants WHERE membership_id = $1 AND resource_id = $2 AND group_assignment_id = ''
			AND role_id IN (SELECT id FROM roles WHERE environment_id = $3 AND slug = $4)`, m.ID, r.ID, e.ID, on.RoleSlug))
		if isNoRows(err) {
			return noAssignment(on.RoleSlug)
		}
		if err != nil {
			return err
		}
		return e.unassign(tx, m, a)
	})
}

// DeleteRoleAssignment is UnassignRole by the id of the assignment. One that a
// group gives is Denied: the group's own assignment, or the place in the group,
// is what can be taken.
func (e *Env) DeleteRoleAssignment(ctx context.Context, membershipID, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		m, err := e.membershipByID(tx, membershipID)
		if err != nil {
			return err
		}
		a, err := scanAssignment(tx.row("SELECT "+assignmentColumns+" FROM grants WHERE membership_id = $1 AND id = $2", m.ID, id))
		if isNoRows(err) {
			return noAssignment(id)
		}
		if err != nil {
			return err
		}
		if a.GroupAssignmentID != "" {
			return fault.New(fault.Denied, "The role '%s' comes from the group role assignment '%s' and can only be removed there.", a.RoleSlug, a.GroupAssignmentID)
		}
		return e.unassign(tx, m, a)
	})
}

func noAssignment(name string) error {
	return fault.New(fault.NotFound, "Role assignment not found: '%s'.", name).WithCode("role_assignment_not_found")
}

// unassign removes a direct assignment. A member keeps a role in the
// organization: without another it is the default one.
func (e *Env) unassign(tx *tx, m identity.Membership, a identity.RoleAssignment) error {
	if a.Resource.ID != identity.OrganizationResourceID(m.OrganizationID) {
		_, err := tx.exec("DELETE FROM role_assignments WHERE environment_id = $1 AND id = $2", e.ID, a.ID)
		return err
	}
	return e.withRoles(tx, []string{m.ID}, func() error {
		if _, err := tx.exec("DELETE FROM membership_roles WHERE membership_id = $1 AND id = $2", m.ID, a.ID); err != nil {
			return err
		}
		var left int
		if err := tx.row("SELECT count(*) FROM membership_roles WHERE membership_id = $1", m.ID).Scan(&left); err != nil || left > 0 {
			return err
		}
		if a.RoleSlug == identity.DefaultRole {
			return fault.New(fault.Invalid, "A member of an organization keeps at least one role in it.").WithCode("last_role")
		}
		return e.setMembershipRoles(tx, m.ID, m.OrganizationID, nil)
	})
}

// withRoles runs fn and records what it changes of the roles that members have
// in their organization.
func (e *Env) withRoles(tx *tx, membershipIDs []string, fn func() error) error {
	read := func() (list []identity.Membership, err error) {
		err = tx.rows("SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND id IN (SELECT value FROM json_each($2)) ORDER BY id", func(s scanner) error {
			m, err := scanMembership(s)
			list = append(list, m)
			return err
		}, e.ID, idList(membershipIDs))
		return list, err
	}
	before, err := read()
	if err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	after, err := read()
	if err != nil {
		return err
	}
	var events []happened
	for i, m := range after {
		if i < len(before) && before[i].ID == m.ID && !slices.Equal(before[i].Roles, m.Roles) {
			events = append(events, happened{name: "organization_membership.updated", organization: m.OrganizationID, about: m})
		}
	}
	return e.record(tx, events...)
}
