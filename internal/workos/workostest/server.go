// Package workostest is a small WorkOS in memory for tests: environment
// configuration and Platform API, with faults on schedule. It fails the test
// on requests it does not know.
package workostest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/workos"
)

// Server holds environments and teams. It is an http.Handler.
type Server struct {
	// CanListEnvironments adds the call that only a Berth server has.
	CanListEnvironments bool
	// CanDeleteOrigins adds the call that WorkOS does not have.
	CanDeleteOrigins bool

	t      testing.TB
	mux    *http.ServeMux
	mu     sync.Mutex
	byKey  map[string]*Environment
	teams  map[string]*team
	tokens map[string]bool   // value: still good
	made   map[string][]byte // answers by Idempotency-Key
	log    []string
	next   int
}

// Environment is the state of one environment.
type Environment struct {
	ID, ClientID string
	Production   bool
	s            *Server
	uris         []workos.RedirectURI
	origins      []workos.CORSOrigin
	homepage     string
	template     string
}

type team struct {
	workos.Team
	email        string
	members      []string
	environments map[string]*Environment
	names        map[string]string
	keys         map[string]string // id to value
}

// ClientID and ClientSecret are the credentials of the platform.
const (
	ClientID     = "client_platform"
	ClientSecret = "platform-secret"
)

// New returns an empty server that reports unknown requests to t.
func New(t testing.TB) *Server {
	s := &Server{t: t, mux: http.NewServeMux(), byKey: map[string]*Environment{}, teams: map[string]*team{}, tokens: map[string]bool{}, made: map[string][]byte{}}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("workostest: unknown request %s %s", r.Method, r.URL.Path)
		write(w, workos.MessageAnswer(http.StatusNotFound, "Not Found"))
	})
	s.configuration()
	s.platform()
	return s
}

// AddEnvironment makes an environment reached with the given API key.
func (s *Server) AddEnvironment(key string) *Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &Environment{s: s, ID: s.id("environment"), ClientID: s.id("client"), Production: strings.HasPrefix(key, "sk_live_")}
	s.byKey[key] = e
	return e
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, r.Method+" "+r.URL.Path)
	s.mux.ServeHTTP(w, r)
}

// Calls returns the requests that reached the server, as "METHOD /path".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// ForgetCalls empties the list of Calls.
func (s *Server) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// RevokeTokens makes every issued token unusable.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// RedirectURIs returns the registered URIs, sorted.
func (e *Environment) RedirectURIs() []string {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	out := []string{}
	for _, u := range e.uris {
		out = append(out, u.URI)
	}
	slices.Sort(out)
	return out
}

// Origins returns the allowed origins, sorted.
func (e *Environment) Origins() []string {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	out := []string{}
	for _, o := range e.origins {
		out = append(out, o.Origin)
	}
	slices.Sort(out)
	return out
}

// Homepage returns the homepage URL.
func (e *Environment) Homepage() string {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	return e.homepage
}

// Put registers a URI as a person would in the dashboard.
func (e *Environment) Put(uri string, isDefault bool) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.uris = append(e.uris, workos.RedirectURI{Object: "redirect_uri", ID: e.s.id("redir"), URI: uri, Default: isDefault, CreatedAt: now(), UpdatedAt: now()})
}

// MakeDefault makes a registered URI the default one, as a person can in the
// dashboard.
func (e *Environment) MakeDefault(uri string) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	for i := range e.uris {
		e.uris[i].Default = e.uris[i].URI == uri
	}
}

func (s *Server) id(prefix string) string {
	s.next++
	return fmt.Sprintf("%s_%026d", prefix, s.next)
}

func now() workos.Time { return workos.At(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)) }

func write(w http.ResponseWriter, a workos.Answer) { _ = a.Write(w) }

func writeJSON(w http.ResponseWriter, status int, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data)
	return data
}

func read[T any](w http.ResponseWriter, r *http.Request) (T, bool) {
	var v T
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		write(w, workos.MessageAnswer(http.StatusBadRequest, "Malformed body: "+err.Error()))
		return v, false
	}
	return v, true
}

// page cuts one page out of a list, newest first, as WorkOS does by default.
func page[T any](w http.ResponseWriter, q url.Values, list []T, id func(T) string) {
	list = slices.Clone(list)
	slices.Reverse(list)
	if after := q.Get("after"); after != "" {
		at := slices.IndexFunc(list, func(v T) bool { return id(v) == after })
		if at < 0 {
			write(w, workos.MessageAnswer(http.StatusUnprocessableEntity, "Unknown cursor"))
			return
		}
		list = list[at+1:]
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 10
	}
	after := ""
	if len(list) > limit {
		list = list[:limit]
		after = id(list[limit-1])
	}
	writeJSON(w, http.StatusOK, workos.NewList(list, "", after))
}
