package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const membershipColumns = `id, user_id, organization_id, (SELECT name FROM organizations o WHERE o.id = organization_memberships.organization_id), status, created_at, updated_at,
	(SELECT json_group_array(slug) FROM (SELECT slug FROM roles WHERE id IN (` + organizationRoles + `)` + rolePriority + `))`

// organizationRoles selects the ids of the roles that a row of
// organization_memberships has in the whole organization, by groups too. It says
// what the view grants says, but SQLite would read that view whole in here.
const organizationRoles = `SELECT mr.role_id FROM membership_roles mr WHERE mr.membership_id = organization_memberships.id
	UNION ALL SELECT a.role_id FROM group_members gm JOIN group_role_assignments a ON a.group_id = gm.group_id
	WHERE gm.membership_id = organization_memberships.id AND a.resource_id = 'authz_resource' || substr(organization_memberships.organization_id, 4)`

func scanMembership(s scanner) (identity.Membership, error) {
	var m identity.Membership
	var roles string
	var created, updated int64
	if err := s.Scan(&m.ID, &m.UserID, &m.OrganizationID, &m.OrganizationName, &m.Status, &created, &updated, &roles); err != nil {
		return m, err
	}
	m.CreatedAt, m.UpdatedAt = fromMillis(created), fromMillis(updated)
	return m, json.Unmarshal([]byte(roles), &m.Roles)
}

func noMembership(id string) error {
	return fault.New(fault.NotFound, "Organization membership not found: '%s'.", id).WithCode("organization_membership_not_found")
}

// roleIDs finds roles that apply in an organization; without slugs it is the
// default role.
func (e *Env) roleIDs(tx *tx, organizationID string, slugs []string) ([]string, error) {
	if len(slugs) == 0 {
		slugs = []string{identity.DefaultRole}
	}
	ids := make([]string, len(slugs))
	for i, slug := range slugs {
		err := tx.row("SELECT id FROM roles WHERE environment_id = $1 AND slug = $3 AND resource_type = $4 AND (organization_id IS NULL OR organization_id = $2) ORDER BY organization_id IS NULL LIMIT 1",
			e.ID, organizationID, slug, identity.OrganizationResource).Scan(&ids[i])
		if isNoRows(err) {
			return nil, fault.New(fault.Invalid, "Role '%s' is not a valid role.", slug).WithCode("invalid_role")
		}
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (e *Env) setMembershipRoles(tx *tx, membershipID, organizationID string, slugs []string) error {
	ids, err := e.roleIDs(tx, organizationID, slugs)
	if err != nil {
		return err
	}
	// What stays keeps its id as an assignment.
	if _, err := tx.exec("DELETE FROM membership_roles WHERE membership_id = $1 AND role_id NOT IN (SELECT value FROM json_each($2))", membershipID, idList(ids)); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := tx.exec("INSERT INTO membership_roles (id, membership_id, role_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			identity.NewID(identity.PrefixRoleAssignment), membershipID, id, millis(e.db.now())); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) membershipOf(tx *tx, organizationID, userID string) (identity.Membership, error) {
	return scanMembership(tx.row("SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND organization_id = $2 AND user_id = $3", e.ID, organizationID, userID))
}

func (e *Env) insertMembership(tx *tx, organizationID, userID string, status identity.MembershipStatus, roles []string) error {
	id, now := identity.NewID(identity.PrefixMembership), millis(e.db.now())
	_, err := tx.exec("INSERT INTO organization_memberships (environment_id, id, organization_id, user_id, status, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
		e.ID, id, organizationID, userID, string(status), now)
	if err != nil {
		return err
	}
	if err := e.setMembershipRoles(tx, id, organizationID, roles); err != nil {
		return err
	}
	return e.recordMembership(tx, "created", id)
}

// recordMembership keeps what became of a membership, as it is now.
func (e *Env) recordMembership(tx *tx, what, id string) error {
	m, err := scanMembership(tx.row("SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND id = $2", e.ID, id))
	if err != nil {
		return err
	}
	return e.record(tx, happened{"organization_membership." + what, m.OrganizationID, m})
}

func (e *Env) setMembershipStatus(tx *tx, id string, status identity.MembershipStatus) error {
	_, err := tx.exec("UPDATE organization_memberships SET status = $3, updated_at = $4 WHERE environment_id = $1 AND id = $2", e.ID, id, string(status), millis(e.db.now()))
	return err
}

// CreateMembership makes a user an active member. An inactive membership comes
// back with the given roles; a pending one waits for its invitation and is a
// Conflict, as is an active one.
func (e *Env) CreateMembership(ctx context.Context, organizationID, userID string, roles []string) (identity.Membership, error) {
	var m identity.Membership
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.organizationExists(tx, organizationID); err != nil {
			return err
		}
		var one int
		err := tx.row("SELECT 1 FROM users WHERE environment_id = $1 AND id = $2", e.ID, userID).Scan(&one)
		if isNoRows(err) {
			return fault.New(fault.NotFound, "User not found: '%s'.", userID).WithCode("entity_not_found")
		}
		if err != nil {
			return err
		}
		m, err = e.membershipOf(tx, organizationID, userID)
		switch {
		case isNoRows(err):
			err = e.insertMembership(tx, organizationID, userID, identity.MembershipActive, roles)
		case err != nil:
		case m.Status == identity.MembershipPending:
			err = errPendingReactivation
		case m.Status == identity.MembershipActive:
			err = fault.New(fault.Conflict, "The user is already a member of the organization.").WithCode("user_already_organization_member")
		default:
			if err = e.setMembershipStatus(tx, m.ID, identity.MembershipActive); err == nil {
				err = e.setMembershipRoles(tx, m.ID, organizationID, roles)
			}
			if err == nil {
				err = e.recordMembership(tx, "updated", m.ID)
			}
		}
		if err != nil {
			return err
		}
		m, err = e.membershipOf(tx, organizationID, userID)
		return err
	})
	return m, err
}

var (
	errPendingReactivation = fault.New(fault.Conflict, "A pending organization membership cannot be reactivated. The user needs to accept the invitation instead.").
				WithCode("cannot_reactivate_pending_organization_membership")
	errPendingDeactivation = fault.New(fault.Conflict, "A pending organization membership cannot be deactivated. It should be deleted instead.").
				WithCode("cannot_deactivate_pending_organization_membership")
)

// Membership returns the membership with the given id.
func (e *Env) Membership(ctx context.Context, id string) (identity.Membership, error) {
	m, err := scanMembership(e.db.row(ctx, "SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return m, noMembership(id)
	}
	return m, err
}

// MembershipFilter narrows a list of memberships; empty members do not.
type MembershipFilter struct {
	UserID         string
	OrganizationID string
	Statuses       []string
}

// Memberships returns a page of memberships.
func (e *Env) Memberships(ctx context.Context, f MembershipFilter, p Page) (list []identity.Membership, before, after string, err error) {
	query, args := "SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1", []any{e.ID}
	add := func(cond string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(cond, len(args))
	}
	if f.UserID != "" {
		add(" AND user_id = $%d", f.UserID)
	}
	if f.OrganizationID != "" {
		add(" AND organization_id = $%d", f.OrganizationID)
	}
	if len(f.Statuses) > 0 {
		add(" AND status IN (SELECT value FROM json_each($%d))", idList(f.Statuses))
	}
	return pageOf(ctx, e.db, query, args, p, scanMembership, func(m identity.Membership) string { return m.ID })
}

func (e *Env) changeMembership(ctx context.Context, id string, fn func(*tx, identity.Membership) error) (identity.Membership, error) {
	var m identity.Membership
	err := e.db.write(ctx, func(tx *tx) (err error) {
		read := func() error {
			m, err = scanMembership(tx.row("SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND id = $2", e.ID, id))
			if isNoRows(err) {
				return noMembership(id)
			}
			return err
		}
		if err := read(); err != nil {
			return err
		}
		prior := m
		if err := fn(tx, m); err != nil {
			return err
		}
		if err := read(); err != nil || m.Status == prior.Status && m.UpdatedAt.Equal(prior.UpdatedAt) && slices.Equal(m.Roles, prior.Roles) {
			return err
		}
		return e.record(tx, happened{"organization_membership.updated", m.OrganizationID, m})
	})
	return m, err
}

// SetMembershipRoles gives a member exactly these roles.
func (e *Env) SetMembershipRoles(ctx context.Context, id string, roles []string) (identity.Membership, error) {
	return e.changeMembership(ctx, id, func(tx *tx, m identity.Membership) error {
		if err := e.setMembershipStatus(tx, m.ID, m.Status); err != nil {
			return err
		}
		return e.setMembershipRoles(tx, m.ID, m.OrganizationID, roles)
	})
}

// DeactivateMembership takes a member's access and keeps the membership. One
// that is inactive already stays as it is.
func (e *Env) DeactivateMembership(ctx context.Context, id string) (identity.Membership, error) {
	return e.changeMembership(ctx, id, func(tx *tx, m identity.Membership) error {
		switch m.Status {
		case identity.MembershipPending:
			return errPendingDeactivation
		case identity.MembershipInactive:
			return nil
		}
		return e.setMembershipStatus(tx, m.ID, identity.MembershipInactive)
	})
}

// ReactivateMembership gives an inactive member access again, with the roles
// from before.
func (e *Env) ReactivateMembership(ctx context.Context, id string) (identity.Membership, error) {
	return e.changeMembership(ctx, id, func(tx *tx, m identity.Membership) error {
		switch m.Status {
		case identity.MembershipPending:
			return errPendingReactivation
		case identity.MembershipActive:
			return nil
		}
		return e.setMembershipStatus(tx, m.ID, identity.MembershipActive)
	})
}

// DeleteMembership removes a user from an organization.
func (e *Env) DeleteMembership(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		err := e.recordMembership(tx, "deleted", id)
		if isNoRows(err) {
			return noMembership(id)
		}
		if err != nil {
			return err
		}
		_, err = tx.exec("DELETE FROM organization_memberships WHERE environment_id = $1 AND id = $2", e.ID, id)
		return err
	})
}

// ActiveMemberships returns the organizations that a user can sign in to,
// oldest membership first.
func (e *Env) ActiveMemberships(ctx context.Context, userID string) ([]identity.Membership, error) {
	var list []identity.Membership
	err := e.db.list(ctx, "SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND user_id = $2 AND status = 'active' ORDER BY id", func(s scanner) error {
		m, err := scanMembership(s)
		list = append(list, m)
		return err
	}, e.ID, userID)
	return list, err
}

// Access is what a member may do in an organization at this moment.
type Access struct {
	Organization identity.Organization
	Membership   identity.Membership
	Permissions  []string // of all roles together, sorted
}

// MemberAccess returns what an active member may do. Errors are NotFound with
// the code organization_not_found or organization_membership_not_found.
func (e *Env) MemberAccess(ctx context.Context, organizationID, userID string) (*Access, error) {
	var a Access
	var err error
	if a.Organization, err = e.Organization(ctx, organizationID); err != nil {
		return nil, err
	}
	a.Membership, a.Permissions, err = e.MemberPermissions(ctx, organizationID, userID)
	return &a, err
}

// MemberPermissions is MemberAccess without the organization. It is two reads,
// since in one SQLite tries every permission of the environment.
func (e *Env) MemberPermissions(ctx context.Context, organizationID, userID string) (m identity.Membership, permissions []string, err error) {
	m, err = scanMembership(e.db.row(ctx, "SELECT "+membershipColumns+" FROM organization_memberships WHERE environment_id = $1 AND organization_id = $2 AND user_id = $3 AND status = 'active'",
		e.ID, organizationID, userID))
	if isNoRows(err) {
		return m, nil, notMember(organizationID)
	}
	if err != nil {
		return m, nil, err
	}
	permissions = []string{}
	err = e.db.list(ctx, `SELECT slug FROM permissions WHERE environment_id = $1 AND id IN (SELECT rp.permission_id FROM organization_memberships
		JOIN role_permissions rp ON rp.role_id IN (`+organizationRoles+`) WHERE organization_memberships.id = $2) ORDER BY slug`, func(s scanner) error {
		var slug string
		err := s.Scan(&slug)
		permissions = append(permissions, slug)
		return err
	}, e.ID, m.ID)
	return m, permissions, err
}

func notMember(organizationID string) error {
	return fault.New(fault.NotFound, "The user is not an active member of the organization '%s'.", organizationID).WithCode("organization_membership_not_found")
}

// memberIn is MemberAccess's check inside a write.
func (e *Env) memberIn(tx *tx, organizationID, userID string) error {
	if err := e.organizationExists(tx, organizationID); err != nil {
		return err
	}
	var one int
	err := tx.row("SELECT 1 FROM organization_memberships WHERE environment_id = $1 AND organization_id = $2 AND user_id = $3 AND status = 'active'", e.ID, organizationID, userID).Scan(&one)
	if isNoRows(err) {
		return notMember(organizationID)
	}
	return err
}

// OrganizationUsers is Users for the active members of one organization.
func (e *Env) OrganizationUsers(ctx context.Context, organizationID, email string, p Page) (users []identity.User, before, after string, err error) {
	query, args := "SELECT "+userColumns+` FROM users WHERE environment_id = $1
		AND id IN (SELECT user_id FROM organization_memberships WHERE environment_id = $1 AND organization_id = $2 AND status = 'active')`, []any{e.ID, organizationID}
	if email != "" {
		query, args = query+" AND email_key = $3", append(args, identity.EmailKey(email))
	}
	return pageOf(ctx, e.db, query, args, p, scanUser, func(u identity.User) string { return u.ID })
}

// UsersByID returns the users with the given ids, by id; unknown ones are left out.
func (e *Env) UsersByID(ctx context.Context, ids []string) (map[string]identity.User, error) {
	users := make(map[string]identity.User, len(ids))
	err := e.db.list(ctx, "SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND id IN (SELECT value FROM json_each($2))", func(s scanner) error {
		u, err := scanUser(s)
		users[u.ID] = u
		return err
	}, e.ID, idList(ids))
	return users, err
}
