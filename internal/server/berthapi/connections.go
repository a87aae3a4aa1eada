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
	team("GET /berth/v1/environments/{client_id}/connections", a.ofEnvironment(a.connections))
	team("POST /berth/v1/environments/{client_id}/connections", a.ofEnvironment(a.createConnection))
	team("PATCH /berth/v1/environments/{client_id}/connections/{id}", a.ofEnvironment(a.patchConnection))
	team("DELETE /berth/v1/environments/{client_id}/connections/{id}", a.ofEnvironment(a.deleteConnection))
	team("GET /berth/v1/environments/{client_id}/organizations/{id}/methods", a.ofEnvironment(a.organizationMethods))
	team("PUT /berth/v1/environments/{client_id}/organizations/{id}/methods", a.ofEnvironment(a.setOrganizationMethods))
	team("DELETE /berth/v1/environments/{client_id}/organizations/{id}/methods", a.ofEnvironment(a.clearOrganizationMethods))
}

func (a *API) connection(c identity.Connection) berth.Connection {
	return berth.Connection{ID: c.ID, OrganizationID: c.OrganizationID, Type: c.Type, Kind: c.Kind, Name: c.Name, State: string(c.State), Issuer: c.Issuer,
		ClientID: c.ClientID, Scopes: c.Scopes, ReturnTokens: c.ReturnTokens, CallbackURL: a.BaseURL() + "/sso/callback", CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

func (a *API) connections(e *store.Env, w http.ResponseWriter, r *http.Request) error {
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

func (a *API) createConnection(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.NewConnection
	if err := route.Read(r, &req); err != nil {
		return err
	}
	ctx := r.Context()
	c := identity.Connection{OrganizationID: req.OrganizationID, Type: req.Type, Kind: req.Kind, Name: strings.TrimSpace(req.Name), State: identity.ConnectionActive,
		Issuer: req.Issuer, ClientID: req.ClientID, ClientSecret: secret.String(req.ClientSecret), Scopes: req.Scopes, ReturnTokens: req.ReturnTokens}
	if err := a.fillConnection(ctx, e, &c); err != nil {
		return err
	}
	made, err := e.CreateConnection(ctx, c)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, a.connection(made))
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

func (a *API) patchConnection(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.ConnectionPatch
	if err := route.Read(r, &req); err != nil {
		return err
	}
	ctx := r.Context()
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

func (a *API) deleteConnection(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteConnection(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

func (a *API) organizationMethods(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	o, err := e.Organization(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	m, err := e.OrganizationMethods(r.Context(), o.ID)
	if err != nil {
		return err
	}
	if m == nil {
		return route.JSON(w, http.StatusOK, nil)
	}
	return route.JSON(w, http.StatusOK, berth.OrganizationMethods(*m))
}

func (a *API) setOrganizationMethods(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.OrganizationMethods
	if err := readStrict(r, &req); err != nil {
		return err
	}
	m := identity.OrganizationMethods(req)
	if err := m.Check(); err != nil {
		return err
	}
	if err := e.SetOrganizationMethods(r.Context(), r.PathValue("id"), &m); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

func (a *API) clearOrganizationMethods(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.SetOrganizationMethods(r.Context(), r.PathValue("id"), nil); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}
