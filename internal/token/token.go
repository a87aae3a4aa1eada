// Package token makes the keys and access tokens of environments: RSA key
// pairs and their public JWKs (RFC 7517), RS256 signed JWTs (RFC 7515, 7519)
// and the claims that a JWT template adds. It does no I/O.
package token

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/berthdev/berth/internal/identity"
)

// RS256 is the algorithm that unmodified Convex templates expect.
const RS256 = "RS256"

// keyBits is the size of RSA keys. Convex refuses 1024; 2048 is what WorkOS uses.
const keyBits = 2048

// JWK is a public RSA key in a JWKS.
type JWK struct {
	Algorithm string `json:"alg"`
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	KeyID     string `json:"kid"`
	N         string `json:"n"`
	E         string `json:"e"`
}

// NewKey makes an RSA-2048 key pair. It takes a noticeable time (about a
// tenth of a second); servers keep a pool.
func NewKey(now time.Time) (identity.SigningKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("make a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("encode a signing key: %w", err)
	}
	kid := identity.NewID(identity.PrefixSigningKey)
	jwk, err := json.Marshal(JWK{
		Algorithm: RS256, KeyType: "RSA", Use: "sig", KeyID: kid,
		N: b64(private.N.Bytes()), E: b64(big.NewInt(int64(private.E)).Bytes()),
	})
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("encode a public key: %w", err)
	}
	return identity.SigningKey{KID: kid, Algorithm: RS256, Private: der, PublicJWK: string(jwk), CreatedAt: now}, nil
}

// Signer signs tokens with one key. It is safe for concurrent use.
type Signer struct {
	kid     string
	private *rsa.PrivateKey
	header  string // encoded, with the trailing dot
}

// NewSigner reads a key pair as kept by the store.
func NewSigner(k identity.SigningKey) (*Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", k.KID, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok || k.Algorithm != RS256 {
		return nil, fmt.Errorf("signing key %s is %T for %s, want an RSA key for RS256", k.KID, parsed, k.Algorithm)
	}
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{RS256, k.KID, "JWT"})
	if err != nil {
		return nil, err
	}
	return &Signer{kid: k.KID, private: private, header: b64(header) + "."}, nil
}

// KeyID returns the kid of the key.
func (s *Signer) KeyID() string { return s.kid }

// Sign returns the compact JWT of the claims.
func (s *Signer) Sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	input := s.header + b64(payload)
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, s.private, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return input + "." + b64(sig), nil
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// Access is what an access token says.
type Access struct {
	Issuer   string
	ClientID string
	UserID   string
	Session  string
	AuthTime time.Time
	IssuedAt time.Time
	Lifetime time.Duration
	// OrganizationID is the organization of the session; the next two hold
	// there and are left out without one.
	OrganizationID string
	Roles          []string       // slugs, highest priority first
	Permissions    []string       // slugs
	Extra          map[string]any // claims of the JWT template; reserved names are ignored
}

// Claims returns the claims of an access token. jti is fresh on every call, so
// two tokens of one session always differ.
func (a Access) Claims() map[string]any {
	claims := map[string]any{}
	for k, v := range a.Extra {
		if !Reserved(k) {
			claims[k] = v
		}
	}
	claims["iss"] = a.Issuer
	claims["sub"] = a.UserID
	claims["sid"] = a.Session
	claims["jti"] = identity.NewULID()
	claims["client_id"] = a.ClientID
	claims["iat"] = a.IssuedAt.Unix()
	claims["exp"] = a.IssuedAt.Add(a.Lifetime).Unix()
	if !a.AuthTime.IsZero() {
		claims["auth_time"] = a.AuthTime.Unix()
	}
	if a.OrganizationID != "" {
		claims["org_id"] = a.OrganizationID
		claims["roles"] = a.Roles
		claims["permissions"] = a.Permissions
		if len(a.Roles) > 0 {
			claims["role"] = a.Roles[0]
		}
	}
	return claims
}
