// Package control serves the part of Convex's control plane that gives out
// deployments: one per developer, one per branch, one for production. A team
// token stands for a user of that team; a header names the developer.
package control

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// API serves the surface.
type API struct {
	DB      *store.DB
	Log     *slog.Logger
	BaseURL func() string
	// Gone is called after a preview deployment was deleted, so that its auth
	// environment goes with it.
	Gone func(ctx context.Context, t *store.Team, project, branch string) error
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: a.Log, Answer: answer}
	team := func(pattern string, h func(*store.Team, http.ResponseWriter, *http.Request) error) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			t, err := a.DB.TeamByToken(r.Context(), route.Bearer(r))
			if err != nil {
				return err
			}
			return h(t, w, r)
		})
	}
	team("HEAD /api/authorize", func(_ *store.Team, w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	team("GET /api/deployment/{name}/team_and_project", a.teamAndProject)
	team("POST /api/deployment/provision_and_authorize", a.provision)
	team("POST /api/deployment/authorize_within_current_project", a.authorizeWithin)
	team("POST /api/deployment/authorize_prod", a.authorizeProd)
	team("POST /api/deployment/authorize_preview", a.authorizePreview)
	team("POST /api/claim_preview_deployment", a.claimPreview)
	team("POST /v1/deployments/{name}/delete", a.delete)
}

func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	code := f.Code
	if code == "" {
		code = string(f.Kind)
	}
	_ = route.JSON(w, route.Status(f.Kind), convex.ErrorBody{Code: code, Message: f.Message}) // the client is gone
}

func missing(name string) error {
	return fault.New(fault.NotFound, "deployment %q was not found", name).WithCode("DeploymentNotFound")
}

// named returns the team's deployment with the given name.
func (a *API) named(t *store.Team, r *http.Request, name string) (store.Deployment, error) {
	d, err := a.DB.DeploymentByName(r.Context(), name)
	if err == nil && d.TeamID != t.ID {
		err = missing(name)
	}
	return d, err
}

// project returns the slug of the selected project. A team reaches its own only.
func (a *API) project(t *store.Team, r *http.Request, s convex.ProjectSelection) (string, error) {
	if s.Kind == "deploymentName" {
		d, err := a.named(t, r, s.DeploymentName)
		return d.Project, err
	}
	if s.TeamSlug != t.Slug || s.ProjectSlug == "" {
		return "", fault.New(fault.NotFound, "project %s:%s was not found", s.TeamSlug, s.ProjectSlug).WithCode("ProjectNotFound")
	}
	return s.ProjectSlug, nil
}

func (a *API) credentials(d store.Deployment) convex.Credentials {
	reference := d.Reference
	isDefault := d.Kind == claim.Prod
	return convex.Credentials{AdminKey: convex.Token(a.DB.AdminKey(d).Reveal()), URL: a.BaseURL(), DeploymentName: d.Name,
		DeploymentType: convex.Type(d.Kind), Reference: &reference, IsDefault: &isDefault}
}

func (a *API) teamAndProject(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	d, err := a.named(t, r, r.PathValue("name"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, convex.TeamAndProject{Team: t.Slug, Project: d.Project})
}

func (a *API) provision(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req convex.ProvisionRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if req.TeamSlug == nil || *req.TeamSlug != t.Slug || req.ProjectSlug == nil || *req.ProjectSlug == "" {
		return fault.New(fault.NotFound, "the project was not found in team %s", t.Slug).WithCode("ProjectNotFound")
	}
	kind, reference := claim.Prod, "prod"
	switch req.DeploymentType {
	case convex.Prod:
	case convex.Dev:
		kind, reference = claim.Dev, r.Header.Get(berth.OwnerHeader)
		if reference == "" {
			reference = "default"
		}
	default:
		return fault.New(fault.Invalid, "deploymentType must be dev or prod").WithCode("InvalidDeploymentType")
	}
	d, _, err := t.OpenDeployment(r.Context(), *req.ProjectSlug, kind, reference, false)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, a.credentials(d))
}

func (a *API) authorizeWithin(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req convex.AuthorizeWithinRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	project, err := a.project(t, r, req.ProjectSelection)
	if err != nil {
		return err
	}
	d, err := a.named(t, r, req.SelectedDeploymentName)
	if err != nil {
		return err
	}
	if d.Project != project {
		return missing(req.SelectedDeploymentName)
	}
	return route.JSON(w, http.StatusOK, a.credentials(d))
}

func (a *API) authorizeProd(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req convex.AuthorizeProdRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	any, err := a.named(t, r, req.DeploymentName)
	if err != nil {
		return err
	}
	return a.existing(t, w, r, any.Project, claim.Prod, "prod")
}

func (a *API) authorizePreview(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req convex.AuthorizePreviewRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	project, err := a.project(t, r, req.ProjectSelection)
	if err != nil {
		return err
	}
	return a.existing(t, w, r, project, claim.Preview, req.PreviewName)
}

// existing answers with the credentials of a deployment that is already there.
func (a *API) existing(t *store.Team, w http.ResponseWriter, r *http.Request, project string, kind claim.Kind, reference string) error {
	all, err := t.Deployments(r.Context())
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Project == project && d.Kind == kind && d.Reference == reference {
			return route.JSON(w, http.StatusOK, a.credentials(d))
		}
	}
	return missing(string(kind) + "/" + reference)
}

func (a *API) claimPreview(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req convex.ClaimPreviewRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	project, err := a.project(t, r, req.ProjectSelection)
	if err != nil {
		return err
	}
	if req.Identifier == "" {
		return fault.New(fault.Invalid, "a preview needs a name").WithCode("InvalidPreviewName")
	}
	d, created, err := t.OpenDeployment(r.Context(), project, claim.Preview, req.Identifier, !req.Reuse)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, convex.PreviewDeployment{AdminKey: convex.Token(a.DB.AdminKey(d).Reveal()), InstanceURL: a.BaseURL(),
		DeploymentName: d.Name, IsNewDeployment: created, Reference: &d.Reference})
}

func (a *API) delete(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	d, err := a.named(t, r, r.PathValue("name"))
	if err != nil {
		return err
	}
	if d.Kind == claim.Prod {
		return fault.New(fault.Denied, "the production deployment %s is not deleted through this call", d.Name).WithCode("CannotDeleteProd")
	}
	if err := t.DeleteDeployment(r.Context(), d.Project, d.Kind, d.Reference); err != nil {
		return err
	}
	if d.Kind == claim.Preview {
		if err := a.Gone(r.Context(), t, d.Project, d.Reference); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
