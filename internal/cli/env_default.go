package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
)

type defaultOptions struct {
	variablesOptions
	kind string
}

func newEnvDefaultCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "default",
		Short: "variables that new deployments begin with",
		Long: `Lists, sets and removes what new deployments of the project begin with, per type of
deployment. Defaults are copied once, when a deployment is made: deployments that
exist keep what they have.`,
		Example: `berth env default list --type preview
berth env default set LOG_LEVEL debug --type preview`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil },
	}
	add := func(use, short, example string, args cobra.PositionalArgs, run func(context.Context, *defaultOptions, []string) error) *cobra.Command {
		o := &defaultOptions{variablesOptions: variablesOptions{env: env, backend: newBackendFlags(env)}}
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: args,
			RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), o, args) }}
		o.backend.register(c)
		c.Flags().StringVar(&o.kind, "type", "", "dev, preview, prod or custom `TYPE` (default: of the deployment)")
		switch c.Name() {
		case "list":
			c.Flags().BoolVar(&o.show, "show", false, "show the values")
		case "set":
			o.registerInput(c)
		}
		cmd.AddCommand(c)
		return c
	}
	add("list", "list the defaults, values masked", "berth env default list --type preview", noArgs, runDefaultList)
	add("get NAME", "print one value", "berth env default get LOG_LEVEL --type prod", oneName, runDefaultGet)
	add("set [NAME [VALUE]] [NAME=VALUE...]", "set defaults", "berth env default set LOG_LEVEL debug --type preview", cobra.ArbitraryArgs, runDefaultSet)
	add("unset NAME...", "remove defaults", "berth env default unset LOG_LEVEL --type preview", cobra.ArbitraryArgs, runDefaultUnset).Aliases = []string{"remove"}
	return cmd
}

// project finds the project and the type of deployment that the defaults are for.
func (o *defaultOptions) project(ctx context.Context) (*backend, convex.TeamAndProject, convex.Type, error) {
	kind := convex.Type(o.kind)
	switch o.kind {
	case "", "dev", "preview", "prod", "custom":
	case "development":
		kind = convex.Dev
	case "production":
		kind = convex.Prod
	default:
		return nil, convex.TeamAndProject{}, "", fault.New(fault.Invalid, "--type %q is no type of deployment", o.kind).WithFix("use dev, preview, prod or custom").WithCode("flag_value_invalid")
	}
	b, err := o.backend.open(ctx)
	if err != nil {
		return nil, convex.TeamAndProject{}, "", err
	}
	fail := func(err error) (*backend, convex.TeamAndProject, convex.Type, error) {
		b.close()
		return nil, convex.TeamAndProject{}, "", err
	}
	if b.Control == nil {
		return fail(fault.New(fault.Unsupported, "a self-hosted deployment belongs to no project, so it has no defaults").WithFix("set its variables with berth env set"))
	}
	project, err := b.Control.TeamAndProject(ctx, b.Name)
	if err != nil {
		return fail(err)
	}
	if kind = cmp.Or(kind, b.Type, convex.Dev); kind == "local" {
		kind = convex.Dev
	}
	o.env.Output().Fact("target", "defaults of %s deployments of %s", kind, project.Project)
	return b, project, kind, nil
}

func (o *defaultOptions) current(ctx context.Context, name string) (*backend, convex.TeamAndProject, convex.Type, map[string]string, error) {
	b, project, kind, err := o.project(ctx)
	if err != nil {
		return nil, project, kind, nil, err
	}
	items, err := b.Control.DefaultVariables(ctx, project.ProjectID, kind, name)
	if err != nil {
		b.close()
		return nil, project, kind, nil, err
	}
	vars := map[string]string{}
	for _, v := range items {
		if len(v.DeploymentTypes) == 0 || slices.Contains(v.DeploymentTypes, kind) {
			vars[v.Name] = v.Value
		}
	}
	return b, project, kind, vars, nil
}

func runDefaultList(ctx context.Context, o *defaultOptions, _ []string) error {
	b, _, _, vars, err := o.current(ctx, "")
	if err != nil {
		return err
	}
	defer b.close()
	return printMasked(o.env, vars, o.show, "no defaults are set")
}

func runDefaultGet(ctx context.Context, o *defaultOptions, args []string) error {
	b, _, kind, vars, err := o.current(ctx, args[0])
	if err != nil {
		return err
	}
	defer b.close()
	value, ok := vars[args[0]]
	if !ok {
		return fault.New(fault.NotFound, "%s deployments have no default for %s", kind, args[0]).WithFix("berth env default list --type %s shows the names", kind).WithCode("variable_not_found")
	}
	return o.env.Output().Result(maskedVariable{args[0], &value}, func(p *Printer) { p.Line("%s", value) })
}

func runDefaultSet(ctx context.Context, o *defaultOptions, args []string) error {
	values, err := o.values(args)
	if err != nil {
		return err
	}
	return o.update(ctx, additions(values))
}

func runDefaultUnset(ctx context.Context, o *defaultOptions, names []string) error {
	changes, err := removals("berth env default unset", names)
	if err != nil {
		return err
	}
	return o.update(ctx, changes)
}

func (o *defaultOptions) update(ctx context.Context, changes map[string]*string) error {
	b, project, kind, err := o.project(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	view := changesView{Deployment: string(kind) + " (defaults)", Set: []string{}, Removed: []string{}, Unchanged: []string{}, DryRun: o.env.DryRun()}
	var send []convex.DefaultChange
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		if changes[name] == nil {
			view.Removed = append(view.Removed, name)
		} else {
			view.Set = append(view.Set, name)
		}
		send = append(send, convex.DefaultChange{Name: name, DeploymentType: kind, Value: changes[name]})
	}
	if !o.env.DryRun() {
		if err := b.Control.UpdateDefaultVariables(ctx, project.ProjectID, send); err != nil {
			return err
		}
	}
	o.summary(view)
	return o.env.Output().Result(view, func(*Printer) {})
}
