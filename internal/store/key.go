package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const (
	publicKeyColumns = "kid, algorithm, public_jwk, created_at, environment_id IS NOT NULL, current, published_at, signs_at, retired_at, remove_at"
	keyColumns       = publicKeyColumns + ", private"
	currentKey       = "SELECT " + keyColumns + " FROM signing_keys WHERE environment_id = $1 AND current = 1"
)

func scanPublicKey(s scanner, more ...any) (identity.SigningKey, error) {
	var k identity.SigningKey
	var placed, current bool
	var created, published, signs, retired, remove int64
	err := s.Scan(append([]any{&k.KID, &k.Algorithm, &k.PublicJWK, &created, &placed, &current, &published, &signs, &retired, &remove}, more...)...)
	k.CreatedAt, k.PublishedAt, k.SignsAt, k.RetiredAt, k.RemoveAt = fromMillis(created), fromMillis(published), fromMillis(signs), fromMillis(retired), fromMillis(remove)
	switch {
	case !placed:
	case current:
		k.State = identity.KeyCurrent
	case retired > 0:
		k.State = identity.KeyRetired
	default:
		k.State = identity.KeyNext
	}
	return k, err
}

func (db *DB) scanKey(s scanner) (identity.SigningKey, error) {
	var private []byte
	k, err := scanPublicKey(s, &private)
	if err != nil {
		return k, err
	}
	k.Private, err = db.box.Open("signing key", k.KID, private)
	return k, err
}

// insertKey keeps a key: in the pool when it has no state.
func (db *DB) insertKey(tx *tx, k identity.SigningKey, environmentID any) error {
	_, err := tx.exec(`INSERT INTO signing_keys (environment_id, current, kid, algorithm, private, public_jwk, created_at, published_at, signs_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, environmentID, k.State == identity.KeyCurrent, k.KID, k.Algorithm,
		db.box.Seal("signing key", k.KID, k.Private), k.PublicJWK, millis(k.CreatedAt), millis(k.PublishedAt), millis(k.SignsAt))
	return err
}

// AddReadyKeys puts RS256 key pairs into the pool. Private keys are plain
// PKCS #8 here and sealed on disk.
func (db *DB) AddReadyKeys(ctx context.Context, keys ...identity.SigningKey) error {
	return db.write(ctx, func(tx *tx) error {
		for _, k := range keys {
			if err := db.insertKey(tx, k, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReadyKeys returns how many key pairs wait in the pool.
func (db *DB) ReadyKeys(ctx context.Context) (int, error) {
	var n int
	err := db.row(ctx, "SELECT count(*) FROM signing_keys WHERE environment_id IS NULL").Scan(&n)
	return n, err
}

// ErrNoReadyKey says that the environment needs a key that is not in the pool.
var ErrNoReadyKey = fault.New(fault.Unavailable, "no signing key is ready")

// wantedAlgorithm is what the settings ask for. It is read from the database:
// a cached environment may be older than the last change.
func (e *Env) wantedAlgorithm(row scanner) (string, error) {
	var data []byte
	var v identity.Settings
	err := row.Scan(&data)
	if isNoRows(err) {
		return "", notFound("environment", e.ID)
	}
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	return v.Tokens.SigningAlgorithm(), err
}

const settingsOf = "SELECT settings FROM environments WHERE id = $1"

// SigningKey returns the key that signs the environment's tokens. When there is
// none of the algorithm that the settings ask for, it takes one from the pool,
// and what signed until now retires; changed then is true. When the pool has
// none, the error is ErrNoReadyKey and the Algorithm of k says which to make.
func (e *Env) SigningKey(ctx context.Context) (k identity.SigningKey, changed bool, err error) {
	wanted, err := e.wantedAlgorithm(e.db.row(ctx, settingsOf, e.ID))
	if err != nil {
		return k, false, err
	}
	k, err = e.db.scanKey(e.db.row(ctx, currentKey, e.ID))
	if err == nil && k.Algorithm == wanted || err != nil && !isNoRows(err) {
		return k, false, err
	}
	return e.PutSigningKey(ctx, identity.SigningKey{})
}

// PutSigningKey makes k the environment's current key if it still needs one of
// its algorithm, and returns the current one: k, or the one that another caller
// put first. It is otherwise like SigningKey.
func (e *Env) PutSigningKey(ctx context.Context, k identity.SigningKey) (out identity.SigningKey, changed bool, err error) {
	now := e.db.now()
	err = e.db.write(ctx, func(tx *tx) error {
		out, changed = identity.SigningKey{}, false
		wanted, err := e.wantedAlgorithm(tx.row(settingsOf, e.ID))
		if err != nil {
			return err
		}
		out, err = e.db.scanKey(tx.row(currentKey, e.ID))
		if err == nil && out.Algorithm == wanted || err != nil && !isNoRows(err) {
			return err
		}
		out = k
		if k.Algorithm != wanted {
			out, err = e.db.scanKey(tx.row("SELECT "+keyColumns+" FROM signing_keys WHERE environment_id IS NULL AND algorithm = $1 ORDER BY kid LIMIT 1", wanted))
			if isNoRows(err) {
				out, err = identity.SigningKey{Algorithm: wanted}, ErrNoReadyKey
			}
			if err != nil {
				return err
			}
			if _, err := tx.exec("DELETE FROM signing_keys WHERE kid = $1", out.KID); err != nil {
				return err
			}
		}
		// A next key of the other algorithm has signed nothing and never will.
		if _, err := tx.exec("DELETE FROM signing_keys WHERE environment_id = $1 AND current = 0 AND retired_at = 0", e.ID); err != nil {
			return err
		}
		if err := retireKey(tx, e.ID, now); err != nil {
			return err
		}
		out.State, out.PublishedAt, out.SignsAt, changed = identity.KeyCurrent, now, now, true
		return e.db.insertKey(tx, out, e.ID)
	})
	return out, changed, err
}

// retireKey ends the signing of an environment's current key, if it has one.
func retireKey(tx *tx, environmentID string, now time.Time) error {
	_, err := tx.exec("UPDATE signing_keys SET current = 0, retired_at = $2, remove_at = $3 WHERE environment_id = $1 AND current = 1",
		environmentID, millis(now), millis(now.Add(identity.KeyKept)))
	return err
}

// RotateSigningKey replaces the environment's key by k, which has the
// algorithm of the settings. It is published now and signs KeyLead later (see
// AdvanceKeys); while another one waits for that, k is not used. With atOnce k
// signs now and every other key is gone, so the tokens that they signed are
// refused from now on: for a key that somebody else may know.
func (e *Env) RotateSigningKey(ctx context.Context, k identity.SigningKey, atOnce bool) error {
	now := e.db.now()
	return e.db.write(ctx, func(tx *tx) error {
		wanted, err := e.wantedAlgorithm(tx.row(settingsOf, e.ID))
		if err != nil {
			return err
		}
		if k.Algorithm != wanted {
			return fault.New(fault.Conflict, "the algorithm of the environment was changed meanwhile").WithFix("try again").WithCode("algorithm_changed")
		}
		next := k
		next.State, next.PublishedAt, next.SignsAt = identity.KeyNext, now, now.Add(identity.KeyLead)
		if atOnce {
			next.State, next.SignsAt = identity.KeyCurrent, now
			if _, err := tx.exec("DELETE FROM signing_keys WHERE environment_id = $1", e.ID); err != nil {
				return err
			}
		} else {
			var have, waiting int
			if err := tx.row("SELECT count(*), coalesce(sum(current = 0 AND retired_at = 0), 0) FROM signing_keys WHERE environment_id = $1", e.ID).Scan(&have, &waiting); err != nil {
				return err
			}
			if waiting > 0 {
				return nil
			}
			if have == 0 { // nobody can have cached a set without it
				next.State, next.SignsAt = identity.KeyCurrent, now
			}
		}
		if err := e.db.insertKey(tx, next, e.ID); err != nil {
			return err
		}
		action := "signing_key.rotated"
		if atOnce {
			action = "signing_key.replaced"
		}
		return e.audit(tx, action, k.KID)
	})
}

// PublicKeys returns the keys that verify this environment's tokens, without
// their private part: the current one first, then the next, then the retired
// ones, newest first.
func (e *Env) PublicKeys(ctx context.Context) ([]identity.SigningKey, error) {
	var all []identity.SigningKey
	err := e.db.list(ctx, "SELECT "+publicKeyColumns+" FROM signing_keys WHERE environment_id = $1 ORDER BY current DESC, retired_at > 0, retired_at DESC, kid", func(s scanner) error {
		k, err := scanPublicKey(s)
		all = append(all, k)
		return err
	}, e.ID)
	return all, err
}

// AdvanceKeys lets the next keys sign whose time has come and removes retired
// ones whose last token is over. It returns the ids of the environments whose
// keys changed.
func (db *DB) AdvanceKeys(ctx context.Context) ([]string, error) {
	const (
		due  = "environment_id IS NOT NULL AND current = 0 AND retired_at = 0 AND signs_at <= $1"
		over = "remove_at > 0 AND remove_at <= $1"
	)
	now := db.now()
	var n int
	if err := db.row(ctx, "SELECT (SELECT count(*) FROM signing_keys WHERE "+due+") + (SELECT count(*) FROM signing_keys WHERE "+over+")", millis(now)).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	var changed []string
	err := db.write(ctx, func(tx *tx) error {
		changed = nil
		ids := func(into *[]string) func(scanner) error {
			return func(s scanner) error {
				var id string
				err := s.Scan(&id)
				*into = append(*into, id)
				return err
			}
		}
		if err := tx.rows("DELETE FROM signing_keys WHERE "+over+" RETURNING environment_id", ids(&changed), millis(now)); err != nil {
			return err
		}
		var next []string
		if err := tx.rows("SELECT environment_id FROM signing_keys WHERE "+due, ids(&next), millis(now)); err != nil {
			return err
		}
		for _, id := range next {
			if err := retireKey(tx, id, now); err != nil {
				return err
			}
			// The one that has just retired is no longer next: retired_at is set.
			if _, err := tx.exec("UPDATE signing_keys SET current = 1, signs_at = $2 WHERE environment_id = $1 AND current = 0 AND retired_at = 0", id, millis(now)); err != nil {
				return err
			}
		}
		changed = append(changed, next...)
		return nil
	})
	return changed, err
}
