package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/workos"
)

// unserved answers the operations of WorkOS's document that no surface has a
// route for, and passes everything else on. A caller without a valid API key
// does not learn which those are.
func (s *Server) unserved(mux *http.ServeMux) http.Handler {
	lacking := map[workos.Operation]bool{}
	for _, o := range workos.Operations() {
		if servedBy(mux, o) == "" {
			lacking[o] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, ok := workos.FindOperation(r.Method, r.URL.Path)
		if !ok || !lacking[o] {
			mux.ServeHTTP(w, r)
			return
		}
		if _, err := s.db.EnvByAPIKey(r.Context(), route.Bearer(r)); err != nil {
			f := fault.From(err)
			if f.Kind == fault.Internal {
				s.cfg.Log.ErrorContext(r.Context(), "request failed", "route", o.String(), "request_id", route.RequestID(r.Context()), "err", err)
			}
			keyed.Answer(w, r, f)
			return
		}
		_ = workos.NotSupported(r.Method, r.URL.Path).Write(w) // the client is gone; there is nobody to tell
	})
}

// servedBy returns the pattern that an operation is served by, or "".
func servedBy(mux *http.ServeMux, o workos.Operation) string {
	path := strings.Split(o.Path, "/")
	for i, segment := range path {
		if strings.HasPrefix(segment, "{") {
			path[i] = "x"
		}
	}
	_, pattern := mux.Handler(&http.Request{Method: o.Method, URL: &url.URL{Path: strings.Join(path, "/")}})
	if !means(pattern, o) {
		return ""
	}
	return pattern
}

// means tells whether a route is of an operation: the same segments, whatever
// parameters are called. Parameters named {by} or {kind} stand for words that
// another pattern's parameter would conflict with.
func means(pattern string, o workos.Operation) bool {
	_, path, _ := strings.Cut(pattern, " ")
	have, want := strings.Split(path, "/"), strings.Split(o.Path, "/")
	if len(have) != len(want) {
		return false
	}
	for i, segment := range have {
		parameter := strings.HasPrefix(want[i], "{")
		switch {
		case segment == "{by}" || segment == "{kind}":
			if parameter {
				return false
			}
		case strings.HasPrefix(segment, "{") != parameter || !parameter && segment != want[i]:
			return false
		}
	}
	return true
}
