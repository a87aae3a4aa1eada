package token

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/identity"
)

var algorithms = []string{RS256, ES256}

func newKey(t testing.TB, algorithm string) identity.SigningKey {
	t.Helper()
	key, err := NewKey(algorithm, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func published(t testing.TB, key identity.SigningKey) jose.JSONWebKey {
	t.Helper()
	var jwk jose.JSONWebKey
	if err := json.Unmarshal([]byte(key.PublicJWK), &jwk); err != nil {
		t.Fatalf("PublicJWK = %s, %v", key.PublicJWK, err)
	}
	return jwk
}

// Another implementation of JOSE verifies the tokens with the published key.
func TestTokensVerifyWithThePublishedKey(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			now := time.Now()
			key := newKey(t, algorithm)
			signer, err := NewSigner(key)
			if err != nil {
				t.Fatal(err)
			}
			text, err := signer.Sign(Access{Issuer: "https://s", ClientID: "c", UserID: "u", Session: "s", IssuedAt: now, Lifetime: time.Minute, Audience: "a"}.Claims())
			if err != nil {
				t.Fatal(err)
			}
			jwk := published(t, key)
			if !jwk.IsPublic() || jwk.KeyID != signer.KeyID() || jwk.Algorithm != algorithm || signer.Algorithm() != algorithm || jwk.Use != "sig" {
				t.Fatalf("PublicJWK = %s, want a public %s key with the signer's kid", key.PublicJWK, algorithm)
			}
			parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			var claims jwt.Claims
			if err := parsed.Claims(jwk, &claims); err != nil {
				t.Fatalf("the signature does not verify: %v", err)
			}
			if err := claims.Validate(jwt.Expected{Issuer: "https://s", Subject: "u", AnyAudience: jwt.Audience{"a"}, Time: now}); err != nil {
				t.Error(err)
			}
			if h := parsed.Headers[0]; h.KeyID != key.KID || h.ExtraHeaders["typ"] != "JWT" || h.Algorithm != algorithm {
				t.Errorf("header = %+v, want kid %s, alg %s and typ JWT", h, key.KID, algorithm)
			}
			if err := parsed.Claims(published(t, newKey(t, algorithm)), &claims); err == nil {
				t.Error("the signature verifies with another key")
			}
		})
	}
}

// The kid is the key's own: its RFC 7638 thumbprint as go-jose computes it, in
// the form of WorkOS's. The members are those that the OpenAPI document
// requires of a JWKS, and the certificate is of this key.
func TestJWKHasItsMembers(t *testing.T) {
	members := map[string][]string{
		RS256: {"alg", "e", "kid", "kty", "n", "use", "x5c", "x5t#S256"},
		ES256: {"alg", "crv", "kid", "kty", "use", "x", "x5c", "x5t#S256", "y"},
	}
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			key := newKey(t, algorithm)
			jwk := published(t, key)
			thumbprint, err := jwk.Thumbprint(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if want := keyID([sha256.Size]byte(thumbprint)); key.KID != want || !strings.HasPrefix(want, "sso_oidc_key_pair_") || len(want) != len("sso_oidc_key_pair_")+26 {
				t.Errorf("kid = %s, want %s", key.KID, want)
			}
			var raw map[string]any
			if err := json.Unmarshal([]byte(key.PublicJWK), &raw); err != nil {
				t.Fatal(err)
			}
			var names []string
			for name := range raw {
				names = append(names, name)
			}
			slices.Sort(names)
			if diff := cmp.Diff(members[algorithm], names); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
			der, err := base64.StdEncoding.DecodeString(raw["x5c"].([]any)[0].(string))
			if err != nil {
				t.Fatal(err)
			}
			certificate, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
				t.Errorf("the certificate is not signed by its key: %v", err)
			}
			if public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(jwk.Key) {
				t.Error("the certificate is of another key")
			}
			if sum := sha256.Sum256(der); raw["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
				t.Errorf("x5t#S256 = %v, want the hash of x5c", raw["x5t#S256"])
			}
		})
	}
}

// RFC 7518 section 3.4: R and S of 32 bytes each, whatever their size.
func TestES256SignaturesHave64Bytes(t *testing.T) {
	signer, err := NewSigner(newKey(t, ES256))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 { // one in 128 has a leading zero byte
		text, err := signer.Sign(map[string]any{"i": i})
		if err != nil {
			t.Fatal(err)
		}
		if sig, err := base64.RawURLEncoding.Strict().DecodeString(text[strings.LastIndexByte(text, '.')+1:]); err != nil || len(sig) != 64 {
			t.Fatalf("signature %d has %d bytes, %v; want 64", i, len(sig), err)
		}
	}
}

func TestAudience(t *testing.T) {
	for _, c := range []struct {
		name     string
		audience string
		extra    map[string]any
		want     any
	}{
		{"absent by default", "", nil, nil},
		{"of the settings", "api", nil, "api"},
		{"of the template", "", map[string]any{"aud": "t"}, "t"},
		{"the template wins", "api", map[string]any{"aud": []any{"t", "api"}}, []any{"t", "api"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Access{Audience: c.audience, Extra: c.extra}.Claims()["aud"]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("aud (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewSignerRefuses(t *testing.T) {
	rsa, ec := newKey(t, RS256), newKey(t, ES256)
	for name, k := range map[string]identity.SigningKey{
		"no key":           {KID: "k", Algorithm: RS256},
		"no PKCS #8":       {KID: "k", Algorithm: RS256, Private: []byte("x")},
		"RSA for ES256":    {KID: "k", Algorithm: ES256, Private: rsa.Private},
		"EC for RS256":     {KID: "k", Algorithm: RS256, Private: ec.Private},
		"no algorithm":     {KID: "k", Private: rsa.Private},
		"another RSA form": {KID: "k", Algorithm: "PS256", Private: rsa.Private},
	} {
		if _, err := NewSigner(k); err == nil {
			t.Errorf("%s: NewSigner = nil, want an error", name)
		}
	}
	if _, err := NewKey("EdDSA", time.Now()); err == nil {
		t.Error("NewKey(EdDSA) = nil, want an error: Convex's customJwt does not know it")
	}
}

func BenchmarkSign(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(algorithm, func(b *testing.B) {
			signer, err := NewSigner(newKey(b, algorithm))
			if err != nil {
				b.Fatal(err)
			}
			claims := Access{Issuer: "https://s", ClientID: "c", UserID: "u", Session: "s", IssuedAt: time.Now(), Lifetime: time.Minute}.Claims()
			for b.Loop() {
				if _, err := signer.Sign(claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
