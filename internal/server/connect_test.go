package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// postForm posts a form, with HTTP Basic credentials unless user is "".
func postForm(t testing.TB, to string, form url.Values, user, secret string) (int, m) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		req.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(secret))
	}
	resp, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text := body(t, resp)
	var out m
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("POST %s = %d %s: %v", to, resp.StatusCode, text, err)
		}
	}
	return resp.StatusCode, out
}
