package identity

import (
	"strings"
	"testing"
)

// RFC 9700 section 2.1 and RFC 8252 section 7.3: exact, but for the port of a
// loopback address.
func TestApplicationsReturnToTheirOwnAddresses(t *testing.T) {
	a := Application{RedirectURIs: []ApplicationRedirect{{URI: "https://app.example/cb"}, {URI: "http://127.0.0.1:8000/cb?x=1"}, {URI: "http://[::1]/cb"}}}
	for asked, want := range map[string]bool{
		"https://app.example/cb":            true,
		"https://app.example/cb/":           false,
		"https://app.example:443/cb":        false,
		"https://APP.example/cb":            false,
		"https://app.example/cb?a=b":        false,
		"https://app.example/cb#a":          false,
		"http://app.example/cb":             false,
		"http://127.0.0.1:8000/cb?x=1":      true,
		"http://127.0.0.1:51234/cb?x=1":     true,
		"http://127.0.0.1/cb?x=1":           true,
		"http://127.0.0.1:51234/cb":         false,
		"http://127.0.0.2:8000/cb?x=1":      false,
		"http://127.0.0.1:1@evil.example/":  false,
		"http://u@127.0.0.1:8000/cb?x=1":    false,
		"https://127.0.0.1:8000/cb?x=1":     false,
		"http://127.0.0.1:8000/cb?x=1#frag": false,
		"http://[::1]:9000/cb":              true,
		"http://[::1]:9000/cb2":             false,
		"":                                  false,
	} {
		if got := a.Allows(asked); got != want {
			t.Errorf("Allows(%q) = %v, want %v", asked, got, want)
		}
	}
}

func TestApplicationRedirectsHoldNoPattern(t *testing.T) {
	for uri, ok := range map[string]bool{
		"https://app.example/cb": true, "http://127.0.0.1/cb": true, "com.example.app:/cb": true,
		"https://*.app.example/cb": false, "http://127.0.0.1:*/cb": false, "https://app.example/cb#x": false, "http://app.example/cb": false, "javascript:alert(1)": false, "": false,
	} {
		if err := CheckApplicationRedirect(uri, true); (err == nil) != ok {
			t.Errorf("CheckApplicationRedirect(%q) = %v, want ok %v", uri, err, ok)
		}
	}
}

func FuzzApplicationAllows(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1:1/cb", "http://[::1]:1/cb", "http://127.0.0.1:1@x/cb", "http://127.0.0.1\\@x/cb", "https://app.example/cb"} {
		f.Add(s)
	}
	a := Application{RedirectURIs: []ApplicationRedirect{{URI: "https://app.example/cb"}, {URI: "http://127.0.0.1/cb"}, {URI: "http://[::1]/cb"}}}
	f.Fuzz(func(t *testing.T, asked string) {
		if a.Allows(asked) && asked != "https://app.example/cb" && (!strings.HasPrefix(asked, "http://127.0.0.1") && !strings.HasPrefix(asked, "http://[::1]") || !strings.HasSuffix(asked, "/cb") || strings.ContainsAny(asked, "@\\#? ")) {
			t.Errorf("Allows(%q) = true", asked)
		}
	})
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"openid profile", " a  a b ", `a"b`, "a\\b", "ü", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scopes, ok := ParseScope(text)
		if !ok {
			return
		}
		again, ok := ParseScope(strings.Join(scopes, " "))
		if !ok || strings.Join(again, " ") != strings.Join(scopes, " ") {
			t.Errorf("ParseScope(%q) = %q, and of that %q, %v", text, scopes, again, ok)
		}
	})
}

func FuzzNormalUserCode(f *testing.F) {
	for _, s := range []string{"BCDF-GHJK", "bcdf ghjk", "b-c-d-f-g-h-j-k", "BCDFGHJKL", "ſCDFGHJK"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code := NormalUserCode(typed)
		if code != "" && (len(code) != 9 || code[4] != '-' || NormalUserCode(strings.ToLower(code)) != code) {
			t.Errorf("NormalUserCode(%q) = %q", typed, code)
		}
	})
}
