package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const endpointColumns = "id, url, events, secret, enabled, created_at, updated_at"

func (db *DB) scanEndpoint(s scanner) (identity.Endpoint, error) {
	var v identity.Endpoint
	var events string
	var sealed []byte
	var created, updated int64
	if err := s.Scan(&v.ID, &v.URL, &events, &sealed, &v.Enabled, &created, &updated); err != nil {
		return v, err
	}
	v.CreatedAt, v.UpdatedAt = fromMillis(created), fromMillis(updated)
	if err := json.Unmarshal([]byte(events), &v.Events); err != nil {
		return v, err
	}
	plain, err := db.box.Open("webhook secret", v.ID, sealed)
	v.Secret = string(plain)
	return v, err
}

func noEndpoint(id string) error {
	return fault.New(fault.NotFound, "Webhook endpoint not found: '%s'.", id).WithCode("endpoint_not_found")
}

func endpointConflict(err error) error {
	if isUnique(err) {
		return fault.New(fault.Conflict, "A webhook endpoint with this URL already exists.").WithCode("duplicate_endpoint")
	}
	return err
}

// MaxEndpoints bounds the endpoints of one environment.
const MaxEndpoints = 50

// CreateEndpoint adds an enabled endpoint with a fresh secret. It is sent what
// happens from now on.
func (e *Env) CreateEndpoint(ctx context.Context, v identity.Endpoint) (identity.Endpoint, error) {
	now := e.db.now()
	v.ID, v.Enabled, v.CreatedAt, v.UpdatedAt = identity.NewID(identity.PrefixEndpoint), true, now, now
	v.Secret = "whsec_" + rand.Text()
	err := e.db.write(ctx, func(tx *tx) error {
		var n int
		if err := tx.row("SELECT count(*) FROM webhook_endpoints WHERE environment_id = $1", e.ID).Scan(&n); err != nil {
			return err
		}
		if n >= MaxEndpoints {
			return fault.New(fault.Denied, "an environment has at most %d webhook endpoints", MaxEndpoints).WithCode("too_many_endpoints")
		}
		_, err := tx.exec(`INSERT INTO webhook_endpoints (environment_id, id, url, events, secret, enabled, cursor, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, 1, (SELECT coalesce(max(id), '') FROM events WHERE environment_id = $1), $6, $6)`,
			e.ID, v.ID, v.URL, idList(v.Events), e.db.box.Seal("webhook secret", v.ID, []byte(v.Secret)), millis(now))
		if err == nil {
			e.db.events.hooked[e.ID] = true
		}
		return endpointConflict(err)
	})
	return v, err
}

// EndpointChange says what of an endpoint becomes another; nil members stay.
type EndpointChange struct {
	URL     *string
	Events  []string
	Enabled *bool
}

// UpdateEndpoint changes an endpoint. What happens while it is disabled is not
// sent later, and what was waiting for it is tried no more.
func (e *Env) UpdateEndpoint(ctx context.Context, id string, c EndpointChange) (identity.Endpoint, error) {
	var v identity.Endpoint
	err := e.db.write(ctx, func(tx *tx) (err error) {
		v, err = e.db.scanEndpoint(tx.row("SELECT "+endpointColumns+" FROM webhook_endpoints WHERE environment_id = $1 AND id = $2", e.ID, id))
		if isNoRows(err) {
			return noEndpoint(id)
		}
		if err != nil {
			return err
		}
		enabled := v.Enabled
		if c.URL != nil {
			v.URL = *c.URL
		}
		if c.Events != nil {
			v.Events = c.Events
		}
		if c.Enabled != nil {
			v.Enabled = *c.Enabled
		}
		v.UpdatedAt = e.db.now()
		_, err = tx.exec("UPDATE webhook_endpoints SET url = $3, events = $4, enabled = $5, updated_at = $6 WHERE environment_id = $1 AND id = $2",
			e.ID, id, v.URL, idList(v.Events), v.Enabled, millis(v.UpdatedAt))
		if err != nil || v.Enabled == enabled {
			return endpointConflict(err)
		}
		if v.Enabled {
			e.db.events.hooked[e.ID] = true
			_, err = tx.exec("UPDATE webhook_endpoints SET cursor = (SELECT coalesce(max(id), cursor) FROM events WHERE environment_id = $1) WHERE environment_id = $1 AND id = $2", e.ID, id)
			return err
		}
		_, err = tx.exec("UPDATE webhook_deliveries SET state = 'failed', error = 'the endpoint was disabled', data = '', context = '', next_at = 0 WHERE environment_id = $1 AND endpoint_id = $2 AND state = 'pending'", e.ID, id)
		return err
	})
	return v, err
}

// Endpoint returns the endpoint with the given id.
func (e *Env) Endpoint(ctx context.Context, id string) (identity.Endpoint, error) {
	v, err := e.db.scanEndpoint(e.db.row(ctx, "SELECT "+endpointColumns+" FROM webhook_endpoints WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return v, noEndpoint(id)
	}
	return v, err
}

// Endpoints returns a page of endpoints and the cursors of the neighbouring
// pages ("" for none).
func (e *Env) Endpoints(ctx context.Context, p Page) (list []identity.Endpoint, before, after string, err error) {
	cond, order, more := p.where(2)
	err = e.db.list(ctx, "SELECT "+endpointColumns+" FROM webhook_endpoints WHERE environment_id = $1"+cond+order, func(s scanner) error {
		v, err := e.db.scanEndpoint(s)
		list = append(list, v)
		return err
	}, append([]any{e.ID}, more...)...)
	list, before, after = cut(list, p, func(v identity.Endpoint) string { return v.ID })
	return list, before, after, err
}

// DeleteEndpoint removes an endpoint with its deliveries.
func (e *Env) DeleteEndpoint(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM webhook_endpoints WHERE environment_id = $1 AND id = $2", e.ID, id)
		if err == nil && n == 0 {
			return noEndpoint(id)
		}
		return err
	})
}

// Deliveries returns the newest deliveries of an environment first, without
// what they carry.
func (e *Env) Deliveries(ctx context.Context, endpointID string, limit int) (list []identity.Delivery, err error) {
	err = e.db.list(ctx, `SELECT d.endpoint_id, w.url, d.event_id, d.name, d.happened_at, d.state, d.tries, d.tried_at, d.next_at, d.http_status, d.error
		FROM webhook_deliveries d JOIN webhook_endpoints w ON w.id = d.endpoint_id
		WHERE d.environment_id = $1 AND ($2 = '' OR d.endpoint_id = $2) ORDER BY d.event_id DESC, d.endpoint_id LIMIT $3`, func(s scanner) error {
		var v identity.Delivery
		var happened, tried, next int64
		err := s.Scan(&v.EndpointID, &v.URL, &v.Event.ID, &v.Event.Name, &happened, &v.State, &v.Tries, &tried, &next, &v.HTTPStatus, &v.Error)
		v.Event.CreatedAt, v.TriedAt, v.NextAt = fromMillis(happened), fromMillis(tried), fromMillis(next)
		list = append(list, v)
		return err
	}, e.ID, endpointID, limit)
	return list, err
}

// loadHooked finds the environments whose events somebody waits for, and the
// newest event that any endpoint has seen: later ones sort after it.
func (db *DB) loadHooked(ctx context.Context) error {
	return db.list(ctx, "SELECT environment_id, max(enabled), max(cursor) FROM webhook_endpoints GROUP BY environment_id", func(s scanner) error {
		var id, cursor string
		var enabled bool
		if err := s.Scan(&id, &enabled, &cursor); err != nil {
			return err
		}
		if enabled {
			db.events.hooked[id] = true
		}
		if seen, err := ulid.ParseStrict(strings.TrimPrefix(cursor, identity.PrefixEvent+"_")); err == nil {
			db.events.last = max(db.events.last, seen.Time()+1)
		}
		return nil
	})
}

// Hooked is told when events were written that an endpoint may want. It holds
// one notice at most.
func (db *DB) Hooked() <-chan struct{} { return db.hooked }

func (db *DB) notifyHooked() {
	select {
	case db.hooked <- struct{}{}:
	default: // a notice is waiting already
	}
}

// QueueDeliveries makes deliveries of the events that the endpoints have not
// seen, in the order in which they happened.
func (db *DB) QueueDeliveries(ctx context.Context) error {
	var behind int
	err := db.row(ctx, `SELECT EXISTS (SELECT 1 FROM webhook_endpoints w WHERE w.enabled = 1
		AND EXISTS (SELECT 1 FROM events v WHERE v.environment_id = w.environment_id AND v.id > w.cursor))`).Scan(&behind)
	if err != nil || behind == 0 {
		return err
	}
	return db.write(ctx, func(tx *tx) error {
		if _, err := tx.exec(`INSERT INTO webhook_deliveries (endpoint_id, event_id, environment_id, name, data, context, happened_at, state, next_at)
			SELECT w.id, v.id, v.environment_id, v.name, v.data, v.context, v.created_at, 'pending', $1
			FROM webhook_endpoints w JOIN events v ON v.environment_id = w.environment_id AND v.id > w.cursor
			WHERE w.enabled = 1 AND v.name IN (SELECT value FROM json_each(w.events)) ON CONFLICT DO NOTHING`, millis(db.now())); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE webhook_endpoints SET cursor = (SELECT max(v.id) FROM events v WHERE v.environment_id = webhook_endpoints.environment_id)
			WHERE enabled = 1 AND EXISTS (SELECT 1 FROM events v WHERE v.environment_id = webhook_endpoints.environment_id AND v.id > webhook_endpoints.cursor)`)
		return err
	})
}

// NextDeliveries returns the endpoints that have something to send now, and
// when the next of the others has (zero for never).
func (db *DB) NextDeliveries(ctx context.Context) (endpoints []string, next time.Time, err error) {
	now := millis(db.now())
	var first int64
	err = db.list(ctx, `SELECT w.id, (SELECT min(d.next_at) FROM webhook_deliveries d WHERE d.endpoint_id = w.id AND d.state = 'pending') AS due
		FROM webhook_endpoints w WHERE due IS NOT NULL ORDER BY due`, func(s scanner) error {
		var id string
		var due int64
		err := s.Scan(&id, &due)
		switch {
		case due <= now:
			endpoints = append(endpoints, id)
		case first == 0:
			first = due
		}
		return err
	})
	return endpoints, fromMillis(first), err
}

// Due is a delivery to make now.
type Due struct {
	identity.Delivery
	Secret     string
	Production bool
}

// DueDelivery returns the first delivery of an endpoint that is due: the one
// that waits longest, and of those the one that happened first. ok is false
// when there is none.
func (db *DB) DueDelivery(ctx context.Context, endpointID string) (d Due, ok bool, err error) {
	var happened int64
	var sealed []byte
	d.EndpointID = endpointID
	err = db.row(ctx, `SELECT w.url, w.secret, e.production, d.event_id, d.name, d.data, d.context, d.happened_at, d.tries
		FROM webhook_deliveries d JOIN webhook_endpoints w ON w.id = d.endpoint_id JOIN environments e ON e.id = d.environment_id
		WHERE d.endpoint_id = $1 AND d.state = 'pending' AND d.next_at <= $2 ORDER BY d.next_at, d.event_id LIMIT 1`, endpointID, millis(db.now())).
		Scan(&d.URL, &sealed, &d.Production, &d.Event.ID, &d.Event.Name, &d.Event.Data, &d.Event.Context, &happened, &d.Tries)
	if isNoRows(err) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	plain, err := db.box.Open("webhook secret", endpointID, sealed)
	d.Secret, d.Event.CreatedAt = string(plain), fromMillis(happened)
	return d, err == nil, err
}

// RecordTry keeps the outcome of a try and decides what comes next. status is
// 0 and problem says why when there was no answer.
func (db *DB) RecordTry(ctx context.Context, d Due, status int, problem string) error {
	now := db.now()
	state, next := identity.DeliveryPending, time.Time{}
	if problem == "" {
		state = identity.Delivered
	} else if pause, again := identity.DeliveryPause(d.Production, d.Tries+1); again {
		next = now.Add(pause)
	} else {
		state = identity.DeliveryFailed
	}
	return db.write(ctx, func(tx *tx) error {
		_, err := tx.exec(`UPDATE webhook_deliveries SET state = $3, tries = tries + 1, tried_at = $4, next_at = $5, http_status = $6, error = $7,
			data = CASE WHEN $3 = 'pending' THEN data ELSE '' END, context = CASE WHEN $3 = 'pending' THEN context ELSE '' END WHERE endpoint_id = $1 AND event_id = $2 AND state = 'pending'`,
			d.EndpointID, d.Event.ID, string(state), millis(now), millis(next), status, problem)
		return err
	})
}
