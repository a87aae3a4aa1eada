package cli

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/joho/godotenv"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
)

type variablesOptions struct {
	env     *Env
	backend backendFlags
	show    bool
	file    string
}

func newEnvCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "environment variables of a Convex deployment",
		Long: `Lists, reads, sets and removes the environment variables of a deployment, on a
Berth server or at Convex. All changes of one command take effect together or not
at all. Values are shown by get, and by list only with --show.`,
		Example: `berth env list	names, values masked
berth env set LOG_LEVEL debug	one value
berth env set API_KEY < key.txt	a secret, not in the shell's history
berth env set --from-file .env.preview --preview feature-a	many at once
berth env default set LOG_LEVEL debug --type preview	for deployments to come`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil },
	}
	list := &variablesOptions{env: env, backend: newBackendFlags(env)}
	l := &cobra.Command{Use: "list", Short: "list the variables, values masked", Example: "berth env list --prod --show", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runEnvList(cmd.Context(), list) }}
	list.backend.register(l)
	l.Flags().BoolVar(&list.show, "show", false, "show the values")

	get := &variablesOptions{env: env, backend: newBackendFlags(env)}
	g := &cobra.Command{Use: "get NAME", Short: "print one value", Example: "berth env get LOG_LEVEL", Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error { return runEnvGet(cmd.Context(), get, args[0]) }}
	get.backend.register(g)

	set := &variablesOptions{env: env, backend: newBackendFlags(env)}
	s := &cobra.Command{Use: "set [NAME [VALUE]] [NAME=VALUE...]", Short: "set variables", Example: `berth env set LOG_LEVEL debug
berth env set API_KEY < key.txt
berth env set A=1 B=2
berth env set --from-file .env.preview`, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runEnvSet(cmd.Context(), set, args) }}
	set.backend.register(s)
	set.registerInput(s)

	unset := &variablesOptions{env: env, backend: newBackendFlags(env)}
	u := &cobra.Command{Use: "unset NAME...", Aliases: []string{"remove"}, Short: "remove variables", Example: "berth env unset LOG_LEVEL", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runEnvUnset(cmd.Context(), unset, args) }}
	unset.backend.register(u)
	cmd.AddCommand(l, g, s, u, newEnvDefaultCommand(env))
	return cmd
}

func (o *variablesOptions) registerInput(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.file, "from-file", "", "read NAME=VALUE lines from a file `FILE` (- for standard input)")
}

func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "%s takes the name of one variable", cmd.CommandPath()).WithFix("for example: %s LOG_LEVEL", cmd.CommandPath()).WithCode("argument_missing")
	}
	return convex.CheckVariable(args[0], "")
}

// open finds the deployment and names it.
func (o *variablesOptions) open(ctx context.Context) (*backend, error) {
	b, err := o.backend.open(ctx)
	if err != nil {
		return nil, err
	}
	o.env.Output().Fact("target", "%s", b.Title)
	return b, nil
}

// maskedVariable is a variable as list shows it.
type maskedVariable struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"` // with --show
}

func runEnvList(ctx context.Context, o *variablesOptions) error {
	b, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	vars, err := b.Deployment.ListVariables(ctx)
	if err != nil {
		return err
	}
	return printMasked(o.env, vars, o.show, "no variables are set")
}

func printMasked(env *Env, vars map[string]string, show bool, none string) error {
	views := []maskedVariable{}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		v := maskedVariable{Name: name}
		if show {
			v.Value = new(vars[name])
		}
		views = append(views, v)
	}
	return env.Output().Result(views, func(p *Printer) {
		if len(views) == 0 {
			p.Line("%s", none)
		}
		for _, v := range views {
			if v.Value == nil {
				p.Line("%s=%s", v.Name, p.Dim("********"))
				continue
			}
			p.Line("%s", dotenvLine(v.Name, *v.Value))
		}
	})
}

// dotenvLine writes a variable so that env set --from-file reads it back.
func dotenvLine(name, value string) string {
	line, err := godotenv.Marshal(map[string]string{name: value})
	if err != nil {
		return name + "=" + value
	}
	return line
}

func runEnvGet(ctx context.Context, o *variablesOptions, name string) error {
	b, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	vars, err := b.Deployment.ListVariables(ctx)
	if err != nil {
		return err
	}
	value, ok := vars[name]
	if !ok {
		return fault.New(fault.NotFound, "%s has no variable %s", b.Title, name).WithFix("berth env list shows the names").WithCode("variable_not_found")
	}
	return o.env.Output().Result(maskedVariable{name, &value}, func(p *Printer) { p.Line("%s", value) })
}

// changesView is the result of set and unset.
type changesView struct {
	Deployment string   `json:"deployment"`
	Set        []string `json:"set"`
	Removed    []string `json:"removed"`
	Unchanged  []string `json:"unchanged"`
	DryRun     bool     `json:"dry_run,omitempty"`
}

func runEnvSet(ctx context.Context, o *variablesOptions, args []string) error {
	values, err := o.values(args)
	if err != nil {
		return err
	}
	return o.change(ctx, additions(values))
}

func runEnvUnset(ctx context.Context, o *variablesOptions, names []string) error {
	changes, err := removals("berth env unset", names)
	if err != nil {
		return err
	}
	return o.change(ctx, changes)
}

// additions are the changes that give variables their values.
func additions(values map[string]string) map[string]*string {
	changes := map[string]*string{}
	for name, value := range values {
		changes[name] = &value
	}
	return changes
}

// removals are the changes that take the named variables away.
func removals(command string, names []string) (map[string]*string, error) {
	if len(names) == 0 {
		return nil, fault.New(fault.Invalid, "%s takes the names of variables", command).WithFix("for example: %s LOG_LEVEL", command).WithCode("argument_missing")
	}
	changes := map[string]*string{}
	for _, name := range names {
		if err := convex.CheckVariable(name, ""); err != nil {
			return nil, err
		}
		changes[name] = nil
	}
	return changes, nil
}

// change sends what differs from what is there. A key that may write and not
// read sends everything.
func (o *variablesOptions) change(ctx context.Context, changes map[string]*string) error {
	b, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	out := o.env.Output()
	view := changesView{Deployment: b.Name, Set: []string{}, Removed: []string{}, Unchanged: []string{}, DryRun: o.env.DryRun()}
	have, err := b.Deployment.ListVariables(ctx)
	known := err == nil
	if fault.Is(err, fault.Denied) {
		out.Warn("%s; everything is sent", fault.From(err).Message)
	} else if err != nil {
		return err
	}
	var send []convex.VariableChange
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		value := changes[name]
		before, there := have[name]
		switch {
		case known && value == nil && !there, known && value != nil && there && before == *value:
			view.Unchanged = append(view.Unchanged, name)
			continue
		case value == nil:
			view.Removed = append(view.Removed, name)
		default:
			view.Set = append(view.Set, name)
		}
		send = append(send, convex.VariableChange{Name: name, Value: value})
	}
	if !o.env.DryRun() {
		if err := b.Deployment.UpdateVariables(ctx, send); err != nil {
			return explainVariables(err)
		}
	}
	o.summary(view)
	return out.Result(view, func(*Printer) {})
}

func (o *variablesOptions) summary(v changesView) {
	out, verb := o.env.Output(), map[bool][2]string{false: {"set", "removed"}, true: {"would set", "would remove"}}[v.DryRun]
	if len(v.Set) > 0 {
		out.OK("%s %s", verb[0], strings.Join(v.Set, ", "))
	}
	if len(v.Removed) > 0 {
		out.OK("%s %s", verb[1], strings.Join(v.Removed, ", "))
	}
	if len(v.Unchanged) > 0 {
		out.Step("already so: %s", strings.Join(v.Unchanged, ", "))
	}
}

// explainVariables adds the next step to a refusal of the deployment.
func explainVariables(err error) error {
	f := fault.From(err)
	switch fault.Code(err) {
	case convex.CodeAuthConfigVariable, convex.CodeInvalidAuthConfig:
		return f.WithFix("auth.config reads this variable: push one that does not before the variable goes, or set another value")
	case convex.CodeRequiredVariable:
		return f.WithFix("convex.config declares this variable as required: push one that does not first")
	case convex.CodeTooManyVariables, convex.CodeVariablesTooLarge:
		return f.WithFix("remove variables that are not needed: berth env list shows them")
	}
	return err
}

// values reads the values of set: NAME VALUE, NAME=VALUE words, NAME with the
// value on standard input, or a file of lines.
func (o *variablesOptions) values(args []string) (map[string]string, error) {
	values := map[string]string{}
	switch {
	case o.file != "" && len(args) > 0:
		return nil, fault.New(fault.Invalid, "values come from --from-file or from arguments, not from both").WithFix("leave out one of them")
	case o.file != "":
		text, err := o.read(o.file)
		if err != nil {
			return nil, err
		}
		if values, err = godotenv.Unmarshal(string(text)); err != nil { // the error may quote a value
			return nil, fault.New(fault.Invalid, "%s is not a list of NAME=VALUE lines", o.file).WithFix("quote values that hold spaces or #").WithCode("variables_malformed")
		}
	case len(args) == 2 && !strings.Contains(args[0], "="):
		values[args[0]] = args[1]
	case len(args) == 1 && !strings.Contains(args[0], "="):
		text, err := o.read("-")
		if err != nil {
			return nil, err
		}
		values[args[0]] = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	default:
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if !ok {
				return nil, fault.New(fault.Invalid, "%q is not of the form NAME=VALUE", arg).WithFix("write NAME VALUE for one variable, NAME=VALUE for each of several").WithCode("argument_unknown")
			}
			values[name] = value
		}
	}
	if len(values) == 0 {
		return nil, fault.New(fault.Invalid, "no variable was given").WithFix("for example: berth env set LOG_LEVEL debug").WithCode("argument_missing")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := convex.CheckVariable(name, values[name]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// maxInput bounds what is read for values.
const maxInput = 4 << 20

func (o *variablesOptions) read(path string) ([]byte, error) {
	if path == "-" {
		if f, ok := o.env.Stdin.(*os.File); ok && o.env.Interactive && f != nil {
			o.env.Output().Step("reading the value from standard input; end it with Ctrl-D")
		}
		data, err := io.ReadAll(io.LimitReader(o.env.Stdin, maxInput))
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "cannot read standard input: %v", err)
		}
		return data, nil
	}
	f, err := os.Open(o.env.abs(path))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot read %s: %v", path, err).WithFix("check the name of the file")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxInput))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot read %s: %v", path, err)
	}
	return data, nil
}
