package cli

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
)

// backendFlags choose a Convex deployment for the commands that talk to one.
// Without a flag it is this checkout's own, in a build the build's.
type backendFlags struct {
	env        *Env
	target     targetFlags
	dev, prod  bool
	preview    string
	deployment string
	start      bool // a server of this machine may be started, and a dev deployment made
}

func newBackendFlags(env *Env) backendFlags {
	return backendFlags{env: env, target: targetFlags{env: env, noPort: true, anyKey: true}}
}

func (b *backendFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&b.dev, "dev", false, "the dev deployment of this checkout (the default outside builds)")
	f.BoolVar(&b.prod, "prod", false, "the production deployment")
	f.StringVar(&b.preview, "preview", "", "the preview deployment of a branch `NAME`")
	f.StringVar(&b.deployment, "deployment", "", "a deployment by its name or reference `NAME`")
	f.StringVar(&b.target.project, "project", "", "name of the project on a Berth server `NAME` (default: of package.json)")
}

func (b *backendFlags) check() error {
	var given []string
	for _, f := range []struct {
		on   bool
		name string
	}{{b.dev, "--dev"}, {b.prod, "--prod"}, {b.preview != "", "--preview"}, {b.deployment != "", "--deployment"}} {
		if f.on {
			given = append(given, f.name)
		}
	}
	if len(given) > 1 {
		return fault.New(fault.Invalid, "%s name different deployments", strings.Join(given, " and ")).WithFix("give one of them").WithCode("deployment_ambiguous")
	}
	return nil
}

func (b *backendFlags) chosen() bool { return b.dev || b.prod || b.preview != "" || b.deployment != "" }

// backend is a Convex deployment with what is known of how to reach it.
type backend struct {
	Title      string
	Name       string
	Type       convex.Type
	Deployment *convex.Deployment
	AdminKey   secret.String
	Embedded   bool            // it lives on a Berth server
	Server     string          // of that, or of the one that signs people in; "" for none
	Base       string          // of the control plane; "" without one
	Control    *convex.Control // with the best credential there is; nil without one
	UserToken  secret.String   // "" with deploy keys only
	session    *session        // with a Berth server
	app        *project.App
}

func (b *backend) close() {
	if b.session != nil {
		b.session.close()
	}
}

// variable looks a variable up as the convex command line does: the process's
// own, else what .env.local and .env hold.
func (b *backendFlags) variable(app *project.App, name string) (string, error) {
	if v, ok := b.env.Lookup(name); ok {
		return v, nil
	}
	return fileVariable(app, name)
}

func fileVariable(app *project.App, name string) (string, error) {
	for _, path := range []string{app.BackendEnvPath(), strings.TrimSuffix(app.BackendEnvPath(), ".local")} {
		file, err := app.ReadEnvFile(path)
		if err != nil {
			return "", err
		}
		if v, ok := file.Lookup(name); ok {
			return v, nil
		}
	}
	return "", nil
}

// cloudVars say, when the process has one of them, which deployment is meant.
var cloudVars = []string{provision.SelfHostedURLVar, provision.SelfHostedKeyVar, provision.DeployKeyVar, provision.DeploymentVar}

// open finds the deployment: what the process's variables name, else the one on
// the Berth server, else what .env.local names.
func (b *backendFlags) open(ctx context.Context) (*backend, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	app, err := b.target.app()
	if err != nil {
		return nil, err
	}
	for _, name := range cloudVars {
		if v := b.env.get(name); v != "" && v != "<ignore_deploy_key>" {
			return b.cloud(ctx, app, b.env.get)
		}
	}
	found, err := b.onServer(ctx, app)
	if fault.Code(err) != "no_connection" && fault.Code(err) != "not_on_server" {
		return found, err
	}
	for _, name := range cloudVars {
		v, fileErr := fileVariable(app, name)
		if fileErr != nil {
			return nil, fileErr
		}
		if v != "" {
			return b.cloud(ctx, app, func(name string) string {
				v, _ := b.variable(app, name) // it was read a moment ago
				return v
			})
		}
	}
	if fault.Code(err) == "not_on_server" {
		err = nil
	}
	return nil, cmp.Or(err, error(fault.New(fault.NeedsPerson, "no Convex deployment is named here").
		WithFix("run berth dev --once for one on this machine, or set %s, or %s with a login", provision.DeployKeyVar, provision.DeploymentVar).WithCode("no_deployment")))
}

// onServer opens the deployment on the Berth server.
func (b *backendFlags) onServer(ctx context.Context, app *project.App) (*backend, error) {
	r, err := b.request(ctx, app)
	if err != nil {
		return nil, err
	}
	b.target.kind = string(r.Kind)
	b.target.readOnly = !b.start
	conn, done, err := b.target.connect(ctx, app, r, b.start && r.Kind == claim.Dev)
	if err != nil {
		return nil, err
	}
	s := &session{target: &b.target, app: app, conn: conn, req: r, close: done}
	if !conn.HasServer() {
		done()
		return nil, fault.New(fault.NotFound, "no Berth server holds deployments here").WithCode("not_on_server")
	}
	out, err := b.embedded(ctx, s)
	if err != nil {
		done()
		return nil, err
	}
	return out, nil
}

func (b *backendFlags) embedded(ctx context.Context, s *session) (*backend, error) {
	access, err := b.env.FindServer(ctx)
	if err != nil {
		return nil, err
	}
	out := &backend{Type: convex.Type(s.req.Kind), Embedded: true, Server: access.URL, Base: access.URL, UserToken: access.Token, session: s, app: s.app}
	out.Control = convex.NewControl(access.URL, access.Token)
	out.Control.Name, out.Control.Observe = "the Berth server", b.target.observe
	if b.deployment != "" {
		creds, err := out.Control.AuthorizeWithinProject(ctx, b.deployment, convex.ByDeployment(b.deployment, ""))
		if err != nil {
			return nil, notThere(err, b.deployment)
		}
		return out, out.use(creds)
	}
	found, err := s.conn.Backend(ctx, s.req)
	if err != nil {
		return nil, err
	}
	if found.Deployment == nil && b.start && s.req.Kind == claim.Dev {
		if found, err = found.Open(ctx); err != nil {
			return nil, err
		}
	}
	if found.Deployment == nil {
		return nil, errNoBackend(s.req)
	}
	out.Title, out.Name, out.Deployment, out.AdminKey = found.Title, found.Name, found.Deployment, found.Key
	return out, nil
}

func errNoBackend(r provision.Request) error {
	return fault.New(fault.NotFound, "%s has no deployment yet", r.Title()).
		WithFix("make it with: berth %s", map[claim.Kind]string{claim.Dev: "dev --once", claim.Preview: "deploy", claim.Prod: "deploy"}[r.Kind]).WithCode("no_deployment")
}

func notThere(err error, name string) error {
	if !convex.NoAccess(err) && !fault.Is(err, fault.NotFound) {
		return err
	}
	return fault.Wrap(err, fault.NotFound, "there is no deployment %s, or not for this login", name).
		WithCode(fault.Code(err)).WithFix("check the name; berth status shows this checkout's own, berth login status who you are")
}

func (b *backend) use(c convex.Credentials) error {
	d, err := convex.NewDeployment(c.URL, c.AdminKey.Secret())
	if err != nil {
		return err
	}
	b.Deployment, b.AdminKey, b.Name = d, c.AdminKey.Secret(), c.DeploymentName
	if c.DeploymentType != "" {
		b.Type = c.DeploymentType
	}
	b.Title = "Convex deployment " + b.Name
	if b.Embedded {
		b.Title = "embedded deployment " + b.Name
	}
	return nil
}

// request is the deployment on the Berth server that the flags name.
func (b *backendFlags) request(ctx context.Context, app *project.App) (provision.Request, error) {
	switch {
	case b.prod:
		b.target.kind = "prod"
	case b.preview != "":
		b.target.kind, b.target.branch = "preview", b.preview
	case b.dev || b.deployment != "":
		b.target.kind = "dev"
	}
	if b.prod || b.preview != "" {
		// The build, if this is one, may be another deployment's.
		r := provision.Request{App: app, Project: projectSlug(cmp.Or(b.target.project, app.Name)), Kind: claim.Kind(b.target.kind), Attended: b.env.Interactive, Lookup: b.env.Lookup,
			Branch: b.preview, Reference: "prod"}
		if b.preview != "" {
			r.Reference = host.Slug(b.preview) // of nothing it is not empty
		}
		return r, nil
	}
	return b.target.request(ctx, app)
}

var deploymentNameShape = regexp.MustCompile(`^[a-z]+-[a-z]+-[0-9]+$`)

// cloud opens a deployment by the variables of the convex command line, in its
// order. Unlike that it refuses what a key cannot reach, instead of acting on
// the key's own deployment.
func (b *backendFlags) cloud(ctx context.Context, app *project.App, get func(string) string) (*backend, error) {
	out := &backend{app: app, Base: strings.TrimRight(cmp.Or(get(provision.ControlVar), convex.DefaultControlPlane), "/")}
	key, err := convex.ParseDeployKey(get(provision.DeployKeyVar))
	if err != nil {
		return nil, err
	}
	if out.UserToken, err = b.env.convexToken(out.Base); err != nil {
		return nil, err
	}
	credential := out.UserToken
	if credential == "" || key.Class == convex.ClassProject {
		credential = secret.String("")
		if key.Authorizes() {
			credential = key.Value
		}
	}
	out.Control = convex.NewControl(out.Base, credential)
	out.Control.Observe = b.target.observe
	if key.Class != convex.ClassNone {
		return out, b.byKey(ctx, out, key)
	}
	if at, admin := get(provision.SelfHostedURLVar), get(provision.SelfHostedKeyVar); at != "" || admin != "" {
		return out, b.selfHosted(out, at, secret.String(admin))
	}
	return out, b.byName(ctx, out, convex.ParseDeployment(get(provision.DeploymentVar)))
}

func (b *backendFlags) selfHosted(out *backend, at string, admin secret.String) error {
	if at == "" || admin == "" {
		return fault.New(fault.Invalid, "only one of %s and %s is set", provision.SelfHostedURLVar, provision.SelfHostedKeyVar).WithFix("set both, or neither")
	}
	if b.chosen() {
		return fault.New(fault.Invalid, "%s names the one deployment there is", provision.SelfHostedURLVar).WithFix("leave out --dev, --prod, --preview and --deployment").WithCode("deployment_ambiguous")
	}
	d, err := convex.NewDeployment(at, admin)
	if err != nil {
		return err
	}
	out.Title, out.Deployment, out.AdminKey, out.Control, out.Base = "self-hosted deployment "+d.URL(), d, admin, nil, ""
	return nil
}

func (b *backendFlags) byKey(ctx context.Context, out *backend, key convex.Key) error {
	other := func(wish string) error {
		return fault.New(fault.Invalid, "%s is a %s, and %s is asked for", provision.DeployKeyVar, key, wish).
			WithFix("unset %s, or give the key of that deployment", provision.DeployKeyVar).WithCode("wrong_deploy_key")
	}
	switch key.Class {
	case convex.ClassDeployment:
		switch {
		case b.prod && key.Type != convex.Prod:
			return other("production")
		case b.dev && key.Type != convex.Dev:
			return other("a dev deployment")
		case b.preview != "":
			return other("the preview " + b.preview)
		case b.deployment != "" && b.deployment != key.DeploymentName:
			return other(b.deployment)
		}
		at, err := out.Control.URLForKey(ctx, key)
		if err != nil {
			return err
		}
		return out.use(convex.Credentials{AdminKey: convex.Token(key.Value), URL: at, DeploymentName: key.DeploymentName, DeploymentType: key.Type})
	case convex.ClassPreview:
		name, err := b.previewName()
		switch {
		case err != nil:
			return err
		case b.dev || b.prod || b.deployment != "":
			return other("another deployment than a preview")
		case name == "":
			return fault.New(fault.NeedsPerson, "%s is a %s, and it is not said which preview is meant", provision.DeployKeyVar, key).WithFix("pass --preview NAME").WithCode("preview_unknown")
		}
		creds, err := out.Control.AuthorizePreview(ctx, name, convex.BySlugs(key.Team, key.Project))
		if err != nil {
			return notThere(err, "for the preview "+name)
		}
		return out.use(creds)
	default: // a project key
		if b.preview != "" || b.deployment != "" {
			return other("a deployment by name")
		}
		kind := convex.Dev
		if b.prod {
			kind = convex.Prod
		}
		creds, err := out.Control.ProvisionAndAuthorize(ctx, "", "", kind)
		if err != nil {
			return err
		}
		creds.DeploymentType = cmp.Or(creds.DeploymentType, kind)
		return out.use(creds)
	}
}

// previewName is the preview that is meant with a preview key.
func (b *backendFlags) previewName() (string, error) {
	if b.preview != "" {
		return b.preview, nil
	}
	build, err := host.Detect(b.env.Lookup, host.Options{})
	if err != nil || build.Kind != host.Preview {
		return "", nil
	}
	return build.Branch, nil
}

// byName opens a deployment with a person's token.
func (b *backendFlags) byName(ctx context.Context, out *backend, ref convex.DeploymentRef) error {
	if out.UserToken == "" {
		return errNoLogin(b.env, out.Base)
	}
	ours := convex.ByDeployment(ref.Name, ref.Type)
	var creds convex.Credentials
	var err error
	switch {
	case b.prod:
		creds, err = out.Control.AuthorizeProd(ctx, ref.Name)
	case b.preview != "":
		creds, err = out.Control.AuthorizePreview(ctx, b.preview, ours)
	case b.deployment != "":
		name := b.deployment
		if !deploymentNameShape.MatchString(name) {
			var project convex.TeamAndProject
			if project, err = out.Control.TeamAndProject(ctx, ref.Name); err == nil {
				name, err = out.Control.DeploymentByReference(ctx, project.Team, project.Project, name)
			}
		}
		if err == nil {
			creds, err = out.Control.AuthorizeWithinProject(ctx, name, ours)
		}
	case b.dev && ref.Type != "" && ref.Type != convex.Dev:
		var project convex.TeamAndProject
		if project, err = out.Control.TeamAndProject(ctx, ref.Name); err == nil {
			creds, err = out.Control.ProvisionAndAuthorize(ctx, project.Team, project.Project, convex.Dev)
			creds.DeploymentType = cmp.Or(creds.DeploymentType, convex.Dev)
		}
	default:
		creds, err = out.Control.AuthorizeWithinProject(ctx, ref.Name, ours)
	}
	if err != nil {
		return notThere(err, cmp.Or(b.deployment, b.preview, ref.Name))
	}
	return out.use(creds)
}
