package berth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// Credential is a team credential without its value, which nobody has but its
// holder.
type Credential struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind"` // token; client: of the Platform API; access: a Platform access token
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	Current   bool      `json:"current,omitempty"` // the request came with it
}

// Credentials lists the team's credentials that have not expired, newest first.
func (c *Client) Credentials(ctx context.Context) ([]Credential, error) {
	var list []Credential
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/tokens", Out: &list})
	return list, err
}

// RevokeCredential ends a credential at once, or gives a NotFound.
func (c *Client) RevokeCredential(ctx context.Context, id string) error {
	return c.once(ctx, wire.Call{Method: http.MethodDelete, Path: "/berth/v1/tokens/" + url.PathEscape(id)})
}
