package instance

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/fault"
)

// cache shares results among subscriptions: the same query of the same caller
// runs once for all, and again only after something it read was written or other
// functions were pushed. It holds what is subscribed, nothing else.
type cache struct {
	mu      sync.Mutex
	entries map[cacheKey]*sharedResult
}

type cacheKey [sha256.Size]byte

// sharedResult is the latest result of one query.
type sharedResult struct {
	key   cacheKey
	users int           // subscriptions; guarded by the cache's mu
	turn  chan struct{} // holds one: who put it there may use what follows

	there      bool
	generation uint64             // of the functions that gave the result
	personal   bool               // the query asks who calls: each caller has an entry of its own
	result     *Result            // holds from its Timestamp
	until      database.Timestamp // to this one, both included
}

// Result is what a subscribed query gives. It is shared and must not be changed.
type Result struct {
	Outcome
	Digest Digest
}

// Digest is the same for results that a client cannot tell apart.
type Digest [sha256.Size]byte

func newResult(out Outcome) *Result {
	h := sha256.New()
	if f := out.Failure; f != nil {
		// Not its Message, which names the request.
		part(h.Write, []byte(f.full))
		part(h.Write, f.Data)
	}
	part(h.Write, out.Value)
	if out.Journal != nil {
		part(h.Write, []byte(*out.Journal))
	}
	return &Result{out, Digest(h.Sum(nil))}
}

// part writes b so that no other parts give the same bytes.
func part(write func([]byte) (int, error), b []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
	_, _ = write(n[:]) // a hash takes everything
	_, _ = write(b)
}

// Subscription is one query of one caller. It is for one goroutine.
type Subscription struct {
	i       *Instance
	caller  Caller
	path    string
	args    []byte
	journal *string
	shared  *sharedResult // what everybody gets
	own     *sharedResult // what the caller gets, once it is known that the query asks who calls
}

// Subscribe returns a subscription to a query. journal is what an earlier run
// returned, or nil. Close ends it.
func (i *Instance) Subscribe(caller Caller, path string, args []byte, journal *string) *Subscription {
	s := &Subscription{i: i, caller: caller, path: path, args: args, journal: journal}
	s.shared = i.cache.use(s.key(false))
	return s
}

// Close lets go of what the subscription holds.
func (s *Subscription) Close() {
	s.i.cache.release(s.shared)
	s.i.cache.release(s.own)
}

// As returns the same subscription of another caller, and closes this one.
func (s *Subscription) As(caller Caller) *Subscription {
	n := s.i.Subscribe(caller, s.path, s.args, s.journal)
	s.Close()
	return n
}

func (s *Subscription) key(own bool) cacheKey {
	h := sha256.New()
	part(h.Write, []byte(s.path))
	part(h.Write, s.args)
	flags := byte(0)
	if s.journal != nil {
		flags |= 1
		part(h.Write, []byte(*s.journal))
	}
	if s.caller.Admin {
		flags |= 2
	}
	if own {
		flags |= 4
		if s.caller.Identity != nil {
			flags |= 8
			if text, err := s.caller.Identity.MarshalJSON(); err == nil {
				part(h.Write, text)
			}
		}
	}
	part(h.Write, []byte{flags})
	return cacheKey(h.Sum(nil))
}

func (c *cache) use(key cacheKey) *sharedResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		if c.entries == nil {
			c.entries = map[cacheKey]*sharedResult{}
		}
		e = &sharedResult{key: key, turn: make(chan struct{}, 1)}
		c.entries[key] = e
	}
	e.users++
	return e
}

func (c *cache) release(e *sharedResult) {
	if e == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(c.entries, e.key)
	}
}

// ErrLater says that others already know a later result: the caller takes a
// newer view.
var ErrLater = fault.New(fault.Conflict, "a later result of the query is known")

// At returns what the query gives in a view. With alone, it is run for the
// caller only where it else returned [ErrLater].
func (s *Subscription) At(ctx context.Context, v View, alone bool) (*Result, error) {
	r, personal, err := s.at(ctx, v, s.shared)
	if err == nil && personal {
		if s.own == nil {
			s.own = s.i.cache.use(s.key(true))
		}
		if r == nil {
			r, _, err = s.at(ctx, v, s.own)
		} else {
			s.own.seed(v, r)
		}
	}
	if err == ErrLater && alone { //nolint:errorlint // a value of this package, never wrapped
		out, err := v.Query(ctx, s.caller, s.path, s.args, s.journal)
		return newResult(out), err
	}
	if err == nil && r.Journal != nil && (s.journal == nil || *s.journal != *r.Journal) {
		s.follow(v, r, personal)
	}
	return r, err
}

// Fresh returns the result that is known to hold in a view, or nil.
func (s *Subscription) Fresh(v View) *Result {
	e := s.shared
	if s.own != nil {
		e = s.own
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
		if e.there && !e.personal && e.holds(v) {
			return e.result
		}
	default: // somebody runs it
	}
	return nil
}

// at returns the result of an entry. From the shared entry of a query that asks
// who calls it returns personal, and a result only when it is the caller's.
func (s *Subscription) at(ctx context.Context, v View, e *sharedResult) (r *Result, personal bool, err error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if e.there {
		switch {
		case e.generation > v.live.generation:
			return nil, false, ErrLater
		case e.generation < v.live.generation:
		case e.personal:
			return nil, true, nil
		case e.result.Timestamp > v.Timestamp():
			return nil, false, ErrLater
		case e.holds(v):
			return e.result, false, nil
		}
	}
	out, err := v.Query(ctx, s.caller, s.path, s.args, s.journal)
	if err != nil {
		return nil, false, err
	}
	r = newResult(out)
	e.set(v, r)
	if out.Identity && e == s.shared {
		e.personal, e.result = true, nil
	}
	return r, e.personal, nil
}

// holds reports whether the result is that of a view. The turn is the caller's.
func (e *sharedResult) holds(v View) bool {
	at := v.Timestamp()
	if e.generation != v.live.generation || at < e.result.Timestamp {
		return false
	}
	if at <= e.until {
		return true
	}
	if e.result.Reads != nil {
		commits, _, known := v.i.data.Since(e.until)
		if !known {
			return false
		}
		for _, c := range commits {
			if c.Timestamp > at {
				break
			}
			if e.result.Reads.Touched(c) {
				return false
			}
		}
	}
	e.until = at
	return true
}

func (e *sharedResult) set(v View, r *Result) {
	e.there, e.generation, e.personal, e.result, e.until = true, v.live.generation, false, r, v.Timestamp()
}

// seed gives an entry a result that was found in another way.
func (e *sharedResult) seed(v View, r *Result) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
		if !e.there || e.generation < v.live.generation || e.generation == v.live.generation && !e.personal && e.until < v.Timestamp() {
			e.set(v, r)
		}
	default: // somebody finds it out right now
	}
}

// follow makes the coming runs end their pages where this one did.
func (s *Subscription) follow(v View, r *Result, personal bool) {
	shared, own := s.shared, s.own
	s.journal = r.Journal
	s.shared = s.i.cache.use(s.key(false))
	s.own = nil
	if personal {
		s.own = s.i.cache.use(s.key(true))
		s.own.seed(v, r)
	} else {
		s.shared.seed(v, r)
	}
	s.i.cache.release(shared)
	s.i.cache.release(own)
}

// Succeeded is a result that is known without running a function.
func Succeeded(encoded []byte) *Result { return newResult(Outcome{Value: encoded}) }

// Failed is a failure that is known without running a function.
func Failed(message string) *Result {
	return newResult(Outcome{Failure: &Failure{Message: message, full: message}})
}
