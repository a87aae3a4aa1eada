package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length of a server key in bytes.
const KeySize = 32

// Box seals values at rest and makes authenticators, all from one server key.
// Each purpose gets a key of its own through HKDF (RFC 5869), so that a value
// sealed for one purpose opens for no other.
type Box struct{ key []byte }

// NewBox returns a Box over a 32-byte server key.
func NewBox(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a server key has %d bytes, this one has %d", KeySize, len(key))
	}
	return &Box{key: append([]byte(nil), key...)}, nil
}

// NewKey returns a fresh server key.
func NewKey() []byte {
	key := make([]byte, KeySize)
	rand.Read(key)
	return key
}

func (b *Box) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, b.key, nil, "berth "+purpose, KeySize)
	if err != nil {
		panic("secret: HKDF of 32 bytes cannot fail: " + err.Error())
	}
	return key
}

func (b *Box) aead(purpose string) cipher.AEAD {
	block, err := aes.NewCipher(b.derive(purpose))
	if err != nil {
		panic("secret: a 32-byte AES key cannot fail: " + err.Error())
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("secret: GCM over AES cannot fail: " + err.Error())
	}
	return gcm
}

// Seal encrypts plain for purpose (AES-256-GCM, random nonce). bound is
// authenticated but not stored: Open needs the same, which ties a sealed value
// to its row.
func (b *Box) Seal(purpose, bound string, plain []byte) []byte {
	return b.aead(purpose).Seal(nil, nil, plain, []byte(bound))
}

// ErrSealed says that a value was not sealed by this key for this purpose and place.
var ErrSealed = errors.New("the value was not sealed with this server key")

// Open decrypts what Seal returned for the same purpose and bound text.
func (b *Box) Open(purpose, bound string, sealed []byte) ([]byte, error) {
	plain, err := b.aead(purpose).Open(nil, nil, sealed, []byte(bound))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Authenticator makes and checks MACs for one purpose (HMAC-SHA256).
type Authenticator struct{ key []byte }

// Authenticator returns the MAC maker for purpose.
func (b *Box) Authenticator(purpose string) *Authenticator {
	return &Authenticator{key: b.derive("mac " + purpose)}
}

// Sum returns the 32-byte MAC of the parts. Parts are length-prefixed, so
// ("ab","c") and ("a","bc") differ.
func (a *Authenticator) Sum(parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, a.key)
	for _, p := range parts {
		n := len(p)
		mac.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		mac.Write(p)
	}
	return mac.Sum(nil)
}
