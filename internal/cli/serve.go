package cli

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

// defaultAddr is where a server listens when nobody says otherwise. It is open
// to this machine only.
const defaultAddr = "127.0.0.1:4747"

type serveOptions struct {
	env       *Env
	addr      string // "" when the person gave none
	publicURL string
	domain    string // of embedded deployments
	quiet     bool
	verbose   bool
	detach    bool
	noLimits  bool
	proxies   []string // networks
	mail      mailFlags
}

func newServeCommand(env *Env) *cobra.Command {
	o := &serveOptions{env: env}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the Berth server",
		Long: `Runs the Berth server: sign-in environments, hosted pages and the ledger of claims, in one process with one data folder.
Commands on this machine find it by themselves; others need BERTH_SERVER and BERTH_TOKEN.`,
		Example: `berth serve	here, until Ctrl-C
berth serve --detach	in the background
berth serve token --name ci	a token for another machine or a build
berth serve --addr :8080 --public-url https://auth.example.com	for a team, behind a TLS proxy`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.addr, "addr", "", "where to listen `HOST:PORT` (default: "+defaultAddr+", or the port of last time)")
	f.StringVar(&o.publicURL, "public-url", "", "address under which clients reach the server `URL`")
	f.StringVar(&o.domain, "deployment-domain", "", "domain whose subdomains lead here: deployments are NAME.`DOMAIN` instead of ports of this machine")
	f.BoolVar(&o.detach, "detach", false, "run in the background, with a log file in the data folder")
	f.StringSliceVar(&o.proxies, "trusted-proxy", nil, "network of a reverse proxy whose X-Forwarded-For is believed `CIDR`; repeatable")
	o.mail.register(f)
	f.BoolVar(&o.noLimits, "no-rate-limits", false, "for load tests: answer however many requests, on this machine only")
	f.BoolVar(&o.quiet, "quiet", false, "print warnings and errors only")
	f.BoolVar(&o.verbose, "verbose", false, "log more")
	cmd.AddCommand(newServeStatusCommand(env), newServeTokenCommand(env), newServeStopCommand(env))
	return cmd
}

// serveView says what was started.
type serveView struct {
	URL  string `json:"url"`
	Data string `json:"data"`
	PID  int    `json:"pid"`
	Team string `json:"team"`
	Log  string `json:"log,omitempty"` // of a server in the background
}

func runServe(ctx context.Context, o *serveOptions) error {
	out := o.env.Output()
	if err := o.mail.check(); err != nil {
		return err
	}
	dir, err := o.env.DataDir()
	if err != nil {
		return err
	}
	if o.env.DryRun() {
		out.Fact("Data", "%s", dir)
		return out.Result(serveView{Data: dir}, func(p *Printer) { p.Line("Dry run: no server was started.") })
	}
	if o.detach {
		return runDetached(ctx, o, dir)
	}
	s, err := o.open(ctx, dir)
	if err != nil {
		return err
	}
	local, err := s.Announce(ctx)
	if err != nil {
		s.Close()
		return err
	}
	if o.env.JSON() {
		err := out.Result(serveView{URL: local.URL, Data: dir, PID: local.PID, Team: local.Team}, nil)
		if err != nil {
			s.Close()
			return err
		}
	}
	if !o.quiet {
		o.welcome(out, local, dir)
	}
	stopTrimming := trimMemory()
	defer stopTrimming()
	if err := s.Run(ctx); err != nil {
		return err
	}
	if !o.quiet {
		out.Line("Stopped.")
	}
	return nil
}

func (o *serveOptions) welcome(out *Output, local server.Local, dir string) {
	out.Fact("Server", "%s", out.Bold(local.URL))
	out.Fact("Data", "%s", dir)
	out.Fact("Use", "berth dev, in the folder of an app; commands on this machine find the server")
	out.Fact("", "elsewhere: set %s=%s and %s (berth serve token)", serverVar, local.URL, tokenVar)
	if host, _, err := net.SplitHostPort(o.addr); err == nil && !isLoopback(host) && o.publicURL == "" {
		out.Warn("%s is open to other machines over plain HTTP; put a TLS proxy in front and give its address with --public-url", o.addr)
	}
	if u, err := url.Parse(o.publicURL); err == nil && o.publicURL != "" && !isLoopback(u.Hostname()) && len(o.proxies) == 0 {
		out.Warn("all clients of a proxy count as one for rate limits; name the proxy with --trusted-proxy")
	}
	out.Fact("Stop", "Ctrl-C")
}

// limits returns what --no-rate-limits says. It is refused where others than
// this machine could use it.
func (o *serveOptions) limits(addr string) (*limit.Rules, error) {
	if !o.noLimits {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(addr)
	public, parseErr := url.Parse(o.publicURL)
	if err != nil || !isLoopback(host) || parseErr != nil || o.publicURL != "" && !isLoopback(public.Hostname()) {
		return nil, fault.New(fault.Invalid, "--no-rate-limits is for servers of this machine only, not for %s", cmp.Or(o.publicURL, addr)).
			WithFix("leave it out, or listen on a loopback address such as 127.0.0.1:0")
	}
	return &limit.Rules{}, nil
}

// trustedProxies reads the networks of --trusted-proxy; an address is a network
// of one.
func (o *serveOptions) trustedProxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range o.proxies {
		p, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); addrErr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "--trusted-proxy %q is not a network", text).WithFix("give it as 10.0.0.0/8, or one address")
		}
		all = append(all, p)
	}
	return all, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// open makes the server listen. Without --addr it takes the port of last time,
// because apps remember the address, then the usual one, then any.
func (o *serveOptions) open(ctx context.Context, dir string) (*server.Server, error) {
	before, err := server.ReadLocal(dir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	addrs := []string{o.addr}
	if o.addr == "" {
		addrs = usualAddrs(before)
	}
	for i, addr := range addrs {
		s, err := o.openAt(ctx, dir, addr, before)
		if fault.Code(err) == "port_taken" && i < len(addrs)-1 {
			continue
		}
		if err == nil && i > 0 {
			o.env.Output().Warn("%s is taken by another program; listening on %s instead", addrs[0], s.URL())
		}
		return s, err
	}
	return nil, fault.New(fault.Internal, "no address to listen on")
}

func usualAddrs(before server.Local) []string {
	addrs := []string{defaultAddr, "127.0.0.1:0"}
	u, err := url.Parse(before.URL)
	if err == nil && isLoopback(u.Hostname()) && u.Port() != "" && u.Host != defaultAddr {
		addrs = append([]string{u.Host}, addrs...)
	}
	return addrs
}

// A server that is told to stop finishes what it has begun (ten seconds at
// most); the next one waits for it.
const (
	handOver     = 12 * time.Second
	handOverPoll = 100 * time.Millisecond
)

func (o *serveOptions) openAt(ctx context.Context, dir, addr string, before server.Local) (*server.Server, error) {
	limits, err := o.limits(addr)
	if err != nil {
		return nil, err
	}
	proxies, err := o.trustedProxies()
	if err != nil {
		return nil, err
	}
	smtp, err := o.mail.smtp(o.env)
	if err != nil {
		return nil, err
	}
	for deadline := o.env.Now().Add(handOver); ; {
		s, err := server.New(ctx, server.Config{
			DataDir: dir, Addr: addr, PublicURL: o.publicURL, DeploymentDomain: o.domain, Version: o.env.Version,
			GitHubSecret: secret.String(o.env.get(githubVar)), Log: o.logger(),
			Limits: limits, TrustedProxies: proxies, SMTP: smtp,
		})
		if fault.Code(err) != "database_in_use" {
			return s, err
		}
		if _, ok := alive(ctx, before); ok {
			return nil, fault.Wrap(err, fault.Conflict, "a server runs on %s already: %s (process %d)", dir, before.URL, before.PID).
				WithCode("database_in_use").WithFix("use that one, stop it with `berth serve stop`, or start a second one with --data DIR")
		}
		if o.env.Now().After(deadline) {
			return nil, err
		}
		if err := pause(ctx, handOverPoll); err != nil {
			return nil, err
		}
		if now, err := server.ReadLocal(dir); err == nil {
			before = now
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *serveOptions) logger() *slog.Logger {
	level := slog.LevelInfo
	switch {
	case o.verbose:
		level = slog.LevelDebug
	case o.quiet:
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(o.env.Stderr, &slog.HandlerOptions{Level: level}))
}

// trimEvery is how often an idle server gives memory back.
const trimEvery = time.Minute

// trimMemory keeps an idle server small: it is meant to run all day beside an
// editor and a browser. Most of what it ever holds are the password hashes of
// the moment, some 20 MB each for a tenth of a second, and the runtime alone
// returns such peaks to the system only after minutes. The heap target stays
// Go's own: an idle server is small with it too (docs/performance.md).
func trimMemory() (stop func()) {
	debug.FreeOSMemory() // what opening the database and its migrations left
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(trimEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				debug.FreeOSMemory()
			}
		}
	}()
	return func() { close(done); <-ended }
}
