// Package control serves Convex's control plane as its command line, dashboard
// and Platform API (/v1) speak it: teams and their members, projects,
// deployments with their keys, default variables, and the auth environments of
// the WorkOS integration, which are Berth's own.
//
// Whoever calls shows a personal access token, a team token or a deploy key;
// package store says what that may do. What a caller has nothing to do with is
// not there for it (404); what it may not do is refused (403).
package control

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// PreviewLifetime is how long a preview deployment stays, as Convex keeps it on
// its free plan.
const PreviewLifetime = 5 * 24 * time.Hour

// API serves the surface.
type API struct {
	DB      *store.DB
	Auth    *auth.Service
	Log     *slog.Logger
	BaseURL func() string                 // of the server, where auth environments live
	URL     func(store.Deployment) string // origin of a deployment's functions
	// MailIsSent says that the members' environment can mail people.
	MailIsSent bool
	// PreviewLifetime is how long previews stay; 0: the constant of that name.
	PreviewLifetime time.Duration
	// Gone is called after a preview deployment was deleted, so that its auth
	// environment goes with it.
	Gone func(ctx context.Context, t *store.Team, project, branch string) error
	// Forget is called after deployments were deleted or made anew.
	Forget func(ctx context.Context) error
}

// call is a request of somebody.
type call struct {
	*API
	*store.Caller
	w http.ResponseWriter
	r *http.Request
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: a.Log, Answer: answer}
	on := func(pattern string, h func(*call) error) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			caller, err := a.DB.Caller(r.Context(), route.Bearer(r))
			if err != nil {
				return err
			}
			return h(&call{a, caller, w, r})
		})
	}
	on("HEAD /api/authorize", func(c *call) error {
		c.w.WriteHeader(http.StatusOK)
		return nil
	})
	a.mountDeployments(on)
	a.mountTeams(on)
	a.mountIntegration(on)
	a.mountPlatform(on)
	a.mountVariables(on)
	a.mountKeys(on)
	// The key in the body is the credential: keys that only select a deployment
	// come without another one.
	s.Handle(mux, "POST /api/deployment/url_for_key", a.urlForKey)
	s.Handle(mux, "POST /api/deployment/team_and_project_for_key", a.teamAndProjectForKey)
	s.Handle(mux, "POST /v1/create_personal_access_token", a.createPersonalToken)
	s.Handle(mux, "GET /v1/version", func(w http.ResponseWriter, _ *http.Request) error {
		return route.JSON(w, http.StatusOK, map[string]any{"message": nil})
	})
}

func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	code := f.Code
	if code == "" {
		code = string(f.Kind)
	}
	_ = route.JSON(w, route.Status(f.Kind), convex.ErrorBody{Code: code, Message: f.Message}) // the client is gone
}

func (c *call) ctx() context.Context { return c.r.Context() }

func (c *call) read(v any) error { return route.Read(c.r, v) }

func (c *call) ok(v any) error { return route.JSON(c.w, http.StatusOK, v) }

// empty is the answer of calls without one. The command line takes a body of no
// bytes for an empty one only when its length is said.
func (c *call) empty() error {
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func missing(name string) error {
	return fault.New(fault.NotFound, "The deployment %s was not found.", name).WithCode(convex.CodeDeploymentNotFound)
}

func forbidden(what string) error {
	return fault.New(fault.Denied, "You do not have permission to %s.", what).WithCode("Forbidden")
}

func invalid(code, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode(code)
}

// named returns a deployment of a project that the caller sees.
func (c *call) named(name string) (store.Deployment, error) {
	d, err := c.DB.DeploymentByName(c.ctx(), name)
	if fault.Is(err, fault.NotFound) || err == nil && !c.MaySee(store.Project{ID: d.ProjectID, TeamID: d.TeamID}) {
		return store.Deployment{}, missing(name)
	}
	return d, err
}

// usable returns a deployment that is the caller's to use, for an action that a
// key may be restricted from.
func (c *call) usable(name, action string) (store.Deployment, error) {
	d, err := c.named(name)
	if err != nil {
		return d, err
	}
	return d, c.may(d, action)
}

func (c *call) may(d store.Deployment, action string) error {
	if !c.MayUse(d) {
		switch d.Kind {
		case claim.Prod:
			return forbidden("use the production deployment " + d.Name + ": it takes an admin of the team or the project")
		case claim.Dev:
			return forbidden("use the dev deployment " + d.Name + " of somebody else")
		}
		return forbidden("use the deployment " + d.Name)
	}
	d.Actions = c.Key.Actions
	if action != "" && !d.May(action) {
		return forbidden("perform this operation (" + action + ")")
	}
	return nil
}

// projectNamed returns the project that slugs name. One that is not there has
// no ID: some calls make it.
func (c *call) projectNamed(team, project string) (*store.Team, store.Project, error) {
	gone := fault.New(fault.NotFound, "The project %s:%s was not found.", team, project).WithCode(convex.CodeProjectNotFound)
	t, err := c.TeamNamed(c.ctx(), team, 0)
	if fault.Is(err, fault.NotFound) || err == nil && project == "" {
		return nil, store.Project{}, gone
	}
	if err != nil {
		return nil, store.Project{}, err
	}
	p, err := t.ProjectBySlug(c.ctx(), project)
	if fault.Is(err, fault.NotFound) {
		if c.IsKey() || store.Slug(project) != project {
			return nil, p, gone
		}
		return t, store.Project{TeamID: t.ID, TeamSlug: t.Slug, Slug: project}, nil
	}
	if err == nil && !c.MaySee(p) {
		err = gone
	}
	return t, p, err
}

// selected returns the project of a selection.
func (c *call) selected(s convex.ProjectSelection) (*store.Team, store.Project, error) {
	if s.Kind != "deploymentName" {
		return c.projectNamed(s.TeamSlug, s.ProjectSlug)
	}
	d, err := c.named(s.DeploymentName)
	if err != nil {
		return nil, store.Project{}, err
	}
	return c.projectOf(d)
}

func (c *call) projectOf(d store.Deployment) (*store.Team, store.Project, error) {
	t, err := c.Team(c.ctx(), d.TeamID)
	if err != nil {
		return nil, store.Project{}, err
	}
	p, err := c.DB.ProjectByID(c.ctx(), d.ProjectID)
	return t, p, err
}
