package berth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/wire"
)

// Settings are what an environment can be told about its pages, tokens,
// sessions and ways to sign in, which WorkOS has in its dashboard alone. An answer has every member, as it is in effect.
// In a patch a member that is absent stays as it is; "" and 0 stand for the
// default.
type Settings struct {
	Brand *Brand `json:"brand,omitempty"`

	Algorithm           *string `json:"algorithm,omitempty"`             // of access tokens: RS256 (default) or ES256
	Audience            *string `json:"audience,omitempty"`              // their aud; default: none
	AccessTokenLifetime *int64  `json:"access_token_lifetime,omitempty"` // seconds, 60 to 86400; default 300
	SessionLifetime     *int64  `json:"session_lifetime,omitempty"`      // seconds, 300 to 31536000; default 30 days
	SessionInactivity   *int64  `json:"session_inactivity,omitempty"`    // seconds without a refresh that end a session; default: no limit

	Methods *Methods `json:"methods,omitempty"`

	MFARequired *bool    `json:"mfa_required,omitempty"` // every sign-in but single sign-on needs a second factor; default: no
	Pages       *Pages   `json:"pages,omitempty"`
	Connect     *Connect `json:"connect,omitempty"`
}

// Brand is how the pages present themselves.
type Brand struct {
	Name    *string `json:"name,omitempty"`     // default: the project's name
	LogoURL *string `json:"logo_url,omitempty"` // https or data:image URL
	Accent  *string `json:"accent,omitempty"`   // #rgb or #rrggbb
}

// Methods say how people may sign in; all are open by default.
type Methods struct {
	Password  *bool `json:"password,omitempty"`
	MagicCode *bool `json:"magic_code,omitempty"`
	SSO       *bool `json:"sso,omitempty"`
	SignUp    *bool `json:"sign_up,omitempty"` // off: only invited people and those made by API
}

// Pages say what the pages show.
type Pages struct {
	// ListTestUsers offers test users on the sign-in page to everybody who can
	// open it; without it only on the server's own machine. Not for production.
	ListTestUsers *bool `json:"list_test_users,omitempty"`
}

// Connect shapes the sign-in to OAuth applications.
type Connect struct {
	LoginURI *string `json:"login_uri,omitempty"` // where an application of the environment signs people in itself; default: the pages
}

func settingsPath(clientID string) string {
	return "/berth/v1/environments/" + url.PathEscape(clientID) + "/settings"
}

// Settings returns the settings of an embedded environment.
func (c *Client) Settings(ctx context.Context, clientID string) (Settings, error) {
	var out Settings
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: settingsPath(clientID), Out: &out})
	return out, err
}

// PatchSettings changes settings and returns them as they are then.
func (c *Client) PatchSettings(ctx context.Context, clientID string, patch Settings) (Settings, error) {
	var out Settings
	err := c.do(ctx, wire.Call{Method: http.MethodPatch, Path: settingsPath(clientID), Body: patch, Out: &out})
	return out, err
}
