package authkit

import (
	"errors"
	"net/http"
	"slices"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func (a *API) mountConnections(on *keyed.Routes) {
	on.Handle("GET /connections", a.listConnections)
	on.Handle("GET /connections/{id}", a.getConnection)
	on.Handle("DELETE /connections/{id}", a.deleteConnection)
	on.Handle("GET /user_management/users/{id}/identities", a.listIdentities)
}

func connection(c identity.Connection) workos.Connection {
	out := workos.Connection{Object: "connection", ID: c.ID, OrganizationID: c.OrganizationID, ConnectionType: c.Type, Name: c.Name, State: string(c.State),
		Status: "unlinked", Domains: make([]workos.ConnectionDomain, len(c.Domains)), CreatedAt: workos.At(c.CreatedAt), UpdatedAt: workos.At(c.UpdatedAt)}
	if c.State == identity.ConnectionActive {
		out.Status = "linked"
	}
	for i, d := range c.Domains {
		out.Domains[i] = workos.ConnectionDomain{Object: "connection_domain", ID: d.ID, Domain: d.Domain}
	}
	return out
}

func (a *API) listConnections(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := store.ConnectionFilter{Type: q.Get("connection_type"), Domain: q.Get("domain"), OrganizationID: q.Get("organization_id"), Search: q.Get("search")}
	if f.Type == "GithubOAuth" { // the filter's spelling, see the OpenAPI document
		f.Type = "GitHubOAuth"
	}
	list, before, after, err := e.Connections(r.Context(), f, p)
	if err != nil {
		return err
	}
	out := make([]workos.Connection, len(list))
	for i, c := range list {
		out[i] = connection(c)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getConnection(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	c, err := e.Connection(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, connection(c))
}

func (a *API) deleteConnection(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteConnection(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// listIdentities answers the accounts of a user at social providers. Those at
// organizations' providers are none in the protocol.
func (a *API) listIdentities(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	profiles, by, err := e.UserProfiles(r.Context(), u.ID)
	if err != nil {
		return err
	}
	out := []workos.Identity{}
	for _, p := range profiles {
		c := by[p.ConnectionID]
		if !c.Social() || c.Type == "" {
			continue
		}
		provider := c.Type
		if provider == "GitHubOAuth" {
			provider = "GithubOAuth"
		}
		out = append(out, workos.Identity{IDPID: p.IDPID, Type: "OAuth", Provider: provider})
	}
	return route.JSON(w, http.StatusOK, out)
}

// otherMethod is the answer that names the ways to sign in that are taken
// instead of the one that was tried.
func otherMethod(err error) (workos.Answer, bool) {
	if e, ok := errors.AsType[*auth.SSORequired](err); ok {
		ids := make([]string, len(e.Connections))
		for i, c := range e.Connections {
			ids[i] = c.ID
		}
		return workos.Answer{Status: http.StatusBadRequest, Body: workos.SSORequiredError{OAuthError: workos.OAuthError{Error: "sso_required",
			ErrorDescription: "User must authenticate using one of the matching connections."}, Email: e.Email, ConnectionIDs: ids}}, true
	}
	if e, ok := errors.AsType[*auth.OrganizationMethodsRequired](err); ok {
		social := func(typ string) bool { return slices.Contains(e.Methods.Social, typ) }
		return workos.Answer{Status: http.StatusBadRequest, Body: workos.OrganizationMethodsError{OAuthError: workos.OAuthError{Error: "organization_authentication_methods_required",
			ErrorDescription: "User must authenticate using one of the methods allowed by the organization."}, Email: e.Email, SSOConnectionIDs: e.ConnectionIDs,
			AuthMethods: map[string]bool{"apple_oauth": social("AppleOAuth"), "github_oauth": social("GitHubOAuth"), "google_oauth": social("GoogleOAuth"),
				"magic_auth": e.Methods.MagicAuth, "microsoft_oauth": social("MicrosoftOAuth"), "password": e.Methods.Password}}}, true
	}
	return workos.Answer{}, false
}
