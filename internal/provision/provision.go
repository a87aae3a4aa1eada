// Package provision gives a deployment its sign-in and takes it away again. It
// is what dev, deploy, apply, status and prune have in common: find out what
// the app asks for and where its environment is or should be, make the plan,
// apply it, and keep the ledger of claims true at every step.
//
// The order of a run is always the same. The claim is recorded before any
// vendor is called; entries are recorded as Berth's own before they are sent;
// the claim becomes live when all is in place. A run that stops anywhere is
// finished by running the same command again.
package provision

import (
	"context"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
)

// Names of the variables that make up an environment's credentials.
const (
	ClientIDVar      = "WORKOS_CLIENT_ID"
	APIKeyVar        = "WORKOS_API_KEY"
	EnvironmentIDVar = "WORKOS_ENVIRONMENT_ID"
	CookieVar        = "WORKOS_COOKIE_PASSWORD"
)

// Request says for which deployment something is to be done.
type Request struct {
	App       *project.App
	Kind      claim.Kind
	Build     *host.Build // nil for a developer's own deployment
	Reference string      // developer's worktree id, branch slug, or "prod"
	Branch    string      // raw branch name, may be empty
	Owner     string      // developer, for people
	Project   string      // slug of the project
	Repo      string      // owner/name, may be empty
	Port      int         // of the web server; dev only
	RealPort  project.Port
	Extra     []string      // further origins that people open
	Mode      claim.Mode    // wish, "" for none
	Lifetime  time.Duration // of a preview's claim
	Attended  bool          // a person can be asked; decides how missing build variables are taken
	NoFiles   bool          // leave .env.local alone
	Lookup    func(name string) (string, bool)
	Listeners project.Listeners
}

// Deployment returns the claim's key of the request.
func (r Request) Deployment() string { return claim.DeploymentKey(r.Project, r.Kind, r.Reference) }

// Title names the deployment for people.
func (r Request) Title() string {
	switch {
	case r.Kind == claim.Prod:
		return r.Project + " production"
	case r.Kind == claim.Preview:
		return r.Project + " preview " + r.Branch
	case r.Owner != "":
		return r.Project + " dev of " + r.Owner
	default:
		return r.Project + " dev"
	}
}

// Prepared is a plan with what it was made from. Making it wrote nothing.
type Prepared struct {
	Request  Request
	Plan     plan.Plan
	Problems []plan.Problem // refusals first; with any refusal nothing may be applied
	Config   *project.Config
	Findings []project.Finding
	Reason   string // why the placement is what it is
	Idle     string // not empty: why there is nothing to do for this kind of deployment

	conn     *Connection
	claim    claim.Request
	grant    *claim.Grant // nil when there is no claim yet
	peer     *claim.Grant // of another deployment on the same shared environment, when there is no claim yet
	renewed  bool         // the claim has to be written
	backend  *Backend
	resolved *project.Resolved
	made     claim.Entries // added by this run
}

// Refused returns the first problem that forbids to apply, as an error.
func (p *Prepared) Refused() error {
	for _, problem := range p.Problems {
		if problem.Severity == plan.Refuse {
			return fault.New(fault.Invalid, "%s", problem.Message).WithFix("%s", problem.Fix).WithCode(problem.Code)
		}
	}
	return nil
}

// Environment is what a build command or a developer's process gets to know.
type Environment struct {
	Placement claim.Placement
	APIKey    secret.String
	Variables []Variable // sorted by name
}

// Variable is one environment variable for a child process.
type Variable struct {
	Name   string
	Value  secret.String
	Public bool // may be shown
}

// Vars returns the variables that hand the environment to the app: the
// credentials, where the server is, and the framework's own names.
func (p *Prepared) vars(pl claim.Placement, key secret.String) []Variable {
	fw := p.Request.App.Framework
	var out []Variable
	add := func(name, value string, public bool) {
		if name == "" || value == "" {
			return
		}
		for _, v := range out {
			if v.Name == name {
				return
			}
		}
		out = append(out, Variable{Name: name, Value: secret.String(value), Public: public})
	}
	add(ClientIDVar, pl.ClientID, true)
	add(APIKeyVar, key.Reveal(), false)
	add(EnvironmentIDVar, pl.EnvironmentID, true)
	add(fw.ClientID, pl.ClientID, true)
	add(fw.RedirectURI, p.redirectURI(), true)
	if fw.Server {
		add(CookieVar, cookiePassword(key, p.Request.Deployment()), false)
	}
	for _, v := range serverVars(fw, p.conn.APIBase, p.conn.Embedded) {
		add(v.Name, v.Value, true)
	}
	return out
}

// redirectURI is the one redirect URI that goes into a variable: the first
// that convex.json names, on the stable host of a build.
func (p *Prepared) redirectURI() string {
	if b := p.Request.Build; b != nil {
		if stable := b.StableOrigin(); stable != "" {
			for _, uri := range p.claim.Want.RedirectURIs {
				if strings.HasPrefix(uri, stable+"/") || uri == stable {
					return uri
				}
			}
		}
	}
	if p.resolved != nil && len(p.resolved.RedirectURIs) > 0 {
		return p.resolved.RedirectURIs[0]
	}
	if len(p.claim.Want.RedirectURIs) > 0 {
		return p.claim.Want.RedirectURIs[0]
	}
	return ""
}

// serverVars point the AuthKit kits at another server than WorkOS's.
func serverVars(fw project.Framework, base string, embedded bool) []project.Template {
	if !embedded {
		return nil
	}
	scheme, rest, _ := strings.Cut(base, "://")
	name, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		name, port = rest[:i], rest[i+1:]
	}
	prefix := ""
	if !fw.Server {
		prefix = fw.Prefix
	}
	out := []project.Template{{Name: prefix + "WORKOS_API_HOSTNAME", Value: name}, {Name: prefix + "WORKOS_API_HTTPS", Value: map[bool]string{true: "true", false: "false"}[scheme == "https"]}}
	if port != "" {
		out = append(out, project.Template{Name: prefix + "WORKOS_API_PORT", Value: port})
	}
	return out
}

// Prepare makes the plan for a request. It reads and writes nothing.
func (c *Connection) Prepare(ctx context.Context, r Request) (p *Prepared, err error) {
	err = again(ctx, func() (bool, error) {
		p = &Prepared{Request: r, conn: c}
		err := p.prepare(ctx)
		return err != nil && c.overtaken(ctx, p, err), err
	})
	return p, err
}

func (p *Prepared) prepare(ctx context.Context) error {
	if err := p.readConfig(); err != nil || p.Idle != "" {
		return err
	}
	if err := CheckKeys(p.Request, p.conn.Given); err != nil {
		return err
	}
	if err := p.findPlacement(ctx); err != nil {
		return err
	}
	if err := p.want(); err != nil {
		return err
	}
	return p.diff(ctx)
}

// CheckKeys refuses credentials of the wrong kind by what can be known without
// using them (R39, R82). given may be nil. What convex.json cannot be read for
// is left to Prepare.
func CheckKeys(r Request, given *Given) error {
	if r.App == nil {
		return nil
	}
	cfg, err := r.App.ReadConfig()
	if err != nil {
		return nil
	}
	section := cfg.Section(project.Kind(r.Kind))
	if section == nil {
		return nil
	}
	p := &Prepared{Request: r, Config: cfg, conn: &Connection{Given: given}}
	p.Problems = plan.Check(plan.Desired{}, plan.Kind(r.Kind), p.keys())
	return p.Refused()
}

// convexKind is the type that the Convex control plane knows a kind by.
func convexKind(k claim.Kind) convex.Type { return convex.Type(k) }

// RedirectURIs are the redirect URIs of the newest deploy.
func (p *Prepared) RedirectURIs() []string { return p.claim.Want.Normal().RedirectURIs }

// RestartNeeded reports whether the plan changes files that a dev server reads
// when it starts.
func (p *Prepared) RestartNeeded() bool {
	for _, c := range p.Plan.Changes {
		if c.Resource == plan.File && c.Name == p.Request.App.Rel(p.Request.App.EnvPath()) {
			return true
		}
	}
	return false
}
