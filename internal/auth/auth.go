// Package auth holds the use cases of sign-in: begin an authorization, check a
// password, sign a user up, redeem a code, refresh, sign out. It knows the
// rules of OAuth 2.0 (RFC 6749), PKCE (RFC 7636) and the security practice of
// RFC 9700; it knows nothing of HTTP. The state of a sign-in in progress
// travels sealed in the browser (see Flow); everything else is in the store.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/token"
)

// Lifetimes, as WorkOS documents them unless said otherwise.
const (
	AccessLifetime  = identity.DefaultTokenLifetime   // where the settings name none
	SessionLifetime = identity.DefaultSessionLifetime // likewise
	CodeLifetime    = 10 * time.Minute
	FlowLifetime    = time.Hour        // how long a sign-in page may stay open
	ReplayWindow    = 30 * time.Second // a refresh whose answer was lost may be repeated
)

// Service runs the use cases on one store.
type Service struct {
	db      *store.DB
	keys    *Keyring
	hasher  *Hasher
	refresh *secret.Authenticator
	apps    *secret.Authenticator // of refresh tokens of applications
	baseURL func() string
	mailer  Mailer
}

// Mailer sends a message of a production environment.
type Mailer interface {
	Send(ctx context.Context, m identity.Message) error
}

// UseMailer sets how production environments send mail. Without one nobody can
// prove an address there, so sign-up is closed.
func (s *Service) UseMailer(m Mailer) { s.mailer = m }

// New returns a Service. baseURL is the public address of the server, without
// a trailing slash; it is asked for each time because a server learns its port
// only when it listens.
func New(db *store.DB, keys *Keyring, hasher *Hasher, baseURL func() string) *Service {
	return &Service{db: db, keys: keys, hasher: hasher, refresh: db.Box().Authenticator("refresh token"),
		apps: db.Box().Authenticator("application refresh token"), baseURL: baseURL}
}

// Issuer returns the iss of an environment's tokens: what was set for it, or
// <server>/user_management/<client ID>.
func (s *Service) Issuer(e *store.Env) string {
	if e.Issuer != "" {
		return e.Issuer
	}
	return s.baseURL() + "/user_management/" + e.ClientID
}

// JWKS returns the JSON Web Key Set of an environment, from memory when no key
// has changed since.
func (s *Service) JWKS(ctx context.Context, e *store.Env) (*JWKS, error) { return s.keys.JWKS(ctx, e) }

// RotateKey replaces the key that signs the environment's tokens. The new one
// is published now and signs identity.KeyLead later; with atOnce it signs now
// and the others are gone, with the tokens that they signed.
func (s *Service) RotateKey(ctx context.Context, e *store.Env, atOnce bool) error {
	return s.keys.Rotate(ctx, e, atOnce)
}

// Keys returns the environment's signing keys without their private part. It
// makes the first one when there is none.
func (s *Service) Keys(ctx context.Context, e *store.Env) ([]identity.SigningKey, error) {
	if _, err := s.keys.Signer(ctx, e); err != nil {
		return nil, err
	}
	return e.PublicKeys(ctx)
}

// Client is where a request comes from; it is kept with the session.
type Client struct {
	IPAddress string
	UserAgent string
}

// Tokens is what a successful sign-in or refresh gives.
type Tokens struct {
	User         identity.User
	Session      identity.Session
	AccessToken  secret.String
	RefreshToken secret.String
	Method       string // authentication_method: Password, ...
	// Provider are the tokens of the social provider, when its connection hands
	// them on; nil otherwise.
	Provider *identity.ProviderTokens
}

// methodName is the spelling of authentication_method in answers; sessions
// spell it in lower case.
var methodName = map[string]string{"password": "Password", "magic_code": "MagicAuth", "sso": "SSO", "passkey": "Passkey"}

func authenticationMethod(session identity.Session) string {
	if session.AuthMethod == "oauth" {
		return session.Provider
	}
	return methodName[session.AuthMethod]
}

func (s *Service) tokens(ctx context.Context, e *store.Env, u identity.User, session identity.Session) (*Tokens, error) {
	access := token.Access{Issuer: s.Issuer(e), ClientID: e.ClientID, UserID: u.ID, Session: session.ID,
		AuthTime: session.CreatedAt, IssuedAt: s.db.Now(),
		Lifetime: e.Settings.Tokens.AccessLifetime(), Audience: e.Settings.Tokens.Audience}
	roots := map[string]any{"user": TemplateUser(u)}
	if session.OrganizationID != "" {
		m, permissions, err := e.MemberPermissions(ctx, session.OrganizationID, u.ID)
		if err != nil {
			return nil, membershipRefusal(err)
		}
		access.OrganizationID, access.Roles, access.Permissions = session.OrganizationID, m.Roles, permissions
		if e.JWTTemplate != "" { // the only one to ask for the organization
			o, err := e.Organization(ctx, session.OrganizationID)
			if err != nil {
				return nil, membershipRefusal(err)
			}
			roots["organization"], roots["organization_membership"] = templateOrganization(o), templateMembership(m)
		}
	}
	var err error
	if access.FeatureFlags, err = e.EnabledFlags(ctx, session.OrganizationID, u.ID); err != nil {
		return nil, err
	}
	if e.JWTTemplate != "" {
		extra, err := token.RenderTemplate(e.JWTTemplate, roots)
		if err != nil {
			return nil, err
		}
		access.Extra = extra
	}
	signer, err := s.keys.Signer(ctx, e)
	if err != nil {
		return nil, err
	}
	jwt, err := signer.Sign(access.Claims())
	if err != nil {
		return nil, err
	}
	return &Tokens{User: u, Session: session, AccessToken: secret.String(jwt),
		RefreshToken: s.refreshToken(e, session), Method: authenticationMethod(session)}, nil
}

// TemplateUser returns the user object that JWT templates see.
func TemplateUser(u identity.User) map[string]any {
	metadata := map[string]any{}
	for k, v := range u.Metadata {
		metadata[k] = v
	}
	return map[string]any{
		"id": u.ID, "email": u.Email, "email_verified": u.EmailVerified, "first_name": orNil(u.FirstName), "last_name": orNil(u.LastName),
		"external_id": orNil(u.ExternalID), "locale": orNil(u.Locale), "profile_picture_url": orNil(u.ProfilePictureURL), "metadata": metadata,
	}
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// ErrSignUpClosed says that people cannot make accounts themselves here.
var ErrSignUpClosed = fault.New(fault.Denied, "Sign-up is closed for this environment.").WithCode("sign_up_not_allowed")

// SignUp makes a user with a password, whose address is not verified yet. A
// production environment that cannot send mail refuses it: nobody may own an
// address by claiming it.
// invitation is the token of one for this address, or "".
func (s *Service) SignUp(ctx context.Context, e *store.Env, u identity.User, password, invitation string) (identity.User, error) {
	if !s.MailOpen(e) {
		return u, ErrSignUpClosed
	}
	if err := s.methodOpen(e, "password"); err != nil {
		return u, err
	}
	if err := s.mayJoin(ctx, e, u.Email, invitation); err != nil {
		return u, err
	}
	if err := identity.CheckEmail(u.Email); err != nil {
		return u, err
	}
	if err := identity.CheckPassword(password, u.Email); err != nil {
		return u, err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return u, err
	}
	u.PasswordHash = hash
	return e.CreateUser(ctx, u)
}

// SignUpOpen reports whether people can make accounts themselves.
func (s *Service) SignUpOpen(e *store.Env) bool { return s.MailOpen(e) && !e.Settings.Methods.NoSignUp }

// mayJoin refuses a new account where sign-up is switched off, but for somebody
// whose address was invited.
func (s *Service) mayJoin(ctx context.Context, e *store.Env, email, invitation string) error {
	if !e.Settings.Methods.NoSignUp {
		return nil
	}
	if invitation == "" {
		return ErrSignUpClosed
	}
	_, err := s.invitationFor(ctx, e, identity.User{Email: email}, invitation)
	if fault.Is(err, fault.Invalid) {
		return ErrSignUpClosed
	}
	return err
}

// HashPassword hashes a password for a user made through the API.
func (s *Service) HashPassword(ctx context.Context, password string) (string, error) {
	return s.hasher.Hash(ctx, password)
}

// errCredentials is the one answer to a wrong password and an unknown user.
func errCredentials(email string) error {
	return fault.New(fault.Invalid, "Invalid credentials for '%s'.", email).WithCode("invalid_credentials")
}

// CheckPassword returns the user whose address and password these are. Unknown
// users, users without a password and wrong passwords take the same time and
// give the same error. So does the right one in the pause that follows many
// wrong ones in a row (store.MaxPasswordFailures), for unknown addresses too.
func (s *Service) CheckPassword(ctx context.Context, e *store.Env, email, password string) (identity.User, error) {
	if err := s.methodOpen(e, "password"); err != nil {
		return identity.User{}, err
	}
	u, err := e.UserByEmail(ctx, email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return u, err
	}
	known := err == nil && u.PasswordHash != ""
	paused, err := e.PasswordPaused(ctx, email)
	if err != nil {
		return identity.User{}, err
	}
	ok, err := s.hasher.Verify(ctx, u.PasswordHash, password)
	if err != nil {
		return u, err
	}
	right := known && ok && !paused
	if right {
		// Asked again: others may have guessed while this one was checked.
		right, err = e.PasswordRight(ctx, email)
	} else if !paused {
		err = e.PasswordFailed(ctx, email)
	}
	if err != nil {
		return identity.User{}, err
	}
	if !right {
		return identity.User{}, s.failed(ctx, e, "password", u.ID, email, errCredentials(email))
	}
	return u, nil
}

// failed keeps that a sign-in was refused, and returns the refusal.
func (s *Service) failed(ctx context.Context, e *store.Env, kind, userID, email string, refusal error) error {
	err := e.RecordFailure(ctx, identity.Authentication{Type: kind, UserID: userID, Email: clip(email, 254),
		ErrorCode: fault.From(refusal).Code, Error: clip(fault.From(refusal).Message, 512)})
	if err != nil {
		return err
	}
	return refusal
}

// PasswordGrant signs a user in without a browser (grant_type password), or
// returns the *StepUp that is missing. invitation is an invitation token or "".
func (s *Service) PasswordGrant(ctx context.Context, e *store.Env, email, password, invitation string, from Client) (*Tokens, error) {
	u, err := s.CheckPassword(ctx, e, email, password)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, e, u, "password", invitation, from)
}

func (s *Service) newSession(e *store.Env, userID, method string, from Client) identity.Session {
	return identity.Session{ID: identity.NewID(identity.PrefixSession), UserID: userID, AuthMethod: method,
		IPAddress: from.IPAddress, UserAgent: clip(from.UserAgent, 512), ExpiresAt: s.db.Now().Add(e.Settings.Sessions.MaxLifetime())}
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// Redemption is a request to redeem a code.
type Redemption struct {
	Code     string
	Verifier string // PKCE code_verifier
	// Authenticated says that the caller proved to be the environment's server
	// with its API key.
	Authenticated bool
	From          Client
	// InvitationToken is accepted with the code; its organization wins. "" for none.
	InvitationToken string
}

// Redeem spends an authorization code. A code begun with PKCE needs its
// verifier; one begun without needs the API key.
func (s *Service) Redeem(ctx context.Context, e *store.Env, r Redemption) (*Tokens, error) {
	hash := codeHash(r.Code)
	invitation, err := s.invitationOfCode(ctx, e, r, hash)
	if err != nil {
		return nil, err
	}
	var code identity.Code
	// Spend it even when an invitation found it unusable: a replay must be seen.
	session, u, err := e.RedeemCode(ctx, hash, s.newSession(e, "", "", r.From), func(c identity.Code) error {
		code = c
		return r.fits(c)
	})
	if err != nil {
		return nil, membershipRefusal(err)
	}
	if invitation != "" {
		i, err := s.redeemInvitation(ctx, e, u, invitation)
		if err == nil {
			err = s.organizationTakes(ctx, e, u.Email, i.OrganizationID, session.AuthMethod, session.Provider, session.ConnectionID)
		}
		if err != nil {
			return nil, err
		}
		if session, err = e.EnterOrganization(ctx, session, i.OrganizationID); err != nil {
			return nil, membershipRefusal(err)
		}
	}
	t, err := s.tokens(ctx, e, u, session)
	if err != nil {
		return nil, err
	}
	t.Provider, err = s.openTokens(e, code.ProviderTokens)
	return t, err
}

// fits refuses a request that may not redeem a code that is still good.
func (r Redemption) fits(code identity.Code) error {
	switch {
	case code.CodeChallenge == "" && !r.Authenticated:
		return fault.New(fault.Unauthenticated, "the code was requested without PKCE, so the API key is needed to redeem it").WithCode("invalid_client")
	case code.CodeChallenge == "" && r.Verifier != "":
		return fault.New(fault.Invalid, "code_verifier was sent, but the code was requested without code_challenge").WithCode("invalid_grant")
	case code.CodeChallenge != "" && r.Verifier == "":
		return fault.New(fault.Invalid, "code_verifier is missing").WithCode("invalid_grant")
	case code.CodeChallenge != "" && !verifierFits(code.CodeChallenge, r.Verifier):
		return fault.New(fault.Invalid, "code_verifier does not belong to this code").WithCode("invalid_grant")
	}
	return nil
}

// invitationOfCode checks the invitation of a redemption before the code it came
// with is spent. A code that is spent already gets none: redeeming it is refused.
func (s *Service) invitationOfCode(ctx context.Context, e *store.Env, r Redemption, hash []byte) (string, error) {
	if r.InvitationToken == "" {
		return "", nil
	}
	code, err := e.Code(ctx, hash)
	if errors.Is(err, store.ErrCode) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := r.fits(code); err != nil {
		return "", err
	}
	u, err := e.User(ctx, code.UserID)
	if err != nil {
		return "", err
	}
	_, err = s.invitationFor(ctx, e, u, r.InvitationToken)
	return r.InvitationToken, err
}

func codeHash(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}

// verifierFits compares per RFC 7636 section 4.6, method S256.
func verifierFits(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// SignOut ends a session and returns where the browser goes next: returnTo
// when it is an allowed sign-out target, else the homepage of the deployment
// that the session was opened for, else the environment's homepage, else "".
func (s *Service) SignOut(ctx context.Context, sessionID, returnTo string) (*store.Env, string, error) {
	e, err := s.db.EnvBySession(ctx, sessionID)
	if err != nil {
		return nil, "", err
	}
	session, err := e.EndSession(ctx, sessionID)
	if err != nil {
		return nil, "", err
	}
	if returnTo != "" {
		allowed, err := s.signOutTargetAllowed(ctx, e, returnTo)
		if err != nil || allowed {
			return e, returnTo, err
		}
	}
	home, err := e.HomepageFor(ctx, session.RedirectURI)
	if err != nil {
		return e, "", err
	}
	if home == "" {
		home = e.HomepageURL
	}
	return e, home, nil
}

// signOutTargetAllowed holds return_to to what the environment knows: its
// homepage, the homepages of its deployments, and the origins (with any path)
// of its registered redirect URIs. WorkOS keeps a list of its own for this,
// which its API does not show.
func (s *Service) signOutTargetAllowed(ctx context.Context, e *store.Env, returnTo string) (bool, error) {
	// The rules of registered entries hold for it, but for their wildcards: a
	// browser is sent to addresses, not to patterns.
	if identity.CheckRedirectURI(returnTo, false) != nil || strings.Contains(returnTo, "*") {
		return false, nil
	}
	homes, err := e.ClaimedHomepages(ctx)
	if err != nil {
		return false, err
	}
	for _, home := range append(homes, e.HomepageURL) {
		if home != "" && identity.MatchRedirectURI(home, returnTo) {
			return true, nil
		}
	}
	origin, err := identity.OriginOf(returnTo)
	if err != nil {
		return false, nil
	}
	uris, err := e.RedirectURIs(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range uris {
		if registered, err := identity.OriginOf(r.URI); err == nil && registered == origin {
			return true, nil
		}
		if strings.Contains(r.URI, "*") && matchesWildcardOrigin(r.URI, returnTo) {
			return true, nil
		}
	}
	return false, nil
}

// matchesWildcardOrigin compares host and port of a wildcard redirect URI with
// those of returnTo, whatever its path.
func matchesWildcardOrigin(registered, returnTo string) bool {
	base := func(uri string) string {
		scheme, rest, _ := strings.Cut(uri, "://")
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			rest = rest[:i]
		}
		return scheme + "://" + rest + "/"
	}
	return identity.MatchRedirectURI(base(registered), base(returnTo))
}
