package convex

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// DefaultControlPlane is where the convex command line finds the control plane
// unless CONVEX_PROVISION_HOST says otherwise.
const DefaultControlPlane = "https://api.convex.dev"

// clientVersion is the command line whose calls these are. Convex reads it to
// choose between versions of its protocol.
const clientVersion = "npm-cli-1.48.0"

// Control calls the Convex control plane. Errors are those of [wire.Client.Do]:
// the codes DeploymentNotFound and ProjectNotFound mean no access as well as
// no such thing.
type Control struct {
	wire.Client
}

// NewControl returns a client of the control plane at base that presents
// credential (a user token, a team token or a deploy key, whole) with every
// call. An empty credential sends none: url_for_key works without.
func NewControl(base string, credential secret.String) *Control {
	return &Control{wire.Client{
		Base:      base,
		Name:      "Convex",
		Authorize: bearer("Bearer", credential),
		Header:    http.Header{"Convex-Client": {clientVersion}},
	}}
}

func bearer(scheme string, credential secret.String) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if credential == "" {
			return "", nil
		}
		return scheme + " " + credential.Reveal(), nil
	}
}

// ask posts a question that changes nothing, so that it may be repeated.
func (c *Control) ask(ctx context.Context, path string, body, out any) error {
	return c.Do(ctx, wire.Call{Method: http.MethodPost, Path: path, Body: body, Out: out, Repeatable: true})
}

// TeamAndProject looks up the project of a deployment.
func (c *Control) TeamAndProject(ctx context.Context, deployment string) (TeamAndProject, error) {
	var out TeamAndProject
	err := c.Do(ctx, wire.Call{Method: http.MethodGet, Path: "/api/deployment/" + url.PathEscape(deployment) + "/team_and_project", Out: &out})
	return out, err
}

// AuthorizeWithinProject gives the credentials of a deployment of a project.
func (c *Control) AuthorizeWithinProject(ctx context.Context, deployment string, project ProjectSelection) (Credentials, error) {
	var out Credentials
	err := c.credentials(ctx, "/api/deployment/authorize_within_current_project", AuthorizeWithinRequest{deployment, project}, &out)
	return out, err
}

// AuthorizeProd gives the credentials of the default production deployment of
// the project that deployment belongs to.
func (c *Control) AuthorizeProd(ctx context.Context, deployment string) (Credentials, error) {
	var out Credentials
	err := c.credentials(ctx, "/api/deployment/authorize_prod", AuthorizeProdRequest{deployment}, &out)
	return out, err
}

// AuthorizePreview gives the credentials of an existing preview deployment.
func (c *Control) AuthorizePreview(ctx context.Context, preview string, project ProjectSelection) (Credentials, error) {
	var out Credentials
	err := c.credentials(ctx, "/api/deployment/authorize_preview", AuthorizePreviewRequest{preview, project}, &out)
	return out, err
}

// ProvisionAndAuthorize gives the caller's dev deployment or the production
// deployment, made if need be. Empty slugs leave the project to a project key.
func (c *Control) ProvisionAndAuthorize(ctx context.Context, team, project string, kind Type) (Credentials, error) {
	request := ProvisionRequest{DeploymentType: kind}
	if team != "" {
		request.TeamSlug, request.ProjectSlug = &team, &project
	}
	var out Credentials
	err := c.credentials(ctx, "/api/deployment/provision_and_authorize", request, &out)
	return out, err
}

func (c *Control) credentials(ctx context.Context, path string, body any, out *Credentials) error {
	if err := c.ask(ctx, path, body, out); err != nil {
		return err
	}
	if out.AdminKey == "" || out.URL == "" {
		return fault.New(fault.Unavailable, "Convex answered %s without credentials", path)
	}
	return nil
}

// ClaimPreview gives the preview deployment of that name, made if need be.
// Without reuse an existing one is deleted first.
func (c *Control) ClaimPreview(ctx context.Context, project ProjectSelection, name string, reuse bool) (PreviewDeployment, error) {
	const path = "/api/claim_preview_deployment"
	var out PreviewDeployment
	err := c.Do(ctx, wire.Call{
		Method: http.MethodPost, Path: path,
		Body: ClaimPreviewRequest{project, name, reuse}, Out: &out,
		Repeatable: reuse, // a second call without reuse would delete what the first made
	})
	if err == nil && (out.AdminKey == "" || out.InstanceURL == "") {
		err = fault.New(fault.Unavailable, "Convex answered %s without credentials", path)
	}
	return out, err
}

// URLForKey gives the origin of the deployment that a deploy key is for.
func (c *Control) URLForKey(ctx context.Context, key Key) (string, error) {
	var out string
	err := c.ask(ctx, "/api/deployment/url_for_key", DeployKeyRequest{Token(key.Value)}, &out)
	return out, err
}

// TeamAndProjectForKey looks up the project that a deploy key is for.
func (c *Control) TeamAndProjectForKey(ctx context.Context, key Key) (TeamAndProject, error) {
	var out TeamAndProject
	err := c.ask(ctx, "/api/deployment/team_and_project_for_key", DeployKeyRequest{Token(key.Value)}, &out)
	return out, err
}

// DeleteDeployment deletes a deployment with its data (Platform API). Deleting
// one that is not there is no error: an earlier call may have lost its answer.
func (c *Control) DeleteDeployment(ctx context.Context, name string) error {
	err := c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/v1/deployments/" + url.PathEscape(name) + "/delete", Repeatable: true})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
