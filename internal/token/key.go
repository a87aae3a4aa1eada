package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/berthdev/berth/internal/identity"
)

// The algorithms that keys sign with. Convex's customJwt providers know these
// two and no other.
const (
	RS256 = identity.RS256 // what unmodified Convex templates expect
	ES256 = identity.ES256 // about thirty times as fast to sign
)

// keyBits is the size of RSA keys. Convex refuses 1024; 2048 is what WorkOS uses.
const keyBits = 2048

// certificateYears is how long the certificate of a key claims to be valid.
// Nobody checks it against the clock: it is there because WorkOS's JWKS has it.
const certificateYears = 20

// JWK is a public key in a JWKS: RSA (N, E) or EC P-256 (Curve, X, Y). Members
// and their order are those of WorkOS's JWKS, which has RSA keys only.
type JWK struct {
	Algorithm   string   `json:"alg"`
	KeyType     string   `json:"kty"`
	Use         string   `json:"use"`
	KeyID       string   `json:"kid"`
	N           string   `json:"n,omitempty"`
	E           string   `json:"e,omitempty"`
	Curve       string   `json:"crv,omitempty"`
	X           string   `json:"x,omitempty"`
	Y           string   `json:"y,omitempty"`
	Chain       []string `json:"x5c,omitempty"`      // one self-signed certificate, base64 DER
	Fingerprint string   `json:"x5t#S256,omitempty"` // SHA-256 of its DER
}

// NewKey makes a key pair for an algorithm with its certificate. An RSA key
// takes a noticeable time (about a tenth of a second); servers keep a pool.
func NewKey(algorithm string, now time.Time) (identity.SigningKey, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, keyBits)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return identity.SigningKey{}, fmt.Errorf("make a signing key: unknown algorithm %q", algorithm)
	}
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("make a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("encode a signing key: %w", err)
	}
	jwk, thumbprint, err := publicJWK(private.Public())
	if err != nil {
		return identity.SigningKey{}, err
	}
	jwk.KeyID = keyID(thumbprint)
	certificate, err := certify(private, jwk.KeyID, thumbprint, now)
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("certify signing key %s: %w", jwk.KeyID, err)
	}
	fingerprint := sha256.Sum256(certificate)
	jwk.Chain, jwk.Fingerprint = []string{base64.StdEncoding.EncodeToString(certificate)}, b64(fingerprint[:])
	encoded, err := json.Marshal(jwk)
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("encode a public key: %w", err)
	}
	return identity.SigningKey{KID: jwk.KeyID, Algorithm: algorithm, Private: der, PublicJWK: string(encoded), CreatedAt: now}, nil
}

// publicJWK returns the JWK of a public key, without its kid, and the key's
// thumbprint (RFC 7638): the hash of its required members in their order.
func publicJWK(public crypto.PublicKey) (JWK, [sha256.Size]byte, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		k := JWK{Algorithm: RS256, KeyType: "RSA", Use: "sig", N: b64(public.N.Bytes()), E: b64(big.NewInt(int64(public.E)).Bytes())}
		return k, sha256.Sum256([]byte(`{"e":"` + k.E + `","kty":"RSA","n":"` + k.N + `"}`)), nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, then X and Y of 32 bytes each (SEC 1 section 2.3.3)
		if err != nil || public.Curve != elliptic.P256() {
			return JWK{}, [sha256.Size]byte{}, fmt.Errorf("the key is not on the curve P-256: %w", err)
		}
		k := JWK{Algorithm: ES256, KeyType: "EC", Use: "sig", Curve: "P-256", X: b64(point[1:33]), Y: b64(point[33:])}
		return k, sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`)), nil
	default:
		return JWK{}, [sha256.Size]byte{}, fmt.Errorf("a key of type %T cannot be published", public)
	}
}

// keyID derives the kid from the key, in the form of WorkOS's: the first 128
// bits of the thumbprint, written as a ULID is. Two keys thus never share a
// kid, which clients that cache by kid would not survive.
func keyID(thumbprint [sha256.Size]byte) string {
	return identity.PrefixSigningKey + "_" + ulid.ULID(thumbprint[:16]).String()
}

func certify(private crypto.Signer, kid string, thumbprint [sha256.Size]byte, now time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, thumbprint[:15]...)), // positive, at most 20 octets (RFC 5280 section 4.1.2.2)
		Subject:      pkix.Name{CommonName: kid},
		NotBefore:    now.UTC().Truncate(time.Second).Add(-time.Hour),
		NotAfter:     now.UTC().Truncate(time.Second).AddDate(certificateYears, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	return x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
}

// Signer signs tokens with one key. It is safe for concurrent use.
type Signer struct {
	kid       string
	algorithm string
	header    string // encoded, with the trailing dot
	sign      func(digest []byte) ([]byte, error)
}

// NewSigner reads a key pair as kept by the store.
func NewSigner(k identity.SigningKey) (*Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", k.KID, err)
	}
	s := &Signer{kid: k.KID, algorithm: k.Algorithm}
	switch private := parsed.(type) {
	case *rsa.PrivateKey:
		if k.Algorithm == RS256 {
			s.sign = func(digest []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest) }
		}
	case *ecdsa.PrivateKey:
		if k.Algorithm == ES256 && private.Curve == elliptic.P256() {
			s.sign = func(digest []byte) ([]byte, error) { return signES256(private, digest) }
		}
	}
	if s.sign == nil {
		return nil, fmt.Errorf("signing key %s is %T for %q, want RSA for RS256 or EC P-256 for ES256", k.KID, parsed, k.Algorithm)
	}
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{k.Algorithm, k.KID, "JWT"})
	if err != nil {
		return nil, err
	}
	s.header = b64(header) + "."
	return s, nil
}

// signES256 returns R and S of 32 bytes each (RFC 7518 section 3.4). Convex
// refuses the DER form.
func signES256(private *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, private, digest)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out, nil
}

// KeyID returns the kid of the key.
func (s *Signer) KeyID() string { return s.kid }

// Algorithm returns RS256 or ES256.
func (s *Signer) Algorithm() string { return s.algorithm }

// Sign returns the compact JWT of the claims.
func (s *Signer) Sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	input := s.header + b64(payload)
	digest := sha256.Sum256([]byte(input))
	sig, err := s.sign(digest[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return input + "." + b64(sig), nil
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
