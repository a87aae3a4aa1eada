package berth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// Flag is a feature flag of an embedded environment.
type Flag struct {
	ID          string    `json:"id"`
	Slug        string    `json:"slug"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Tags        []string  `json:"tags"`
	Enabled     bool      `json:"enabled"`
	Default     bool      `json:"default_value"` // for whom no target matches
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// NewFlag is a flag to be made. An empty name is the slug.
type NewFlag struct {
	Slug        string   `json:"slug"`
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Enabled     bool     `json:"enabled,omitempty"`
	Default     bool     `json:"default_value,omitempty"`
}

// FlagPatch changes a flag; members that are absent stay.
type FlagPatch struct {
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	Tags        *[]string `json:"tags,omitempty"`
	Enabled     *bool     `json:"enabled,omitempty"`
	Default     *bool     `json:"default_value,omitempty"`
}

func flagsPath(clientID string) string {
	return "/berth/v1/environments/" + url.PathEscape(clientID) + "/feature_flags"
}

// CreateFlag makes a flag. A slug that is taken is a Conflict.
func (c *Client) CreateFlag(ctx context.Context, clientID string, n NewFlag) (Flag, error) {
	var f Flag
	err := c.once(ctx, wire.Call{Method: http.MethodPost, Path: flagsPath(clientID), Body: n, Out: &f})
	return f, err
}

// PatchFlag changes a flag.
func (c *Client) PatchFlag(ctx context.Context, clientID, slug string, p FlagPatch) (Flag, error) {
	var f Flag
	err := c.do(ctx, wire.Call{Method: http.MethodPatch, Path: flagsPath(clientID) + "/" + url.PathEscape(slug), Body: p, Out: &f})
	return f, err
}

// DeleteFlag removes a flag with its targets.
func (c *Client) DeleteFlag(ctx context.Context, clientID, slug string) error {
	return c.once(ctx, wire.Call{Method: http.MethodDelete, Path: flagsPath(clientID) + "/" + url.PathEscape(slug)})
}
