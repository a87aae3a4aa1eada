package provision

import (
	"context"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
)

// Names of the variables that say where environments come from.
const (
	ServerVar         = "BERTH_SERVER"
	TokenVar          = "BERTH_TOKEN"
	PlatformIDVar     = "WORKOS_PLATFORM_CLIENT_ID"
	PlatformSecretVar = "WORKOS_PLATFORM_CLIENT_SECRET"
	PlatformTeamVar   = "WORKOS_PLATFORM_TEAM_ID"
	PlatformTokenVar  = "WORKOS_PLATFORM_TOKEN_URL"
)

// Connection is where claims are kept and where environments live. Ledger and
// environments may be at different places: a team can use WorkOS and keep its
// claims on a Berth server.
type Connection struct {
	Ledger   *berth.Client
	Platform *workos.Platform // nil: no environments can be made here
	TeamID   string           // platform team
	TeamSlug string
	APIBase  string // AuthKit API base of the environments
	Embedded bool   // they live on a Berth server
	Title    string // WorkOS, or the server's address
	From     string // where the server was named, "" for WorkOS
	Given    *Given // credentials of an environment that a person made, if any were found
	Notes    []string
	Observe  func(method, path string, status int)

	serverURL string // of the Berth server, when there is one
}

// Given are credentials that were found, and where.
type Given struct {
	ClientID string
	APIKey   secret.String
	From     string
}

// Places are the values that decide a connection, already looked up. Empty
// means unset.
type Places struct {
	Server, ServerFrom string        // Berth server
	Token              secret.String // its team token
	Ledger             http.Handler  // keeps claims when no server does; may be nil
	SetIn              string        // where the variables of this build are set; "" on a developer's machine
	PlatformID         string
	PlatformSecret     secret.String
	PlatformTeam       string
	PlatformTokenURL   string
	APIBase            string // AuthKit API base; default api.workos.com
	Given              *Given
	Observe            func(method, path string, status int)
}

// Connect opens a connection. It makes at most one call, to learn whose token
// this is.
func Connect(ctx context.Context, p Places) (*Connection, error) {
	c := &Connection{APIBase: p.APIBase, Title: "WorkOS", Given: p.Given, Observe: p.Observe}
	if c.APIBase == "" {
		c.APIBase = workos.DefaultBase
	} else if c.APIBase != workos.DefaultBase {
		c.Title = c.APIBase
	}
	platform := p.PlatformID != "" || p.PlatformSecret != "" || p.PlatformTeam != ""
	if platform && (p.PlatformID == "" || p.PlatformSecret == "" || p.PlatformTeam == "") {
		return nil, fault.New(fault.Invalid, "the WorkOS Platform credentials are incomplete: %s", missing(map[string]bool{
			PlatformIDVar: p.PlatformID == "", PlatformSecretVar: p.PlatformSecret == "", PlatformTeamVar: p.PlatformTeam == ""})).
			WithFix("set all three of %s, %s and %s", PlatformIDVar, PlatformSecretVar, PlatformTeamVar)
	}
	if p.Server != "" {
		if err := c.useServer(ctx, p, platform); err != nil {
			return nil, err
		}
	} else if p.Ledger != nil {
		c.Ledger = &berth.Client{Wire: &wire.Client{Base: "http://ledger", Name: "the ledger on this machine", HTTP: &http.Client{Transport: inProcess{p.Ledger}}}}
		c.Notes = append(c.Notes, ledgerNote(p.SetIn))
	} else {
		return nil, noConnection(p.SetIn)
	}
	if platform {
		var err error
		c.Platform, err = workos.NewPlatform(workos.PlatformOptions{Wire: wire.Client{Base: c.APIBase, Name: "WorkOS", Observe: p.Observe},
			ClientID: p.PlatformID, ClientSecret: p.PlatformSecret, TokenURL: p.PlatformTokenURL})
		if err != nil {
			return nil, err
		}
		c.TeamID = p.PlatformTeam
	}
	c.Ledger.Wire.Observe = p.Observe
	return c, nil
}

// ledgerNote says what it means that no server keeps the claims.
func ledgerNote(setIn string) string {
	if setIn != "" {
		return "no Berth server keeps the claims of this build: berth prune will not find what it registers (set " + ServerVar + " and " + TokenVar + " in " + setIn + ")"
	}
	return "claims are recorded on this machine only; set " + ServerVar + " to share them with other machines and builds"
}

// noConnection names what is missing and where to set it (R40).
func noConnection(setIn string) error {
	if setIn != "" {
		return fault.New(fault.NeedsPerson, "this build has no Berth server and no WorkOS credentials: %s and %s are not set, and neither are %s and %s", ServerVar, TokenVar, ClientIDVar, APIKeyVar).
			WithFix("set one of the two pairs in %s", setIn).WithCode("no_connection")
	}
	return fault.New(fault.NeedsPerson, "there is no Berth server yet and no WorkOS credential").
		WithFix("start a server with `berth serve` (`berth dev` does it by itself), or set %s and %s, or set %s and %s of an existing WorkOS environment", ServerVar, TokenVar, ClientIDVar, APIKeyVar).WithCode("no_connection")
}

func missing(unset map[string]bool) string {
	var names []string
	for _, name := range []string{PlatformIDVar, PlatformSecretVar, PlatformTeamVar, ClientIDVar, APIKeyVar} {
		if unset[name] {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ") + " not set"
}

// useServer connects to a Berth server. Environments live there too, unless
// credentials of another place were given.
func (c *Connection) useServer(ctx context.Context, p Places, platform bool) error {
	if p.Token == "" {
		return fault.New(fault.Unauthenticated, "there is no token for the server %s", p.Server).
			WithFix("set %s to a team token of that server (berth serve token)%s", TokenVar, in(p.SetIn)).WithCode("token_missing")
	}
	c.Ledger = berth.New(strings.TrimRight(p.Server, "/"), p.Token)
	c.Ledger.Wire.Observe = p.Observe
	me, err := c.Ledger.Me(ctx)
	if err != nil {
		return err
	}
	c.TeamSlug, c.serverURL = me.TeamSlug, me.BaseURL
	if platform {
		return nil
	}
	if p.Given != nil {
		known, err := c.onServer(ctx, p.Given.ClientID)
		if err != nil || !known {
			return err
		}
	}
	c.APIBase, c.Embedded, c.Title, c.From, c.TeamID = me.BaseURL, true, me.BaseURL, p.ServerFrom, me.TeamID
	c.Platform, err = workos.NewPlatform(workos.PlatformOptions{Wire: wire.Client{Base: strings.TrimRight(p.Server, "/"), Name: "the Berth server", Observe: p.Observe},
		Bearer: p.Token, RepeatCreates: true})
	return err
}

// in is " in " and the place, or nothing.
func in(place string) string {
	if place == "" {
		return ""
	}
	return " in " + place
}

// onServer reports whether a client ID is one of the Berth server's environments.
func (c *Connection) onServer(ctx context.Context, clientID string) (bool, error) {
	_, err := c.Ledger.Environment(ctx, clientID)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// with returns a connection to the environment of credentials that were found.
func (c *Connection) with(ctx context.Context, g *Given) (*Connection, error) {
	out := *c
	out.Given = g
	if !c.Embedded {
		return &out, nil
	}
	known, err := c.onServer(ctx, g.ClientID)
	if err != nil || known {
		return &out, err
	}
	out.From = ""
	out.APIBase, out.Title, out.Embedded, out.Platform, out.TeamID = workos.DefaultBase, "WorkOS", false, nil, ""
	return &out, nil
}

// linked returns a connection to the environment that a person gave to a claim
// and that lives elsewhere than this connection's own: its key is in the ledger,
// so later runs need no variables.
func (c *Connection) linked(ctx context.Context, g *claim.Grant) (*Connection, error) {
	if c.Given != nil || g == nil || g.Placement.Owned || !g.Placement.Bound() || g.Placement.APIBase == "" || g.Placement.APIBase == c.APIBase {
		return c, nil
	}
	if c.Embedded { // the server may have moved to another address
		if known, err := c.onServer(ctx, g.Placement.ClientID); known || err != nil {
			return c, err
		}
	}
	out := *c
	out.Given = &Given{ClientID: g.Placement.ClientID, APIKey: g.APIKey, From: "the ledger"}
	out.From, out.APIBase, out.Title, out.Embedded, out.Platform, out.TeamID = "", g.Placement.APIBase, g.Placement.APIBase, false, nil, ""
	if out.APIBase == workos.DefaultBase {
		out.Title = "WorkOS"
	}
	return &out, nil
}

// inProcess carries requests to a handler without a network.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &memory{header: http.Header{}}
	t.handler.ServeHTTP(w, r)
	return w.response(r), nil
}

// environment returns a client of the environment that a key belongs to.
func (c *Connection) environment(clientID string, key secret.String) *workos.Environment {
	base := c.APIBase
	return workos.NewEnvironment(wire.Client{Base: base, Name: c.party(), Observe: c.Observe}, clientID, key)
}

func (c *Connection) party() string {
	if c.Embedded {
		return "the Berth server"
	}
	return "WorkOS"
}

// EnvironmentOf returns a client of a claim's environment.
func (c *Connection) EnvironmentOf(g *claim.Grant) *workos.Environment {
	return c.environment(g.Placement.ClientID, g.APIKey)
}
