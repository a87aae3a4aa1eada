// Package route is what the surfaces of the server share: handlers that return
// errors, one place that turns an error into an answer and a log line, and the
// reading of request bodies within limits.
package route

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/limit"
)

// MaxBody bounds request bodies in bytes.
const MaxBody = 1 << 20

// Surface is one API of the server. Answer writes an error in the shape of
// that API; it gets a fault made to be read and never the cause.
type Surface struct {
	Log    *slog.Logger
	Answer func(w http.ResponseWriter, r *http.Request, f *fault.Error)
}

// Handler answers a request or returns an error.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Handle registers h. Whatever error it returns is answered once, and logged
// when it is internal; no other place writes errors.
func (s Surface) Handle(mux *http.ServeMux, pattern string, h Handler) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.Fail(w, r, err)
		}
	})
}

// Fail answers an error.
func (s Surface) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client is gone
	}
	f := fault.From(err)
	if f.Kind == fault.Internal {
		s.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "request_id", RequestID(r.Context()), "err", err)
		f = fault.New(fault.Internal, "Something went wrong on the server. The request ID is %s.", RequestID(r.Context()))
	}
	if after := RetryAfter(f); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	s.Answer(w, r, f)
}

// RetryAfter returns how long a limit asks to wait, or 0 for other errors.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return e.After
	}
	return 0
}

// Status is the HTTP status of a kind where an API has no rule of its own.
func Status(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Denied:
		return http.StatusForbidden
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Unsupported:
		return http.StatusNotImplemented
	default:
		return http.StatusInternalServerError
	}
}

// JSON answers with v. HTML characters stay as they are, as WorkOS sends them.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := Encode(v)
	if err != nil {
		return err
	}
	return Encoded(w, status, body)
}

// Encode returns v as JSON answers hold it.
func Encode(v any) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return body.Bytes(), err
}

var jsonType = []string{"application/json"}

// Encoded answers with what Encode returned.
func Encoded(w http.ResponseWriter, status int, body []byte) error {
	// With its length known an answer of any size is one piece, not chunks.
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = jsonType, []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// Read decodes the body into v: JSON, or a form whose fields become the
// members of a JSON object of strings. An empty body leaves v as it is.
func Read(r *http.Request, v any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return fault.New(fault.Invalid, "the Content-Type header cannot be read").WithCode("invalid_request")
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fault.New(fault.Invalid, "the request body is larger than %d bytes", MaxBody).WithCode("invalid_request")
		}
		return fault.Wrap(err, fault.Invalid, "the request body broke off").WithCode("invalid_request")
	}
	if strings.TrimSpace(string(data)) == "" {
		return nil
	}
	if kind == "application/x-www-form-urlencoded" {
		return readForm(string(data), v)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fault.New(fault.Invalid, "the request body is not the expected JSON: %s", jsonProblem(err)).WithCode("invalid_request")
	}
	return nil
}

// jsonProblem describes a decoding error without quoting the body, which may
// hold a secret.
func jsonProblem(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "member " + t.Field + " must be a " + t.Type.String()
	}
	return "syntax error"
}

func readForm(data string, v any) error {
	query, err := url.ParseQuery(data)
	values := make(map[string]string, len(query))
	for k, v := range query {
		values[k] = v[0]
	}
	if err != nil {
		return fault.New(fault.Invalid, "the form body cannot be read").WithCode("invalid_request")
	}
	encoded, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(encoded, v); err != nil {
		return fault.New(fault.Invalid, "the form body does not fit: %s", jsonProblem(err)).WithCode("invalid_request")
	}
	return nil
}

type contextKey int

const requestIDKey contextKey = 0

// RequestID returns the id of the request being served.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// WithRequestID gives every request an id, which it shows in X-Request-ID, and
// its context the client that it comes from.
func WithRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := "req_" + identity.NewULID()
		w.Header()["X-Request-Id"] = []string{id}
		ctx := identity.WithClient(r.Context(), identity.Client{IPAddress: ClientIP(r), UserAgent: r.UserAgent()})
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, requestIDKey, id)))
	})
}

// Bearer returns the bearer token of a request, or "".
func Bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// ClientIP returns the address of the peer. Forwarding headers are not
// trusted: no proxy is configured.
func ClientIP(r *http.Request) string {
	host := r.RemoteAddr
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}
