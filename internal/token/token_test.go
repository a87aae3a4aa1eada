package token

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/berthdev/berth/internal/identity"
)

// Another implementation of JOSE verifies the tokens with the published key.
func TestTokensVerifyWithThePublishedKey(t *testing.T) {
	now := time.Now()
	key, err := NewKey(now)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.Sign(Access{Issuer: "https://s", ClientID: "c", UserID: "u", Session: "s", IssuedAt: now, Lifetime: time.Minute}.Claims())
	if err != nil {
		t.Fatal(err)
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal([]byte(key.PublicJWK), &jwk); err != nil || !jwk.IsPublic() || jwk.KeyID != signer.KeyID() || jwk.Algorithm != "RS256" || jwk.Use != "sig" {
		t.Fatalf("PublicJWK = %s, %v; want a public RS256 key with the signer's kid", key.PublicJWK, err)
	}
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(jwk, &claims); err != nil {
		t.Fatalf("the signature does not verify: %v", err)
	}
	if err := claims.Validate(jwt.Expected{Issuer: "https://s", Subject: "u", Time: now}); err != nil {
		t.Error(err)
	}
	if h := parsed.Headers[0]; h.KeyID != key.KID || h.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("header = %+v, want kid %s and typ JWT", h, key.KID)
	}
	other, err := NewKey(now)
	if err != nil {
		t.Fatal(err)
	}
	var wrong jose.JSONWebKey
	if err := json.Unmarshal([]byte(other.PublicJWK), &wrong); err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(wrong, &claims); err == nil {
		t.Error("the signature verifies with another key")
	}
}

func TestNewSignerRefuses(t *testing.T) {
	for name, k := range map[string]identity.SigningKey{
		"no key":     {KID: "k", Algorithm: RS256},
		"no PKCS #8": {KID: "k", Algorithm: RS256, Private: []byte("x")},
	} {
		if _, err := NewSigner(k); err == nil {
			t.Errorf("%s: NewSigner = nil, want an error", name)
		}
	}
}
