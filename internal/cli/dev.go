package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
)

type devOptions struct {
	env     *Env
	target  targetFlags
	once    bool
	noFiles bool
	command []string
}

func newDevCommand(env *Env) *cobra.Command {
	o := &devOptions{env: env, target: targetFlags{env: env, configured: true}}
	cmd := &cobra.Command{
		Use:   "dev [-- command]",
		Short: "sign-in for this checkout, then your dev server",
		Long: `Gives this checkout its own auth environment, configures it for the port that
your web server really has, writes .env.local, and runs the command. While the
command runs, a moved port is followed. Values that you set yourself are kept.`,
		Example: `berth dev -- npm run dev	configure, then run the dev server
berth dev --once	configure and stop`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := afterDash(cmd, args); err != nil {
				return err
			}
			o.command = args
			return runDev(cmd.Context(), o)
		},
	}
	o.target.register(cmd)
	cmd.Flags().BoolVar(&o.once, "once", false, "configure and stop, run no command")
	cmd.Flags().BoolVar(&o.noFiles, "no-files", false, "leave .env.local as it is")
	return cmd
}

func runDev(ctx context.Context, o *devOptions) error {
	if o.once && len(o.command) > 0 {
		return fault.New(fault.Invalid, "--once runs no command, but one was given").WithFix("leave out either --once or the command")
	}
	o.target.kind = "dev"
	s, err := o.target.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	s.req.NoFiles = o.noFiles
	p, done, err := o.configure(ctx, s)
	if err != nil {
		return err
	}
	out := o.env.Output()
	if o.env.DryRun() {
		return s.dryRun(p)
	}
	if done != nil {
		s.summary(p, done)
	}
	view := s.view(p, done)
	if len(o.command) > 0 {
		if o.env.JSON() {
			if err := out.Result(view, nil); err != nil { // the command may run for hours
				return err
			}
		}
		return o.run(ctx, s, done)
	}
	if !o.once && done != nil {
		out.Line("  now start your dev server, or let Berth do it: berth dev -- %s", strings.Join(s.app.PackageManager.Run("dev"), " "))
	}
	return out.Result(view, func(*Printer) {})
}

// configure plans and applies; with --dry-run it only plans.
func (o *devOptions) configure(ctx context.Context, s *session) (*provision.Prepared, *provision.Outcome, error) {
	p, err := s.prepare(ctx)
	if err != nil {
		return nil, nil, err
	}
	if p.Idle != "" {
		s.idle(p)
		return p, nil, nil
	}
	if err := p.Refused(); err != nil {
		return nil, nil, err
	}
	s.show(p.Plan)
	if o.env.DryRun() {
		return p, nil, nil
	}
	done, err := s.apply(ctx, p)
	return p, done, err
}

// How often the port of a running dev server is looked at: often while it
// starts, then now and then.
const (
	portSoon  = time.Second
	portLater = 5 * time.Second
	starting  = time.Minute
)

// run starts the command and keeps port and configuration true until it ends.
func (o *devOptions) run(ctx context.Context, s *session, done *provision.Outcome) error {
	var vars []provision.Variable
	if done != nil {
		vars = done.Environment.Variables
	}
	out := o.env.Output()
	out.Step("running %s", strings.Join(o.command, " "))
	cmd := childCommand(ctx, o.env, s.app.WebDir, o.command, append(vars, s.toolVariables(ctx)...))
	if o.env.JSON() {
		cmd.Stdout = o.env.Stderr // stdout is for the result
	}
	if err := cmd.Start(); err != nil {
		return childError(ctx, err, o.command[0])
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	begun := time.Now()
	seen := s.req.RealPort.Number
	for {
		wait := portLater
		if time.Since(begun) < starting {
			wait = portSoon
		}
		select {
		case err := <-ended:
			return childError(ctx, err, o.command[0])
		case <-time.After(wait):
		}
		port, err := s.app.Port(ctx, project.PortQuery{Listeners: project.SystemListeners, RootPID: cmd.Process.Pid, Env: o.env.Lookup})
		if err != nil || port.Source != project.PortListening || port.Number == seen {
			continue // nothing new, or nothing that can be known now
		}
		seen = port.Number
		s.req.Port, s.req.RealPort = port.Number, port
		if err := o.follow(ctx, s); err != nil {
			out.Fail("the configuration could not follow the port to %d: %s", port.Number, fault.From(err).Message)
		}
	}
}

// follow configures again after the port moved.
func (o *devOptions) follow(ctx context.Context, s *session) error {
	out := o.env.Output()
	p, done, err := o.configure(ctx, s)
	if err != nil {
		return err
	}
	if done != nil && done.Changed {
		out.OK("your web server listens on port %d; sign-in follows", s.req.Port)
		if p.RestartNeeded() {
			out.Warn("%s changed: restart the dev server if it does not reload it by itself", s.app.Rel(s.app.EnvPath()))
		}
	}
	return nil
}
