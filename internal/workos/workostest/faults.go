package workostest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"time"
)

// Fault is what goes wrong with one request.
type Fault string

// The faults of a schedule. "After" means that the server did what was asked.
const (
	None        Fault = ""
	Limited     Fault = "429"          // with Retry-After: 1
	Failing     Fault = "500"          // an HTML page
	Overloaded  Fault = "503"          // with Retry-After: 2
	FailedAfter Fault = "502 after"    // done, then a bad gateway
	Hang        Fault = "hang"         // no answer until the caller gives up
	ResetBefore Fault = "reset before" // connection reset, nothing done
	ResetAfter  Fault = "reset after"  // done, then the connection is reset
	Truncated   Fault = "truncated"    // done, then the body breaks off
)

// Faults are all of them.
var Faults = []Fault{Limited, Failing, Overloaded, FailedAfter, Hang, ResetBefore, ResetAfter, Truncated}

// Transport carries requests to a server inside the process, without sockets,
// so that it works under a fake clock too. A request meets a fault by its
// content and how often it was sent, so a seed means the same faults whatever
// the order of parallel requests.
type Transport struct {
	Handler http.Handler
	Seed    uint64
	Percent int     // of requests that meet a fault
	Only    []Fault // default Faults
	Latency time.Duration

	mu   sync.Mutex
	sent map[string]int
	met  map[Fault]int
}

// Met returns how often each fault was met.
func (t *Transport) Met() map[Fault]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[Fault]int{}
	for f, n := range t.met {
		out[f] = n
	}
	return out
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	if t.Latency > 0 {
		timer := time.NewTimer(t.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	switch fault := t.pick(req, body); fault {
	case Limited:
		return answer(req, http.StatusTooManyRequests, "1", `{"message":"Too many requests"}`), nil
	case Failing:
		return answer(req, http.StatusInternalServerError, "", "<h1>Internal Server Error</h1>"), nil
	case Overloaded:
		return answer(req, http.StatusServiceUnavailable, "2", `{"message":"down"}`), nil
	case Hang:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case ResetBefore:
		return nil, reset
	default:
		resp := t.serve(req, body)
		switch fault {
		case FailedAfter:
			return answer(req, http.StatusBadGateway, "", "Bad Gateway"), nil
		case ResetAfter:
			return nil, reset
		case Truncated:
			data, _ := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(data[:len(data)/2]), broken{}))
		}
		return resp, nil
	}
}

func (t *Transport) serve(req *http.Request, body []byte) *http.Response {
	in := req.Clone(req.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	t.Handler.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = req
	return resp
}

func (t *Transport) pick(req *http.Request, body []byte) Fault {
	if t.Percent == 0 {
		return None
	}
	key := req.Method + " " + req.URL.RequestURI() + " " + string(body)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent == nil {
		t.sent, t.met = map[string]int{}, map[Fault]int{}
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d|%s|%d", t.Seed, key, t.sent[key])
	t.sent[key]++
	n := mix(h.Sum64())
	if int(n%100) >= t.Percent {
		return None
	}
	faults := t.Only
	if len(faults) == 0 {
		faults = Faults
	}
	f := faults[(n/100)%uint64(len(faults))]
	t.met[f]++
	return f
}

// mix spreads the bits of a hash (the finalizer of SplitMix64).
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func answer(req *http.Request, status int, retryAfter, body string) *http.Response {
	w := httptest.NewRecorder()
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	resp := w.Result()
	resp.Request = req
	return resp
}

type broken struct{}

func (broken) Read([]byte) (int, error) {
	return 0, errors.Join(io.ErrUnexpectedEOF, syscall.ECONNRESET)
}
