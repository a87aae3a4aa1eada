package servertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"github.com/berthdev/berth/internal/workos"
)

// Exception is an answer that differs from the document on purpose.
type Exception struct {
	Operation string // method and path as in the document; "*" is all
	Status    int
	Code      string // the body's code or error; "" is any
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
	if !ok {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if t.excepted(o, resp.StatusCode, body) {
		return resp, nil
	}
	d, err := t.Document()
	if err != nil {
		return nil, err
	}
	if err := d.Check(r.Method, r.URL.Path, resp.StatusCode, resp.Header.Get("Content-Type"), body); err != nil {
		return nil, err
	}
	return resp, nil
}

func (t *Transport) excepted(o workos.Operation, status int, body []byte) bool {
	var said struct{ Code, Error string }
	_ = json.Unmarshal(body, &said) // a page has no code
	return slices.ContainsFunc(t.Exceptions, func(e Exception) bool {
		return e.Status == status && (e.Operation == "*" || e.Operation == o.String()) && (e.Code == "" || e.Code == said.Code || e.Code == said.Error)
	})
}
