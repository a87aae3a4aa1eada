package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const appSessionColumns = "id, application_id, user_id, organization_id, resource, scopes, auth_time, generation, expires_at, ended_at, created_at"

func scanAppSession(s scanner) (identity.ApplicationSession, error) {
	var v identity.ApplicationSession
	var scopes string
	var at, expires, ended, created int64
	if err := s.Scan(&v.ID, &v.ApplicationID, &v.UserID, &v.OrganizationID, &v.Resource, &scopes, &at, &v.Generation, &expires, &ended, &created); err != nil {
		return v, err
	}
	v.AuthTime, v.ExpiresAt, v.EndedAt, v.CreatedAt = fromMillis(at), fromMillis(expires), fromMillis(ended), fromMillis(created)
	if err := json.Unmarshal([]byte(scopes), &v.Scopes); err != nil {
		return v, fmt.Errorf("read scopes of %s: %w", v.ID, err)
	}
	return v, nil
}

func (e *Env) insertAppSession(tx *tx, s *identity.ApplicationSession) (identity.User, error) {
	s.CreatedAt = e.db.now()
	u, err := scanUser(tx.row("UPDATE users SET last_sign_in_at = $3 WHERE environment_id = $1 AND id = $2 RETURNING "+userColumns, e.ID, s.UserID, millis(s.CreatedAt)))
	if isNoRows(err) {
		return u, notFound("user", s.UserID)
	}
	if err != nil {
		return u, err
	}
	if s.OrganizationID != "" {
		if err := e.memberIn(tx, s.OrganizationID, s.UserID); err != nil {
			return u, err
		}
	}
	_, err = tx.exec(`INSERT INTO application_sessions (environment_id, id, application_id, user_id, organization_id, resource, scopes, auth_time, generation, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10)`, e.ID, s.ID, s.ApplicationID, s.UserID, s.OrganizationID, s.Resource, scopesText(s.Scopes),
		millis(s.AuthTime), millis(s.ExpiresAt), millis(s.CreatedAt))
	return u, err
}

// AddApplicationCode keeps an authorization code for an application, and with
// it that the user allowed what the code gives.
func (e *Env) AddApplicationCode(ctx context.Context, c identity.ApplicationCode) error {
	return e.db.write(ctx, func(tx *tx) error {
		if err := e.allow(tx, c.ApplicationID, c.UserID, c.OrganizationID, c.Resource, c.Scopes); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO application_codes (hash, environment_id, application_id, user_id, organization_id, redirect_uri, code_challenge, scopes, nonce, resource, auth_time, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, c.Hash, e.ID, c.ApplicationID, c.UserID, c.OrganizationID, c.RedirectURI, c.CodeChallenge,
			scopesText(c.Scopes), c.Nonce, c.Resource, millis(c.AuthTime), millis(c.ExpiresAt), millis(e.db.now()))
		return err
	})
}

const appCodeColumns = "application_id, user_id, organization_id, redirect_uri, code_challenge, scopes, nonce, resource, auth_time, expires_at"

func scanAppCode(s scanner) (identity.ApplicationCode, error) {
	var c identity.ApplicationCode
	var scopes string
	var at, expires int64
	if err := s.Scan(&c.ApplicationID, &c.UserID, &c.OrganizationID, &c.RedirectURI, &c.CodeChallenge, &scopes, &c.Nonce, &c.Resource, &at, &expires); err != nil {
		return c, err
	}
	c.AuthTime, c.ExpiresAt = fromMillis(at), fromMillis(expires)
	if err := json.Unmarshal([]byte(scopes), &c.Scopes); err != nil {
		return c, fmt.Errorf("read scopes of a code: %w", err)
	}
	return c, nil
}

// ApplicationCode returns a code of an application that is neither spent nor
// expired, without spending it, or ErrCode.
func (e *Env) ApplicationCode(ctx context.Context, applicationID string, hash []byte) (identity.ApplicationCode, error) {
	c, err := scanAppCode(e.db.row(ctx, "SELECT "+appCodeColumns+` FROM application_codes
		WHERE hash = $1 AND environment_id = $2 AND application_id = $3 AND session_id IS NULL AND expires_at > $4`, hash, e.ID, applicationID, millis(e.db.now())))
	if isNoRows(err) {
		return c, ErrCode
	}
	return c, err
}

// RedeemApplicationCode spends a code and opens s in one step. A second use ends
// the session that the first one opened and returns ErrCode.
func (e *Env) RedeemApplicationCode(ctx context.Context, applicationID string, hash []byte, s identity.ApplicationSession) (identity.ApplicationSession, identity.User, error) {
	var u identity.User
	spent := false
	err := e.db.write(ctx, func(tx *tx) error {
		now := e.db.now()
		c, err := scanAppCode(tx.row(`UPDATE application_codes SET session_id = $4 WHERE hash = $1 AND environment_id = $2 AND application_id = $3 AND session_id IS NULL AND expires_at > $5
			RETURNING `+appCodeColumns, hash, e.ID, applicationID, s.ID, millis(now)))
		if isNoRows(err) {
			spent = true // this stays written, so it is no error of the write
			_, err := tx.exec(`UPDATE application_sessions SET ended_at = $4 WHERE environment_id = $1 AND ended_at = 0
				AND id = (SELECT session_id FROM application_codes WHERE hash = $2 AND environment_id = $1 AND application_id = $3)`, e.ID, hash, applicationID, millis(now))
			return err
		}
		if err != nil {
			return err
		}
		s.ApplicationID, s.UserID, s.OrganizationID, s.Resource, s.Scopes, s.AuthTime = applicationID, c.UserID, c.OrganizationID, c.Resource, c.Scopes, c.AuthTime
		u, err = e.insertAppSession(tx, &s)
		return err
	})
	if err == nil && spent {
		err = ErrCode
	}
	return s, u, err
}

// RedeemApplicationDevice answers a device of an application. With PollApproved
// it opened s for the user who signed in.
func (e *Env) RedeemApplicationDevice(ctx context.Context, applicationID string, hash []byte, s identity.ApplicationSession) (identity.ApplicationSession, identity.User, Poll, error) {
	var u identity.User
	var outcome Poll
	err := e.db.write(ctx, func(tx *tx) error {
		var d identity.Device
		var err error
		if d, outcome, err = e.poll(tx, hash, applicationID, e.db.now()); err != nil || outcome != PollApproved {
			return err
		}
		s.ApplicationID, s.UserID, s.OrganizationID, s.Resource, s.Scopes, s.AuthTime = applicationID, d.UserID, d.OrganizationID, d.Resource, d.Scopes, d.AuthTime
		u, err = e.insertAppSession(tx, &s)
		return err
	})
	return s, u, outcome, err
}

// ErrGrant says that a refresh token of an application is of no use: unknown,
// of another application, expired, ended or used before.
var ErrGrant = fault.New(fault.Invalid, "The refresh token is invalid, has expired or was used before.").WithCode("invalid_grant")

// RotateApplicationSession presents the refresh token of one generation. Exactly
// one caller rotates it; whoever comes later with the same one ends the session
// (RFC 9700 section 4.14.2). A session whose user has left its organization is
// refused and stays as it was.
func (e *Env) RotateApplicationSession(ctx context.Context, applicationID, id string, generation int64) (identity.ApplicationSession, identity.User, error) {
	var s identity.ApplicationSession
	var u identity.User
	refused := false
	err := e.db.write(ctx, func(tx *tx) (err error) {
		now := millis(e.db.now())
		s, err = scanAppSession(tx.row(`UPDATE application_sessions SET generation = generation + 1
			WHERE environment_id = $1 AND id = $2 AND application_id = $3 AND generation = $4 AND ended_at = 0 AND expires_at > $5 RETURNING `+appSessionColumns,
			e.ID, id, applicationID, generation, now))
		if isNoRows(err) {
			refused = true
			_, err := tx.exec("UPDATE application_sessions SET ended_at = $5 WHERE environment_id = $1 AND id = $2 AND application_id = $3 AND generation > $4 AND ended_at = 0",
				e.ID, id, applicationID, generation, now)
			return err
		}
		if err != nil {
			return err
		}
		if s.OrganizationID != "" {
			if err := e.memberIn(tx, s.OrganizationID, s.UserID); err != nil {
				return err
			}
		}
		u, err = scanUser(tx.row("SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND id = $2", e.ID, s.UserID))
		return err
	})
	if err == nil && refused {
		err = ErrGrant
	}
	return s, u, err
}

// ApplicationSession returns a session that is not over, or ErrGrant.
func (e *Env) ApplicationSession(ctx context.Context, id string) (identity.ApplicationSession, error) {
	s, err := scanAppSession(e.db.row(ctx, "SELECT "+appSessionColumns+" FROM application_sessions WHERE environment_id = $1 AND id = $2 AND ended_at = 0 AND expires_at > $3",
		e.ID, id, millis(e.db.now())))
	if isNoRows(err) {
		return s, ErrGrant
	}
	return s, err
}

// EndApplicationSession ends a session of an application; one that is over or
// another's stays as it is.
func (e *Env) EndApplicationSession(ctx context.Context, applicationID, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("UPDATE application_sessions SET ended_at = $4 WHERE environment_id = $1 AND id = $2 AND application_id = $3 AND ended_at = 0", e.ID, id, applicationID, millis(e.db.now()))
		return err
	})
}

// allow remembers what a user allows an application; more scopes are added to
// those of before.
func (e *Env) allow(tx *tx, applicationID, userID, organizationID, resource string, scopes []string) error {
	now := e.db.now()
	have, err := scopesOf(tx.row("SELECT scopes FROM application_authorizations WHERE environment_id = $1 AND application_id = $2 AND user_id = $3 AND organization_id = $4 AND resource = $5",
		e.ID, applicationID, userID, organizationID, resource))
	if err != nil && !isNoRows(err) {
		return err
	}
	for _, s := range scopes {
		if !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	_, err = tx.exec(`INSERT INTO application_authorizations (id, environment_id, application_id, user_id, organization_id, resource, scopes, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
		ON CONFLICT (application_id, user_id, organization_id, resource) DO UPDATE SET scopes = excluded.scopes, updated_at = excluded.updated_at`,
		identity.NewID(identity.PrefixAuthorization), e.ID, applicationID, userID, organizationID, resource, scopesText(have), millis(now))
	return err
}

func scopesOf(s scanner) (scopes []string, err error) {
	var text string
	if err := s.Scan(&text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &scopes); err != nil {
		return nil, fmt.Errorf("read scopes: %w", err)
	}
	return scopes, nil
}

// Allow remembers what a user allows an application.
func (e *Env) Allow(ctx context.Context, v identity.Authorization) error {
	return e.db.write(ctx, func(tx *tx) error {
		return e.allow(tx, v.Application.ID, v.UserID, v.OrganizationID, v.Resource, v.Scopes)
	})
}

// AllowedScopes returns what a user allowed an application before, in one
// organization ("" for none) and for one resource ("" for none).
func (e *Env) AllowedScopes(ctx context.Context, applicationID, userID, organizationID, resource string) ([]string, error) {
	scopes, err := scopesOf(e.db.row(ctx, "SELECT scopes FROM application_authorizations WHERE environment_id = $1 AND application_id = $2 AND user_id = $3 AND organization_id = $4 AND resource = $5",
		e.ID, applicationID, userID, organizationID, resource))
	if isNoRows(err) {
		return nil, nil
	}
	return scopes, err
}

// Authorizations returns a page of what a user allowed, or of what users allowed
// in an organization: one of the two is "".
func (e *Env) Authorizations(ctx context.Context, userID, organizationID string, p Page) (list []identity.Authorization, before, after string, err error) {
	column, value := "user_id", userID
	if userID == "" {
		column, value = "organization_id", organizationID
	}
	cond, order, more := p.where(3)
	err = e.db.list(ctx, "SELECT id, application_id, user_id, organization_id, resource, scopes FROM application_authorizations WHERE environment_id = $1 AND "+column+" = $2"+cond+order, func(s scanner) error {
		var v identity.Authorization
		var scopes string
		if err := s.Scan(&v.ID, &v.Application.ID, &v.UserID, &v.OrganizationID, &v.Resource, &scopes); err != nil {
			return err
		}
		list = append(list, v)
		return json.Unmarshal([]byte(scopes), &list[len(list)-1].Scopes)
	}, append([]any{e.ID, value}, more...)...)
	if err != nil {
		return nil, "", "", err
	}
	list, before, after = cut(list, p, func(v identity.Authorization) string { return v.ID })
	for i := range list {
		if list[i].Application, err = e.Application(ctx, list[i].Application.ID); err != nil {
			return nil, "", "", err
		}
	}
	return list, before, after, nil
}

// Disallow takes back all that a user allowed an application, and ends its
// sessions of that user. It is NotFound when there is nothing to take back.
func (e *Env) Disallow(ctx context.Context, userID, applicationID string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM application_authorizations WHERE environment_id = $1 AND user_id = $2 AND application_id = $3", e.ID, userID, applicationID)
		if err == nil && n == 0 {
			return notFound("authorized application", applicationID)
		}
		if err != nil {
			return err
		}
		if err := e.endGrants(tx, userID, applicationID); err != nil {
			return err
		}
		return e.audit(tx, "authorized_application.deleted", applicationID)
	})
}

// endGrants ends the sessions that an application, or with "" every one, has of a
// user, and takes back codes that were not redeemed yet.
func (e *Env) endGrants(tx *tx, userID, applicationID string) error {
	const of = " WHERE environment_id = $1 AND user_id = $2 AND ($3 = '' OR application_id = $3)"
	if _, err := tx.exec("UPDATE application_sessions SET ended_at = $4"+of+" AND ended_at = 0", e.ID, userID, applicationID, millis(e.db.now())); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM application_codes"+of+" AND session_id IS NULL", e.ID, userID, applicationID)
	return err
}

// sweepConnect removes what applications and devices left behind.
func (t *tx) sweepConnect(now time.Time) error {
	for _, of := range []struct {
		query string
		age   time.Duration
	}{
		{"DELETE FROM application_codes WHERE expires_at < $1", time.Hour},
		{"DELETE FROM device_authorizations WHERE expires_at < $1", time.Hour},
		{"DELETE FROM external_authentications WHERE expires_at < $1", time.Hour},
		{"DELETE FROM application_sessions WHERE expires_at < $1", 30 * 24 * time.Hour},
	} {
		if _, err := t.exec(of.query, millis(now.Add(-of.age))); err != nil {
			return err
		}
	}
	return nil
}
