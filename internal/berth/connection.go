package berth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// Connection is a way to an identity provider: an organization's own, or
// without one a social provider. Its secret is never shown.
type Connection struct {
	ID             string    `json:"id"`
	OrganizationID string    `json:"organization_id,omitempty"`
	Type           string    `json:"connection_type"` // GoogleOAuth, GenericOIDC, ...
	Kind           string    `json:"kind"`            // test or oidc
	Name           string    `json:"name"`
	State          string    `json:"state"` // active or inactive
	Issuer         string    `json:"issuer,omitempty"`
	ClientID       string    `json:"client_id,omitempty"` // at the provider
	Scopes         []string  `json:"scopes,omitempty"`
	ReturnTokens   bool      `json:"return_tokens,omitempty"`
	CallbackURL    string    `json:"callback_url"` // what is registered at the provider
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// NewConnection is the body of a creation.
type NewConnection struct {
	OrganizationID string   `json:"organization_id,omitempty"` // "" for a social provider
	Type           string   `json:"connection_type"`
	Kind           string   `json:"kind,omitempty"` // default: oidc with an issuer or client id, else test
	Name           string   `json:"name,omitempty"` // default: of the provider or the organization
	Issuer         string   `json:"issuer,omitempty"`
	ClientID       string   `json:"client_id,omitempty"`
	ClientSecret   string   `json:"client_secret,omitempty"`
	Scopes         []string `json:"scopes,omitempty"`
	ReturnTokens   bool     `json:"return_tokens,omitempty"`
}

// ConnectionPatch changes a connection; absent members stay.
type ConnectionPatch struct {
	Name         *string   `json:"name,omitempty"`
	State        *string   `json:"state,omitempty"`
	ClientID     *string   `json:"client_id,omitempty"`
	ClientSecret *string   `json:"client_secret,omitempty"`
	Scopes       *[]string `json:"scopes,omitempty"`
	ReturnTokens *bool     `json:"return_tokens,omitempty"`
}

// OrganizationMethods say how members of an organization may sign in.
type OrganizationMethods struct {
	SSO       bool     `json:"sso"`
	Password  bool     `json:"password"`
	MagicAuth bool     `json:"magic_auth"`
	Social    []string `json:"social"` // GoogleOAuth, ...
}

func methodsPath(clientID, organizationID string) string {
	return "/berth/v1/environments/" + url.PathEscape(clientID) + "/organizations/" + url.PathEscape(organizationID) + "/methods"
}

// OrganizationMethods returns how members of an organization may sign in, or nil
// when it has no rule of its own.
func (c *Client) OrganizationMethods(ctx context.Context, clientID, organizationID string) (*OrganizationMethods, error) {
	var out *OrganizationMethods
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: methodsPath(clientID, organizationID), Out: &out})
	return out, err
}

// SetOrganizationMethods says how members of an organization may sign in; nil
// takes its rule away.
func (c *Client) SetOrganizationMethods(ctx context.Context, clientID, organizationID string, m *OrganizationMethods) error {
	if m == nil {
		return c.do(ctx, wire.Call{Method: http.MethodDelete, Path: methodsPath(clientID, organizationID)})
	}
	return c.do(ctx, wire.Call{Method: http.MethodPut, Path: methodsPath(clientID, organizationID), Body: m})
}

func connectionsPath(clientID string) string {
	return "/berth/v1/environments/" + url.PathEscape(clientID) + "/connections"
}

// Connections lists the connections of an environment, oldest first.
func (c *Client) Connections(ctx context.Context, clientID string) ([]Connection, error) {
	var out []Connection
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: connectionsPath(clientID), Out: &out})
	return out, err
}

// CreateConnection makes a connection. It is not repeated by itself: a second
// one of an organization is another connection.
func (c *Client) CreateConnection(ctx context.Context, clientID string, n NewConnection) (Connection, error) {
	var out Connection
	err := c.once(ctx, wire.Call{Method: http.MethodPost, Path: connectionsPath(clientID), Body: n, Out: &out})
	return out, err
}

// DeleteConnection removes a connection.
func (c *Client) DeleteConnection(ctx context.Context, clientID, id string) error {
	return c.do(ctx, wire.Call{Method: http.MethodDelete, Path: connectionsPath(clientID) + "/" + url.PathEscape(id)})
}
