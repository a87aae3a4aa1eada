package servertest

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/workos"
)

// Exception is an answer that differs from the document on purpose.
type Exception struct {
	Operation string // method and path as in the document
	Status    int
	Reason    string // what is followed instead
}

// Transport is a RoundTripper that fails a request whose answer does not fit
// the document, so that whoever sent it fails.
type Transport struct {
	Base       http.RoundTripper
	Document   func() (*Document, error)
	Exceptions []Exception
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	o, ok := workos.FindOperation(r.Method, r.URL.Path)
	if !ok || t.excepted(o, resp.StatusCode) {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	d, err := t.Document()
	if err != nil {
		return nil, err
	}
	if err := d.Check(r.Method, r.URL.Path, resp.StatusCode, resp.Header.Get("Content-Type"), body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (t *Transport) excepted(o workos.Operation, status int) bool {
	for _, e := range t.Exceptions {
		method, path, _ := strings.Cut(e.Operation, " ")
		if e.Status == status && (e.Operation == "*" || method == o.Method && path == o.Path) {
			return true
		}
	}
	return false
}
