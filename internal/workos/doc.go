// Package workos speaks the wire protocol of WorkOS: the environment
// configuration and user calls of User Management, and the Platform API.
//
// The JSON shapes live here once. Our server encodes what our client decodes,
// and answers with the same errors the client recognises. The client can be
// pointed at api.workos.com or at any server that speaks the protocol.
//
// Sources: WorkOS OpenAPI document 0.61.0, the reference pages of the
// Platform API, and transcripts of the official SDKs in testdata. What counts
// as "already done" is exactly what the callers in the field tolerate:
//
//	POST redirect_uris     422 whose body says "already exists"
//	POST cors_origins      409 duplicate_cors_origin, or 409/422 "already exists"
//	PUT  app_homepage_url  422 is a refusal to report, not a failure
//	DELETE redirect_uris   404 is done, 409 is the default and cannot go
package workos

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/secret"
)

// Where WorkOS itself listens.
const (
	DefaultBase     = "https://api.workos.com"
	DefaultTokenURL = "https://signin.workos.com/oauth2/token"
)

// KeyMode is which half of a WorkOS team an API key belongs to.
type KeyMode string

const (
	LiveKey    KeyMode = "live"    // sk_live_…: a production environment
	TestKey    KeyMode = "test"    // sk_test_…: a staging or sandbox environment
	UnknownKey KeyMode = "unknown" // neither prefix
)

// KeyKind tells the mode of an API key by its prefix.
func KeyKind(apiKey secret.String) KeyMode {
	switch {
	case strings.HasPrefix(apiKey.Reveal(), "sk_live_"):
		return LiveKey
	case strings.HasPrefix(apiKey.Reveal(), "sk_test_"):
		return TestKey
	default:
		return UnknownKey
	}
}

// Credential is a secret inside a wire message: JSON carries it, because that
// is what the message is for; printing or logging gives a placeholder.
type Credential string

// Secret returns the credential for use outside of messages.
func (c Credential) Secret() secret.String { return secret.String(c) }

// String implements fmt.Stringer with a placeholder.
func (c Credential) String() string { return secret.String(c).String() }

// GoString implements fmt.GoStringer with a placeholder.
func (c Credential) GoString() string { return c.String() }

// LogValue implements slog.LogValuer with a placeholder.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Time is a wire timestamp: ISO 8601, UTC, milliseconds, "Z".
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// At returns t as a wire timestamp.
func At(t time.Time) Time { return Time{t} }

// AtOrNull returns t as a nullable wire timestamp; the zero time is null.
func AtOrNull(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// MarshalJSON encodes t in UTC with milliseconds.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 timestamp.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("read timestamp: %w", err)
	}
	if text == "" {
		*t = Time{}
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("read timestamp: %w", err)
	}
	t.Time = at.UTC()
	return nil
}

// List is the envelope of every list answer.
type List[T any] struct {
	Object   string       `json:"object"` // always "list"
	Data     []T          `json:"data"`
	Metadata ListMetadata `json:"list_metadata"`
}

// ListMetadata holds the cursors around a page: ids of objects, or null.
type ListMetadata struct {
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// NewList wraps a page; empty cursors become null and nil data an empty array.
func NewList[T any](data []T, before, after string) List[T] {
	if data == nil {
		data = []T{}
	}
	return List[T]{Object: "list", Data: data, Metadata: ListMetadata{Before: orNull(before), After: orNull(after)}}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
