package berthapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// mountConnections registers what WorkOS does in its dashboard: connections to
// identity providers, and how members of an organization may sign in.
func (a *API) mountConnections(team func(pattern string, h teamHandler)) {
	team("GET /berth/v1/environments/{client_id}/connections", a.connections)
	team("POST /berth/v1/environments/{client_id}/connections", a.createConnection)
	team("PATCH /berth/v1/environments/{client_id}/connections/{id}", a.patchConnection)
	team("DELETE /berth/v1/environments/{client_id}/connections/{id}", a.deleteConnection)
	team("PUT /berth/v1/environments/{client_id}/organizations/{id}/methods", a.setOrganizationMethods)
	team("DELETE /berth/v1/environments/{client_id}/organizations/{id}/methods", a.clearOrganizationMethods)
}

func (a *API) connection(c identity.Connection) berth.Connection {
	return berth.Connection{ID: c.ID, OrganizationID: c.OrganizationID, Type: c.Type, Kind: c.Kind, Name: c.Name, State: string(c.State), Issuer: c.Issuer,
		ClientID: c.ClientID, Scopes: c.Scopes, ReturnTokens: c.ReturnTokens, CallbackURL: a.BaseURL() + "/sso/callback", CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

func (a *API) connections(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	e, err := t.EnvironmentByClientID(r.Context(), r.PathValue("client_id"))
	if err != nil {
		return err
	}
	out := []berth.Connection{}
	for p := (store.Page{Limit: 100, Ascending: true}); ; {
		list, _, after, err := e.Connections(r.Context(), store.ConnectionFilter{}, p)
		if err != nil {
			return err
		}
		for _, c := range list {
			out = append(out, a.connection(c))
		}
		if p.After = after; after == "" {
			return route.JSON(w, http.StatusOK, out)
		}
	}
}

func (a *API) createConnection(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.NewConnection
	if err := route.Read(r, &req); err != nil {
		return err
	}
	ctx := r.Context()
	e, err := t.EnvironmentByClientID(ctx, r.PathValue("client_id"))
	if err != nil {
		return err
	}
	c := identity.Connection{OrganizationID: req.OrganizationID, Type: req.Type, Kind: req.Kind, Name: strings.TrimSpace(req.Name), State: identity.ConnectionActive,
		Issuer: req.Issuer, ClientID: req.ClientID, ClientSecret: secret.String(req.ClientSecret), Scopes: req.Scopes, ReturnTokens: req.ReturnTokens}
	if err := a.fillConnection(ctx, e, &c); err != nil {
		return err
	}
	if c, err = e.CreateConnection(ctx, c); err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, a.connection(c))
}

// fillConnection sets what a caller may leave out.
func (a *API) fillConnection(ctx context.Context, e *store.Env, c *identity.Connection) error {
	if c.Kind == "" {
		c.Kind = identity.TestConnection
		if c.Issuer != "" || c.ClientID != "" {
			c.Kind = identity.OIDCConnection
		}
	}
	if c.OrganizationID == "" {
		if c.Name == "" {
			c.Name = identity.SocialProviderName(c.Type)
		}
		if c.Issuer == "" && c.Kind == identity.OIDCConnection {
			c.Issuer = identity.SocialIssuer(c.Type)
		}
		return nil
	}
	if c.Type == "" {
		c.Type = map[string]string{identity.TestConnection: "TestIdp", identity.OIDCConnection: "GenericOIDC"}[c.Kind]
	}
	o, err := e.Organization(ctx, c.OrganizationID)
	if err == nil && c.Name == "" {
		c.Name = o.Name
	}
	return err
}

func (a *API) patchConnection(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.ConnectionPatch
	if err := route.Read(r, &req); err != nil {
		return err
	}
	ctx := r.Context()
	e, err := t.EnvironmentByClientID(ctx, r.PathValue("client_id"))
	if err != nil {
		return err
	}
	c, err := e.Connection(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	if req.Name != nil {
		c.Name = strings.TrimSpace(*req.Name)
	}
	if req.State != nil {
		c.State = identity.ConnectionState(*req.State)
	}
	if req.ClientID != nil {
		c.ClientID = *req.ClientID
	}
	if req.ClientSecret != nil {
		c.ClientSecret = secret.String(*req.ClientSecret)
	}
	if req.Scopes != nil {
		c.Scopes = *req.Scopes
	}
	if req.ReturnTokens != nil {
		c.ReturnTokens = *req.ReturnTokens
	}
	if c, err = e.UpdateConnection(ctx, c); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, a.connection(c))
}

func (a *API) deleteConnection(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	e, err := t.EnvironmentByClientID(r.Context(), r.PathValue("client_id"))
	if err != nil {
		return err
	}
	if err := e.DeleteConnection(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

func (a *API) setOrganizationMethods(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.OrganizationMethods
	if err := route.Read(r, &req); err != nil {
		return err
	}
	return a.organizationMethods(t, w, r, &identity.OrganizationMethods{SSO: req.SSO, Password: req.Password, MagicAuth: req.MagicAuth, Social: req.Social})
}

func (a *API) clearOrganizationMethods(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	return a.organizationMethods(t, w, r, nil)
}

func (a *API) organizationMethods(t *store.Team, w http.ResponseWriter, r *http.Request, m *identity.OrganizationMethods) error {
	e, err := t.EnvironmentByClientID(r.Context(), r.PathValue("client_id"))
	if err != nil {
		return err
	}
	if err := e.SetOrganizationMethods(r.Context(), r.PathValue("id"), m); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}
