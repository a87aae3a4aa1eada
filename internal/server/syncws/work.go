package syncws

import (
	"encoding/json"
	"sync"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
)

// finished is a mutation or action that ran.
type finished struct {
	message fromClient
	out     instance.Outcome
	err     error
	refusal *deployment.Refusal // it did not run: the caller's token ran out while it waited
}

// work is a mutation that waits for its turn.
type work struct {
	message fromClient
	caller  instance.Caller
}

// mutationQueue holds the mutations of a client, which run one after another.
type mutationQueue struct {
	mu      sync.Mutex
	waiting []work
	bytes   int
	running bool
}

// start begins a mutation or action.
func (s *session) start(m fromClient) error {
	if err := s.expired(); err != nil {
		return err
	}
	if m.Type == "Mutation" {
		return s.queue(work{m, s.caller})
	}
	select {
	case s.actions <- struct{}{}:
	default:
		return s.fatal("Too many concurrent actions (limit: %d)", maxActions)
	}
	as := s.caller
	s.helpers.Go(func() {
		defer func() { <-s.actions }()
		out, err := s.i.Action(s.base, as, m.UDFPath, m.Args)
		s.finish(finished{message: m, out: out, err: err})
	})
	return nil
}

func (s *session) queue(w work) error {
	q := &s.mutations
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxMutations || q.bytes > maxWaiting {
		return s.fatal("Too many concurrent mutations (limit: %d)", maxMutations)
	}
	q.waiting, q.bytes = append(q.waiting, w), q.bytes+len(w.message.Args)
	if !q.running {
		q.running = true
		s.helpers.Go(s.mutate)
	}
	return nil
}

// mutate runs the mutations that wait, in the order in which they came. What
// the client is not there to be answered about does not begin.
func (s *session) mutate() {
	q := &s.mutations
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 || s.ctx.Err() != nil {
			q.running, q.waiting = false, nil
			q.mu.Unlock()
			return
		}
		w := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.bytes -= len(w.message.Args)
		q.mu.Unlock()
		f := finished{message: w.message}
		if who := w.caller.Identity; who != nil {
			f.refusal = who.Expired(s.i.Now())
		}
		if f.refusal != nil {
			s.finish(f)
			return
		}
		if s.id == "" {
			f.out, f.err = s.i.Mutation(s.base, w.caller, w.message.UDFPath, w.message.Args)
		} else {
			f.out, f.err = s.i.MutationOnce(s.base, w.caller, s.id, w.message.RequestID, w.message.UDFPath, w.message.Args)
		}
		s.finish(f)
	}
}

func (s *session) finish(f finished) {
	select {
	case s.done <- f:
	case <-s.ctx.Done():
	}
}

// respond answers a mutation or action. A mutation is followed by a transition
// that reaches its commit: the client waits for it.
func (s *session) respond(f finished) error {
	if f.refusal != nil {
		return s.refuse(f.refusal, false)
	}
	if f.err != nil {
		return f.err
	}
	r := response{Type: f.message.Type + "Response", RequestID: f.message.RequestID, Success: f.out.Failure == nil, Result: f.out.Value, LogLines: []string{}}
	if !s.i.Redacts() || s.caller.Admin {
		r.LogLines = instance.PlainLogs(f.out.Logs)
	}
	if failure := f.out.Failure; failure != nil {
		text, err := json.Marshal(failure.Message)
		if err != nil {
			return err
		}
		r.Result, r.ErrorData = text, failure.Data
	}
	if f.message.Type == "Action" {
		return s.send(r)
	}
	m := mutationResponse{response: r}
	if r.Success {
		m.TS = new(timestamp(f.out.Timestamp))
		s.owes, s.owed = true, max(s.owed, f.out.Timestamp)
	}
	return s.send(m)
}
