package keyed

import (
	"encoding/json"

	"github.com/berthdev/berth/internal/fault"
)

// Bounds of metadata, as WorkOS documents them.
const (
	maxMetadataKeys  = 10
	maxMetadataKey   = 40
	maxMetadataValue = 600
)

// Nullable is a member of a body that may be absent, null or a value, where
// the three mean different things.
type Nullable[T any] struct {
	Set   bool // the member is there
	Null  bool // and is null
	Value T
}

// UnmarshalJSON implements [json.Unmarshaler].
func (n *Nullable[T]) UnmarshalJSON(data []byte) error {
	n.Set, n.Null = true, string(data) == "null"
	return json.Unmarshal(data, &n.Value)
}

// Text returns nil when the member is absent, and "" for null.
func Text(n Nullable[string]) *string {
	if !n.Set {
		return nil
	}
	return &n.Value
}

// MergeMetadata writes changes into metadata: null removes a key, keys that
// are not named stay.
func MergeMetadata(metadata *map[string]string, changes map[string]*string) error {
	for k, v := range changes {
		switch {
		case v == nil:
			delete(*metadata, k)
			continue
		case k == "" || len(k) > maxMetadataKey || len(*v) > maxMetadataValue:
			return fault.New(fault.Invalid, "metadata keys have 1 to %d characters and values at most %d", maxMetadataKey, maxMetadataValue).WithCode("invalid_metadata")
		}
		if *metadata == nil {
			*metadata = map[string]string{}
		}
		(*metadata)[k] = *v
	}
	if len(*metadata) > maxMetadataKeys {
		return fault.New(fault.Invalid, "an object has at most %d metadata keys", maxMetadataKeys).WithCode("invalid_metadata")
	}
	return nil
}

// OrNull returns nil for "", which answers show as null.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
