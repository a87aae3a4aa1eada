package identity

import "time"

// The algorithms of signing keys (RFC 7518 section 3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// MaxTokenLifetime bounds the lifetime of every token that is signed with an
// environment's key. It is what makes the end of a retired key known.
const MaxTokenLifetime = 24 * time.Hour

// KeyLead is how long a new key is published before it signs. Whoever has
// cached the JWKS must have read it again by then: jose keeps a set for ten
// minutes, workos-node asks again for an unknown kid only after five, and
// Convex keeps it for the max-age of the answer, which is one.
const KeyLead = 15 * time.Minute

// KeyKept is how long a key stays published after it signed its last token: the
// longest life of a token, and some minutes for clocks that differ.
const KeyKept = MaxTokenLifetime + 5*time.Minute

// KeyState is where a signing key is between its making and its removal:
// next, current, retired, and then it is gone.
type KeyState string

const (
	KeyNext    KeyState = "next"    // published, signs from SignsAt on
	KeyCurrent KeyState = "current" // signs
	KeyRetired KeyState = "retired" // published until RemoveAt, for the tokens that it signed
)

// SigningKey is a key pair that signs access tokens of one environment.
type SigningKey struct {
	KID         string
	Algorithm   string // RS256 or ES256
	Private     []byte // PKCS #8, sealed on disk
	PublicJWK   string // JSON of the public JWK
	CreatedAt   time.Time
	State       KeyState  // "" while it waits in the pool
	PublishedAt time.Time // since when it is in the environment's JWKS
	SignsAt     time.Time // when it signs, or began to
	RetiredAt   time.Time // zero until another key signs in its place
	RemoveAt    time.Time // zero until it is retired
}
