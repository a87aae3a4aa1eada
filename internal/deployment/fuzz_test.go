package deployment

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// FuzzAccept holds the law that matters most: who is accepted has a signature
// that verifies with a key which another library read.
func FuzzAccept(f *testing.F) {
	v := readVectors(f)
	for _, c := range v.Cases {
		f.Add(c.Token)
	}
	rs := joseKey(f, v.JWKS["J1"]).(*rsa.PublicKey)
	es := joseKey(f, v.JWKS["J2"]).(*ecdsa.PublicKey)
	verify := map[string]func(digest, signature []byte) bool{
		"P1": func(digest, signature []byte) bool {
			return rsa.VerifyPKCS1v15(rs, crypto.SHA256, digest, signature) == nil
		},
		"P3": func(digest, signature []byte) bool {
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(es, digest, r, s)
		},
	}
	fetch := new(Fetcher)
	now := time.Unix(v.NowUnix, 0)
	f.Fuzz(func(t *testing.T, token string) {
		for set, verified := range verify {
			identity, refusal := Accept(t.Context(), v.providers(set), token, now, fetch)
			if (identity == nil) == (refusal == nil) {
				t.Fatalf("Accept(%q) = %v, %v, want exactly one", token, identity, refusal)
			}
			if refusal != nil {
				if refusal.Code == "" || refusal.Message == "" || refusal.Redacted == "" || refusal.Status < 400 {
					t.Errorf("Accept(%q) = %#v, want a whole refusal", token, refusal)
				}
				continue
			}
			end := strings.LastIndexByte(token, '.')
			signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
			digest := sha256.Sum256([]byte(token[:end]))
			if err != nil || !verified(digest[:], signature) {
				t.Errorf("Accept(%q) accepts an unverified token (%v)", token, err)
			}
			if _, err := json.Marshal(identity); err != nil {
				t.Errorf("identity of %q cannot be encoded: %v", token, err)
			}
		}
	})
}

func joseKey(t testing.TB, set json.RawMessage) any {
	t.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		t.Fatal(err)
	}
	return keys.Keys[0].Key
}

// FuzzParseJSON compares the strict reader with encoding/json, which takes
// everything that the strict one takes.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-0.5e+3,null,true,false,"\u00e9\ud83d\ude00\n"]}`, `"\ud800"`, `[1,]`, `{"a":1,"a":2}`, "\"\xff\"", `1e999`, strings.Repeat("[", 200), `01`, `"\u00e"`, `"\`, `"\ud83d\`, ` [ ] `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("parseJSON(%q) takes what is not JSON", data)
		}
		if v.kind == '"' {
			var s string
			if err := json.Unmarshal(data, &s); err != nil || s != v.text {
				t.Errorf("parseJSON(%q) = %q, want %q", data, v.text, s)
			}
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	v := readVectors(f)
	for _, set := range v.JWKS {
		f.Add([]byte(set))
	}
	// Moduli and exponents that no signature belongs to: zero, even, huge.
	for _, n := range []string{"", "AA", "Ag", b64(make([]byte, 256)), b64([]byte(strings.Repeat("\xfe", 256))), b64([]byte(strings.Repeat("\xff", 2048)))} {
		for _, e := range []string{"", "AA", "AQ", "Ag", "AQAB", "_____w", "f____w"} {
			f.Add([]byte(`{"keys":[{"kty":"RSA","n":"` + n + `","e":"` + e + `"}]}`))
		}
	}
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		strict, strictErr := parseKeys(data, true)
		lenient, err := parseKeys(data, false)
		if strictErr == nil && (err != nil || len(lenient) != len(strict)) {
			t.Errorf("parseKeys(%q) = %d keys strictly, %d, %v leniently", data, len(strict), len(lenient), err)
		}
		for _, k := range lenient {
			_ = checkSignature(k.public, "RS256", "a.b", make([]byte, 256))
			_ = checkSignature(k.public, "ES256", "a.b", make([]byte, 64))
			_ = checkSignature(k.public, "EdDSA", "a.b", make([]byte, 64))
		}
	})
}

func BenchmarkAccept(b *testing.B) {
	v := readVectors(b)
	token, providers, now := v.Cases[0].Token, v.providers("P1"), time.Unix(v.NowUnix, 0)
	fetch := new(Fetcher)
	for b.Loop() {
		if _, refusal := Accept(b.Context(), providers, token, now, fetch); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

// BenchmarkBareVerify is the cost that no acceptance can go below.
func BenchmarkBareVerify(b *testing.B) {
	v := readVectors(b)
	keys, err := parseKeys(v.JWKS["J1"], true)
	if err != nil {
		b.Fatal(err)
	}
	parts := strings.Split(v.Cases[0].Token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for b.Loop() {
		if err := rsa.VerifyPKCS1v15(keys[0].public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}
