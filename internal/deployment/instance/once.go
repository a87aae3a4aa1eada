package instance

import (
	"context"
	"crypto/sha256"
	"sync"
)

// Outcomes of mutations that are remembered for clients that ask again.
const (
	keptOutcomes     = 4096
	keptOutcomeBytes = 1 << 20
)

// outcomes remembers what mutations gave, by the client's number of them: one
// that lost its connection sends again what it has no answer to, and whatever was
// committed must not happen twice.
type outcomes struct {
	mu    sync.Mutex
	runs  map[cacheKey]*oneRun
	order []cacheKey // of the committed ones, oldest first
	bytes int
}

type oneRun struct {
	done chan struct{} // closed when out is there
	out  Outcome
	err  error
}

// MutationOnce is Mutation for the request of a client's session: when the same
// was committed before, as the same user, its outcome is returned.
func (i *Instance) MutationOnce(ctx context.Context, caller Caller, session string, request uint32, path string, args []byte) (Outcome, error) {
	h := sha256.New()
	part(h.Write, []byte(session))
	part(h.Write, []byte{byte(request), byte(request >> 8), byte(request >> 16), byte(request >> 24)})
	part(h.Write, []byte(path))
	part(h.Write, args)
	if caller.Identity != nil {
		part(h.Write, []byte(caller.Identity.TokenIdentifier))
	}
	key := cacheKey(h.Sum(nil))
	o := &i.outcomes
	for {
		o.mu.Lock()
		earlier := o.runs[key]
		if earlier == nil {
			break // locked
		}
		o.mu.Unlock()
		select {
		case <-earlier.done:
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
		if earlier.err == nil && earlier.out.Failure == nil {
			return earlier.out, nil
		}
	}
	run := &oneRun{done: make(chan struct{})}
	if o.runs == nil {
		o.runs = map[cacheKey]*oneRun{}
	}
	o.runs[key] = run
	o.mu.Unlock()
	run.out, run.err = i.Mutation(ctx, caller, path, args)
	o.mu.Lock()
	defer o.mu.Unlock()
	close(run.done)
	if run.err != nil || run.out.Failure != nil {
		delete(o.runs, key)
		return run.out, run.err
	}
	o.order, o.bytes = append(o.order, key), o.bytes+len(run.out.Value)
	for len(o.order) > keptOutcomes || o.bytes > keptOutcomeBytes && len(o.order) > 1 {
		o.bytes -= len(o.runs[o.order[0]].out.Value)
		delete(o.runs, o.order[0])
		o.order = o.order[1:]
	}
	return run.out, nil
}
