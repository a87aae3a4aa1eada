package identity

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Prefixes of ids of applications and what belongs to them.
const (
	PrefixApplication          = "conn_app"
	PrefixApplicationSecret    = "secret"
	PrefixAuthorization        = "authorized_connect_app"
	PrefixApplicationSession   = "app_session"
	PrefixDeviceAuthorization  = "device_authorization"
	PrefixExternalAuthenticate = "external_auth"
)

// ApplicationKind tells applications that people sign in to from machines.
type ApplicationKind string

// The kinds of applications, as on the wire.
const (
	OAuthApplication ApplicationKind = "oauth"
	M2MApplication   ApplicationKind = "m2m"
)

// Application is an OAuth 2.0 client of one environment (WorkOS Connect).
type Application struct {
	ID             string
	ClientID       string
	Kind           ApplicationKind
	Name           string
	Description    string
	Scopes         []string // what it may ask for besides StandardScopes
	RedirectURIs   []ApplicationRedirect
	UsesPKCE       bool   // a public client: PKCE in place of a secret
	FirstParty     bool   // of the environment's own team: nobody is asked for consent
	OrganizationID string // whose it is, "" for the team's own
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// ApplicationRedirect is a redirect URI of an application.
type ApplicationRedirect struct {
	URI     string `json:"uri"`
	Default bool   `json:"default"`
}

// Scopes that every application may ask for (OpenID Connect Core 1.0 sections
// 5.4 and 11).
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeOffline = "offline_access" // a refresh token
)

// StandardScopes are the scopes that need no registration.
var StandardScopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline}

// Grants reports whether the application may have a scope.
func (a Application) Grants(scope string) bool {
	return slices.Contains(a.Scopes, scope) || a.Kind == OAuthApplication && slices.Contains(StandardScopes, scope)
}

// ParseScope splits a scope parameter (RFC 6749 section 3.3), each name once
// and in order. ok is false when it holds a character that no scope has.
func ParseScope(text string) (scopes []string, ok bool) {
	for _, s := range strings.Split(text, " ") {
		if s == "" {
			continue
		}
		if !ValidScope(s) {
			return nil, false
		}
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes, true
}

// ValidScope reports whether s is a scope-token of RFC 6749 section 3.3, of a
// length that is worth keeping.
func ValidScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// CheckApplicationRedirect refuses what cannot be a redirect URI of an
// application: what CheckRedirectURI refuses, and any pattern. Applications are
// held to exact addresses (RFC 9700 section 2.1).
func CheckApplicationRedirect(uri string, production bool) error {
	if err := CheckRedirectURI(uri, production); err != nil {
		return err
	}
	if strings.ContainsAny(uri, "*#") {
		return fault.New(fault.Invalid, "A redirect URI of an application has neither wildcard nor fragment.").WithCode("invalid_redirect_uri")
	}
	return nil
}

// Allows reports whether the application may be returned to at asked: a
// registered text, or one on a loopback address with another port, because a
// native application takes the port that is free (RFC 8252 section 7.3).
func (a Application) Allows(asked string) bool {
	for _, r := range a.RedirectURIs {
		if r.URI == asked || withoutLoopbackPort(r.URI) != "" && withoutLoopbackPort(r.URI) == withoutLoopbackPort(asked) {
			return true
		}
	}
	return false
}

// withoutLoopbackPort returns an http URI on a loopback address without its
// port, or "" for any other.
func withoutLoopbackPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return ""
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || !ip.IsLoopback() || ip.Zone() != "" || CheckRedirectURI(uri, false) != nil {
		return ""
	}
	// The rest is compared as it was written.
	_, rest, _ := strings.Cut(uri, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return ip.String() + rest[i:]
	}
	return ip.String()
}

// DefaultRedirect returns the redirect URI of a request that names none, or "".
func (a Application) DefaultRedirect() string {
	for _, r := range a.RedirectURIs {
		if r.Default {
			return r.URI
		}
	}
	return ""
}

// ApplicationSecret is a client secret. Its value is kept as a hash.
type ApplicationSecret struct {
	ID         string
	Hint       string // the last characters
	LastUsedAt time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Authorization is what a user allowed an application.
type Authorization struct {
	ID             string
	Application    Application
	UserID         string
	OrganizationID string
	Resource       string
	Scopes         []string
}

// ApplicationSession is one sign-in to an application; all its tokens belong to it.
type ApplicationSession struct {
	ID             string
	ApplicationID  string
	UserID         string
	OrganizationID string
	Resource       string // RFC 8707, "" for none
	Scopes         []string
	AuthTime       time.Time
	Generation     int64
	ExpiresAt      time.Time
	EndedAt        time.Time
	CreatedAt      time.Time
}

// ApplicationCode is an authorization code for an application.
type ApplicationCode struct {
	Hash           []byte
	ApplicationID  string
	UserID         string
	OrganizationID string
	RedirectURI    string
	CodeChallenge  string // "" without PKCE
	Scopes         []string
	Nonce          string
	Resource       string
	AuthTime       time.Time
	ExpiresAt      time.Time
}

// DeviceStatus is how far a device authorization is.
type DeviceStatus string

// What becomes of a device authorization.
const (
	DevicePending  DeviceStatus = "pending"
	DeviceApproved DeviceStatus = "approved"
	DeviceDenied   DeviceStatus = "denied"
	DeviceRedeemed DeviceStatus = "redeemed"
)

// Device is a device that waits for somebody to sign in for it (RFC 8628).
type Device struct {
	ID             string
	ApplicationID  string // "" for a device of the environment itself
	Hash           []byte // of the device code
	UserCode       string // as shown, with its dash
	Status         DeviceStatus
	UserID         string
	OrganizationID string
	Scopes         []string
	Resource       string
	AuthMethod     string
	AuthTime       time.Time
	Interval       time.Duration
	PolledAt       time.Time
	ExpiresAt      time.Time
}

// userCodeLetters are the consonants that RFC 8628 section 6.1 suggests: no
// vowels, so that no words appear.
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// UserCodeFrom makes a user code of eight random bytes below 240.
func UserCodeFrom(random [8]byte) string {
	code := make([]byte, 0, 9)
	for i, b := range random {
		if i == 4 {
			code = append(code, '-')
		}
		code = append(code, userCodeLetters[int(b)%len(userCodeLetters)])
	}
	return string(code)
}

// NormalUserCode returns a user code as it is kept, whatever case, blanks and
// dashes it was typed with, or "" when it cannot be one.
func NormalUserCode(typed string) string {
	code := make([]byte, 0, 9)
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == ' ' || r == '-' || r == '\t':
			continue
		case r > 0x7f || !strings.ContainsRune(userCodeLetters, r) || len(code) == 9:
			return ""
		}
		if len(code) == 4 {
			code = append(code, '-')
		}
		code = append(code, byte(r))
	}
	if len(code) != 9 {
		return ""
	}
	return string(code)
}
