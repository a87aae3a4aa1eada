package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

// naps replaces waiting and remembers how long it would have been.
type naps struct{ taken []time.Duration }

func (n *naps) sleep(ctx context.Context, d time.Duration) error {
	n.taken = append(n.taken, d)
	return ctx.Err()
}

// server answers in turn, the last handler for ever, and counts the requests.
func server(t *testing.T, answers ...http.HandlerFunc) (url string, count *atomic.Int64) {
	t.Helper()
	count = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(count.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, count
}

func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// reset closes the connection with RST and without an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func truncated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, `{"name":`)
}

// hang reads the body first: a server notices that the caller is gone only then.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestRetries(t *testing.T) {
	ok := status(200, `{"name":"x"}`)
	for _, tt := range []struct {
		name       string
		method     string
		repeatable bool
		first      http.HandlerFunc
		calls      int64
		doubt      bool
		kind       fault.Kind // of the final error, "" for success
	}{
		{"a 429 is repeated for every call", "POST", false, status(429, "{}"), 2, false, ""},
		{"a 503 to a read is repeated", "GET", false, status(503, ""), 2, true, ""},
		{"a 500 to a repeatable POST is repeated", "POST", true, status(500, "<h1>"), 2, true, ""},
		{"a 500 to another POST is not", "POST", false, status(500, "<h1>"), 1, true, fault.Unavailable},
		{"a 408 counts like a 5xx", "PUT", false, status(408, ""), 2, true, ""},
		{"a 501 is final", "GET", false, status(501, ""), 1, false, fault.Unavailable},
		{"a 422 is final", "PUT", false, status(422, "{}"), 1, false, fault.Invalid},
		{"a reset read is repeated", "GET", false, reset, 2, true, ""},
		{"a reset repeatable POST is repeated", "POST", true, reset, 2, true, ""},
		{"a reset POST is not", "POST", false, reset, 1, true, fault.Unavailable},
		{"a truncated answer is repeated", "DELETE", false, truncated, 2, true, ""},
		{"an answer that is not JSON is repeated", "GET", false, status(200, "<html>"), 2, true, ""},
		{"a hanging answer is repeated", "GET", false, hang, 2, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, calls := server(t, tt.first, ok)
			var n naps
			var out struct{ Name string }
			var doubt bool
			timeout := time.Minute // what answers is never cut short, however busy the machine
			if strings.Contains(tt.name, "hanging") {
				timeout = 100 * time.Millisecond
			}
			c := Client{Base: base, Timeout: timeout, Sleep: n.sleep, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
			err := c.Do(t.Context(), Call{Method: tt.method, Path: "/x", Body: struct{}{}, Out: &out, Repeatable: tt.repeatable, Doubt: &doubt})
			if calls.Load() != tt.calls || doubt != tt.doubt || int64(len(n.taken)) != tt.calls-1 {
				t.Errorf("%d calls, %d waits, doubt %v, want %d calls, doubt %v", calls.Load(), len(n.taken), doubt, tt.calls, tt.doubt)
			}
			switch {
			case tt.kind == "" && (err != nil || out.Name != "x"):
				t.Errorf("Do = %v, out %q, want success", err, out.Name)
			case tt.kind != "" && !fault.Is(err, tt.kind):
				t.Errorf("Do = %v, want kind %s", err, tt.kind)
			}
		})
	}
}

func TestRetriesAreBounded(t *testing.T) {
	base, calls := server(t, status(503, `{"message":"down"}`))
	var n naps
	var seen []int
	c := Client{Base: base, Name: "WorkOS", Sleep: n.sleep, Observe: func(_, _ string, status int) { seen = append(seen, status) }}
	err := c.Do(t.Context(), Call{Method: "GET", Path: "/things"})
	if calls.Load() != 5 || !cmp.Equal(seen, []int{503, 503, 503, 503, 503}) {
		t.Errorf("%d calls, observed %v, want 5", calls.Load(), seen)
	}
	if want := "WorkOS answered GET /things with 503: down"; !fault.Is(err, fault.Unavailable) || err.Error() != want || fault.From(err).Fix == "" {
		t.Errorf("Do = %v, want %q", err, want)
	}
	for i, d := range n.taken {
		if full := firstDelay << i; d < full/2 || d > full {
			t.Errorf("wait %d = %v, want between %v and %v", i, d, full/2, full)
		}
	}
	c.Retries = -1
	calls.Store(0)
	if err := c.Do(t.Context(), Call{Method: "GET", Path: "/things"}); err == nil || calls.Load() != 1 {
		t.Errorf("Do without retries = %v after %d calls, want an error after 1", err, calls.Load())
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		header string
		calls  int64
		atMost time.Duration
		least  time.Duration
	}{
		{"7", 2, 7 * time.Second, 7 * time.Second},
		{"0", 2, firstDelay, 0},
		{"61", 1, 0, 0}, // longer than anybody waits
		{"soon", 2, firstDelay, firstDelay / 2},
		{"-1", 2, firstDelay, firstDelay / 2},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 2, firstDelay, 0},
	} {
		base, calls := server(t, status(429, `{"error":"too_many_requests","error_description":"later"}`, "Retry-After", tt.header), status(204, ""))
		var n naps
		c := Client{Base: base, Sleep: n.sleep}
		err := c.Do(t.Context(), Call{Method: "POST", Path: "/x"})
		if calls.Load() != tt.calls {
			t.Errorf("Retry-After %q: %d calls, want %d", tt.header, calls.Load(), tt.calls)
		}
		if tt.calls == 1 {
			if !fault.Is(err, fault.RateLimited) || fault.Code(err) != "too_many_requests" {
				t.Errorf("Retry-After %q: Do = %v, want rate limited", tt.header, err)
			}
			continue
		}
		if err != nil || len(n.taken) != 1 || n.taken[0] > tt.atMost || n.taken[0] < tt.least {
			t.Errorf("Retry-After %q: Do = %v, waits %v, want one of %v to %v", tt.header, err, n.taken, tt.least, tt.atMost)
		}
	}
}

func TestErrorShapesAreRead(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"message":"m"}`:                       {"", "m"},
		`{"code":"c","message":"m"}`:            {"c", "m"},
		`{"error":"e","error_description":"d"}`: {"e", "d"},
		`{"code":7,"message":["m"]}`:            {"", ""},
		`{"error":{"message":"nested"}}`:        {"", ""},
		`<html>`:                                {"", ""},
		``:                                      {"", ""},
		`{"code":"c","message":"m","errors":[{"code":"inner"}]}`: {"c", "m"},
	} {
		base, _ := server(t, status(400, body))
		err := (&Client{Base: base, Name: "X"}).Do(t.Context(), Call{Method: "POST", Path: "/p"})
		e, ok := errors.AsType[*StatusError](err)
		if !ok || e.Code != want[0] || e.Message != want[1] || Status(err) != 400 || fault.Code(err) != want[0] || string(e.Body) != body {
			t.Errorf("body %s: error = %+v, want code %q, message %q", body, err, want[0], want[1])
		}
	}
}

func TestRequestIsWhatTheCallSays(t *testing.T) {
	var got *http.Request
	var body string
	base, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got, body = r, string(data)
		w.WriteHeader(http.StatusNoContent)
	})
	c := Client{
		Base: base + "/prefix/", Header: http.Header{"X-Client": {"1"}},
		Authorize: func(context.Context) (string, error) { return "Bearer k", nil },
	}
	err := c.Do(t.Context(), Call{Method: "POST", Path: "/x", Query: url.Values{"a": {"b&c"}}, Body: map[string]string{"u": "<&>"}, Header: http.Header{"Idempotency-Key": {"i"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.URL.RequestURI() != "/prefix/x?a=b%26c" || body != `{"u":"<&>"}` || got.Header.Get("Content-Type") != "application/json" ||
		got.Header.Get("Authorization") != "Bearer k" || got.Header.Get("Idempotency-Key") != "i" || got.Header.Get("X-Client") != "1" {
		t.Errorf("request = %s %v %s", got.URL, got.Header, body)
	}
	if err := c.Do(t.Context(), Call{Method: "POST", Path: "/x", Body: url.Values{"grant_type": {"x y"}}}); err != nil {
		t.Fatal(err)
	}
	if body != "grant_type=x+y" || got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("form = %q as %s", body, got.Header.Get("Content-Type"))
	}
	if err := c.Do(t.Context(), Call{Method: "DELETE", Path: "/x"}); err != nil || body != "" || got.Header.Get("Content-Type") != "" {
		t.Errorf("DELETE = %v, body %q, content type %q, want none", err, body, got.Header.Get("Content-Type"))
	}
}

func TestUnreachableServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var n naps
	var doubt bool
	c := Client{Base: "http://" + addr, Sleep: n.sleep}
	err = c.Do(t.Context(), Call{Method: "POST", Path: "/x", Doubt: &doubt, Query: url.Values{"token": {"hidden"}}})
	f := fault.From(err)
	if f.Kind != fault.Unavailable || !strings.Contains(f.Message, "POST /x (5 attempts") || !strings.Contains(f.Fix, addr) || doubt || len(n.taken) != 4 {
		t.Errorf("Do = %v, fix %q, doubt %v, %d waits, want unavailable after 5 attempts, no doubt", err, f.Fix, doubt, len(n.taken))
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("Do = %v, want no query in it", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	base, calls := server(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	c := Client{Base: base}
	if err := c.Do(ctx, Call{Method: "GET", Path: "/x"}); !fault.Is(err, fault.Interrupted) || !errors.Is(err, context.Canceled) || calls.Load() != 1 {
		t.Errorf("Do = %v after %d calls, want interrupted after 1", err, calls.Load())
	}
	// Cancelled while it waits for the next attempt.
	ctx, cancel = context.WithCancel(t.Context())
	base, calls = server(t, status(503, ""))
	c = Client{Base: base, Sleep: func(context.Context, time.Duration) error { cancel(); return context.Canceled }}
	if err := c.Do(ctx, Call{Method: "GET", Path: "/x"}); !fault.Is(err, fault.Interrupted) || calls.Load() != 1 {
		t.Errorf("Do = %v after %d calls, want interrupted after 1", err, calls.Load())
	}
}

func TestBadBaseAndRefusedCredential(t *testing.T) {
	if err := (&Client{Base: "::"}).Do(t.Context(), Call{Method: "GET", Path: "/x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("Do at a bad base = %v, want invalid", err)
	}
	base, calls := server(t, status(200, "{}"))
	want := fault.New(fault.Unauthenticated, "log in first")
	c := Client{Base: base, Authorize: func(context.Context) (string, error) { return "", want }}
	if err := c.Do(t.Context(), Call{Method: "GET", Path: "/x"}); !errors.Is(err, want) || calls.Load() != 0 {
		t.Errorf("Do without a credential = %v after %d calls, want %v and none", err, calls.Load(), want)
	}
}

func TestEmptyAnswers(t *testing.T) {
	var out struct{ Name string }
	base, _ := server(t, status(204, ""))
	if err := (&Client{Base: base}).Do(t.Context(), Call{Method: "GET", Path: "/x", Out: &out}); err != nil {
		t.Errorf("Do with 204 = %v, want success", err)
	}
	base, calls := server(t, status(200, ""))
	var n naps
	if err := (&Client{Base: base, Sleep: n.sleep}).Do(t.Context(), Call{Method: "GET", Path: "/x", Out: &out}); !fault.Is(err, fault.Unavailable) || calls.Load() != 5 {
		t.Errorf("Do with an empty 200 = %v after %d calls, want unavailable after 5", err, calls.Load())
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "1.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if d, ok := parseRetryAfter(v); d < 0 || !ok && d != 0 {
			t.Errorf("parseRetryAfter(%q) = %v, %v, want no negative time", v, d, ok)
		}
	})
}
