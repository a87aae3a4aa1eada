package berth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// Member is a person in a team.
type Member struct {
	Email    string    `json:"email"`
	Role     string    `json:"role"`     // admin or developer
	Projects []string  `json:"projects"` // slugs of projects that a developer administers
	JoinedAt time.Time `json:"joined_at,omitzero"`
}

// Login says where people sign in to the server: the issuer and the client of
// the device flow (`convex login --override-auth-url ISSUER --override-auth-client CLIENT`).
type Login struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
}

// Members lists the members of the team.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var out []Member
	err := c.Wire.Do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/members", Out: &out})
	return out, err
}

// PutMember makes a person a member of the team, or changes what the person is.
func (c *Client) PutMember(ctx context.Context, m Member) (Member, error) {
	var out Member
	err := c.Wire.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/members", Body: m, Out: &out, Repeatable: true})
	return out, err
}

// RemoveMember takes a person out of the team.
func (c *Client) RemoveMember(ctx context.Context, email string) error {
	return c.Wire.Do(ctx, wire.Call{Method: http.MethodDelete, Path: "/berth/v1/members/" + url.PathEscape(email)})
}

// Login says where people sign in.
func (c *Client) Login(ctx context.Context) (Login, error) {
	var out Login
	err := c.Wire.Do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/login", Out: &out})
	return out, err
}
