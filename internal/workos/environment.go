package workos

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// Environment configures one AuthKit environment and signs users in to it.
// The API key selects the environment. It is safe for concurrent use.
type Environment struct {
	ClientID string // sent by the authenticate calls
	key      secret.String
	calls    *wire.Client
}

// NewEnvironment returns a client of the environment that key belongs to. c
// says where and how: an empty Base is api.workos.com, the other members are
// as in [wire.Client], Authorize is replaced. An empty key makes a public
// client, which can only authenticate.
func NewEnvironment(c wire.Client, clientID string, key secret.String) *Environment {
	named(&c)
	c.Authorize = nil
	if key != "" {
		c.Authorize = func(context.Context) (string, error) { return "Bearer " + key.Reveal(), nil }
	}
	return &Environment{ClientID: clientID, key: key, calls: &c}
}

func named(c *wire.Client) {
	if c.Base == "" {
		c.Base = DefaultBase
	}
	if c.Name == "" && c.Base == DefaultBase {
		c.Name = "WorkOS"
	}
}

const (
	pathRedirectURIs = "/user_management/redirect_uris"
	pathCORSOrigins  = "/user_management/cors_origins"
	pathHomepage     = "/user_management/app_homepage_url"
	pathJWTTemplate  = "/user_management/jwt_template"
)

// ListRedirectURIs returns all registered redirect URIs, in the order of the other end.
func (e *Environment) ListRedirectURIs(ctx context.Context) ([]RedirectURI, error) {
	list, err := all[RedirectURI](ctx, e.calls, pathRedirectURIs, nil)
	return list, explainKey(err)
}

// AddRedirectURI registers uri. AlreadyThere means that it was registered
// before; Done also stands for a registration whose answer was lost and whose
// repetition found it there.
func (e *Environment) AddRedirectURI(ctx context.Context, uri string) (Outcome, error) {
	var doubt bool
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathRedirectURIs, Body: RedirectURIRequest{URI: uri}, Repeatable: true, Doubt: &doubt})
	if wire.Status(err) == http.StatusUnprocessableEntity && saysExists(err) {
		return present(doubt), nil
	}
	return done(explainKey(err))
}

// DeleteRedirectURI removes the registration with the given id. 404 is
// AlreadyGone; the default cannot be removed (409) and gives NotRemovable.
func (e *Environment) DeleteRedirectURI(ctx context.Context, id string) (Outcome, error) {
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodDelete, Path: pathRedirectURIs + "/" + url.PathEscape(id)})
	switch wire.Status(err) {
	case http.StatusNotFound:
		return Outcome{State: AlreadyGone}, nil
	case http.StatusConflict:
		return Outcome{State: NotRemovable, Reason: "it is the environment's default redirect URI; choose another default in the dashboard first"}, nil
	}
	return done(explainKey(err))
}

// ListCORSOrigins returns all allowed origins, in the order of the other end.
func (e *Environment) ListCORSOrigins(ctx context.Context) ([]CORSOrigin, error) {
	list, err := all[CORSOrigin](ctx, e.calls, pathCORSOrigins, nil)
	return list, explainKey(err)
}

// AddCORSOrigin allows origin; outcomes as for AddRedirectURI.
func (e *Environment) AddCORSOrigin(ctx context.Context, origin string) (Outcome, error) {
	var doubt bool
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathCORSOrigins, Body: CORSOriginRequest{Origin: origin}, Repeatable: true, Doubt: &doubt})
	switch wire.Status(err) {
	case http.StatusConflict:
		if saysExists(err) || fault.Code(err) == CodeDuplicateCORSOrigin {
			return present(doubt), nil
		}
	case http.StatusUnprocessableEntity:
		if saysExists(err) {
			return present(doubt), nil
		}
	}
	return done(explainKey(err))
}

// DeleteCORSOrigin removes an origin. WorkOS documents no such operation: 404
// and 405 give NotRemovable.
func (e *Environment) DeleteCORSOrigin(ctx context.Context, id string) (Outcome, error) {
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodDelete, Path: pathCORSOrigins + "/" + url.PathEscape(id)})
	switch wire.Status(err) {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return Outcome{State: NotRemovable, Reason: "it is gone already, or this server cannot remove CORS origins (WorkOS cannot): see the dashboard"}, nil
	}
	return done(explainKey(err))
}

// SetHomepage sets where sign-out ends when no return URL was given. The
// refusal of a value (422, such as localhost in some environments) is the
// outcome Refused, for a warning; it is not an error.
func (e *Environment) SetHomepage(ctx context.Context, homepage string) (Outcome, error) {
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: pathHomepage, Body: HomepageRequest{URL: homepage}})
	if wire.Status(err) == http.StatusUnprocessableEntity {
		return Outcome{State: Refused, Reason: "the homepage URL was refused: " + messageOf(err)}, nil
	}
	return done(explainKey(err))
}

// GetJWTTemplate returns the content of the template, "" when none was ever set.
func (e *Environment) GetJWTTemplate(ctx context.Context) (string, error) {
	var t JWTTemplate
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodGet, Path: pathJWTTemplate, Out: &t})
	if wire.Status(err) == http.StatusNotFound {
		return "", nil
	}
	return t.Content, explainKey(err)
}

// SetJWTTemplate replaces the template. A template that breaks the rules is
// an Invalid error with the reason of the other end.
func (e *Environment) SetJWTTemplate(ctx context.Context, content string) (Outcome, error) {
	return done(explainKey(e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: pathJWTTemplate, Body: JWTTemplateRequest{Content: content}})))
}

func done(err error) (Outcome, error) {
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{State: Done}, nil
}

// present is the outcome of "already exists": after an attempt whose answer
// was lost, the entry is most likely that attempt's, and the caller must own it.
func present(doubt bool) Outcome {
	if doubt {
		return Outcome{State: Done}
	}
	return Outcome{State: AlreadyThere}
}

func saysExists(err error) bool {
	e, ok := errors.AsType[*wire.StatusError](err)
	return ok && strings.Contains(string(e.Body), "already exists")
}

func messageOf(err error) string {
	if e, ok := errors.AsType[*wire.StatusError](err); ok {
		if e.Message != "" {
			return e.Message
		}
		return http.StatusText(e.Status)
	}
	return err.Error()
}

// explainKey adds the next step to an unusable API key.
func explainKey(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Fix == "" && f.Kind == fault.Unauthenticated {
		f.WithFix("check WORKOS_API_KEY: the key is wrong, expired, or of another server; `berth status --explain` shows where it comes from")
	}
	return err
}

const pageSize = "100"

// all reads every page of a list. A cursor can vanish while others delete
// entries; the list is then read again from its start, three times at most.
func all[T any](ctx context.Context, c *wire.Client, path string, query url.Values) ([]T, error) {
	for restarts := 0; ; restarts++ {
		list, lost, err := pages[T](ctx, c, path, query)
		if lost && restarts < 3 {
			continue
		}
		return list, err
	}
}

func pages[T any](ctx context.Context, c *wire.Client, path string, query url.Values) (list []T, lost bool, err error) {
	seen := map[string]bool{}
	after := ""
	for {
		q := url.Values{"limit": {pageSize}}
		for k, v := range query {
			q[k] = v
		}
		if after != "" {
			q.Set("after", after)
		}
		var page List[T]
		if err := c.Do(ctx, wire.Call{Method: http.MethodGet, Path: path, Query: q, Out: &page}); err != nil {
			status := wire.Status(err)
			lost := after != "" && (status == http.StatusBadRequest || status == http.StatusNotFound || status == http.StatusUnprocessableEntity)
			return nil, lost, err
		}
		list = append(list, page.Data...)
		if page.Metadata.After == nil || *page.Metadata.After == "" {
			return list, false, nil
		}
		after = *page.Metadata.After
		if seen[after] {
			return nil, false, fault.New(fault.Unavailable, "the list at %s repeats its cursor %q and never ends", path, after).
				WithFix("run the command again; if it stays, report the server's version")
		}
		seen[after] = true
	}
}

// Counter counts calls; plug its Observe into [wire.Client].
type Counter struct{ reads, writes atomic.Int64 }

// Observe counts one attempt.
func (c *Counter) Observe(method, _ string, _ int) {
	if method == http.MethodGet {
		c.reads.Add(1)
		return
	}
	c.writes.Add(1)
}

// Reads returns the number of GET attempts.
func (c *Counter) Reads() int64 { return c.reads.Load() }

// Writes returns the number of all other attempts.
func (c *Counter) Writes() int64 { return c.writes.Load() }
