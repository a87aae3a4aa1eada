package store

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/identity"
)

// Wrong passwords in a row: so many within so long begin a pause, which every
// further one doubles up to the longest. Pauses end by themselves, because
// anybody can cause one for anybody's address.
const (
	MaxPasswordFailures = 10
	PasswordWindow      = 15 * time.Minute
	FirstPasswordPause  = time.Minute
	LongestPause        = 15 * time.Minute
)

// passwordPause is the pause after so many failures in a row.
func passwordPause(failures int) time.Duration {
	pause := FirstPasswordPause
	for range failures - MaxPasswordFailures {
		if pause *= 2; pause >= LongestPause {
			return LongestPause
		}
	}
	return pause
}

func (e *Env) addressMAC(emailKey string) []byte {
	return e.db.box.Authenticator("password failures").Sum([]byte(e.ID), []byte(emailKey))
}

// PasswordPaused reports whether passwords for an address are to be taken as
// wrong, whether or not a user has it.
func (e *Env) PasswordPaused(ctx context.Context, email string) (bool, error) {
	var until int64
	err := e.db.row(ctx, "SELECT paused_until FROM password_failures WHERE address = $1", e.addressMAC(identity.EmailKey(email))).Scan(&until)
	if isNoRows(err) {
		return false, nil
	}
	return until > millis(e.db.now()), err
}

// PasswordFailed counts a wrong password for an address. One within a pause
// changes nothing: a pause cannot be prolonged from outside.
func (e *Env) PasswordFailed(ctx context.Context, email string) error {
	address := e.addressMAC(identity.EmailKey(email))
	return e.db.write(ctx, func(tx *tx) error {
		now := e.db.now()
		var failures int
		var since, until int64
		err := tx.row("SELECT failures, since, paused_until FROM password_failures WHERE address = $1", address).Scan(&failures, &since, &until)
		if err != nil && !isNoRows(err) {
			return err
		}
		if until > millis(now) {
			return nil
		}
		if max(since, until) <= millis(now.Add(-PasswordWindow)) {
			failures, since = 0, millis(now)
		}
		failures, until = failures+1, 0
		if failures >= MaxPasswordFailures {
			until = millis(now.Add(passwordPause(failures)))
		}
		_, err = tx.exec(`INSERT INTO password_failures (address, environment_id, failures, since, paused_until) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (address) DO UPDATE SET failures = excluded.failures, since = excluded.since, paused_until = excluded.paused_until`,
			address, e.ID, failures, since, until)
		return err
	})
}

// PasswordRight ends the run of wrong passwords of an address, unless a pause
// began while the password was being checked: then it reports false.
func (e *Env) PasswordRight(ctx context.Context, email string) (bool, error) {
	address := e.addressMAC(identity.EmailKey(email))
	var until int64
	err := e.db.row(ctx, "SELECT paused_until FROM password_failures WHERE address = $1", address).Scan(&until)
	if isNoRows(err) {
		return true, nil // the usual case writes nothing
	}
	if err != nil || until > millis(e.db.now()) {
		return false, err
	}
	return true, e.db.write(ctx, func(tx *tx) error { return tx.forgetFailures(address) })
}

func (t *tx) forgetFailures(address []byte) error {
	_, err := t.exec("DELETE FROM password_failures WHERE address = $1", address)
	return err
}

// passwordSet ends the pause of a user whose new password is about to be
// written by somebody with the right to.
func (e *Env) passwordSet(tx *tx, u identity.User) error {
	var before string
	err := tx.row("SELECT password_hash FROM users WHERE environment_id = $1 AND id = $2", e.ID, u.ID).Scan(&before)
	if isNoRows(err) || err == nil && before == u.PasswordHash {
		return nil // no such user: the update says so
	}
	if err != nil {
		return err
	}
	return tx.forgetFailures(e.addressMAC(identity.EmailKey(u.Email)))
}

// resetEndsPause ends the pause of the user whose reset token is about to be
// spent, in the same transaction: a token that is refused undoes it.
func (e *Env) resetEndsPause(tx *tx, token string) error {
	var email string
	err := tx.row(`SELECT u.email_key FROM mail_codes c JOIN users u ON u.id = c.user_id
		WHERE c.hash = $2 AND c.environment_id = $1 AND c.kind = 'password_reset'`, e.ID, e.codeMAC(identity.PasswordReset, "", token)).Scan(&email)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.forgetFailures(e.addressMAC(email))
}

// sweepFailures removes runs that count no more.
func (t *tx) sweepFailures(now time.Time) error {
	before := millis(now.Add(-PasswordWindow))
	_, err := t.exec("DELETE FROM password_failures WHERE since <= $1 AND paused_until <= $1", before)
	return err
}
