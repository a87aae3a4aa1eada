package deployment

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"testing"
)

const testNow = 1_800_000_000 // seconds since 1970

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var edKey = sync.OnceValue(func() ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func rsaJWK(kid string) string {
	k := rsaKey().PublicKey
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"alg":"RS256","use":"sig","n":%q,"e":%q}`, kid, b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes()))
}

func edJWK(kid string) string {
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":%q,"x":%q}`, kid, b64(edKey().Public().(ed25519.PublicKey)))
}

type object = map[string]any

// sign makes a token. The key follows from the header's alg: EdDSA or else RS256.
func sign(t testing.TB, header, claims object) string {
	t.Helper()
	encode := func(o object) string {
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return b64(data)
	}
	signed := encode(header) + "." + encode(claims)
	if header["alg"] == "EdDSA" {
		return signed + "." + b64(ed25519.Sign(edKey(), []byte(signed)))
	}
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(signature)
}

// with returns base with changes; a change to nil removes the member.
func with(base, changes object) object {
	out := object{}
	for _, o := range []object{base, changes} {
		for k, v := range o {
			if v == nil {
				delete(out, k)
			} else {
				out[k] = v
			}
		}
	}
	return out
}

var (
	rs256   = object{"alg": "RS256", "kid": "k1"}
	claims1 = object{"iss": "https://issuer.test/", "aud": "app1", "sub": "u1", "iat": testNow - 10, "exp": testNow + 300}
)
