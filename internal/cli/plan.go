package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/provision"
)

type planOptions struct {
	env      *Env
	target   targetFlags
	exitCode bool
}

func newPlanCommand(env *Env) *cobra.Command {
	o := &planOptions{env: env, target: targetFlags{env: env, readOnly: true, configured: true}}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "show what would change, change nothing",
		Example: `berth plan	for this checkout
berth plan --kind preview --branch feature-a	for a branch
berth plan --exit-code	2 when changes are pending`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), o) },
	}
	o.target.register(cmd)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 2 when changes are pending")
	return cmd
}

func runPlan(ctx context.Context, o *planOptions) error {
	s, err := o.target.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	out := o.env.Output()
	if p.Idle != "" {
		s.idle(p)
		return out.Result(s.view(p, nil), func(*Printer) {})
	}
	if err := p.Refused(); err != nil {
		return err
	}
	if err := out.Result(s.view(p, nil), func(pr *Printer) { pr.Block(p.Plan.Text(planStyle(pr))) }); err != nil {
		return err
	}
	if o.exitCode && !p.Plan.Empty() {
		return &Exit{exitPending}
	}
	return nil
}

type applyOptions struct {
	env    *Env
	target targetFlags
}

func newApplyCommand(env *Env) *cobra.Command {
	o := &applyOptions{env: env, target: targetFlags{env: env, configured: true}}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "make the environment as convex.json says",
		Example: `berth apply	for this checkout, after a look at the plan
berth apply --yes --kind preview --branch feature-a	unattended`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runApply(cmd.Context(), o) },
	}
	o.target.register(cmd)
	return cmd
}

func runApply(ctx context.Context, o *applyOptions) error {
	s, err := o.target.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	if p.Idle != "" {
		s.idle(p)
		return o.env.Output().Result(s.view(p, nil), func(*Printer) {})
	}
	if err := p.Refused(); err != nil {
		return err
	}
	s.show(p.Plan)
	if o.env.DryRun() {
		return s.dryRun(p)
	}
	if !p.Plan.Empty() {
		if err := o.env.Output().Confirm(ctx, "Apply this?"); err != nil {
			return err
		}
	}
	return s.finish(ctx, p)
}

// finish applies and prints the result.
func (s *session) finish(ctx context.Context, p *provision.Prepared) error {
	done, err := s.apply(ctx, p)
	if err != nil {
		return err
	}
	s.summary(p, done)
	return s.target.env.Output().Result(s.view(p, done), func(*Printer) {})
}
