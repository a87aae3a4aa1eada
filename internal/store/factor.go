package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

const factorColumns = "id, coalesce(user_id, ''), issuer, account, secret, verified_at, created_at, updated_at"

func (e *Env) scanFactor(s scanner) (identity.Factor, error) {
	var f identity.Factor
	var sealed []byte
	var verified, created, updated int64
	if err := s.Scan(&f.ID, &f.UserID, &f.Issuer, &f.Account, &sealed, &verified, &created, &updated); err != nil {
		return f, err
	}
	plain, err := e.db.box.Open("totp secret", f.ID, sealed)
	f.Secret, f.VerifiedAt, f.CreatedAt, f.UpdatedAt = secret.String(plain), fromMillis(verified), fromMillis(created), fromMillis(updated)
	return f, err
}

func (e *Env) insertFactor(tx *tx, f identity.Factor, lastStep int64) error {
	var user any
	if f.UserID != "" {
		var found int
		err := tx.row("SELECT 1 FROM users WHERE environment_id = $1 AND id = $2", e.ID, f.UserID).Scan(&found)
		if isNoRows(err) {
			return notFound("user", f.UserID)
		}
		if err != nil {
			return err
		}
		user = f.UserID
	}
	_, err := tx.exec(`INSERT INTO auth_factors (id, environment_id, user_id, issuer, account, secret, verified_at, last_step, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`, f.ID, e.ID, user, f.Issuer, f.Account,
		e.db.box.Seal("totp secret", f.ID, []byte(f.Secret.Reveal())), millis(f.VerifiedAt), lastStep, millis(f.CreatedAt))
	return err
}

// AddFactor keeps a factor that no code was seen of yet, with the challenge
// that the first code answers.
func (e *Env) AddFactor(ctx context.Context, f identity.Factor) (identity.Factor, identity.Challenge, error) {
	now := e.db.now()
	f.ID, f.VerifiedAt, f.CreatedAt, f.UpdatedAt = identity.NewID(identity.PrefixFactor), fromMillis(0), now, now
	var c identity.Challenge
	err := e.db.write(ctx, func(tx *tx) (err error) {
		if err = e.insertFactor(tx, f, 0); err == nil {
			c, err = e.insertChallenge(tx, f.ID)
		}
		return err
	})
	return f, c, err
}

// AddFirstFactor keeps a factor whose code of the time step was right. It is
// refused when the user has a verified factor: a page that was opened before
// that must not add one more.
func (e *Env) AddFirstFactor(ctx context.Context, f identity.Factor, step int64) (identity.Factor, error) {
	now := e.db.now()
	f.ID, f.VerifiedAt, f.CreatedAt, f.UpdatedAt = identity.NewID(identity.PrefixFactor), now, now, now
	err := e.db.write(ctx, func(tx *tx) error {
		var n int
		if err := tx.row("SELECT count(*) FROM auth_factors WHERE environment_id = $1 AND user_id = $2 AND verified_at > 0", e.ID, f.UserID).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "The account has an authenticator app already.").WithCode("factor_exists")
		}
		return e.insertFactor(tx, f, step)
	})
	return f, err
}

// Factor returns a factor by id.
func (e *Env) Factor(ctx context.Context, id string) (identity.Factor, error) {
	f, err := e.scanFactor(e.db.row(ctx, "SELECT "+factorColumns+" FROM auth_factors WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return f, notFound("authentication factor", id)
	}
	return f, err
}

// Factors returns a page of a user's factors.
func (e *Env) Factors(ctx context.Context, userID string, p Page) (list []identity.Factor, before, after string, err error) {
	cond, order, more := p.where(3)
	err = e.db.list(ctx, "SELECT "+factorColumns+" FROM auth_factors WHERE environment_id = $1 AND user_id = $2"+cond+order, func(s scanner) error {
		f, err := e.scanFactor(s)
		list = append(list, f)
		return err
	}, append([]any{e.ID, userID}, more...)...)
	list, before, after = cut(list, p, func(f identity.Factor) string { return f.ID })
	return list, before, after, err
}

// VerifiedFactors returns the factors that a sign-in of the user is asked for.
func (e *Env) VerifiedFactors(ctx context.Context, userID string) (list []identity.Factor, err error) {
	err = e.db.list(ctx, "SELECT "+factorColumns+" FROM auth_factors WHERE environment_id = $1 AND user_id = $2 AND verified_at > 0 ORDER BY id", func(s scanner) error {
		f, err := e.scanFactor(s)
		list = append(list, f)
		return err
	}, e.ID, userID)
	return list, err
}

// DeleteFactor removes a factor with its challenges.
func (e *Env) DeleteFactor(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM auth_factors WHERE environment_id = $1 AND id = $2", e.ID, id)
		if err == nil && n == 0 {
			return notFound("authentication factor", id)
		}
		return err
	})
}

func (e *Env) insertChallenge(tx *tx, factorID string) (identity.Challenge, error) {
	now := e.db.now()
	c := identity.Challenge{ID: identity.NewID(identity.PrefixChallenge), FactorID: factorID, ExpiresAt: now.Add(identity.ChallengeLifetime), CreatedAt: now, UpdatedAt: now}
	_, err := tx.exec("INSERT INTO auth_challenges (id, factor_id, expires_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
		c.ID, factorID, millis(c.ExpiresAt), millis(now))
	return c, err
}

// AddChallenge begins a challenge of a factor.
func (e *Env) AddChallenge(ctx context.Context, factorID string) (identity.Challenge, error) {
	var c identity.Challenge
	err := e.db.write(ctx, func(tx *tx) error {
		var found int
		err := tx.row("SELECT 1 FROM auth_factors WHERE environment_id = $1 AND id = $2", e.ID, factorID).Scan(&found)
		if isNoRows(err) {
			return notFound("authentication factor", factorID)
		}
		if err == nil {
			c, err = e.insertChallenge(tx, factorID)
		}
		return err
	})
	return c, err
}

// Challenge returns a challenge with its factor.
func (e *Env) Challenge(ctx context.Context, id string) (identity.Challenge, identity.Factor, error) {
	var c identity.Challenge
	var verified, expires, created, updated int64
	err := e.db.row(ctx, `SELECT c.id, c.factor_id, c.verified_at, c.expires_at, c.created_at, c.updated_at FROM auth_challenges c
		JOIN auth_factors f ON f.id = c.factor_id WHERE f.environment_id = $1 AND c.id = $2`, e.ID, id).
		Scan(&c.ID, &c.FactorID, &verified, &expires, &created, &updated)
	if isNoRows(err) {
		return c, identity.Factor{}, notFound("authentication challenge", id)
	}
	if err != nil {
		return c, identity.Factor{}, err
	}
	c.VerifiedAt, c.ExpiresAt, c.CreatedAt, c.UpdatedAt = fromMillis(verified), fromMillis(expires), fromMillis(created), fromMillis(updated)
	f, err := e.Factor(ctx, c.FactorID)
	return c, f, err
}

// Match returns the newest time step whose code was given, or ok false when it
// is the code of none that is acceptable now.
type Match func(totpSecret secret.String) (step int64, ok bool)

// AnswerChallenge spends a challenge with the code that match holds. Wrong
// codes are counted, by the challenge and by its factor. Errors have the codes
// that the AuthKit protocol names for one-time codes.
func (e *Env) AnswerChallenge(ctx context.Context, id string, match Match) error {
	var refusal error
	err := e.db.write(ctx, func(tx *tx) error {
		refusal = nil
		now := millis(e.db.now())
		var factorID, userID, email string
		var attempts int
		var verified, expires int64
		err := tx.row(`SELECT c.factor_id, c.attempts, c.verified_at, c.expires_at, coalesce(u.id, ''), coalesce(u.email, '')
			FROM auth_challenges c JOIN auth_factors f ON f.id = c.factor_id LEFT JOIN users u ON u.id = f.user_id
			WHERE f.environment_id = $1 AND c.id = $2`, e.ID, id).Scan(&factorID, &attempts, &verified, &expires, &userID, &email)
		switch {
		case isNoRows(err):
			return notFound("authentication challenge", id)
		case err != nil:
			return err
		case verified != 0:
			refusal = oneTime("one_time_code_previously_used", "The authentication challenge was answered before.")
			return nil
		case expires <= now:
			refusal = oneTime("one_time_code_expired", "The authentication challenge has expired. Begin a new one.")
			return nil
		case attempts >= identity.MaxCodeAttempts:
			refusal = oneTime("one_time_code_too_many_attempts", "Too many wrong codes. Begin a new challenge.")
			return nil
		}
		if refusal, err = e.spendStep(tx, factorID, match); err != nil {
			return err
		}
		if err := e.record(tx, authenticated(outcome(ctx, "mfa", userID, email, refusal))); err != nil {
			return err
		}
		if refusal != nil {
			_, err = tx.exec("UPDATE auth_challenges SET attempts = attempts + 1, updated_at = $2 WHERE id = $1", id, now)
			return err
		}
		_, err = tx.exec("UPDATE auth_challenges SET verified_at = $2, updated_at = $2 WHERE id = $1", id, now)
		return err
	})
	if err == nil {
		err = refusal
	}
	return err
}

// AnswerFactors checks a code against each verified factor of a user, for
// pages that need no challenge of their own. Errors are AnswerChallenge's.
func (e *Env) AnswerFactors(ctx context.Context, userID string, match Match) error {
	var refusal error
	err := e.db.write(ctx, func(tx *tx) error {
		refusal = oneTime("invalid_one_time_code", "The code is not right.")
		var ids []string
		var email string
		if err := tx.rows(`SELECT f.id, u.email FROM auth_factors f JOIN users u ON u.id = f.user_id
			WHERE f.environment_id = $1 AND f.user_id = $2 AND f.verified_at > 0 ORDER BY f.id`, func(s scanner) error {
			var id string
			err := s.Scan(&id, &email)
			ids = append(ids, id)
			return err
		}, e.ID, userID); err != nil {
			return err
		}
		for _, id := range ids {
			var err error
			if refusal, err = e.spendStep(tx, id, match); err != nil {
				return err
			}
			if refusal == nil {
				break
			}
		}
		return e.record(tx, authenticated(outcome(ctx, "mfa", userID, email, refusal)))
	})
	if err == nil {
		err = refusal
	}
	return err
}

// spendStep accepts the code of a time step newer than the last accepted one
// (RFC 6238 section 5.2: a code works once) and bounds guessing.
func (e *Env) spendStep(tx *tx, factorID string, match Match) (refusal, err error) {
	now := e.db.now()
	var sealed []byte
	var last, failures, since int64
	if err := tx.row("SELECT secret, last_step, failures, failures_since FROM auth_factors WHERE id = $1", factorID).Scan(&sealed, &last, &failures, &since); err != nil {
		return nil, err
	}
	if since <= millis(now.Add(-identity.FactorWindow)) {
		failures, since = 0, millis(now)
	}
	if failures >= identity.MaxFactorFailures {
		return oneTime("one_time_code_too_many_attempts", "Too many wrong codes. Wait a quarter of an hour and try again."), nil
	}
	plain, err := e.db.box.Open("totp secret", factorID, sealed)
	if err != nil {
		return nil, err
	}
	step, ok := match(secret.String(plain))
	if ok && step > last {
		_, err = tx.exec("UPDATE auth_factors SET last_step = $2, failures = 0, verified_at = CASE WHEN verified_at = 0 THEN $3 ELSE verified_at END, updated_at = $3 WHERE id = $1",
			factorID, step, millis(now))
		return nil, err
	}
	refusal = oneTime("invalid_one_time_code", "The code is not right.")
	if ok {
		refusal = oneTime("one_time_code_previously_used", "The code was used before. Wait for the next one.")
	}
	_, err = tx.exec("UPDATE auth_factors SET failures = $2, failures_since = $3 WHERE id = $1", factorID, failures+1, since)
	return refusal, err
}
