package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const profileColumns = "id, connection_id, coalesce(user_id, ''), idp_id, email, email_verified, first_name, last_name, groups, attributes, created_at, updated_at"

func scanProfile(s scanner) (identity.Profile, error) {
	var p identity.Profile
	var groups, attributes string
	var created, updated int64
	if err := s.Scan(&p.ID, &p.ConnectionID, &p.UserID, &p.IDPID, &p.Email, &p.EmailVerified, &p.FirstName, &p.LastName, &groups, &attributes, &created, &updated); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = fromMillis(created), fromMillis(updated)
	if err := json.Unmarshal([]byte(groups), &p.Groups); err != nil {
		return p, fmt.Errorf("read the groups of %s: %w", p.ID, err)
	}
	if err := json.Unmarshal([]byte(attributes), &p.Attributes); err != nil {
		return p, fmt.Errorf("read the attributes of %s: %w", p.ID, err)
	}
	return p, nil
}

// PutProfile keeps what a connection said of a person, who keeps the id and the
// user that they had.
func (e *Env) PutProfile(ctx context.Context, p identity.Profile) (identity.Profile, error) {
	if p.Groups == nil {
		p.Groups = []string{}
	}
	if p.Attributes == nil {
		p.Attributes = map[string]any{}
	}
	groups, err := json.Marshal(p.Groups)
	if err != nil {
		return p, err
	}
	attributes, err := json.Marshal(p.Attributes)
	if err != nil {
		return p, err
	}
	var kept identity.Profile
	err = e.db.write(ctx, func(tx *tx) (err error) {
		kept, err = scanProfile(tx.row(`INSERT INTO profiles (id, environment_id, connection_id, idp_id, email, email_verified, first_name, last_name, groups, attributes, created_at, updated_at)
			SELECT $2, $1, id, $4, $5, $6, $7, $8, $9, $10, $11, $11 FROM connections WHERE environment_id = $1 AND id = $3
			ON CONFLICT (connection_id, idp_id) DO UPDATE SET email = excluded.email, email_verified = excluded.email_verified, first_name = excluded.first_name,
				last_name = excluded.last_name, groups = excluded.groups, attributes = excluded.attributes, updated_at = excluded.updated_at
			RETURNING `+profileColumns, e.ID, identity.NewID(identity.PrefixProfile), p.ConnectionID, p.IDPID, p.Email, p.EmailVerified, p.FirstName, p.LastName,
			string(groups), string(attributes), millis(e.db.now())))
		if isNoRows(err) {
			return noConnection(p.ConnectionID)
		}
		return err
	})
	return kept, err
}

func noProfile(id string) error {
	return fault.New(fault.NotFound, "Profile not found: '%s'.", id).WithCode("profile_not_found")
}

// Profile returns the profile with the given id.
func (e *Env) Profile(ctx context.Context, id string) (identity.Profile, error) {
	p, err := scanProfile(e.db.row(ctx, "SELECT "+profileColumns+" FROM profiles WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return p, noProfile(id)
	}
	return p, err
}

// LinkProfile says that a profile is of a user. One that is another user's stays
// theirs: NotFound.
func (e *Env) LinkProfile(ctx context.Context, id, userID string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE profiles SET user_id = $3 WHERE environment_id = $1 AND id = $2 AND (user_id IS NULL OR user_id = $3)
			AND EXISTS (SELECT 1 FROM users WHERE environment_id = $1 AND id = $3)`, e.ID, id, userID)
		if err == nil && n == 0 {
			return noProfile(id)
		}
		return err
	})
}

// UserProfiles returns the profiles of a user with their connections, oldest first.
func (e *Env) UserProfiles(ctx context.Context, userID string) (profiles []identity.Profile, by map[string]identity.Connection, err error) {
	err = e.db.list(ctx, "SELECT "+profileColumns+" FROM profiles WHERE environment_id = $1 AND user_id = $2 ORDER BY id", func(s scanner) error {
		p, err := scanProfile(s)
		profiles = append(profiles, p)
		return err
	}, e.ID, userID)
	if err != nil {
		return nil, nil, err
	}
	list, err := e.connections(ctx, "SELECT "+connectionColumns+" FROM connections WHERE environment_id = $1 AND id IN (SELECT connection_id FROM profiles WHERE environment_id = $1 AND user_id = $2)", e.ID, userID)
	by = map[string]identity.Connection{}
	for _, c := range list {
		by[c.ID] = c
	}
	return profiles, by, err
}

// TestProfiles returns who came by the test identity provider lately, each
// address once, the newest first.
func (e *Env) TestProfiles(ctx context.Context, limit int) (list []identity.Profile, err error) {
	err = e.db.list(ctx, "SELECT "+profileColumns+` FROM profiles WHERE environment_id = $1 AND id IN
		(SELECT max(p.id) FROM profiles p JOIN connections c ON c.id = p.connection_id WHERE p.environment_id = $1 AND c.kind = 'test' GROUP BY p.email)
		ORDER BY updated_at DESC, id DESC LIMIT $2`, func(s scanner) error {
		p, err := scanProfile(s)
		list = append(list, p)
		return err
	}, e.ID, limit)
	return list, err
}

// JoinByConnection makes a user an active member of the organization whose
// connection they came by. Who was taken out of it stays out.
func (e *Env) JoinByConnection(ctx context.Context, organizationID, userID string) error {
	return e.db.write(ctx, func(tx *tx) error {
		m, err := e.membershipOf(tx, organizationID, userID)
		switch {
		case isNoRows(err):
			return e.insertMembership(tx, organizationID, userID, identity.MembershipActive, nil)
		case err != nil:
			return err
		case m.Status == identity.MembershipPending:
			if err := e.setMembershipStatus(tx, m.ID, identity.MembershipActive); err != nil {
				return err
			}
			return e.recordMembership(tx, "updated", m.ID)
		case m.Status != identity.MembershipActive:
			return notMember(organizationID)
		}
		return nil
	})
}

// AddProfileCode keeps a code of the SSO API.
func (e *Env) AddProfileCode(ctx context.Context, hash []byte, profileID string, tokens []byte, expires time.Time) error {
	return e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO profile_codes (hash, environment_id, profile_id, tokens, expires_at) VALUES ($1, $2, $3, $4, $5)", hash, e.ID, profileID, tokens, millis(expires))
		return err
	})
}

// RedeemProfileCode spends a code of the SSO API: of many callers one succeeds,
// the others get ErrCode.
func (e *Env) RedeemProfileCode(ctx context.Context, hash []byte) (profileID string, tokens []byte, err error) {
	err = e.db.write(ctx, func(tx *tx) error {
		err := tx.row("DELETE FROM profile_codes WHERE environment_id = $1 AND hash = $2 AND expires_at > $3 RETURNING profile_id, tokens", e.ID, hash, millis(e.db.now())).Scan(&profileID, &tokens)
		if isNoRows(err) {
			return ErrCode
		}
		return err
	})
	return profileID, tokens, err
}

// SetOrganizationMethods says how members of an organization may sign in; nil
// takes the rule away.
func (e *Env) SetOrganizationMethods(ctx context.Context, organizationID string, m *identity.OrganizationMethods) error {
	return e.db.write(ctx, func(tx *tx) error {
		if err := e.organizationExists(tx, organizationID); err != nil {
			return err
		}
		if err := e.audit(tx, "organization.methods_set", organizationID); err != nil {
			return err
		}
		if m == nil {
			_, err := tx.exec("DELETE FROM organization_methods WHERE environment_id = $1 AND organization_id = $2", e.ID, organizationID)
			return err
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO organization_methods (organization_id, environment_id, methods) VALUES ($2, $1, $3)
			ON CONFLICT (organization_id) DO UPDATE SET methods = excluded.methods`, e.ID, organizationID, string(text))
		return err
	})
}

// OrganizationMethods returns how members of an organization may sign in, or nil
// when it has no rule.
func (e *Env) OrganizationMethods(ctx context.Context, organizationID string) (*identity.OrganizationMethods, error) {
	var text string
	err := e.db.row(ctx, "SELECT methods FROM organization_methods WHERE environment_id = $1 AND organization_id = $2", e.ID, organizationID).Scan(&text)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m identity.OrganizationMethods
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fmt.Errorf("read the methods of %s: %w", organizationID, err)
	}
	return &m, nil
}

// singleSignOn says by which connection a session was opened, for its event.
func singleSignOn(s identity.Session) *identity.SSO {
	if s.AuthMethod != "sso" {
		return nil
	}
	return &identity.SSO{OrganizationID: s.OrganizationID, ConnectionID: s.ConnectionID, SessionID: s.ID}
}
