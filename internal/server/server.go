// Package server is the embedded server: it opens the database, mounts the
// surfaces on one listener and runs until its context ends. The surfaces are
// packages beneath this one; each has its own list of routes.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server/apikeys"
	"github.com/berthdev/berth/internal/server/authkit"
	"github.com/berthdev/berth/internal/server/authorization"
	"github.com/berthdev/berth/internal/server/berthapi"
	"github.com/berthdev/berth/internal/server/connect"
	"github.com/berthdev/berth/internal/server/control"
	"github.com/berthdev/berth/internal/server/deploy"
	"github.com/berthdev/berth/internal/server/flags"
	"github.com/berthdev/berth/internal/server/hosted"
	"github.com/berthdev/berth/internal/server/platform"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/server/sso"
	"github.com/berthdev/berth/internal/server/webhook"
	"github.com/berthdev/berth/internal/server/widgets"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/upstream"
	"github.com/berthdev/berth/internal/workos"
)

// Config is everything a server is made from.
type Config struct {
	DataDir   string // holds berth.db, its key and server.json
	Addr      string // host:port to listen on; port 0 takes a free one
	PublicURL string // origin under which clients reach the server; default: http://<listener>
	Version   string
	// DeploymentDomain is where embedded deployments have host names, NAME.DOMAIN
	// and NAME.site.DOMAIN, that lead to this server. Without one they have ports
	// of this machine.
	DeploymentDomain string
	GitHubSecret     secret.String   // authenticates branch events
	SMTP             SMTP            // sends mail of production environments; zero: they have no sign-up
	Mailer           auth.Mailer     // instead of SMTP
	Hash             auth.HashParams // zero: auth.DefaultHashParams
	// Limits are the rates that callers are held to. Nil: limit.Documented();
	// &limit.Rules{} turns all of them off.
	Limits *limit.Rules
	// TrustedProxies are the networks of reverse proxies whose X-Forwarded-For
	// says where a request comes from. Of others the header is not read.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	Now            func() time.Time // clock; default time.Now
}

// reapEvery is how often the server looks for claims whose lifetime is over.
const reapEvery = time.Minute

// shutdownGrace is how long open requests may take after a stop was asked for.
const shutdownGrace = 10 * time.Second

// Server is a server that listens. Run serves until its context ends.
type Server struct {
	cfg      Config
	db       *store.DB
	keys     *auth.Keyring
	api      *berthapi.API
	hooks    *webhook.Sender
	origins  *deploy.Origins
	surface  *deploy.Surface
	registry *instance.Registry
	mailer   auth.Mailer                 // nil: production sends no mail
	mailing  func(context.Context) error // delivers what mailer took
	listener net.Listener
	base     string
	http     *http.Server
}

// New opens the database and the listener. Errors name what is in the way: a
// second server on the database, a taken port, an unusable folder.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Hash == (auth.HashParams{}) {
		cfg.Hash = auth.DefaultHashParams
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkPublicURL(cfg.PublicURL); err != nil {
		return nil, err
	}
	if err := checkDomain(cfg.DeploymentDomain); err != nil {
		return nil, err
	}
	mailer, mailing, err := cfg.mailer(ctx)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(cfg.DataDir, "berth.db"), Now: cfg.Now, Describe: describe})
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, cfg.Addr)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Server{cfg: cfg, db: db, keys: auth.NewKeyring(db, cfg.Log), mailer: mailer, mailing: mailing, listener: listener, base: strings.TrimRight(cfg.PublicURL, "/")}
	if s.base == "" {
		s.base = "http://" + loopbackName(listener.Addr())
	}
	s.hooks = webhook.New(db, cfg.Log, s.forThisMachine)
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)}
	return s, nil
}

func checkPublicURL(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fault.New(fault.Invalid, "the public URL %q is not an origin", raw).WithFix("give scheme and host only, such as https://auth.example.com")
	}
	return nil
}

var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func checkDomain(name string) error {
	if name == "" || len(name) <= 200 && domainName.MatchString(name) {
		return nil
	}
	return fault.New(fault.Invalid, "the deployment domain %q is not a host name", name).WithFix("give a name only, such as convex.example.com")
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.Wrap(err, fault.Conflict, "the address %s is taken by another program", addr).
			WithFix("stop that program, or choose another address: berth serve --addr 127.0.0.1:0 takes a free port").WithCode("port_taken")
	case err != nil:
		return nil, fault.Wrap(err, fault.Invalid, "cannot listen on %s: %v", addr, err).WithFix("give an address of this machine, such as --addr 127.0.0.1:4747")
	}
	return l, nil
}

// loopbackName writes a loopback listener as localhost, which browsers and
// the SDKs treat as a safe place for cookies.
func loopbackName(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// URL returns the public origin of the server.
func (s *Server) URL() string { return s.base }

// Store returns the database, for what runs in the server's own process.
func (s *Server) Store() *store.DB { return s.db }

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	baseURL := func() string { return s.base }
	service := auth.New(s.db, s.keys, auth.NewHasher(s.cfg.Hash), baseURL)
	if s.mailer != nil {
		service.UseMailer(s.mailer)
	}
	rules := limit.Documented()
	if s.cfg.Limits != nil {
		rules = *s.cfg.Limits
	}
	limits := limit.NewSet(rules, s.db.Now)
	fetch := &deployment.Fetcher{Resolve: deploy.Resolve(mux, baseURL)}
	s.api = &berthapi.API{DB: s.db, Auth: service, Log: s.cfg.Log, BaseURL: baseURL, Version: s.cfg.Version, GitHubSecret: s.cfg.GitHubSecret, MailIsSent: s.mailer != nil}

	(&authkit.API{DB: s.db, Auth: service, Log: s.cfg.Log, BaseURL: baseURL, CheckTarget: s.hooks.CheckTarget, Limits: limits}).Mount(mux)
	pages := &hosted.Pages{DB: s.db, Auth: service, Log: s.cfg.Log, BaseURL: baseURL, Local: s.servesThisMachine, Limits: limits}
	pages.Mount(mux)
	(&sso.API{DB: s.db, Auth: service, Log: s.cfg.Log, BaseURL: baseURL, Hosted: pages, Upstream: &upstream.Client{Now: s.db.Now}, Limits: limits}).Mount(mux)
	(&authorization.API{DB: s.db, Log: s.cfg.Log, Limits: limits}).Mount(mux)
	(&apikeys.API{DB: s.db, Log: s.cfg.Log, Limits: limits}).Mount(mux)
	(&flags.API{DB: s.db, Log: s.cfg.Log, Limits: limits}).Mount(mux)
	(&widgets.API{DB: s.db, Auth: service, Log: s.cfg.Log, Limits: limits}).Mount(mux)
	teams := &platform.API{DB: s.db, Log: s.cfg.Log}
	teams.Mount(mux)
	(&connect.API{DB: s.db, Auth: service, Log: s.cfg.Log, BaseURL: baseURL, Limits: limits, Platform: teams.Token()}).Mount(mux)
	s.origins = &deploy.Origins{DB: s.db, Log: s.cfg.Log, BaseURL: baseURL, Domain: s.cfg.DeploymentDomain, Here: s.publishedHere}
	s.registry = instance.NewRegistry(instance.Config{DB: s.db, Fetch: fetch, Log: s.cfg.Log, URLs: s.origins.URLs})
	s.surface = &deploy.Surface{DB: s.db, Log: s.cfg.Log, Registry: s.registry, Version: s.cfg.Version}
	s.origins.Handler = route.WithRequestID(fromProxy(s.cfg.TrustedProxies, s.recovered(s.surface.Handler())))
	(&control.API{DB: s.db, Auth: service, Log: s.cfg.Log, BaseURL: baseURL, URL: s.origins.URL, MailIsSent: s.mailer != nil, Gone: s.api.Gone, Forget: s.forget}).Mount(mux)
	(&deploy.API{DB: s.db, Log: s.cfg.Log, Origins: s.origins, Fetch: fetch, Changed: s.registry.Reload}).Mount(mux)
	s.api.Mount(mux)
	mux.Handle("/", s.root())
	own := route.WithRequestID(fromProxy(s.cfg.TrustedProxies, s.recovered(s.limited(limits.Requests, s.unserved(mux)))))
	return s.origins.Hosts(own)
}

// forget lets go of deployments that were deleted.
func (s *Server) forget(ctx context.Context) error {
	gone, err := s.origins.Reconcile(ctx)
	for _, name := range gone {
		s.registry.Forget(name)
	}
	return err
}

var noSniffing = []string{"nosniff"}

// recovered turns a panic into an answer, and into a log line with its stack.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.cfg.Log.ErrorContext(r.Context(), "request panicked", "route", r.Pattern, "request_id", route.RequestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
			_ = workos.MessageAnswer(http.StatusInternalServerError, "Something went wrong on the server. The request ID is "+route.RequestID(r.Context())+".").Write(w)
		}()
		w.Header()["X-Content-Type-Options"] = noSniffing
		next.ServeHTTP(w, r)
	})
}

// Run serves until ctx ends, then lets open requests finish and closes the
// database.
func (s *Server) Run(ctx context.Context) error {
	if err := s.forget(ctx); err != nil {
		s.cfg.Log.ErrorContext(ctx, "the ports of the deployments are not all open", "err", err)
	}
	// Deployments stay until nobody is served any more.
	living, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var registry sync.WaitGroup
	registry.Go(func() { _ = s.registry.Run(living) })
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		s.surface.Stop(stop)
		deployments := s.origins.Shutdown(stop)
		if err := s.http.Shutdown(stop); err != nil {
			return errors.Join(s.http.Close(), deployments, fmt.Errorf("stop: %w", err))
		}
		return deployments
	})
	g.Go(func() error { return s.keys.Run(ctx) })
	g.Go(func() error { return s.janitor(ctx) })
	g.Go(func() error { return s.hooks.Run(ctx) })
	g.Go(func() error { return s.mailing(ctx) })
	err := g.Wait()
	release()
	registry.Wait()
	return errors.Join(err, s.db.Close())
}

// Close releases the listener and the database of a server that never ran.
func (s *Server) Close() error {
	err := errors.Join(s.listener.Close(), s.origins.Shutdown(context.Background()))
	s.registry.Close()
	return errors.Join(err, s.db.Close())
}

// janitor releases claims whose time is over and sweeps what has expired.
func (s *Server) janitor(ctx context.Context) error {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.clean(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "clean-up failed; it will be tried again", "err", err)
		}
	}
}

func (s *Server) clean(ctx context.Context) error {
	teams, err := s.db.Teams(ctx)
	if err != nil {
		return err
	}
	for _, t := range teams {
		if _, err := s.api.Reap(ctx, t); err != nil {
			return err
		}
	}
	if err := s.expirePreviews(ctx); err != nil {
		return err
	}
	if err := s.forget(ctx); err != nil {
		return err
	}
	if err := s.keys.Advance(ctx); err != nil {
		return err
	}
	return s.db.Sweep(ctx)
}
