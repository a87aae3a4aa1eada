package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAssets(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		contentType  string
		body         string
	}{
		{"GET", StylesheetPath(), 200, "text/css; charset=utf-8", string(stylesheet)},
		{"HEAD", StylesheetPath(), 200, "text/css; charset=utf-8", ""},
		{"GET", IconPath(), 200, "image/svg+xml", string(icon)},
		{"GET", AssetsPath + "berth.000000000000.css", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"GET", AssetsPath, 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"POST", StylesheetPath(), 405, "text/plain; charset=utf-8", "method not allowed\n"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			Assets().ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
			if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || w.Body.String() != c.body {
				t.Errorf("answer = %d %s, %d bytes, want %d %s, %d bytes", w.Code, w.Header().Get("Content-Type"), w.Body.Len(), c.status, c.contentType, len(c.body))
			}
			cached := strings.Contains(w.Header().Get("Cache-Control"), "immutable")
			if cached != (c.status == 200) {
				t.Errorf("Cache-Control = %q for status %d", w.Header().Get("Cache-Control"), c.status)
			}
		})
	}
}

func TestStylesheetNeedsNothingFromElsewhere(t *testing.T) {
	for _, word := range []string{"url(", "@import", "http:", "https:", "expression("} {
		if strings.Contains(string(stylesheet), word) {
			t.Errorf("stylesheet contains %q", word)
		}
	}
}

func TestWriteSetsHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	if err := Write(w, http.StatusBadRequest, SignIn{Frame: prodFrame}, "https://app.example.com/cb"); err != nil {
		t.Fatalf("Write = %v, want nil", err)
	}
	h := w.Header()
	for key, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
	} {
		if got := h.Get(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	_, rest, _ := strings.Cut(h.Get("Content-Security-Policy"), "'nonce-")
	nonce, _, _ := strings.Cut(rest, "'")
	if w.Code != 400 || nonce == "" || !strings.Contains(w.Body.String(), `<style nonce="`+nonce+`">`) {
		t.Errorf("status = %d, nonce of the policy = %q, want 400 and the nonce of the style element", w.Code, nonce)
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "form-action 'self' https://app.example.com;") {
		t.Errorf("policy = %q, want the application's origin in form-action", h.Get("Content-Security-Policy"))
	}
}

func TestWriteSendsNothingWhenAPageFails(t *testing.T) {
	w := httptest.NewRecorder()
	if err := Write(w, 200, brokenPage{}); err == nil {
		t.Error("Write = nil, want an error")
	}
	if len(w.Header()) != 0 || w.Body.Len() != 0 {
		t.Errorf("answer = %v, %d bytes, want nothing", w.Header(), w.Body.Len())
	}
}

type brokenPage struct{}

func (brokenPage) Render(w io.Writer, _ string) error {
	_, _ = io.WriteString(w, "half a page")
	return errors.New("broken")
}
