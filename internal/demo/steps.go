package demo

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/joho/godotenv"
	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/workos"
)

// startLimit is how long a server may take to answer for the first time.
const startLimit = 30 * time.Second

func (s *show) startServer(ctx context.Context) (string, error) {
	var err error
	s.server, err = s.shell.start(command{name: "berth serve", dir: s.dir, path: s.Exe, args: []string{"serve", "--data", s.path("server"), "--addr", "127.0.0.1:0"}})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		local, err := server.ReadLocal(s.path("server"))
		if err == nil && local.PID == s.server.cmd.Process.Pid {
			s.base = local.URL
			token := secret.String(local.Token)
			s.shell.hide(token)
			s.token = token
			s.berth = berth.New(local.URL, token)
			s.auth = []string{"BERTH_SERVER=" + local.URL, "BERTH_TOKEN=" + token.Reveal(), "BERTH_DATA=" + s.path("home", "berth")}
			if _, err = s.berth.Me(ctx); err == nil {
				s.result.Server = local.URL
				return local.URL, nil
			}
		}
		select {
		case <-s.server.done:
			return "", &childError{name: "berth serve", err: fault.New(fault.Unavailable, "the server ended at once"), output: s.shell.clean(s.server.output.String())}
		case <-ctx.Done():
			return "", fault.Wrap(err, fault.Unavailable, "the server did not answer within %v", startLimit)
		case <-time.After(10 * time.Millisecond): // another process gives no other sign
		}
	}
}

func (s *show) git(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := s.shell.run(ctx, command{name: "git " + strings.Join(args, " "), dir: dir, path: "git", args: args})
	return strings.TrimSpace(out), err
}

// makeApp makes the developer's checkout and the remote, with a build folder per
// deployment: on a host every build has a clone of its own.
func (s *show) makeApp(ctx context.Context) (string, error) {
	laptop, remote := s.path("laptop", "shop"), s.path("acme", "shop.git")
	if err := copyFiles(laptop, s.App); err != nil {
		return "", fault.Wrap(err, fault.Invalid, "the example app cannot be copied to %s", laptop)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "--all"},
		{"commit", "--quiet", "--message=a shop"},
		{"init", "--quiet", "--bare", "--initial-branch=main", remote},
		{"remote", "add", "origin", remote},
		{"push", "--quiet", "--set-upstream", "origin", "main"},
	} {
		if _, err := s.git(ctx, laptop, args...); err != nil {
			return "", err
		}
	}
	for _, branch := range branches {
		if _, err := s.git(ctx, laptop, "push", "--quiet", "origin", "main:refs/heads/"+branch); err != nil {
			return "", err
		}
	}
	for _, p := range s.shops {
		if p.dir = laptop; p.row.Kind == "dev" {
			continue
		}
		p.dir = s.path("builds", strings.ReplaceAll(p.row.Deployment, " ", "-"), "shop")
		if _, err := s.git(ctx, s.dir, "clone", "--quiet", "--branch", p.row.Branch, remote, p.dir); err != nil {
			return "", err
		}
	}
	return s.AppName, nil
}

// copyFiles is os.CopyFS with files that their owner may write.
func copyFiles(dir string, from fs.FS) error {
	return fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		to := filepath.Join(dir, filepath.FromSlash(path))
		if err != nil || d.IsDir() {
			return orElse(err, func() error { return os.MkdirAll(to, 0o700) })
		}
		data, err := fs.ReadFile(from, path)
		return orElse(err, func() error { return os.WriteFile(to, data, 0o600) })
	})
}

func orElse(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

// run runs a berth command in the checkout of p.
func (s *show) run(ctx context.Context, p *shop, c command, args ...string) (string, error) {
	c.path, c.dir, c.env = s.Exe, p.dir, append(append([]string(nil), s.auth...), c.env...)
	c.args = args
	if c.name == "" {
		c.name = "berth " + strings.Join(args, " ")
	}
	return s.shell.run(ctx, c)
}

func (s *show) deployDev(ctx context.Context) (string, error) {
	p := s.shops[0]
	// The app takes the free port, as a web server does when the usual one is
	// taken; the environment has to follow it.
	origin, err := p.app.ListenLocal()
	if err != nil {
		return "", err
	}
	port := origin[strings.LastIndexByte(origin, ':')+1:]
	p.origins = []string{origin}
	if _, err := s.run(ctx, p, command{}, "dev", "--once", "--port", port, "--app", p.dir); err != nil {
		return "", err
	}
	vars, err := godotenv.Read(filepath.Join(p.dir, ".env.local"))
	if err != nil {
		return "", fault.Wrap(err, fault.NotFound, "berth dev left no .env.local that can be read")
	}
	return origin, s.configure(ctx, p, vars)
}

// vercel is the environment of a build on Vercel ("System environment
// variables").
func vercel(kind, branch, commit, branchHost, commitHost string) []string {
	return []string{
		"CI=1", "VERCEL=1", "VERCEL_ENV=" + kind, "VERCEL_TARGET_ENV=" + kind, "VERCEL_URL=" + commitHost, "VERCEL_BRANCH_URL=" + branchHost,
		"VERCEL_PROJECT_PRODUCTION_URL=" + productionHost, "VERCEL_GIT_PROVIDER=github", "VERCEL_GIT_REPO_OWNER=acme", "VERCEL_GIT_REPO_SLUG=shop",
		"VERCEL_GIT_COMMIT_REF=" + branch, "VERCEL_GIT_COMMIT_SHA=" + commit, "VERCEL_PROJECT_ID=prj_shop", "VERCEL_DEPLOYMENT_ID=dpl_" + commits[branch],
	}
}

func (s *show) deployPreviews(ctx context.Context) (string, error) {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range s.previews() {
		branchHost, commitHost := previewHosts(p.row.Branch)
		group.Go(func() error { return s.deploy(ctx, p, "preview", branchHost, commitHost) })
	}
	return strings.Join(branches, ", "), group.Wait()
}

func (s *show) deployProduction(ctx context.Context) (string, error) {
	p := s.shops[len(s.shops)-1]
	branchHost, _ := previewHosts("main")
	return "https://" + productionHost, s.deploy(ctx, p, "production", branchHost, productionHost)
}

// deploy builds p as Vercel would and starts its app on the hosts.
func (s *show) deploy(ctx context.Context, p *shop, kind, branchHost, commitHost string) error {
	sha, err := s.git(ctx, p.dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	hosts := []string{branchHost, commitHost}
	if kind == "production" {
		hosts = []string{productionHost} // the others are for the team
		_, commitHost = previewHosts("main")
	}
	p.env = vercel(kind, p.row.Branch, sha, branchHost, commitHost)
	for _, host := range hosts {
		p.origins = append(p.origins, "https://"+host)
	}
	vars, err := s.build(ctx, p)
	if err != nil {
		return err
	}
	addr, err := p.app.ListenHosts(s.ca, hosts...)
	if err != nil {
		return err
	}
	s.network.Route(addr, hosts...)
	return s.configure(ctx, p, vars)
}

// build runs berth deploy with a build command that keeps the variables it gets.
func (s *show) build(ctx context.Context, p *shop, flags ...string) (map[string]string, error) {
	file := s.path("captured", strings.ReplaceAll(p.row.Deployment, " ", "-")+fmt.Sprintf("-%d.json", len(flags)))
	args := append([]string{"deploy", "--app", p.dir}, flags...)
	c := command{name: "berth " + strings.Join(args, " ") + " -- (build)", env: p.env}
	if _, err := s.run(ctx, p, c, append(args, "--", s.Exe, "demo", "capture", file)...); err != nil {
		return nil, err
	}
	vars, err := readCapture(file)
	return vars, orElse(err, func() error { return os.Remove(file) })
}

// configure gives the app its settings and finds its backend.
func (s *show) configure(ctx context.Context, p *shop, vars map[string]string) error {
	for name, value := range vars {
		if strings.Contains(name, "KEY") || strings.Contains(name, "PASSWORD") || strings.Contains(name, "TOKEN") {
			s.shell.hide(secret.String(value))
		}
	}
	settings, err := ReadSettings(vars)
	if err != nil {
		return err
	}
	if settings.API != s.base {
		return fault.New(fault.Conflict, "%s was led to the AuthKit API at %s, not at %s", p.row.Deployment, settings.API, s.base)
	}
	if p.settings.ClientID != "" && p.settings.ClientID != settings.ClientID {
		return fault.New(fault.Conflict, "%s got another environment when it was deployed again", p.row.Deployment)
	}
	e, err := s.berth.Environment(ctx, settings.ClientID)
	if err != nil {
		return err
	}
	s.mu.Lock() // previews are deployed in parallel
	defer s.mu.Unlock()
	for _, other := range s.shops {
		if other != p && other.settings.ClientID == settings.ClientID && other.settings.ClientID != "" {
			return fault.New(fault.Conflict, "%s and %s got the same environment", p.row.Deployment, other.row.Deployment)
		}
	}
	p.settings = settings
	p.app.Configure(settings)
	p.row.ClientID, p.row.EnvironmentName, p.row.URLs = settings.ClientID, e.Name, p.origins
	p.row.RedirectURIs = e.RedirectURIs
	return s.findBackend(ctx, p)
}

func (s *show) findBackend(ctx context.Context, p *shop) error {
	all, err := s.berth.Deployments(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if string(d.Kind) == p.row.Kind && (p.row.Kind != "preview" || d.Reference == p.row.Branch) {
			p.backend, p.row.Backend.Name = d.Name, d.Name
			return nil
		}
	}
	return fault.New(fault.NotFound, "the server has no backend deployment for %s", p.row.Deployment)
}

func (s *show) previews() []*shop { return s.shops[1 : len(s.shops)-1] }

func (s *show) preview(branch string) *shop {
	for _, p := range s.previews() {
		if p.row.Branch == branch {
			return p
		}
	}
	return nil
}

// living are the deployments that were not deleted.
func (s *show) living() []*shop {
	var list []*shop
	for _, p := range s.shops {
		if !p.gone {
			list = append(list, p)
		}
	}
	return list
}

// each runs do for every shop, a few at a time, and stops at the first error.
func each(ctx context.Context, shops []*shop, do func(context.Context, *shop) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(5)
	for _, p := range shops {
		group.Go(func() error {
			if err := do(ctx, p); err != nil {
				if ctx.Err() == nil || !fault.Is(err, fault.Interrupted) {
					return fmt.Errorf("%s: %w", p.row.Deployment, err)
				}
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *show) createUsers(ctx context.Context) (string, error) {
	err := each(ctx, s.shops, func(ctx context.Context, p *shop) error {
		args := []string{"users", "create", p.email, "--password-stdin", "--app", p.dir}
		switch p.row.Kind {
		case "preview":
			args = append(args, "--kind", "preview", "--branch", p.row.Branch)
		case "prod":
			// The command refuses production. A person comes to be there through
			// the API, as an import would do it.
			_, err := p.app.api(p.settings).CreateUser(ctx, workos.NewUser{Email: p.email, Password: workos.Credential(p.password), EmailVerified: true})
			return err
		}
		_, err := s.run(ctx, p, command{stdin: p.password.Reveal() + "\n"}, args...)
		return err
	})
	return fmt.Sprintf("%d users", len(s.shops)), err
}

// hostOf is the part of an origin that people read.
func hostOf(origin string) string {
	if u, err := url.Parse(origin); err == nil {
		return u.Host
	}
	return origin
}
