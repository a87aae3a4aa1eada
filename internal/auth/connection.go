package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// ConnectionLifetime is how long a sign-in may be away at an identity provider.
const ConnectionLifetime = 30 * time.Minute

// selectConnection finds the connection that an authorization request is for:
// by a social provider, by id, or by the organization that has exactly one.
// None is chosen for provider=authkit, whose pages are Berth's own.
func (s *Service) selectConnection(ctx context.Context, e *store.Env, f *Flow, a Authorization) error {
	var c identity.Connection
	var err error
	switch {
	case a.Provider == "authkit":
		return nil
	case a.Provider != "":
		if c, err = e.SocialConnection(ctx, a.Provider); fault.Is(err, fault.NotFound) {
			return &ReturnError{Code: "connection_invalid", Description: "The environment has no connection to the provider " + clip(a.Provider, 64) + "."}
		}
	case a.ConnectionID != "":
		c, err = e.Connection(ctx, a.ConnectionID)
		if fault.Is(err, fault.NotFound) || err == nil && a.OrganizationID != "" && c.OrganizationID != a.OrganizationID {
			return &ReturnError{Code: "connection_invalid", Description: "There is no connection with this ID."}
		}
	case a.OrganizationID != "":
		c, err = s.organizationConnection(ctx, e, a.OrganizationID)
	default:
		return s.selectByDomain(ctx, e, f, a.Domain)
	}
	if err == nil {
		err = s.usable(e, c)
	}
	if err == nil {
		f.ConnectionID = c.ID
	}
	return err
}

// usable refuses a connection that nobody can sign in by.
func (s *Service) usable(e *store.Env, c identity.Connection) error {
	switch {
	case c.State != identity.ConnectionActive:
		return &ReturnError{Code: "connection_unlinked", Description: "The connection is not active."}
	case c.Kind == identity.TestConnection && e.Production:
		return &ReturnError{Code: "connection_invalid", Description: "Production has no test identity provider."}
	case !c.Social() && e.Settings.Methods.NoSSO:
		return &ReturnError{Code: "access_denied", Description: "Single sign-on is switched off for this environment."}
	}
	return nil
}

func (s *Service) selectByDomain(ctx context.Context, e *store.Env, f *Flow, domain string) error {
	list, err := e.DomainConnections(ctx, domain)
	if err != nil {
		return err
	}
	c, err := only(list)
	if err == nil {
		err = s.usable(e, c)
	}
	if err == nil {
		f.ConnectionID = c.ID
	}
	return err
}

func only(list []identity.Connection) (identity.Connection, error) {
	switch len(list) {
	case 0:
		return identity.Connection{}, &ReturnError{Code: "connection_invalid", Description: "There is no connection for this organization."}
	case 1:
		return list[0], nil
	}
	return identity.Connection{}, &ReturnError{Code: "ambiguous_connection_selector", Description: "The organization has several connections. Name one by its ID."}
}

// organizationConnection returns the one active connection of an organization.
func (s *Service) organizationConnection(ctx context.Context, e *store.Env, id string) (identity.Connection, error) {
	if _, err := e.Organization(ctx, id); err != nil {
		if fault.Is(err, fault.NotFound) {
			err = &ReturnError{Code: "organization_invalid", Description: "The organization does not exist."}
		}
		return identity.Connection{}, err
	}
	all, err := e.OrganizationConnections(ctx, id)
	if err != nil {
		return identity.Connection{}, err
	}
	active := slices.DeleteFunc(slices.Clone(all), func(c identity.Connection) bool { return c.State != identity.ConnectionActive })
	if len(active) == 0 && len(all) > 0 {
		return all[0], nil // which is said to be inactive
	}
	return only(active)
}

// SSORequired says that people of this address sign in at their organization's
// identity provider and in no other way.
type SSORequired struct {
	Email       string
	Connections []identity.Connection
}

func (e *SSORequired) Error() string { return "sso_required: " + e.Email }

// ConnectionsOf returns the connections at which people of an address sign in:
// the active ones of the organization that has proven its domain.
func (s *Service) ConnectionsOf(ctx context.Context, e *store.Env, email string) ([]identity.Connection, error) {
	at := strings.LastIndexByte(email, '@')
	if at < 0 || e.Settings.Methods.NoSSO {
		return nil, nil
	}
	return e.DomainConnections(ctx, strings.TrimSpace(email[at+1:]))
}

// allowed refuses a sign-in whose first factor the environment, or the
// organization behind the address, does not take. Every way to a session passes
// here.
func (s *Service) allowed(ctx context.Context, e *store.Env, u identity.User, p *Pending) error {
	if err := s.methodOpen(e, p.Method); err != nil {
		return err
	}
	list, err := s.ConnectionsOf(ctx, e, u.Email)
	if err != nil || len(list) == 0 || slices.ContainsFunc(list, func(c identity.Connection) bool { return c.ID == p.ConnectionID }) {
		return err
	}
	return &SSORequired{Email: u.Email, Connections: list}
}

// methodOpen refuses a method that the environment has switched off.
func (s *Service) methodOpen(e *store.Env, method string) error {
	off := e.Settings.Methods
	switch {
	case method == "password" && off.NoPassword:
		return fault.New(fault.Denied, "Signing in with a password is switched off for this environment.").WithCode("email_password_auth_disabled")
	case method == "magic_code" && off.NoMagicCode, method == "sso" && off.NoSSO:
		return fault.New(fault.Denied, "This way of signing in is switched off for this environment.").WithCode("authentication_method_not_allowed")
	}
	return nil
}

// OrganizationMethodsRequired says that an organization takes other ways to
// sign in than the one that was used.
type OrganizationMethodsRequired struct {
	Email         string
	ConnectionIDs []string
	Methods       identity.OrganizationMethods
}

func (e *OrganizationMethodsRequired) Error() string {
	return "organization_authentication_methods_required: " + e.Email
}

// organizationTakes refuses a session that the organization's rule excludes.
func (s *Service) organizationTakes(ctx context.Context, e *store.Env, email, organizationID, method, provider, connectionID string) error {
	if organizationID == "" {
		return nil
	}
	m, err := e.OrganizationMethods(ctx, organizationID)
	if err != nil || m == nil {
		return err
	}
	connections, err := e.OrganizationConnections(ctx, organizationID)
	if err != nil {
		return err
	}
	ids := []string{}
	for _, c := range connections {
		if c.State == identity.ConnectionActive && m.SSO {
			ids = append(ids, c.ID)
		}
	}
	if m.Allows(method, provider, slices.Contains(ids, connectionID)) {
		return nil
	}
	return &OrganizationMethodsRequired{Email: email, ConnectionIDs: ids, Methods: *m}
}

// ConnectionRequest is a sign-in that is away at an identity provider.
type ConnectionRequest struct {
	Flow         Flow      `json:"f"`
	ConnectionID string    `json:"c"`
	Nonce        string    `json:"n"` // OpenID Connect Core section 3.1.2.1
	Verifier     string    `json:"v"` // PKCE, RFC 7636
	Begun        time.Time `json:"t"`
}

// LeaveFor keeps a flow for the time at the identity provider of its connection
// and returns the state that comes back with it.
func (s *Service) LeaveFor(ctx context.Context, e *store.Env, f *Flow) (identity.Connection, *ConnectionRequest, string, error) {
	c, err := e.Connection(ctx, f.ConnectionID)
	if fault.Is(err, fault.NotFound) {
		err = &ReturnError{Code: "connection_invalid", Description: "There is no connection with this ID."}
	}
	if err == nil {
		err = s.usable(e, c)
	}
	if err != nil {
		return c, nil, "", err
	}
	state := rand.Text()
	r := &ConnectionRequest{Flow: *f, ConnectionID: c.ID, Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), Begun: s.db.Now()}
	r.Flow.Pending = nil
	plain, err := json.Marshal(r)
	if err != nil {
		return c, nil, "", err
	}
	hash := codeHash(state)
	err = e.AddConnectionRequest(ctx, hash, c.ID, s.db.Box().Seal("connection request", string(hash), plain), s.db.Now().Add(ConnectionLifetime))
	return c, r, state, err
}

// Away returns the request of a state, for the browser that began it, without
// spending it. Its error is ErrFlow for one that is unknown, spent, too old or
// another browser's.
func (s *Service) Away(ctx context.Context, state, browser string) (*store.Env, identity.Connection, *ConnectionRequest, error) {
	var c identity.Connection
	hash := codeHash(state)
	e, sealed, err := s.db.ConnectionRequest(ctx, hash)
	if fault.Is(err, fault.NotFound) {
		return nil, c, nil, ErrFlow
	}
	if err != nil {
		return nil, c, nil, err
	}
	plain, err := s.db.Box().Open("connection request", string(hash), sealed)
	if err != nil {
		return nil, c, nil, ErrFlow
	}
	var r ConnectionRequest
	if err := json.Unmarshal(plain, &r); err != nil || r.Flow.EnvironmentID != e.ID || subtle.ConstantTimeCompare(r.Flow.Browser, browserHash(browser)) != 1 {
		return nil, c, nil, ErrFlow
	}
	c, err = e.Connection(ctx, r.ConnectionID)
	if fault.Is(err, fault.NotFound) {
		return nil, c, nil, ErrFlow
	}
	return e, c, &r, err
}

// Return is Away for the answer of the identity provider: it spends the state,
// so that an answer works once.
func (s *Service) Return(ctx context.Context, state, browser string) (*store.Env, identity.Connection, *ConnectionRequest, error) {
	e, c, r, err := s.Away(ctx, state, browser)
	if err != nil {
		return e, c, r, err
	}
	first, err := e.SpendConnectionRequest(ctx, codeHash(state))
	if err == nil && !first {
		err = ErrFlow
	}
	if err == nil {
		err = s.usable(e, c) // it may have been switched off meanwhile
	}
	return e, c, r, err
}

// ConnectionFailed keeps that a sign-in at an identity provider failed and
// returns what the application is told.
func (s *Service) ConnectionFailed(ctx context.Context, e *store.Env, c identity.Connection, email, code, description string) error {
	a := identity.Authentication{Type: c.Method(), Email: clip(email, 254), ErrorCode: code, Error: clip(description, 512)}
	if !c.Social() {
		a.SSO = &identity.SSO{OrganizationID: c.OrganizationID, ConnectionID: c.ID}
	}
	if err := e.RecordFailure(ctx, a); err != nil {
		return err
	}
	return &ReturnError{Code: code, Description: description}
}

// vouched reports whether the address of a profile needs no further proof: a
// social provider says that it checked it, or it is of a domain that the
// connection's organization has proven. The word of an organization about
// addresses of others counts for nothing.
func vouched(c identity.Connection, p identity.Profile) bool {
	if c.Social() {
		return p.EmailVerified
	}
	domain := strings.ToLower(p.Email[strings.LastIndexByte(p.Email, '@')+1:])
	return slices.ContainsFunc(c.Domains, func(d identity.OrganizationDomain) bool {
		return d.State == identity.DomainVerified && strings.EqualFold(d.Domain, domain)
	})
}

// SignInWith turns what an identity provider said into a pending sign-in. A
// profile that is known is its user's. Otherwise the user with the same address
// is meant, or a new one; the two are joined at once when somebody vouches for
// the address, else after a code that was mailed there came back (see Next).
func (s *Service) SignInWith(ctx context.Context, e *store.Env, f *Flow, c identity.Connection, said identity.Profile, tokens *identity.ProviderTokens) (identity.User, *Pending, error) {
	var u identity.User
	kept, err := s.keepProfile(ctx, e, c, said)
	if err != nil {
		return u, nil, err
	}
	sure := vouched(c, kept)
	if kept.UserID != "" {
		u, err = e.User(ctx, kept.UserID)
	} else {
		u, err = s.userOf(ctx, e, f, c, kept, sure)
	}
	if err != nil {
		return u, nil, err
	}
	p := s.NewPending(e, u, c.Method())
	p.ConnectionID, p.Provider = c.ID, c.Type
	if kept.UserID == "" {
		p.ProfileID, p.Prove = kept.ID, !sure
	}
	if !c.Social() {
		p.Join, p.OrganizationID = c.OrganizationID, c.OrganizationID
	}
	if tokens != nil && c.ReturnTokens {
		plain, err := json.Marshal(tokens)
		if err != nil {
			return u, nil, err
		}
		p.Tokens = s.db.Box().Seal("provider tokens", e.ID, plain)
	}
	return u, p, nil
}

func (s *Service) keepProfile(ctx context.Context, e *store.Env, c identity.Connection, said identity.Profile) (identity.Profile, error) {
	if identity.CheckEmail(said.Email) != nil || said.IDPID == "" {
		return said, s.ConnectionFailed(ctx, e, c, "", "oauth_failed", "The identity provider named no person with an e-mail address.")
	}
	said.ConnectionID = c.ID
	return e.PutProfile(ctx, said)
}

func (s *Service) userOf(ctx context.Context, e *store.Env, f *Flow, c identity.Connection, p identity.Profile, sure bool) (identity.User, error) {
	u, err := e.UserByEmail(ctx, p.Email)
	switch {
	case fault.Is(err, fault.NotFound):
		if c.Social() { // an organization's own people need no invitation
			if err := s.mayJoin(ctx, e, p.Email, f.InvitationToken); fault.Code(err) == ErrSignUpClosed.Code {
				return u, s.ConnectionFailed(ctx, e, c, p.Email, "access_denied", ErrSignUpClosed.Message)
			} else if err != nil {
				return u, err
			}
		}
		return e.CreateUser(ctx, identity.User{Email: p.Email, EmailVerified: sure, FirstName: clip(p.FirstName, 200), LastName: clip(p.LastName, 200)})
	case err == nil && sure && !u.EmailVerified:
		// Nobody has shown that the address is theirs until now, so a password
		// that was set may be another person's: it goes.
		return e.ProveEmail(ctx, u.ID, u.Email)
	}
	return u, err
}

// settle joins a profile to its user and its organization, once the address is
// proven.
func (s *Service) settle(ctx context.Context, e *store.Env, u identity.User, p *Pending) error {
	if p.ProfileID != "" {
		if err := e.LinkProfile(ctx, p.ProfileID, u.ID); err != nil {
			return err
		}
		p.ProfileID = ""
	}
	if p.Join == "" {
		return nil
	}
	err := e.JoinByConnection(ctx, p.Join, u.ID)
	if fault.Code(err) == "organization_membership_not_found" {
		return &ReturnError{Code: "access_denied", Description: "The user was taken out of the organization."}
	}
	if err == nil {
		p.Join = ""
	}
	return err
}

// openTokens reads the provider's tokens of a code.
func (s *Service) openTokens(e *store.Env, sealed []byte) (*identity.ProviderTokens, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := s.db.Box().Open("provider tokens", e.ID, sealed)
	if err != nil {
		return nil, err
	}
	var t identity.ProviderTokens
	return &t, json.Unmarshal(plain, &t)
}

// mayEnter refuses to move a session to an organization whose rule excludes it.
// Sessions that are over or of others are left to the rotation to refuse.
func (s *Service) mayEnter(ctx context.Context, e *store.Env, sessionID, organizationID string) error {
	m, err := e.OrganizationMethods(ctx, organizationID)
	if err != nil || m == nil {
		return err
	}
	session, err := e.Session(ctx, sessionID)
	if fault.Is(err, fault.NotFound) || err == nil && session.OrganizationID == organizationID {
		return nil
	}
	if err != nil {
		return err
	}
	u, err := e.User(ctx, session.UserID)
	if err != nil {
		return err
	}
	return s.organizationTakes(ctx, e, u.Email, organizationID, session.AuthMethod, session.Provider, session.ConnectionID)
}

// LeadTo makes a flow go on at the one connection of an address.
func (s *Service) LeadTo(f *Flow, email string, list []identity.Connection) error {
	c, err := only(list)
	if err == nil {
		f.ConnectionID, f.LoginHint, f.Pending = c.ID, email, nil
	}
	return err
}

// tryable are the social providers that pages offer outside production, where
// all of them work without being configured.
var tryable = []string{"GoogleOAuth", "MicrosoftOAuth", "GitHubOAuth", "AppleOAuth"}

// SocialProviders returns the types of the social providers that pages offer:
// the active connections, and outside production the usual ones.
func (s *Service) SocialProviders(ctx context.Context, e *store.Env) ([]string, error) {
	list, err := e.SocialConnections(ctx)
	if err != nil {
		return nil, err
	}
	state := map[string]identity.ConnectionState{}
	for _, c := range list {
		if s.usable(e, c) == nil {
			state[c.Type] = c.State
		} else {
			state[c.Type] = identity.ConnectionInactive
		}
	}
	var out []string
	for _, typ := range identity.SocialProviders() {
		known, there := state[typ]
		if known == identity.ConnectionActive || !there && !e.Production && slices.Contains(tryable, typ) {
			out = append(out, typ)
		}
	}
	return out, nil
}

// ChooseProvider makes a flow go on at a social provider.
func (s *Service) ChooseProvider(ctx context.Context, e *store.Env, f *Flow, typ string) error {
	return s.selectConnection(ctx, e, f, Authorization{Provider: typ})
}
