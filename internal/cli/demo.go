package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/demo"
	"github.com/berthdev/berth/internal/fault"
)

type demoOptions struct {
	env  *Env
	keep bool
}

func newDemoCommand(env *Env) *cobra.Command {
	o := &demoOptions{env: env}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "watch five deployments sign in, offline",
		Long: `Starts a server with a temporary database, deploys an example app five times
(dev, three preview branches at once, production), signs a test user in to each
through the hosted page, shows the tokens to the backends, and deletes a branch.
It needs no account and no network, touches nothing of yours, and leaves nothing.`,
		Example: `berth demo	show it, some seconds long
berth demo --keep	leave it running, with links for your browser`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.keep, "keep", false, "leave server and apps running until Ctrl-C")
	cmd.AddCommand(&cobra.Command{
		Use:    "capture FILE",
		Short:  "the demo's build command: keep the variables that a build gets",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return demo.Capture(env.abs(args[0]), env.Environ())
		},
	})
	return cmd
}

func runDemo(ctx context.Context, o *demoOptions) error {
	out := o.env.Output()
	app, err := examples.App(examples.NextJS)
	if err != nil {
		return err
	}
	if o.env.DryRun() {
		out.Line("Dry run: nothing was started.")
		return nil
	}
	if !filepath.IsAbs(o.env.Exe) {
		return fault.New(fault.Unsupported, "the demo runs this program again and does not know where it is").WithFix("run it by its full path")
	}
	out.Line("%s: one app, five deployments, each with its own sign-in. It needs no account and no network.", out.Bold("Berth demo"))
	out.Line("")
	_, err = demo.Run(ctx, demo.Options{
		Exe: o.env.Exe, Environ: o.env.Environ(), App: app, AppName: examples.NextJS, TempDir: os.TempDir(), Keep: o.keep, Now: o.env.Now,
		Progress: &demoProgress{out}, Show: func(r *demo.Result) error { return o.show(out, r) },
	})
	if err == nil && o.keep {
		out.Line("")
		out.Line("Stopped; everything the demo made is removed.")
	}
	return err
}

func (o *demoOptions) show(out *Output, r *demo.Result) error {
	out.Line("")
	err := out.Result(r, func(p *Printer) {
		p.Table(demo.Header, r.Table())
		p.Line("")
		for _, line := range r.Summary() {
			p.Line("%s", line)
		}
	})
	if err != nil || !o.keep {
		return err
	}
	out.Line("")
	out.Line("It is still running. Open one of these in your browser:")
	out.Line("")
	for _, l := range r.Links {
		out.Fact(pad(l.Deployment, 18), "%s  %s", out.Bold(l.URL), out.Dim(l.Email))
	}
	out.Line("")
	out.Line("Sign up there, or sign in with the test user of the same line: passwords are in %s.", r.Accounts)
	out.Line("An account of one deployment is unknown in the others. Production takes https only, so it has no link.")
	out.Line("%s ends it.", out.Bold("Ctrl-C"))
	return nil
}

// demoProgress writes a line per step: what happens, then how long it took.
type demoProgress struct{ out *Output }

const demoColumn = 60

func (p *demoProgress) Begin(what string) {
	fmt.Fprintf(p.out.w, "  %s", pad(what, demoColumn))
}

func (p *demoProgress) Done(took time.Duration, outcome string) {
	fmt.Fprintf(p.out.w, " %s %s  %s\n", p.out.Green("✓"), p.out.Dim(fmt.Sprintf("%5.2f s", took.Seconds())), outcome)
}

func (p *demoProgress) Failed(took time.Duration, output string) {
	fmt.Fprintf(p.out.w, " %s %s\n", p.out.Red("✗"), p.out.Dim(fmt.Sprintf("%5.2f s", took.Seconds())))
	for line := range strings.Lines(output) {
		p.out.Line("  %s %s", p.out.Dim("|"), strings.TrimRight(line, "\r\n"))
	}
}
