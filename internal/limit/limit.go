// Package limit holds callers to rates: so many events in any window of time.
// It counts in memory, so a restart forgets; what must be remembered, such as
// the pause after wrong passwords, is the store's. It knows neither HTTP nor
// what is counted.
package limit

import (
	"container/list"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Rule allows at most Max events in any window of length Per. The zero Rule
// allows everything.
type Rule struct {
	Max int
	Per time.Duration
}

func (r Rule) String() string { return fmt.Sprintf("%d per %s", r.Max, r.Per) }

// keysKept bounds the keys that one Limiter remembers; the one that was silent
// longest makes room. It is more than the documented rule of one address lets
// it touch in a window, so that nobody flushes the count of another from there.
const keysKept = 20_000

// grains is how finely a window is kept: events closer together than its
// grains-th part count as one moment, the later one. So a key needs at most
// grains+1 entries whatever Max is, and no window ever has more than Max.
const grains = 60

// Limiter applies one Rule to each of many keys. It is safe for concurrent
// use. A nil Limiter allows everything.
type Limiter struct {
	rule Rule
	now  func() time.Time
	seed maphash.Seed

	mu     sync.Mutex
	recent *list.List // of *window, the key used last in front
	keys   map[uint64]*list.Element
}

// window is what one key did within the last Per.
type window struct {
	key     uint64
	total   int
	moments []moment // oldest first
}

type moment struct {
	first, last time.Time
	n           int
}

// New returns a Limiter for a rule, or nil for the zero Rule. now is the clock.
func New(rule Rule, now func() time.Time) *Limiter {
	if rule.Max <= 0 || rule.Per <= 0 {
		return nil
	}
	return &Limiter{rule: rule, now: now, seed: maphash.MakeSeed(), recent: list.New(), keys: map[uint64]*list.Element{}}
}

// Exceeded is the cause of the error of Take.
type Exceeded struct {
	After time.Duration // until the same event is allowed again, above zero
}

func (e *Exceeded) Error() string { return "allowed again in " + e.After.String() }

// Take counts one event of the key that the parts name, or refuses it with an
// error of kind RateLimited and code too_many_requests whose cause is an
// *Exceeded. What is refused does not count: who waits as told is let through.
// Parts are kept as a hash.
func (l *Limiter) Take(parts ...string) error {
	if l == nil {
		return nil
	}
	key := l.hash(parts)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	w := l.window(key)
	w.forget(now.Add(-l.rule.Per))
	if w.total >= l.rule.Max {
		after := w.moments[0].last.Add(l.rule.Per).Sub(now)
		return fault.Wrap(&Exceeded{After: after}, fault.RateLimited, "Too many requests. Try again later.").WithCode("too_many_requests")
	}
	w.add(now, l.rule.Per/grains)
	return nil
}

func (l *Limiter) hash(parts []string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, p := range parts {
		fmt.Fprintf(&h, "%d:", len(p)) // ("ab", "c") is not ("a", "bc")
		h.WriteString(p)
	}
	return h.Sum64()
}

// window returns the window of a key and marks it as used last.
func (l *Limiter) window(key uint64) *window {
	if at, ok := l.keys[key]; ok {
		l.recent.MoveToFront(at)
		return at.Value.(*window)
	}
	if l.recent.Len() >= keysKept {
		oldest := l.recent.Remove(l.recent.Back()).(*window)
		delete(l.keys, oldest.key)
	}
	w := &window{key: key}
	l.keys[key] = l.recent.PushFront(w)
	return w
}

// forget drops what happened at or before since.
func (w *window) forget(since time.Time) {
	for len(w.moments) > 0 && !w.moments[0].last.After(since) {
		w.total -= w.moments[0].n
		w.moments = w.moments[1:]
	}
}

func (w *window) add(now time.Time, grain time.Duration) {
	w.total++
	if n := len(w.moments); n > 0 && now.Sub(w.moments[n-1].first) < grain {
		w.moments[n-1].last = now
		w.moments[n-1].n++
		return
	}
	w.moments = append(w.moments, moment{first: now, last: now, n: 1})
}
