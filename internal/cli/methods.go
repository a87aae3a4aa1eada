package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

type methodsOptions struct {
	env    *Env
	target targetFlags
	any    bool
}

func newMethodsCommand(env *Env) *cobra.Command {
	o := &methodsOptions{env: env, target: targetFlags{env: env, noPort: true}}
	cmd := &cobra.Command{
		Use:   "methods ORGANIZATION [METHOD...]",
		Short: "how members of an organization may sign in",
		Long: `Shows how members of an organization may sign in, or allows the named methods and no other.
Methods are sso, password, magic-code, and social providers by their type, such as GoogleOAuth.`,
		Example: `berth connections methods org_01J…	show
berth connections methods org_01J… sso GoogleOAuth	these and no other
berth connections methods org_01J… --any	no rule of its own`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runMethods(cmd.Context(), o, args) },
	}
	o.target.register(cmd)
	cmd.Flags().BoolVar(&o.any, "any", false, "take the organization's rule away")
	return cmd
}

// readMethods turns arguments into a rule.
func readMethods(args []string) *berth.OrganizationMethods {
	m := &berth.OrganizationMethods{Social: []string{}}
	for _, arg := range args {
		switch arg {
		case "sso":
			m.SSO = true
		case "password":
			m.Password = true
		case "magic-code":
			m.MagicAuth = true
		default:
			m.Social = append(m.Social, arg) // the server knows their names
		}
	}
	return m
}

// methodsText lists what a rule allows as readMethods reads it.
func methodsText(m *berth.OrganizationMethods) string {
	if m == nil {
		return "any that the environment has"
	}
	var out []string
	for _, of := range []struct {
		on   bool
		name string
	}{{m.SSO, "sso"}, {m.Password, "password"}, {m.MagicAuth, "magic-code"}} {
		if of.on {
			out = append(out, of.name)
		}
	}
	return strings.Join(append(out, m.Social...), " ")
}

func runMethods(ctx context.Context, o *methodsOptions, args []string) error {
	if len(args) == 0 || o.any && len(args) > 1 {
		return fault.New(fault.Invalid, "berth connections methods takes an organization, and methods or --any").
			WithFix("see berth connections methods --help").WithCode("argument_missing")
	}
	organization, change := args[0], o.any || len(args) > 1
	s, g, err := o.target.bound(ctx, errWorkOSConnections())
	if err != nil {
		return err
	}
	defer s.close()
	out, ledger, clientID := o.env.Output(), s.conn.Ledger, g.Placement.ClientID
	var m *berth.OrganizationMethods
	if !o.any {
		m = readMethods(args[1:])
	}
	if change {
		if err := s.agreed(g); err != nil {
			return err
		}
		if o.env.DryRun() {
			out.Line("would allow %s; nothing was changed", methodsText(m))
			return out.Result(m, func(*Printer) {})
		}
		if err := ledger.SetOrganizationMethods(ctx, clientID, organization, m); err != nil {
			return err
		}
	}
	if m, err = ledger.OrganizationMethods(ctx, clientID, organization); err != nil {
		return err
	}
	return out.Result(m, func(p *Printer) {
		p.Fact("organization", "%s", organization)
		p.Fact("methods", "%s", methodsText(m))
	})
}
