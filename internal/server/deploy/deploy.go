// Package deploy serves the embedded Convex deployments: each on origins of its
// own (Origins, Surface), and on the server's own origin (API) what Berth asks
// about them, with their variables, where the admin key in a request selects one.
package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// API serves the surface.
type API struct {
	DB      *store.DB
	Log     *slog.Logger
	Fetch   *deployment.Fetcher
	Origins *Origins
	// Changed is called after a deployment was changed in the store.
	Changed func(ctx context.Context, name string) error
}

// VendorHost is the host that unmodified templates name in auth.config. Inside
// embedded deployments, and only there, it stands for this server.
const VendorHost = "api.workos.com"

// Resolve sends fetches of key sets to the server in this process: those of
// its own address and those of the vendor's host name.
func Resolve(self http.Handler, baseURL func() string) func(string) (deployment.Target, bool) {
	return func(rawURL string) (deployment.Target, bool) {
		u, err := url.Parse(rawURL)
		if err != nil || !strings.HasPrefix(u.Path, "/sso/jwks/") && !strings.HasPrefix(u.Path, "/user_management/") {
			return deployment.Target{}, false
		}
		if u.Scheme == "https" && u.Host == VendorHost || strings.HasPrefix(rawURL, baseURL()+"/") {
			return deployment.Target{Handler: self}, true
		}
		return deployment.Target{}, false
	}
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: a.Log, Answer: answer}
	admin := func(pattern string, h func(store.Deployment, http.ResponseWriter, *http.Request) error) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			d, err := a.admin(r)
			if err != nil {
				return err
			}
			return h(d, w, r)
		})
	}
	admin("GET /api/v1/list_environment_variables", a.listVariables)
	admin("POST /api/v1/update_environment_variables", a.updateVariables)
	admin("POST /api/update_environment_variables", a.updateVariables)
	admin("GET /api/v1/get_canonical_urls", func(d store.Deployment, w http.ResponseWriter, r *http.Request) error {
		cloud, site := a.Origins.URLs(d)
		return route.JSON(w, http.StatusOK, convex.CanonicalURLs{CloudURL: cloud, SiteURL: site})
	})
	team := func(pattern string, h func(store.Deployment, http.ResponseWriter, *http.Request) error) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			t, err := a.DB.TeamByToken(r.Context(), route.Bearer(r))
			if err != nil {
				return err
			}
			d, err := a.DB.DeploymentByName(r.Context(), r.PathValue("name"))
			if err == nil && d.TeamID != t.ID {
				err = fault.New(fault.NotFound, "deployment %q was not found", r.PathValue("name")).WithCode("DeploymentNotFound")
			}
			if err != nil {
				return err
			}
			return h(d, w, r)
		})
	}
	team("GET /berth/v1/deployments/{name}/auth_config", func(d store.Deployment, w http.ResponseWriter, r *http.Request) error {
		return route.JSON(w, http.StatusOK, berth.AuthConfig{Source: d.AuthConfig})
	})
	team("PUT /berth/v1/deployments/{name}/auth_config", a.putAuthConfig)
	team("POST /berth/v1/deployments/{name}/check", a.check)
}

// refused is an answer with the exact status, code and text of Convex.
type refused struct {
	status        int
	code, message string
}

func (r *refused) Error() string { return r.message }

func refusedWith(status int, code, message string) error {
	return fault.Wrap(&refused{status, code, message}, fault.Denied, "%s", message).WithCode(code)
}

func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	status, code, message := route.Status(f.Kind), f.Code, f.Message
	if ref, ok := errors.AsType[*refused](f.Err); ok {
		status, code, message = ref.status, ref.code, ref.message
	}
	if code == "" {
		code = string(f.Kind)
	}
	_ = route.JSON(w, status, berth.ErrorBody{Code: code, Message: message, Fix: f.Fix}) // the client is gone
}

func refuse(r *deployment.Refusal, redacted bool) error {
	return refusedWith(r.Status, r.Code, r.Text(redacted))
}

// admin returns the deployment whose admin key a request carries.
func (a *API) admin(r *http.Request) (store.Deployment, error) {
	c, refusal := deployment.ParseAuthorization(r)
	if refusal != nil {
		return store.Deployment{}, refuse(refusal, false)
	}
	if c.Caller != deployment.Admin {
		return store.Deployment{}, refuse(deployment.BadAdminKey(), false)
	}
	name, rest, _ := strings.Cut(c.AdminKey.Reveal(), "|")
	rest, _, _ = strings.Cut(rest, ":") // an impersonated identity changes nothing here
	d, err := a.DB.DeploymentByAdminKey(r.Context(), name+"|"+rest)
	if fault.Is(err, fault.Unauthenticated) {
		return d, refuse(deployment.BadAdminKey(), false)
	}
	if err == nil {
		if refusal := permitted(withPattern(r), d); refusal != nil {
			return d, refuse(refusal, false)
		}
	}
	return d, err
}

func (a *API) listVariables(d store.Deployment, w http.ResponseWriter, r *http.Request) error {
	vars, err := a.DB.Variables(r.Context(), d.ID)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, convex.ListVariablesResponse{EnvironmentVariables: vars})
}

func (a *API) updateVariables(d store.Deployment, w http.ResponseWriter, r *http.Request) error {
	var req convex.UpdateVariablesRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	changes := make([]deployment.Change, len(req.Changes))
	for i, c := range req.Changes {
		changes[i] = deployment.Change{Name: c.Name, Value: c.Value}
	}
	_, err := a.change(r.Context(), d.Name, func(s deployment.State) (deployment.State, error) { return s.ChangeVariables(r.Context(), changes) })
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

// change replaces the state of a deployment by what fn returns.
func (a *API) change(ctx context.Context, name string, fn func(deployment.State) (deployment.State, error)) (deployment.State, error) {
	var next deployment.State
	err := a.DB.ChangeDeployment(ctx, name, func(d *store.Deployment, vars map[string]string) (map[string]string, error) {
		now := deployment.State{Variables: vars, AuthConfig: d.AuthConfig}
		now.CloudURL, now.SiteURL = a.Origins.URLs(*d)
		if err := json.Unmarshal(d.Providers, &now.Providers); err != nil {
			return nil, err
		}
		var err error
		if next, err = fn(now); err != nil {
			return nil, err
		}
		if next.Providers == nil {
			next.Providers = []authconfig.Provider{}
		}
		d.AuthConfig = next.AuthConfig
		d.Providers, err = json.Marshal(next.Providers)
		return next.Variables, err
	})
	if err != nil {
		return next, err
	}
	return next, a.Changed(ctx, name)
}

func (a *API) putAuthConfig(d store.Deployment, w http.ResponseWriter, r *http.Request) error {
	var req berth.AuthConfig
	if err := route.Read(r, &req); err != nil {
		return err
	}
	next, err := a.change(r.Context(), d.Name, func(s deployment.State) (deployment.State, error) { return s.Push(r.Context(), req.Source) })
	if err != nil {
		return err
	}
	out := berth.AuthConfigResult{Providers: []berth.Provider{}}
	for _, p := range next.Providers {
		out.Providers = append(out.Providers, berth.Provider{Kind: string(p.Kind), Issuer: p.Issuer, ApplicationID: p.ApplicationID, JWKS: p.JWKS, Algorithm: p.Algorithm})
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) check(d store.Deployment, w http.ResponseWriter, r *http.Request) error {
	var req berth.CheckRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	var providers []authconfig.Provider
	if err := json.Unmarshal(d.Providers, &providers); err != nil {
		return err
	}
	who, refusal := deployment.Accept(r.Context(), providers, req.Token, a.DB.Now(), a.Fetch)
	if refusal != nil {
		return route.JSON(w, http.StatusOK, berth.Decision{Status: refusal.Status, Code: refusal.Code, Message: refusal.Message})
	}
	return route.JSON(w, http.StatusOK, berth.Decision{Accepted: true, Identity: who.Fields})
}
