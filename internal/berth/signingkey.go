package berth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// SigningKey is a key that signs the access tokens of an environment, or did or
// will.
type SigningKey struct {
	KID         string          `json:"kid"`
	Algorithm   string          `json:"algorithm"`           // RS256 or ES256
	State       string          `json:"state"`               // next, current or retired
	PublishedAt time.Time       `json:"published_at"`        // since when it is in the JWKS
	SignsAt     time.Time       `json:"signs_at"`            // when it signs, or began to
	RetiredAt   time.Time       `json:"retired_at,omitzero"` // when another key signed in its place
	RemoveAt    time.Time       `json:"remove_at,omitzero"`  // when it leaves the JWKS
	PublicJWK   json.RawMessage `json:"public_jwk"`          // RFC 7517
}

// KeyRotation asks for a new signing key. The zero value publishes it now and
// lets it sign when every cache has it.
type KeyRotation struct {
	// Now lets it sign at once and removes every other key: the tokens that they
	// signed are refused from then on.
	Now bool `json:"now,omitempty"`
	// Algorithm is RS256 or ES256; "" keeps what the environment has. Another one
	// signs at once, and the keys of before stay published.
	Algorithm string `json:"algorithm,omitempty"`
}

func signingKeysPath(clientID string) string {
	return "/berth/v1/environments/" + url.PathEscape(clientID) + "/signing_keys"
}

// SigningKeys returns the keys of an environment: the current one, the next,
// then the retired ones.
func (c *Client) SigningKeys(ctx context.Context, clientID string) ([]SigningKey, error) {
	var out []SigningKey
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: signingKeysPath(clientID), Out: &out})
	return out, err
}

// RotateSigningKey asks for a new key and returns the keys as they are then.
// Repeated while a key waits for its time, it changes nothing.
func (c *Client) RotateSigningKey(ctx context.Context, clientID string, r KeyRotation) ([]SigningKey, error) {
	var out []SigningKey
	err := c.do(ctx, wire.Call{Method: http.MethodPost, Path: signingKeysPath(clientID), Body: r, Out: &out})
	return out, err
}
