package web

import (
	"strings"
	"testing"
)

func TestCSPAdmitsNonceAndTargets(t *testing.T) {
	got := CSP("abc123", "http://localhost:3000/callback?x=1", "https://App.Example.com/cb", "https://app.example.com/other")
	want := "default-src 'none'; style-src 'self' 'nonce-abc123'; img-src 'self' data: https:; " +
		"form-action 'self' http://localhost:3000 https://app.example.com; frame-ancestors 'none'; base-uri 'none'"
	if got != want {
		t.Errorf("CSP = %q, want %q", got, want)
	}
}

func TestFormSource(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{"http://127.0.0.1:49152/cb", "http://127.0.0.1:49152"},
		{"http://[::1]:3000/cb", "http:"},
		{"https://a_b.example.com/cb", "https:"},
		{"myapp://callback", "myapp:"},
		{"com.example.app:/oauth", "com.example.app:"},
		{"https://user:secret@example.com/cb", "https://example.com"},
		{"https://*/cb", "https:"},
		{"https://a.example;script-src */cb", ""},
		{"https://a.example 'unsafe-inline'/", ""},
		{"https://a.example\r\nX: y/", ""},
		{"javascript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"/relative", ""},
		{"//host/path", ""},
		{"https:///path", ""},
		{"", ""},
	} {
		if got := formSource(c.target); got != c.want {
			t.Errorf("formSource(%q) = %q, want %q", c.target, got, c.want)
		}
	}
}

func TestCSPLeavesOutUnsafeNonce(t *testing.T) {
	for _, nonce := range []string{"", "a'b", "a b", "a;b", "a\nb"} {
		if got := CSP(nonce); strings.Contains(got, "nonce") {
			t.Errorf("CSP(%q) = %q, want no nonce", nonce, got)
		}
	}
}

func FuzzCSP(f *testing.F) {
	f.Add("n0nce", "https://app.example.com/cb")
	f.Add("'; script-src *", "https://a;b/")
	f.Add("", "http://[::1%25;]:80/")
	want := strings.Count(CSP("n"), ";")
	f.Fuzz(func(t *testing.T, nonce, target string) {
		got := CSP(nonce, target)
		if strings.Count(got, ";") != want || strings.ContainsAny(got, "\r\n,\"") || strings.Contains(got, "unsafe") && !strings.Contains(target, "unsafe") {
			t.Errorf("CSP(%q, %q) = %q, which gained a directive", nonce, target, got)
		}
	})
}
