package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

// runDetached starts a server in the background, or finds the one that runs.
func runDetached(ctx context.Context, o *serveOptions, dir string) error {
	var args []string
	if o.addr != "" {
		args = append(args, "--addr", o.addr)
	}
	if o.publicURL != "" {
		args = append(args, "--public-url", o.publicURL)
	}
	if o.domain != "" {
		args = append(args, "--deployment-domain", o.domain)
	}
	if o.verbose {
		args = append(args, "--verbose")
	}
	if o.quiet {
		args = append(args, "--quiet")
	}
	if o.noLimits {
		args = append(args, "--no-rate-limits")
	}
	for _, network := range o.proxies {
		args = append(args, "--trusted-proxy", network)
	}
	args = append(args, o.mail.args()...)
	local, started, err := ensureServer(ctx, o.env, dir, args)
	if err != nil {
		return err
	}
	out := o.env.Output()
	switch {
	case !started && len(args) > 0:
		out.Warn("a server runs on %s already; it stays as it is (berth serve stop ends it)", dir)
	case !started:
		out.OK("A server runs on %s already", dir)
	case !o.quiet:
		out.OK("Started in the background, process %d", local.PID)
		out.Fact("Data", "%s", dir)
		out.Fact("Log", "%s", logPath(dir))
		out.Fact("Stop", "berth serve stop")
	}
	v := serveView{URL: local.URL, Data: dir, PID: local.PID, Team: local.Team, Log: logPath(dir)}
	return out.Result(v, func(p *Printer) { p.Line("%s", v.URL) })
}

type serveStatusOptions struct{ env *Env }

func newServeStatusCommand(env *Env) *cobra.Command {
	o := &serveStatusOptions{env: env}
	return &cobra.Command{
		Use:   "status",
		Short: "say whether a server runs, and where",
		Long:  "Says whether a server runs on the data folder, and where. The exit code is 1 when none does.",
		Example: `berth serve status	on the usual data folder
berth serve status --json	for scripts`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServeStatus(cmd.Context(), o) },
	}
}

type serveStatusView struct {
	Running      bool   `json:"running"`
	Data         string `json:"data"`
	URL          string `json:"url,omitempty"`
	PID          int    `json:"pid,omitempty"`
	Version      string `json:"version,omitempty"`
	Team         string `json:"team,omitempty"`
	Environments int    `json:"environments"`
}

func runServeStatus(ctx context.Context, o *serveStatusOptions) error {
	dir, err := o.env.DataDir()
	if err != nil {
		return err
	}
	local, err := server.ReadLocal(dir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	v := serveStatusView{Data: dir}
	if me, ok := alive(ctx, local); ok {
		v = serveStatusView{Running: true, Data: dir, URL: local.URL, PID: local.PID, Version: me.Version, Team: me.TeamSlug}
		environments, err := berth.New(local.URL, secret.String(local.Token)).Environments(ctx)
		if err != nil {
			return err
		}
		v.Environments = len(environments)
	}
	err = o.env.Output().Result(v, func(p *Printer) {
		if !v.Running {
			p.Line("No server runs on %s.", v.Data)
			p.Line("Start one with: berth serve --detach")
			return
		}
		p.Fact("Server", "%s", p.Bold(v.URL))
		p.Fact("Data", "%s", v.Data)
		p.Fact("Process", "%d", v.PID)
		p.Fact("Version", "%s", v.Version)
		p.Fact("Holds", "%s of team %s", counted(v.Environments, "environment"), v.Team)
	})
	if err == nil && !v.Running {
		err = &Exit{exitError}
	}
	return err
}

type serveStopOptions struct{ env *Env }

func newServeStopCommand(env *Env) *cobra.Command {
	o := &serveStopOptions{env: env}
	return &cobra.Command{
		Use:   "stop",
		Short: "stop the server of this data folder",
		Long:  "Stops the server that runs on the data folder. Open requests may finish; nothing is lost.",
		Example: `berth serve stop	the usual data folder
berth serve stop --data ./data	another one`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServeStop(cmd.Context(), o) },
	}
}

type serveStopView struct {
	Stopped bool   `json:"stopped"`
	Data    string `json:"data"`
	URL     string `json:"url,omitempty"`
	PID     int    `json:"pid,omitempty"`
}

func runServeStop(ctx context.Context, o *serveStopOptions) error {
	out := o.env.Output()
	dir, err := o.env.DataDir()
	if err != nil {
		return err
	}
	local, err := server.ReadLocal(dir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	v := serveStopView{Data: dir}
	if _, ok := alive(ctx, local); !ok {
		return out.Result(v, func(p *Printer) { p.Line("No server runs on %s.", dir) })
	}
	v.URL, v.PID = local.URL, local.PID
	out.Fact("Server", "%s (process %d)", v.URL, v.PID)
	if o.env.DryRun() {
		return out.Result(v, func(p *Printer) { p.Line("Dry run: it would be stopped.") })
	}
	if err := terminate(v.PID); err != nil {
		return fault.Wrap(err, fault.Denied, "cannot stop process %d", v.PID).WithFix("stop it as the person who started it")
	}
	for deadline := o.env.Now().Add(handOver); ; {
		if _, ok := alive(ctx, local); !ok {
			break
		}
		if o.env.Now().After(deadline) {
			return fault.New(fault.Unavailable, "process %d was told to stop and still answers", v.PID).WithFix("try again, or end it with the tools of your system")
		}
		if err := pause(ctx, handOverPoll); err != nil {
			return err
		}
	}
	// It has closed its port and now closes its files. Where a dead process
	// cannot be told from a living one, two seconds must do.
	for range 20 {
		if !exists(v.PID) {
			break
		}
		if err := pause(ctx, handOverPoll); err != nil {
			return err
		}
	}
	v.Stopped = true
	return out.Result(v, func(p *Printer) { p.Line("Stopped.") })
}

type serveTokenOptions struct {
	env      *Env
	name     string
	platform bool
}

func newServeTokenCommand(env *Env) *cobra.Command {
	o := &serveTokenOptions{env: env}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "make a token for other machines and builds",
		Long: `Makes a team token and prints it, once: the server keeps only its hash.
With --platform it makes WorkOS Platform client credentials instead, for programs that speak that protocol.`,
		Example: `berth serve token --name vercel	then set BERTH_SERVER and BERTH_TOKEN there
export BERTH_TOKEN=$(berth serve token)	only the token is on stdout
berth serve token --platform	client ID and secret`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServeToken(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.name, "name", "", "what the token is for `NAME` (default: the date)")
	cmd.Flags().BoolVar(&o.platform, "platform", false, "client credentials of the Platform API")
	cmd.AddCommand(newServeTokenListCommand(env), newServeTokenRevokeCommand(env))
	return cmd
}

// serveTokenView holds the one secret that a command prints: the person asked
// for it by name, and it cannot be had a second time.
type serveTokenView struct {
	Server       string `json:"server"`
	Name         string `json:"name"`
	TeamID       string `json:"team_id"`
	ID           string `json:"id"`
	Token        string `json:"token,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
}

func runServeToken(ctx context.Context, o *serveTokenOptions) error {
	out := o.env.Output()
	access, err := o.env.FindServer(ctx)
	if err != nil {
		return err
	}
	if access.Token == "" {
		return fault.New(fault.Unauthenticated, "there is no token for %s", access.URL).
			WithFix("set %s to a token of that server; on its own machine `berth serve token` needs none", tokenVar).WithCode("unauthorized")
	}
	name := o.name
	if name == "" {
		name = "made on " + o.env.Now().UTC().Format(time.DateOnly)
	}
	client := berth.New(access.URL, access.Token)
	me, err := client.Me(ctx)
	if err != nil {
		return err
	}
	out.Fact("Server", "%s, team %s", access.URL, me.TeamSlug)
	if o.env.DryRun() {
		return out.Result(serveTokenView{Server: access.URL, Name: name}, func(p *Printer) { p.Line("Dry run: no token was made.") })
	}
	t, err := client.CreateToken(ctx, berth.NewToken{Name: name, Platform: o.platform})
	if err != nil {
		return err
	}
	v := serveTokenView{Server: access.URL, Name: name, TeamID: t.TeamID, ID: t.ID}
	if o.platform {
		v.ClientID, v.ClientSecret = t.ID, t.Value
	} else {
		v.Token = t.Value
		out.Fact("Use", "%s=%s with this token in %s", serverVar, access.URL, tokenVar)
	}
	out.Fact("Note", "shown only now; keep it where secrets are kept")
	return out.Result(v, func(p *Printer) {
		if v.Token != "" {
			p.Line("%s", v.Token)
			return
		}
		p.Line("WORKOS_PLATFORM_CLIENT_ID=%s", v.ClientID)
		p.Line("WORKOS_PLATFORM_CLIENT_SECRET=%s", v.ClientSecret)
		p.Line("WORKOS_PLATFORM_TEAM_ID=%s", v.TeamID)
	})
}
