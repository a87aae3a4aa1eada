package deployment

// KeySet is what a backend finds in a JWK set (RFC 7517) of a customJwt provider.
type KeySet struct {
	KeyIDs []string // of the keys that can verify a signature, in their order
	// WithoutID is how many of those have no "kid": no token can name them.
	WithoutID int
}

// ReadKeySet reads a JWK set by the rules for customJwt providers: one key that
// cannot be read makes the whole set unreadable, and the error says which.
func ReadKeySet(body []byte) (KeySet, error) {
	keys, err := parseKeys(body, true)
	if err != nil {
		return KeySet{}, err
	}
	var set KeySet
	for _, k := range keys {
		switch {
		case k.public == nil:
		case k.kid == nil:
			set.WithoutID++
		default:
			set.KeyIDs = append(set.KeyIDs, *k.kid)
		}
	}
	return set, nil
}

// IsKeySetType reports whether a JWK set with this Content-Type is read: JSON or
// jwk-set+json, in UTF-8 when a charset is named.
func IsKeySetType(contentType string) bool { return isKeySetType(contentType) }
