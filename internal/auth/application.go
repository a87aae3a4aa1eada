package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/store"
)

// Lifetimes of what applications get. RFC 9700 wants codes to be short-lived;
// RFC 6749 section 4.1.2 names ten minutes as the most.
const (
	ApplicationCodeLifetime = 5 * time.Minute
	MachineLifetime         = time.Hour // of tokens of the client_credentials grant, which cannot be refreshed
)

// ApplicationTokens is what an application gets at the token endpoint.
type ApplicationTokens struct {
	AccessToken  secret.String
	RefreshToken secret.String // "" without the scope offline_access
	IDToken      secret.String // "" without the scope openid
	Lifetime     time.Duration // of the access token
	Scopes       []string
}

// CheckClient authenticates an application by its secret ("" for none). A public
// client needs none, but one that it sends must be right.
func (s *Service) CheckClient(ctx context.Context, e *store.Env, app identity.Application, value string) error {
	if value == "" && app.UsesPKCE && app.Kind == identity.OAuthApplication {
		return nil
	}
	ok, err := e.UseApplicationSecret(ctx, app.ID, value)
	if err == nil && !ok {
		err = fault.New(fault.Unauthenticated, "The client secret is missing or wrong.").WithCode("invalid_client")
	}
	return err
}

func (s *Service) newAppSession(e *store.Env) identity.ApplicationSession {
	return identity.ApplicationSession{ID: identity.NewID(identity.PrefixApplicationSession), ExpiresAt: s.db.Now().Add(e.Settings.Sessions.MaxLifetime())}
}

func badGrant(text string) error {
	return fault.New(fault.Invalid, "%s", text).WithCode("invalid_grant")
}

// RedeemApplication spends an application's authorization code. redirectURI is
// that of the token request, "" when it had none.
func (s *Service) RedeemApplication(ctx context.Context, e *store.Env, app identity.Application, value, verifier, redirectURI string) (*ApplicationTokens, error) {
	hash := codeHash(value)
	code, err := e.ApplicationCode(ctx, app.ID, hash)
	if err != nil && !errors.Is(err, store.ErrCode) {
		return nil, err
	}
	if err == nil {
		switch {
		case redirectURI != "" && redirectURI != code.RedirectURI:
			return nil, badGrant("redirect_uri is not that of the authorization request.")
		case redirectURI == "" && code.CodeChallenge == "":
			return nil, badGrant("redirect_uri is missing.")
		case code.CodeChallenge == "" && verifier != "": // RFC 9700 section 4.8.2, a downgrade
			return nil, badGrant("code_verifier was sent, but the code was requested without code_challenge.")
		case code.CodeChallenge != "" && !verifierFits(code.CodeChallenge, verifier):
			return nil, badGrant("code_verifier is missing or does not belong to this code.")
		}
	}
	session, u, err := e.RedeemApplicationCode(ctx, app.ID, hash, s.newAppSession(e))
	if errors.Is(err, store.ErrCode) {
		return nil, badGrant("The code has expired, is invalid or was used before.")
	}
	if err != nil {
		return nil, grantRefusal(err)
	}
	return s.appTokens(ctx, e, app, u, session, code.Nonce)
}

// grantRefusal turns what the store refuses into invalid_grant, the one code
// that RFC 6749 has for it.
func grantRefusal(err error) error {
	if fault.Is(membershipRefusal(err), fault.Invalid) {
		return badGrant(fault.From(err).Message)
	}
	return err
}

// RedeemApplicationDevice asks whether somebody has signed in for a device of an
// application; see DeviceGrant.
func (s *Service) RedeemApplicationDevice(ctx context.Context, e *store.Env, app identity.Application, deviceCode string) (*ApplicationTokens, error) {
	session, u, poll, err := e.RedeemApplicationDevice(ctx, app.ID, codeHash(deviceCode), s.newAppSession(e))
	if err != nil {
		return nil, grantRefusal(err)
	}
	if err := pollError(poll); err != nil {
		return nil, err
	}
	return s.appTokens(ctx, e, app, u, session, "")
}

// RefreshApplication rotates a refresh token of an application. scope narrows
// the new access token; "" keeps what the session has.
func (s *Service) RefreshApplication(ctx context.Context, e *store.Env, app identity.Application, refreshToken, scope string) (*ApplicationTokens, error) {
	id, generation, ok := openRefreshToken(s.apps, e, identity.PrefixApplicationSession, refreshToken)
	if !ok {
		return nil, store.ErrGrant
	}
	var narrowed []string
	if scope != "" {
		var had identity.ApplicationSession
		if narrowed, ok = identity.ParseScope(scope); ok {
			var err error
			if had, err = e.ApplicationSession(ctx, id); err != nil && !errors.Is(err, store.ErrGrant) {
				return nil, err
			}
		}
		// Checked before the token is spent; what is of no use is refused below.
		for _, name := range narrowed {
			if had.ID != "" && !slices.Contains(had.Scopes, name) {
				ok = false
			}
		}
		if !ok {
			return nil, fault.New(fault.Invalid, "The scope exceeds what was granted.").WithCode("invalid_scope")
		}
	}
	session, u, err := e.RotateApplicationSession(ctx, app.ID, id, generation)
	if err != nil {
		return nil, grantRefusal(err)
	}
	refresh := makeRefreshToken(s.apps, e, identity.PrefixApplicationSession, session.ID, session.Generation)
	if narrowed != nil {
		session.Scopes = narrowed
	}
	t, err := s.appTokens(ctx, e, app, u, session, "")
	if err == nil {
		t.RefreshToken = refresh
	}
	return t, err
}

// MachineToken is the client_credentials grant (RFC 6749 section 4.4).
func (s *Service) MachineToken(ctx context.Context, e *store.Env, app identity.Application, scope, resource string) (*ApplicationTokens, error) {
	if app.Kind != identity.M2MApplication {
		return nil, fault.New(fault.Invalid, "Only M2M applications may use this grant.").WithCode("unauthorized_client")
	}
	scopes, ok := identity.ParseScope(scope)
	if len(scopes) == 0 {
		scopes = app.Scopes
	}
	for _, name := range scopes {
		ok = ok && app.Grants(name)
	}
	if !ok {
		return nil, fault.New(fault.Invalid, "The application may not have this scope.").WithCode("invalid_scope")
	}
	now := s.db.Now()
	claims := s.appClaims(e, app, app.ClientID, resource, scopes, now, MachineLifetime)
	claims["org_id"] = app.OrganizationID
	access, err := s.sign(ctx, e, claims)
	return &ApplicationTokens{AccessToken: access, Lifetime: MachineLifetime, Scopes: scopes}, err
}

// appClaims are the claims that every access token of an application has. The
// claim scope tells it from an ID token, which has none.
func (s *Service) appClaims(e *store.Env, app identity.Application, subject, resource string, scopes []string, now time.Time, lifetime time.Duration) map[string]any {
	audience := e.ClientID
	if resource != "" {
		audience = resource // RFC 8707 section 2.2
	}
	return map[string]any{"iss": s.ConnectIssuer(e), "aud": audience, "sub": subject, "client_id": app.ClientID, "scope": strings.Join(scopes, " "),
		"jti": identity.NewULID(), "iat": now.Unix(), "exp": now.Add(lifetime).Unix()}
}

func (s *Service) sign(ctx context.Context, e *store.Env, claims map[string]any) (secret.String, error) {
	signer, err := s.keys.Signer(ctx, e)
	if err != nil {
		return "", err
	}
	text, err := signer.Sign(claims)
	return secret.String(text), err
}

func (s *Service) appTokens(ctx context.Context, e *store.Env, app identity.Application, u identity.User, session identity.ApplicationSession, nonce string) (*ApplicationTokens, error) {
	// What the application may not have any more is left out.
	scopes := slices.DeleteFunc(slices.Clone(session.Scopes), func(name string) bool { return !app.Grants(name) })
	now, lifetime := s.db.Now(), e.Settings.Tokens.AccessLifetime()
	claims := s.appClaims(e, app, u.ID, session.Resource, scopes, now, lifetime)
	claims["sid"], claims["auth_time"] = session.ID, session.AuthTime.Unix()
	if session.OrganizationID != "" {
		in, err := e.MemberAccess(ctx, session.OrganizationID, u.ID)
		if err != nil {
			return nil, grantRefusal(err)
		}
		claims["org_id"], claims["roles"], claims["permissions"] = in.Organization.ID, in.Membership.Roles, in.Permissions
		if len(in.Membership.Roles) > 0 {
			claims["role"] = in.Membership.Roles[0]
		}
	}
	access, err := s.sign(ctx, e, claims)
	if err != nil {
		return nil, err
	}
	t := &ApplicationTokens{AccessToken: access, Lifetime: lifetime, Scopes: scopes}
	if slices.Contains(scopes, identity.ScopeOffline) {
		t.RefreshToken = makeRefreshToken(s.apps, e, identity.PrefixApplicationSession, session.ID, session.Generation)
	}
	if !slices.Contains(scopes, identity.ScopeOpenID) {
		return t, nil
	}
	id := UserClaims(u, scopes)
	id["iss"], id["aud"], id["sid"] = s.ConnectIssuer(e), app.ClientID, session.ID
	id["iat"], id["exp"], id["auth_time"] = now.Unix(), now.Add(lifetime).Unix(), session.AuthTime.Unix()
	id["at_hash"] = accessTokenHash(access)
	if nonce != "" {
		id["nonce"] = nonce
	}
	if session.OrganizationID != "" {
		id["org_id"] = session.OrganizationID
	}
	t.IDToken, err = s.sign(ctx, e, id)
	return t, err
}

// accessTokenHash is at_hash (OpenID Connect Core 1.0 section 3.1.3.6). RS256
// and ES256 both hash with SHA-256.
func accessTokenHash(access secret.String) string {
	sum := sha256.Sum256([]byte(access.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// UserClaims are the claims about a person that scopes give (OpenID Connect Core
// 1.0 sections 5.1 and 5.4). What is not known is left out.
func UserClaims(u identity.User, scopes []string) map[string]any {
	claims := map[string]any{"sub": u.ID}
	set := func(name, value string) {
		if value != "" {
			claims[name] = value
		}
	}
	if slices.Contains(scopes, identity.ScopeEmail) {
		claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
	}
	if slices.Contains(scopes, identity.ScopeProfile) {
		set("name", strings.TrimSpace(u.FirstName+" "+u.LastName))
		set("given_name", u.FirstName)
		set("family_name", u.LastName)
		set("picture", u.ProfilePictureURL)
		set("locale", u.Locale)
		claims["updated_at"] = u.UpdatedAt.Unix()
	}
	return claims
}

// Introspected is a good token of an application.
type Introspected struct {
	Claims  map[string]any // of an access token; those that a refresh token stands for
	Refresh bool
	App     identity.Application
	Session identity.ApplicationSession // zero for a machine's token
}

// errToken says that a token is of no use. Why is not told.
var errToken = fault.New(fault.Unauthenticated, "The access token is invalid or has expired.").WithCode("invalid_token")

// Introspect reads an access or refresh token of an application of this
// environment. A token that is not good (RFC 7662 section 2.2) is an error of
// kind Unauthenticated with the code invalid_token.
func (s *Service) Introspect(ctx context.Context, e *store.Env, text string) (*Introspected, error) {
	if id, generation, ok := openRefreshToken(s.apps, e, identity.PrefixApplicationSession, text); ok {
		return s.introspectRefresh(ctx, e, id, generation)
	}
	claims, err := s.verify(ctx, e, text)
	if err != nil {
		return nil, err
	}
	scope, isAccess := claims["scope"].(string)
	clientID, _ := claims["client_id"].(string)
	if !isAccess || claims["iss"] != s.ConnectIssuer(e) {
		return nil, errToken
	}
	in := &Introspected{Claims: claims}
	if in.App, err = e.Application(ctx, clientID); err != nil {
		return nil, noToken(err)
	}
	id, ofPerson := claims["sid"].(string)
	if !ofPerson {
		return in, nil
	}
	if in.Session, err = e.ApplicationSession(ctx, id); err != nil {
		return nil, noToken(err)
	}
	in.Session.Scopes = strings.Fields(scope)
	return in, nil
}

// noToken turns what is gone into a token that is of no use.
func noToken(err error) error {
	if fault.Is(err, fault.NotFound) || errors.Is(err, store.ErrGrant) {
		return errToken
	}
	return err
}

func (s *Service) introspectRefresh(ctx context.Context, e *store.Env, id string, generation int64) (*Introspected, error) {
	session, err := e.ApplicationSession(ctx, id)
	if err != nil {
		return nil, noToken(err)
	}
	app, err := e.Application(ctx, session.ApplicationID)
	if err != nil {
		return nil, noToken(err)
	}
	if session.Generation != generation {
		return nil, errToken
	}
	return &Introspected{Refresh: true, App: app, Session: session, Claims: map[string]any{"iss": s.ConnectIssuer(e), "sub": session.UserID, "client_id": app.ClientID,
		"scope": strings.Join(session.Scopes, " "), "sid": session.ID, "iat": session.CreatedAt.Unix(), "exp": session.ExpiresAt.Unix()}}, nil
}

// verify checks signature and times of a JWT of this environment.
func (s *Service) verify(ctx context.Context, e *store.Env, text string) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errToken
	}
	published, err := s.JWKS(ctx, e)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(published.Body, &set); err != nil {
		return nil, err
	}
	claims := map[string]any{}
	for _, key := range set.Key(parsed.Headers[0].KeyID) {
		if key.Algorithm != parsed.Headers[0].Algorithm || parsed.Claims(key.Key, &claims) != nil {
			continue
		}
		expires, ok := claims["exp"].(float64)
		if !ok || s.db.Now().Unix() >= int64(expires) {
			return nil, errToken
		}
		return claims, nil
	}
	return nil, errToken
}

// RevokeApplication ends the session of a token of app (RFC 7009). A token that
// is no good, or of another application, changes nothing and is no error.
func (s *Service) RevokeApplication(ctx context.Context, e *store.Env, app identity.Application, text string) error {
	in, err := s.Introspect(ctx, e, text)
	if fault.Is(err, fault.Unauthenticated) {
		// A refresh token of an earlier generation still names its session.
		if id, _, ok := openRefreshToken(s.apps, e, identity.PrefixApplicationSession, text); ok {
			return e.EndApplicationSession(ctx, app.ID, id)
		}
		return nil
	}
	if err != nil || in.Session.ID == "" {
		return err
	}
	return e.EndApplicationSession(ctx, app.ID, in.Session.ID)
}
