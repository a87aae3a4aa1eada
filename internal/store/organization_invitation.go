package store

import (
	"context"
	"fmt"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const invitationColumns = `id, email, state, COALESCE(organization_id, ''), role_slug, COALESCE(inviter_user_id, ''), COALESCE(accepted_user_id, ''),
	sealed, days, accepted_at, revoked_at, expires_at, created_at, updated_at`

func (e *Env) scanInvitation(s scanner) (identity.Invitation, error) {
	var i identity.Invitation
	var sealed []byte
	var accepted, revoked, expires, created, updated int64
	err := s.Scan(&i.ID, &i.Email, &i.State, &i.OrganizationID, &i.RoleSlug, &i.InviterUserID, &i.AcceptedUserID,
		&sealed, &i.Days, &accepted, &revoked, &expires, &created, &updated)
	if err != nil {
		return i, err
	}
	i.AcceptedAt, i.RevokedAt, i.ExpiresAt = fromMillis(accepted), fromMillis(revoked), fromMillis(expires)
	i.CreatedAt, i.UpdatedAt = fromMillis(created), fromMillis(updated)
	token, err := e.db.box.Open("invitation", i.ID, sealed)
	i.Token = string(token)
	return i, err
}

func (e *Env) invitationMAC(token string) []byte {
	return e.db.box.Authenticator("invitation").Sum([]byte(e.ID), []byte(token))
}

func noInvitation(id string) error {
	return fault.New(fault.NotFound, "Invitation not found: '%s'.", id).WithCode("invitation_not_found")
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// CreateInvitation invites an address; id, times and the end are set here. A
// user who exists already becomes a pending member of the organization.
// Refusals have the codes that the AuthKit protocol names.
func (e *Env) CreateInvitation(ctx context.Context, i identity.Invitation) (identity.Invitation, error) {
	now := e.db.now()
	i.ID, i.State, i.CreatedAt, i.UpdatedAt = identity.NewID(identity.PrefixInvitation), identity.InvitationPending, now, now
	i.ExpiresAt = now.Add(time.Duration(i.Days) * 24 * time.Hour)
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.invitable(tx, i); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO invitations (environment_id, id, organization_id, email, email_key, state, role_slug, inviter_user_id, hash, sealed, days, expires_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`, e.ID, i.ID, orNull(i.OrganizationID), i.Email, identity.EmailKey(i.Email), string(i.State), i.RoleSlug,
			orNull(i.InviterUserID), e.invitationMAC(i.Token), e.db.box.Seal("invitation", i.ID, []byte(i.Token)), i.Days, millis(i.ExpiresAt), millis(now))
		if err != nil {
			return err
		}
		return e.record(tx, happened{"invitation.created", i.OrganizationID, i})
	})
	return i, err
}

// invitable refuses invitations that make no sense, and prepares the pending
// membership of a user who exists.
func (e *Env) invitable(tx *tx, i identity.Invitation) error {
	if i.InviterUserID != "" {
		var one int
		err := tx.row("SELECT 1 FROM users WHERE environment_id = $1 AND id = $2", e.ID, i.InviterUserID).Scan(&one)
		if isNoRows(err) {
			return fault.New(fault.NotFound, "User not found: '%s'.", i.InviterUserID).WithCode("entity_not_found")
		}
		if err != nil {
			return err
		}
	}
	if i.OrganizationID != "" {
		if err := e.organizationExists(tx, i.OrganizationID); err != nil {
			return err
		}
	}
	roles := rolesOf(i)
	if _, err := e.roleIDs(tx, i.OrganizationID, roles); err != nil {
		return err
	}
	var open int
	err := tx.row("SELECT count(*) FROM invitations WHERE environment_id = $1 AND email_key = $2 AND COALESCE(organization_id, '') = $3 AND state = 'pending' AND expires_at > $4",
		e.ID, identity.EmailKey(i.Email), i.OrganizationID, millis(e.db.now())).Scan(&open)
	if err != nil {
		return err
	}
	u, err := scanUser(tx.row("SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND email_key = $2", e.ID, identity.EmailKey(i.Email)))
	known := err == nil
	if err != nil && !isNoRows(err) {
		return err
	}
	if i.OrganizationID == "" {
		switch {
		case known:
			return refused("user_already_exists", "A user with the email '%s' already exists.", i.Email)
		case open > 0:
			return refused("email_already_invited", "The email '%s' has already been invited.", i.Email)
		}
		return nil
	}
	if !known {
		if open > 0 {
			return refused("email_already_invited_to_organization", "The email '%s' has already been invited to the organization.", i.Email)
		}
		return nil
	}
	m, err := e.membershipOf(tx, i.OrganizationID, u.ID)
	switch {
	case err == nil && m.Status == identity.MembershipActive:
		return refused("user_already_organization_member", "The user is already a member of the organization.")
	case err != nil && !isNoRows(err):
		return err
	case open > 0:
		return refused("email_already_invited_to_organization", "The email '%s' has already been invited to the organization.", i.Email)
	case isNoRows(err):
		return e.insertMembership(tx, i.OrganizationID, u.ID, identity.MembershipPending, roles)
	case m.Status == identity.MembershipPending:
		return e.setMembershipRoles(tx, m.ID, m.OrganizationID, roles)
	}
	return nil
}

func rolesOf(i identity.Invitation) []string {
	if i.RoleSlug == "" {
		return nil
	}
	return []string{i.RoleSlug}
}

func refused(code, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode(code)
}

// Invitation returns the invitation with the given id.
func (e *Env) Invitation(ctx context.Context, id string) (identity.Invitation, error) {
	i, err := e.scanInvitation(e.db.row(ctx, "SELECT "+invitationColumns+" FROM invitations WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return i, noInvitation(id)
	}
	return i, err
}

// InvitationByToken returns the invitation that a token is for, in whatever state.
func (e *Env) InvitationByToken(ctx context.Context, token string) (identity.Invitation, error) {
	i, err := e.scanInvitation(e.db.row(ctx, "SELECT "+invitationColumns+" FROM invitations WHERE environment_id = $1 AND hash = $2", e.ID, e.invitationMAC(token)))
	if isNoRows(err) {
		return i, fault.New(fault.NotFound, "Invitation not found.").WithCode("invitation_not_found")
	}
	return i, err
}

// Invitations returns a page of invitations, optionally of one address or
// into one organization.
func (e *Env) Invitations(ctx context.Context, email, organizationID string, p Page) (list []identity.Invitation, before, after string, err error) {
	query, args := "SELECT "+invitationColumns+" FROM invitations WHERE environment_id = $1", []any{e.ID}
	if email != "" {
		args = append(args, identity.EmailKey(email))
		query += fmt.Sprintf(" AND email_key = $%d", len(args))
	}
	if organizationID != "" {
		args = append(args, organizationID)
		query += fmt.Sprintf(" AND organization_id = $%d", len(args))
	}
	cond, order, more := p.where(len(args) + 1)
	err = e.db.list(ctx, query+cond+order, func(s scanner) error {
		i, err := e.scanInvitation(s)
		list = append(list, i)
		return err
	}, append(args, more...)...)
	list, before, after = cut(list, p, func(i identity.Invitation) string { return i.ID })
	return list, before, after, err
}

func (e *Env) changeInvitation(ctx context.Context, what, id string, fn func(tx *tx, i identity.Invitation, now time.Time) error) (identity.Invitation, error) {
	var i identity.Invitation
	err := e.db.write(ctx, func(tx *tx) (err error) {
		read := func() error {
			i, err = e.scanInvitation(tx.row("SELECT "+invitationColumns+" FROM invitations WHERE environment_id = $1 AND id = $2", e.ID, id))
			if isNoRows(err) {
				return noInvitation(id)
			}
			return err
		}
		if err := read(); err != nil {
			return err
		}
		if err := fn(tx, i, e.db.now()); err != nil {
			return err
		}
		if err := read(); err != nil {
			return err
		}
		return e.record(tx, happened{"invitation." + what, i.OrganizationID, i})
	})
	return i, err
}

// RevokeInvitation ends a pending invitation and the pending membership that
// waits for it.
func (e *Env) RevokeInvitation(ctx context.Context, id string) (identity.Invitation, error) {
	return e.changeInvitation(ctx, "revoked", id, func(tx *tx, i identity.Invitation, now time.Time) error {
		if i.StateAt(now) != identity.InvitationPending {
			return refused("invite_not_pending", "Invite is not pending.")
		}
		if _, err := tx.exec("UPDATE invitations SET state = 'revoked', revoked_at = $3, updated_at = $3 WHERE environment_id = $1 AND id = $2", e.ID, id, millis(now)); err != nil {
			return err
		}
		var waiting string
		err := tx.row(`SELECT id FROM organization_memberships WHERE environment_id = $1 AND organization_id = $2 AND status = 'pending'
			AND user_id = (SELECT id FROM users WHERE environment_id = $1 AND email_key = $3)`, e.ID, i.OrganizationID, identity.EmailKey(i.Email)).Scan(&waiting)
		if isNoRows(err) {
			return nil
		}
		if err == nil {
			err = e.recordMembership(tx, "deleted", waiting)
		}
		if err == nil {
			_, err = tx.exec("DELETE FROM organization_memberships WHERE environment_id = $1 AND id = $2", e.ID, waiting)
		}
		return err
	})
}

// RenewInvitation lets a pending invitation live as long again as at first.
func (e *Env) RenewInvitation(ctx context.Context, id string) (identity.Invitation, error) {
	return e.changeInvitation(ctx, "resent", id, func(tx *tx, i identity.Invitation, now time.Time) error {
		switch i.StateAt(now) {
		case identity.InvitationExpired:
			return refused("invite_expired", "Invite has expired.")
		case identity.InvitationRevoked:
			return refused("invite_revoked", "Invite has been revoked.")
		case identity.InvitationAccepted:
			return refused("invite_accepted", "Invite has already been accepted.")
		}
		_, err := tx.exec("UPDATE invitations SET expires_at = $3, updated_at = $4 WHERE environment_id = $1 AND id = $2", e.ID, id, millis(now.Add(time.Duration(i.Days)*24*time.Hour)), millis(now))
		return err
	})
}

// AcceptInvitation spends a pending invitation for the user who holds its
// address, who thereby becomes an active member of its organization. Of many
// callers one succeeds.
func (e *Env) AcceptInvitation(ctx context.Context, id, userID string) (identity.Invitation, error) {
	return e.changeInvitation(ctx, "accepted", id, func(tx *tx, i identity.Invitation, now time.Time) error {
		switch {
		case i.AcceptedUserID != "":
			return refused("invite_has_accepted_user_id", "Invite has already been accepted by a user.")
		case i.StateAt(now) != identity.InvitationPending:
			return refused("invite_not_pending", "Invite is not pending.")
		}
		n, err := tx.exec(`UPDATE invitations SET state = 'accepted', accepted_at = $4, updated_at = $4, accepted_user_id = $3 WHERE environment_id = $1 AND id = $2
			AND email_key = (SELECT email_key FROM users WHERE environment_id = $1 AND id = $3)`, e.ID, id, userID, millis(now))
		if err == nil && n == 0 {
			return refused("invalid_invite", "The invitation is for another address.")
		}
		if err != nil || i.OrganizationID == "" {
			return err
		}
		m, err := e.membershipOf(tx, i.OrganizationID, userID)
		switch {
		case isNoRows(err):
			return e.insertMembership(tx, i.OrganizationID, userID, identity.MembershipActive, rolesOf(i))
		case err != nil || m.Status == identity.MembershipActive:
			return err
		}
		if err := e.setMembershipStatus(tx, m.ID, identity.MembershipActive); err != nil {
			return err
		}
		if err := e.setMembershipRoles(tx, m.ID, m.OrganizationID, rolesOf(i)); err != nil {
			return err
		}
		return e.recordMembership(tx, "updated", m.ID)
	})
}
