package identity

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// PrefixFlag begins the ids of feature flags.
const PrefixFlag = "flag"

// Flag is a feature that is switched per environment, and then per organization
// and user.
type Flag struct {
	ID            string
	EnvironmentID string
	Slug          string
	Name          string
	Description   string
	Tags          []string
	Enabled       bool // off: nobody has it
	Default       bool // what they get whom no target matches
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// FlagTargets are the organizations and users that have a flag of their own,
// by id.
type FlagTargets struct {
	Organizations []Organization
	Users         []User
}

// FlagAccess says how far a flag reaches: none, some or all.
func FlagAccess(f Flag, t FlagTargets) string {
	switch {
	case !f.Enabled:
		return "none"
	case f.Default:
		return "all"
	case len(t.Organizations)+len(t.Users) > 0:
		return "some"
	}
	return "none"
}

// FlagContext is what events named flag.* say besides the flag.
type FlagContext struct {
	ClientID    string
	ActorID     string
	ActorSource string // api, dashboard or system
	// Before is what the flag was, nil when it is no change.
	Before *Flag
	After  Flag
	// Rule is set when the event is about whom the flag reaches.
	Rule          bool
	Targets       FlagTargets
	TargetsBefore FlagTargets
}

// Bounds of a flag's texts, in bytes, and of its tags.
const (
	MaxFlagName        = 255
	MaxFlagDescription = 1000
	MaxFlagTags        = 20
	MaxFlagTag         = 64
)

var flagSlug = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,127}$`)

// Check refuses a flag that cannot be kept.
func (f Flag) Check() error {
	bad := func(code, format string, args ...any) error {
		return fault.New(fault.Invalid, format, args...).WithCode(code)
	}
	switch {
	case !flagSlug.MatchString(f.Slug):
		return bad("invalid_slug", "a flag's slug has 1 to 128 lower-case letters, digits, hyphens and underscores, and begins with a letter or digit")
	case strings.TrimSpace(f.Name) == "" || len(f.Name) > MaxFlagName:
		return bad("invalid_name", "a flag needs a name of at most %d characters", MaxFlagName)
	case len(f.Description) > MaxFlagDescription:
		return bad("invalid_description", "a flag's description has at most %d characters", MaxFlagDescription)
	case len(f.Tags) > MaxFlagTags:
		return bad("invalid_tags", "a flag has at most %d tags", MaxFlagTags)
	case slices.ContainsFunc(f.Tags, func(tag string) bool { return strings.TrimSpace(tag) == "" || len(tag) > MaxFlagTag }):
		return bad("invalid_tags", "a tag has 1 to %d characters", MaxFlagTag)
	}
	return nil
}
