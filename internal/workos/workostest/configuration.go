package workostest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/workos"
)

func (s *Server) configuration() {
	s.keyed("GET /user_management/redirect_uris", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		page(w, r.URL.Query(), e.uris, func(u workos.RedirectURI) string { return u.ID })
	})
	s.keyed("POST /user_management/redirect_uris", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.RedirectURIRequest](w, r)
		if !ok {
			return
		}
		if slices.ContainsFunc(e.uris, func(u workos.RedirectURI) bool { return u.URI == req.URI }) {
			write(w, workos.RedirectURIExists(req.URI))
			return
		}
		u := workos.RedirectURI{Object: "redirect_uri", ID: s.id("redir"), URI: req.URI, CreatedAt: now(), UpdatedAt: now()}
		e.uris = append(e.uris, u)
		writeJSON(w, http.StatusCreated, u)
	})
	s.keyed("DELETE /user_management/redirect_uris/{id}", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		at := slices.IndexFunc(e.uris, func(u workos.RedirectURI) bool { return u.ID == r.PathValue("id") })
		switch {
		case at < 0:
			write(w, workos.MessageAnswer(http.StatusNotFound, "Redirect URI not found"))
		case e.uris[at].Default:
			write(w, workos.DefaultRedirectURI())
		default:
			e.uris = slices.Delete(e.uris, at, at+1)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	s.keyed("GET /user_management/cors_origins", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		page(w, r.URL.Query(), e.origins, func(o workos.CORSOrigin) string { return o.ID })
	})
	s.keyed("POST /user_management/cors_origins", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.CORSOriginRequest](w, r)
		if !ok {
			return
		}
		if slices.ContainsFunc(e.origins, func(o workos.CORSOrigin) bool { return o.Origin == req.Origin }) {
			write(w, workos.CORSOriginExists())
			return
		}
		if u, err := url.Parse(req.Origin); err != nil || u.Host == "" || u.Path != "" {
			write(w, workos.CORSOriginInvalid(nil))
			return
		}
		o := workos.CORSOrigin{Object: "cors_origin", ID: s.id("cors_origin"), Origin: req.Origin, CreatedAt: now(), UpdatedAt: now()}
		e.origins = append(e.origins, o)
		writeJSON(w, http.StatusCreated, o)
	})
	s.keyed("DELETE /user_management/cors_origins/{id}", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		at := slices.IndexFunc(e.origins, func(o workos.CORSOrigin) bool { return o.ID == r.PathValue("id") })
		if !s.CanDeleteOrigins || at < 0 {
			write(w, workos.MessageAnswer(http.StatusNotFound, "Not Found"))
			return
		}
		e.origins = slices.Delete(e.origins, at, at+1)
		w.WriteHeader(http.StatusNoContent)
	})
	s.keyed("PUT /user_management/app_homepage_url", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.HomepageRequest](w, r)
		if !ok {
			return
		}
		if e.Production && strings.Contains(req.URL, "localhost") {
			write(w, workos.MessageAnswer(http.StatusUnprocessableEntity, "The homepage URL must not be localhost."))
			return
		}
		e.homepage = req.URL
		w.WriteHeader(http.StatusOK)
	})
	s.keyed("GET /user_management/jwt_template", func(e *Environment, w http.ResponseWriter, _ *http.Request) {
		if e.template == "" {
			write(w, workos.MessageAnswer(http.StatusNotFound, "JWT template not found"))
			return
		}
		writeJSON(w, http.StatusOK, workos.JWTTemplate{Object: "jwt_template", Content: e.template, CreatedAt: now(), UpdatedAt: now()})
	})
	s.keyed("PUT /user_management/jwt_template", func(e *Environment, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.JWTTemplateRequest](w, r)
		if !ok {
			return
		}
		e.template = req.Content
		writeJSON(w, http.StatusOK, workos.JWTTemplate{Object: "jwt_template", Content: e.template, CreatedAt: now(), UpdatedAt: now()})
	})
}

// keyed registers a call that the API key in the request selects an environment for.
func (s *Server) keyed(pattern string, h func(*Environment, http.ResponseWriter, *http.Request)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		e, ok := s.byKey[key]
		if !ok {
			write(w, workos.UnauthorizedAnswer())
			return
		}
		h(e, w, r)
	})
}
