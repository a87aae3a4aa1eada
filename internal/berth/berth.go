// Package berth speaks Berth's own protocol, /berth/v1: what the vendors have
// no word for. Here are claims and their environments, deployments' auth
// configuration and token decisions, and settings of embedded environments.
//
// JSON shapes live here once: our server encodes what this client decodes.
// Requests carry a team token as bearer; errors are {"code", "message", "fix"}.
package berth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// ErrorBody is every answer outside 2xx.
type ErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// Me says whose token it is and what server this is.
type Me struct {
	TeamID   string `json:"team_id"`
	TeamName string `json:"team_name"`
	TeamSlug string `json:"team_slug"`
	BaseURL  string `json:"base_url"`
	Version  string `json:"version"`
}

// Grant is claim.Grant on the wire, with the API key in the open: the answer
// goes to the owner of the environment.
type Grant struct {
	claim.Grant
	Key string `json:"api_key,omitempty"`
}

// NewGrant prepares g for the wire.
func NewGrant(g claim.Grant) Grant { return Grant{Grant: g, Key: g.APIKey.Reveal()} }

// Open returns the grant with its key in place.
func (g Grant) Open() *claim.Grant {
	g.Grant.APIKey = secret.String(g.Key)
	return &g.Grant
}

// Release is claim.Release on the wire.
type Release struct {
	claim.Release
	Key string `json:"api_key,omitempty"`
}

// ClaimRequest is claim.Request on the wire, with a given API key in the open.
type ClaimRequest struct {
	claim.Request
	GivenKey string `json:"given_api_key,omitempty"`
}

// BindRequest records the environment made for a placement.
type BindRequest struct {
	EnvironmentID string `json:"environment_id"`
	ClientID      string `json:"client_id"`
	APIKey        string `json:"api_key"`
}

// ConfirmRequest records what apply did.
type ConfirmRequest struct {
	Removed     claim.Entries `json:"removed"`
	HomepageURL string        `json:"homepage_url,omitempty"`
}

// Environment is an embedded environment as its team sees it.
type Environment struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	ClientID     string   `json:"client_id"`
	Production   bool     `json:"production"`
	HomepageURL  string   `json:"homepage_url"`
	Issuer       string   `json:"issuer"`        // iss of its tokens
	IssuerIsOwn  bool     `json:"issuer_is_own"` // the server's own form, not one that was set
	Algorithm    string   `json:"algorithm"`     // of its tokens: RS256 or ES256
	MFARequired  bool     `json:"mfa_required"`  // every sign-in but single sign-on needs a second factor
	RedirectURIs []string `json:"redirect_uris"`
	CORSOrigins  []string `json:"cors_origins"`
	Users        int      `json:"users"`
}

// EnvironmentPatch changes what WorkOS has no call for. See also Settings.
type EnvironmentPatch struct {
	Issuer *string `json:"issuer,omitempty"` // "" for the server's own form
	// RemoveRedirectURIs takes redirect URIs away, the default one included:
	// another becomes the default.
	RemoveRedirectURIs []string `json:"remove_redirect_uris,omitempty"`
}

// Orphans are things without an owner.
type Orphans struct {
	Environments []Environment     `json:"environments"`
	Placements   []claim.Placement `json:"placements"`
}

// AuthConfig is a deployment's auth configuration: the bundled source of
// convex/auth.config.
type AuthConfig struct {
	Source string `json:"source"`
}

// Provider is one provider of an auth configuration as the deployment stores it.
type Provider struct {
	Kind          string  `json:"kind"` // customJwt or oidc
	Issuer        string  `json:"issuer"`
	ApplicationID *string `json:"application_id"`
	JWKS          string  `json:"jwks,omitempty"`
	Algorithm     string  `json:"algorithm,omitempty"`
}

// AuthConfigResult is what the source evaluated to with the deployment's
// variables, in the order in which providers are tried.
type AuthConfigResult struct {
	Providers []Provider `json:"providers"`
}

// CheckRequest asks whether a deployment accepts a token.
type CheckRequest struct {
	Token string `json:"token"`
}

// Decision is the answer: accepted with the identity, or refused with Convex's
// code and text.
type Decision struct {
	Accepted bool                       `json:"accepted"`
	Status   int                        `json:"status,omitempty"`
	Code     string                     `json:"code,omitempty"`
	Message  string                     `json:"message,omitempty"`
	Identity map[string]json.RawMessage `json:"identity,omitempty"`
}

// Deployment is the record of an embedded deployment.
type Deployment struct {
	Name      string     `json:"name"`
	Project   string     `json:"project"`
	Kind      claim.Kind `json:"kind"`
	Reference string     `json:"reference"`
	URL       string     `json:"url"`
	CreatedAt time.Time  `json:"created_at"`
}

// Client calls /berth/v1.
type Client struct{ Wire *wire.Client }

// New returns a client of the server at base with a team token.
func New(base string, token secret.String) *Client {
	return &Client{Wire: &wire.Client{Base: base, Name: "the Berth server", Authorize: func(context.Context) (string, error) {
		return "Bearer " + token.Reveal(), nil
	}}}
}

// do makes a call; the fix that the server names becomes the error's.
func (c *Client) do(ctx context.Context, call wire.Call) error {
	call.Repeatable = true // the calls of this protocol are idempotent, but for those that use once
	return c.once(ctx, call)
}

// once is do for a call whose repetition would not find what it found.
func (c *Client) once(ctx context.Context, call wire.Call) error {
	err := c.Wire.Do(ctx, call)
	var f *fault.Error
	if status, ok := errors.AsType[*wire.StatusError](err); ok && errors.As(err, &f) {
		var body ErrorBody
		if json.Unmarshal(status.Body, &body) == nil && body.Message != "" {
			f.Message = body.Message
			if body.Fix != "" {
				f.Fix = body.Fix
			}
		}
	}
	return err
}

// Me returns the token's team.
func (c *Client) Me(ctx context.Context) (Me, error) {
	var me Me
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/me", Out: &me})
	return me, err
}

// Claims lists claims, optionally of one project.
func (c *Client) Claims(ctx context.Context, project string) ([]claim.Grant, error) {
	var out []Grant
	q := url.Values{}
	if project != "" {
		q.Set("project", project)
	}
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/claims", Query: q, Out: &out})
	grants := make([]claim.Grant, len(out))
	for i, g := range out {
		grants[i] = *g.Open()
	}
	return grants, err
}

// Claim returns the grant of one deployment, or a NotFound.
func (c *Client) Claim(ctx context.Context, deployment string) (*claim.Grant, error) {
	var g Grant
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/claim", Query: url.Values{"deployment": {deployment}}, Out: &g})
	if err != nil {
		return nil, err
	}
	return g.Open(), nil
}

// removalPolls bounds the wait for another run's removal: it is a little
// longer than the removal lease.
const removalPolls = 140

// PutClaim records a claim. While another run removes one of its entries it
// waits, up to the removal lease.
func (c *Client) PutClaim(ctx context.Context, r claim.Request) (*claim.Grant, error) {
	req := ClaimRequest{Request: r}
	if r.Given != nil {
		req.GivenKey = r.Given.APIKey.Reveal()
	}
	for poll := 0; ; poll++ {
		var g Grant
		err := c.do(ctx, wire.Call{Method: http.MethodPut, Path: "/berth/v1/claim", Body: req, Out: &g})
		if err == nil {
			return g.Open(), nil
		}
		if fault.Code(err) != "removal_in_progress" || poll >= removalPolls {
			return nil, err
		}
		if err := c.pause(ctx, time.Second); err != nil {
			return nil, fault.Wrap(err, fault.Interrupted, "interrupted while waiting for another run to finish a removal")
		}
	}
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.Wire.Sleep != nil {
		return c.Wire.Sleep(ctx, d)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Bind records a placement's environment and returns the placement, which is
// another one's when another run was first.
func (c *Client) Bind(ctx context.Context, placementID string, b BindRequest) (claim.Placement, error) {
	var p claim.Placement
	err := c.do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/placements/" + url.PathEscape(placementID) + "/bind", Body: b, Out: &p})
	return p, err
}

// Intend records entries as Berth's own before they are sent.
func (c *Client) Intend(ctx context.Context, claimID string, add claim.Entries) error {
	return c.do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/claims/" + url.PathEscape(claimID) + "/intend", Body: add})
}

// Confirm records that the claim's configuration is in place.
func (c *Client) Confirm(ctx context.Context, claimID string, r ConfirmRequest) error {
	return c.do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/claims/" + url.PathEscape(claimID) + "/confirm", Body: r})
}

// Release begins to release a claim and says what to remove.
func (c *Client) Release(ctx context.Context, claimID string) (*claim.Release, error) {
	var r Release
	err := c.do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/claims/" + url.PathEscape(claimID) + "/release", Out: &r})
	if err != nil {
		return nil, err
	}
	r.Release.APIKey = secret.String(r.Key)
	return &r.Release, nil
}

// Released ends a release.
func (c *Client) Released(ctx context.Context, claimID string, removed claim.Entries) error {
	return c.do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/claims/" + url.PathEscape(claimID) + "/released", Body: removed})
}

// Orphans lists what has no owner.
func (c *Client) Orphans(ctx context.Context) (Orphans, error) {
	var o Orphans
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/orphans", Out: &o})
	return o, err
}

// Environment returns an embedded environment, or a NotFound when the client
// ID is not one of this server's.
func (c *Client) Environment(ctx context.Context, clientID string) (Environment, error) {
	var e Environment
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/environments/" + url.PathEscape(clientID), Out: &e})
	return e, err
}

// Environments lists the team's embedded environments.
func (c *Client) Environments(ctx context.Context) ([]Environment, error) {
	var list []Environment
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/environments", Out: &list})
	return list, err
}

// PatchEnvironment changes settings of an embedded environment.
func (c *Client) PatchEnvironment(ctx context.Context, clientID string, p EnvironmentPatch) error {
	return c.do(ctx, wire.Call{Method: http.MethodPatch, Path: "/berth/v1/environments/" + url.PathEscape(clientID), Body: p})
}

// Deployments lists the team's embedded deployments.
func (c *Client) Deployments(ctx context.Context) ([]Deployment, error) {
	var list []Deployment
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/deployments", Out: &list})
	return list, err
}

// PutAuthConfig gives a deployment its auth configuration.
func (c *Client) PutAuthConfig(ctx context.Context, deployment string, a AuthConfig) (AuthConfigResult, error) {
	var r AuthConfigResult
	err := c.do(ctx, wire.Call{Method: http.MethodPut, Path: "/berth/v1/deployments/" + url.PathEscape(deployment) + "/auth_config", Body: a, Out: &r})
	return r, err
}

// AuthConfig returns the source that a deployment has.
func (c *Client) AuthConfig(ctx context.Context, deployment string) (AuthConfig, error) {
	var a AuthConfig
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/deployments/" + url.PathEscape(deployment) + "/auth_config", Out: &a})
	return a, err
}

// Check asks whether a deployment accepts a token.
func (c *Client) Check(ctx context.Context, deployment string, token secret.String) (Decision, error) {
	var d Decision
	err := c.do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/deployments/" + url.PathEscape(deployment) + "/check", Body: CheckRequest{Token: token.Reveal()}, Out: &d})
	return d, err
}

// NewToken asks for a team token, or with Platform for Platform API client
// credentials, whose client_id is the token's id.
type NewToken struct {
	Name      string    `json:"name"`
	Platform  bool      `json:"platform,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Token is a credential as it is made; the value is shown only then.
type Token struct {
	ID     string `json:"id"`
	TeamID string `json:"team_id"`
	Value  string `json:"value"`
}

// CreateToken makes a team token or client credentials.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (Token, error) {
	var t Token
	err := c.Wire.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/berth/v1/tokens", Body: n, Out: &t})
	return t, err
}

// OwnerHeader names, in calls of the control plane that give out a dev
// deployment, the developer or worktree it is for. Convex knows its users by
// their own tokens and ignores it.
const OwnerHeader = "Berth-Owner"

// Message is a mail in the inbox of a lower environment.
type Message struct {
	ID        string    `json:"id"`
	To        string    `json:"to"`
	Kind      string    `json:"kind"` // email_verification, magic_auth, password_reset, ...
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	Code      string    `json:"code,omitempty"`
	Link      string    `json:"link,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Messages lists the mail of an environment, newest first: optionally of one
// recipient and not before a time.
func (c *Client) Messages(ctx context.Context, clientID, to string, since time.Time) ([]Message, error) {
	q := url.Values{}
	if to != "" {
		q.Set("to", to)
	}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	var list []Message
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: "/berth/v1/environments/" + url.PathEscape(clientID) + "/messages", Query: q, Out: &list})
	return list, err
}
