package identity

import (
	"time"

	"github.com/berthdev/berth/internal/secret"
)

// Prefixes of ids that belong to second factors.
const (
	PrefixFactor    = "auth_factor"
	PrefixChallenge = "auth_challenge"
)

// Bounds on guessing one-time passwords (RFC 4226 section 7.3). A challenge
// ends after MaxCodeAttempts wrong codes; a factor takes no code for the rest
// of FactorWindow after MaxFactorFailures wrong ones, whatever their challenges.
const (
	MaxFactorFailures = 10
	FactorWindow      = 15 * time.Minute
	ChallengeLifetime = 30 * time.Minute
)

// Factor is a second factor: a secret shared with an authenticator app, from
// which both compute codes by the time (TOTP, RFC 6238: SHA-1, six digits,
// steps of 30 seconds).
type Factor struct {
	ID         string
	UserID     string // "" for a factor that the caller assigns to its own users
	Issuer     string // shown in the app beside Account
	Account    string
	Secret     secret.String // base32 without padding
	VerifiedAt time.Time     // zero until the first right code
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Challenge asks for one code of a factor.
type Challenge struct {
	ID         string
	FactorID   string
	VerifiedAt time.Time // zero until the right code came
	ExpiresAt  time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
}
