package deployment

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	cacheSize    = 16 << 20          // bytes of cached documents
	maxDocument  = 4 << 20           // bytes of one document
	fetchTimeout = 300 * time.Second // Convex sets no limit of its own but that of the request
)

// Fetcher gets key sets and discovery documents, with a cache that follows
// Cache-Control (RFC 9111) as a shared cache does: a rotated key stays unseen
// until max-age ends. The zero value fetches from the network. A Fetcher is
// safe for concurrent use; its fields are not changed after first use.
type Fetcher struct {
	// Resolve may send a URL elsewhere: vendor host names to the server in
	// this process. It is also asked about the targets of redirects.
	Resolve func(rawURL string) (Target, bool)
	// Transport carries what is not resolved to a handler; default
	// http.DefaultTransport.
	Transport http.RoundTripper

	mu      sync.Mutex
	entries map[string]*list.Element // of *document
	recent  list.List                // most recently used first
	size    int
}

// Target is where a URL is fetched instead: from Handler, in this process, or,
// if that is nil, from URL.
type Target struct {
	Handler http.Handler
	URL     string
}

// document is a fetched body. Its parsed forms are made once.
type document struct {
	url         string
	status      int
	contentType string // "" when absent
	body        []byte
	expires     time.Time // zero: never
	strict      func() ([]key, error)
	lenient     func() ([]key, error)
}

func newDocument(rawURL string, body []byte) *document {
	return &document{
		url: rawURL, status: http.StatusOK, body: body,
		strict:  sync.OnceValues(func() ([]key, error) { return parseKeys(body, true) }),
		lenient: sync.OnceValues(func() ([]key, error) { return parseKeys(body, false) }),
	}
}

// weight is about what the document and its parsed forms hold in memory.
func (d *document) weight() int { return len(d.url) + 3*len(d.body) + 256 }

func (f *Fetcher) cached(rawURL string, now time.Time) *document {
	f.mu.Lock()
	defer f.mu.Unlock()
	element := f.entries[rawURL]
	if element == nil {
		return nil
	}
	d := element.Value.(*document)
	if !d.expires.IsZero() && !now.Before(d.expires) {
		f.drop(element)
		return nil
	}
	f.recent.MoveToFront(element)
	return d
}

// drop removes an entry; f.mu is held.
func (f *Fetcher) drop(element *list.Element) {
	d := f.recent.Remove(element).(*document)
	delete(f.entries, d.url)
	f.size -= d.weight()
}

func (f *Fetcher) keep(d *document) {
	if d.weight() > cacheSize {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.entries[d.url]; old != nil {
		f.drop(old)
	}
	if f.entries == nil {
		f.entries = map[string]*list.Element{}
	}
	f.entries[d.url] = f.recent.PushFront(d)
	for f.size += d.weight(); f.size > cacheSize; {
		f.drop(f.recent.Back())
	}
}

// get fetches rawURL, http or https, at the time now.
func (f *Fetcher) get(ctx context.Context, rawURL string, now time.Time) (*document, error) {
	if d := f.cached(rawURL, now); d != nil {
		return d, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, errors.New("not a usable URL")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Convex/1.0")
	client := http.Client{Transport: (*transport)(f)}
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the URL is in the caller's text already
		}
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxDocument)
	}
	d := newDocument(rawURL, body)
	d.status = resp.StatusCode
	d.contentType = resp.Header.Get("Content-Type")
	if life := lifetime(resp.Header, now); life > 0 && d.status == http.StatusOK {
		d.expires = now.Add(life)
		f.keep(d)
	}
	return d, nil
}

// lifetime is how long a shared cache may keep an answer (RFC 9111 section
// 4.2); 0 for not at all.
func lifetime(h http.Header, now time.Time) time.Duration {
	maxAge, shared := -1, -1
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, arg, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache", "private":
			return 0
		case "max-age":
			maxAge = seconds(arg)
		case "s-maxage":
			shared = seconds(arg)
		}
	}
	if shared >= 0 {
		maxAge = shared
	}
	if maxAge >= 0 {
		return time.Duration(maxAge-max(seconds(h.Get("Age")), 0)) * time.Second
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return expires.Sub(now)
}

func seconds(s string) int {
	n, err := strconv.Atoi(strings.Trim(s, `"`))
	if err != nil || n < 0 {
		return -1
	}
	return min(n, 10*365*24*3600)
}

// transport sends requests where Resolve wants them.
type transport Fetcher

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	if t.Resolve == nil {
		return base.RoundTrip(req)
	}
	target, found := t.Resolve(req.URL.String())
	switch {
	case !found:
		return base.RoundTrip(req)
	case target.Handler != nil:
		return serve(target.Handler, req)
	}
	u, err := url.Parse(target.URL)
	if err != nil {
		return nil, errors.New("resolved to an unusable URL")
	}
	moved := req.Clone(req.Context())
	moved.URL, moved.Host = u, u.Host
	return base.RoundTrip(moved)
}

// serve lets a handler of this process answer a client's request.
func serve(h http.Handler, req *http.Request) (resp *http.Response, err error) {
	inner := req.Clone(req.Context())
	inner.RequestURI = req.URL.RequestURI()
	inner.Host = req.URL.Host
	inner.RemoteAddr = "127.0.0.1:0"
	inner.Body = http.NoBody
	w := &recorder{header: http.Header{}}
	defer func() {
		if r := recover(); r != nil {
			resp, err = nil, fmt.Errorf("the handler broke off: %v", r)
		}
	}()
	h.ServeHTTP(w, inner)
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		StatusCode: w.status, Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: req,
	}, nil
}

// recorder is a ResponseWriter in memory.
type recorder struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
