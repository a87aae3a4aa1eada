package syncws

import (
	"context"
	"encoding/json"

	"github.com/berthdev/berth/internal/deployment/instance"
)

// finished is a mutation or action that ran.
type finished struct {
	message fromClient
	out     instance.Outcome
	err     error
}

// start begins a mutation or action. Mutations of a client run one after
// another, actions at the same time.
func (s *session) start(ctx context.Context, m fromClient) error {
	if err := s.expired(ctx); err != nil {
		return err
	}
	w := work{message: m, caller: s.caller}
	if m.Type == "Mutation" {
		select {
		case s.mutations <- w:
			return nil
		default:
			return s.fatal(ctx, "Too many concurrent mutations (limit: %d)", maxMutations)
		}
	}
	select {
	case s.actions <- struct{}{}:
	default:
		return s.fatal(ctx, "Too many concurrent actions (limit: %d)", maxActions)
	}
	go func() {
		defer func() { <-s.actions }()
		out, err := s.i.Action(ctx, w.caller, m.UDFPath, m.Args)
		s.finish(ctx, finished{m, out, err})
	}()
	return nil
}

// mutate runs mutations in the order in which they came.
func (s *session) mutate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-s.mutations:
			out, err := s.i.Mutation(ctx, w.caller, w.message.UDFPath, w.message.Args)
			s.finish(ctx, finished{w.message, out, err})
		}
	}
}

func (s *session) finish(ctx context.Context, f finished) {
	select {
	case s.done <- f:
	case <-ctx.Done():
	}
}

// respond answers a mutation or action. A mutation is followed by a transition
// that reaches its commit: the client waits for it.
func (s *session) respond(ctx context.Context, v any) error {
	f, ok := v.(finished)
	if !ok {
		return nil
	}
	if f.err != nil {
		return f.err
	}
	r := response{Type: f.message.Type + "Response", RequestID: f.message.RequestID, Success: f.out.Failure == nil, Result: f.out.Value, LogLines: s.logs(f.out)}
	if failure := f.out.Failure; failure != nil {
		text, err := json.Marshal(failure.Message)
		if err != nil {
			return err
		}
		r.Result, r.ErrorData = text, failure.Data
	}
	if f.message.Type == "Action" {
		return s.send(ctx, r)
	}
	m := mutationResponse{response: r}
	if r.Success {
		ts := timestamp(f.out.Timestamp)
		m.TS = &ts
		s.owes, s.owed = true, max(s.owed, f.out.Timestamp)
	}
	return s.send(ctx, m)
}
