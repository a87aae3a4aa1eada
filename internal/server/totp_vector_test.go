package server_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// authenticator is RFC 6238 over RFC 4226 as the documents write it, by no
// library that the server uses: SHA-1, steps of 30 seconds.
func authenticator(secret []byte, at time.Time, digits int) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	text := fmt.Sprintf("%010d", n)
	return text[len(text)-digits:]
}

// RFC 6238 appendix B.
func TestAuthenticatorAgreesWithTheVectors(t *testing.T) {
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := authenticator([]byte("12345678901234567890"), time.Unix(at, 0), 8); got != want {
			t.Errorf("code at %d = %s, want %s", at, got, want)
		}
	}
}

// R62: an authenticator that only knows the secret signs in.
func TestARealAuthenticatorSignsIn(t *testing.T) {
	m := newMFA(t)
	p, id := m.enrolled(t)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.key.Secret())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m.clk.add(31 * time.Second)
		status, out := m.totpGrant(t, m.pending(t), m.challenge(t, id), authenticator(secret, m.clk.now(), 6))
		if status != http.StatusOK || out["access_token"] == nil {
			t.Errorf("sign-in with the code of an authenticator = %d %v, want tokens", status, out)
		}
	}
}
