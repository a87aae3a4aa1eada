package identity

import (
	"net/url"
	"strings"
	"testing"
)

func TestCheckOrigin(t *testing.T) {
	cases := []struct {
		origin string
		want   bool
	}{
		{"https://app.example.com", true},
		{"http://localhost:5173", true},
		{"http://localhost", true},
		{"http://[::1]:5173", true},
		{"https://app.example.com:8443", true},
		{"https://xn--mnchen-3ya.de", true},
		{"https://*.previews.example.com", true},
		{"http://localhost:*", true},
		{"http://app.example.com:443", true},

		{"", false},
		{"*", false},
		{"null", false},
		{"https://*", false},
		{"https://*.vercel.app", false},
		{"https://*.*.example.com", false},
		{"https://app.example.com:*", false},
		{"https://app.example.com/", false},
		{"https://app.example.com/path", false},
		{"https://app.example.com?x", false},
		{"https://app.example.com#", false},
		{"https://app.example.com:443", false},
		{"http://app.example.com:80", false},
		{"https://App.example.com", false},
		{"HTTPS://app.example.com", false},
		{"https://user@app.example.com", false},
		{"https://münchen.de", false},
		{"https://app.example.com.", false},
		{"https://app.example.com ", false},
		{"app.example.com", false},
		{"myapp://callback", false},
		{"file://", false},
	}
	for _, c := range cases {
		if err := CheckOrigin(c.origin); (err == nil) != c.want {
			t.Errorf("CheckOrigin(%q) = %v, want accepted %v", c.origin, err, c.want)
		}
	}
}

func TestMatchOrigin(t *testing.T) {
	cases := []struct {
		registered, asked string
		want              bool
	}{
		{"https://app.example.com", "https://app.example.com", true},
		{"https://*.example.com", "https://a.example.com", true},
		{"http://localhost:*", "http://localhost:5173", true},
		{"https://app.example.com", "https://app.example.com.evil.test", false},
		{"https://app.example.com", "http://app.example.com", false},
		{"https://app.example.com", "https://app.example.com:8443", false},
		{"https://app.example.com", "https://app.example.com/", false},
		{"https://app.example.com", "null", false},
		{"https://app.example.com", "", false},
		{"https://*.example.com", "https://a.b.example.com", false},
		{"https://*.example.com", "https://*.example.com", false},
		{"*", "https://app.example.com", false},
		{"https://*.vercel.app", "https://evil.vercel.app", false},
	}
	for _, c := range cases {
		if got := MatchOrigin(c.registered, c.asked); got != c.want {
			t.Errorf("MatchOrigin(%q, %q) = %v, want %v", c.registered, c.asked, got, c.want)
		}
	}
}

func TestOriginOf(t *testing.T) {
	cases := []struct{ uri, want string }{
		{"https://app.example.com/callback?x=1", "https://app.example.com"},
		{"https://app.example.com:443/callback", "https://app.example.com"},
		{"http://localhost:5173", "http://localhost:5173"},
		{"http://[::1]:80/", "http://[::1]"},
		{"https://*.example.com/callback", "https://*.example.com"},
		{"http://localhost:*/callback", "http://localhost:*"},
		{"myapp://callback", ""},
		{"app.example.com", ""},
	}
	for _, c := range cases {
		got, err := OriginOf(c.uri)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("OriginOf(%q) = %q, %v, want %q", c.uri, got, err, c.want)
		}
	}
}

// The origin of any URI that may be registered is an origin that may be
// registered, and the one that net/url sees.
func FuzzOriginOf(f *testing.F) {
	f.Add("https://app.example.com:443/callback")
	f.Add("http://[::1]:80/")
	f.Add("http://localhost:*/callback")
	f.Add("https://app\\.example.com")
	f.Fuzz(func(t *testing.T, uri string) {
		origin, err := OriginOf(uri)
		if err != nil {
			return
		}
		if err := CheckOrigin(origin); err != nil {
			t.Fatalf("OriginOf(%q) = %q, which CheckOrigin refuses: %v", uri, origin, err)
		}
		if strings.Contains(uri, "*") {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("url.Parse(%q), which has the origin %q: %v", uri, origin, err)
		}
		if o, err := url.Parse(origin); err != nil || o.Hostname() != u.Hostname() {
			t.Fatalf("OriginOf(%q) = %q, want the host %q", uri, origin, u.Hostname())
		}
	})
}
