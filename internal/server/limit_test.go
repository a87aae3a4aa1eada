package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server"
)

// postJSON is call with all of the response.
func postJSON(t testing.TB, s *server.Server, method, path, key string, send any) (*http.Response, string) {
	t.Helper()
	data, err := json.Marshal(send)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body(t, resp)
}

// stopped is a clock that stands still until it is moved.
type stopped struct {
	begun time.Time
	ahead atomic.Int64
}

func newStopped() *stopped                 { return &stopped{begun: time.Now()} }
func (c *stopped) now() time.Time          { return c.begun.Add(time.Duration(c.ahead.Load())) }
func (c *stopped) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// contract 6.3: each rule lets its number through, answers the next one with
// 429 and whole seconds, and lets it through when these are over.
func TestDocumentedRatesAreHeld(t *testing.T) {
	few := limit.Documented()
	few.Reads.Max, few.Writes.Max, few.DeleteOrganization.Max = 20, 10, 5 // as the vendor's, in less time
	clk := newStopped()
	a := newAccount(t, startWith(t, server.Config{Now: clk.now, Limits: &few}), email)
	u, err := a.e.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	const shapeA = `{"message":"Too many requests. Try again later."}`
	const shapeC = `{"error":"too_many_requests","error_description":"Too many requests. Try again later."}`
	sendTo := func(path string) func() (*http.Response, string) {
		return func() (*http.Response, string) {
			return postJSON(t, a.s, "POST", path, a.key, m{"email": strings.ToUpper(email), "new_email": "b@example.com"})
		}
	}
	grant := func(send m) func() (*http.Response, string) {
		return func() (*http.Response, string) {
			send["client_id"], send["client_secret"] = a.e.ClientID, a.key
			return postJSON(t, a.s, "POST", "/user_management/authenticate", "", send)
		}
	}
	plain := func(method, path string) func() (*http.Response, string) {
		return func() (*http.Response, string) { return postJSON(t, a.s, method, path, a.key, m{}) }
	}
	for name, c := range map[string]struct {
		rule limit.Rule
		do   func() (*http.Response, string)
		body string
	}{
		"password of one address":      {few.Authenticate, grant(m{"grant_type": "password", "email": email, "password": "wrong password"}), shapeC},
		"magic codes of one address":   {few.Authenticate, grant(m{"grant_type": "urn:workos:oauth:grant-type:magic-auth:code", "email": "b@example.com", "code": "000000"}), shapeC},
		"codes of one challenge":       {few.Authenticate, grant(m{"grant_type": "urn:workos:oauth:grant-type:mfa-totp", "pending_authentication_token": "p", "authentication_challenge_id": "c", "code": "000000"}), shapeC},
		"codes of one pending sign-in": {few.Authenticate, grant(m{"grant_type": "urn:workos:oauth:grant-type:email-verification:code", "pending_authentication_token": "p", "code": "000000"}), shapeC},
		"magic auth":                   {few.Sends, sendTo("/user_management/magic_auth"), shapeA},
		"password reset":               {few.Sends, sendTo("/user_management/password_reset"), shapeA},
		"change of address":            {few.Sends, sendTo("/user_management/users/" + u.ID + "/email_change/send"), shapeA},
		"reads":                        {few.Reads, plain("GET", "/user_management/users"), shapeA},
		"writes":                       {few.Writes, plain("POST", "/user_management/users"), shapeA},
		"deleting organizations":       {few.DeleteOrganization, plain("DELETE", "/organizations/org_none"), shapeA},
	} {
		t.Run(name, func(t *testing.T) {
			clk.advance(time.Hour)
			for i := range c.rule.Max {
				if resp, text := c.do(); resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
					t.Fatalf("request %d = %d %s, want it answered", i+1, resp.StatusCode, text)
				}
			}
			clk.advance(c.rule.Per / 3) // the seconds left are rounded up
			resp, text := c.do()
			want := strconv.Itoa(int((c.rule.Per - c.rule.Per/3 + time.Second - 1) / time.Second))
			if resp.StatusCode != http.StatusTooManyRequests || text != c.body || resp.Header.Get("Retry-After") != want {
				t.Fatalf("request %d = %d %s, Retry-After %q; want 429 %s, %q", c.rule.Max+1, resp.StatusCode, text, resp.Header.Get("Retry-After"), c.body, want)
			}
			clk.advance(c.rule.Per)
			if resp, text := c.do(); resp.StatusCode == http.StatusTooManyRequests {
				t.Errorf("after Retry-After = 429 %s, want it answered", text)
			}
		})
	}
}

func TestRatesOfEnvironmentsAndAddressesAreApart(t *testing.T) {
	s := startWith(t, server.Config{Now: newStopped().now})
	a, b := newAccount(t, s, email), newAccount(t, s, "b@example.com")
	send := func(x *account, to string) int {
		resp, _ := postJSON(t, s, "POST", "/user_management/magic_auth", x.key, m{"email": to})
		return resp.StatusCode
	}
	var got []int
	for range 4 {
		got = append(got, send(a, email))
	}
	got = append(got, send(a, "c@example.com"), send(b, email))
	if diff := cmp.Diff([]int{201, 201, 201, 429, 201, 201}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestHostedFormsShowThePageOfALimit(t *testing.T) {
	clk := newStopped()
	a := newAccount(t, startWith(t, server.Config{Now: clk.now}), email)
	c, base := browser(t), a.s.URL()
	begin := func() string {
		resp, _ := get(t, c, authorizeURL(base, a.e.ClientID, callback, nil))
		return resp.Header.Get("Location")
	}
	isLimit := func(t *testing.T, resp *http.Response, html, back string) {
		t.Helper()
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "60" || !strings.Contains(html, `data-hak-page="rate-limited"`) || !strings.Contains(html, `href="`+back+`?flow=`) {
			t.Fatalf("answer = %d, Retry-After %q; want 429, 60 and the page with a link to %s:\n%s", resp.StatusCode, resp.Header.Get("Retry-After"), back, html)
		}
	}
	for path, row := range map[string]struct {
		times int
		form  url.Values
	}{
		"/sign-in":                {10, url.Values{"email": {email}, "password": {"wrong password"}}},
		"/sign-up":                {10, url.Values{"email": {email}, "password": {"correct horse"}}},
		"/reset-password/request": {3, url.Values{"email": {"nobody@example.com"}}},
	} {
		t.Run(path, func(t *testing.T) {
			clk.advance(time.Hour)
			page := begin()
			for i := range row.times {
				if resp, html := submit(t, c, base, page, path, row.form); resp.StatusCode == http.StatusTooManyRequests {
					t.Fatalf("post %d = 429, want it answered:\n%s", i+1, html)
				}
			}
			resp, html := submit(t, c, base, page, path, row.form)
			isLimit(t, resp, html, path)
			clk.advance(time.Minute)
			if resp, _ := submit(t, c, base, page, path, row.form); resp.StatusCode == http.StatusTooManyRequests {
				t.Error("after Retry-After = 429, want it answered")
			}
		})
	}
	t.Run("codes that are sent and entered", func(t *testing.T) {
		clk.advance(time.Hour)
		page, form := begin(), url.Values{"email": {email}}
		var to string
		for range 3 {
			resp, html := submit(t, c, base, page, "/magic-code/send", form)
			to = leadsTo(t, resp, html, "/magic-code")
		}
		resp, html := submit(t, c, base, page, "/magic-code/send", form)
		isLimit(t, resp, html, "/sign-in")
		for range 10 {
			if resp, html := submit(t, c, base, to, "/magic-code", url.Values{"code": {"000000"}}); resp.StatusCode != http.StatusUnprocessableEntity {
				t.Fatalf("wrong code = %d, want 422:\n%s", resp.StatusCode, html)
			}
		}
		resp, html = submit(t, c, base, to, "/magic-code", url.Values{"code": {"000000"}})
		isLimit(t, resp, html, "/magic-code")
	})
}

// All requests of a client address count together, and the address that a
// trusted proxy names is the client's; what a client says itself is not read.
func TestRequestsOfOneAddressAreBounded(t *testing.T) {
	clk := newStopped()
	s := startWith(t, server.Config{Now: clk.now, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	n := limit.Documented().Requests.Max
	ask := func(from, forwarded string) int {
		r := httptest.NewRequest("GET", "/berth/v1/health", nil)
		r.RemoteAddr = from
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		return s.Answer(r)
	}
	for i := range n {
		if got := ask("192.0.2.1:1000", "198.51.100."+strconv.Itoa(i%250)); got != http.StatusOK {
			t.Fatalf("request %d = %d, want 200", i+1, got)
		}
	}
	for _, c := range []struct {
		from, forwarded string
		want            int
	}{
		{"192.0.2.1:1000", "", 429},
		{"192.0.2.1:2000", "198.51.100.9", 429},
		{"192.0.2.2:1000", "", 200},
		{"10.0.0.1:1000", "192.0.2.1", 429},
		{"10.0.0.1:1000", "192.0.2.1, 198.51.100.9, 10.0.0.2", 200},
		{"10.0.0.1:1000", "198.51.100.9, 192.0.2.1", 429},
		{"10.0.0.1:1000", "192.0.2.1, nonsense", 200},
		{"10.0.0.1:1000", "", 200},
		{"[::1]:1000", "", 200},
	} {
		if got := ask(c.from, c.forwarded); got != c.want {
			t.Errorf("request of %s for %q = %d, want %d", c.from, c.forwarded, got, c.want)
		}
	}
	clk.advance(time.Minute)
	if got := ask("192.0.2.1:1000", ""); got != http.StatusOK {
		t.Errorf("a minute later = %d, want 200", got)
	}
}
