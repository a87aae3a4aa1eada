// Package syncws serves the WebSocket over which Convex's clients subscribe to
// queries and run mutations and actions: who the client is, which queries it
// asks, and transitions from one consistent state of their results to the next.
package syncws

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
)

// Handler serves the socket of the deployments that open returns. admin
// decides about an admin key, with an impersonated identity or without: it
// returns as whom functions run.
type Handler struct {
	Log   *slog.Logger
	Open  func(r *http.Request) (i *instance.Instance, release func(), err error)
	Admin func(ctx context.Context, i *instance.Instance, key string) (instance.Caller, *deployment.Refusal)
}

// maxMessage bounds a message of a client, in bytes.
const maxMessage = 16<<20 + 2000

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, release, err := h.Open(r)
	if err != nil {
		http.Error(w, "the deployment is not available", http.StatusServiceUnavailable)
		return
	}
	defer release()
	// Any page may connect: what a client may do is in the token it sends, not
	// in cookies.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(maxMessage)
	s := newSession(h, i, conn)
	err = s.run(r.Context())
	var c *closing
	switch {
	case errors.As(err, &c):
		_ = conn.Close(c.code, c.reason)
	case r.Context().Err() != nil:
		_ = conn.Close(websocket.StatusGoingAway, "")
	case websocket.CloseStatus(err) != -1:
		_ = conn.CloseNow()
	default:
		h.Log.DebugContext(r.Context(), "a sync connection ended", "deployment", i.Deployment().Name, "err", err)
		_ = conn.Close(websocket.StatusInternalError, "InternalServerError")
	}
}

// closing ends a connection with a close frame.
type closing struct {
	code   websocket.StatusCode
	reason string
}

func (c *closing) Error() string { return "closed: " + c.reason }

// withoutCode is a close frame without status code (RFC 6455 section 7.1.5).
var withoutCode = &closing{code: websocket.StatusNoStatusRcvd}
