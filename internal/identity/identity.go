// Package identity holds the types and rules of sign-in: environments, users,
// sessions, codes, and which redirect URIs and origins may be registered and
// matched. It does no I/O. Names and shapes follow WorkOS User Management.
package identity

import (
	"crypto/rand"
	"strings"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"

	"github.com/berthdev/berth/internal/fault"
)

// Prefixes of object ids. An id is its prefix, "_" and a 26-character ULID.
const (
	PrefixTeam        = "team"
	PrefixEnvironment = "environment"
	PrefixClient      = "client"
	PrefixUser        = "user"
	PrefixSession     = "session"
	PrefixRedirectURI = "redir"
	PrefixCORSOrigin  = "cors_origin"
	PrefixAPIKey      = "api_key"
	PrefixSigningKey  = "sso_oidc_key_pair"
	PrefixPlacement   = "placement"
	PrefixClaim       = "claim"
	PrefixDeployment  = "deployment"
	PrefixProject     = "project"
	PrefixCredential  = "credential"
	PrefixPerson      = "person"
	PrefixAccessKey   = "access_key"
	PrefixAuditEvent  = "audit_event"
)

// NewID returns a fresh id with the given prefix. Ids made later sort later,
// to the millisecond.
func NewID(prefix string) string { return prefix + "_" + NewULID() }

// NewULID returns a fresh ULID: 48 bits of time, 80 random bits.
func NewULID() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

var ordered = &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(rand.Reader, 0)}

// NewOrderedID is NewID for lists whose order must be that of their making
// within a millisecond too. It is easier to guess from a neighbour.
func NewOrderedID(prefix string) string {
	return prefix + "_" + ulid.MustNew(ulid.Now(), ordered).String()
}

// Team owns environments, projects and claims.
type Team struct {
	ID         string
	Name       string
	Slug       string // lower case, unique on the server; Convex's team slug
	AdminEmail string
	Number     int64 // what Convex's tools call it
	// Disconnected says that deployments of the team get no auth environment.
	Disconnected bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Environment is one isolated AuthKit environment.
type Environment struct {
	ID           string
	TeamID       string
	Name         string
	ClientID     string
	Production   bool
	HomepageURL  string // app homepage, the last resort after sign-out; may be empty
	Issuer       string // iss of access tokens; empty means the server's own form
	JWTTemplate  string // empty when never set
	JWTUpdatedAt time.Time
	Settings     Settings
	MFARequired  bool // every sign-in but single sign-on needs a second factor
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// RedirectURI is a registered callback of an environment.
type RedirectURI struct {
	ID        string
	URI       string
	Default   bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// CORSOrigin is an origin whose pages may call the browser endpoints.
type CORSOrigin struct {
	ID        string
	Origin    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// APIKey is a server-side key of an environment. Its value is kept as a hash.
type APIKey struct {
	ID        string
	Name      string
	ExpiresAt time.Time // zero: never
	CreatedAt time.Time
	UpdatedAt time.Time
}

// User is a person known to one environment.
type User struct {
	ID                string
	Email             string // as given; compared without case
	EmailVerified     bool
	FirstName         string
	LastName          string
	ProfilePictureURL string
	ExternalID        string
	Locale            string
	Metadata          map[string]string
	PasswordHash      string // PHC string; empty when the user has no password
	LastSignInAt      time.Time
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

// SessionStatus is the state of a session.
type SessionStatus string

const (
	SessionActive  SessionStatus = "active"
	SessionExpired SessionStatus = "expired"
	SessionRevoked SessionStatus = "revoked"
)

// Session is one signed-in browser or device of a user.
type Session struct {
	ID     string
	UserID string
	// OrganizationID is the organization that the session is in, "" for none.
	OrganizationID string

	ConnectionID string // by which it was opened, "" for none
	Provider     string // connection type of that connection: GoogleOAuth, ...

	AuthMethod  string // password, oauth, magic_code, ...
	Status      SessionStatus
	RedirectURI string // the callback the session was opened for; decides where sign-out leads
	IPAddress   string
	UserAgent   string
	Generation  int64 // counts refresh token rotations, from 0
	RotatedAt   time.Time
	ExpiresAt   time.Time
	EndedAt     time.Time // zero while active
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Code is an authorization code before it is spent (RFC 6749 section 4.1.2).
type Code struct {
	Hash           []byte
	UserID         string
	OrganizationID string // where the session begins, "" for none
	RedirectURI    string
	CodeChallenge  string // PKCE S256 challenge (RFC 7636), may be empty
	AuthMethod     string
	ConnectionID   string // by which the person came, "" for none
	Provider       string // its type
	ProviderTokens []byte // ProviderTokens, sealed; nil for none
	ExpiresAt      time.Time
}

// EmailKey returns the form under which e-mail addresses are compared.
// WorkOS ignores case in look-ups.
func EmailKey(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// CheckEmail refuses what cannot be an e-mail address that a mail server
// takes. It is deliberately loose: proof is a mail that arrives.
func CheckEmail(email string) error {
	at := strings.LastIndexByte(email, '@')
	bad := at < 1 || at == len(email)-1 || len(email) > 254
	for _, r := range email {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '<' || r == '>' || r == ',' || r == ';' {
			bad = true
		}
	}
	if !bad {
		domain := email[at+1:]
		bad = strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") || strings.Contains(domain, "@")
	}
	if bad {
		return fault.New(fault.Invalid, "%q is not an e-mail address", email).WithCode("email_invalid")
	}
	return nil
}

// Password length limits, in bytes. The lower one is NIST SP 800-63B's
// minimum for a user-chosen secret plus two; the upper bounds hashing cost.
const (
	MinPasswordLength = 10
	MaxPasswordLength = 1024
)

// CheckPassword refuses passwords that are too short, too long, or equal to
// the e-mail address.
func CheckPassword(password, email string) error {
	switch {
	case len(password) < MinPasswordLength:
		return fault.New(fault.Invalid, "a password needs at least %d characters", MinPasswordLength).WithCode("password_too_short")
	case len(password) > MaxPasswordLength:
		return fault.New(fault.Invalid, "a password may have at most %d bytes", MaxPasswordLength).WithCode("password_too_long")
	case email != "" && strings.EqualFold(password, email):
		return fault.New(fault.Invalid, "the password must differ from the e-mail address").WithCode("password_equals_email")
	}
	return nil
}
