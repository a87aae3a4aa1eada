package deployment

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// key is one entry of a JWK set (RFC 7517).
type key struct {
	kid       *string
	algorithm string // "" when absent
	use       string // "" when absent
	public    any    // *rsa.PublicKey, *ecdsa.PublicKey (P-256), ed25519.PublicKey, or nil for what verifies nothing here
}

// The names that "alg" of a JWK may have (RFC 7518 section 3.1, 4.1, 5.1):
// with any other the whole set is unreadable for customJwt.
var knownKeyAlgorithms = append([]string{
	"RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "A128KW", "A192KW", "A256KW", "dir",
	"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW",
	"A128GCMKW", "A192GCMKW", "A256GCMKW",
	"PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW",
	"A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM",
}, knownAlgorithms...)

// parseKeys reads a JWK set. The customJwt rules are strict: one unreadable
// key makes the set unreadable. The OIDC rules leave out such keys.
func parseKeys(body []byte, strict bool) ([]key, error) {
	v, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	list, n := v.find("keys")
	if v.kind != '{' || n != 1 || list.kind != '[' {
		return nil, errors.New("no list of keys")
	}
	keys := make([]key, 0, len(list.items))
	for i, item := range list.items {
		k, err := parseKey(item, strict)
		switch {
		case err == nil:
			keys = append(keys, k)
		case strict:
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
	}
	return keys, nil
}

func parseKey(v value, strict bool) (key, error) {
	if v.kind != '{' {
		return key{}, errors.New("not an object")
	}
	var k key
	f := fields{value: v}
	k.kid = f.optional("kid")
	if alg := f.optional("alg"); alg != nil {
		k.algorithm = *alg
		if strict && !slices.Contains(knownKeyAlgorithms, *alg) {
			f.fail("alg", "unknown")
		}
	}
	if use := f.optional("use"); use != nil {
		k.use = *use
	}
	for _, name := range []string{"x5u", "x5t", "x5t#S256"} {
		f.optional(name)
	}
	for _, name := range []string{"x5c", "key_ops"} {
		if list, n := v.find(name); n > 0 && list.kind != 'n' && !isTextList(list) {
			f.fail(name, "not a list of strings")
		}
	}
	switch kty := f.optional("kty"); {
	case kty == nil:
		f.fail("kty", "missing")
	case *kty == "RSA":
		k.public = f.rsa()
	case *kty == "EC":
		k.public = f.ec()
	case *kty == "OKP":
		k.public = f.okp()
	case *kty == "oct":
		f.bytes("k")
	default:
		f.fail("kty", "unknown")
	}
	return k, f.err
}

// fields reads members of one JWK and keeps the first error.
type fields struct {
	value
	err error
}

func (f *fields) fail(name, why string) {
	if f.err == nil {
		f.err = fmt.Errorf("member %s: %s", name, why)
	}
}

func (f *fields) optional(name string) *string {
	found, n := f.find(name)
	switch {
	case n > 1:
		f.fail(name, "given twice")
	case n == 0 || found.kind == 'n':
	case found.kind != '"':
		f.fail(name, "not a string")
	default:
		return &found.text
	}
	return nil
}

func (f *fields) bytes(name string) []byte {
	s := f.optional(name)
	if s == nil {
		f.fail(name, "missing")
		return nil
	}
	data, err := decodeSegment(*s)
	if err != nil {
		f.fail(name, "not base64url")
	}
	return data
}

// privateParts checks members that take no part but must be readable.
func (f *fields) privateParts(names ...string) {
	for _, name := range names {
		if _, n := f.find(name); n > 0 && f.optional(name) != nil {
			f.bytes(name)
		}
	}
}

func (f *fields) rsa() any {
	n, e := new(big.Int).SetBytes(f.bytes("n")), new(big.Int).SetBytes(f.bytes("e"))
	f.privateParts("d", "p", "q", "dp", "dq", "qi")
	// The size bounds the time that a hostile key set can make one token cost.
	if !e.IsInt64() || e.Int64() > 1<<31-1 || n.BitLen() > 2*maxRSA {
		return nil
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}
}

func (f *fields) ec() any {
	crv := f.optional("crv")
	x, y := f.bytes("x"), f.bytes("y")
	f.privateParts("d")
	if crv == nil || !slices.Contains([]string{"P-256", "P-384", "P-521"}, *crv) {
		f.fail("crv", "unknown")
		return nil
	}
	if *crv != "P-256" || len(x) != 32 || len(y) != 32 {
		return nil
	}
	point := slices.Concat([]byte{4}, x, y)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil // not on the curve
	}
	return public
}

func (f *fields) okp() any {
	crv := f.optional("crv")
	x := f.bytes("x")
	f.privateParts("d")
	if crv == nil || *crv != "Ed25519" {
		f.fail("crv", "unknown")
		return nil
	}
	if len(x) != ed25519.PublicKeySize {
		return nil
	}
	return ed25519.PublicKey(x)
}

// The sizes of RSA keys that verify a customJwt, in bits.
const minRSA, maxRSA = 2048, 8192

// checkSignature verifies the signature of signed (RFC 7518 section 3.3 and
// 3.4, RFC 8037 section 3.1).
func checkSignature(public any, algorithm, signed string, signature []byte) error {
	digest := sha256.Sum256([]byte(signed))
	ok := false
	switch public := public.(type) {
	case *rsa.PublicKey:
		ok = algorithm == "RS256" && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		ok = algorithm == "ES256" && len(signature) == 64 &&
			ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		ok = algorithm == "EdDSA" && ed25519.Verify(public, []byte(signed), signature)
	}
	if !ok {
		return errors.New("invalid signature")
	}
	return nil
}
