package cli

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/provision"
)

type deployOptions struct {
	env     *Env
	target  targetFlags
	command []string
	verify  bool
	email   string // of --verify-as
}

func newDeployCommand(env *Env) *cobra.Command {
	o := &deployOptions{env: env, target: targetFlags{env: env, configured: true}}
	cmd := &cobra.Command{
		Use:   "deploy [-- build command]",
		Short: "in a build: sign-in for this branch, then the build command",
		Long: `Gives the branch that is being built its own auth environment, registers every
address at which a reviewer may open it, sets the deployment's variables, and
runs the build command with the environment's credentials in its environment.
Running it again changes nothing.

With --verify it proves afterwards that people can sign in, as berth verify does: a
broken leg fails the build with exit code 2. Production is only looked at, unless
--verify-as names who signs in there.`,
		Example: `berth deploy -- npm run build	as the build command of the host
berth deploy --verify -- npm run build	and fail when nobody can sign in
berth deploy --kind preview --branch feature-a --url https://a.example.com	outside a known host`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := afterDash(cmd, args); err != nil {
				return err
			}
			o.command = args
			return runDeploy(cmd.Context(), o)
		},
	}
	o.target.register(cmd)
	cmd.Flags().BoolVar(&o.verify, "verify", false, "after the build, prove that people can sign in")
	cmd.Flags().StringVar(&o.email, "verify-as", "", "with --verify, the account of the accounts file that signs in, in production too `EMAIL`")
	return cmd
}

// afterDash refuses words that are not behind "--": they would be taken for
// the command although a flag was meant.
func afterDash(cmd *cobra.Command, args []string) error {
	if n := cmd.ArgsLenAtDash(); len(args) > 0 && n != 0 {
		return fault.New(fault.Invalid, "%s takes its command after --, got %q", cmd.CommandPath(), args[0]).
			WithFix("write: %s -- %s", cmd.CommandPath(), strings.Join(args, " ")).WithCode("argument_unknown")
	}
	return nil
}

// acceptDeploy refuses what is no deploy of a branch or of production.
func (o *deployOptions) acceptDeploy(r provision.Request) error {
	if r.Kind == claim.Dev {
		return Resume(fault.New(fault.NeedsPerson, "this is no build of a known host, so it is not clear what is deployed").
			WithFix("pass --kind preview --branch NAME --url URL, or --kind prod --url URL; for this checkout use berth dev").WithCode("kind_unknown"),
			o.env.again("--kind preview --branch NAME --url URL"))
	}
	if r.Build.Closed {
		return fault.New(fault.Conflict, "the pull request is closed, so nothing is deployed for it").WithFix("run berth prune instead").WithCode("pull_request_closed")
	}
	return nil
}

func runDeploy(ctx context.Context, o *deployOptions) error {
	o.verify = o.verify || o.email != ""
	o.target.accept = o.acceptDeploy
	s, err := o.target.open(ctx, false)
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
		if o.env.DryRun() {
			return s.dryRun(p)
		}
		return o.build(ctx, s.view(p, nil), s, nil)
	}
	if err := p.Refused(); err != nil {
		return err
	}
	s.show(p.Plan)
	if o.env.DryRun() {
		return s.dryRun(p)
	}
	done, err := s.apply(ctx, p)
	if err != nil {
		return err
	}
	s.summary(p, done)
	view := s.view(p, done)
	view.HandOver = o.handOver(s)
	return o.build(ctx, view, s, done.Environment.Variables)
}

// handOver says how the values get from this build to the app, and what does
// not arrive.
func (o *deployOptions) handOver(s *session) string {
	out, hand := o.env.Output(), host.HandOverFor(s.req.Build.Host, string(frameworkOf(s)))
	if s.req.Build.Host == host.None {
		hand.Sentence, hand.Advice = "The build command gets the values; .env.local is left as it is.", ""
	}
	if s.conn.Given != nil {
		hand.Advice = "" // it is to set credentials, and they are set
	}
	if hand.Complete {
		out.Step("%s", hand.Sentence)
	} else {
		out.Warn("%s", hand.Sentence)
	}
	if hand.Advice != "" {
		out.Line("  %s", hand.Advice)
	}
	return hand.Sentence
}

// frameworkOf translates the framework's word for package host.
func frameworkOf(s *session) string {
	id := string(s.app.Framework.ID)
	if id == "nextjs" {
		return host.FrameworkNext
	}
	return id
}

// build runs the build command, proves the sign-in when that is wanted, and
// answers. The exit code of a command that failed is passed on.
func (o *deployOptions) build(ctx context.Context, view applyView, s *session, vars []provision.Variable) error {
	err := o.runBuild(ctx, &view, s, vars)
	if err == nil && o.verify && view.Idle == "" {
		err = o.prove(ctx, &view, s)
	}
	if _, said := errors.AsType[*Exit](err); err != nil && !said {
		return err
	}
	return errors.Join(err, o.env.Output().Result(view, func(*Printer) {}))
}

// runBuild runs the build command, if any, with the environment's variables
// added. What was set for the command before gives way: it gets what was
// configured.
func (o *deployOptions) runBuild(ctx context.Context, view *applyView, s *session, vars []provision.Variable) error {
	if len(o.command) == 0 {
		return nil
	}
	out := o.env.Output()
	out.Step("running %s", strings.Join(o.command, " "))
	cmd := childCommand(ctx, o.env, s.app.WebDir, o.command, append(vars, s.toolVariables(ctx)...))
	if o.env.JSON() {
		cmd.Stdout = o.env.Stderr // stdout is for the result
	}
	err := childError(ctx, cmd.Run(), o.command[0])
	exit, failed := errors.AsType[*Exit](err)
	switch {
	case failed:
		view.Build = &buildView{exit.Code}
		out.Fail("%s ended with exit code %d", o.command[0], exit.Code)
	case err == nil:
		view.Build = &buildView{}
	}
	return err
}

// prove signs somebody in to what was deployed. In production nobody is, unless
// --verify-as says who.
func (o *deployOptions) prove(ctx context.Context, view *applyView, s *session) error {
	out := o.env.Output()
	out.Step("verifying the sign-in")
	v := &verifyOptions{env: o.env, email: o.email, signIn: o.email != ""}
	proof, err := v.prove(ctx, s)
	if err != nil {
		return err
	}
	view.Verify = &proof
	proof.print(out.Printer)
	return proof.verdict()
}

// childCommand prepares a child process with Berth's variables over the process's own.
func childCommand(ctx context.Context, env *Env, dir string, command []string, vars []provision.Variable) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, env.Stdin, env.Stdout, env.Stderr
	if dir != env.Dir && env.flags.app == "" {
		cmd.Dir = env.Dir // where the person stands
	}
	ours := map[string]bool{}
	for _, v := range vars {
		ours[v.Name] = true
	}
	for _, kv := range env.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !ours[name] {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	for _, v := range vars {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value.Reveal())
	}
	interruptGroup(cmd)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// childError passes on the exit code of a child.
func childError(ctx context.Context, err error, name string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fault.Wrap(err, fault.Interrupted, "interrupted while %s was running", name).WithFix("run the same command again: it goes on where it stopped")
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &Exit{exit.ExitCode()}
	}
	if _, started := errors.AsType[*exec.ExitError](err); started {
		return fault.Wrap(err, fault.Unavailable, "%s was stopped: %v", name, err).WithFix("see what it printed last; the system ends programs that run out of memory")
	}
	return fault.Wrap(err, fault.Invalid, "cannot run %s: %v", name, err).WithFix("check the command after --")
}
