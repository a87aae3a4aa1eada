package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// keptMessages bounds the inbox of one environment.
const keptMessages = 500

func (e *Env) codeMAC(kind identity.MailCodeKind, userID, code string) []byte {
	if kind == identity.PasswordReset {
		userID = "" // the token itself finds its user
	}
	return e.db.box.Authenticator("mail code").Sum([]byte(e.ID), []byte(kind), []byte(userID), []byte(code))
}

// AddMailCode keeps a code and ends earlier ones of the same kind and user:
// only the newest works.
func (e *Env) AddMailCode(ctx context.Context, c identity.MailCode) (identity.MailCode, error) {
	prefix := map[identity.MailCodeKind]string{identity.EmailVerification: identity.PrefixEmailVerification, identity.MagicAuth: identity.PrefixMagicAuth,
		identity.PasswordReset: identity.PrefixPasswordReset, identity.EmailChange: identity.PrefixEmailChange}[c.Kind]
	now := e.db.now()
	c.ID, c.CreatedAt, c.ExpiresAt = identity.NewID(prefix), now, now.Add(c.Kind.Lifetime())
	err := e.db.write(ctx, func(tx *tx) error {
		if _, err := tx.exec("UPDATE mail_codes SET expires_at = $4 WHERE environment_id = $1 AND user_id = $2 AND kind = $3 AND used_at = 0 AND expires_at > $4",
			e.ID, c.UserID, string(c.Kind), millis(now)); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO mail_codes (id, environment_id, user_id, kind, email, hash, sealed, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, c.ID, e.ID, c.UserID, string(c.Kind), c.Email, e.codeMAC(c.Kind, c.UserID, c.Code),
			e.db.box.Seal("mail code", c.ID, []byte(c.Code)), millis(c.ExpiresAt), millis(now))
		if err != nil || c.Kind == identity.EmailChange { // the protocol has no event for it
			return err
		}
		return e.record(tx, happened{name: string(c.Kind) + ".created", about: c})
	})
	return c, err
}

func (e *Env) scanMailCode(s scanner) (c identity.MailCode, used int64, err error) {
	var sealed []byte
	var expires, created int64
	if err = s.Scan(&c.ID, &c.UserID, &c.Kind, &c.Email, &sealed, &expires, &used, &created); err != nil {
		return c, 0, err
	}
	plain, err := e.db.box.Open("mail code", c.ID, sealed)
	c.Code, c.ExpiresAt, c.CreatedAt = string(plain), fromMillis(expires), fromMillis(created)
	return c, used, err
}

const mailCodeColumns = "id, user_id, kind, email, sealed, expires_at, used_at, created_at"

// MailCode returns a code by id, used or not.
func (e *Env) MailCode(ctx context.Context, kind identity.MailCodeKind, id string) (identity.MailCode, error) {
	c, _, err := e.scanMailCode(e.db.row(ctx, "SELECT "+mailCodeColumns+" FROM mail_codes WHERE environment_id = $1 AND kind = $2 AND id = $3", e.ID, string(kind), id))
	if isNoRows(err) {
		return c, notFound(string(kind), id)
	}
	return c, err
}

// UseMailCode spends a user's newest code of a kind when code is right. Wrong
// codes are counted, and the fifth ends it. Errors have the codes that the
// AuthKit protocol names for one-time codes.
func (e *Env) UseMailCode(ctx context.Context, kind identity.MailCodeKind, userID, code string) (identity.MailCode, error) {
	var c identity.MailCode
	var refusal error
	err := e.db.write(ctx, func(tx *tx) error {
		refusal = nil
		now := millis(e.db.now())
		var used int64
		var attempts int
		var err error
		c, used, err = e.scanMailCode(tx.row("SELECT "+mailCodeColumns+" FROM mail_codes WHERE environment_id = $1 AND user_id = $2 AND kind = $3 ORDER BY id DESC LIMIT 1", e.ID, userID, string(kind)))
		if isNoRows(err) {
			refusal = oneTime("invalid_one_time_code", "The code is not right.")
			return e.recordCode(ctx, tx, kind, identity.MailCode{UserID: userID}, refusal)
		}
		if err != nil {
			return err
		}
		if err := tx.row("SELECT attempts FROM mail_codes WHERE id = $1", c.ID).Scan(&attempts); err != nil {
			return err
		}
		right := c.Code == code // both are at hand in the clear; the count below bounds guessing
		switch {
		case used != 0 && right:
			refusal = oneTime("one_time_code_previously_used", "The code was used before.")
		case attempts >= identity.MaxCodeAttempts:
			refusal = oneTime("one_time_code_too_many_attempts", "Too many wrong codes. Ask for a new one.")
		case used != 0 || !right:
			refusal = oneTime("invalid_one_time_code", "The code is not right.")
			_, err = tx.exec("UPDATE mail_codes SET attempts = attempts + 1 WHERE id = $1", c.ID)
		case millis(c.ExpiresAt) <= now:
			refusal = oneTime("one_time_code_expired", "The code has expired. Ask for a new one.")
		default:
			_, err = tx.exec("UPDATE mail_codes SET used_at = $2 WHERE id = $1", c.ID, now)
		}
		if err != nil {
			return err
		}
		return e.recordCode(ctx, tx, kind, c, refusal)
	})
	if err == nil {
		err = refusal
	}
	return c, err
}

// recordCode keeps how the use of a code ended. A right magic code is told when
// the session opens, with the session.
func (e *Env) recordCode(ctx context.Context, tx *tx, kind identity.MailCodeKind, c identity.MailCode, refusal error) error {
	if kind == identity.EmailChange || kind == identity.MagicAuth && refusal == nil {
		return nil
	}
	return e.record(tx, authenticated(outcome(ctx, string(kind), c.UserID, c.Email, refusal)))
}

// outcome is what an authentication event is about; refusal is nil for success.
func outcome(ctx context.Context, kind, userID, email string, refusal error) identity.Authentication {
	a := identity.Authentication{Type: kind, UserID: userID, Email: email, Client: identity.ClientOf(ctx)}
	if refusal != nil {
		f := fault.From(refusal)
		a.Failed, a.ErrorCode, a.Error = true, f.Code, f.Message
	}
	return a
}

func oneTime(code, message string) error {
	return fault.New(fault.Invalid, "%s", message).WithCode(code)
}

// ResetToken returns the unspent, unexpired password reset that a token is for.
func (e *Env) ResetToken(ctx context.Context, token string) (identity.MailCode, error) {
	c, _, err := e.scanMailCode(e.db.row(ctx, "SELECT "+mailCodeColumns+" FROM mail_codes WHERE hash = $2 AND environment_id = $1 AND kind = 'password_reset' AND used_at = 0 AND expires_at > $3",
		e.ID, e.codeMAC(identity.PasswordReset, "", token), millis(e.db.now())))
	if isNoRows(err) {
		return c, fault.New(fault.NotFound, "The password reset token is not valid any more.").WithCode("password_reset_token_invalid")
	}
	return c, err
}

// ResetPassword spends a reset token: the user gets the new password, all its
// sessions end, those of applications too, and its address counts as verified, since the mail arrived.
func (e *Env) ResetPassword(ctx context.Context, token, passwordHash string) (identity.User, error) {
	var u identity.User
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.resetEndsPause(tx, token); err != nil {
			return err
		}
		now := millis(e.db.now())
		c, _, err := e.scanMailCode(tx.row("UPDATE mail_codes SET used_at = $3 WHERE hash = $2 AND environment_id = $1 AND kind = 'password_reset' AND used_at = 0 AND expires_at > $3 RETURNING "+mailCodeColumns,
			e.ID, e.codeMAC(identity.PasswordReset, "", token), now))
		if isNoRows(err) {
			return fault.New(fault.NotFound, "The password reset token is not valid any more.").WithCode("password_reset_token_invalid")
		}
		if err != nil {
			return err
		}
		u, err = scanUser(tx.row("UPDATE users SET password_hash = $3, email_verified = 1, updated_at = $4 WHERE environment_id = $1 AND id = $2 RETURNING "+userColumns, e.ID, c.UserID, passwordHash, now))
		if err != nil {
			return err
		}
		if err := e.record(tx, happened{name: "password_reset.succeeded", about: c}, happened{name: "user.updated", about: u}); err != nil {
			return err
		}
		if _, err = e.revokeSessions(tx, "user_id = $3", c.UserID); err != nil {
			return err
		}
		return e.endGrants(tx, c.UserID, "") // RFC 9700 section 4.14.2: a password change is such an event
	})
	return u, err
}

// VerifyEmail marks the user's present address as verified. An address that
// changed meanwhile is not.
func (e *Env) VerifyEmail(ctx context.Context, userID, email string) (identity.User, error) {
	var u identity.User
	err := e.db.write(ctx, func(tx *tx) (err error) {
		u, err = scanUser(tx.row("UPDATE users SET email_verified = 1, updated_at = $4 WHERE environment_id = $1 AND id = $2 AND email_key = $3 RETURNING "+userColumns,
			e.ID, userID, identity.EmailKey(email), millis(e.db.now())))
		if isNoRows(err) {
			return notFound("user", userID)
		}
		if err != nil {
			return err
		}
		return e.record(tx, happened{name: "user.updated", about: u})
	})
	return u, err
}

// ProveEmail is VerifyEmail for somebody who showed nothing but the mail: a
// password that was set before the address was proven may be another person's,
// so it goes.
func (e *Env) ProveEmail(ctx context.Context, userID, email string) (identity.User, error) {
	var u identity.User
	err := e.db.write(ctx, func(tx *tx) (err error) {
		args := []any{e.ID, userID, identity.EmailKey(email), millis(e.db.now())}
		u, err = scanUser(tx.row(`UPDATE users SET password_hash = '', email_verified = 1, updated_at = $4
			WHERE environment_id = $1 AND id = $2 AND email_key = $3 AND email_verified = 0 RETURNING `+userColumns, args...))
		if err == nil {
			return e.record(tx, happened{name: "user.updated", about: u})
		}
		if isNoRows(err) { // proven before, or another's: nothing changes
			u, err = scanUser(tx.row("SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND id = $2 AND email_key = $3", args[:3]...))
		}
		if isNoRows(err) {
			return notFound("user", userID)
		}
		return err
	})
	return u, err
}

// AddMessage puts a mail into the inbox; the oldest ones make room.
func (e *Env) AddMessage(ctx context.Context, m identity.Message) error {
	m.ID, m.CreatedAt = identity.NewID(identity.PrefixMessage), e.db.now()
	body, err := json.Marshal([]string{m.Text, m.Code, m.Link, m.Subject}) // the subject begins with the code
	if err != nil {
		return err
	}
	return e.db.write(ctx, func(tx *tx) error {
		if _, err := tx.exec("INSERT INTO messages (id, environment_id, recipient, recipient_key, kind, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			m.ID, e.ID, m.To, identity.EmailKey(m.To), m.Kind, e.db.box.Seal("message", m.ID, body), millis(m.CreatedAt)); err != nil {
			return err
		}
		_, err := tx.exec("DELETE FROM messages WHERE environment_id = $1 AND id < (SELECT id FROM messages WHERE environment_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)", e.ID, keptMessages)
		return err
	})
}

// Messages returns the newest mails first, optionally of one recipient and
// those after a time.
func (e *Env) Messages(ctx context.Context, to string, since time.Time, limit int) ([]identity.Message, error) {
	var all []identity.Message
	err := e.db.list(ctx, `SELECT id, recipient, kind, body, created_at FROM messages
		WHERE environment_id = $1 AND ($2 = '' OR recipient_key = $2) AND created_at >= $3 ORDER BY id DESC LIMIT $4`, func(s scanner) error {
		m, err := e.scanMessage(s)
		all = append(all, m)
		return err
	}, e.ID, identity.EmailKey(to), millis(since), limit)
	return all, err
}

// Message returns one mail.
func (e *Env) Message(ctx context.Context, id string) (identity.Message, error) {
	m, err := e.scanMessage(e.db.row(ctx, "SELECT id, recipient, kind, body, created_at FROM messages WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return m, notFound("message", id)
	}
	return m, err
}

func (e *Env) scanMessage(s scanner) (identity.Message, error) {
	var m identity.Message
	var sealed []byte
	var created int64
	if err := s.Scan(&m.ID, &m.To, &m.Kind, &sealed, &created); err != nil {
		return m, err
	}
	plain, err := e.db.box.Open("message", m.ID, sealed)
	if err != nil {
		return m, err
	}
	var body []string
	if err := json.Unmarshal(plain, &body); err != nil {
		return m, err
	}
	m.Text, m.Code, m.Link, m.Subject, m.CreatedAt = body[0], body[1], body[2], body[3], fromMillis(created)
	return m, nil
}
