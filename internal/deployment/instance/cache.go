package instance

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/berthdev/berth/internal/deployment/database"
)

// cache shares the results of queries among subscriptions: the same query of the
// same caller runs once for all, and again only after something it read was written.
type cache struct {
	mu      sync.Mutex
	of      *live // results of other functions are worth nothing
	results map[cacheKey]*cached
}

type cacheKey [sha256.Size]byte

// cached is one result. Its fields are guarded by mu, which is held while the query runs.
type cached struct {
	mu      sync.Mutex
	outcome Outcome
	there   bool
	checked database.Timestamp // nothing it read was written up to this commit
}

// maxCached bounds the results that are kept.
const maxCached = 4096

func keyOf(caller Caller, personal bool, path string, args []byte, journal *string) cacheKey {
	h := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	part([]byte(path))
	part(args)
	if journal != nil {
		part([]byte(*journal))
	}
	flags := []byte{0}
	if caller.Admin {
		flags[0] |= 1
	}
	if personal {
		flags[0] |= 2
		if caller.Identity != nil {
			if text, err := caller.Identity.MarshalJSON(); err == nil {
				part(text)
			}
		}
	}
	part(flags)
	return cacheKey(h.Sum(nil))
}

func (i *Instance) cached(key cacheKey) *cached {
	l := i.now()
	i.cache.mu.Lock()
	defer i.cache.mu.Unlock()
	if i.cache.of != l || len(i.cache.results) >= maxCached {
		i.cache.of, i.cache.results = l, map[cacheKey]*cached{}
	}
	c := i.cache.results[key]
	if c == nil {
		c = &cached{}
		i.cache.results[key] = c
	}
	return c
}

// SharedQuery is Query with a result that may be another subscription's. It holds
// at every commit from its Timestamp to the one returned, which is at least the
// latest when the call began.
func (i *Instance) SharedQuery(ctx context.Context, caller Caller, path string, args []byte, journal *string) (Outcome, database.Timestamp, error) {
	// One that does not ask who calls is the same for everybody.
	shared := i.cached(keyOf(caller, false, path, args, journal))
	shared.mu.Lock()
	if !shared.there || !shared.outcome.Identity {
		defer shared.mu.Unlock()
		if err := i.refresh(ctx, shared, caller, path, args, journal); err != nil || !shared.outcome.Identity {
			return shared.outcome, shared.checked, err
		}
		// The first run told that it asks: what it gave is this caller's.
		own := i.cached(keyOf(caller, true, path, args, journal))
		own.mu.Lock()
		defer own.mu.Unlock()
		own.outcome, own.there, own.checked = shared.outcome, true, shared.checked
		return own.outcome, own.checked, nil
	}
	shared.mu.Unlock()
	own := i.cached(keyOf(caller, true, path, args, journal))
	own.mu.Lock()
	defer own.mu.Unlock()
	err := i.refresh(ctx, own, caller, path, args, journal)
	return own.outcome, own.checked, err
}

// refresh makes a result hold at the latest commit. Its lock is held.
func (i *Instance) refresh(ctx context.Context, c *cached, caller Caller, path string, args []byte, journal *string) error {
	latest := i.data.Timestamp()
	if c.there && c.checked >= latest {
		return nil
	}
	if c.there && c.outcome.Reads != nil {
		commits, _, known := i.data.Since(c.checked)
		touched := !known
		for _, commit := range commits {
			touched = touched || c.outcome.Reads.Touched(commit)
		}
		if !touched {
			if n := len(commits); n > 0 {
				c.checked = commits[n-1].Timestamp
			}
			return nil
		}
	}
	out, err := i.Query(ctx, caller, path, args, journal)
	if err != nil {
		return err
	}
	c.outcome, c.there, c.checked = out, true, out.Timestamp
	return nil
}
