package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

func logout(t testing.TB, s *server.Server, session, returnTo string) (int, string) {
	t.Helper()
	q := url.Values{"session_id": {session}}
	if returnTo != "" {
		q.Set("return_to", returnTo)
	}
	resp, _ := get(t, browser(t), s.URL()+"/user_management/sessions/logout?"+q.Encode())
	return resp.StatusCode, resp.Header.Get("Location")
}

// return_to leads to what the environment knows, or is ignored: sign-out is no
// open redirect.
func TestSignOutTargets(t *testing.T) {
	s := start(t)
	a := newAccount(t, s, email)
	const home = "https://home.example.com/welcome"
	if err := a.e.SetHomepage(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"https://*.previews.example.com/callback", "http://localhost:*/callback", "myapp://callback"} {
		if _, err := a.e.AddRedirectURI(t.Context(), uri); err != nil {
			t.Fatal(err)
		}
	}
	session := decode(t, a.signIn(t)["access_token"].(string))["sid"].(string)
	for _, to := range []string{home, "https://app.example.com", "https://app.example.com/", "https://app.example.com/bye?x=1", callback,
		"https://pr-1.previews.example.com/bye", "http://localhost:5173/", "http://localhost:3000"} {
		if status, got := logout(t, s, session, to); status != http.StatusFound || got != to {
			t.Errorf("sign-out to %q = %d to %q, want it allowed", to, status, got)
		}
	}
	refused := []string{
		"https://evil.test", "https://evil.test/", "//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test", "/evil", "evil.test", "https:evil.test", "https:/evil.test", "https:///evil.test",
		"http:evil.test", "http://app.example.com", "HTTPS://app.example.com", "https://APP.example.com", "https://app.example.com.evil.test", "https://app.example.comevil.test",
		"https://evilapp.example.com", "https://evil.test/app.example.com", "https://evil.test?app.example.com", "https://evil.test#app.example.com", "https://app.example.com@evil.test",
		"https://app.example.com:443@evil.test", "https://user@app.example.com", "https://app.example.com\\@evil.test", "https://app.example.com%40evil.test", "https://evil.test%2f.app.example.com",
		"https://app.example.com:8443", "https://app.example.com.", "https://app.example.com/#x", "https://app.example.com/../x", "https://app.example.com/\r\nX: y", "https://app.example.com/%0d%0aX:y",
		"https://app.example.com\t.evil.test", " https://app.example.com", "javascript:alert(1)", "javascript://app.example.com/%0aalert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
		"https://home.example.com/welcome2", "https://home.example.com/other", "https://home.example.com.evil.test/welcome",
		"https://*.previews.example.com/bye", "https://previews.example.com/", "https://a.b.previews.example.com/", "https://evil.test/.previews.example.com", "https://evil.test%2f.previews.example.com/",
		"http://localhost:*/", "http://localhost/", "http://localhost:5173@evil.test/", "http://localhost.evil.test:5173/", "myapp://evil", "https://аpp.example.com", "https://app。example.com",
	}
	if len(refused) < 40 {
		t.Fatalf("there are %d attempts, want at least 40", len(refused))
	}
	for _, to := range refused {
		if status, got := logout(t, s, session, to); status != http.StatusFound || got != home {
			t.Errorf("sign-out to %q = %d to %q, want the homepage", to, status, got)
		}
	}
	for name, c := range map[string]struct{ session, to string }{
		"unknown session":              {identity.NewID(identity.PrefixSession), "https://app.example.com"},
		"unknown session, elsewhere":   {identity.NewID(identity.PrefixSession), "https://evil.test"},
		"something that is no session": {"x' OR '1'='1", "https://evil.test"},
	} {
		if status, got := logout(t, s, c.session, c.to); status != http.StatusFound || got != "/app-homepage-url-not-found" {
			t.Errorf("%s: sign-out = %d to %q, want the page of a missing homepage", name, status, got)
		}
	}
	if resp, _ := get(t, browser(t), s.URL()+"/user_management/sessions/logout"); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("sign-out without session_id = %d, want 422", resp.StatusCode)
	}
	// A session of one environment does not open the targets of another.
	b := newAccount(t, s, email)
	if _, err := b.e.AddRedirectURI(t.Context(), "https://b.example.com/callback"); err != nil {
		t.Fatal(err)
	}
	if _, got := logout(t, s, session, "https://b.example.com/"); got != home {
		t.Errorf("sign-out to another environment's target leads to %q, want the homepage", got)
	}
}

// R59: in a shared environment the claim of the deployment that a session was
// opened for decides where sign-out leads, not who wrote the homepage last.
func TestSignOutLeadsToTheSessionsOwnDeployment(t *testing.T) {
	s := startWith(t, server.Config{Limits: noLimits})
	a := newAccount(t, s, email)
	team, err := s.Store().FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	put := func(branch, redirect string) {
		t.Helper()
		g, err := team.PutClaim(t.Context(), claim.Request{Project: "shop", Deployment: "shop/preview/" + branch, Kind: claim.Preview, Branch: branch, Mode: claim.Shared, APIBase: s.URL(),
			Given: &claim.Given{ClientID: a.e.ClientID, APIKey: "sk_test_given"}, Want: claim.Entries{RedirectURIs: []string{redirect}}, HomepageURL: "https://" + branch + ".example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if err := team.Intend(t.Context(), g.Claim.ID, g.Claim.Entries()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.e.AddRedirectURI(t.Context(), redirect); err != nil {
			t.Fatal(err)
		}
		if err := a.e.SetHomepage(t.Context(), g.Claim.HomepageURL); err != nil { // the last writer's
			t.Fatal(err)
		}
		if err := team.Confirm(t.Context(), g.Claim.ID, claim.Entries{}, g.Claim.HomepageURL); err != nil {
			t.Fatal(err)
		}
	}
	asks := map[string][]string{}
	for i := range 8 {
		branch := fmt.Sprintf("b%d", i)
		put(branch, "https://"+branch+".example.com/callback")
		asks[branch] = []string{"https://" + branch + ".example.com/callback"}
	}
	put("bare", "https://bare.example.com")
	asks["bare"] = []string{"https://bare.example.com", "https://bare.example.com/"} // equal by the rules
	put("wild", "https://*.wild.example.com/callback")
	asks["wild"] = []string{"https://x.wild.example.com/callback"}
	put("exact", "https://exact.wild.example.com/callback")
	asks["exact"] = []string{"https://exact.wild.example.com/callback"}
	put("last", "https://last.example.com/callback")
	for branch, uris := range asks {
		for _, uri := range uris {
			c := browser(t)
			resp, _ := get(t, c, authorizeURL(s.URL(), a.e.ClientID, uri, nil))
			_, page := get(t, c, s.URL()+resp.Header.Get("Location"))
			if !strings.Contains(text(page), branch) {
				t.Errorf("the page of %s does not name its deployment", branch)
			}
			resp, _ = post(t, c, s.URL()+"/sign-in", url.Values{"flow": {flowField.FindStringSubmatch(page)[1]}, "email": {email}, "password": {password}})
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			status, out := a.exchange(t, to.Query().Get("code"), nil)
			if status != 200 {
				t.Fatalf("exchange = %d %v", status, out)
			}
			sid := decode(t, out["access_token"].(string))["sid"].(string)
			if _, got := logout(t, s, sid, ""); got != "https://"+branch+".example.com" {
				t.Errorf("sign-out of a session of %s leads to %s, want its own homepage", uri, got)
			}
			if _, got := logout(t, s, sid, "https://b1.example.com"); got != "https://b1.example.com" {
				t.Errorf("sign-out to another deployment's homepage leads to %s, want it allowed", got)
			}
		}
	}
}

// lockedBuffer is a log that goroutines share.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// R42: no secret that was ever issued stands in a log line or in an error.
func TestNoSecretIsLoggedOrAnsweredInAnError(t *testing.T) {
	var log lockedBuffer
	s := startWith(t, server.Config{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), GitHubSecret: "webhook-secret-value"})
	a := newAccount(t, s, email)
	v := newTenant(t, s)
	code, spent := a.code(t, nil), a.code(t, nil)
	_, out := a.exchange(t, spent, nil)
	client, err := v.team.CreateCredential(t.Context(), store.ClientCredential, "platform", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"API key": a.key, "code": code, "spent code": spent, "verifier": verifier, "access token": out["access_token"].(string), "refresh token": out["refresh_token"].(string),
		"password": password, "team token": v.token, "platform token": v.plat, "admin key": v.admin, "client secret": client.Secret.Reveal(), "webhook secret": "webhook-secret-value"}
	var errors []string
	// Every secret where it does not belong, on every route, broken bodies included.
	for p := range rows {
		method, _, _ := strings.Cut(p, " ")
		for _, secret := range secrets {
			for _, send := range []string{
				`{"email":["` + secret + `"],"code":{"x":"` + secret + `"},"want":"` + secret + `","changes":"` + secret + `"`,
				`{"grant_type":"` + secret + `","client_id":"` + v.env.ClientID + `","client_secret":"` + secret + `","code":"` + secret + `","refresh_token":"` + secret + `","password":"` + secret + `"}`,
				"flow=" + url.QueryEscape(secret) + "&password=" + url.QueryEscape(secret) + "%zz",
			} {
				path := rows[p].path(v)
				if strings.HasSuffix(path, "/delete") || method == "DELETE" || strings.HasSuffix(path, "/release") || strings.HasSuffix(path, "/released") {
					continue
				}
				req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(send))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				if strings.HasPrefix(send, "flow") {
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				req.Header.Set("Authorization", "Bearer "+secret)
				resp, err := browser(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text := body(t, resp)
				if resp.StatusCode >= 500 {
					t.Errorf("%s = %d %s, want no server error", p, resp.StatusCode, text)
				}
				if resp.StatusCode >= 400 {
					errors = append(errors, text)
				}
			}
		}
	}
	all := strings.Join(errors, "\n")
	for name, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds a %s", name)
		}
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("an error holds a %s: %s", name, all[max(0, i-120):min(len(all), i+60)])
		}
	}
}
