package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

const callback = "https://app.example.com/callback"

// clock is a clock that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// account is an environment with a user, and how to sign in there.
type account struct {
	s   *server.Server
	e   *store.Env
	key string
}

func newAccount(t testing.TB, s *server.Server, email string) *account {
	t.Helper()
	_, e := environment(t, s, "dev "+email)
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	_, key, err := e.CreateAPIKey(t.Context(), "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, out := call(t, s, "POST", "/user_management/users", key.Reveal(), m{"email": email, "password": password, "email_verified": true}); status != http.StatusCreated {
		t.Fatalf("create user = %d %s", status, out)
	}
	return &account{s: s, e: e, key: key.Reveal()}
}

const email = "a@example.com"

// code signs in through the pages; more changes the authorization request.
func (a *account) code(t testing.TB, more url.Values) string {
	t.Helper()
	c := browser(t)
	resp, _ := get(t, c, authorizeURL(a.s.URL(), a.e.ClientID, callback, more))
	_, page := get(t, c, a.s.URL()+resp.Header.Get("Location"))
	found := flowField.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no flow on the page:\n%s", page)
	}
	resp, page = post(t, c, a.s.URL()+"/sign-in", url.Values{"flow": {found[1]}, "email": {email}, "password": {password}})
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusSeeOther || to.Query().Get("code") == "" {
		t.Fatalf("sign-in = %d to %v, want 303 with a code:\n%s", resp.StatusCode, to, page)
	}
	return to.Query().Get("code")
}

func (a *account) exchange(t testing.TB, code string, more url.Values) (int, map[string]any) {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {a.e.ClientID}, "code": {code}, "code_verifier": {verifier}}
	for k, v := range more {
		form[k] = v
	}
	return authenticate(t, a.s.URL(), form)
}

func (a *account) refresh(t testing.TB, token any) (int, map[string]any) {
	t.Helper()
	return authenticate(t, a.s.URL(), url.Values{"grant_type": {"refresh_token"}, "client_id": {a.e.ClientID}, "refresh_token": {fmt.Sprint(token)}})
}

func (a *account) signIn(t testing.TB) map[string]any {
	t.Helper()
	status, out := a.exchange(t, a.code(t, nil), nil)
	if status != http.StatusOK {
		t.Fatalf("exchange = %d %v, want 200", status, out)
	}
	return out
}

// A test signs in once before it does so in parallel: packages that run without
// the race detector (see the Makefile) share compiled copies of sync.Map, so
// that the detector does not see how encoding/json hands its first look at a
// type from one goroutine to another.

// RFC 6749 section 4.1.2 and RFC 9700 section 4.5: a code works once, and a
// second use ends what the first one gave.
func TestACodeIsSpentOnce(t *testing.T) {
	a := newAccount(t, start(t), email)
	a.signIn(t) // once, see above
	code := a.code(t, nil)
	var wins atomic.Int64
	var refresh atomic.Value
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch status, out := a.exchange(t, code, nil); {
			case status == http.StatusOK:
				wins.Add(1)
				refresh.Store(out["refresh_token"])
			case status != http.StatusBadRequest || out["error"] != "invalid_grant":
				t.Errorf("a losing exchange = %d %v, want 400 invalid_grant", status, out)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d of 16 exchanges of one code succeeded, want 1", wins.Load())
	}
	if status, out := a.refresh(t, refresh.Load()); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
		t.Errorf("refresh after the code was used twice = %d %v, want 400 invalid_grant", status, out)
	}
}

func TestCodeRules(t *testing.T) {
	c := &clock{}
	s := startWith(t, server.Config{Now: c.now, Limits: noLimits})
	a, b := newAccount(t, s, email), newAccount(t, s, email)
	noPKCE := url.Values{"code_challenge": nil, "code_challenge_method": nil}
	for name, try := range map[string]struct {
		begin, more url.Values
		by          *account
		after       time.Duration
		status      int
		code        string
	}{
		"right":                             {status: 200},
		"right, with the API key":           {more: url.Values{"client_secret": {a.key}}, status: 200},
		"just in time":                      {after: auth.CodeLifetime - time.Second, status: 200},
		"expired":                           {after: auth.CodeLifetime + time.Second, status: 400, code: "invalid_grant"},
		"wrong verifier":                    {more: url.Values{"code_verifier": {verifier + "x"}}, status: 400, code: "invalid_grant"},
		"verifier in another case":          {more: url.Values{"code_verifier": {strings.ToUpper(verifier)}}, status: 400, code: "invalid_grant"},
		"no verifier":                       {more: url.Values{"code_verifier": {""}}, status: 400, code: "invalid_grant"},
		"no verifier, with the API key":     {more: url.Values{"code_verifier": {""}, "client_secret": {a.key}}, status: 400, code: "invalid_grant"},
		"the challenge as verifier (plain)": {more: url.Values{"code_verifier": {challenge()}, "code_challenge_method": {"plain"}}, status: 400, code: "invalid_grant"},
		"by another client":                 {by: b, status: 400, code: "invalid_grant"},
		"by another client with its key":    {by: b, more: url.Values{"client_secret": {b.key}}, status: 400, code: "invalid_grant"},
		"with the key of another client":    {more: url.Values{"client_secret": {b.key}}, status: 400, code: "invalid_client"},
		"with a wrong key":                  {more: url.Values{"client_secret": {"sk_test_wrong"}}, status: 400, code: "invalid_client"},
		"unknown client":                    {more: url.Values{"client_id": {"client_x"}}, status: 400, code: "invalid_client"},
		"no client":                         {more: url.Values{"client_id": {""}}, status: 400, code: "invalid_request"},
		"no code":                           {more: url.Values{"code": {""}}, status: 400, code: "invalid_request"},
		"another grant":                     {more: url.Values{"grant_type": {"client_credentials"}}, status: 400, code: "invalid_request"},
		"without PKCE, with the API key":    {begin: noPKCE, more: url.Values{"code_verifier": {""}, "client_secret": {a.key}}, status: 200},
		"without PKCE and without key":      {begin: noPKCE, more: url.Values{"code_verifier": {""}}, status: 400, code: "invalid_client"},
		"without PKCE, with a verifier":     {begin: noPKCE, more: url.Values{"client_secret": {a.key}}, status: 400, code: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			code := a.code(t, try.begin)
			c.advance(try.after)
			by := a
			if try.by != nil {
				by = try.by
			}
			status, out := by.exchange(t, code, try.more)
			if got, _ := out["error"].(string); status != try.status || got != try.code {
				t.Fatalf("exchange = %d %v, want %d %s", status, out, try.status, try.code)
			}
			if text := fmt.Sprint(out["error_description"]); strings.Contains(text, code) || strings.Contains(text, verifier) {
				t.Errorf("the answer holds the code or its verifier: %s", text)
			}
			// A refused attempt of somebody else leaves the code to its owner.
			if try.status != 200 && try.after == 0 {
				more := url.Values{}
				if try.begin != nil {
					more = url.Values{"code_verifier": {""}, "client_secret": {a.key}}
				}
				if status, out := a.exchange(t, code, more); status != 200 {
					t.Errorf("exchange by the owner afterwards = %d %v, want 200", status, out)
				}
			}
		})
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	c := &clock{}
	a := newAccount(t, startWith(t, server.Config{Now: c.now}), email)
	first := a.signIn(t)

	t.Run("fifty parallel uses give one successor and distinct access tokens", func(t *testing.T) {
		var mu sync.Mutex
		refresh, access := map[any]bool{}, map[any]bool{}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				status, out := a.refresh(t, first["refresh_token"])
				if status != http.StatusOK {
					t.Errorf("refresh = %d %v, want 200", status, out)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				refresh[out["refresh_token"]], access[out["access_token"]] = true, true
			})
		}
		wg.Wait()
		if len(refresh) != 1 || len(access) != 50 || refresh[first["refresh_token"]] {
			t.Errorf("50 uses gave %d refresh and %d access tokens, want 1 new and 50", len(refresh), len(access))
		}
	})
	t.Run("a repeat within the window gives the same successor, after it the session ends", func(t *testing.T) {
		first := a.signIn(t)
		_, second := a.refresh(t, first["refresh_token"])
		c.advance(auth.ReplayWindow - time.Second)
		status, again := a.refresh(t, first["refresh_token"])
		if status != 200 || again["refresh_token"] != second["refresh_token"] || again["access_token"] == second["access_token"] {
			t.Errorf("repeat within the window = %d, want the same successor with another access token", status)
		}
		c.advance(2 * time.Second)
		status, out := a.refresh(t, first["refresh_token"])
		if status != 400 || out["error"] != "invalid_grant" || out["error_description"] != "Refresh token already exchanged." {
			t.Errorf("repeat after the window = %d %v, want already exchanged", status, out)
		}
		if status, out := a.refresh(t, second["refresh_token"]); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("the successor after the reuse = %d %v, want 400: the session is over", status, out)
		}
	})
	t.Run("a grandparent ends the session even within the window", func(t *testing.T) {
		first := a.signIn(t)
		_, second := a.refresh(t, first["refresh_token"])
		_, third := a.refresh(t, second["refresh_token"])
		if status, _ := a.refresh(t, first["refresh_token"]); status != 400 {
			t.Errorf("the token before last = %d, want 400", status)
		}
		if status, _ := a.refresh(t, third["refresh_token"]); status != 400 {
			t.Errorf("the newest token afterwards = %d, want 400", status)
		}
	})
	t.Run("a session ends with its lifetime", func(t *testing.T) {
		first := a.signIn(t)
		c.advance(auth.SessionLifetime + time.Second)
		if status, _ := a.refresh(t, first["refresh_token"]); status != 400 {
			t.Errorf("refresh after the lifetime = %d, want 400", status)
		}
	})
	t.Run("tokens that were made up are refused", func(t *testing.T) {
		real := a.signIn(t)["refresh_token"].(string)
		for _, token := range []string{"x", strings.Repeat("A", 64), real[:len(real)-1], real + "A", real[1:], strings.ToLower(real), real + "=", real[:20] + "A" + real[21:] + " "} {
			if status, out := a.refresh(t, token); status != 400 || out["error"] != "invalid_grant" {
				t.Errorf("refresh with %q = %d %v, want 400 invalid_grant", token, status, out)
			}
		}
		if status, _ := a.refresh(t, real); status != 200 {
			t.Errorf("the real token afterwards = %d, want 200", status)
		}
	})
}

// A sign-in page works only in the browser that began it: nobody can be signed
// in to somebody else's account by a link (login CSRF).
func TestFlowsStayInTheirEnvironmentAndBrowser(t *testing.T) {
	c := &clock{}
	s := startWith(t, server.Config{Now: c.now})
	a := newAccount(t, s, email)
	mine := browser(t)
	flow := openFlow(t, mine, s.URL(), a.e, callback, "/sign-in")
	form := func(flow string) url.Values {
		return url.Values{"flow": {flow}, "email": {email}, "password": {password}}
	}
	other := browser(t)
	openFlow(t, other, s.URL(), a.e, callback, "/sign-in") // has a cookie of its own
	for name, who := range map[string]*http.Client{"another browser": other, "a browser without cookie": browser(t)} {
		for _, path := range []string{"/sign-in", "/sign-up"} {
			if resp, page := get(t, who, s.URL()+path+"?flow="+url.QueryEscape(flow)); resp.StatusCode != http.StatusBadRequest || strings.Contains(page, flow) {
				t.Errorf("GET %s in %s = %d, want 400", path, name, resp.StatusCode)
			}
			if resp, _ := post(t, who, s.URL()+path, form(flow)); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
				t.Errorf("POST %s in %s = %d to %q, want 400", path, name, resp.StatusCode, resp.Header.Get("Location"))
			}
		}
	}
	for _, damaged := range []string{"", "x", flow[1:], flow[:len(flow)-2], strings.ToUpper(flow), flow + "A"} {
		if resp, _ := post(t, mine, s.URL()+"/sign-in", form(damaged)); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("POST with a damaged flow = %d, want 400", resp.StatusCode)
		}
	}
	for name, header := range map[string]http.Header{
		"cross-site":             {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.test"}},
		"same-site":              {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.test"}},
		"cross-site, no origin":  {"Sec-Fetch-Site": {"cross-site"}},
		"cross-site, null":       {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}},
		"old browser, elsewhere": {"Origin": {"https://evil.test"}},
	} {
		for _, path := range []string{"/sign-in", "/sign-up"} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+path, strings.NewReader(form(flow).Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header.Clone()
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := mine.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body(t, resp)
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s: POST %s = %d, want 403", name, path, resp.StatusCode)
			}
		}
	}
	// Over plain http to another machine browsers send only "Origin: null".
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/sign-in", strings.NewReader(form(flow).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Origin": {"null"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	resp, err := mine.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body(t, resp)
	if resp.StatusCode != http.StatusSeeOther {
		t.Errorf("POST with Origin null in the right browser = %d, want 303", resp.StatusCode)
	}
	c.advance(auth.FlowLifetime + time.Second)
	if resp, _ := post(t, mine, s.URL()+"/sign-in", form(flow)); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("POST after the page's lifetime = %d, want 400", resp.StatusCode)
	}
}

func TestProductionHasNoSignUp(t *testing.T) {
	s := start(t)
	team, _ := environment(t, s, "dev")
	e, err := team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: "prod", Production: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	c := browser(t)
	flow := openFlow(t, c, s.URL(), e, callback, "/sign-in")
	if resp, _ := get(t, c, s.URL()+"/sign-up?flow="+url.QueryEscape(flow)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("GET /sign-up in production = %d, want 403", resp.StatusCode)
	}
	if resp, _ := post(t, c, s.URL()+"/sign-up", url.Values{"flow": {flow}, "email": {email}, "password": {password}}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("POST /sign-up in production = %d, want 403", resp.StatusCode)
	}
	if n, err := e.CountUsers(t.Context()); n != 0 || err != nil {
		t.Errorf("users = %d, %v; want none", n, err)
	}
}

// The endpoint that browsers call answers exactly the registered origins.
func TestCORSIsExact(t *testing.T) {
	s := start(t)
	a, b := newAccount(t, s, email), newAccount(t, s, email)
	for _, o := range []string{"https://app.example.com", "http://localhost:5173", "https://*.previews.example.com"} {
		if _, err := a.e.AddCORSOrigin(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.e.AddCORSOrigin(t.Context(), "https://b.example.com"); err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		"https://app.example.com": true, "http://localhost:5173": true, "https://pr-1.previews.example.com": true,
		"https://b.example.com": false, "null": false, "*": false, "https://app.example.com.evil.test": false, "https://evilapp.example.com": false,
		"http://app.example.com": false, "https://app.example.com:443": false, "https://app.example.com/": false, "https://APP.example.com": false,
		"http://localhost:5174": false, "http://localhost": false, "https://a.b.previews.example.com": false, "https://previews.example.com": false,
		"https://*.previews.example.com": false, "https://app.example.com@evil.test": false,
	} {
		for _, method := range []string{"OPTIONS", "POST"} {
			form := url.Values{"grant_type": {"refresh_token"}, "client_id": {a.e.ClientID}, "refresh_token": {"x"}}
			req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/user_management/authenticate", strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", origin)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body(t, resp)
			h := resp.Header
			known := want || method == "OPTIONS" && origin == "https://b.example.com" // a preflight names no client
			if got := h.Get("Access-Control-Allow-Origin"); known && got != origin || !known && got != "" {
				t.Errorf("%s from %s: Access-Control-Allow-Origin %q, want allowed %v", method, origin, got, known)
			}
			if known && (h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin") {
				t.Errorf("%s from %s: headers %v, want credentials and Vary", method, origin, h)
			}
			if method == "POST" && !want && resp.StatusCode != http.StatusForbidden {
				t.Errorf("POST from %s = %d, want 403", origin, resp.StatusCode)
			}
		}
	}
	// With CORS there, a prefetch of another origin would complete a sign-out.
	for _, path := range []string{"/user_management/authorize", "/user_management/sessions/logout?session_id=x"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://app.example.com")
		resp, err := browser(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body(t, resp)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("GET %s: Access-Control-Allow-Origin %q, want none", path, got)
		}
	}
}

func userID(t testing.TB, e *store.Env, email string) string {
	t.Helper()
	u, err := e.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}
