package store

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const sessionColumns = "id, user_id, organization_id, auth_method, status, redirect_uri, ip_address, user_agent, generation, rotated_at, expires_at, ended_at, created_at, updated_at, connection_id, provider"

func scanSession(s scanner) (identity.Session, error) {
	var v identity.Session
	var rotated, expires, ended, created, updated int64
	err := s.Scan(&v.ID, &v.UserID, &v.OrganizationID, &v.AuthMethod, &v.Status, &v.RedirectURI, &v.IPAddress, &v.UserAgent, &v.Generation,
		&rotated, &expires, &ended, &created, &updated, &v.ConnectionID, &v.Provider)
	v.RotatedAt, v.ExpiresAt, v.EndedAt = fromMillis(rotated), fromMillis(expires), fromMillis(ended)
	v.CreatedAt, v.UpdatedAt = fromMillis(created), fromMillis(updated)
	return v, err
}

// AddCode keeps an authorization code until it expires.
func (e *Env) AddCode(ctx context.Context, c identity.Code) error {
	return e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO codes (hash, environment_id, user_id, organization_id, redirect_uri, code_challenge, auth_method, expires_at, created_at, connection_id, provider, tokens)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, c.Hash, e.ID, c.UserID, c.OrganizationID, c.RedirectURI, c.CodeChallenge, c.AuthMethod, millis(c.ExpiresAt), millis(e.db.now()),
			c.ConnectionID, c.Provider, c.ProviderTokens)
		return err
	})
}

// ErrCode says that a code cannot be redeemed: unknown, expired, spent or of
// another environment. The reasons are not told apart (RFC 6749 section 5.2).
var ErrCode = fault.New(fault.Invalid, "the code has expired or is invalid").WithCode("invalid_grant")

const codeColumns = "user_id, organization_id, redirect_uri, code_challenge, auth_method, expires_at, connection_id, provider, tokens"

func scanCode(s scanner, hash []byte) (identity.Code, error) {
	c := identity.Code{Hash: hash}
	var expires int64
	err := s.Scan(&c.UserID, &c.OrganizationID, &c.RedirectURI, &c.CodeChallenge, &c.AuthMethod, &expires, &c.ConnectionID, &c.Provider, &c.ProviderTokens)
	c.ExpiresAt = fromMillis(expires)
	return c, err
}

// Code returns a code that is neither spent nor expired, without spending it.
func (e *Env) Code(ctx context.Context, hash []byte) (identity.Code, error) {
	c, err := scanCode(e.db.row(ctx, "SELECT "+codeColumns+" FROM codes WHERE hash = $1 AND environment_id = $2 AND session_id IS NULL AND expires_at > $3",
		hash, e.ID, millis(e.db.now())), hash)
	if isNoRows(err) {
		return c, ErrCode
	}
	return c, err
}

// RedeemCode spends a code and opens s in one step: of many callers with one
// code exactly one succeeds. A code that check refuses stays unspent, and its
// error is returned. A second use ends the session that the first one opened and
// returns ErrCode.
func (e *Env) RedeemCode(ctx context.Context, hash []byte, s identity.Session, check func(identity.Code) error) (identity.Session, identity.User, error) {
	now := e.db.now()
	var u identity.User
	replayed := false
	err := e.db.write(ctx, func(tx *tx) error {
		replayed = false
		c, err := scanCode(tx.row("UPDATE codes SET session_id = $4 WHERE hash = $1 AND environment_id = $2 AND session_id IS NULL AND expires_at > $3 RETURNING "+codeColumns,
			hash, e.ID, millis(now), s.ID), hash)
		if isNoRows(err) {
			// Spent before? Then what it gave is no longer trusted.
			n, err := e.revokeSessions(tx, "id = (SELECT session_id FROM codes WHERE hash = $3 AND environment_id = $1)", hash)
			replayed = n > 0
			if err == nil && !replayed {
				return ErrCode
			}
			return err
		}
		if err == nil {
			err = check(c)
		}
		if err != nil {
			return err
		}
		if c.ProviderTokens != nil { // handed out once
			if _, err := tx.exec("UPDATE codes SET tokens = NULL WHERE hash = $1 AND environment_id = $2", hash, e.ID); err != nil {
				return err
			}
		}
		s.UserID, s.OrganizationID, s.RedirectURI, s.AuthMethod, s.ConnectionID, s.Provider = c.UserID, c.OrganizationID, c.RedirectURI, c.AuthMethod, c.ConnectionID, c.Provider
		u, err = e.openSession(tx, &s, now)
		return err
	})
	if err == nil && replayed {
		err = ErrCode
	}
	return s, u, err
}

// OpenSession opens s for its user, as a sign-in without a code does.
func (e *Env) OpenSession(ctx context.Context, s identity.Session) (identity.Session, identity.User, error) {
	var u identity.User
	err := e.db.write(ctx, func(tx *tx) (err error) {
		u, err = e.openSession(tx, &s, e.db.now())
		return err
	})
	return s, u, err
}

func (e *Env) openSession(tx *tx, s *identity.Session, now time.Time) (identity.User, error) {
	s.Status, s.CreatedAt, s.UpdatedAt, s.RotatedAt = identity.SessionActive, now, now, now
	u, err := scanUser(tx.row("UPDATE users SET last_sign_in_at = $3 WHERE environment_id = $1 AND id = $2 RETURNING "+userColumns, e.ID, s.UserID, millis(now)))
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
	tx.sessionsOf(s.UserID)
	_, err = tx.exec("INSERT INTO sessions (environment_id, "+sessionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, 0, $10, $10, $12, $13)",
		e.ID, s.ID, s.UserID, s.OrganizationID, s.AuthMethod, string(s.Status), s.RedirectURI, s.IPAddress, s.UserAgent, millis(now), millis(s.ExpiresAt), s.ConnectionID, s.Provider)
	if err != nil {
		return u, err
	}
	opened := happened{name: "session.created", organization: s.OrganizationID, about: *s}
	if kind := eventType[s.AuthMethod]; kind != "" {
		return u, e.record(tx, authenticated(identity.Authentication{Type: kind, UserID: u.ID, Email: u.Email,
			Client: identity.Client{IPAddress: s.IPAddress, UserAgent: s.UserAgent}, SSO: singleSignOn(*s)}), opened)
	}
	return u, e.record(tx, opened)
}

// revokeSessions ends the active sessions that a condition selects and returns
// how many there were. The condition's argument is $3.
func (e *Env) revokeSessions(tx *tx, condition string, arg any) (int, error) {
	var ended []happened
	err := tx.rows("UPDATE sessions SET status = 'revoked', ended_at = $2, updated_at = $2 WHERE environment_id = $1 AND status = 'active' AND "+condition+" RETURNING "+sessionColumns, func(r scanner) error {
		s, err := scanSession(r)
		tx.sessionsOf(s.UserID)
		ended = append(ended, happened{name: "session.revoked", organization: s.OrganizationID, about: s})
		return err
	}, e.ID, millis(e.db.now()), arg)
	if err != nil {
		return 0, err
	}
	return len(ended), e.record(tx, ended...)
}

// Rotation is the outcome of presenting a refresh token.
type Rotation int

const (
	Rotated  Rotation = iota // first use: the session moved on by one generation
	Replayed                 // a repeat within the window: the same successor again
	Reused                   // a repeat after the window: the session has been ended
	Ended                    // the session is over or unknown
)

// RotateSession presents the refresh token of one generation of a session. Of
// many callers with one token the first rotates it, the others within window
// are told so, and later ones end the session (RFC 9700 section 4.14.2).
//
// A session in an organization needs an active membership there; with
// organizationID it moves to that one. When this is refused the token stays
// unspent. Errors have the codes organization_not_found and
// organization_membership_not_found.
func (e *Env) RotateSession(ctx context.Context, id string, generation int64, window time.Duration, organizationID string) (identity.Session, identity.User, Rotation, error) {
	now := e.db.now()
	var s identity.Session
	var u identity.User
	outcome := Ended
	err := e.db.write(ctx, func(tx *tx) (err error) {
		outcome = Rotated
		s, err = scanSession(tx.row(`UPDATE sessions SET generation = generation + 1, rotated_at = $4, updated_at = $4
			WHERE id = $2 AND environment_id = $1 AND generation = $3 AND status = 'active' AND expires_at > $4 AND rotated_at > $5 RETURNING `+sessionColumns,
			e.ID, id, generation, millis(now), e.idleSince(now)))
		if isNoRows(err) {
			outcome, err = e.repeated(tx, &s, id, generation, now, window)
		}
		tx.sessionsOf(s.UserID)
		if err != nil || outcome == Ended || outcome == Reused {
			return err
		}
		if err := e.enter(tx, &s, organizationID); err != nil {
			return err
		}
		u, err = scanUser(tx.row("SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND id = $2", e.ID, s.UserID))
		return err
	})
	return s, u, outcome, err
}

// enter moves a session to an organization, or with "" checks that it may
// stay where it is.
func (e *Env) enter(tx *tx, s *identity.Session, organizationID string) error {
	stay := organizationID == "" || organizationID == s.OrganizationID
	if !stay {
		s.OrganizationID = organizationID
	}
	if s.OrganizationID == "" {
		return nil
	}
	if err := e.memberIn(tx, s.OrganizationID, s.UserID); err != nil || stay {
		return err
	}
	tx.sessionsOf(s.UserID)
	_, err := tx.exec("UPDATE sessions SET organization_id = $3 WHERE environment_id = $1 AND id = $2", e.ID, s.ID, s.OrganizationID)
	return err
}

// EnterOrganization moves a session to an organization that its user is an
// active member of.
func (e *Env) EnterOrganization(ctx context.Context, s identity.Session, organizationID string) (identity.Session, error) {
	err := e.db.write(ctx, func(tx *tx) error { return e.enter(tx, &s, organizationID) })
	return s, err
}

func (e *Env) repeated(tx *tx, s *identity.Session, id string, generation int64, now time.Time, window time.Duration) (Rotation, error) {
	found, err := scanSession(tx.row("SELECT "+sessionColumns+" FROM sessions WHERE id = $2 AND environment_id = $1", e.ID, id))
	switch {
	case isNoRows(err):
		return Ended, nil
	case err != nil:
		return Ended, err
	}
	*s = found
	switch {
	case s.Status == identity.SessionActive && s.EndedBy(now, e.Settings.Sessions.Inactivity):
		// Kept as ended: settings that change later do not bring it back.
		_, err := tx.exec("UPDATE sessions SET status = 'expired', ended_at = $3, updated_at = $3 WHERE environment_id = $1 AND id = $2", e.ID, id, millis(now))
		return Ended, err
	case s.Status != identity.SessionActive || s.Generation <= generation:
		return Ended, nil
	case s.Generation == generation+1 && now.Sub(s.RotatedAt) <= window:
		return Replayed, nil
	}
	_, err = e.revokeSessions(tx, "id = $3", id)
	return Reused, err
}

// idleSince returns the last moment of a refresh, in milliseconds, after which
// a session is too long inactive; -1 without such a limit.
func (e *Env) idleSince(now time.Time) int64 {
	if e.Settings.Sessions.Inactivity <= 0 {
		return -1
	}
	return millis(now.Add(-e.Settings.Sessions.Inactivity))
}

// asOfNow says of a session that nobody has refreshed since that it is over.
func (e *Env) asOfNow(s identity.Session) identity.Session {
	if s.Status == identity.SessionActive && s.EndedBy(e.db.now(), e.Settings.Sessions.Inactivity) {
		s.Status = identity.SessionExpired
	}
	return s
}

// Session returns the session with the given id.
func (e *Env) Session(ctx context.Context, id string) (identity.Session, error) {
	s, err := scanSession(e.db.row(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return s, notFound("session", id)
	}
	return e.asOfNow(s), err
}

// Sessions returns a page of a user's sessions.
func (e *Env) Sessions(ctx context.Context, userID string, p Page) (list []identity.Session, before, after string, err error) {
	cond, order, more := p.where(3)
	err = e.db.list(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE environment_id = $1 AND user_id = $2"+cond+order, func(s scanner) error {
		v, err := scanSession(s)
		list = append(list, e.asOfNow(v))
		return err
	}, append([]any{e.ID, userID}, more...)...)
	list, before, after = cut(list, p, func(s identity.Session) string { return s.ID })
	return list, before, after, err
}

// EndSession revokes a session. Ending one that is over already changes
// nothing; an unknown one is NotFound.
func (e *Env) EndSession(ctx context.Context, id string) (identity.Session, error) {
	var s identity.Session
	err := e.db.write(ctx, func(tx *tx) (err error) {
		if _, err = e.revokeSessions(tx, "id = $3", id); err != nil {
			return err
		}
		s, err = scanSession(tx.row("SELECT "+sessionColumns+" FROM sessions WHERE environment_id = $1 AND id = $2", e.ID, id))
		if isNoRows(err) {
			return notFound("session", id)
		}
		return err
	})
	return s, err
}

// EnvBySession returns the environment that a session id belongs to. Sign-out
// names nothing else (User Management, sessions/logout).
func (db *DB) EnvBySession(ctx context.Context, id string) (*Env, error) {
	var clientID string
	err := db.row(ctx, "SELECT e.client_id FROM sessions s JOIN environments e ON e.id = s.environment_id WHERE s.id = $1", id).Scan(&clientID)
	if isNoRows(err) {
		return nil, notFound("session", id)
	}
	if err != nil {
		return nil, err
	}
	return db.EnvByClientID(ctx, clientID)
}

// Sweep removes codes and challenges that expired an hour ago or longer,
// credentials past their end, sessions that have been over for 30 days, and the
// oldest events beyond what an environment keeps.
func (db *DB) Sweep(ctx context.Context) error {
	now := db.now()
	return db.write(ctx, func(tx *tx) error {
		if err := tx.sweepFailures(now); err != nil {
			return err
		}
		if err := tx.sweepConnections(now); err != nil {
			return err
		}
		if err := tx.sweepAnswers(now); err != nil {
			return err
		}
		if err := tx.sweepAudit(now); err != nil {
			return err
		}
		if err := tx.sweepConnect(now); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM codes WHERE expires_at < $1", millis(now.Add(-time.Hour))); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM auth_challenges WHERE expires_at < $1", millis(now.Add(-time.Hour))); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM team_credentials WHERE expires_at > 0 AND expires_at < $1", millis(now)); err != nil {
			return err
		}
		n, err := tx.exec("DELETE FROM sessions WHERE expires_at < $1", millis(now.AddDate(0, 0, -30)))
		if err != nil {
			return err
		}
		tx.changed.all = tx.changed.all || n > 0
		return db.sweepEvents(tx)
	})
}
