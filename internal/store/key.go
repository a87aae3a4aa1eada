package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const keyColumns = "kid, algorithm, private, public_jwk, created_at"

func (db *DB) scanKey(s scanner) (identity.SigningKey, error) {
	var k identity.SigningKey
	var created int64
	if err := s.Scan(&k.KID, &k.Algorithm, &k.Private, &k.PublicJWK, &created); err != nil {
		return k, err
	}
	k.CreatedAt = fromMillis(created)
	var err error
	k.Private, err = db.box.Open("signing key", k.KID, k.Private)
	return k, err
}

func (db *DB) insertKey(tx *tx, k identity.SigningKey, environmentID any, current bool) error {
	_, err := tx.exec("INSERT INTO signing_keys (environment_id, current, "+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7)",
		environmentID, current, k.KID, k.Algorithm, db.box.Seal("signing key", k.KID, k.Private), k.PublicJWK, millis(k.CreatedAt))
	return err
}

// AddReadyKeys puts key pairs into the pool. Private keys are plain PKCS #8
// here and sealed on disk.
func (db *DB) AddReadyKeys(ctx context.Context, keys ...identity.SigningKey) error {
	return db.write(ctx, func(tx *tx) error {
		for _, k := range keys {
			if err := db.insertKey(tx, k, nil, false); err != nil {
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

// ErrNoReadyKey says that the environment has no key and the pool is empty.
var ErrNoReadyKey = fault.New(fault.Unavailable, "no signing key is ready")

// SigningKey returns the environment's current key. Its first use takes one
// from the pool; with an empty pool the error is ErrNoReadyKey.
func (e *Env) SigningKey(ctx context.Context) (identity.SigningKey, error) {
	const current = "SELECT " + keyColumns + " FROM signing_keys WHERE environment_id = $1 AND current = 1"
	k, err := e.db.scanKey(e.db.row(ctx, current, e.ID))
	if !isNoRows(err) {
		return k, err
	}
	err = e.db.write(ctx, func(tx *tx) (err error) {
		k, err = e.db.scanKey(tx.row(current, e.ID))
		if !isNoRows(err) {
			return err
		}
		k, err = e.db.scanKey(tx.row(`UPDATE signing_keys SET environment_id = $1, current = 1
			WHERE kid = (SELECT kid FROM signing_keys WHERE environment_id IS NULL ORDER BY kid LIMIT 1) RETURNING `+keyColumns, e.ID))
		if isNoRows(err) {
			return ErrNoReadyKey
		}
		return err
	})
	return k, err
}

// PutSigningKey gives the environment its first key and returns the current
// one: k, or the one that another caller put first.
func (e *Env) PutSigningKey(ctx context.Context, k identity.SigningKey) (identity.SigningKey, error) {
	err := e.db.write(ctx, func(tx *tx) error {
		have, err := e.db.scanKey(tx.row("SELECT "+keyColumns+" FROM signing_keys WHERE environment_id = $1 AND current = 1", e.ID))
		if err == nil {
			k = have
			return nil
		}
		if !isNoRows(err) {
			return err
		}
		return e.db.insertKey(tx, k, e.ID, true)
	})
	return k, err
}

// PublicKeys returns the public JWKs that verify this environment's tokens,
// the current one first.
func (e *Env) PublicKeys(ctx context.Context) ([]string, error) {
	var all []string
	err := e.db.list(ctx, "SELECT public_jwk FROM signing_keys WHERE environment_id = $1 ORDER BY current DESC, kid DESC", func(s scanner) error {
		var jwk string
		err := s.Scan(&jwk)
		all = append(all, jwk)
		return err
	}, e.ID)
	return all, err
}
