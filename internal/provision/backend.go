package provision

import (
	"context"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// Names of the variables that say where the Convex deployment is.
const (
	DeployKeyVar     = "CONVEX_DEPLOY_KEY"
	DeploymentVar    = "CONVEX_DEPLOYMENT"
	SelfHostedURLVar = "CONVEX_SELF_HOSTED_URL"
	SelfHostedKeyVar = "CONVEX_SELF_HOSTED_ADMIN_KEY"
	ControlVar       = "CONVEX_PROVISION_HOST"
	AccessTokenVar   = "CONVEX_OVERRIDE_ACCESS_TOKEN"
	defaultControl   = "https://api.convex.dev"
)

// Backend is the Convex deployment that a claim is for.
type Backend struct {
	Title      string             // for people
	Embedded   bool               // it lives on the Berth server
	Name       string             // deployment name, "" when it is not known
	Deployment *convex.Deployment // nil: it does not exist yet, or nobody said which it is
	Key        secret.String      // what Deployment presents
	Why        string             // why Deployment is nil
	open       func(ctx context.Context) (*Backend, error)
}

// Open returns the backend with its deployment, made when need be.
func (b *Backend) Open(ctx context.Context) (*Backend, error) {
	if b.Deployment != nil || b.open == nil {
		return b, nil
	}
	return b.open(ctx)
}

func (c *Connection) deployment(name, url string, key secret.String, embedded bool) (*Backend, error) {
	d, err := convex.NewDeployment(url, key)
	if err != nil {
		return nil, err
	}
	d.Observe = c.Observe
	title := "Convex deployment " + name
	if embedded {
		title = "embedded deployment " + name
	}
	return &Backend{Title: title, Embedded: embedded, Name: name, Deployment: d, Key: key}, nil
}

// HasServer reports whether the connection has a Berth server, which may hold
// deployments, and not only a ledger.
func (c *Connection) HasServer() bool { return c.serverURL != "" }

// Backend finds the deployment of a request without making one; [Backend.Open]
// makes it.
func (c *Connection) Backend(ctx context.Context, r Request) (*Backend, error) {
	return c.backend(ctx, r)
}

// backend finds the deployment of a request without making one.
func (c *Connection) backend(ctx context.Context, r Request) (*Backend, error) {
	get := func(name string) string {
		v, _ := r.Lookup(name)
		return v
	}
	switch {
	case get(SelfHostedURLVar) != "" || get(SelfHostedKeyVar) != "":
		if get(SelfHostedURLVar) == "" || get(SelfHostedKeyVar) == "" {
			return nil, fault.New(fault.Invalid, "only one of %s and %s is set", SelfHostedURLVar, SelfHostedKeyVar).WithFix("set both, or neither")
		}
		return c.deployment(get(SelfHostedURLVar), get(SelfHostedURLVar), secret.String(get(SelfHostedKeyVar)), false)
	case get(DeployKeyVar) != "":
		key, err := convex.ParseDeployKey(get(DeployKeyVar))
		if err != nil {
			return nil, err
		}
		if key.Class != convex.ClassNone {
			return c.backendOfKey(ctx, r, key, get(ControlVar))
		}
	}
	if ref := convex.ParseDeployment(get(DeploymentVar)); ref.Name != "" && r.Kind == claim.Dev {
		token := secret.String(get(AccessTokenVar))
		if token == "" {
			return &Backend{Title: "Convex deployment " + ref.Name, Name: ref.Name,
				Why: "there is no Convex login here, so the variables of " + ref.Name + " are not touched; run `npx convex env set` with the values that berth status names, or set " + DeployKeyVar}, nil
		}
		control := c.control(get(ControlVar), token)
		creds, err := control.AuthorizeWithinProject(ctx, ref.Name, convex.ByDeployment(ref.Name, ref.Type))
		if err != nil {
			return nil, err
		}
		return c.deployment(creds.DeploymentName, creds.URL, creds.AdminKey.Secret(), false)
	}
	if c.Embedded || c.serverURL != "" {
		return c.embedded(ctx, r)
	}
	return &Backend{Title: "no Convex deployment", Why: "no Convex deployment is named here (" + DeployKeyVar + ", " + DeploymentVar + " or " + SelfHostedURLVar + "), so no deployment variables are set"}, nil
}

func (c *Connection) control(base string, credential secret.String) *convex.Control {
	if base == "" {
		base = defaultControl
	}
	control := convex.NewControl(strings.TrimRight(base, "/"), credential)
	control.Observe = c.Observe
	return control
}

func (c *Connection) backendOfKey(ctx context.Context, r Request, key convex.Key, base string) (*Backend, error) {
	control := c.control(base, key.Value)
	switch key.Class {
	case convex.ClassDeployment:
		url, err := control.URLForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		return c.deployment(key.DeploymentName, url, key.Value, false)
	case convex.ClassPreview:
		if r.Kind != claim.Preview {
			return nil, fault.New(fault.Invalid, "%s is a preview key, and this is a %s deployment", DeployKeyVar, r.Kind).
				WithFix("unset %s here; a preview key belongs into preview builds", DeployKeyVar).WithCode("wrong_deploy_key")
		}
		project := convex.BySlugs(key.Team, key.Project)
		name := r.Branch
		return &Backend{Title: "Convex preview " + name, Why: "it is claimed when the plan is applied", open: func(ctx context.Context) (*Backend, error) {
			d, err := control.ClaimPreview(ctx, project, name, true)
			if err != nil {
				return nil, err
			}
			return c.deployment(d.DeploymentName, d.InstanceURL, d.AdminKey.Secret(), false)
		}}, nil
	case convex.ClassProject:
		return &Backend{Title: "Convex " + string(r.Kind) + " deployment", Why: "it is opened when the plan is applied", open: func(ctx context.Context) (*Backend, error) {
			creds, err := control.ProvisionAndAuthorize(ctx, "", "", convexKind(r.Kind))
			if err != nil {
				return nil, err
			}
			return c.deployment(creds.DeploymentName, creds.URL, creds.AdminKey.Secret(), false)
		}}, nil
	}
	return nil, fault.New(fault.Invalid, "%s is of a kind that Berth does not know", DeployKeyVar)
}

// embedded finds the deployment's record on the Berth server.
func (c *Connection) embedded(ctx context.Context, r Request) (*Backend, error) {
	control := c.embeddedControl(r)
	all, err := c.Ledger.Deployments(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if d.Project != r.Project || d.Kind != r.Kind || d.Reference != r.backendReference() {
			continue
		}
		creds, err := control.AuthorizeWithinProject(ctx, d.Name, convex.ByDeployment(d.Name, convexKind(d.Kind)))
		if err != nil {
			return nil, err
		}
		return c.deployment(creds.DeploymentName, creds.URL, creds.AdminKey.Secret(), true)
	}
	open := func(ctx context.Context) (*Backend, error) {
		if r.Kind == claim.Preview {
			d, err := control.ClaimPreview(ctx, convex.BySlugs(c.TeamSlug, r.Project), r.backendReference(), true)
			if err != nil {
				return nil, err
			}
			return c.deployment(d.DeploymentName, d.InstanceURL, d.AdminKey.Secret(), true)
		}
		creds, err := control.ProvisionAndAuthorize(ctx, c.TeamSlug, r.Project, convexKind(r.Kind))
		if err != nil {
			return nil, err
		}
		return c.deployment(creds.DeploymentName, creds.URL, creds.AdminKey.Secret(), true)
	}
	return &Backend{Title: "embedded deployment (new)", Embedded: true, open: open}, nil
}

// backendReference is how the control plane tells deployments of one kind
// apart: previews by the raw branch name, as Convex does.
func (r Request) backendReference() string {
	if r.Kind == claim.Preview {
		return r.Branch
	}
	return r.Reference
}

func (c *Connection) embeddedControl(r Request) *convex.Control {
	control := &convex.Control{Client: wire.Client{Base: c.Ledger.Wire.Base, Name: "the Berth server", Authorize: c.Ledger.Wire.Authorize, Observe: c.Observe}}
	if r.Kind == claim.Dev {
		control.Header = http.Header{berth.OwnerHeader: {r.Reference}}
	}
	return control
}
