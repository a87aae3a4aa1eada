package server

import (
	"context"
	"net/http"
	"net/http/httptest"

	"github.com/berthdev/berth/internal/workos"
)

// Recorded answers a request without a connection.
func (s *Server) Recorded(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// Answer returns the status of the answer to a request as it would arrive on
// the listener, whose address a test of a public URL does not know.
func (s *Server) Answer(r *http.Request) int {
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w.Code
}

// Clean does at once what the server does every minute.
func (s *Server) Clean(ctx context.Context) error { return s.clean(ctx) }

// ServedBy returns the pattern of mux that an operation of WorkOS's document is
// served by, or "".
func ServedBy(mux *http.ServeMux, o workos.Operation) string { return servedBy(mux, o) }
