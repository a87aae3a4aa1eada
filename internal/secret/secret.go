// Package secret holds values that must never be printed.
package secret

import "log/slog"

const placeholder = "[secret]"

// String is a secret text. Printing, logging or encoding it gives a
// placeholder; only Reveal gives the text.
type String string

// Reveal returns the text. Call it where the secret leaves for the one place
// that needs it, and nowhere else.
func (s String) Reveal() string { return string(s) }

// String implements fmt.Stringer with a placeholder.
func (s String) String() string {
	if s == "" {
		return ""
	}
	return placeholder
}

// GoString implements fmt.GoStringer with a placeholder.
func (s String) GoString() string { return s.String() }

// LogValue implements slog.LogValuer with a placeholder.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText encodes a placeholder, so that no JSON document or flag dump
// holds the secret by accident.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
