// Package plan turns what should be and what is into a list of changes, and
// applies exactly that list.
//
// A Plan is data: Diff makes it without any I/O, text and JSON are two views
// of the same value, and Apply does what it says and nothing else. Secrets
// travel inside a plan because Apply needs them, and no view shows them.
//
// What holds for every plan: only what was recorded as ours is removed, and
// only while no other live claim wants it; a shared environment ends up with
// the union of what its claims and people put there, whatever the order in
// which parallel plans ran; after a plan was applied, the next Diff is empty.
//
// Placement and claims are decided by the caller; the vendors' calls are in
// package workos and package convex.
package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
)

// Action is what happens to a thing.
type Action string

const (
	Add    Action = "add"    // it is not there and will be
	Set    Action = "set"    // it gets another value
	Remove Action = "remove" // it is ours, no longer wanted, and goes
	Keep   Action = "keep"   // it differs and stays: reported, never applied
)

// Resource is the kind of a thing.
type Resource string

const (
	Environment Resource = "environment"
	RedirectURI Resource = "redirect_uri"
	CORSOrigin  Resource = "cors_origin"
	Homepage    Resource = "homepage"
	JWTTemplate Resource = "jwt_template"
	Issuer      Resource = "issuer" // iss of access tokens; only a Berth server can set it
	Variable    Resource = "variable"
	AuthConfig  Resource = "auth_config" // of an embedded deployment
	File        Resource = "file"
)

// Placement is how the deployment has its environment.
type Placement string

const (
	Dedicated Placement = "dedicated"
	Pooled    Placement = "pooled"
	Shared    Placement = "shared"
)

// Target says for what a plan is. All members are for people.
type Target struct {
	Deployment  string    `json:"deployment"`  // such as "preview feature-x"
	Environment string    `json:"environment"` // name or id
	Server      string    `json:"server"`      // such as "WorkOS" or "http://localhost:4000"
	Placement   Placement `json:"placement"`
}

// Change is one thing that happens. Printing, logging or encoding it hides
// Before and After when Secret is set; the content of a file is always hidden.
type Change struct {
	Action   Action
	Resource Resource
	Target   string // the environment, deployment or folder it happens to
	Name     string // the URI, origin, variable or path; for homepage and jwt_template the kind itself
	ID       string // the other end's id of what is removed, when it has one
	Before   string
	After    string
	Secret   bool
	Pending  bool // After is known only once the environment is made
	Reason   string
}

// Note is something that cannot or must not be done, and why.
type Note struct {
	Resource Resource `json:"resource"`
	Name     string   `json:"name,omitempty"`
	Reason   string   `json:"reason"`
}

// Plan is the ordered list of changes between what is and what should be.
type Plan struct {
	Target   Target
	Changes  []Change
	Notes    []Note   // what cannot be done, with the reason
	Warnings []string // what may surprise
}

// Empty reports whether applying the plan would do nothing.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action != Keep })
}

// stage is the position of a change in time. A variable or file sends people
// to the sign-in of this environment, so the redirect URIs, origins and
// homepage come before variables, and variables before files; what is
// removed may be in use until then, so removals come last, and an environment
// goes after all that points to it.
func (c Change) stage() int {
	switch {
	case c.Resource == Environment && c.Action != Remove:
		return 0
	case c.Resource == Environment:
		return 7
	case c.Resource == Variable && c.Action != Remove:
		return 2
	case c.Resource == AuthConfig:
		return 2 // after the variables that it reads, see Apply
	case c.Resource == File && c.Action != Remove:
		return 3
	case c.Resource == File:
		return 4
	case c.Resource == Variable:
		return 5
	case c.Action == Remove:
		return 6
	default:
		return 1
	}
}

var resourceOrder = map[Resource]int{Environment: 0, RedirectURI: 1, CORSOrigin: 2, Homepage: 3, JWTTemplate: 4, Issuer: 5, Variable: 6, AuthConfig: 7, File: 8}

func compareChanges(a, b Change) int {
	return cmp.Or(
		cmp.Compare(a.stage(), b.stage()),
		cmp.Compare(resourceOrder[a.Resource], resourceOrder[b.Resource]),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Action, b.Action),
		cmp.Compare(a.ID, b.ID),
	)
}

func compareNotes(a, b Note) int {
	return cmp.Or(cmp.Compare(resourceOrder[a.Resource], resourceOrder[b.Resource]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Reason, b.Reason))
}

const (
	hiddenValue  = "[secret]"
	pendingValue = "(known once the environment is made)"
)

// shown returns Before and After as views may show them.
func (c Change) shown() (before, after string) {
	before, after = c.Before, c.After
	if c.Secret || c.Resource == File || c.Resource == AuthConfig {
		before, after = hide(before), hide(after)
	}
	if c.Pending {
		after = pendingValue
	}
	return before, after
}

func hide(s string) string {
	if s == "" {
		return ""
	}
	return hiddenValue
}

type changeJSON struct {
	Action   Action   `json:"action"`
	Resource Resource `json:"resource"`
	Target   string   `json:"target,omitempty"`
	Name     string   `json:"name"`
	Before   string   `json:"before,omitempty"`
	After    string   `json:"after,omitempty"`
	Secret   bool     `json:"secret,omitempty"`
	Pending  bool     `json:"pending,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// MarshalJSON encodes the change without its secrets.
func (c Change) MarshalJSON() ([]byte, error) {
	before, after := c.shown()
	return json.Marshal(changeJSON{c.Action, c.Resource, c.Target, c.Name, before, after, c.Secret, c.Pending, c.Reason})
}

// MarshalJSON encodes the plan: target, changes (in the order in which they
// happen), notes, warnings, and whether there is anything to do.
func (p Plan) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Target   Target   `json:"target"`
		Empty    bool     `json:"empty"`
		Changes  []Change `json:"changes"`
		Notes    []Note   `json:"notes"`
		Warnings []string `json:"warnings"`
	}{p.Target, p.Empty(), orEmpty(p.Changes), orEmpty(p.Notes), orEmpty(p.Warnings)})
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// String implements fmt.Stringer without secrets.
func (c Change) String() string { return c.line(0, nil) }

// GoString implements fmt.GoStringer without secrets.
func (c Change) GoString() string { return c.String() }

// Format keeps every verb of package fmt from reaching the members.
func (c Change) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue implements slog.LogValuer without secrets.
func (c Change) LogValue() slog.Value { return slog.StringValue(c.String()) }

// label names the change in messages: "add redirect_uri https://… in X".
func (c Change) label() string {
	text := string(c.Action) + " " + string(c.Resource)
	if c.Name != string(c.Resource) {
		text += " " + clean(c.Name)
	}
	if c.Target != "" {
		text += " in " + clean(c.Target)
	}
	return text
}
