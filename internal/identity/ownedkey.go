package identity

import (
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// OwnedKey is an API key that the application gives to one of its customers: an
// organization, or a user for one organization. The keys with which the
// application itself calls are type APIKey.
type OwnedKey struct {
	ID             string // begins with PrefixAPIKey
	OrganizationID string
	UserID         string // empty: the organization's own
	Name           string
	Obfuscated     string   // what of its value is shown after it was made
	Permissions    []string // slugs, sorted
	LastUsedAt     time.Time
	ExpiresAt      time.Time // zero: never
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// OwnedKeyChange is what events named api_key.updated are about.
type OwnedKeyChange struct {
	OwnedKey
	ExpiredBefore time.Time // ExpiresAt before the change
}

// MaxOwnedKeyName bounds the name of a key, in bytes.
const MaxOwnedKeyName = 255

// CheckOwnedKeyName refuses what cannot name a key.
func CheckOwnedKeyName(name string) error {
	if name == "" || len(name) > MaxOwnedKeyName {
		return fault.New(fault.Invalid, "name is required and has at most %d characters.", MaxOwnedKeyName).WithCode("invalid_name")
	}
	return nil
}
