package authkit

import (
	"net/http"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/token"
	"github.com/berthdev/berth/internal/workos"
)

func redirectURI(u identity.RedirectURI) workos.RedirectURI {
	return workos.RedirectURI{Object: "redirect_uri", ID: u.ID, URI: u.URI, Default: u.Default, CreatedAt: workos.At(u.CreatedAt), UpdatedAt: workos.At(u.UpdatedAt)}
}

func corsOrigin(o identity.CORSOrigin) workos.CORSOrigin {
	return workos.CORSOrigin{Object: "cors_origin", ID: o.ID, Origin: o.Origin, CreatedAt: workos.At(o.CreatedAt), UpdatedAt: workos.At(o.UpdatedAt)}
}

func (a *API) addRedirectURI(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.RedirectURIRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := identity.CheckRedirectURI(b.URI, e.Production); err != nil {
		return workos.MessageAnswer(http.StatusUnprocessableEntity, fault.From(err).Message).Write(w)
	}
	u, err := e.AddRedirectURI(r.Context(), b.URI)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, redirectURI(u))
}

func (a *API) listRedirectURIs(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	uris, err := e.RedirectURIs(r.Context())
	if err != nil {
		return err
	}
	data, before, after := store.CutAll(uris, p, func(u identity.RedirectURI) string { return u.ID })
	out := make([]workos.RedirectURI, len(data))
	for i, u := range data {
		out[i] = redirectURI(u)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) deleteRedirectURI(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteRedirectURI(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) addCORSOrigin(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.CORSOriginRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := identity.CheckOrigin(b.Origin); err != nil {
		return workos.CORSOriginInvalid(map[string]string{"isOrigin": fault.From(err).Message}).Write(w)
	}
	o, err := e.AddCORSOrigin(r.Context(), b.Origin)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, corsOrigin(o))
}

func (a *API) listCORSOrigins(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	origins, err := e.CORSOrigins(r.Context())
	if err != nil {
		return err
	}
	data, before, after := store.CutAll(origins, p, func(o identity.CORSOrigin) string { return o.ID })
	out := make([]workos.CORSOrigin, len(data))
	for i, o := range data {
		out[i] = corsOrigin(o)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) deleteCORSOrigin(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteCORSOrigin(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) setHomepage(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.HomepageRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := identity.CheckRedirectURI(b.URL, e.Production); err != nil {
		return workos.MessageAnswer(http.StatusUnprocessableEntity, "App homepage URL is not valid: "+fault.From(err).Message).Write(w)
	}
	if err := e.SetHomepage(r.Context(), b.URL); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, map[string]any{"object": "app_homepage_url", "url": b.URL})
}

func jwtTemplate(e *store.Env) workos.JWTTemplate {
	return workos.JWTTemplate{Object: "jwt_template", Content: e.JWTTemplate, CreatedAt: workos.At(e.JWTUpdatedAt), UpdatedAt: workos.At(e.JWTUpdatedAt)}
}

func (a *API) getJWTTemplate(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if e.JWTTemplate == "" {
		return fault.New(fault.NotFound, "No JWT template is set.").WithCode("entity_not_found")
	}
	return route.JSON(w, http.StatusOK, jwtTemplate(e))
}

func (a *API) setJWTTemplate(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.JWTTemplateRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := token.CheckTemplate(b.Content); err != nil {
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "invalid_request_parameters", fault.From(err).Message).Write(w)
	}
	if err := e.SetJWTTemplate(r.Context(), b.Content); err != nil {
		return err
	}
	e.JWTTemplate, e.JWTUpdatedAt = b.Content, a.DB.Now()
	return route.JSON(w, http.StatusOK, jwtTemplate(e))
}
