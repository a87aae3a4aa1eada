package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

// connectionSecret is where the client secret of a provider comes from: what is
// typed as an argument is seen by other programs and kept by shells.
const connectionSecret = "BERTH_CONNECTION_SECRET"

type connectionsOptions struct {
	env          *Env
	target       targetFlags
	organization string
	name         string
	issuer       string
	clientID     string
	scopes       []string
	tokens       bool
}

func newConnectionsCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "single sign-on and social providers",
		Long: `Identity providers of one deployment's environment: of organizations (single sign-on) and social ones.
Without an issuer or a client id a connection leads to the built-in test identity provider, which production does not have.
The client secret of a real provider is read from ` + connectionSecret + `.`,
		Example: `berth connections add GoogleOAuth	Continue with Google, at the test identity provider
berth connections add TestIdp --organization org_01J…	single sign-on to try
berth connections list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil },
	}
	list := &connectionsOptions{env: env, target: targetFlags{env: env, noPort: true, readOnly: true}}
	l := &cobra.Command{Use: "list", Short: "list the connections of an environment", Example: "berth connections list --json", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runConnectionsList(cmd.Context(), list) }}
	list.target.register(l)

	add := &connectionsOptions{env: env, target: targetFlags{env: env, noPort: true}}
	c := &cobra.Command{Use: "add TYPE", Short: "make a connection", Args: oneConnection,
		Example: `berth connections add GoogleOAuth --client-id 123.apps.googleusercontent.com
berth connections add GenericOIDC --organization org_01J… --issuer https://login.acme.example --client-id berth`,
		RunE: func(cmd *cobra.Command, args []string) error { return runConnectionsAdd(cmd.Context(), add, args[0]) }}
	add.target.register(c)
	f := c.Flags()
	f.StringVar(&add.organization, "organization", "", "whose provider it is `ID` (default: a social provider)")
	f.StringVar(&add.name, "name", "", "what people call it `NAME`")
	f.StringVar(&add.issuer, "issuer", "", "issuer of a real provider `URL`")
	f.StringVar(&add.clientID, "client-id", "", "client id that the provider gave `ID`")
	f.StringArrayVar(&add.scopes, "scope", nil, "asked for besides openid `SCOPE` (repeatable)")
	f.BoolVar(&add.tokens, "return-tokens", false, "hand the provider's tokens on to the application")

	remove := &connectionsOptions{env: env, target: targetFlags{env: env, noPort: true}}
	r := &cobra.Command{Use: "remove ID", Short: "remove a connection", Example: "berth connections remove conn_01J…", Args: oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConnectionsRemove(cmd.Context(), remove, args[0])
		}}
	remove.target.register(r)
	cmd.AddCommand(l, c, r, newMethodsCommand(env))
	return cmd
}

func oneConnection(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "%s takes one argument", cmd.CommandPath()).WithFix("see %s --help", cmd.CommandPath()).WithCode("argument_missing")
	}
	return nil
}

// errWorkOSConnections says where WorkOS makes connections.
func errWorkOSConnections() error {
	return fault.New(fault.Unsupported, "the connections of a WorkOS environment are made in its dashboard").
		WithFix("use an environment of a Berth server").WithCode("workos_connections")
}

func runConnectionsList(ctx context.Context, o *connectionsOptions) error {
	s, g, err := o.target.bound(ctx, errWorkOSConnections())
	if err != nil {
		return err
	}
	defer s.close()
	list, err := s.conn.Ledger.Connections(ctx, g.Placement.ClientID)
	if err != nil {
		return err
	}
	return o.env.Output().Result(list, func(p *Printer) {
		if len(list) == 0 {
			p.Line("no connections yet")
			return
		}
		rows := make([][]string, len(list))
		for i, c := range list {
			leads := c.Issuer
			if c.Kind == "test" {
				leads = "test identity provider"
			}
			rows[i] = []string{c.Type, c.Name, c.State, leads, c.ID}
		}
		p.Table([]string{"TYPE", "NAME", "STATE", "LEADS TO", "ID"}, rows)
	})
}

func runConnectionsAdd(ctx context.Context, o *connectionsOptions, typ string) error {
	s, g, err := o.target.bound(ctx, errWorkOSConnections())
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.agreed(g); err != nil {
		return err
	}
	n := berth.NewConnection{OrganizationID: o.organization, Type: typ, Name: o.name, Issuer: o.issuer, ClientID: o.clientID, Scopes: o.scopes, ReturnTokens: o.tokens}
	if o.issuer != "" || o.clientID != "" {
		if n.ClientSecret = strings.TrimSpace(o.env.get(connectionSecret)); n.ClientSecret == "" {
			return fault.New(fault.Invalid, "the client secret of the provider is missing").WithFix("set %s to it", connectionSecret).WithCode("connection_secret_missing")
		}
	}
	out := o.env.Output()
	if o.env.DryRun() {
		out.Line("would make a connection of type %s in %s; nothing was changed", typ, g.Placement.EnvironmentName)
		return out.Result(map[string]string{"connection_type": typ}, func(*Printer) {})
	}
	c, err := s.conn.Ledger.CreateConnection(ctx, g.Placement.ClientID, n)
	if err != nil {
		return err
	}
	return out.Result(c, func(p *Printer) {
		p.Fact("connection", "%s", c.ID)
		p.Fact("type", "%s", c.Type)
		if c.Kind == "oidc" {
			p.Fact("callback", "%s", c.CallbackURL)
			p.Line("register the callback at the provider")
		}
	})
}

func runConnectionsRemove(ctx context.Context, o *connectionsOptions, id string) error {
	s, g, err := o.target.bound(ctx, errWorkOSConnections())
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.agreed(g); err != nil {
		return err
	}
	if o.env.DryRun() {
		o.env.Output().Line("would remove %s from %s; nothing was changed", id, g.Placement.EnvironmentName)
		return o.env.Output().Result(map[string]string{"connection": id}, func(*Printer) {})
	}
	if err := s.conn.Ledger.DeleteConnection(ctx, g.Placement.ClientID, id); err != nil {
		return err
	}
	return o.env.Output().Result(map[string]string{"removed": id}, func(p *Printer) { p.Line("removed %s", id) })
}
