package syncws

import (
	"net/http"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
)

// authenticate changes as whom the client asks. The next transition confirms it.
func (s *session) authenticate(m fromClient) error {
	// One transition raises the identity by one: what came before is sent first.
	if s.authSet {
		if err := s.update(); err != nil {
			return err
		}
	}
	if m.BaseVersion != s.at.identity {
		return s.fatal("Base version %d passed up doesn't match the current version %d", m.BaseVersion, s.at.identity)
	}
	next := instance.Caller{}
	var refusal *deployment.Refusal
	switch m.TokenType {
	case "None":
	case "Admin":
		if next, refusal = s.h.Admin(s.ctx, s.i, m.Value, m.Impersonating); refusal != nil && refusal.Status < http.StatusInternalServerError {
			// Only tools come with a key. They stop at this, where an AuthError keeps
			// them waiting.
			return s.fatal("%s: %s", refusal.Code, refusal.Text(s.i.Redacts()))
		}
	case "User":
		next.Identity, refusal = s.i.Accept(s.ctx, m.Value)
	default:
		return s.fatal("Unknown token type %q", m.TokenType)
	}
	if err := s.ctx.Err(); err != nil {
		return err // a refusal may come of that
	}
	if refusal != nil {
		return s.refuse(refusal, true)
	}
	next.Name = caller
	s.caller, s.authSet = next, true
	for _, q := range s.queries {
		q.as(next)
	}
	// A token may be accepted for a few seconds longer than it may be used.
	return s.expired()
}

// refuse ends the connection because of its identity, in the way of each cause.
func (s *session) refuse(r *deployment.Refusal, attempted bool) error {
	switch r.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if err := s.send(authError{"AuthError", r.Text(s.i.Redacts()), s.at.identity, attempted}); err != nil {
			return err
		}
		return withoutCode
	case http.StatusNotFound:
		return &closing{code: websocket.StatusNormalClosure}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &closing{code: websocket.StatusTryAgainLater, reason: r.Code}
	}
	return &closing{code: websocket.StatusInternalError, reason: "InternalServerError"}
}

// expired ends the connection when the token that it was accepted with has run
// out. There is no leeway.
func (s *session) expired() error {
	if s.caller.Identity == nil {
		return nil
	}
	if r := s.caller.Identity.Expired(s.i.Now()); r != nil {
		return s.refuse(r, false)
	}
	return nil
}
