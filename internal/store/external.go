package store

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// External is a sign-in that the environment's own application does.
type External struct {
	ID     string
	Flow   string // sealed
	UserID string // "" until it is complete
}

// AddExternal keeps a sealed sign-in while the application signs the person in.
func (e *Env) AddExternal(ctx context.Context, flow string, expires time.Time) (External, error) {
	x := External{ID: identity.NewID(identity.PrefixExternalAuthenticate), Flow: flow}
	err := e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO external_authentications (id, environment_id, flow, expires_at, created_at) VALUES ($1, $2, $3, $4, $5)", x.ID, e.ID, flow, millis(expires), millis(e.db.now()))
		return err
	})
	return x, err
}

// CompleteExternal says who signed in. A sign-in is completed once: later it is
// a Conflict with the code external_auth_session_already_completed.
func (e *Env) CompleteExternal(ctx context.Context, id, userID string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("UPDATE external_authentications SET user_id = $3 WHERE environment_id = $1 AND id = $2 AND user_id IS NULL AND expires_at > $4", e.ID, id, userID, millis(e.db.now()))
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "The sign-in was completed before.").WithCode("external_auth_session_already_completed")
		}
		return err
	})
}

const externalColumns = "id, flow, coalesce(user_id, '')"

func scanExternal(s scanner) (x External, err error) {
	err = s.Scan(&x.ID, &x.Flow, &x.UserID)
	return x, err
}

// External returns a sign-in that the application does or has done.
func (e *Env) External(ctx context.Context, id string) (External, error) {
	x, err := scanExternal(e.db.row(ctx, "SELECT "+externalColumns+" FROM external_authentications WHERE environment_id = $1 AND id = $2 AND expires_at > $3", e.ID, id, millis(e.db.now())))
	if isNoRows(err) {
		return x, notFound("external authentication", id)
	}
	return x, err
}

// ResumeExternal returns a completed sign-in to the browser, once.
func (e *Env) ResumeExternal(ctx context.Context, id string) (External, error) {
	var x External
	err := e.db.write(ctx, func(tx *tx) (err error) {
		x, err = scanExternal(tx.row(`UPDATE external_authentications SET resumed_at = $3 WHERE environment_id = $1 AND id = $2 AND user_id IS NOT NULL AND resumed_at = 0 AND expires_at > $3
			RETURNING `+externalColumns, e.ID, id, millis(e.db.now())))
		if isNoRows(err) {
			return notFound("external authentication", id)
		}
		return err
	})
	return x, err
}
