// Package upstream speaks OpenID Connect to the identity providers behind
// connections: discovery, the authorization code flow with PKCE (RFC 7636) and
// nonce, and the proof of ID tokens (OpenID Connect Core section 3.1.3.7). What
// a person who comes back may do is package auth's to decide.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const (
	// timeout bounds one call to a provider.
	timeout = 10 * time.Second
	// maxAnswer bounds an answer of a provider in bytes. Key sets and token
	// answers have a few thousand.
	maxAnswer = 1 << 20
	// known bounds how long the discovery document of a provider is believed.
	known = time.Hour
	// maxProviders bounds the providers whose documents are in memory.
	maxProviders = 256
)

// Client calls identity providers. Its zero value is ready.
type Client struct {
	Now func() time.Time // clock; default time.Now

	mu    sync.Mutex
	found map[string]discovery // by issuer
}

type discovery struct {
	provider *oidc.Provider
	at       time.Time
}

// Request is what a sign-in asks of a provider.
type Request struct {
	RedirectURI string
	State       string
	Nonce       string
	Verifier    string            // PKCE code_verifier
	LoginHint   string            // the person's address, "" when unknown
	DomainHint  string            // the organization's domain, "" when unknown
	Prompt      string            // login asks the person again
	Scopes      []string          // besides those of the connection
	Query       map[string]string // further parameters; none replaces one of ours
}

// Unreachable is the code of errors of a provider that does not answer, or not
// as OpenID Connect says.
const Unreachable = "oauth_failed"

func failed(err error, format string, args ...any) error {
	return fault.Wrap(err, fault.Unavailable, format, args...).WithCode(Unreachable)
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// http is the client for one sign-in: it follows no redirect, since a provider
// that answers at another address is not the one that was configured.
func (c *Client) http() *http.Client {
	return &http.Client{Timeout: timeout, Transport: bounded{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the identity provider redirects") }}
}

// bounded cuts answers that are too large.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, left: maxAnswer}
	return resp, nil
}

type body struct {
	io.ReadCloser
	left int
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// provider returns the provider of an issuer, by OpenID Connect Discovery 1.0.
func (c *Client) provider(ctx context.Context, issuer string) (*oidc.Provider, error) {
	c.mu.Lock()
	d, ok := c.found[issuer]
	c.mu.Unlock()
	if ok && c.now().Sub(d.at) < known {
		return d.provider, nil
	}
	// The provider keeps the context for its key set, so it must outlive the
	// request; each of its calls is bounded by the client's timeout.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), c.http()), issuer)
	if err != nil {
		return nil, failed(err, "The identity provider %s does not answer as OpenID Connect Discovery says.", issuer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found == nil || len(c.found) >= maxProviders {
		c.found = map[string]discovery{}
	}
	c.found[issuer] = discovery{p, c.now()}
	return p, nil
}

func config(conn identity.Connection, p *oidc.Provider, redirectURI string, more []string) oauth2.Config {
	scopes := append([]string{oidc.ScopeOpenID}, conn.Scopes...)
	if len(conn.Scopes) == 0 {
		scopes = append(scopes, "profile", "email")
	}
	for _, s := range more {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	endpoint := p.Endpoint()
	// Trying out how the provider wants the secret could spend the code. What it
	// names decides; without that it is Basic (Discovery 1.0 section 3).
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	var meta struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if p.Claims(&meta) == nil && len(meta.Methods) > 0 && !slices.Contains(meta.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return oauth2.Config{ClientID: conn.ClientID, ClientSecret: conn.ClientSecret.Reveal(), Endpoint: endpoint, RedirectURL: redirectURI, Scopes: scopes}
}

// AuthorizeURL returns where the browser goes to sign in at the provider of an
// identity.OIDCConnection.
func (c *Client) AuthorizeURL(ctx context.Context, conn identity.Connection, r Request) (string, error) {
	p, err := c.provider(ctx, conn.Issuer)
	if err != nil {
		return "", err
	}
	cfg := config(conn, p, r.RedirectURI, r.Scopes)
	options := []oauth2.AuthCodeOption{}
	for k, v := range r.Query {
		options = append(options, oauth2.SetAuthURLParam(k, v))
	}
	hints := map[string]string{"login_hint": r.LoginHint, "domain_hint": r.DomainHint, "prompt": r.Prompt}
	if conn.Type == "GoogleOAuth" && r.DomainHint != "" {
		hints["hd"] = r.DomainHint // Google's name for it
	}
	for k, v := range hints {
		if v != "" {
			options = append(options, oauth2.SetAuthURLParam(k, v))
		}
	}
	// Ours come last: nothing that the application sent replaces them.
	options = append(options, oidc.Nonce(r.Nonce), oauth2.S256ChallengeOption(r.Verifier), oauth2.SetAuthURLParam("client_id", conn.ClientID),
		oauth2.SetAuthURLParam("redirect_uri", r.RedirectURI), oauth2.SetAuthURLParam("response_type", "code"), oauth2.SetAuthURLParam("state", r.State),
		oauth2.SetAuthURLParam("scope", strings.Join(cfg.Scopes, " ")), oauth2.SetAuthURLParam("response_mode", "query"))
	to := cfg.AuthCodeURL(r.State, options...)
	if u, err := url.Parse(to); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", failed(nil, "The identity provider %s names no address to sign in at.", conn.Issuer)
	}
	return to, nil
}

// Exchange redeems the code that a provider gave and proves its ID token:
// signature, issuer, audience, times and nonce. Errors have the code
// Unreachable and are said without what the provider wrote.
func (c *Client) Exchange(ctx context.Context, conn identity.Connection, r Request, code string) (identity.Profile, *identity.ProviderTokens, error) {
	var out identity.Profile
	p, err := c.provider(ctx, conn.Issuer)
	if err != nil {
		return out, nil, err
	}
	cfg := config(conn, p, r.RedirectURI, r.Scopes)
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http()), 2*timeout)
	defer cancel()
	t, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(r.Verifier))
	if err != nil {
		return out, nil, failed(err, "The identity provider did not take the code that it gave.")
	}
	raw, ok := t.Extra("id_token").(string)
	if !ok {
		return out, nil, failed(nil, "The identity provider gave no ID token.")
	}
	id, err := p.Verifier(&oidc.Config{ClientID: conn.ClientID, Now: c.now}).Verify(ctx, raw)
	if err != nil {
		return out, nil, failed(err, "The ID token of the identity provider cannot be trusted.")
	}
	if id.Nonce == "" || id.Nonce != r.Nonce {
		return out, nil, failed(nil, "The ID token of the identity provider is of another sign-in.")
	}
	// OpenID Connect Core section 3.1.3.7, points 4 and 5.
	var azp struct {
		Party string `json:"azp"`
	}
	if err := id.Claims(&azp); err != nil || azp.Party != "" && azp.Party != conn.ClientID || azp.Party == "" && len(id.Audience) > 1 {
		return out, nil, failed(err, "The ID token of the identity provider is for another application.")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return out, nil, failed(err, "The ID token of the identity provider cannot be read.")
	}
	if _, there := claims["email"]; !there && p.UserInfoEndpoint() != "" {
		info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(t))
		if err != nil {
			return out, nil, failed(err, "The identity provider does not say who signed in.")
		}
		more := map[string]any{}
		// OpenID Connect Core section 5.3.2: it must be of the same person.
		if err := info.Claims(&more); err != nil || info.Subject != id.Subject {
			return out, nil, failed(err, "The identity provider speaks of two people.")
		}
		for k, v := range more {
			if _, there := claims[k]; !there {
				claims[k] = v
			}
		}
	}
	tokens := &identity.ProviderTokens{Provider: conn.Type, AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, ExpiresAt: t.Expiry, Scopes: cfg.Scopes}
	if granted, ok := t.Extra("scope").(string); ok && granted != "" {
		tokens.Scopes = strings.Fields(granted)
	}
	return ProfileOf(id.Subject, claims), tokens, nil
}

// protocolClaims are about the token and not about the person.
var protocolClaims = []string{"iss", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "azp", "auth_time", "acr", "amr", "jti", "sid"}

// ProfileOf reads the standard claims of a person (OpenID Connect Core section 5.1).
func ProfileOf(subject string, claims map[string]any) identity.Profile {
	text := func(name string) string {
		s, _ := claims[name].(string)
		return strings.TrimSpace(s)
	}
	p := identity.Profile{IDPID: subject, Email: text("email"), FirstName: text("given_name"), LastName: text("family_name"), Attributes: map[string]any{}}
	// Some providers write the boolean as a string.
	p.EmailVerified = claims["email_verified"] == true || claims["email_verified"] == "true"
	if p.FirstName == "" && p.LastName == "" {
		p.FirstName, p.LastName, _ = strings.Cut(text("name"), " ")
	}
	if list, ok := claims["groups"].([]any); ok {
		for _, g := range list {
			if s, ok := g.(string); ok {
				p.Groups = append(p.Groups, s)
			}
		}
	}
	for k, v := range claims {
		if !slices.Contains(protocolClaims, k) {
			p.Attributes[k] = v
		}
	}
	return p
}

// LogoutURL returns where a person signs out at the provider (OpenID Connect
// RP-Initiated Logout 1.0), or "" when it has no such place. homepage is where
// they may go afterwards, "" for none.
func (c *Client) LogoutURL(ctx context.Context, conn identity.Connection, homepage string) (string, error) {
	p, err := c.provider(ctx, conn.Issuer)
	if err != nil {
		return "", err
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := p.Claims(&more); err != nil {
		return "", failed(err, "The discovery document of %s cannot be read.", conn.Issuer)
	}
	u, err := url.Parse(more.EndSession)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", nil
	}
	q := u.Query()
	q.Set("client_id", conn.ClientID)
	if homepage != "" {
		q.Set("post_logout_redirect_uri", homepage)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}
