package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
)

type pruneOptions struct {
	env         *Env
	target      targetFlags
	branches    []string
	deployments []string
	remote      string
}

func newPruneCommand(env *Env) *cobra.Command {
	o := &pruneOptions{env: env, target: targetFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "take back what dead branches left behind",
		Long: `Releases the claims of previews whose branch is gone or whose time is over:
their environments, redirect URIs, origins and variables. It touches only what
Berth made, never production, and nothing that it cannot prove dead.`,
		Example: `berth prune --dry-run	show what would go, and why the rest stays
berth prune --yes	unattended, for a schedule
berth prune --branch feature-a	a branch by name`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.branches, "branch", nil, "release the preview of this branch `NAME` (repeatable)")
	f.StringArrayVar(&o.deployments, "deployment", nil, "release this deployment, as berth status names it `KEY` (repeatable)")
	f.StringVar(&o.remote, "remote", "", "Git remote whose branches are compared `NAME` (default: of this branch)")
	f.StringVar(&o.target.project, "project", "", "name of the project `NAME` (default: of package.json)")
	return cmd
}

type pruneView struct {
	Released []*provision.Removal `json:"released"`
	Kept     []keptView           `json:"kept"`
	DryRun   bool                 `json:"dry_run,omitempty"`
	Pending  []keptView           `json:"pending,omitempty"`
	Orphans  []string             `json:"orphans"`
}

type keptView struct {
	Deployment string `json:"deployment"` // key
	Name       string `json:"name"`       // as people see it
	Reason     string `json:"reason"`
}

func runPrune(ctx context.Context, o *pruneOptions) error {
	app, err := o.target.app()
	if err != nil {
		return err
	}
	out := o.env.Output()
	name := projectSlug(app.Name)
	if o.target.project != "" {
		name = projectSlug(o.target.project)
	}
	out.Fact("project", "%s", out.Bold(name))
	conn, done, err := o.target.connect(ctx, app, provision.Request{}, false)
	if err != nil {
		return err
	}
	defer done()
	out.Fact("server", "%s", conn.Title)
	claims, err := conn.Ledger.Claims(ctx, name)
	if err != nil {
		return err
	}
	if err := o.resolveNames(claims); err != nil {
		return err
	}
	evidence, err := o.evidence(ctx, app, out)
	if err != nil {
		return err
	}
	verdicts := provision.Judge(claims, evidence, o.env.Now())
	view := pruneView{Released: []*provision.Removal{}, Kept: []keptView{}, Orphans: []string{}, DryRun: o.env.DryRun()}
	var dead []provision.Verdict
	for _, v := range verdicts {
		k := keptView{v.Grant.Claim.Deployment, deploymentName(v.Grant.Claim), v.Reason}
		sign := out.Dim("=")
		if v.Dead {
			dead, view.Pending = append(dead, v), append(view.Pending, k)
			sign = out.Red("-")
		} else {
			view.Kept = append(view.Kept, k)
		}
		out.Line("  %s %s  %s", sign, k.Name, out.Dim(v.Reason))
	}
	orphans, err := o.orphans(ctx, conn, &view)
	if err != nil {
		return err
	}
	switch {
	case len(dead)+len(orphans) == 0:
		return out.Result(view, func(p *Printer) { p.Line("nothing to prune") })
	case o.env.DryRun():
		return out.Result(view, func(p *Printer) {
			p.Line("%s would be released; nothing was changed", released(len(dead), len(orphans)))
		})
	}
	if err := out.Confirm(ctx, "Release "+released(len(dead), len(orphans))+"?"); err != nil {
		return err
	}
	view.Pending = nil
	if err := o.release(ctx, conn, dead, &view); err != nil {
		return err
	}
	if err := conn.RemoveOrphans(ctx, orphans); err != nil {
		return err
	}
	return out.Result(view, func(p *Printer) { p.Line("released %s", released(len(view.Released), len(orphans))) })
}

// released names what was, or would be, released.
func released(deployments, orphans int) string {
	var parts []string
	if deployments > 0 || orphans == 0 {
		parts = append(parts, counted(deployments, "deployment"))
	}
	if orphans > 0 {
		parts = append(parts, counted(orphans, "environment")+" of no deployment")
	}
	return strings.Join(parts, " and ")
}

func (o *pruneOptions) release(ctx context.Context, conn *provision.Connection, dead []provision.Verdict, view *pruneView) error {
	out := o.env.Output()
	for _, v := range dead {
		r, err := conn.Release(ctx, v.Grant.Claim.ID)
		if fault.Is(err, fault.NotFound) {
			continue // another run was faster
		}
		if err != nil {
			return err
		}
		view.Released = append(view.Released, r)
		what := "removed " + strings.Join(r.Removed, ", ")
		switch {
		case r.Deleted:
			what = "environment " + r.Environment + " deleted"
		case len(r.Removed) == 0:
			what = "released; nothing had to be removed"
		}
		out.OK("%s: %s", deploymentName(v.Grant.Claim), what)
		for _, l := range r.Left {
			out.Warn("%s stays: %s", l.Name, l.Reason)
		}
	}
	return nil
}

// evidence asks Git which branches exist. A failure proves nothing, and says so.
func (o *pruneOptions) evidence(ctx context.Context, app *project.App, out *Output) (claim.Evidence, error) {
	e := claim.Evidence{Named: map[string]bool{}}
	for _, name := range slices.Concat(o.branches, o.deployments) {
		e.Named[name] = true
	}
	git := host.Git{Run: host.SystemGit(o.env.Environ())}
	info, err := git.Info(ctx, app.Root)
	if err != nil {
		if fault.Is(err, fault.Interrupted) {
			return e, err
		}
		out.Warn("no Git repository here, so no branch can be shown to be gone")
		return e, nil
	}
	remote := o.remote
	if remote == "" {
		remote = info.Remote
	}
	if remote == "" {
		out.Warn("the repository has no remote, so no branch can be shown to be gone")
		return e, nil
	}
	heads, err := git.RemoteBranches(ctx, app.Root, remote)
	if err != nil {
		if fault.Is(err, fault.Interrupted) {
			return e, err
		}
		out.Warn("the branches of %s could not be listed, so none counts as gone: %s", remote, fault.From(err).Message)
		return e, nil
	}
	e.Repository = repositoryName(info.RemoteURL)
	e.Branches = map[string]bool{}
	for _, name := range heads.Names() {
		e.Branches[name] = true
	}
	noun := "branches"
	if heads.Len() == 1 {
		noun = "branch"
	}
	out.Fact("git", "%d %s at %s", heads.Len(), noun, info.RemoteURL)
	return e, nil
}

// resolveNames refuses names that nothing has, because a typing error must not
// look like success, and turns the names that people see into keys.
func (o *pruneOptions) resolveNames(claims []claim.Grant) error {
	for _, name := range o.branches {
		if !slices.ContainsFunc(claims, func(g claim.Grant) bool { return g.Claim.Kind == claim.Preview && g.Claim.Branch == name }) {
			return fault.New(fault.NotFound, "no preview of this project has the branch %q", name).WithFix("berth status lists the deployments").WithCode("unknown_deployment")
		}
	}
	for i, name := range o.deployments {
		at := slices.IndexFunc(claims, func(g claim.Grant) bool { return g.Claim.Deployment == name || deploymentName(g.Claim) == name })
		if at < 0 {
			return fault.New(fault.NotFound, "this project has no deployment %q", name).WithFix("berth status lists the deployments").WithCode("unknown_deployment")
		}
		if claims[at].Claim.Kind == claim.Prod {
			return fault.New(fault.Denied, "%s is production, and production is never pruned", name).WithFix("delete it in the dashboard if you are sure").WithCode("production_is_kept")
		}
		o.deployments[i] = claims[at].Claim.Deployment
	}
	return nil
}

func (o *pruneOptions) orphans(ctx context.Context, conn *provision.Connection, view *pruneView) ([]provision.Orphan, error) {
	list, err := conn.Orphans(ctx)
	for _, orphan := range list {
		view.Orphans = append(view.Orphans, orphan.Name)
		o.env.Output().Line("  %s %s  %s", o.env.Output().Red("-"), orphan.Name, o.env.Output().Dim("no deployment has it"))
	}
	return list, err
}
