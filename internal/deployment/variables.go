package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/fault"
)

// The limits of a deployment's variables.
const (
	MaxNameLength  = 256       // bytes
	MaxValueLength = 8192      // bytes
	MaxVariables   = 512       // per deployment
	MaxTotalSize   = 512 << 10 // bytes of names and values
)

// The variables that every deployment has and nobody can set.
const (
	CloudURLVariable = "CONVEX_CLOUD_URL"
	SiteURLVariable  = "CONVEX_SITE_URL"
)

// The codes of refused changes.
const (
	CodeNameInvalid   = "EnvironmentVariableNameInvalid"
	CodeNameTooLong   = "EnvironmentVariableNameTooLong"
	CodeValueTooLarge = "EnvironmentVariableValueTooLarge"
	CodeLimit         = "EnvVarLimitMet"
	CodeTotalSize     = "EnvVarTotalSizeLimitMet"
	CodeNameForbidden = "EnvVarNameForbidden"
)

// Change sets a variable, or removes it when Value is nil. Removing one that
// is not there is no error.
type Change struct {
	Name  string
	Value *string
}

var variableName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Apply returns the variables after all changes; current stays as it is.
// Removals come first, then what is set in the order of name and value, so
// that a removal and a setting of one name set it. Errors are *fault.Error of
// kind Invalid with Convex's codes and texts; then nothing changes.
func Apply(current map[string]string, changes []Change) (map[string]string, error) {
	for _, c := range changes {
		if err := checkChange(c); err != nil {
			return nil, err
		}
	}
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, compareChanges)
	next := maps.Clone(current)
	if next == nil {
		next = map[string]string{}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(next, c.Name)
		} else {
			next[c.Name] = *c.Value
		}
	}
	if len(next) > MaxVariables {
		return nil, refuseChange(CodeLimit, "The environment variable limit (%d) has been met.", MaxVariables)
	}
	total := 0
	for name, value := range next {
		total += len(name) + len(value)
	}
	if total > MaxTotalSize {
		return nil, refuseChange(CodeTotalSize, "The total size of all environment variables (%d bytes) exceeds the limit (%d bytes).", total, MaxTotalSize)
	}
	return next, nil
}

func compareChanges(a, b Change) int {
	switch {
	case a.Value == nil && b.Value == nil:
		return cmp.Compare(a.Name, b.Name)
	case a.Value == nil:
		return -1
	case b.Value == nil:
		return 1
	default:
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(*a.Value, *b.Value))
	}
}

func checkChange(c Change) error {
	switch {
	case !variableName.MatchString(c.Name):
		return refuseChange(CodeNameInvalid, "The environment variable name %s is invalid. Environment variable names must begin with a letter and may only include characters a-z, A-Z, 0-9, and underscores.", c.Name)
	case len(c.Name) > MaxNameLength:
		return refuseChange(CodeNameTooLong, "The environment variable name %s is too long. Environment variable names must be less than %d.", c.Name, MaxNameLength)
	case c.Value == nil:
		return nil
	case len(*c.Value) > MaxValueLength:
		// The vendor's text has no closing parenthesis either.
		return refuseChange(CodeValueTooLarge, "The environment variable value is %d bytes, which is too large. (max size: %d", len(*c.Value), MaxValueLength)
	case c.Name == CloudURLVariable || c.Name == SiteURLVariable:
		return refuseChange(CodeNameForbidden, `Environment variable with name "%s" is built-in and cannot be overridden`, c.Name)
	}
	return nil
}

func refuseChange(code, format string, args ...any) error {
	return fault.New(fault.Invalid, "%s", fmt.Sprintf(format, args...)).WithCode(code)
}

// State is what a deployment's token acceptance depends on. It is stored as a
// whole: the providers always belong to the variables and the module.
type State struct {
	Variables  map[string]string     // without the built-in ones
	AuthConfig string                // bundled source of auth.config.js; "" when none was pushed
	Providers  []authconfig.Provider // in stored order
	CloudURL   string                // value of CONVEX_CLOUD_URL
	SiteURL    string                // value of CONVEX_SITE_URL
}

// Environment gives the variables that functions and auth.config see, the
// built-in ones included.
func (s State) Environment() map[string]string {
	env := maps.Clone(s.Variables)
	if env == nil {
		env = map[string]string{}
	}
	env[CloudURLVariable], env[SiteURLVariable] = s.CloudURL, s.SiteURL
	return env
}

// ChangeVariables returns the state after the changes, with auth.config
// evaluated again. A change that would break it is refused with Convex's text
// (code AuthConfigMissingEnvironmentVariable or InvalidAuthConfig); s is then
// still the state.
func (s State) ChangeVariables(ctx context.Context, changes []Change) (State, error) {
	next, err := Apply(s.Variables, changes)
	if err != nil {
		return s, err
	}
	changed := s
	changed.Variables = next
	return changed.evaluated(ctx, s, authconfig.ExplainChange, "")
}

// Push returns the state after a push of the bundled auth.config, "" when the
// app has none, which clears the providers.
func (s State) Push(ctx context.Context, source string) (State, error) {
	changed := s
	changed.AuthConfig = source
	if source == "" {
		changed.Providers = nil
		return changed, nil
	}
	return changed.evaluated(ctx, s, authconfig.ExplainPush, "Hit an error while pushing:\n")
}

// evaluated returns s with the providers of its auth.config, or before when
// that is not usable.
func (s State) evaluated(ctx context.Context, before State, explanation, prefix string) (State, error) {
	if s.AuthConfig == "" {
		return s, nil
	}
	result, err := authconfig.Eval(ctx, s.AuthConfig, s.Environment())
	if e, ok := errors.AsType[*authconfig.Error](err); ok {
		code, text := e.Wire(explanation)
		return before, fault.New(fault.Invalid, "%s", prefix+text).WithCode(code)
	}
	if err != nil {
		return before, err
	}
	s.Providers = authconfig.Merge(before.Providers, result.Providers)
	return s, nil
}
