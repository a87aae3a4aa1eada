package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const deviceColumns = `id, coalesce(application_id, ''), hash, user_code, status, coalesce(user_id, ''), organization_id, scopes, resource, auth_method,
	auth_time, interval_seconds, polled_at, expires_at`

func scanDevice(s scanner) (identity.Device, error) {
	var d identity.Device
	var scopes string
	var at, interval, polled, expires int64
	err := s.Scan(&d.ID, &d.ApplicationID, &d.Hash, &d.UserCode, &d.Status, &d.UserID, &d.OrganizationID, &scopes, &d.Resource, &d.AuthMethod,
		&at, &interval, &polled, &expires)
	if err != nil {
		return d, err
	}
	d.AuthTime, d.Interval, d.PolledAt, d.ExpiresAt = fromMillis(at), time.Duration(interval)*time.Second, fromMillis(polled), fromMillis(expires)
	if err := json.Unmarshal([]byte(scopes), &d.Scopes); err != nil {
		return d, fmt.Errorf("read scopes of %s: %w", d.ID, err)
	}
	return d, nil
}

// AddDevice keeps a device authorization until it expires. A user code that
// another device has is a Conflict with the code user_code_taken.
func (e *Env) AddDevice(ctx context.Context, d identity.Device) (identity.Device, error) {
	d.ID, d.Status = identity.NewID(identity.PrefixDeviceAuthorization), identity.DevicePending
	err := e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO device_authorizations (id, environment_id, application_id, hash, user_code, status, scopes, resource, interval_seconds, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, $9, $10)`, d.ID, e.ID, orNull(d.ApplicationID), d.Hash, d.UserCode,
			scopesText(d.Scopes), d.Resource, int64(d.Interval/time.Second), millis(d.ExpiresAt), millis(e.db.now()))
		if isUnique(err) {
			return fault.New(fault.Conflict, "the user code is taken").WithCode("user_code_taken")
		}
		return err
	})
	return d, err
}

// ErrDevice says that no device waits: the code is unknown, too old, or
// somebody has answered already. Which of them is not told.
var ErrDevice = fault.New(fault.Invalid, "No device waits for this code.").
	WithFix("Start again on the device.").WithCode("device_unknown")

// EnvByUserCode returns the device that waits under a user code, and its
// environment. Anything else is ErrDevice.
func (db *DB) EnvByUserCode(ctx context.Context, userCode string) (*Env, identity.Device, error) {
	var clientID, id string
	err := db.row(ctx, `SELECT e.client_id, d.id FROM device_authorizations d JOIN environments e ON e.id = d.environment_id
		WHERE d.user_code = $1 AND d.status = 'pending' AND d.expires_at > $2`, userCode, millis(db.now())).Scan(&clientID, &id)
	if isNoRows(err) {
		return nil, identity.Device{}, ErrDevice
	}
	if err != nil {
		return nil, identity.Device{}, err
	}
	e, err := db.EnvByClientID(ctx, clientID)
	if err != nil {
		return nil, identity.Device{}, err
	}
	d, err := e.WaitingDevice(ctx, id)
	return e, d, err
}

// WaitingDevice returns a device that still waits, or ErrDevice.
func (e *Env) WaitingDevice(ctx context.Context, id string) (identity.Device, error) {
	d, err := scanDevice(e.db.row(ctx, "SELECT "+deviceColumns+" FROM device_authorizations WHERE environment_id = $1 AND id = $2 AND status = 'pending' AND expires_at > $3",
		e.ID, id, millis(e.db.now())))
	if isNoRows(err) {
		return d, ErrDevice
	}
	return d, err
}

// ApproveDevice signs a waiting device in as d says: its user, organization and
// how they were proven. It is ErrDevice when it does not wait any more.
func (e *Env) ApproveDevice(ctx context.Context, d identity.Device) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE device_authorizations SET status = 'approved', user_id = $3, organization_id = $4, auth_method = $5, auth_time = $6
			WHERE environment_id = $1 AND id = $2 AND status = 'pending' AND expires_at > $7`, e.ID, d.ID, d.UserID, d.OrganizationID, d.AuthMethod, millis(d.AuthTime), millis(e.db.now()))
		if err == nil && n == 0 {
			return ErrDevice
		}
		return err
	})
}

// DenyDevice refuses a waiting device.
func (e *Env) DenyDevice(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("UPDATE device_authorizations SET status = 'denied' WHERE environment_id = $1 AND id = $2 AND status = 'pending' AND expires_at > $3", e.ID, id, millis(e.db.now()))
		if err == nil && n == 0 {
			return ErrDevice
		}
		return err
	})
}

// Poll is the outcome of a device's question.
type Poll int

// What a device is told (RFC 8628 section 3.5).
const (
	PollUnknown  Poll = iota // invalid_grant: never made, of another client, or spent
	PollPending              // authorization_pending
	PollTooSoon              // slow_down: the interval is 5 seconds longer from now on
	PollDenied               // access_denied
	PollExpired              // expired_token
	PollApproved             // spent now: this caller, and no other, gets the tokens
)

// slowDown is what slow_down adds to the interval (RFC 8628 section 3.5).
const slowDown = 5 * time.Second

// pollGrace is by how much a question may come early: clocks and networks are
// not exact to the millisecond.
const pollGrace = 500 * time.Millisecond

// poll answers the device that holds a device code, and spends an approved one:
// of many callers exactly one is told so.
func (e *Env) poll(tx *tx, hash []byte, applicationID string, now time.Time) (identity.Device, Poll, error) {
	const mine = "environment_id = $1 AND hash = $2 AND coalesce(application_id, '') = $3"
	d, err := scanDevice(tx.row("UPDATE device_authorizations SET status = 'redeemed' WHERE "+mine+" AND status = 'approved' AND expires_at > $4 RETURNING "+deviceColumns,
		e.ID, hash, applicationID, millis(now)))
	if err == nil || !isNoRows(err) {
		return d, PollApproved, err
	}
	d, err = scanDevice(tx.row("SELECT "+deviceColumns+" FROM device_authorizations WHERE "+mine, e.ID, hash, applicationID))
	switch {
	case isNoRows(err):
		return d, PollUnknown, nil
	case err != nil:
		return d, PollUnknown, err
	case d.Status == identity.DeviceRedeemed:
		return d, PollUnknown, nil
	case d.Status == identity.DeviceDenied:
		return d, PollDenied, nil
	case !d.ExpiresAt.After(now):
		return d, PollExpired, nil
	}
	outcome := PollPending
	if now.Sub(d.PolledAt) < d.Interval-pollGrace {
		outcome, d.Interval = PollTooSoon, d.Interval+slowDown
	}
	_, err = tx.exec("UPDATE device_authorizations SET polled_at = $3, interval_seconds = $4 WHERE environment_id = $1 AND id = $2",
		e.ID, d.ID, millis(now), int64(d.Interval/time.Second))
	return d, outcome, err
}

// RedeemDevice answers a device of the environment itself. With PollApproved it
// opened s for the user who signed in.
func (e *Env) RedeemDevice(ctx context.Context, hash []byte, s identity.Session) (identity.Session, identity.User, Poll, error) {
	var u identity.User
	var outcome Poll
	err := e.db.write(ctx, func(tx *tx) error {
		now := e.db.now()
		var d identity.Device
		var err error
		if d, outcome, err = e.poll(tx, hash, "", now); err != nil || outcome != PollApproved {
			return err
		}
		s.UserID, s.OrganizationID, s.AuthMethod = d.UserID, d.OrganizationID, d.AuthMethod
		u, err = e.openSession(tx, &s, now)
		return err
	})
	return s, u, outcome, err
}
