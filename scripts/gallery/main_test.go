package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/berthdev/berth/web"
)

func TestGalleryServesEverySampleItNames(t *testing.T) {
	h := handler(web.Gallery())
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w
	}
	var names []string
	if err := json.Unmarshal(get("/pages.json").Body.Bytes(), &names); err != nil {
		t.Fatalf("GET /pages.json: %v", err)
	}
	if len(names) != len(web.Gallery()) {
		t.Errorf("GET /pages.json names %d pages, want %d", len(names), len(web.Gallery()))
	}
	index := get("/").Body.String()
	for _, name := range names {
		w := get("/" + name)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("GET /%s = %d with policy %q, want 200 with a policy", name, w.Code, w.Header().Get("Content-Security-Policy"))
		}
		if !strings.Contains(index, `href="/`+name+`"`) {
			t.Errorf("GET / does not link to %s", name)
		}
	}
	if w := get(web.StylesheetPath()); w.Code != 200 {
		t.Errorf("GET %s = %d, want 200", web.StylesheetPath(), w.Code)
	}
}
