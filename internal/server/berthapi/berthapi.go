// Package berthapi serves /berth/v1, Berth's own protocol: the ledger of
// claims and the settings of embedded environments and deployments.
package berthapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// API serves the surface.
type API struct {
	DB      *store.DB
	Auth    *auth.Service // nil on a ledger without identity surfaces
	Log     *slog.Logger
	BaseURL func() string
	Version string
	// Local is the team of a ledger in the caller's own process: requests need
	// no token. Nil on a server.
	Local *store.Team
	// GitHubSecret authenticates branch events; empty refuses them all.
	GitHubSecret secret.String
	// MailIsSent says that the members' environment can mail people.
	MailIsSent bool
}

type teamHandler func(t *store.Team, w http.ResponseWriter, r *http.Request) error

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: a.Log, Answer: answer}
	team := func(pattern string, h teamHandler) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			if a.Local != nil {
				return h(a.Local, w, r)
			}
			t, err := a.DB.TeamByToken(r.Context(), route.Bearer(r))
			if fault.Is(err, fault.Unauthenticated) {
				return fault.New(fault.Unauthenticated, "the server does not know this token").
					WithFix("set BERTH_TOKEN to a team token of this server (berth serve token)").WithCode("unauthorized")
			}
			if err != nil {
				return err
			}
			return h(t, w, r)
		})
	}
	team("GET /berth/v1/me", a.me)
	team("GET /berth/v1/claims", a.claims)
	team("GET /berth/v1/claim", a.claim)
	team("PUT /berth/v1/claim", a.putClaim)
	team("POST /berth/v1/placements/{id}/bind", a.bind)
	team("POST /berth/v1/claims/{id}/intend", a.intend)
	team("POST /berth/v1/claims/{id}/confirm", a.confirm)
	team("POST /berth/v1/claims/{id}/release", a.release)
	team("POST /berth/v1/claims/{id}/released", a.released)
	team("GET /berth/v1/orphans", a.orphans)
	if a.Local != nil {
		return
	}
	team("GET /berth/v1/environments", a.environments)
	team("GET /berth/v1/environments/{client_id}", a.ofEnvironment(a.environment))
	team("PATCH /berth/v1/environments/{client_id}", a.ofEnvironment(a.patchEnvironment))
	team("GET /berth/v1/environments/{client_id}/messages", a.ofEnvironment(a.inbox))
	team("GET /berth/v1/environments/{client_id}/deliveries", a.ofEnvironment(a.deliveries))
	a.mountKeys(team)
	a.mountTestUsers(team)
	a.mountConnections(team)
	team("GET /berth/v1/deployments", a.deployments)
	team("POST /berth/v1/tokens", a.createToken)
	team("GET /berth/v1/tokens", a.credentials)
	team("DELETE /berth/v1/tokens/{id}", a.revokeCredential)
	a.mountSettings(team)
	a.mountFlags(team)
	a.mountMembers(s, mux, team)
	team("GET /berth/v1/audit", a.audit)
	s.Handle(mux, "POST /berth/v1/events/github", a.githubEvent)
	s.Handle(mux, "GET /berth/v1/health", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := a.DB.ReadyKeys(r.Context()); err != nil {
			return err
		}
		return route.JSON(w, http.StatusOK, map[string]string{"status": "ok", "version": a.Version})
	})
}

// ofEnvironment finds the team's environment that the path names.
func (a *API) ofEnvironment(h func(e *store.Env, w http.ResponseWriter, r *http.Request) error) teamHandler {
	return func(t *store.Team, w http.ResponseWriter, r *http.Request) error {
		e, err := t.EnvironmentByClientID(r.Context(), r.PathValue("client_id"))
		if err != nil {
			return err
		}
		return h(e, w, r)
	}
}

func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	code := f.Code
	if code == "" {
		code = string(f.Kind)
	}
	_ = route.JSON(w, route.Status(f.Kind), berth.ErrorBody{Code: code, Message: f.Message, Fix: f.Fix}) // the client is gone
}

func (a *API) me(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	return route.JSON(w, http.StatusOK, berth.Me{TeamID: t.ID, TeamName: t.Name, TeamSlug: t.Slug, BaseURL: a.BaseURL(), Version: a.Version})
}

func (a *API) claims(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	all, err := t.Claims(r.Context(), r.URL.Query().Get("project"))
	if err != nil {
		return err
	}
	out := make([]berth.Grant, len(all))
	for i, g := range all {
		out[i] = berth.NewGrant(g)
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) claim(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	g, err := t.Claim(r.Context(), r.URL.Query().Get("deployment"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, berth.NewGrant(*g))
}

func (a *API) putClaim(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.ClaimRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if req.Given != nil {
		req.Given.APIKey = secret.String(req.GivenKey)
	}
	g, err := t.PutClaim(r.Context(), req.Request)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, berth.NewGrant(*g))
}

func (a *API) bind(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.BindRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if req.ClientID == "" || req.APIKey == "" {
		return fault.New(fault.Invalid, "client_id and api_key are needed").WithCode("invalid_request")
	}
	p, err := t.Bind(r.Context(), r.PathValue("id"), req.EnvironmentID, req.ClientID, secret.String(req.APIKey))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, p)
}

func (a *API) intend(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var add claim.Entries
	if err := route.Read(r, &add); err != nil {
		return err
	}
	if err := t.Intend(r.Context(), r.PathValue("id"), add); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

func (a *API) confirm(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.ConfirmRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if err := t.Confirm(r.Context(), r.PathValue("id"), req.Removed, req.HomepageURL); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

func (a *API) release(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	rel, err := t.Release(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, berth.Release{Release: *rel, Key: rel.APIKey.Reveal()})
}

func (a *API) released(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var removed claim.Entries
	if err := route.Read(r, &removed); err != nil {
		return err
	}
	_, err := t.Release(r.Context(), r.PathValue("id"))
	if err == nil {
		err = t.Released(r.Context(), r.PathValue("id"), removed)
	}
	if err != nil && !fault.Is(err, fault.NotFound) { // gone already: the call can be repeated
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

// Reap releases claims of one team whose end is known to the server itself:
// lifetimes that are over and releases that were not finished, in environments
// of this server. Others wait for `berth prune`, which has the credentials.
func (a *API) Reap(ctx context.Context, t *store.Team) (int, error) {
	ids, err := t.Expired(ctx, a.BaseURL())
	if err != nil {
		return 0, err
	}
	return a.reapAll(ctx, t, ids, t.ReleaseExpired)
}

// Gone releases the claims of a preview whose backend was deleted.
func (a *API) Gone(ctx context.Context, t *store.Team, project, branch string) error {
	ids, err := t.ClaimsOf(ctx, a.BaseURL(), project, branch)
	if err != nil {
		return err
	}
	_, err = a.reapAll(ctx, t, ids, t.Release)
	return err
}

// reapAll releases claims; one that fails does not keep the others.
func (a *API) reapAll(ctx context.Context, t *store.Team, ids []string, release func(context.Context, string) (*claim.Release, error)) (int, error) {
	n := 0
	var errs []error
	for _, id := range ids {
		rel, err := release(ctx, id)
		if err == nil {
			err = t.Released(ctx, id, claim.Entries{})
		}
		if fault.Is(err, fault.NotFound) {
			continue // another run was faster, or the claim was renewed
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("release %s: %w", id, err))
			continue
		}
		a.Log.InfoContext(ctx, "released", "deployment", rel.Claim.Deployment, "environment", rel.Placement.EnvironmentName)
		n++
	}
	return n, errors.Join(errs...)
}

func (a *API) orphans(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	o, err := t.Orphans(r.Context())
	if err != nil {
		return err
	}
	out := berth.Orphans{Environments: []berth.Environment{}, Placements: o.Placements}
	for _, e := range o.Environments {
		out.Environments = append(out.Environments, berth.Environment{ID: e.ID, Name: e.Name, ClientID: e.ClientID, Production: e.Production})
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) describe(ctx context.Context, e *store.Env) (berth.Environment, error) {
	out := berth.Environment{ID: e.ID, Name: e.Name, ClientID: e.ClientID, Production: e.Production, HomepageURL: e.HomepageURL,
		Issuer: a.Auth.Issuer(e), IssuerIsOwn: e.Issuer == "", Algorithm: e.Settings.Tokens.SigningAlgorithm(), MFARequired: e.MFARequired, RedirectURIs: []string{}, CORSOrigins: []string{}}
	uris, err := e.RedirectURIs(ctx)
	if err != nil {
		return out, err
	}
	for _, u := range uris {
		out.RedirectURIs = append(out.RedirectURIs, u.URI)
	}
	origins, err := e.CORSOrigins(ctx)
	if err != nil {
		return out, err
	}
	for _, o := range origins {
		out.CORSOrigins = append(out.CORSOrigins, o.Origin)
	}
	out.Users, err = e.CountUsers(ctx)
	return out, err
}

func (a *API) environments(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	all, err := t.Environments(r.Context())
	if err != nil {
		return err
	}
	out := make([]berth.Environment, len(all))
	for i, e := range all {
		if out[i], err = a.describe(r.Context(), e); err != nil {
			return err
		}
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) environment(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	out, err := a.describe(r.Context(), e)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) patchEnvironment(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.EnvironmentPatch
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if req.Issuer != nil {
		if *req.Issuer != "" {
			if _, err := identity.OriginOf(*req.Issuer); err != nil {
				return fault.New(fault.Invalid, "issuer %q is not an http or https URL", *req.Issuer).WithCode("invalid_issuer")
			}
		}
		if err := e.SetIssuer(r.Context(), *req.Issuer); err != nil {
			return err
		}
	}
	if len(req.RemoveRedirectURIs) > 0 {
		if err := e.RemoveEntries(r.Context(), req.RemoveRedirectURIs, nil); err != nil {
			return err
		}
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

func (a *API) deployments(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	all, err := t.Deployments(r.Context())
	if err != nil {
		return err
	}
	out := make([]berth.Deployment, len(all))
	for i, d := range all {
		out[i] = berth.Deployment{Name: d.Name, Project: d.Project, Kind: d.Kind, Reference: d.Reference, URL: a.BaseURL(), CreatedAt: d.CreatedAt}
	}
	return route.JSON(w, http.StatusOK, out)
}

// createToken makes a team token. It is shown once.
func (a *API) createToken(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.NewToken
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if strings.TrimSpace(req.Name) == "" {
		return fault.New(fault.Invalid, "a token needs a name").WithCode("invalid_request")
	}
	kind := store.TokenCredential
	if req.Platform {
		kind = store.ClientCredential
	}
	c, err := t.CreateCredential(r.Context(), kind, req.Name, req.ExpiresAt)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, berth.Token{ID: c.ID, TeamID: t.ID, Value: c.Secret.Reveal()})
}
