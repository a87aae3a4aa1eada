package provision

import (
	"context"

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

// Effective returns the first source that has credentials, or nil. Half of a
// pair is an error that names the other half: the pair always comes from one
// place, or dev and prod would mix.
func Effective(sources []Source) (*Source, error) {
	for i := range sources {
		s := &sources[i]
		if name := s.partial(); name != "" {
			other := map[string]string{ClientIDVar: APIKeyVar, APIKeyVar: ClientIDVar}[name]
			return nil, fault.New(fault.Invalid, "%s is set in the %s, but %s is not", other, s.Place, name).
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
	Differ bool     `json:"differs,omitempty"` // another place has another value
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
	return explain(sources), nil
}

func explain(sources []Source) []Explained {
	client, key := Explained{Name: ClientIDVar}, Explained{Name: APIKeyVar}
	var firstKey secret.String
	for _, s := range sources {
		note := func(e *Explained, set, differs bool) {
			switch {
			case !set:
			case e.From == "":
				e.From = s.Place
			default:
				e.Others = append(e.Others, s.Place)
				e.Differ = e.Differ || differs
			}
		}
		note(&client, s.ClientID != "", s.ClientID != client.Value)
		if client.Value == "" {
			client.Value = s.ClientID
		}
		note(&key, s.APIKey != "", s.APIKey != firstKey)
		if firstKey == "" {
			firstKey = s.APIKey
		}
	}
	return []Explained{client, key}
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
	return c.with(ctx, &Given{ClientID: s.ClientID, APIKey: s.APIKey, From: "the " + s.Place})
}
