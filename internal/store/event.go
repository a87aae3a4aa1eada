package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/berthdev/berth/internal/identity"
)

const (
	// keptEvents bounds the events of one environment. The oldest make room in
	// the next Sweep.
	keptEvents = 10_000
	// keptDeliveries bounds the deliveries of one environment that are over.
	keptDeliveries = 1_000
	// maxRecorded is how many events one statement writes at most.
	maxRecorded = 8
)

// happened is an event to be: its name, the organization it concerns ("" for
// none) and the object that it is about.
type happened struct {
	name         string
	organization string
	about        any
}

// withContext is an event's about with what is known besides.
type withContext struct{ about, context any }

// insertEvents is the statement that writes n events, by n.
var insertEvents = func() (texts [maxRecorded + 1]string) {
	for n := 1; n <= maxRecorded; n++ {
		rows := make([]string, n)
		for i := range rows {
			// $1 and $2 are the environment and the time of all of them.
			rows[i] = fmt.Sprintf("($1, $%d, $%d, $%d, $%d, $%d, $2)", 5*i+3, 5*i+4, 5*i+5, 5*i+6, 5*i+7)
		}
		texts[n] = "INSERT INTO events (environment_id, id, name, organization_id, data, context, created_at) VALUES " + strings.Join(rows, ", ")
	}
	return texts
}()

// eventLog is what the writer keeps about events. Only its goroutine uses it.
type eventLog struct {
	entropy *ulid.MonotonicEntropy
	last    uint64          // milliseconds of the last id
	written map[string]bool // environments with events since the last Sweep
	hooked  map[string]bool // environments with an endpoint that wants events
}

// nextID returns an id that sorts after all earlier ones of this process and
// after what the endpoints have seen, whatever the clock does.
func (l *eventLog) nextID() (string, error) {
	l.last = max(l.last, ulid.Now())
	id, err := ulid.New(l.last, l.entropy)
	if err != nil { // 2^80 events in a millisecond
		return "", fmt.Errorf("make an event id: %w", err)
	}
	return identity.PrefixEvent + "_" + id.String(), nil
}

func newEventLog() *eventLog {
	return &eventLog{entropy: ulid.Monotonic(rand.Reader, 0), written: map[string]bool{}, hooked: map[string]bool{}}
}

// record writes events in the transaction of what they tell. It is one
// statement for up to maxRecorded of them, since sign-ins wait for it.
func (e *Env) record(tx *tx, list ...happened) error {
	db := e.db
	if db.describe == nil {
		return nil
	}
	now := millis(db.now())
	for len(list) > 0 {
		n := min(len(list), maxRecorded)
		args := append(make([]any, 0, 2+5*n), e.ID, now)
		for _, h := range list[:n] {
			id, err := db.events.nextID()
			if err != nil {
				return err
			}
			data, around, err := db.described(h.about)
			if err != nil {
				return fmt.Errorf("describe %s: %w", h.name, err)
			}
			args = append(args, id, h.name, h.organization, data, around)
		}
		if _, err := tx.exec(insertEvents[n], args...); err != nil {
			return fmt.Errorf("record %s: %w", list[0].name, err)
		}
		list = list[n:]
	}
	db.events.written[e.ID] = true
	if db.events.hooked[e.ID] {
		tx.hooked = true
	}
	return nil
}

// described is the JSON of what an event is about and of its context, "" for
// none.
func (db *DB) described(about any) (data, around string, err error) {
	if w, ok := about.(withContext); ok {
		b, err := db.describe(w.context)
		if err != nil {
			return "", "", err
		}
		about, around = w.about, string(b)
	}
	b, err := db.describe(about)
	return string(b), around, err
}

func authenticated(a identity.Authentication) happened {
	name := "authentication." + a.Type + "_succeeded"
	if a.Failed {
		name = "authentication." + a.Type + "_failed"
	}
	return happened{name: name, about: a}
}

// eventType is how events call the auth_method of a session.
var eventType = map[string]string{"password": "password", "magic_code": "magic_auth", "oauth": "oauth", "sso": "sso", "passkey": "passkey"}

// RecordSignIn keeps that somebody signed in for an application by a method (an
// auth_method of sessions): no session of the environment's own tells of it.
// One that has no event is left out.
func (e *Env) RecordSignIn(ctx context.Context, method string, a identity.Authentication) error {
	if a.Type = eventType[method]; a.Type == "" {
		return nil
	}
	a.Client = identity.ClientOf(ctx)
	return e.db.write(ctx, func(tx *tx) error { return e.record(tx, authenticated(a)) })
}

// RecordFailure keeps that a sign-in failed before it reached anything that is
// written.
func (e *Env) RecordFailure(ctx context.Context, a identity.Authentication) error {
	a.Failed, a.Client = true, identity.ClientOf(ctx)
	return e.db.write(ctx, func(tx *tx) error { return e.record(tx, authenticated(a)) })
}

// EventFilter narrows a list of events; empty members do not.
type EventFilter struct {
	Names          []string
	OrganizationID string
	Since, Until   time.Time // inclusive, exclusive
}

const eventColumns = "id, name, organization_id, data, context, created_at"

func scanEvent(s scanner) (identity.Event, error) {
	var v identity.Event
	var created int64
	err := s.Scan(&v.ID, &v.Name, &v.OrganizationID, &v.Data, &v.Context, &created)
	v.CreatedAt = fromMillis(created)
	return v, err
}

// Events returns a page of events and the cursor of the next one ("" for none).
func (e *Env) Events(ctx context.Context, f EventFilter, p Page) (list []identity.Event, after string, err error) {
	query, args := "SELECT "+eventColumns+" FROM events WHERE environment_id = $1", []any{e.ID}
	add := func(cond string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(cond, len(args))
	}
	if len(f.Names) > 0 {
		add(" AND name IN (SELECT value FROM json_each($%d))", idList(f.Names))
	}
	if f.OrganizationID != "" {
		add(" AND organization_id = $%d", f.OrganizationID)
	}
	if !f.Since.IsZero() {
		add(" AND created_at >= $%d", millis(f.Since))
	}
	if !f.Until.IsZero() {
		add(" AND created_at < $%d", millis(f.Until))
	}
	cond, order, more := p.where(len(args) + 1)
	err = e.db.list(ctx, query+cond+order, func(s scanner) error {
		v, err := scanEvent(s)
		list = append(list, v)
		return err
	}, append(args, more...)...)
	list, _, after = cut(list, p, func(v identity.Event) string { return v.ID })
	return list, after, err
}

// sweepEvents lets the oldest events and finished deliveries of busy
// environments go.
func (db *DB) sweepEvents(tx *tx) error {
	for id := range db.events.written {
		if _, err := tx.exec("DELETE FROM events WHERE environment_id = $1 AND id <= (SELECT id FROM events WHERE environment_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)", id, keptEvents); err != nil {
			return err
		}
		if !db.events.hooked[id] {
			continue
		}
		if _, err := tx.exec(`DELETE FROM webhook_deliveries WHERE environment_id = $1 AND state <> 'pending' AND event_id <=
			(SELECT event_id FROM webhook_deliveries WHERE environment_id = $1 AND state <> 'pending' ORDER BY event_id DESC LIMIT 1 OFFSET $2)`, id, keptDeliveries); err != nil {
			return err
		}
	}
	clear(db.events.written)
	return nil
}
