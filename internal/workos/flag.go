package workos

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/wire"
)

// Flag is a feature flag of one environment. Its id begins with "flag_".
type Flag struct {
	Object        string     `json:"object"` // "feature_flag"
	ID            string     `json:"id"`
	EnvironmentID string     `json:"environment_id,omitempty"` // in events
	Slug          string     `json:"slug"`
	Name          string     `json:"name"`
	Description   *string    `json:"description"`
	Owner         *FlagOwner `json:"owner"`
	Tags          []string   `json:"tags"` // never null on the wire
	Enabled       bool       `json:"enabled"`
	Default       bool       `json:"default_value"` // for whom no target matches
	CreatedAt     Time       `json:"created_at"`
	UpdatedAt     Time       `json:"updated_at"`
}

// FlagOwner is the person who answers for a flag.
type FlagOwner struct {
	Email     string  `json:"email"`
	FirstName *string `json:"first_name"`
	LastName  *string `json:"last_name"`
}

// FlagContext is the context of events named flag.*.
type FlagContext struct {
	ClientID string        `json:"client_id"`
	Actor    FlagActor     `json:"actor"`
	Access   string        `json:"access_type,omitempty"`        // none, some, all: in flag.rule_updated
	Targets  *FlagTargets  `json:"configured_targets,omitempty"` // in flag.rule_updated
	Previous *FlagPrevious `json:"previous_attributes,omitempty"`
}

// FlagActor is who changed a flag.
type FlagActor struct {
	ID     string  `json:"id"`
	Source string  `json:"source"` // api, dashboard, admin_portal, system
	Name   *string `json:"name"`
}

// FlagTargets are whom a flag is for.
type FlagTargets struct {
	Organizations []NamedTarget `json:"organizations"`
	Users         []UserTarget  `json:"users"`
}

// NamedTarget is an organization that a flag is for.
type NamedTarget struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UserTarget is a user that a flag is for.
type UserTarget struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

// FlagPrevious is what a change has changed: the old values, by name.
type FlagPrevious struct {
	Data    map[string]any   `json:"data,omitempty"`
	Context *FlagRuleContext `json:"context,omitempty"`
}

// FlagRuleContext is whom a flag reached before a change.
type FlagRuleContext struct {
	Access  string       `json:"access_type,omitempty"`
	Targets *FlagTargets `json:"configured_targets,omitempty"`
}

const pathFlags = "/feature-flags"

// ListFlags returns all feature flags.
func (e *Environment) ListFlags(ctx context.Context) ([]Flag, error) {
	list, err := all[Flag](ctx, e.calls, pathFlags, nil)
	return list, explainKey(err)
}

// SwitchFlag enables or disables a flag, or gives a NotFound error.
func (e *Environment) SwitchFlag(ctx context.Context, slug string, on bool) (Flag, error) {
	path := pathFlags + "/" + url.PathEscape(slug) + "/disable"
	if on {
		path = pathFlags + "/" + url.PathEscape(slug) + "/enable"
	}
	var f Flag
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: path, Out: &f, Repeatable: true})
	return f, explainKey(err)
}

// TargetFlag gives a flag to an organization or user, or takes it away again.
func (e *Environment) TargetFlag(ctx context.Context, slug, id string, on bool) error {
	method := http.MethodDelete
	if on {
		method = http.MethodPost
	}
	err := e.calls.Do(ctx, wire.Call{Method: method, Path: pathFlags + "/" + url.PathEscape(slug) + "/targets/" + url.PathEscape(id), Repeatable: true})
	return explainKey(err)
}
