package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const groupColumns = "id, organization_id, name, description, created_at, updated_at"

func scanGroup(s scanner) (identity.Group, error) {
	var g identity.Group
	var created, updated int64
	err := s.Scan(&g.ID, &g.OrganizationID, &g.Name, &g.Description, &created, &updated)
	g.CreatedAt, g.UpdatedAt = fromMillis(created), fromMillis(updated)
	return g, err
}

func noGroup(id string) error {
	return fault.New(fault.NotFound, "Group not found: '%s'.", id).WithCode("group_not_found")
}

// findGroup finds a group of an organization, or with "" for it of any.
func (e *Env) findGroup(row reading, organizationID, id string) (identity.Group, error) {
	g, err := scanGroup(row("SELECT "+groupColumns+" FROM organization_groups WHERE environment_id = $1 AND id = $2 AND ($3 = '' OR organization_id = $3)", e.ID, id, organizationID))
	if isNoRows(err) {
		return g, noGroup(id)
	}
	return g, err
}

// Group returns a group of an organization, or with "" for it of any.
func (e *Env) Group(ctx context.Context, organizationID, id string) (identity.Group, error) {
	if organizationID != "" {
		if _, err := e.Organization(ctx, organizationID); err != nil {
			return identity.Group{}, err
		}
	}
	return e.findGroup(e.reading(ctx), organizationID, id)
}

// Groups returns a page of an organization's groups.
func (e *Env) Groups(ctx context.Context, organizationID string, p Page) (list []identity.Group, before, after string, err error) {
	if _, err := e.Organization(ctx, organizationID); err != nil {
		return nil, "", "", err
	}
	return e.groups(ctx, "organization_id = $2", organizationID, p)
}

// MembershipGroups returns a page of the groups that a member is in.
func (e *Env) MembershipGroups(ctx context.Context, membershipID string, p Page) (list []identity.Group, before, after string, err error) {
	if _, err := e.Membership(ctx, membershipID); err != nil {
		return nil, "", "", err
	}
	return e.groups(ctx, "id IN (SELECT group_id FROM group_members WHERE membership_id = $2)", membershipID, p)
}

func (e *Env) groups(ctx context.Context, where, value string, p Page) (list []identity.Group, before, after string, err error) {
	return pageOf(ctx, e.db, "SELECT "+groupColumns+" FROM organization_groups WHERE environment_id = $1 AND "+where, []any{e.ID, value}, p, scanGroup, func(g identity.Group) string { return g.ID })
}

// CreateGroup adds a group to g.OrganizationID.
func (e *Env) CreateGroup(ctx context.Context, g identity.Group) (identity.Group, error) {
	now := e.db.now()
	g.ID, g.CreatedAt, g.UpdatedAt = identity.NewID(identity.PrefixGroup), now, now
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.organizationExists(tx, g.OrganizationID); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO organization_groups (environment_id, "+groupColumns+") VALUES ($1, $2, $3, $4, $5, $6, $6)",
			e.ID, g.ID, g.OrganizationID, g.Name, g.Description, millis(now)); err != nil {
			return err
		}
		return e.record(tx, happened{name: "group.created", organization: g.OrganizationID, about: g})
	})
	return g, err
}

// changeGroup runs fn on a group of an organization.
func (e *Env) changeGroup(ctx context.Context, organizationID, id string, fn func(*tx, identity.Group) error) error {
	return e.db.write(ctx, func(tx *tx) error {
		if err := e.organizationExists(tx, organizationID); err != nil {
			return err
		}
		g, err := e.findGroup(tx.row, organizationID, id)
		if err != nil {
			return err
		}
		return fn(tx, g)
	})
}

// RenameGroup changes name and description of a group; nil keeps either.
func (e *Env) RenameGroup(ctx context.Context, organizationID, id string, name, description *string) (identity.Group, error) {
	var g identity.Group
	err := e.changeGroup(ctx, organizationID, id, func(tx *tx, _ identity.Group) (err error) {
		g, err = scanGroup(tx.row(`UPDATE organization_groups SET name = COALESCE($3, name), description = COALESCE($4, description), updated_at = $5
			WHERE environment_id = $1 AND id = $2 RETURNING `+groupColumns, e.ID, id, name, description, millis(e.db.now())))
		if err != nil {
			return err
		}
		return e.record(tx, happened{name: "group.updated", organization: g.OrganizationID, about: g})
	})
	return g, err
}

// DeleteGroup removes a group and takes from its members what it gave them.
func (e *Env) DeleteGroup(ctx context.Context, organizationID, id string) error {
	return e.changeGroup(ctx, organizationID, id, func(tx *tx, g identity.Group) error {
		if err := e.record(tx, happened{name: "group.deleted", organization: g.OrganizationID, about: g}); err != nil {
			return err
		}
		return e.withGroupRoles(tx, g, func() error {
			_, err := tx.exec("DELETE FROM organization_groups WHERE environment_id = $1 AND id = $2", e.ID, g.ID)
			return err
		})
	})
}

// withGroupRoles is withRoles for all members of a group.
func (e *Env) withGroupRoles(tx *tx, g identity.Group, fn func() error) error {
	var members []string
	err := tx.rows("SELECT membership_id FROM group_members WHERE group_id = $1", func(s scanner) error {
		var id string
		err := s.Scan(&id)
		members = append(members, id)
		return err
	}, g.ID)
	if err != nil {
		return err
	}
	return e.withRoles(tx, members, fn)
}

// groupMembership finds a member of the organization that a group is of.
func (e *Env) groupMembership(tx *tx, g identity.Group, id string) (identity.Membership, error) {
	m, err := e.membershipByID(tx, id)
	if err == nil && m.OrganizationID != g.OrganizationID {
		return m, noMembership(id)
	}
	return m, err
}

// AddGroupMember puts a member of the organization into a group. One that is in
// it already changes nothing.
func (e *Env) AddGroupMember(ctx context.Context, organizationID, id, membershipID string) (identity.Group, error) {
	var g identity.Group
	err := e.changeGroup(ctx, organizationID, id, func(tx *tx, found identity.Group) error {
		g = found
		m, err := e.groupMembership(tx, g, membershipID)
		if err != nil {
			return err
		}
		return e.withRoles(tx, []string{m.ID}, func() error {
			n, err := tx.exec("INSERT INTO group_members (group_id, membership_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", g.ID, m.ID)
			if err != nil || n == 0 {
				return err
			}
			var members int
			if err := tx.row("SELECT count(*) FROM group_members WHERE group_id = $1", g.ID).Scan(&members); err != nil {
				return err
			}
			if members > identity.MaxGroupMembers {
				return fault.New(fault.Invalid, "A group has at most %d members.", identity.MaxGroupMembers).WithCode("group_membership_limit_exceeded")
			}
			return e.record(tx, happened{name: "group.member_added", organization: g.OrganizationID, about: identity.GroupMember{GroupID: g.ID, MembershipID: m.ID}})
		})
	})
	return g, err
}

// RemoveGroupMember takes a member out of a group. One that is not in it is
// NotFound.
func (e *Env) RemoveGroupMember(ctx context.Context, organizationID, id, membershipID string) error {
	return e.changeGroup(ctx, organizationID, id, func(tx *tx, g identity.Group) error {
		return e.withRoles(tx, []string{membershipID}, func() error {
			n, err := tx.exec("DELETE FROM group_members WHERE group_id = $1 AND membership_id = $2", g.ID, membershipID)
			if err == nil && n == 0 {
				return noMembership(membershipID)
			}
			if err != nil {
				return err
			}
			return e.record(tx, happened{name: "group.member_removed", organization: g.OrganizationID, about: identity.GroupMember{GroupID: g.ID, MembershipID: membershipID}})
		})
	})
}

// GroupMembers returns a page of the members of a group.
func (e *Env) GroupMembers(ctx context.Context, organizationID, id string, p Page) (list []identity.Membership, before, after string, err error) {
	g, err := e.Group(ctx, organizationID, id)
	if err != nil {
		return nil, "", "", err
	}
	return pageOf(ctx, e.db, "SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND id IN (SELECT membership_id FROM group_members WHERE group_id = $2)", []any{e.ID, g.ID}, p, scanMembership, func(m identity.Membership) string { return m.ID })
}
