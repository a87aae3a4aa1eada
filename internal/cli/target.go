package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

// targetFlags say which deployment a command is for. Without them it is the
// build's own deployment in a build, and the developer's own elsewhere.
type targetFlags struct {
	env           *Env
	kind          string
	branch        string
	urls          []string
	prodBranch    string
	placement     string
	project       string
	lifetime      time.Duration
	port          int
	reads, writes atomic.Int64 // calls made, by kind
}

func (t *targetFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.kind, "kind", "", "dev, preview or prod `KIND` (default: as the build says)")
	f.StringVar(&t.branch, "branch", "", "branch of a preview `NAME`")
	f.StringArrayVar(&t.urls, "url", nil, "a further `URL` at which people open the deployment (repeatable)")
	f.StringVar(&t.prodBranch, "production-branch", "", "the branch that is production, where the host does not say `NAME`")
	f.StringVar(&t.placement, "placement", "", "dedicated or shared `MODE` (default: dedicated where possible)")
	f.StringVar(&t.project, "project", "", "name of the project `NAME` (default: of package.json)")
	f.DurationVar(&t.lifetime, "lifetime", claim.DefaultPreviewLifetime, "how long a preview is kept without a new deploy")
	f.IntVar(&t.port, "port", 0, "port of the web server, when the system cannot tell `PORT`")
}

// observe counts calls: --json results and tests show how few there are.
func (t *targetFlags) observe(method, path string, _ int) {
	// Questions that the protocol asks by POST or PUT are reads all the same.
	read := method == "GET" || method == "HEAD" || strings.HasPrefix(path, "/api/deployment/authorize_") || strings.HasSuffix(path, "_for_key")
	if read {
		t.reads.Add(1)
	} else {
		t.writes.Add(1)
	}
}

// app finds the app folder.
func (t *targetFlags) app() (*project.App, error) { return project.Find(t.env.App()) }

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

func projectSlug(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:] // the scope of an npm package is the team's
	}
	slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if slug == "" {
		return "app"
	}
	return slug
}

// request describes the deployment that the command is for.
func (t *targetFlags) request(ctx context.Context, app *project.App) (provision.Request, error) {
	env := t.env
	r := provision.Request{App: app, Project: projectSlug(app.Name), Mode: claim.Mode(t.placement), Attended: env.Interactive, Lookup: env.Lookup}
	if t.project != "" {
		r.Project = projectSlug(t.project)
	}
	build, err := host.Detect(env.Lookup, host.Options{Kind: host.Kind(t.kind), Branch: t.branch, URLs: t.urls, ProductionBranch: t.prodBranch, ReadFile: os.ReadFile})
	if err != nil {
		return r, err
	}
	if deployKey := env.get(provision.DeployKeyVar); deployKey != "" {
		if err := host.CheckDeployKey(build, host.KeyType(secret.String(deployKey))); err != nil {
			return r, err
		}
	}
	r.Kind = claim.Kind(build.Kind)
	git := host.Git{Run: host.SystemGit(env.Environ())}
	info, gitErr := git.Info(ctx, app.Root)
	if gitErr != nil && fault.Is(gitErr, fault.Interrupted) {
		return r, gitErr
	}
	if gitErr == nil {
		r.Repo = repositoryName(info.RemoteURL)
	}
	if repo := env.get("GITHUB_REPOSITORY"); repo != "" {
		r.Repo = repo
	}
	if owner, slug := env.get("VERCEL_GIT_REPO_OWNER"), env.get("VERCEL_GIT_REPO_SLUG"); owner != "" && slug != "" {
		r.Repo = owner + "/" + slug
	}
	switch r.Kind {
	case claim.Dev:
		return r, t.developer(ctx, &r)
	case claim.Preview:
		r.Build, r.Branch, r.Lifetime = build, build.Branch, t.lifetime
		name := build.Branch
		if build.Fork != "" {
			name = build.Fork + ":" + build.Branch // a stranger's main is not ours
		}
		r.Reference = host.Slug(name)
	default:
		r.Build, r.Branch, r.Reference = build, build.Branch, "prod"
	}
	return r, nil
}

// repositoryName returns owner/name of a Git remote's URL, or the last two
// parts of a path.
func repositoryName(remote string) string {
	remote = strings.TrimSuffix(strings.TrimRight(remote, "/"), ".git")
	if _, rest, ok := strings.Cut(remote, "://"); ok {
		remote = rest
	}
	parts := strings.FieldsFunc(remote, func(r rune) bool { return r == '/' || r == ':' })
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2] + "/" + parts[len(parts)-1]
}

// developer fills in what makes a dev deployment this worktree's own.
func (t *targetFlags) developer(ctx context.Context, r *provision.Request) error {
	machine, err := t.machineID()
	if err != nil {
		return err
	}
	if r.Reference, err = host.WorktreeID(machine, r.App.Root); err != nil {
		return err
	}
	r.Owner = t.env.get("USER")
	if r.Owner == "" {
		r.Owner = t.env.get("USERNAME")
	}
	r.Listeners = project.SystemListeners
	port, err := r.App.Port(ctx, project.PortQuery{Listeners: project.SystemListeners, Ignore: []int{os.Getpid(), os.Getppid()}, Env: t.env.Lookup})
	if err != nil {
		return err
	}
	if t.port != 0 {
		port = project.Port{Number: t.port, Source: project.PortListening, Where: "--port"}
	}
	r.Port, r.RealPort = port.Number, port
	r.Extra = t.urls
	return nil
}

// machineID is a random id of this machine, kept in the data folder.
func (t *targetFlags) machineID() (string, error) {
	dir, err := t.env.DataDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "machine")
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
		return strings.TrimSpace(string(data)), nil
	}
	if t.env.DryRun() {
		return "dry-run", nil // nothing may be written; nothing has been claimed from here yet
	}
	return server.MachineID(path)
}

// connect opens the connection to ledger and environments. With start a server
// is started on this machine when nothing else is configured.
func (t *targetFlags) connect(ctx context.Context, app *project.App, start bool) (*provision.Connection, func(), error) {
	env := t.env
	none := func() {}
	p := provision.Places{Token: secret.String(env.get(tokenVar)), PlatformID: env.get(provision.PlatformIDVar), PlatformSecret: secret.String(env.get(provision.PlatformSecretVar)),
		PlatformTeam: env.get(provision.PlatformTeamVar), PlatformTokenURL: env.get(provision.PlatformTokenVar), APIBase: apiBase(env), Observe: t.observe}
	p.Server, p.ServerFrom = env.Server()
	sources, err := provision.LocalSources(app, env.Lookup)
	if err != nil {
		return nil, none, err
	}
	found, err := provision.Effective(sources)
	if err != nil {
		return nil, none, err
	}
	if found != nil {
		p.Given = &provision.Given{ClientID: found.ClientID, APIKey: found.APIKey, From: "the " + found.Place}
	}
	dir, err := env.DataDir()
	if err != nil {
		return nil, none, err
	}
	if err := t.localServer(ctx, dir, start, &p); err != nil {
		return nil, none, err
	}
	closeLedger := none
	if p.Server == "" && (p.Given != nil || p.PlatformID != "") {
		ledger, err := server.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), nil)
		if err != nil {
			return nil, none, err
		}
		p.Ledger, closeLedger = ledger.Handler(), func() { _ = ledger.Close() } // nothing is pending: every call was answered
	}
	c, err := provision.Connect(ctx, p)
	if err != nil {
		closeLedger()
		return nil, none, err
	}
	return c, closeLedger, nil
}

// localServer fills in the server on this machine where no other is named.
func (t *targetFlags) localServer(ctx context.Context, dir string, start bool, p *provision.Places) error {
	local, err := server.ReadLocal(dir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if p.Server != "" {
		if p.Token == "" && err == nil && local.URL == p.Server {
			p.Token = secret.String(local.Token)
		}
		return nil
	}
	if p.Given != nil || p.PlatformID != "" {
		return nil
	}
	if err == nil && server.Healthy(ctx, local.URL) {
		p.Server, p.ServerFrom, p.Token = local.URL, "the server on this machine", secret.String(local.Token)
		return nil
	}
	if !start || t.env.DryRun() {
		return nil
	}
	local, started, err := EnsureServer(ctx, t.env, dir)
	if err != nil {
		return err
	}
	if started {
		t.env.Output().OK("started the Berth server at %s (stop it with: berth serve stop)", local.URL)
	}
	p.Server, p.ServerFrom, p.Token = local.URL, "the server on this machine", secret.String(local.Token)
	return nil
}

// apiBase is where the kits' own variables point, "" for WorkOS.
func apiBase(env *Env) string {
	name := env.get("WORKOS_API_HOSTNAME")
	if name == "" {
		return ""
	}
	scheme := "https"
	if env.get("WORKOS_API_HTTPS") == "false" {
		scheme = "http"
	}
	if port := env.get("WORKOS_API_PORT"); port != "" {
		name += ":" + port
	}
	return scheme + "://" + name
}

// announce names the target before anything is done.
func (t *targetFlags) announce(o *Output, c *provision.Connection, r provision.Request) {
	o.Fact("target", "%s", o.Bold(r.Title()))
	if r.Build != nil {
		from := r.Build.KindFrom
		if r.Build.Host != host.None {
			from = r.Build.Host.Title() + ", " + from
		}
		o.Fact("build", "%s", from)
	}
	o.Fact("server", "%s", c.Title)
	if r.Kind == claim.Dev {
		o.Fact("port", "%d (%s%s)", r.RealPort.Number, r.RealPort.Source, where(r.RealPort))
	}
	for _, n := range c.Notes {
		o.Warn("%s", n)
	}
	if r.Build != nil {
		for _, w := range r.Build.Warnings {
			o.Warn("%s%s", w.Message, fixText(w.Fix))
		}
	}
}

func where(p project.Port) string {
	if p.Where == "" {
		return ""
	}
	return ": " + p.Where
}

func fixText(fix string) string {
	if fix == "" {
		return ""
	}
	return " (" + fix + ")"
}

// findings tells about what convex.json says and no tool would act on.
func (t *targetFlags) findings(o *Output, list []project.Finding) {
	for _, f := range list {
		place := f.Path
		if f.Line > 0 {
			place += fmt.Sprintf(" line %d", f.Line)
		}
		o.Warn("%s: %s%s", strings.TrimSpace(place), f.Message, fixText(f.Fix))
	}
}
