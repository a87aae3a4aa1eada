package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
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
	configured    bool                          // the command acts on convex.json and stops early when it cannot be read
	readOnly      bool                          // the command writes nothing by its nature, as plan and status
	noPort        bool                          // the command has nothing to do with the web server's port
	anyKey        bool                          // the command only looks, so a key of the wrong kind is shown and not refused
	given         *provision.Given              // credentials that the command was given itself; nil: those of variables and files
	accept        func(provision.Request) error // what the command is not for; nil takes everything
	reads, writes atomic.Int64                  // calls made, by kind
}

// dry reports whether nothing may be written, not even to Berth's own data folder.
func (t *targetFlags) dry() bool { return t.readOnly || t.env.DryRun() }

func (t *targetFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.kind, "kind", "", "dev, preview or prod `KIND` (default: as the build says)")
	f.StringVar(&t.branch, "branch", "", "branch of a preview `NAME`")
	f.StringArrayVar(&t.urls, "url", nil, "a further address at which people open the deployment `URL` (repeatable)")
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
	switch r.Mode {
	case "", claim.Dedicated, claim.Shared:
	default:
		return r, fault.New(fault.Invalid, "--placement %q is not known", t.placement).WithFix("use dedicated or shared").WithCode("placement_unknown")
	}
	if t.port < 0 || t.port > 65535 {
		return r, fault.New(fault.Invalid, "--port %d is no port", t.port).WithFix("use a number from 1 to 65535").WithCode("port_invalid")
	}
	build, err := host.Detect(env.Lookup, host.Options{Kind: host.Kind(t.kind), Branch: t.branch, URLs: t.urls, ProductionBranch: t.prodBranch, ReadFile: os.ReadFile})
	if err != nil {
		return r, t.resumeKind(err)
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

// resumeKind adds the command that goes on once somebody knows what is built.
func (t *targetFlags) resumeKind(err error) error {
	if fault.Code(err) != "kind_unknown" {
		return err
	}
	flag := "--kind KIND"
	if strings.Contains(fault.From(err).Fix, "--production-branch") {
		flag = "--production-branch NAME"
	}
	return Resume(err, t.env.again(flag))
}

// checkDeployKey refuses a Convex deploy key of the wrong kind (R82). Outside a
// build there is no scope in which it could have been set: the plan's own
// check names that.
func checkDeployKey(env *Env, r provision.Request) error {
	key := env.get(provision.DeployKeyVar)
	if key == "" || r.Build == nil {
		return nil
	}
	return host.CheckDeployKey(r.Build, host.KeyType(secret.String(key)))
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
	r.Extra = t.urls
	if t.noPort {
		return nil
	}
	r.RealPort, err = t.webPort(ctx, r.App)
	r.Port = r.RealPort.Number
	return err
}

// webPort is the port of the web server: --port, else what the system says,
// else what the app is set up for.
func (t *targetFlags) webPort(ctx context.Context, app *project.App) (project.Port, error) {
	if t.port != 0 {
		return project.Port{Number: t.port, Source: project.PortListening, Where: "--port"}, nil
	}
	port, err := app.Port(ctx, project.PortQuery{Listeners: project.SystemListeners, Ignore: []int{os.Getpid(), os.Getppid()}, Env: t.env.Lookup})
	if err != nil || port.Source != project.PortDefault || !app.HasConfig {
		return port, err
	}
	// What convex.json names is better known than what is usual.
	cfg, err := app.ReadConfig()
	if err != nil {
		return port, nil // whoever needs the file tells about it
	}
	if ports := cfg.DevPorts(); len(ports) > 0 {
		port.Number, port.Source, port.Where = ports[0], project.PortConfigured, app.Rel(app.ConfigPath)
	}
	return port, nil
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
	if t.dry() {
		return "dry-run", nil // nothing may be written; nothing has been claimed from here yet
	}
	return server.MachineID(path)
}

// connect opens the connection to ledger and environments. With start a server
// is started on this machine when nothing else is configured.
// Where the variables of a build are set is said when they are missing (R40).
func (t *targetFlags) connect(ctx context.Context, app *project.App, r provision.Request, start bool) (*provision.Connection, func(), error) {
	env := t.env
	none := func() {}
	p := provision.Places{Token: secret.String(env.get(tokenVar)), PlatformID: env.get(provision.PlatformIDVar), PlatformSecret: secret.String(env.get(provision.PlatformSecretVar)),
		PlatformTeam: env.get(provision.PlatformTeamVar), PlatformTokenURL: env.get(provision.PlatformTokenVar), APIBase: apiBase(env), Observe: t.observe}
	p.Server, p.ServerFrom = env.Server()
	if r.Build != nil && r.Build.Host != host.None {
		p.SetIn = r.Build.VariablesPlace()
	}
	sources, err := provision.LocalSources(app, env.Lookup)
	if err != nil {
		return nil, none, err
	}
	found, err := provision.Effective(sources)
	if err != nil {
		return nil, none, err
	}
	if found != nil {
		p.Given = found.Given()
	}
	if t.given != nil {
		p.Given = t.given
	}
	if err := provision.CheckKeys(r, p.Given); err != nil && !t.anyKey {
		return nil, none, err
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
		if p.Ledger, closeLedger, err = t.ledger(ctx, dir); err != nil {
			return nil, none, err
		}
	}
	c, err := provision.Connect(ctx, p)
	if err != nil {
		closeLedger()
		if fault.Code(err) == "no_connection" {
			err = Resume(err, env.same())
		}
		return nil, none, err
	}
	return c, closeLedger, nil
}

// ledger opens the ledger of this machine. A run that may write nothing gets an
// empty one, gone afterwards, where there is none yet.
func (t *targetFlags) ledger(ctx context.Context, dir string) (http.Handler, func(), error) {
	path, remove := filepath.Join(dir, "ledger.db"), func() {}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && t.dry() {
		tmp, err := os.MkdirTemp("", "berth-dry-run-")
		if err != nil {
			return nil, nil, fault.Wrap(err, fault.Invalid, "cannot make a temporary folder")
		}
		path, remove = filepath.Join(tmp, "ledger.db"), func() { _ = os.RemoveAll(tmp) } // the system empties its folder too
	}
	ledger, err := server.OpenLedger(ctx, path, nil)
	if err != nil {
		remove()
		return nil, nil, err
	}
	return ledger.Handler(), func() {
		_ = ledger.Close() // nothing is pending: every call was answered
		remove()
	}, nil
}

// same is the command line of this run, for a shell.
func (e *Env) same() string {
	words := []string{"berth"}
	for _, a := range e.args {
		words = append(words, shellQuote(a))
	}
	return strings.Join(words, " ")
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
		if p.Token == "" {
			stored, err := t.env.readLogins()
			if err != nil {
				return err
			}
			p.Token = stored.Servers[p.Server].Token.Secret()
		}
		return nil
	}
	// Credentials that a command was given itself are to be found by later runs, so
	// they go to the server that those would use.
	if p.Given != nil && t.given == nil || p.PlatformID != "" {
		return nil
	}
	if err == nil && server.Healthy(ctx, local.URL) {
		p.Server, p.ServerFrom, p.Token = local.URL, "the server on this machine", secret.String(local.Token)
		return nil
	}
	if !start || t.dry() {
		if err == nil {
			return fault.New(fault.NeedsPerson, "the Berth server of this machine (%s) is not running", local.URL).
				WithFix("start it again with `berth serve` (`berth dev` does it by itself); what it knew is kept").WithCode("no_connection")
		}
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

// announce names the target before anything is asked or done.
func (t *targetFlags) announce(o *Output, r provision.Request) {
	o.Fact("target", "%s", o.Bold(r.Title()))
	if r.Build != nil {
		from := r.Build.KindFrom
		if r.Build.Host != host.None {
			from = r.Build.Host.Title() + ", " + from
		}
		o.Fact("build", "%s", from)
		for _, w := range r.Build.Warnings {
			o.Warn("%s%s", w.Message, fixText(w.Fix))
		}
	}
	if r.Kind == claim.Dev && !t.noPort {
		o.Fact("port", "%s", portText(r))
	}
}

// portText is the port and how it is known.
func portText(r provision.Request) string {
	p, why := r.RealPort, ""
	switch {
	case p.Where == "--port":
		why = "as --port says"
	case p.Source == project.PortListening:
		why = "where it listens now: " + p.Where
	case p.Source == project.PortConfigured:
		why = "named in " + p.Where
	case r.App.Framework.ID == project.Plain:
		why = "assumed, no framework was recognised"
	default:
		why = "usual for " + r.App.Framework.Name
	}
	return fmt.Sprintf("%d, %s", p.Number, why)
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
