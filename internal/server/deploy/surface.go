package deploy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/server/syncws"
	"github.com/berthdev/berth/internal/store"
)

// Bounds of request bodies, in bytes after decompression.
const (
	maxBody = 16<<20 + 2000
	maxPush = 200 << 20
	maxHTTP = 20 << 20 // of HTTP actions
)

// Bounds of the time that one request may take: a push is long to read, and an
// action may run ten minutes.
const (
	readTime  = 5 * time.Minute
	writeTime = 11 * time.Minute
)

// Surface serves the origins of deployments: functions, pushes, variables,
// logs, files and the sync WebSocket on one, HTTP actions on the other. The
// context of a request says whose origin it is (Origins). Each deployment
// accepts its own admin key and the tokens of its own auth.config, and nothing
// of another one.
type Surface struct {
	DB       *store.DB
	Log      *slog.Logger
	Registry *instance.Registry
	Version  string

	once     sync.Once
	stopping chan struct{}
	sockets  sync.WaitGroup
}

func (s *Surface) stopped() chan struct{} {
	s.once.Do(func() { s.stopping = make(chan struct{}) })
	return s.stopping
}

// Stop ends what stays open for long, sockets and log streams, and waits for
// the sockets until ctx ends. It is called once.
func (s *Surface) Stop(ctx context.Context) {
	close(s.stopped())
	done := make(chan struct{})
	go func() {
		s.sockets.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Handler returns what serves both origins.
func (s *Surface) Handler() http.Handler {
	functions, site := s.functions(), s.site()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		now := time.Now()
		// Not every writer has deadlines (tests record answers); those of connections do.
		_ = control.SetReadDeadline(now.Add(readTime))
		_ = control.SetWriteDeadline(now.Add(writeTime))
		at, ok := originOf(r.Context())
		switch {
		case !ok:
			http.NotFound(w, r)
		case at.site:
			site.ServeHTTP(w, r)
		default:
			functions.ServeHTTP(w, r)
		}
	})
}

// call is one request to a deployment.
type call struct {
	i      *instance.Instance
	caller instance.Caller
	w      http.ResponseWriter
	r      *http.Request
}

// functions returns the routes of the origin of functions.
func (s *Surface) functions() http.Handler {
	mux := http.NewServeMux()
	surface := route.Surface{Log: s.Log, Answer: answerConvex}
	// open is for everybody, with a token or without.
	open := func(pattern string, h func(*call) error) {
		surface.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			if err := checkClient(w, r); err != nil {
				return err
			}
			i, release, err := s.open(r)
			if err != nil {
				return err
			}
			defer release()
			caller, refusal := s.caller(r, i)
			if refusal != nil {
				return refuse(refusal, i.Redacts())
			}
			return h(&call{i: i, caller: caller, w: w, r: r})
		})
	}
	admin := func(pattern string, h func(*call) error) {
		open(pattern, func(c *call) error {
			if !c.caller.Admin {
				return refuse(deployment.BadAdminKey(), false)
			}
			return h(c)
		})
	}
	s.routes(surface, mux, open, admin)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		surface.Fail(w, r, fault.New(fault.NotFound, "%s %s is not a route of this deployment.", r.Method, r.URL.Path).WithCode("NotFound"))
	})
	return cors(mux)
}

// open returns the deployment whose origin a request came to.
func (s *Surface) open(r *http.Request) (*instance.Instance, func(), error) {
	at, _ := originOf(r.Context())
	// One that was deleted may still be in memory.
	if _, err := s.DB.DeploymentByName(r.Context(), at.name); err != nil {
		return nil, nil, err
	}
	return s.Registry.Open(r.Context(), at.name)
}

// caller says as whom a request calls.
func (s *Surface) caller(r *http.Request, i *instance.Instance) (instance.Caller, *deployment.Refusal) {
	caller := instance.Caller{Name: "HttpApi"}
	c, refusal := deployment.ParseAuthorization(r)
	if refusal != nil {
		return caller, refusal
	}
	switch c.Caller {
	case deployment.User:
		caller.Identity, refusal = i.Accept(r.Context(), c.Token)
		return caller, refusal
	case deployment.Admin:
		return s.admin(withPattern(r), i, c.AdminKey.Reveal(), nil)
	}
	return caller, nil
}

// admin decides about an admin key. It may act as a user: with an identity (JSON
// object) of its own or, in base64, after a colon in the key.
func (s *Surface) admin(ctx context.Context, i *instance.Instance, key string, identity json.RawMessage) (instance.Caller, *deployment.Refusal) {
	caller := instance.Caller{Name: "HttpApi"}
	name, rest, _ := strings.Cut(key, "|")
	own, acting, _ := strings.Cut(rest, ":")
	d, err := s.DB.DeploymentByAdminKey(ctx, name+"|"+own)
	if err != nil || d.ID != i.Deployment().ID {
		return caller, deployment.BadAdminKey()
	}
	if refusal := permitted(ctx, d); refusal != nil {
		return caller, refusal
	}
	bad := &deployment.Refusal{Status: http.StatusBadRequest, Code: "InvalidAdminKey", Message: "Invalid admin key", Redacted: "Invalid admin key"}
	if acting != "" {
		if identity, err = base64.StdEncoding.DecodeString(acting); err != nil {
			return caller, bad
		}
	}
	if len(identity) > 0 && string(identity) != "null" {
		if caller.Identity = impersonated(identity); caller.Identity == nil {
			return caller, bad
		}
	}
	caller.Admin = true
	return caller, nil
}

// impersonated reads the identity that an admin acts as.
func impersonated(data []byte) *deployment.Identity {
	id := &deployment.Identity{ExpiresAt: math.MaxInt64}
	if json.Unmarshal(data, &id.Fields) != nil || id.Fields == nil {
		return nil
	}
	for name, to := range map[string]*string{"issuer": &id.Issuer, "subject": &id.Subject, "tokenIdentifier": &id.TokenIdentifier} {
		if v, there := id.Fields[name]; there && json.Unmarshal(v, to) != nil {
			return nil
		}
	}
	return id
}

// clientVersion reads the Convex-Client header. Clients up to 0.19.1 are not answered any more.
var clientVersion = regexp.MustCompile(`^npm(?:-cli|-react)?-(\d{1,6})\.(\d{1,6})\.(\d{1,6})`)

func checkClient(w http.ResponseWriter, r *http.Request) error {
	m := clientVersion.FindStringSubmatch(r.Header.Get("Convex-Client"))
	if m == nil {
		return nil
	}
	var v [3]int
	for n := range v {
		v[n], _ = strconv.Atoi(m[n+1]) // six digits
	}
	if v[0] > 0 || v[1] > 19 || v[1] == 19 && v[2] > 1 {
		return nil
	}
	text := "The Convex npm package at version " + m[1] + "." + m[2] + "." + m[3] + " is no longer supported. Update it with `npm update convex`."
	w.Header().Set("X-Convex-Deprecation-State", "Deprecated")
	w.Header().Set("X-Convex-Deprecation-Message", text)
	return fault.New(fault.Invalid, "%s", text).WithCode("ClientVersionUnsupported")
}

// answerConvex writes an error as Convex's clients read it.
func answerConvex(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
	status, code, message := route.Status(f.Kind), f.Code, f.Message
	if ref, ok := errors.AsType[*refused](f.Err); ok {
		status, code, message = ref.status, ref.code, ref.message
	}
	if code == "" {
		code = map[fault.Kind]string{fault.Internal: "InternalServerError", fault.Invalid: "BadRequest", fault.Unavailable: "ServiceUnavailable"}[f.Kind]
	}
	if code == "" {
		code = string(f.Kind)
	}
	_ = route.JSON(w, status, convex.ErrorBody{Code: code, Message: message}) // the client is gone
}

// body reads the body of a request, decompressed.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	in := io.Reader(http.MaxBytesReader(w, r.Body, limit))
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "br":
		in = brotli.NewReader(in)
	default:
		return nil, fault.New(fault.Invalid, "The content encoding %q is not supported.", encoding).WithCode("UnsupportedContentEncoding")
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || int64(len(data)) > limit {
		return nil, refusedWith(http.StatusRequestEntityTooLarge, "RequestTooLarge", "The request body is larger than "+strconv.FormatInt(limit, 10)+" bytes.")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The request body cannot be read.").WithCode("BadRequestBody")
	}
	return data, nil
}

// read decodes the JSON body of a request.
func (c *call) read(limit int64, v any) error {
	data, err := body(c.w, c.r, limit)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	if err := json.Unmarshal(data, v); err != nil {
		text := "syntax error"
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			text = "member " + t.Field + " has the wrong type"
		}
		return fault.New(fault.Invalid, "The request body is not the expected JSON: %s", text).WithCode("BadJsonBody")
	}
	return nil
}

func (c *call) json(v any) error { return route.JSON(c.w, http.StatusOK, v) }

func (c *call) text(s string) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(c.w, s)
	return err
}

// cors lets pages of every origin call: what a call may do is in its
// Authorization header, not in cookies.
func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		from := r.Header.Get("Origin")
		if from != "" {
			h.Set("Access-Control-Allow-Origin", from)
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions {
			h.Add("Vary", "Access-Control-Request-Headers")
			h.Set("Access-Control-Allow-Methods", "GET,POST,OPTIONS,PATCH,DELETE,PUT")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				h.Set("Access-Control-Allow-Headers", asked)
			}
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// socket serves the sync WebSocket until the server stops.
func (s *Surface) socket() http.Handler {
	h := &syncws.Handler{Log: s.Log, Open: s.open, Admin: s.admin}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.stopped():
			http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
			return
		default:
		}
		s.sockets.Add(1)
		defer s.sockets.Done()
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{}) // see Handler; the socket has rules of its own
		_ = control.SetWriteDeadline(time.Time{})
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			select {
			case <-s.stopped():
				cancel()
			case <-ctx.Done():
			}
		}()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}
