package store

import (
	"context"
	"hash/maphash"
	"slices"
	"time"

	"github.com/berthdev/berth/internal/identity"
)

// An application's server asks for a user's sessions to see that one is alive,
// maybe for each request that it gets. The answer is kept, encoded, until a
// session of that user changes or ends by itself.
const (
	answerShards    = 32        // each has turns of its own, since sessions change all the time
	answersPerShard = 128       // users
	maxAnswer       = 2 << 10   // bytes; longer ones are not kept
	forever         = 1<<63 - 1 // milliseconds
)

// sessionAnswers keeps one page of each of the users asked for last.
type sessionAnswers struct {
	seed   maphash.Seed
	shards [answerShards]cache[string, sessionAnswer] // by user id
}

type sessionAnswer struct {
	environmentID string
	page          Page
	inactivity    time.Duration // as the settings had it
	until         int64         // milliseconds; then a session in it ends by itself
	body          []byte
}

func newSessionAnswers() *sessionAnswers {
	a := &sessionAnswers{seed: maphash.MakeSeed()}
	for i := range a.shards {
		a.shards[i].limit = answersPerShard
	}
	return a
}

func (a *sessionAnswers) of(userID string) *cache[string, sessionAnswer] {
	return &a.shards[maphash.String(a.seed, userID)%answerShards]
}

// forget drops the answers about users whose sessions a committed batch changed.
func (a *sessionAnswers) forget(changed *changedSessions) {
	if changed.all {
		for i := range a.shards {
			a.shards[i].forgetAll()
		}
	}
	for _, id := range changed.users {
		a.of(id).forget(id)
	}
}

// changedSessions says whose sessions a batch of writes changed.
type changedSessions struct {
	users []string
	all   bool
}

func (c *changedSessions) reset() { c.users, c.all = c.users[:0], false }

// sessionsOf notes that sessions of a user change in this transaction. Whatever
// writes to the table says so, before or after.
func (t *tx) sessionsOf(userID string) {
	if !slices.Contains(t.changed.users, userID) {
		t.changed.users = append(t.changed.users, userID)
	}
}

// SessionsAnswer returns what encode makes of a page of a user's sessions: an
// earlier result when it would be the same. The caller does not change it.
func (e *Env) SessionsAnswer(ctx context.Context, userID string, p Page, encode func(list []identity.Session, before, after string) ([]byte, error)) ([]byte, error) {
	kept := e.db.answers.of(userID)
	inactivity, now := e.Settings.Sessions.Inactivity, millis(e.db.now())
	a, turn, ok := kept.get(userID)
	if ok && a.page == p && a.environmentID == e.ID && a.inactivity == inactivity && now < a.until {
		return a.body, nil
	}
	list, before, after, err := e.Sessions(ctx, userID, p)
	if err != nil {
		return nil, err
	}
	body, err := encode(list, before, after)
	if err != nil || len(body) > maxAnswer {
		return body, err
	}
	a = sessionAnswer{environmentID: e.ID, page: p, inactivity: inactivity, until: forever, body: body}
	for _, s := range list {
		if s.Status == identity.SessionActive {
			a.until = min(a.until, millis(s.ExpiresAt))
			if inactivity > 0 {
				a.until = min(a.until, millis(s.RotatedAt.Add(inactivity)))
			}
		}
	}
	kept.put(userID, a, turn)
	return body, nil
}
