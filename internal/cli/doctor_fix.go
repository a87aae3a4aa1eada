package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/doctor"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
)

// remedy is one way to mend findings. A remedy may mend several at once, so it
// is asked for and done once in a run.
type remedy struct {
	question string // begins with a verb: "Rename the keys?"
	codes    []string
	do       func(context.Context, *doctorOptions, *project.App) (done string, err error)
}

// remedies in the order in which they are done: convex.json first, for the
// others act on what it says. Each does what an existing command does.
var remedies = []remedy{
	{"Rename the keys in convex.json to those that are read?", []string{project.CodeUnknownKey}, renameKeys},
	{"Register what convex.json asks for, as berth apply does?", []string{"redirect-uri-not-registered", "cors-origin-not-allowed", "homepage-missing"}, applyConfig},
	{"Write the missing variables to .env.local, as berth dev --once does?", []string{"client-id-missing", "cookie-password-missing", "redirect-uri-variable-missing"}, writeVariables},
	{"Add .env.local to .gitignore?", []string{"env-file-not-ignored"}, ignoreEnv},
}

func remedyOf(code string) *remedy {
	i := slices.IndexFunc(remedies, func(r remedy) bool { return slices.Contains(r.codes, code) })
	if i < 0 {
		return nil
	}
	return &remedies[i]
}

// attach gives findings the functions that mend them.
func (o *doctorOptions) attach(app *project.App, found []doctor.Finding) {
	for i, f := range found {
		if r := remedyOf(f.Code); r != nil && doctor.Explain(f.Code).Fixable && (f.Code != project.CodeUnknownKey || strings.HasPrefix(f.Fix, "rename")) {
			found[i].Repair = func(ctx context.Context) (string, error) { return r.do(ctx, o, app) }
		}
	}
}

// repair mends what can be mended, each remedy after asking, and looks again.
// What a remedy did not mend is among the rest.
func (o *doctorOptions) repair(ctx context.Context, app *project.App, found []doctor.Finding) (fixed []string, rest []doctor.Finding, err error) {
	out := o.env.Output()
	for i := range remedies {
		r := &remedies[i]
		at := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.Repair != nil && remedyOf(f.Code) == r })
		if at < 0 {
			continue
		}
		for _, f := range found {
			if f.Repair != nil && remedyOf(f.Code) == r {
				newDiagnosis(f).print(out.Printer, 0)
			}
		}
		if o.env.DryRun() {
			out.Line("dry run, so it is not done: %s", r.question)
			continue
		}
		if err := out.Confirm(ctx, r.question); err != nil {
			return fixed, nil, err
		}
		done, err := found[at].Repair(ctx)
		if err != nil {
			return fixed, nil, err
		}
		out.OK("%s", done)
		fixed = append(fixed, done)
	}
	if len(fixed) == 0 {
		return nil, found, nil
	}
	_, rest, err = o.examine(ctx, app)
	return fixed, rest, err
}

// renameKeys gives keys of convex.json that nothing reads the names that were
// meant. Every other byte stays.
func renameKeys(_ context.Context, _ *doctorOptions, app *project.App) (string, error) {
	change, renamed, err := app.RenameKeys()
	if err != nil {
		return "", err
	}
	if len(renamed) == 0 {
		return "", fault.New(fault.Conflict, "no key of %s can be renamed: the names that are meant are taken", app.Rel(app.ConfigPath)).WithFix("join the two keys by hand")
	}
	if _, err := app.Apply([]project.FileChange{change}); err != nil {
		return "", err
	}
	return "renamed in " + app.Rel(app.ConfigPath) + ": " + strings.Join(renamed, ", "), nil
}

// acting is the target of the examination, for a command that writes.
func (o *doctorOptions) acting(kind string) *targetFlags {
	t := &o.target
	return &targetFlags{env: o.env, kind: kind, branch: t.branch, urls: t.urls, prodBranch: t.prodBranch, placement: t.placement, project: t.project,
		lifetime: t.lifetime, port: t.port, configured: true}
}

// applyConfig does what berth apply does.
func applyConfig(ctx context.Context, o *doctorOptions, _ *project.App) (string, error) {
	return o.provision(ctx, o.acting(o.target.kind))
}

// writeVariables does what berth dev --once does.
func writeVariables(ctx context.Context, o *doctorOptions, _ *project.App) (string, error) {
	return o.provision(ctx, o.acting("dev"))
}

// provision applies the plan of a deployment, after it was shown.
func (o *doctorOptions) provision(ctx context.Context, t *targetFlags) (string, error) {
	s, err := t.open(ctx, true)
	if err != nil {
		return "", err
	}
	defer s.close()
	p, err := s.prepare(ctx)
	switch {
	case err != nil:
		return "", err
	case p.Idle != "":
		return "", fault.New(fault.Invalid, "%s", p.Idle).WithFix("berth init --add-missing adds one")
	case p.Refused() != nil:
		return "", p.Refused()
	}
	s.show(p.Plan)
	if _, err := s.apply(ctx, p); err != nil {
		return "", err
	}
	if p.Plan.Empty() {
		return "nothing was left to change in " + s.req.Title(), nil
	}
	return s.req.Title() + " is as convex.json says", nil
}

// ignoreEnv keeps .env.local out of Git, as berth init does.
func ignoreEnv(ctx context.Context, _ *doctorOptions, app *project.App) (string, error) {
	changes, _, err := withGitignore(ctx, app, nil)
	if err != nil {
		return "", err
	}
	written, err := app.Apply(changes)
	if err != nil {
		return "", err
	}
	names := make([]string, len(written))
	for i, path := range written {
		names[i] = app.Rel(path)
	}
	return "added .env.local to " + strings.Join(names, ", "), nil
}
