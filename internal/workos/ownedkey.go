package workos

// OwnedKey is an API key that an application gives to one of its customers. Its
// id begins with "api_key_".
type OwnedKey struct {
	Object      string    `json:"object"` // "api_key"
	ID          string    `json:"id"`
	Owner       KeyOwner  `json:"owner"`
	Name        string    `json:"name"`
	Obfuscated  string    `json:"obfuscated_value"` // sk_...3456
	LastUsedAt  *Time     `json:"last_used_at"`
	ExpiresAt   *Time     `json:"expires_at"`
	Permissions []string  `json:"permissions"` // slugs, never null on the wire
	CreatedAt   Time      `json:"created_at"`
	UpdatedAt   Time      `json:"updated_at"`
	Previous    *KeyUntil `json:"previous_attributes,omitempty"` // in events named api_key.updated
}

// KeyOwner is whose key it is.
type KeyOwner struct {
	Type           string `json:"type"` // organization, user
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id,omitempty"` // of a user: where the key is good
}

// KeyUntil is when a key expired before a change.
type KeyUntil struct {
	ExpiresAt *Time `json:"expires_at"`
}

// NewOwnedKey is the answer to making a key: its value is shown only then.
type NewOwnedKey struct {
	OwnedKey
	Value Credential `json:"value"`
}

// KeyValidation is the answer of POST /api_keys/validations; Key is null for a
// value that is no usable key's.
type KeyValidation struct {
	Key *OwnedKey `json:"api_key"`
}
