package deployment

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
)

// page answers every request with one document.
func page(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // none is sniffed
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func custom(jwks string) []authconfig.Provider {
	return []authconfig.Provider{{Kind: authconfig.CustomJWT, Issuer: "https://issuer.test/", ApplicationID: new("app1"), JWKS: jwks, Algorithm: "RS256"}}
}

func TestAcceptFetchesKeys(t *testing.T) {
	set := `{"keys":[` + rsaJWK("k1") + `]}`
	tests := []struct {
		name    string
		handler http.HandlerFunc
		id      string // "" for accepted
		text    string // $ stands for the URL
	}{
		{"as JSON", page(200, "application/json", set), "", ""},
		{"as a key set, in UTF-8 (R91)", page(200, "Application/JWK-Set+JSON; charset=UTF-8", set), "", ""},
		{"in another charset", page(200, "application/json; charset=latin1", set), "R7", "Invalid Content-Type 'application/json; charset=latin1' when fetching JWKS from '$'. Expected 'application/json' or 'application/jwk-set+json'."},
		{"as text", page(200, "text/plain", set), "R7", "Invalid Content-Type 'text/plain' when fetching JWKS from '$'. Expected 'application/json' or 'application/jwk-set+json'."},
		{"without a type", page(200, "", set), "R7", "Invalid Content-Type 'unknown' when fetching JWKS from '$'. Expected 'application/json' or 'application/jwk-set+json'."},
		{"not found", page(404, "application/json", set), "R6", "Could not fetch JWKS from URL '$': HTTP 404 Not Found. Check that the URL is correct and accessible."},
		{"created", page(201, "application/json", set), "R6", "Could not fetch JWKS from URL '$': HTTP 201 Created. Check that the URL is correct and accessible."},
		{"not JSON", page(200, "application/json", "<html>"), "R8", "Invalid JWKS response body from '$'. The response is not valid JSON or doesn't match the expected JWKS format."},
		{"too much", page(200, "application/json", strings.Repeat(" ", maxDocument+1)), "R5", "Could not fetch JWKS from URL '$': the answer is larger than 4194304 bytes. Check that the URL is correct and accessible."},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(200)
		}, "R5", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			u := srv.URL + "/jwks"
			_, refusal := Accept(t.Context(), custom(u), sign(t, rs256, claims1), time.Unix(testNow, 0), new(Fetcher))
			check(t, refusal, tt.id, strings.ReplaceAll(tt.text, "$", u))
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		srv := httptest.NewServer(http.NotFoundHandler())
		srv.Close()
		_, refusal := Accept(t.Context(), custom(srv.URL), sign(t, rs256, claims1), time.Unix(testNow, 0), nil)
		check(t, refusal, "R5", "")
		if strings.Count(refusal.Message, srv.URL) != 1 || !strings.HasPrefix(refusal.Message, "Could not fetch JWKS from URL '"+srv.URL+"': ") {
			t.Errorf("Accept = %q, want the URL once", refusal.Message)
		}
	})
}

func check(t *testing.T, refusal *Refusal, id, text string) {
	t.Helper()
	switch {
	case id == "" && refusal != nil:
		t.Fatalf("Accept = %s %v, want accepted", refusal.ID, refusal)
	case id != "" && (refusal == nil || refusal.ID != id):
		t.Fatalf("Accept = %v, want %s", refusal, id)
	case text != "" && refusal.Message != text:
		t.Errorf("Accept = %q,\nwant %q", refusal.Message, text)
	}
}

func TestFetchFollowsCacheControl(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		life   time.Duration
	}{
		{"no header", http.Header{}, 0},
		{"max-age", http.Header{"Cache-Control": {"public, max-age=60"}}, time.Minute},
		{"max-age with age", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"20"}}, 40 * time.Second},
		{"a shared age wins", http.Header{"Cache-Control": {"max-age=60", "s-maxage=10"}}, 10 * time.Second},
		{"no-store", http.Header{"Cache-Control": {"no-store, max-age=60"}}, 0},
		{"private", http.Header{"Cache-Control": {"private, max-age=60"}}, 0},
		{"expires", http.Header{"Expires": {"Fri, 15 Jan 2027 08:01:00 GMT"}, "Date": {"Fri, 15 Jan 2027 08:00:00 GMT"}}, time.Minute},
		{"expires in no form", http.Header{"Expires": {"0"}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			f := &Fetcher{Resolve: func(string) (Target, bool) {
				return Target{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					calls.Add(1)
					for k, v := range tt.header {
						w.Header()[k] = v
					}
				})}, true
			}}
			start := time.Unix(testNow, 0)
			at := func(now time.Time) int32 {
				if _, err := f.get(t.Context(), "https://keys.test/", now); err != nil {
					t.Fatal(err)
				}
				return calls.Load()
			}
			at(start)
			want := int32(2)
			if tt.life > 0 {
				want = 1
				if n := at(start.Add(tt.life - time.Second)); n != 1 {
					t.Errorf("%d calls before the end, want 1", n)
				}
				want = 2
			}
			if n := at(start.Add(tt.life)); n != want {
				t.Errorf("%d calls at the end, want %d", n, want)
			}
		})
	}
}

func TestFetchCacheStaysSmall(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	f := &Fetcher{Resolve: func(string) (Target, bool) {
		return Target{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, body)
		})}, true
	}}
	for i := range 40 {
		if _, err := f.get(t.Context(), fmt.Sprintf("https://keys.test/%d", i), time.Unix(testNow, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if f.size > cacheSize || f.size < cacheSize/2 || len(f.entries) != f.recent.Len() {
		t.Errorf("cache holds %d bytes in %d entries of %d, want at most %d", f.size, len(f.entries), f.recent.Len(), cacheSize)
	}
	if f.cached("https://keys.test/39", time.Unix(testNow, 0)) == nil || f.cached("https://keys.test/0", time.Unix(testNow, 0)) != nil {
		t.Error("the oldest documents are not the ones that left the cache")
	}
}

func TestFetchResolvesVendorHosts(t *testing.T) {
	set := `{"keys":[` + rsaJWK("k1") + `]}`
	var agent, host string
	keys := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent, host = r.UserAgent(), r.Host
		page(200, "application/json", set)(w, r)
	})
	srv := httptest.NewServer(keys)
	defer srv.Close()
	const vendor = "https://api.workos.com/sso/jwks/client_1"
	token := sign(t, rs256, claims1)
	for name, target := range map[string]Target{"a handler": {Handler: keys}, "a URL": {URL: srv.URL + "/sso/jwks/client_1"}} {
		t.Run(name, func(t *testing.T) {
			agent, host = "", ""
			f := &Fetcher{Resolve: func(raw string) (Target, bool) { return target, raw == vendor }}
			_, refusal := Accept(t.Context(), custom(vendor), token, time.Unix(testNow, 0), f)
			check(t, refusal, "", "")
			if agent != "Convex/1.0" || host == "" {
				t.Errorf("request by %q to %q, want Convex/1.0 and a host", agent, host)
			}
		})
	}
	t.Run("a redirect to a vendor host", func(t *testing.T) {
		away := httptest.NewServer(http.RedirectHandler(vendor, http.StatusFound))
		defer away.Close()
		f := &Fetcher{Resolve: func(raw string) (Target, bool) { return Target{Handler: keys}, raw == vendor }}
		_, refusal := Accept(t.Context(), custom(away.URL), token, time.Unix(testNow, 0), f)
		check(t, refusal, "", "")
		if u, _ := url.Parse(vendor); host != u.Host {
			t.Errorf("host = %q, want %q", host, u.Host)
		}
	})
	t.Run("a handler that panics", func(t *testing.T) {
		f := &Fetcher{Resolve: func(string) (Target, bool) {
			return Target{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("gone") })}, true
		}}
		_, refusal := Accept(t.Context(), custom(vendor), token, time.Unix(testNow, 0), f)
		check(t, refusal, "R5", "")
	})
}

func TestDataURLs(t *testing.T) {
	set := `{"keys":[` + rsaJWK("k1") + `]}`
	tests := []struct{ name, url, id string }{
		{"base64", "data:text/plain;charset=utf-8;base64," + stdBase64(set), ""},
		{"base64 without padding", "data:;base64," + strings.TrimRight(stdBase64(set), "="), ""},
		{"base64 with escapes", "data:application/json;BASE64," + url.QueryEscape(stdBase64(set)), ""},
		{"percent encoding", "data:application/json," + url.PathEscape(set), ""},
		{"as it is", "DATA:," + set, ""},
		{"base64url characters", "data:;base64,-_-_", "R4"},
		{"no comma", "data:application/json", "R4"},
		{"nothing", "data:,", "R8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refusal := Accept(t.Context(), custom(tt.url), sign(t, rs256, claims1), time.Unix(testNow, 0), nil)
			check(t, refusal, tt.id, "")
		})
	}
}
