// Package syncws serves the WebSocket over which Convex's clients subscribe to
// queries and run mutations and actions: who the client is, which queries it
// asks, and transitions from one consistent state of their results to the next.
package syncws

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
)

// Handler serves the socket of the deployments that Open returns.
type Handler struct {
	Log *slog.Logger
	// Open returns the deployment that a request means; release is called when
	// the connection has ended.
	Open func(r *http.Request) (i *instance.Instance, release func(), err error)
	// Admin decides about an admin key. impersonating is the identity as whom
	// functions shall run, an object like the payload of a token, or nil.
	Admin func(ctx context.Context, i *instance.Instance, key string, impersonating json.RawMessage) (instance.Caller, *deployment.Refusal)
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
	s := newSession(r.Context(), h, i, conn)
	err = s.run()
	c, closes := errors.AsType[*closing](err)
	switch {
	case closes:
		_ = conn.Close(c.code, c.reason)
	case r.Context().Err() != nil:
		_ = conn.Close(websocket.StatusGoingAway, "")
	case errors.Is(err, errGone):
		_ = conn.CloseNow()
	default:
		h.Log.WarnContext(r.Context(), "a sync connection broke", "deployment", i.Deployment().Name, "err", err)
		_ = conn.Close(websocket.StatusInternalError, "InternalServerError")
	}
	s.end()
}

// closing ends a connection with a close frame.
type closing struct {
	code   websocket.StatusCode
	reason string
}

func (c *closing) Error() string { return "closed: " + c.reason }

// withoutCode is a close frame without status code (RFC 6455 section 7.1.5).
var withoutCode = &closing{code: websocket.StatusNoStatusRcvd}

// errGone says that the client is not there any more.
var errGone = errors.New("the client is gone")
