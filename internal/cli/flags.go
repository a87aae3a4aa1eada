package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/workos"
)

type flagsOptions struct {
	env         *Env
	target      targetFlags
	name        string
	description string
	tags        []string
	on, all     bool
	forID       string
}

func newFlagsCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flags",
		Short: "feature flags of an environment",
		Long: `Feature flags of one deployment's environment. Access tokens carry the slugs of those that a session has (feature_flags).
A flag that is off reaches nobody; one that is on reaches its targets, or everybody when it was made with --everybody.
At WorkOS flags are made and deleted in the dashboard; list, enable and disable work there too.`,
		Example: `berth flags create new-checkout --on --everybody
berth flags enable new-checkout --for org_01J…	for one organization
berth flags list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil },
	}
	add := func(use, short, example string, readOnly bool, run func(context.Context, *flagsOptions, string) error) (*cobra.Command, *flagsOptions) {
		o := &flagsOptions{env: env, target: targetFlags{env: env, noPort: true, readOnly: readOnly}}
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: oneSlug, RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), o, args[0])
		}}
		o.target.register(c)
		cmd.AddCommand(c)
		return c, o
	}
	list := &flagsOptions{env: env, target: targetFlags{env: env, noPort: true, readOnly: true}}
	l := &cobra.Command{Use: "list", Short: "list the flags of an environment", Example: "berth flags list --json", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFlagsList(cmd.Context(), list) }}
	list.target.register(l)
	cmd.AddCommand(l)

	c, o := add("create SLUG", "make a flag, off unless told otherwise", "berth flags create new-checkout --name 'New checkout'", false, runFlagsCreate)
	c.Flags().StringVar(&o.name, "name", "", "what people call it `NAME` (default: the slug)")
	c.Flags().StringVar(&o.description, "description", "", "what it is for `TEXT`")
	c.Flags().StringArrayVar(&o.tags, "tag", nil, "a label `TAG` (repeatable)")
	c.Flags().BoolVar(&o.on, "on", false, "on at once")
	c.Flags().BoolVar(&o.all, "everybody", false, "for everybody while it is on, not for its targets alone")
	c, o = add("enable SLUG", "turn a flag on", "berth flags enable new-checkout", false, switchFlag(true))
	c.Flags().StringVar(&o.forID, "for", "", "make an organization or user its target instead `ID`")
	c, o = add("disable SLUG", "turn a flag off", "berth flags disable new-checkout", false, switchFlag(false))
	c.Flags().StringVar(&o.forID, "for", "", "take a target away instead `ID`")
	add("delete SLUG", "delete a flag with its targets", "berth flags delete new-checkout --yes", false, runFlagsDelete)
	return cmd
}

func oneSlug(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "%s takes the slug of one flag", cmd.CommandPath()).WithFix("for example: %s new-checkout", cmd.CommandPath()).WithCode("argument_missing")
	}
	return nil
}

type flagView struct {
	Slug        string   `json:"slug"`
	ID          string   `json:"id,omitempty"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags"`
	Enabled     bool     `json:"enabled"`
	Default     bool     `json:"default_value"`
}

func viewOfFlag(f workos.Flag) flagView {
	v := flagView{Slug: f.Slug, ID: f.ID, Name: f.Name, Tags: f.Tags, Enabled: f.Enabled, Default: f.Default}
	if f.Description != nil {
		v.Description = *f.Description
	}
	return v
}

func runFlagsList(ctx context.Context, o *flagsOptions) error {
	s, g, err := o.target.bound(ctx, nil)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := s.conn.EnvironmentOf(g).ListFlags(ctx)
	if err != nil {
		return err
	}
	views, rows := make([]flagView, len(list)), make([][]string, len(list))
	for i, f := range list {
		views[i] = viewOfFlag(f)
		reaches := "targets"
		if f.Default {
			reaches = "everybody"
		}
		rows[i] = []string{f.Slug, map[bool]string{true: "on", false: "off"}[f.Enabled], reaches, f.Name}
	}
	return o.env.Output().Result(views, func(p *Printer) {
		if len(rows) == 0 {
			p.Line("no feature flags in %s yet", g.Placement.EnvironmentName)
			return
		}
		p.Table([]string{"SLUG", "STATE", "FOR", "NAME"}, rows)
	})
}

// errWorkOSFlags says where WorkOS makes and deletes flags.
func errWorkOSFlags() error {
	return fault.New(fault.Unsupported, "WorkOS has no call that makes or deletes feature flags").
		WithFix("do it at https://dashboard.workos.com under Feature Flags; berth flags enable and disable work there").WithCode("workos_has_no_call")
}

func runFlagsCreate(ctx context.Context, o *flagsOptions, slug string) error {
	s, g, err := o.target.bound(ctx, errWorkOSFlags())
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.agreed(g); err != nil {
		return err
	}
	out := o.env.Output()
	if o.env.DryRun() {
		out.Line("would make the flag %s in %s; nothing was changed", slug, g.Placement.EnvironmentName)
		return out.Result(flagView{Slug: slug, Name: o.name, Tags: slices.Concat([]string{}, o.tags), Enabled: o.on, Default: o.all}, func(*Printer) {})
	}
	f, err := s.conn.Ledger.CreateFlag(ctx, g.Placement.ClientID, berth.NewFlag{Slug: slug, Name: o.name, Description: o.description, Tags: o.tags, Enabled: o.on, Default: o.all})
	if err != nil {
		return err
	}
	out.OK("made the flag %s in %s", slug, g.Placement.EnvironmentName)
	return out.Result(flagView{Slug: f.Slug, ID: f.ID, Name: f.Name, Description: f.Description, Tags: f.Tags, Enabled: f.Enabled, Default: f.Default}, func(*Printer) {})
}

func errNoFlag(slug, environment string) error {
	return fault.New(fault.NotFound, "there is no feature flag %s in %s", slug, environment).WithFix("berth flags list shows them").WithCode("flag_not_found")
}

func switchFlag(on bool) func(context.Context, *flagsOptions, string) error {
	return func(ctx context.Context, o *flagsOptions, slug string) error {
		s, g, err := o.target.bound(ctx, nil)
		if err != nil {
			return err
		}
		defer s.close()
		if err := s.agreed(g); err != nil {
			return err
		}
		out, env := o.env.Output(), s.conn.EnvironmentOf(g)
		list, err := env.ListFlags(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(f workos.Flag) bool { return f.Slug == slug })
		if i < 0 {
			return errNoFlag(slug, g.Placement.EnvironmentName)
		}
		f, what := list[i], slug+" is "+map[bool]string{true: "on", false: "off"}[on]
		if o.forID != "" {
			what = map[bool]string{true: slug + " is for " + o.forID, false: slug + " is no longer for " + o.forID}[on]
		}
		if o.env.DryRun() {
			out.Line("would make it so that %s in %s; nothing was changed", what, g.Placement.EnvironmentName)
			return out.Result(viewOfFlag(f), func(*Printer) {})
		}
		if o.forID != "" {
			err = env.TargetFlag(ctx, slug, o.forID, on)
		} else {
			f, err = env.SwitchFlag(ctx, slug, on)
		}
		if err != nil {
			return err
		}
		out.OK("%s in %s", what, g.Placement.EnvironmentName)
		if o.forID != "" && on && !f.Enabled {
			out.Warn("the flag is off, so nobody has it yet: berth flags enable %s", slug)
		}
		return out.Result(viewOfFlag(f), func(*Printer) {})
	}
}

func runFlagsDelete(ctx context.Context, o *flagsOptions, slug string) error {
	s, g, err := o.target.bound(ctx, errWorkOSFlags())
	if err != nil {
		return err
	}
	defer s.close()
	list, err := s.conn.EnvironmentOf(g).ListFlags(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(f workos.Flag) bool { return f.Slug == slug })
	if i < 0 {
		return errNoFlag(slug, g.Placement.EnvironmentName)
	}
	out := o.env.Output()
	if o.env.DryRun() {
		out.Line("would delete the flag %s from %s; nothing was changed", slug, g.Placement.EnvironmentName)
		return out.Result(viewOfFlag(list[i]), func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Delete the flag "+slug+" with its targets from "+g.Placement.EnvironmentName+"?"); err != nil {
		return err
	}
	if err := s.conn.Ledger.DeleteFlag(ctx, g.Placement.ClientID, slug); err != nil {
		return err
	}
	out.OK("deleted the flag %s", slug)
	return out.Result(viewOfFlag(list[i]), func(*Printer) {})
}
