package connect

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// Bounds of what an application has.
const (
	maxName         = 256 // characters
	maxDescription  = 1024
	maxScopes       = 100
	maxRedirectURIs = 100
)

func wireApplication(a identity.Application) workos.ConnectApplication {
	out := workos.ConnectApplication{ID: a.ID, ClientID: a.ClientID, Name: a.Name, Description: keyed.OrNull(a.Description), Scopes: a.Scopes, ApplicationType: string(a.Kind),
		OrganizationID: a.OrganizationID, UsesPKCE: a.UsesPKCE, IsFirstParty: a.FirstParty, CreatedAt: workos.At(a.CreatedAt), UpdatedAt: workos.At(a.UpdatedAt)}
	for _, r := range a.RedirectURIs {
		out.RedirectURIs = append(out.RedirectURIs, workos.ConnectRedirectURI(r))
	}
	return out
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode("invalid_request_parameters")
}

// applicationChange is what a request says about an application; in an update
// absent members stay as they are.
type applicationChange struct {
	Name         keyed.Nullable[string]                    `json:"name"`
	Description  keyed.Nullable[string]                    `json:"description"`
	Scopes       keyed.Nullable[[]string]                  `json:"scopes"`
	RedirectURIs keyed.Nullable[[]workos.RedirectURIInput] `json:"redirect_uris"`
}

func (c applicationChange) apply(a *identity.Application, production bool) error {
	if c.Name.Set {
		a.Name = strings.TrimSpace(c.Name.Value)
	}
	if n := utf8.RuneCountInString(a.Name); n < 1 || n > maxName {
		return invalid("name must have 1 to %d characters", maxName)
	}
	if c.Description.Set {
		a.Description = c.Description.Value
	}
	if utf8.RuneCountInString(a.Description) > maxDescription {
		return invalid("description must have at most %d characters", maxDescription)
	}
	if c.Scopes.Set {
		a.Scopes = nil
		for _, s := range c.Scopes.Value {
			if !identity.ValidScope(s) {
				return invalid("%q is not a scope", s)
			}
			if !slices.Contains(a.Scopes, s) {
				a.Scopes = append(a.Scopes, s)
			}
		}
		if len(a.Scopes) > maxScopes {
			return invalid("an application has at most %d scopes", maxScopes)
		}
	}
	if !c.RedirectURIs.Set {
		return nil
	}
	if a.Kind != identity.OAuthApplication && len(c.RedirectURIs.Value) > 0 {
		return invalid("an M2M application has no redirect URIs")
	}
	return setRedirects(a, c.RedirectURIs.Value, production)
}

func setRedirects(a *identity.Application, uris []workos.RedirectURIInput, production bool) error {
	if len(uris) > maxRedirectURIs {
		return invalid("an application has at most %d redirect URIs", maxRedirectURIs)
	}
	a.RedirectURIs = nil
	at := -1
	for _, r := range uris {
		if err := identity.CheckApplicationRedirect(r.URI, production); err != nil {
			return err
		}
		if slices.ContainsFunc(a.RedirectURIs, func(have identity.ApplicationRedirect) bool { return have.URI == r.URI }) {
			return invalid("the redirect URI %s is there twice", r.URI)
		}
		if r.Default != nil && *r.Default {
			if at >= 0 {
				return invalid("an application has one default redirect URI")
			}
			at = len(a.RedirectURIs)
		}
		a.RedirectURIs = append(a.RedirectURIs, identity.ApplicationRedirect{URI: r.URI})
	}
	if len(a.RedirectURIs) > 0 {
		a.RedirectURIs[max(at, 0)].Default = true
	}
	return nil
}

func (a *API) createApplication(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req struct {
		applicationChange
		ApplicationType string `json:"application_type"`
		UsesPKCE        *bool  `json:"uses_pkce"`
		IsFirstParty    *bool  `json:"is_first_party"`
		OrganizationID  string `json:"organization_id"`
	}
	if err := route.Read(r, &req); err != nil {
		return err
	}
	app := identity.Application{Kind: identity.ApplicationKind(req.ApplicationType), OrganizationID: req.OrganizationID}
	switch app.Kind {
	case identity.OAuthApplication:
		if req.IsFirstParty == nil {
			return invalid("is_first_party is required")
		}
		app.FirstParty, app.UsesPKCE = *req.IsFirstParty, req.UsesPKCE != nil && *req.UsesPKCE
		if app.FirstParty {
			app.OrganizationID = "" // the team's own belong to none
		} else if app.OrganizationID == "" {
			return invalid("a third-party application needs organization_id")
		}
	case identity.M2MApplication:
		if app.OrganizationID == "" {
			return invalid("organization_id is required")
		}
	default:
		return invalid("application_type must be oauth or m2m")
	}
	if err := req.apply(&app, e.Production); err != nil {
		return err
	}
	app, err := e.CreateApplication(r.Context(), app)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, wireApplication(app))
}

func (a *API) listApplications(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	page, err := keyed.Page(r)
	if err != nil {
		return err
	}
	out := []workos.ConnectApplication{}
	before, after := "", ""
	if types := r.URL.Query().Get("registration_types"); types == "" || slices.Contains(strings.Split(types, ","), "authenticated") {
		// None registers itself here, so there are none of the type "dynamic".
		var list []identity.Application
		if list, before, after, err = e.Applications(r.Context(), r.URL.Query().Get("organization_id"), page); err != nil {
			return err
		}
		for _, app := range list {
			out = append(out, wireApplication(app))
		}
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getApplication(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	app, err := e.Application(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, wireApplication(app))
}

func (a *API) updateApplication(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req applicationChange
	if err := route.Read(r, &req); err != nil {
		return err
	}
	app, err := e.Application(r.Context(), r.PathValue("id"))
	if err == nil {
		err = req.apply(&app, e.Production)
	}
	if err == nil {
		app, err = e.UpdateApplication(r.Context(), app)
	}
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, wireApplication(app))
}

// done is the answer of a deletion.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (a *API) deleteApplication(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	app, err := e.Application(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return done(w, e.DeleteApplication(r.Context(), app.ID))
}

func wireSecret(s identity.ApplicationSecret) workos.ConnectApplicationSecret {
	return workos.ConnectApplicationSecret{Object: "connect_application_secret", ID: s.ID, SecretHint: s.Hint, LastUsedAt: workos.AtOrNull(s.LastUsedAt),
		CreatedAt: workos.At(s.CreatedAt), UpdatedAt: workos.At(s.UpdatedAt)}
}

func (a *API) listSecrets(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	app, err := e.Application(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	list, err := e.ApplicationSecrets(r.Context(), app.ID)
	if err != nil {
		return err
	}
	out := make([]workos.ConnectApplicationSecret, len(list))
	for i, s := range list {
		out[i] = wireSecret(s)
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) createSecret(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	app, err := e.Application(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	s, value, err := e.AddApplicationSecret(r.Context(), app.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	out := wireSecret(s)
	out.Secret = workos.Credential(value.Reveal())
	return route.JSON(w, http.StatusCreated, out)
}

func (a *API) deleteSecret(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return done(w, e.DeleteApplicationSecret(r.Context(), r.PathValue("id")))
}

func (a *API) authorized(e *store.Env, w http.ResponseWriter, r *http.Request, userID, organizationID string) error {
	page, err := keyed.Page(r)
	if err != nil {
		return err
	}
	list, before, after, err := e.Authorizations(r.Context(), userID, organizationID, page)
	if err != nil {
		return err
	}
	out := make([]workos.AuthorizedConnectApplication, len(list))
	for i, v := range list {
		out[i] = workos.AuthorizedConnectApplication{Object: "authorized_connect_application", ID: v.ID, GrantedScopes: v.Scopes, OAuthResource: v.Resource, Application: wireApplication(v.Application)}
		if userID == "" {
			out[i].UserID = v.UserID
		}
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) listOfUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return a.authorized(e, w, r, u.ID, "")
}

func (a *API) listOfOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	o, err := e.Organization(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return a.authorized(e, w, r, "", o.ID)
}

func (a *API) deleteOfUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	app, err := e.Application(r.Context(), r.PathValue("application_id"))
	if err != nil {
		return err
	}
	return done(w, e.Disallow(r.Context(), r.PathValue("id"), app.ID))
}
