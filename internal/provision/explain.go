package provision

import (
	"context"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
)

// Places where a value can come from, in the documented order: the first that
// has one wins.
const (
	FromProcess    = "build environment"
	FromEnvLocal   = ".env.local"
	FromDeployment = "deployment variables"
	FromLedger     = "ledger of claims"
)

// Source is one place and what it has of the credentials.
type Source struct {
	Place    string
	ClientID string
	APIKey   secret.String
}

// partial says which of the two is missing, or "".
func (s Source) partial() string {
	switch {
	case s.ClientID == "" && s.APIKey != "":
		return ClientIDVar
	case s.ClientID != "" && s.APIKey == "":
		return APIKeyVar
	}
	return ""
}

// Given returns the source's credentials for a connection.
func (s Source) Given() *Given {
	return &Given{ClientID: s.ClientID, APIKey: s.APIKey, From: the(s.Place)}
}

// Effective returns the first source that has credentials, or nil. Half of a
// pair is an error that names the other half: the pair always comes from one
// place, or dev and prod would mix.
func Effective(sources []Source) (*Source, error) {
	for i := range sources {
		s := &sources[i]
		if name := s.partial(); name != "" {
			other := map[string]string{ClientIDVar: APIKeyVar, APIKeyVar: ClientIDVar}[name]
			return nil, fault.New(fault.Invalid, "%s is set in %s, but %s is not", other, the(s.Place), name).
				WithFix("set both there, or neither").WithCode("credentials_incomplete")
		}
		if s.ClientID != "" {
			return s, nil
		}
	}
	return nil, nil
}

// LocalSources returns what the process and .env.local have. Values that Berth
// itself wrote to .env.local are results, not sources.
func LocalSources(app *project.App, lookup func(string) (string, bool)) ([]Source, error) {
	get := func(name string) string {
		v, _ := lookup(name)
		return v
	}
	out := []Source{{Place: FromProcess, ClientID: get(ClientIDVar), APIKey: secret.String(get(APIKeyVar))}}
	if app == nil {
		return out, nil
	}
	file, err := app.ReadEnvFile(app.EnvPath())
	if err != nil {
		return nil, err
	}
	own := func(name string) string {
		if v, _ := file.Lookup(name); !file.Managed(name) {
			return v
		}
		return ""
	}
	return append(out, Source{Place: FromEnvLocal, ClientID: own(ClientIDVar), APIKey: secret.String(own(APIKeyVar))}), nil
}

// Explained is a value with the places that have one, in order; the first is
// the effective one. It holds no secret.
type Explained struct {
	Name   string   `json:"name"`
	From   string   `json:"from"`            // effective place, "" when nothing has it
	Value  string   `json:"value,omitempty"` // of what is no secret
	Others []string `json:"also_in,omitempty"`
	Differ []string `json:"differs_in,omitempty"` // those of Others that have another value

	// Expected is the value that the deployment needs, when it is another one.
	// Only variables that the app's own code reads have it.
	Expected string `json:"expected,omitempty"`
}

// Mismatch says in one sentence which places disagree (R38), "" when none do.
func (e Explained) Mismatch() string {
	switch {
	case e.Expected != "":
		return e.Name + " in " + the(e.From) + " is " + e.Value + ", but " + ClientIDVar + " is " + e.Expected + ": the app would sign in elsewhere"
	case len(e.Differ) == 0:
		return ""
	}
	value := ""
	if e.Value != "" {
		value = " (" + e.Value + ")"
	}
	places := make([]string, len(e.Differ))
	for i, place := range e.Differ {
		places[i] = the(place)
	}
	return e.Name + " is another one in " + strings.Join(places, " and in ") + " than in " + the(e.From) + value + ", which counts"
}

// the is a place within a sentence.
func the(place string) string {
	if place == FromEnvLocal {
		return place
	}
	return "the " + place
}

// Explain says where the credentials of a deployment come from.
func (c *Connection) Explain(ctx context.Context, r Request) ([]Explained, error) {
	sources, err := LocalSources(r.App, r.Lookup)
	if err != nil {
		return nil, err
	}
	b, err := c.backend(ctx, r)
	if err != nil {
		return nil, err
	}
	if b.Deployment != nil {
		vars, err := b.Deployment.ListVariables(ctx)
		if err != nil && !fault.Is(err, fault.Denied) {
			return nil, err
		}
		sources = append(sources, Source{Place: FromDeployment, ClientID: vars[ClientIDVar], APIKey: secret.String(vars[APIKeyVar])})
	}
	g, err := c.Ledger.Claim(ctx, r.Deployment())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	if g != nil && g.Placement.Bound() {
		sources = append(sources, Source{Place: FromLedger, ClientID: g.Placement.ClientID, APIKey: g.APIKey})
	}
	out := explain(sources)
	public, err := c.public(r, out[0])
	if err != nil || public == nil {
		return out, err
	}
	return append(out, *public), nil
}

// explain compares the places, which are in order.
func explain(sources []Source) []Explained {
	client, key := Explained{Name: ClientIDVar}, Explained{Name: APIKeyVar}
	var first secret.String
	for _, s := range sources {
		client.note(s.Place, s.ClientID != "", s.ClientID != client.Value)
		if client.Value == "" {
			client.Value = s.ClientID
		}
		key.note(s.Place, s.APIKey != "", s.APIKey != first)
		if first == "" {
			first = s.APIKey
		}
	}
	return []Explained{client, key}
}

func (e *Explained) note(place string, set, differs bool) {
	switch {
	case !set:
	case e.From == "":
		e.From = place
	default:
		e.Others = append(e.Others, place)
		if differs {
			e.Differ = append(e.Differ, place)
		}
	}
}

// public explains the variable from which the app's own code takes the client
// ID, where it has a name of its own. It is nil where there is none.
func (c *Connection) public(r Request, effective Explained) (*Explained, error) {
	name := r.App.Framework.ClientID
	if name == "" || name == ClientIDVar || r.Kind != claim.Dev {
		return nil, nil
	}
	file, err := r.App.ReadEnvFile(r.App.EnvPath())
	if err != nil {
		return nil, err
	}
	e := &Explained{Name: name}
	process, _ := r.Lookup(name)
	local, _ := file.Lookup(name)
	for _, s := range []Source{{Place: FromProcess, ClientID: process}, {Place: FromEnvLocal, ClientID: local}} {
		e.note(s.Place, s.ClientID != "", s.ClientID != e.Value)
		if e.Value == "" {
			e.Value = s.ClientID
		}
	}
	if e.From != "" && effective.Value != e.Value {
		e.Expected = effective.Value
	}
	return e, nil
}

// adopt looks for credentials that a person set on the deployment, when none
// were given and there is no claim yet, and returns a connection to them.
func (c *Connection) adopt(ctx context.Context, r Request, grant *claim.Grant) (*Connection, error) {
	if c.Given != nil || grant != nil || r.Mode == claim.Dedicated {
		return c, nil
	}
	b, err := c.backend(ctx, r)
	if err != nil || b.Deployment == nil {
		return c, err
	}
	vars, err := b.Deployment.ListVariables(ctx)
	if fault.Is(err, fault.Denied) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := Effective([]Source{{Place: FromDeployment, ClientID: vars[ClientIDVar], APIKey: secret.String(vars[APIKeyVar])}})
	if err != nil || s == nil {
		return c, err
	}
	if ours, err := c.made(ctx, s.ClientID); ours || err != nil {
		return c, err // left by a deployment whose release is under way
	}
	return c.with(ctx, s.Given())
}

// made reports whether the environment of a client ID is one that Berth made
// for a claim, be it one that is being released: its credentials in a
// deployment's variables were not set by a person.
func (c *Connection) made(ctx context.Context, clientID string) (bool, error) {
	all, err := c.Ledger.Claims(ctx, "")
	return slices.ContainsFunc(all, func(g claim.Grant) bool { return g.Placement.Owned && g.Placement.ClientID == clientID }), err
}
