package syncws

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/fault"
)

// query is one query of a client: either of the deployment's functions or one
// of those that only tools make.
type query struct {
	sub    *instance.Subscription
	system *systemQuery
	sent   *instance.Digest // of what the client has
}

type systemQuery struct {
	path string
	args []byte
}

func (q *query) close() {
	if q.sub != nil {
		q.sub.Close()
	}
}

// as asks the query as somebody else. What the client has stays as it is: the
// same result is not sent again.
func (q *query) as(c instance.Caller) {
	if q.sub != nil {
		q.sub = q.sub.As(c)
	}
}

func (s *session) modify(m fromClient) error {
	if m.BaseVersion != s.at.querySet {
		return s.fatal("Base version %d passed up doesn't match the current version %d", m.BaseVersion, s.at.querySet)
	}
	if m.NewVersion <= m.BaseVersion {
		return s.fatal("The new version %d of the query set does not follow %d", m.NewVersion, m.BaseVersion)
	}
	for _, c := range m.Modifications {
		switch c.Type {
		case "Add":
			if _, twice := s.queries[c.QueryID]; twice {
				return s.fatal("Duplicate query ID: %d", c.QueryID)
			}
			if len(s.queries) >= maxQueries {
				return s.fatal("A client can subscribe to at most %d queries", maxQueries)
			}
			q := &query{}
			if strings.HasPrefix(c.UDFPath, "_system/") {
				q.system = &systemQuery{c.UDFPath, c.Args}
			} else {
				q.sub = s.i.Subscribe(s.caller, c.UDFPath, c.Args, c.Journal)
			}
			s.queries[c.QueryID] = q
		case "Remove":
			q := s.queries[c.QueryID]
			if q == nil {
				return s.fatal("Nonexistent query ID: %d", c.QueryID)
			}
			q.close()
			delete(s.queries, c.QueryID)
			if q.sent != nil {
				s.removed = append(s.removed, c.QueryID)
			}
		default:
			return s.fatal("Unknown modification %q", c.Type)
		}
	}
	return s.transition(m.NewVersion)
}

// update sends a transition when anything changed for the client.
func (s *session) update() error {
	if !s.connected {
		return nil
	}
	return s.transition(s.at.querySet)
}

// transition brings the client to a set of queries, its identity and the latest
// commit, with all results that differ from what it has.
func (s *session) transition(querySet uint32) error {
	changed, ts, err := s.changes()
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		if err := s.expired(); err != nil {
			return err
		}
	}
	end := version{querySet, s.at.identity, max(timestamp(ts), s.at.ts)}
	if s.authSet {
		end.identity++
	}
	due := s.owes && ts >= s.owed
	if len(changed) == 0 && len(s.removed) == 0 && end.querySet == s.at.querySet && end.identity == s.at.identity && !due {
		return nil
	}
	t := transition{start: s.at, end: end, removed: s.removed, changed: changed, skew: s.skew, serverTS: s.i.Now().UnixNano(), logs: !s.i.Redacts() || s.caller.Admin}
	for _, c := range changed {
		c.query.sent = &c.result.Digest
	}
	s.at, s.removed, s.authSet = end, nil, false
	if due {
		s.owes = false
	}
	return s.sendTransition(t)
}

// change is a result that the client does not have.
type change struct {
	id     uint32
	query  *query
	result *instance.Result
}

// attempts is how often a view is given up because others know later results.
const attempts = 3

// changes returns what differs from what the client has, all at one commit.
// Writes may come faster than the queries run: the view stays what it is then.
func (s *session) changes() ([]change, database.Timestamp, error) {
	for attempt := 1; ; attempt++ {
		v := s.i.View()
		changed, err := s.changesIn(v, attempt == attempts)
		if !errors.Is(err, instance.ErrLater) {
			return changed, v.Timestamp(), err
		}
	}
}

func (s *session) changesIn(v instance.View, alone bool) (changed []change, err error) {
	// First without running anything: most commits touch nothing of a client.
	var stale []uint32
	for id, q := range s.queries {
		var r *instance.Result
		if q.sub != nil {
			r = q.sub.Fresh(v)
		}
		switch {
		case r == nil:
			stale = append(stale, id)
		case q.sent == nil || *q.sent != r.Digest:
			changed = append(changed, change{id, q, r})
		}
	}
	for _, id := range stale {
		q := s.queries[id]
		r, err := s.result(v, q, alone)
		if err != nil {
			return nil, err
		}
		if q.sent == nil || *q.sent != r.Digest {
			changed = append(changed, change{id, q, r})
		}
	}
	slices.SortFunc(changed, func(a, b change) int { return int(a.id) - int(b.id) })
	return changed, nil
}

func (s *session) result(v instance.View, q *query, alone bool) (*instance.Result, error) {
	if q.sub != nil {
		// A function does not run for somebody who is not there any more.
		if err := s.expired(); err != nil {
			return nil, err
		}
		return q.sub.At(s.ctx, v, alone)
	}
	fail := func(text string) (*instance.Result, error) { return instance.Failed(text), nil }
	if !s.caller.Admin {
		return fail("You do not have permission to perform this operation")
	}
	out, known, err := v.System(q.system.path, q.system.args)
	switch {
	case !known:
		return fail(fmt.Sprintf("Could not find function for '%s'. It is not supported by Berth.", q.system.path))
	case err != nil:
		return fail(fault.From(err).Message)
	}
	return instance.Succeeded(out), nil
}
