package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// Authorization is an authorization request (User Management, authorize) after
// its parameters were read.
type Authorization struct {
	ClientID            string
	RedirectURI         string
	ResponseType        string
	Provider            string
	ConnectionID        string
	OrganizationID      string
	State               string
	CodeChallenge       string
	CodeChallengeMethod string
	ScreenHint          string // sign-in or sign-up
	LoginHint           string
	InvitationToken     string
	// Of sign-ins at an identity provider.
	DomainHint string
	Domain     string // chooses a connection, in the SSO API only
	Prompt     string
	Scopes     []string          // asked for besides those of the connection
	Query      map[string]string // handed on to a social provider
	ForProfile bool              // SSO API: the code stands for a profile, not for a user
}

// RedirectURIError says that a redirect URI is not registered. It is shown on
// a page and never answered by a redirect (RFC 6749 section 4.1.2.1).
type RedirectURIError struct {
	Asked      string
	Registered []string
}

func (e *RedirectURIError) Error() string {
	return "redirect URI is not registered: " + e.Asked
}

// SelectorError says that neither provider, connection nor organization was named.
type SelectorError struct{}

func (SelectorError) Error() string { return "no provider, connection_id or organization_id" }

// ReturnError is a failure that the application learns by a redirect.
type ReturnError struct {
	Code        string // error
	Description string // error_description
}

func (e *ReturnError) Error() string { return e.Code + ": " + e.Description }

// Flow is a sign-in in progress. It travels sealed between the pages, so that
// the server keeps nothing for visitors who never finish.
type Flow struct {
	EnvironmentID   string    `json:"e"`
	ClientID        string    `json:"c"`
	RedirectURI     string    `json:"r"`
	State           string    `json:"s,omitempty"`
	CodeChallenge   string    `json:"k,omitempty"`
	LoginHint       string    `json:"l,omitempty"`
	SignUp          bool      `json:"u,omitempty"`
	Browser         []byte    `json:"b"` // hash of the browser's cookie: a flow works only in the browser that began it
	Begun           time.Time `json:"t"`
	MagicEmail      string    `json:"m,omitempty"` // the address that a magic code was asked for
	OrganizationID  string    `json:"o,omitempty"` // asked for by the application
	InvitationToken string    `json:"i,omitempty"`
	ConnectionID    string    `json:"n,omitempty"` // where the person signs in, "" for the pages here
	DomainHint      string    `json:"d,omitempty"`
	Prompt          string    `json:"q,omitempty"`
	Scopes          []string  `json:"g,omitempty"`
	ForProfile      bool      `json:"f,omitempty"`

	Query map[string]string `json:"y,omitempty"`

	Pending *Pending `json:"p,omitempty"` // after the first factor, while a further step is missing
	Purpose *Purpose `json:"x,omitempty"` // nil: a code of User Management
}

// challengePattern is RFC 7636 section 4.2 for S256: 43 base64url characters.
var challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// Begin checks an authorization request. browser is the value of the cookie
// that ties the flow to one browser. Errors: fault NotFound for an unknown
// client, *RedirectURIError and SelectorError for what must be shown on a
// page, *ReturnError (with a Flow to return through) for the rest.
func (s *Service) Begin(ctx context.Context, a Authorization, browser string) (*store.Env, *Flow, error) {
	e, err := s.db.EnvByClientID(ctx, a.ClientID)
	if err != nil {
		return nil, nil, err
	}
	registered, err := e.RedirectURIs(ctx)
	if err != nil {
		return nil, nil, err
	}
	uris := make([]string, len(registered))
	asked, found := a.RedirectURI, false
	for i, r := range registered {
		uris[i] = r.URI
		if a.RedirectURI == "" && r.Default {
			asked = r.URI
		}
	}
	for _, uri := range uris {
		found = found || asked != "" && identity.MatchRedirectURI(uri, asked)
	}
	if !found {
		return e, nil, &RedirectURIError{Asked: a.RedirectURI, Registered: uris}
	}
	flow := &Flow{EnvironmentID: e.ID, ClientID: e.ClientID, RedirectURI: asked, State: a.State, CodeChallenge: a.CodeChallenge,
		LoginHint: a.LoginHint, DomainHint: a.DomainHint, Prompt: a.Prompt, Scopes: a.Scopes, Query: a.Query, ForProfile: a.ForProfile, SignUp: a.ScreenHint == "sign-up", Browser: browserHash(browser), Begun: s.db.Now()}
	back := func(code, description string) error { return &ReturnError{Code: code, Description: description} }
	switch {
	case a.ResponseType != "code":
		return e, flow, back("unsupported_response_type", "response_type must be code.")
	case a.Provider == "" && a.ConnectionID == "" && a.OrganizationID == "" && a.Domain == "":
		return e, nil, SelectorError{}
	case a.CodeChallenge == "" && a.CodeChallengeMethod != "":
		return e, flow, back("invalid_request", "code_challenge_method was sent without code_challenge.")
	case a.CodeChallenge != "" && a.CodeChallengeMethod != "S256":
		return e, flow, back("invalid_request", "code_challenge_method must be S256.")
	case a.CodeChallenge != "" && !challengePattern.MatchString(a.CodeChallenge):
		return e, flow, back("invalid_request", "code_challenge must be the base64url form of a SHA-256 hash.")
	case a.ScreenHint != "" && a.ScreenHint != "sign-up" && a.ScreenHint != "sign-in":
		return e, flow, back("invalid_request", "screen_hint must be sign-up or sign-in.")
	}
	if err := s.selectConnection(ctx, e, flow, a); err != nil || a.ForProfile {
		return e, flow, err
	}
	return e, flow, s.preselect(ctx, e, flow, a)
}

// preselect keeps the organization and the invitation of an authorization
// request, after a look at whether they can lead anywhere.
func (s *Service) preselect(ctx context.Context, e *store.Env, f *Flow, a Authorization) error {
	if a.OrganizationID != "" {
		_, err := e.Organization(ctx, a.OrganizationID)
		if fault.Is(err, fault.NotFound) {
			return &ReturnError{Code: "organization_invalid", Description: "The organization does not exist."}
		}
		if err != nil {
			return err
		}
		f.OrganizationID = a.OrganizationID
	}
	if a.InvitationToken == "" {
		return nil
	}
	i, err := s.UsableInvitation(ctx, e, a.InvitationToken)
	if err != nil {
		if fault.Is(err, fault.Invalid) {
			return &ReturnError{Code: "access_denied", Description: fault.From(err).Message}
		}
		return err
	}
	f.InvitationToken, f.LoginHint = a.InvitationToken, i.Email
	if a.ScreenHint == "" {
		_, err = e.UserByEmail(ctx, i.Email)
		f.SignUp = fault.Is(err, fault.NotFound)
		if f.SignUp {
			err = nil
		}
	}
	return err
}

// Carry gives a pending sign-in the organization and invitation that the
// application asked for.
func (f *Flow) Carry(p *Pending) {
	if p.OrganizationID == "" {
		p.OrganizationID = f.OrganizationID
	}
	if p.InvitationToken == "" {
		p.InvitationToken = f.InvitationToken
	}
}

func browserHash(cookie string) []byte {
	sum := sha256.Sum256([]byte(cookie))
	return sum[:]
}

// NewBrowser returns a fresh value for the cookie that ties flows to a browser.
func NewBrowser() string { return rand.Text() }

// SealFlow returns the flow as text for a form or URL.
func (s *Service) SealFlow(f *Flow) (string, error) {
	plain, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.db.Box().Seal("sign-in flow", "", plain)), nil
}

// ErrFlow says that a sign-in page is too old, damaged, or of another browser.
var ErrFlow = fault.New(fault.Invalid, "This sign-in page has expired or was opened in another browser.").
	WithFix("Go back to the application and start again.").WithCode("flow_invalid")

// OpenFlow reads what SealFlow returned, for the browser that began it.
func (s *Service) OpenFlow(ctx context.Context, sealed, browser string) (*store.Env, *Flow, error) {
	data, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, nil, ErrFlow
	}
	plain, err := s.db.Box().Open("sign-in flow", "", data)
	if err != nil {
		return nil, nil, ErrFlow
	}
	var f Flow
	if err := json.Unmarshal(plain, &f); err != nil {
		return nil, nil, ErrFlow
	}
	age := s.db.Now().Sub(f.Begun)
	if age > FlowLifetime || age < -time.Minute || subtle.ConstantTimeCompare(f.Browser, browserHash(browser)) != 1 {
		return nil, nil, ErrFlow
	}
	e, err := s.db.EnvByClientID(ctx, f.ClientID)
	if err != nil || e.ID != f.EnvironmentID {
		return nil, nil, ErrFlow
	}
	return e, &f, nil
}

// Finish makes an authorization code for the signed-in user and returns the
// address that the browser goes to: the redirect URI with code and state. The
// URI is checked once more: it may have been removed while the page was open.
func (s *Service) Finish(ctx context.Context, e *store.Env, f *Flow, u identity.User, p *Pending) (string, error) {
	if f.Purpose != nil {
		return s.fulfil(ctx, e, f, u, p)
	}
	if err := s.returnable(ctx, e, f); err != nil {
		return "", err
	}
	code := identity.NewULID() + rand.Text()[:16]
	err := e.AddCode(ctx, identity.Code{Hash: codeHash(code), UserID: u.ID, OrganizationID: p.OrganizationID, RedirectURI: f.RedirectURI,
		CodeChallenge: f.CodeChallenge, AuthMethod: p.Method, ExpiresAt: s.db.Now().Add(CodeLifetime),
		ConnectionID: p.ConnectionID, Provider: p.Provider, ProviderTokens: p.Tokens})
	if err != nil {
		return "", err
	}
	return ReturnURL(f, url.Values{"code": {code}}), nil
}

// returnable refuses a flow whose redirect URI is not registered any more.
func (s *Service) returnable(ctx context.Context, e *store.Env, f *Flow) error {
	registered, err := e.RedirectURIs(ctx)
	if err != nil {
		return err
	}
	var uris []string
	for _, r := range registered {
		uris = append(uris, r.URI)
	}
	if !identity.AllowedRedirectURI(uris, f.RedirectURI) {
		return &RedirectURIError{Asked: f.RedirectURI, Registered: uris}
	}
	return nil
}

// ReturnURL returns the redirect URI with parameters and the state appended; a
// query that the URI already has is kept.
func ReturnURL(f *Flow, params url.Values) string {
	if f.State != "" {
		params.Set("state", f.State)
	}
	if f.Purpose != nil {
		params.Set("iss", f.Purpose.Issuer) // RFC 9207
	}
	sep := "?"
	if strings.Contains(f.RedirectURI, "?") {
		sep = "&"
	}
	return f.RedirectURI + sep + params.Encode()
}
