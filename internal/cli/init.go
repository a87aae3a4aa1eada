package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
)

type initOptions struct {
	env        *Env
	framework  string
	port       int
	callback   string
	prodURL    string
	host       string
	algorithm  string
	addMissing bool
}

// frameworkNames are the words of --framework, the usual ones first.
var frameworkNames = []project.FrameworkID{
	project.Vite, project.NextJS, project.TanStackStart, project.SvelteKit, project.ReactRouter,
	project.Remix, project.Expo, project.CreateReactApp, project.Plain,
}

func newInitCommand(env *Env) *cobra.Command {
	o := &initOptions{env: env}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "write the sign-in section of convex.json",
		Long: `Writes what an app needs once: the authKit section of convex.json, convex/auth.config.ts, and .env.local into .gitignore.
It shows the changes and asks first. What is there already stays as it is, and a second run changes nothing.`,
		Example: `berth init	show the changes, ask, write
berth init --dry-run	only show them
berth init --yes --prod-url https://app.example.com	unattended, with production
berth init --add-missing	complete an authKit section that exists`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.framework, "framework", "", "web framework `NAME` (default: from package.json)")
	f.IntVar(&o.port, "port", 0, "port of the dev server `PORT` (default: as configured in the app)")
	f.StringVar(&o.callback, "callback", "", "path of the callback route `PATH` (default: the framework's)")
	f.StringVar(&o.prodURL, "prod-url", "", "address of production `URL`, such as https://app.example.com")
	f.StringVar(&o.host, "host", "", "whose build variables to use, vercel or none `HOST` (default: from the app)")
	f.StringVar(&o.algorithm, "algorithm", "", "what signs access tokens, RS256 or ES256 `NAME` (default: RS256)")
	f.BoolVar(&o.addMissing, "add-missing", false, "add what an existing authKit section lacks")
	_ = cmd.RegisterFlagCompletionFunc("framework", cobra.FixedCompletions(words(frameworkNames), cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
	_ = cmd.RegisterFlagCompletionFunc("host", cobra.FixedCompletions([]string{"vercel", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

// initView is what init did, or would do.
type initView struct {
	App       string           `json:"app"` // absolute path of its root
	Framework string           `json:"framework"`
	Port      int              `json:"port"`
	Changes   []fileChangeView `json:"changes"`
	Notes     []string         `json:"notes"`
	Findings  []findingView    `json:"findings"`
	Written   bool             `json:"written"`
	Next      string           `json:"next"`
}

// fileChangeView is one file of a change.
type fileChangeView struct {
	Path   string `json:"path"`   // relative to the app's root
	Action string `json:"action"` // create or update
	Diff   string `json:"diff"`
}

// findingView is something to look at in the app folder.
type findingView struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

func runInit(ctx context.Context, o *initOptions) error {
	out := o.env.Output()
	app, err := o.findApp()
	if err != nil {
		return err
	}
	port, where, err := o.findPort(ctx, app)
	if err != nil {
		return err
	}
	out.Fact("App", "%s (%s)", app.Root, app.Framework.Name)
	out.Fact("Port", "%d (%s)", port, where)
	plan, err := app.InitPlan(project.InitOptions{Port: port, CallbackPath: o.callback, ProdURL: o.prodURL, Host: o.host, Algorithm: o.algorithm, AddMissing: o.addMissing})
	if err != nil {
		return err
	}
	v := initView{App: app.Root, Framework: string(app.Framework.ID), Port: port,
		Changes: []fileChangeView{}, Notes: slices.Concat([]string{}, plan.Notes), Findings: []findingView{}, Next: "berth dev"}
	changes, findings, err := withGitignore(ctx, app, plan.Changes)
	if err != nil {
		return err
	}
	for _, f := range findings {
		v.Findings = append(v.Findings, findingView{f.Code, f.Message, f.Fix})
	}
	for _, c := range changes {
		v.Changes = append(v.Changes, viewOf(app, c))
	}
	o.show(out, &v)
	switch {
	case len(changes) == 0:
		out.OK("Nothing to change")
	case o.env.DryRun():
		out.Line("Dry run: nothing was written.")
	default:
		if err := out.Confirm(ctx, "Write "+counted(len(changes), "file")+"?"); err != nil {
			return err
		}
		if _, err := app.Apply(changes); err != nil {
			return err
		}
		v.Written = true
		for _, c := range v.Changes {
			out.OK("Wrote %s", c.Path)
		}
	}
	return out.Result(v, func(p *Printer) {
		if !o.env.DryRun() {
			p.Line("Next: %s", p.Bold(nextStep(app)))
		}
	})
}

// findApp finds the app, or refuses a folder that shows no sign of being one.
func (o *initOptions) findApp() (*project.App, error) {
	app, err := project.Find(o.env.App())
	if err != nil {
		return nil, err
	}
	if o.framework == "" {
		if !app.HasConfig && app.Framework.ID == project.Plain && len(app.Dependencies) == 0 && len(app.Scripts) == 0 {
			return nil, fault.New(fault.NotFound, "%s holds no app: no package.json and no convex.json", app.Root).WithCode("app-missing").
				WithFix("run berth init in the folder of an app, or pass --app DIR; --framework plain sets up this folder as it is")
		}
		return app, nil
	}
	f, ok := project.FrameworkByID(project.FrameworkID(o.framework))
	if !ok {
		return nil, fault.New(fault.Invalid, "the framework %q is not known", o.framework).WithCode("framework-unknown").
			WithFix("use one of %s", strings.Join(words(frameworkNames), ", "))
	}
	app.Framework = f
	return app, nil
}

// findPort is the port that convex.json should name: what the app is configured
// for. What happens to listen now may be a server that moved out of the way.
func (o *initOptions) findPort(ctx context.Context, app *project.App) (port int, where string, err error) {
	if o.port != 0 {
		return o.port, "--port", nil
	}
	p, err := app.Port(ctx, project.PortQuery{Env: o.env.Lookup})
	if err != nil {
		return 0, "", err
	}
	if p.Source == project.PortDefault {
		return p.Number, "usual for " + app.Framework.Name, nil
	}
	return p.Number, p.Where, nil
}

// withGitignore adds the edits that keep the files with credentials out of Git
// (R48).
func withGitignore(ctx context.Context, app *project.App, changes []project.FileChange) ([]project.FileChange, []project.Finding, error) {
	var findings []project.Finding
	for _, name := range slices.Compact([]string{app.EnvPath(), app.BackendEnvPath()}) {
		change, needed, finding, err := app.GitignoreChange(ctx, project.RunGit, name)
		if err != nil {
			return nil, nil, err
		}
		if finding != nil {
			findings = append(findings, *finding)
		}
		// Both env files may need the same line of the same .gitignore.
		same := func(c project.FileChange) bool { return c.Path == change.Path }
		if needed && !slices.ContainsFunc(changes, same) {
			changes = append(changes, change)
		}
	}
	return changes, findings, nil
}

func viewOf(app *project.App, c project.FileChange) fileChangeView {
	v := fileChangeView{Path: app.Rel(c.Path), Action: "update"}
	if c.Before == nil {
		v.Action = "create"
	}
	if !c.Secret {
		v.Diff = diff(string(c.Before), string(c.After))
	}
	return v
}

func (o *initOptions) show(out *Output, v *initView) {
	for _, c := range v.Changes {
		out.Line("")
		out.Line("%s %s", out.Bold(c.Path), out.Dim("("+c.Action+")"))
		for line := range strings.Lines(c.Diff) {
			line = strings.TrimRight(line, "\r\n")
			switch {
			case strings.HasPrefix(line, "+"):
				line = out.Green(line)
			case strings.HasPrefix(line, "-"):
				line = out.Red(line)
			default:
				line = out.Dim(line)
			}
			out.Line("  %s", line)
		}
	}
	if len(v.Changes) > 0 {
		out.Line("")
	}
	for _, n := range v.Notes {
		out.Step("%s", n)
	}
	for _, f := range v.Findings {
		out.Warn("%s", f.Message)
		if f.Fix != "" {
			out.Line("  %s %s", out.Bold("fix:"), f.Fix)
		}
	}
}

// nextStep is the command that follows, with the app's own dev server.
func nextStep(app *project.App) string {
	if app.Scripts["dev"] == "" {
		return "berth dev"
	}
	return "berth dev -- " + strings.Join(app.PackageManager.Run("dev"), " ")
}
