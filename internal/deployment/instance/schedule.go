package instance

import (
	"context"
	"encoding/json"
	"time"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// jobsTable holds scheduled calls, as Convex shows them: name, args,
// scheduledTime (ms), completedTime and state {kind}.
const jobsTable = "_scheduled_functions"

// Bounds of scheduled calls.
const (
	maxDelay = 5 * 365 * 24 * time.Hour
	keptJobs = 7 * 24 * time.Hour // how long finished ones can be looked up
)

// scheduleJob is ctx.scheduler: the call is part of the transaction.
func scheduleJob(tx *database.Tx, l *live, args []byte) ([]byte, error) {
	a, err := parsed[struct {
		target
		TS float64 `json:"ts"` // seconds since 1970
	}]("1.0/schedule", args)
	if err != nil {
		return nil, err
	}
	p, err := a.path()
	if err != nil {
		return nil, err
	}
	f, err := l.find(Caller{Admin: true}, p, "")
	if err != nil {
		return nil, thrown(err)
	}
	if f.kind == runtime.Query {
		return nil, fault.New(fault.Invalid, "Only mutations and actions can be scheduled; %s is a query", f.path)
	}
	fields, err := arguments(a.Args)
	if err != nil {
		return nil, thrown(err)
	}
	now := time.Now()
	at := now
	if delay := time.Duration((a.TS - float64(now.UnixMilli())/1000) * float64(time.Second)); delay > maxDelay {
		return nil, fault.New(fault.Invalid, "A call cannot be scheduled more than 5 years ahead")
	} else if delay > 0 {
		at = now.Add(delay)
	}
	id, err := tx.InsertSystem(jobsTable, value.Object{"name": f.path, "args": value.Array{fields}, "scheduledTime": float64(at.UnixMilli()), "state": value.Object{"kind": "pending"}})
	if err != nil {
		return nil, err
	}
	return json.Marshal(id)
}

// cancelJob keeps a scheduled call from running. One that ran already stays as it is.
func cancelJob(tx *database.Tx, args []byte) ([]byte, error) {
	a, err := parsed[struct{ ID string }]("1.0/cancel_job", args)
	if err != nil {
		return nil, err
	}
	if tx.TableOf(a.ID) != jobsTable {
		return nil, fault.New(fault.Invalid, "%q is not the id of a scheduled function", a.ID)
	}
	d, err := tx.Get(a.ID)
	if err != nil || d == nil {
		return []byte("null"), err
	}
	if jobState(d.Fields()) != "pending" {
		return []byte("null"), nil
	}
	return []byte("null"), tx.Patch(a.ID, value.Object{"state": value.Object{"kind": "canceled"}, "completedTime": float64(time.Now().UnixMilli())})
}

func jobState(fields value.Object) string {
	state, _ := fields["state"].(value.Object)
	kind, _ := state["kind"].(string)
	return kind
}

// schedule runs scheduled calls and crons until ctx ends.
func (i *Instance) schedule(ctx context.Context) {
	next := map[string]time.Time{} // of crons, by name
	for {
		moved := i.Moved()
		_, committed, _ := i.data.Since(i.data.Timestamp())
		wake := i.runJobs(ctx)
		if at := i.runCrons(ctx, next); wake.IsZero() || !at.IsZero() && at.Before(wake) {
			wake = at
		}
		var timer <-chan time.Time
		if !wake.IsZero() {
			timer = time.After(max(time.Until(wake), 0))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-moved:
		case <-committed:
		}
	}
}

// runJobs runs what is due and returns when the next call is.
func (i *Instance) runJobs(ctx context.Context) (next time.Time) {
	tx := i.data.Begin()
	var q database.Query
	if json.Unmarshal([]byte(`{"source":{"type":"FullTableScan","tableName":"`+jobsTable+`"}}`), &q) != nil {
		return next
	}
	c, err := tx.Query(&q)
	if err != nil {
		return next
	}
	for {
		d, err := c.Next()
		if d == nil || err != nil {
			return next
		}
		fields := d.Fields()
		at, _ := fields["scheduledTime"].(float64)
		due := time.UnixMilli(int64(at))
		switch kind := jobState(fields); {
		case kind == "pending" && !due.After(time.Now()):
			i.done.Go(func() { i.runJob(ctx, d.ID, fields) })
		case kind == "pending":
			if next.IsZero() || due.Before(next) {
				next = due
			}
		case time.Since(due) > keptJobs:
			i.forgetJob(ctx, d.ID)
		}
	}
}

// claimJob marks a call as running; false means that somebody else did.
func (i *Instance) setJob(ctx context.Context, id, from, to string) bool {
	for {
		tx := i.data.Begin()
		d, err := tx.Get(id)
		if err != nil || d == nil || jobState(d.Fields()) != from {
			return false
		}
		change := value.Object{"state": value.Object{"kind": to}}
		if to != "inProgress" {
			change["completedTime"] = float64(time.Now().UnixMilli())
		}
		if tx.Patch(id, change) != nil {
			return false
		}
		_, err = i.data.Commit(ctx, tx)
		if err == nil {
			return true
		}
		if !fault.Is(err, fault.Conflict) {
			i.cfg.Log.ErrorContext(ctx, "the state of a scheduled call could not be kept", "deployment", i.deployment.Name, "err", err)
			return false
		}
	}
}

func (i *Instance) runJob(ctx context.Context, id string, fields value.Object) {
	if !i.setJob(ctx, id, "pending", "inProgress") {
		return
	}
	name, _ := fields["name"].(string)
	out, err := i.Call(ctx, Caller{Admin: true, Name: "Scheduler"}, name, value.Append(nil, fields["args"]))
	state := "success"
	if err != nil || out.Failure != nil {
		state = "failed"
	}
	if ctx.Err() != nil && err != nil {
		// Stopped in the middle: actions run at most once, mutations did not commit.
		ctx = context.WithoutCancel(ctx)
		if out.Kind == runtime.Mutation {
			state = "pending"
		}
	}
	i.setJob(ctx, id, "inProgress", state)
}

func (i *Instance) forgetJob(ctx context.Context, id string) {
	tx := i.data.Begin()
	if _, err := tx.Delete(id); err == nil {
		_, _ = i.data.Commit(ctx, tx) // the next look tries again
	}
}
