package berth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// AuditEvent is one administrative act in a team. It holds no secret.
type AuditEvent struct {
	ID            string    `json:"id"`
	EnvironmentID string    `json:"environment_id,omitempty"`
	ActorKind     string    `json:"actor_kind"`         // team_token, api_key or server
	ActorID       string    `json:"actor_id,omitempty"` // of the credential
	Action        string    `json:"action"`             // environment.created, api_key.expired, ...
	Target        string    `json:"target,omitempty"`   // id or registered address
	CreatedAt     time.Time `json:"created_at"`
}

// AuditPage is a page of events, newest first. After is the cursor of the next
// one, "" at the end.
type AuditPage struct {
	Events []AuditEvent `json:"events"`
	After  string       `json:"after,omitempty"`
}

// Audit returns a page of the team's administrative acts; after is "" for the
// first one.
func (c *Client) Audit(ctx context.Context, after string) (AuditPage, error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	var p AuditPage
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/audit", Query: q, Out: &p})
	return p, err
}
