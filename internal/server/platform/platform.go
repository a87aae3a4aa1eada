// Package platform serves the WorkOS Platform API: client-credentials tokens,
// teams, environments, API keys and invitations. Besides the vendor's calls it
// lists environments, which WorkOS cannot, so that nothing made is ever lost.
package platform

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// tokenLifetime is the life of a platform access token.
const tokenLifetime = time.Hour

// API serves the surface.
type API struct {
	DB  *store.DB
	Log *slog.Logger
}

// Token is POST /oauth2/token, the client-credentials grant of a team. It is not
// mounted here: applications of environments have an endpoint of that name too.
func (a *API) Token() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.token(w, r); err != nil {
			route.Surface{Log: a.Log, Answer: answer}.Fail(w, r, err)
		}
	})
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	s := route.Surface{Log: a.Log, Answer: answer}
	s.Handle(mux, "POST /platform/teams", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := a.DB.TeamByToken(r.Context(), route.Bearer(r)); err != nil {
			return err
		}
		return a.createTeam(w, r)
	})
	team := func(pattern string, h func(*store.Team, http.ResponseWriter, *http.Request) error) {
		s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			t, err := a.DB.TeamByToken(r.Context(), route.Bearer(r))
			if err != nil {
				return err
			}
			// A token reaches its own team only. Another one is not there for it.
			if r.PathValue("team") != t.ID {
				return fault.New(fault.NotFound, "Team %s was not found.", r.PathValue("team")).WithCode("team_not_found")
			}
			return h(t, w, r)
		})
	}
	team("GET /platform/teams/{team}", a.getTeam)
	team("POST /platform/teams/{team}/environments", a.createEnvironment)
	team("GET /platform/teams/{team}/environments", a.listEnvironments)
	team("GET /platform/teams/{team}/environments/{env}", a.getEnvironment)
	team("DELETE /platform/teams/{team}/environments/{env}", a.deleteEnvironment)
	team("POST /platform/teams/{team}/environments/{env}/api_keys", a.createAPIKey)
	team("POST /platform/teams/{team}/environments/{env}/api_keys/{key}/expire", a.expireAPIKey)
	team("POST /platform/teams/{team}/invitations", a.invite)
}

func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	out := workos.CodeAnswer(route.Status(f.Kind), f.Code, f.Message)
	switch {
	case f.Code == "invalid_client" || f.Code == "unsupported_grant_type":
		out = workos.OAuthAnswer(f.Code, f.Message)
		if f.Code == "invalid_client" {
			out.Status = http.StatusUnauthorized
		}
	case f.Kind == fault.Unauthenticated:
		out = workos.UnauthorizedAnswer()
	case f.Kind == fault.Invalid:
		out.Status = http.StatusUnprocessableEntity
	}
	_ = out.Write(w) // the client is gone; there is nobody to tell
}

// token is the client-credentials grant (RFC 6749 section 4.4).
func (a *API) token(w http.ResponseWriter, r *http.Request) error {
	var req workos.TokenRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if req.GrantType != "client_credentials" {
		return fault.New(fault.Invalid, "grant_type must be client_credentials").WithCode("unsupported_grant_type")
	}
	t, err := a.DB.TeamByClient(r.Context(), req.ClientID, string(req.ClientSecret))
	if err != nil {
		return err
	}
	c, err := t.CreateCredential(r.Context(), store.AccessCredential, "platform", a.DB.Now().Add(tokenLifetime))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusOK, workos.Token{AccessToken: workos.Credential(c.Secret.Reveal()), ExpiresIn: int(tokenLifetime / time.Second), TokenType: "bearer"})
}

func wireTeam(t *store.Team) workos.Team {
	return workos.Team{Object: "team", ID: t.ID, Name: t.Name, ProductionState: "Active", ProductionEnabledAt: workos.AtOrNull(t.CreatedAt),
		CreatedAt: workos.At(t.CreatedAt), UpdatedAt: workos.At(t.UpdatedAt)}
}

func (a *API) createTeam(w http.ResponseWriter, r *http.Request) error {
	var req workos.NewTeam
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if err := identity.CheckEmail(req.AdminEmail); err != nil {
		return err
	}
	t, err := a.DB.CreateTeam(r.Context(), req.Name, req.AdminEmail)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, wireTeam(t))
}

func (a *API) getTeam(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	return route.JSON(w, http.StatusOK, wireTeam(t))
}

func environment(e *store.Env) workos.PlatformEnvironment {
	return workos.PlatformEnvironment{Object: "environment", ID: e.ID, Name: e.Name, ClientID: e.ClientID}
}

func (a *API) createEnvironment(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req workos.NewEnvironmentRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if strings.TrimSpace(req.Name) == "" || len(req.Name) > 512 {
		return fault.New(fault.Invalid, "name must have 1 to 512 characters").WithCode("invalid_request_parameters")
	}
	e, err := t.CreateEnvironment(r.Context(), store.NewEnvironment{Name: req.Name, Production: req.Production, IdempotencyKey: r.Header.Get("Idempotency-Key")})
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, environment(e))
}

func (a *API) listEnvironments(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	all, err := t.Environments(r.Context())
	if err != nil {
		return err
	}
	out := make([]workos.PlatformEnvironment, len(all))
	for i, e := range all {
		out[i] = environment(e)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, "", ""))
}

func (a *API) getEnvironment(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	e, err := t.Environment(r.Context(), r.PathValue("env"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, environment(e))
}

func (a *API) deleteEnvironment(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	if err := t.DeleteEnvironment(r.Context(), r.PathValue("env")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) createAPIKey(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req workos.NewAPIKey
	if err := route.Read(r, &req); err != nil {
		return err
	}
	e, err := t.Environment(r.Context(), r.PathValue("env"))
	if err != nil {
		return err
	}
	var expires time.Time
	if req.ExpiresAt != nil {
		expires = req.ExpiresAt.Time
	}
	k, value, err := e.CreateAPIKey(r.Context(), req.Name, expires, r.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, apiKey(k, value))
}

func apiKey(k identity.APIKey, value secret.String) workos.APIKey {
	return workos.APIKey{Object: "key", ID: k.ID, Name: k.Name, ExpiresAt: workos.AtOrNull(k.ExpiresAt), Value: workos.Credential(value.Reveal()),
		CreatedAt: workos.At(k.CreatedAt), UpdatedAt: workos.At(k.UpdatedAt)}
}

func (a *API) expireAPIKey(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req workos.ExpireAPIKeyRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	e, err := t.Environment(r.Context(), r.PathValue("env"))
	if err != nil {
		return err
	}
	at := a.DB.Now()
	if req.ExpiresAt != nil {
		at = req.ExpiresAt.Time
	}
	if err := e.ExpireAPIKey(r.Context(), r.PathValue("key"), at); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// invitationRoles are the roles that the Platform API knows.
var invitationRoles = map[string]bool{"admin": true, "member": true, "member-sandbox": true, "support": true, "support-viewer": true}

// invite records an invitation to the team. Repeating it sends it again.
func (a *API) invite(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req workos.Invitation
	if err := route.Read(r, &req); err != nil {
		return err
	}
	if err := identity.CheckEmail(req.Email); err != nil {
		return err
	}
	if !invitationRoles[req.RoleSlug] {
		return fault.New(fault.Invalid, "role_slug must be admin, member, member-sandbox, support or support-viewer").WithCode("invalid_role")
	}
	if err := t.Invite(r.Context(), req.Email, req.RoleSlug); err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, workos.Invitation{Object: "workos_team_invitation", Email: req.Email, RoleSlug: req.RoleSlug})
}
