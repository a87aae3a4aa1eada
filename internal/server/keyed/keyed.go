// Package keyed is what the surfaces in WorkOS's shapes share: calls made with an
// environment's API key, the rates they are held to, list parameters, and the
// three shapes of their errors.
package keyed

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// Handler answers a call made with an API key of e.
type Handler func(e *store.Env, w http.ResponseWriter, r *http.Request) error

// Routes registers the calls of one surface.
type Routes struct {
	mux     *http.ServeMux
	db      *store.DB
	limits  limit.Set
	surface route.Surface
	repeats Repeats
}

// On returns the Routes of a surface on mux.
func On(mux *http.ServeMux, db *store.DB, log *slog.Logger, limits limit.Set) *Routes {
	return &Routes{mux: mux, db: db, limits: limits, surface: route.Surface{Log: log, Answer: Answer}}
}

// Public registers a call that needs no API key.
func (o *Routes) Public(pattern string, h route.Handler) { o.surface.Handle(o.mux, pattern, h) }

// Handle registers a call whose API key chooses the environment.
func (o *Routes) Handle(pattern string, h Handler) {
	o.surface.Handle(o.mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
		e, err := o.db.EnvByAPIKey(r.Context(), route.Bearer(r))
		if err != nil {
			return err
		}
		if err := o.limited(e, r); err != nil {
			return err
		}
		return o.repeats.Do(h, e, store.AnswersKept, w, r)
	})
}

// limited holds the calls of an environment's own servers to its rates.
func (o *Routes) limited(e *store.Env, r *http.Request) error {
	if r.Pattern == "DELETE /organizations/{id}" {
		return o.limits.DeleteOrganization.Take(e.ID)
	}
	switch {
	case !strings.HasPrefix(r.URL.Path, "/user_management/"):
		return nil
	case r.Method == http.MethodGet:
		return o.limits.Reads.Take(e.ID)
	}
	return o.limits.Writes.Take(e.ID)
}

// tooMany is shape C for the token endpoint and shape A elsewhere.
func tooMany(r *http.Request, f *fault.Error) workos.Answer {
	if r.URL.Path == "/user_management/authenticate" {
		return workos.TooManyRequests(route.RetryAfter(f))
	}
	out := workos.MessageAnswer(http.StatusTooManyRequests, f.Message)
	out.RetryAfter = route.RetryAfter(f)
	return out
}

// TooMany answers a request that is over a limit before it reaches a route.
func TooMany(w http.ResponseWriter, r *http.Request, err error) error {
	return tooMany(r, fault.From(err)).Write(w)
}

// Page reads the list parameters.
func Page(r *http.Request) (store.Page, error) {
	q := r.URL.Query()
	p := store.Page{Limit: 10, Before: q.Get("before"), After: q.Get("after")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return p, fault.New(fault.Invalid, "limit must be a number from 1 to 100").WithCode("invalid_request_parameters")
		}
		p.Limit = n
	}
	switch q.Get("order") {
	case "", "desc", "normal":
	case "asc":
		p.Ascending = true
	default:
		return p, fault.New(fault.Invalid, "order must be asc, desc or normal").WithCode("invalid_request_parameters")
	}
	return p, nil
}
