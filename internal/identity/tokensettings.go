package identity

import (
	"strings"
	"time"
	"unicode"

	"github.com/berthdev/berth/internal/fault"
)

// Lifetimes where the settings name none, as WorkOS has them.
const (
	DefaultTokenLifetime   = 5 * time.Minute
	DefaultSessionLifetime = 30 * 24 * time.Hour
)

// Bounds of the settings. A token shorter than a minute would be refreshed
// without pause: the kits refresh one minute before the end.
const (
	minTokenLifetime   = time.Minute
	minSessionLifetime = DefaultTokenLifetime // a session outlives its first token
	maxSessionLifetime = 365 * 24 * time.Hour
	maxAudience        = 255 // bytes
)

// SigningAlgorithm is the algorithm of access tokens: RS256 or ES256.
func (t TokenSettings) SigningAlgorithm() string {
	if t.Algorithm == ES256 {
		return ES256
	}
	return RS256
}

// AccessLifetime is how long an access token lives.
func (t TokenSettings) AccessLifetime() time.Duration {
	if t.Lifetime <= 0 {
		return DefaultTokenLifetime
	}
	return min(t.Lifetime, MaxTokenLifetime)
}

// MaxLifetime is how long a session lives from sign-in on, however active.
func (s Sessions) MaxLifetime() time.Duration {
	if s.Lifetime <= 0 {
		return DefaultSessionLifetime
	}
	return s.Lifetime
}

// Check refuses settings that cannot hold. Errors have the code invalid_settings.
func (t TokenSettings) Check() error {
	switch {
	case t.Algorithm != "" && t.Algorithm != RS256 && t.Algorithm != ES256:
		return badSetting("the algorithm of tokens is RS256 or ES256, not %q", t.Algorithm)
	case len(t.Audience) > maxAudience || strings.ContainsFunc(t.Audience, unicode.IsControl):
		return badSetting("the audience of tokens has at most %d bytes and no control characters", maxAudience)
	case t.Lifetime != 0 && (t.Lifetime < minTokenLifetime || t.Lifetime > MaxTokenLifetime):
		return badSetting("tokens live from %s to %s, not %s", minTokenLifetime, MaxTokenLifetime, t.Lifetime)
	}
	return nil
}

// Check refuses settings that cannot hold. Errors have the code invalid_settings.
func (s Sessions) Check() error {
	switch {
	case s.Lifetime != 0 && (s.Lifetime < minSessionLifetime || s.Lifetime > maxSessionLifetime):
		return badSetting("sessions live from %s to %s, not %s", minSessionLifetime, maxSessionLifetime, s.Lifetime)
	case s.Inactivity != 0 && (s.Inactivity < minSessionLifetime || s.Inactivity > maxSessionLifetime):
		return badSetting("inactivity ends a session after %s to %s, not %s", minSessionLifetime, maxSessionLifetime, s.Inactivity)
	}
	return nil
}

func badSetting(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode("invalid_settings")
}

// EndedBy reports whether an active session is over at now: past its lifetime,
// or without a refresh for longer than inactivity (0: no such limit).
func (s Session) EndedBy(now time.Time, inactivity time.Duration) bool {
	return !s.ExpiresAt.After(now) || inactivity > 0 && !s.RotatedAt.Add(inactivity).After(now)
}
