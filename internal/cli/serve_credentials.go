package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

// teamClient finds the server and its team token.
func (e *Env) teamClient(ctx context.Context) (*berth.Client, Access, error) {
	access, err := e.FindServer(ctx)
	if err != nil {
		return nil, access, err
	}
	if access.Token == "" {
		return nil, access, fault.New(fault.Unauthenticated, "there is no token for %s", access.URL).
			WithFix("set %s to a token of that server; on its own machine none is needed", tokenVar).WithCode("unauthorized")
	}
	return berth.New(access.URL, access.Token), access, nil
}

// credentialKinds are the kinds of credentials as people call them.
var credentialKinds = map[string]string{"token": "team token", "client": "platform client", "access": "platform access token"}

type credentialsOptions struct{ env *Env }

func newServeTokenListCommand(env *Env) *cobra.Command {
	o := &credentialsOptions{env: env}
	return &cobra.Command{
		Use:     "list",
		Short:   "list the tokens of the team",
		Long:    "Lists the credentials of the team that have not expired, newest first. Their values are nowhere kept.",
		Example: "berth serve token list --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCredentials(cmd.Context(), o) },
	}
}

func runCredentials(ctx context.Context, o *credentialsOptions) error {
	client, access, err := o.env.teamClient(ctx)
	if err != nil {
		return err
	}
	list, err := client.Credentials(ctx)
	if err != nil {
		return err
	}
	out := o.env.Output()
	out.Fact("Server", "%s", access.URL)
	return out.Result(list, func(p *Printer) {
		rows := make([][]string, len(list))
		for i, c := range list {
			ends, name := "never", c.Name
			if !c.ExpiresAt.IsZero() {
				ends = c.ExpiresAt.Local().Format(time.DateOnly)
			}
			if c.Current {
				name += " (in use here)"
			}
			rows[i] = []string{c.ID, credentialKinds[c.Kind], c.CreatedAt.Local().Format(time.DateOnly), ends, name}
		}
		p.Table([]string{"ID", "KIND", "MADE", "ENDS", "NAME"}, rows)
	})
}

func newServeTokenRevokeCommand(env *Env) *cobra.Command {
	o := &credentialsOptions{env: env}
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "end a token at once",
		Long:    "Ends a credential of the team at once. What was made with it stays.",
		Example: "berth serve token revoke credential_01J… --yes",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return runRevoke(cmd.Context(), o, args) },
	}
}

func runRevoke(ctx context.Context, o *credentialsOptions, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "berth serve token revoke takes one id").WithFix("berth serve token list shows them").WithCode("argument_missing")
	}
	client, access, err := o.env.teamClient(ctx)
	if err != nil {
		return err
	}
	list, err := client.Credentials(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(c berth.Credential) bool { return c.ID == args[0] })
	if i < 0 {
		return fault.New(fault.NotFound, "the team has no credential %s", args[0]).WithFix("berth serve token list shows them").WithCode("credential_not_found")
	}
	c, out := list[i], o.env.Output()
	out.Fact("Server", "%s", access.URL)
	question := "Revoke the " + credentialKinds[c.Kind] + " " + c.Name + "?"
	if c.Current {
		out.Warn("it is the token of this very command; without another one the next command is refused")
	}
	if o.env.DryRun() {
		return out.Result(c, func(p *Printer) { p.Line("Dry run: nothing was revoked.") })
	}
	if err := out.Confirm(ctx, question); err != nil {
		return err
	}
	if err := client.RevokeCredential(ctx, c.ID); err != nil {
		return err
	}
	out.OK("revoked %s (%s)", c.ID, c.Name)
	return out.Result(c, func(*Printer) {})
}
