// Package wire makes HTTP calls that end: each has a deadline, bounded
// retries and honours Retry-After (RFC 9110 section 10.2.3). The clients of
// the vendors' protocols and of Berth's own are lists of calls made through it.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

const (
	defaultTimeout  = 30 * time.Second
	defaultRetries  = 4
	firstDelay      = 200 * time.Millisecond
	maxDelay        = 8 * time.Second
	maxRetryAfter   = 60 * time.Second
	maxResponseBody = 32 << 20
)

// Client calls one base URL. The zero value of every field but Base is usable.
// A Client is safe for concurrent use; its fields are not changed after first use.
type Client struct {
	Base      string                                           // origin plus optional path prefix, no trailing slash needed
	Name      string                                           // how messages call the other end, such as "WorkOS"; default: the host
	Authorize func(ctx context.Context) (string, error)        // value of the Authorization header; nil sends none
	HTTP      *http.Client                                     // default http.DefaultClient without its timeout
	Header    http.Header                                      // sent with every call
	Timeout   time.Duration                                    // per attempt; default 30 s
	Retries   int                                              // attempts after the first; default 4, negative for none
	Observe   func(method, path string, status int)            // called after every attempt; status 0 when no answer came
	Sleep     func(ctx context.Context, d time.Duration) error // waits between attempts; default a timer
}

// Call is one request.
type Call struct {
	Method string
	Path   string      // begins with "/"; appended to Base
	Query  url.Values  // optional
	Body   any         // encoded as JSON; url.Values is sent as a form; nil sends no body
	Out    any         // receives the JSON answer; nil discards it
	Header http.Header // optional, added to the client's
	// Repeatable says that sending the request twice does no harm, so that it
	// may be repeated after a lost connection or a 5xx answer. GET, HEAD, PUT
	// and DELETE always are. A 429 is repeated for every call: nothing was done.
	Repeatable bool
	// Doubt, when not nil, is set to true if any attempt may have been carried
	// out although its answer was lost, broken or a 5xx: "already exists" may
	// then mean this very call, and an error does not mean that nothing was done.
	Doubt *bool
}

// StatusError is an answer outside 2xx. The three error shapes of WorkOS and
// the one of Convex are read into Code and Message.
type StatusError struct {
	Method, Path string
	Status       int
	Code         string
	Message      string
	Body         []byte // at most 64 KiB
	Header       http.Header
	Party        string
}

func (e *StatusError) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	if e.Code != "" && e.Code != text {
		text = e.Code + ": " + text
	}
	return fmt.Sprintf("%s answered %s %s with %d: %s", e.Party, e.Method, e.Path, e.Status, text)
}

// Status returns the HTTP status in err's chain, or 0.
func Status(err error) int {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Status
	}
	return 0
}

// Do makes the call and decodes the answer. Errors are *fault.Error: kind
// Unavailable when no usable answer came within the attempts, otherwise by
// status, with a *StatusError as cause.
func (c *Client) Do(ctx context.Context, call Call) error {
	body, contentType, err := encodeBody(call.Body)
	if err != nil {
		return err
	}
	repeatable := call.Repeatable
	switch call.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		repeatable = true
	}
	retries := c.Retries
	if retries == 0 {
		retries = defaultRetries
	}
	for attempt := 0; ; attempt++ {
		err := c.once(ctx, call, body, contentType)
		if err == nil {
			return nil
		}
		if call.Doubt != nil && doubtful(err) {
			*call.Doubt = true
		}
		wait, again := retryAfter(err, repeatable, attempt)
		if !again || attempt >= retries || ctx.Err() != nil {
			return c.explain(ctx, call, err, attempt+1)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return c.explain(ctx, call, err, attempt+1)
		}
	}
}

func encodeBody(v any) ([]byte, string, error) {
	switch v := v.(type) {
	case nil:
		return nil, "", nil
	case url.Values:
		return []byte(v.Encode()), "application/x-www-form-urlencoded", nil
	default:
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return nil, "", fmt.Errorf("encode request body: %w", err)
		}
		return bytes.TrimRight(buf.Bytes(), "\n"), "application/json", nil
	}
}

// unfinished marks a failure to get a whole answer: no connection, a
// deadline, a reset or a truncated body.
type unfinished struct{ err error }

func (u *unfinished) Error() string { return u.err.Error() }
func (u *unfinished) Unwrap() error { return u.err }

func (c *Client) once(ctx context.Context, call Call, body []byte, contentType string) error {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target := strings.TrimRight(c.Base, "/") + call.Path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target, bytes.NewReader(body))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%q is not a usable address", c.Base)
	}
	if body == nil {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	} else {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json")
	for _, h := range []http.Header{c.Header, call.Header} {
		for k, v := range h {
			req.Header[k] = v
		}
	}
	if c.Authorize != nil {
		auth, err := c.Authorize(ctx)
		if err != nil {
			return err
		}
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		c.observe(call, 0)
		return &unfinished{err: withoutURL(err)}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBody+1))
	c.observe(call, resp.StatusCode)
	if err != nil {
		return &unfinished{err: fmt.Errorf("the answer broke off: %w", err)}
	}
	if len(data) > maxResponseBody {
		return fault.New(fault.Unavailable, "%s answered %s %s with more than %d bytes", c.party(), call.Method, call.Path, maxResponseBody)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.statusError(call, resp, data)
	}
	if call.Out == nil || len(bytes.TrimSpace(data)) == 0 && resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(data, call.Out); err != nil {
		return &unfinished{err: fmt.Errorf("the answer is not the expected JSON: %w", err)}
	}
	return nil
}

// withoutURL drops the URL from a transport error: it may hold query values.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func (c *Client) statusError(call Call, resp *http.Response, data []byte) error {
	e := &StatusError{Method: call.Method, Path: call.Path, Status: resp.StatusCode, Header: resp.Header, Party: c.party(), Body: data}
	if len(e.Body) > 64<<10 {
		e.Body = e.Body[:64<<10]
	}
	var shape struct {
		Code             any    `json:"code"`
		Message          any    `json:"message"`
		Error            any    `json:"error"`
		ErrorDescription string `json:"error_description"`
	}
	if json.Unmarshal(data, &shape) == nil {
		e.Code, _ = shape.Code.(string)
		e.Message, _ = shape.Message.(string)
		if word, ok := shape.Error.(string); ok && e.Code == "" {
			e.Code = word
		}
		if e.Message == "" {
			e.Message = shape.ErrorDescription
		}
	}
	return e
}

// retryAfter says whether to try again and after how long.
func retryAfter(err error, repeatable bool, attempt int) (time.Duration, bool) {
	backoff := min(firstDelay<<min(attempt, 10), maxDelay)
	backoff = backoff/2 + rand.N(backoff/2+1)
	if _, ok := errors.AsType[*unfinished](err); ok {
		return backoff, repeatable || neverSent(err)
	}
	e, ok := errors.AsType[*StatusError](err)
	if !ok {
		return 0, false
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
	case (e.Status == http.StatusRequestTimeout || e.Status >= 500 && e.Status != http.StatusNotImplemented) && repeatable:
	default:
		return 0, false
	}
	if d, ok := parseRetryAfter(e.Header.Get("Retry-After")); ok {
		if d > maxRetryAfter {
			return 0, false // longer than anybody waits: say so instead
		}
		return max(d, backoff/4), true
	}
	return backoff, true
}

// doubtful reports whether the failed attempt may have been carried out.
func doubtful(err error) bool {
	if _, ok := errors.AsType[*unfinished](err); ok {
		return !neverSent(err)
	}
	e, ok := errors.AsType[*StatusError](err)
	return ok && (e.Status >= 500 && e.Status != http.StatusNotImplemented || e.Status == http.StatusRequestTimeout)
}

// neverSent reports whether the request cannot have reached the other end.
func neverSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func parseRetryAfter(v string) (time.Duration, bool) {
	if v == "" {
		return 0, false
	}
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		// Anything above the limit is refused alike; large numbers would overflow.
		return time.Duration(min(n, 1+int(maxRetryAfter/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}

func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	if c.Sleep != nil {
		return c.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) observe(call Call, status int) {
	if c.Observe != nil {
		c.Observe(call.Method, call.Path, status)
	}
}

func (c *Client) party() string {
	if c.Name != "" {
		return c.Name
	}
	if u, err := url.Parse(c.Base); err == nil && u.Host != "" {
		return u.Host
	}
	return c.Base
}

func (c *Client) explain(ctx context.Context, call Call, err error, attempts int) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fault.Wrap(ctx.Err(), fault.Interrupted, "interrupted during %s %s at %s", call.Method, call.Path, c.party())
	}
	if e, ok := errors.AsType[*StatusError](err); ok {
		f := fault.Wrap(e, kindOf(e.Status), "%s", e.Error()).WithCode(e.Code)
		switch f.Kind {
		case fault.Unavailable, fault.RateLimited:
			f.WithFix("wait a minute, then run the command again: it goes on where it stopped")
		}
		return f
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	times := "1 attempt"
	if attempts > 1 {
		times = strconv.Itoa(attempts) + " attempts"
	}
	return fault.Wrap(err, fault.Unavailable, "%s gave no usable answer to %s %s (%s, last: %v)", c.party(), call.Method, call.Path, times, err).
		WithFix("check that %s can be reached from here, then run the command again: it goes on where it stopped", c.Base)
}

func kindOf(status int) fault.Kind {
	switch {
	case status == http.StatusUnauthorized:
		return fault.Unauthenticated
	case status == http.StatusForbidden:
		return fault.Denied
	case status == http.StatusNotFound:
		return fault.NotFound
	case status == http.StatusConflict:
		return fault.Conflict
	case status == http.StatusTooManyRequests:
		return fault.RateLimited
	case status >= 500:
		return fault.Unavailable
	default:
		return fault.Invalid
	}
}
