package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// beginSignIn goes to the sign-in page of a fresh flow and returns its address.
func beginSignIn(t testing.TB, c *http.Client, base string, e *store.Env) string {
	t.Helper()
	q := url.Values{"client_id": {e.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "provider": {"authkit"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	resp, _ := get(t, c, base+"/user_management/authorize?"+q.Encode())
	if !strings.HasPrefix(resp.Header.Get("Location"), "/sign-in?") {
		t.Fatalf("authorize leads to %q, want the sign-in page", resp.Header.Get("Location"))
	}
	return resp.Header.Get("Location")
}

// leadsTo checks that a form was answered with a page of ours, and returns it.
func leadsTo(t testing.TB, resp *http.Response, html, path string) string {
	t.Helper()
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, path+"?") {
		t.Fatalf("answer = %d to %q, want 303 to %s:\n%s", resp.StatusCode, to, path, html)
	}
	return to
}

// redeemed checks that a form led back to the application, and redeems the code.
func redeemed(t testing.TB, base string, e *store.Env, resp *http.Response, html string) map[string]any {
	t.Helper()
	code, err := url.Parse(leadsTo(t, resp, html, callback))
	if err != nil {
		t.Fatal(err)
	}
	status, out := authenticate(t, base, url.Values{"grant_type": {"authorization_code"}, "client_id": {e.ClientID}, "code": {code.Query().Get("code")}, "code_verifier": {verifier}})
	if status != http.StatusOK {
		t.Fatalf("redeem = %d %v", status, out)
	}
	return out
}

func refusedWith(t testing.TB, resp *http.Response, html, text string) {
	t.Helper()
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(html, text) {
		t.Errorf("answer = %d, want 422 with %q:\n%s", resp.StatusCode, text, html)
	}
}

var otpauth = regexp.MustCompile(`href="(otpauth://totp/[^"]+)"`)

// R62: enrollment and verification through the pages, with an authenticator.
func TestSecondFactorThroughThePages(t *testing.T) {
	m := newMFA(t)
	if err := m.e.SetMFARequired(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	c, base := browser(t), m.s.URL()
	credentials := func() url.Values { return url.Values{"email": {"ada@example.com"}, "password": {password}} }
	signIn := func() (*http.Response, string) {
		return submit(t, c, base, beginSignIn(t, c, base, m.e), "/sign-in", credentials())
	}
	resp, html := signIn()
	enrollment := leadsTo(t, resp, html, "/mfa/enrollment")
	resp, html = signIn()
	otherTab := leadsTo(t, resp, html, "/mfa/enrollment")

	_, html = get(t, c, base+enrollment)
	uri := otpauth.FindStringSubmatch(html)
	if uri == nil || !strings.Contains(html, `data-hak-page="mfa/enrollment"`) || !strings.Contains(html, "<svg") {
		t.Fatalf("enrollment page has no key:\n%s", html)
	}
	p := newPhone(t, m.clk, strings.ReplaceAll(uri[1], "&amp;", "&"))
	if list, err := m.e.VerifiedFactors(t.Context(), m.user); err != nil || len(list) != 0 {
		t.Fatalf("factors before the first code = %v, %v; want none", list, err)
	}
	resp, html = submit(t, c, base, enrollment, "/mfa/enrollment", url.Values{"code": {p.wrong(t)}})
	refusedWith(t, resp, html, "not right")
	first := p.code(t, 0)
	resp, html = submit(t, c, base, enrollment, "/mfa/enrollment", url.Values{"code": {first}})
	redeemed(t, base, m.e, resp, html)

	// The page of the other tab must not add a second factor, whatever its code.
	_, html = get(t, c, base+otherTab)
	other := newPhone(t, m.clk, strings.ReplaceAll(otpauth.FindStringSubmatch(html)[1], "&amp;", "&"))
	resp, html = submit(t, c, base, otherTab, "/mfa/enrollment", url.Values{"code": {other.code(t, 0)}})
	leadsTo(t, resp, html, "/mfa/verification")
	list, err := m.e.VerifiedFactors(t.Context(), m.user)
	if err != nil || len(list) != 1 {
		t.Fatalf("factors = %v, %v; want one", list, err)
	}

	resp, html = signIn()
	verification := leadsTo(t, resp, html, "/mfa/verification")
	if _, html := get(t, c, base+verification); !strings.Contains(html, `data-hak-page="mfa/verification"`) {
		t.Errorf("verification page:\n%s", html)
	}
	resp, html = submit(t, c, base, verification, "/mfa/verification", url.Values{"code": {first}})
	refusedWith(t, resp, html, "used before")
	resp, html = submit(t, c, base, verification, "/mfa/verification", url.Values{"code": {p.wrong(t)}})
	refusedWith(t, resp, html, "not right")
	m.clk.add(time.Minute)
	code := p.code(t, 0)
	resp, html = submit(t, c, base, verification, "/mfa/verification", url.Values{"code": {code[:3] + " " + code[3:]}})
	if out := redeemed(t, base, m.e, resp, html); out["authentication_method"] != "Password" {
		t.Errorf("authentication_method = %v, want Password", out["authentication_method"])
	}
	// Nor does a step's page help whoever never passed the first one.
	if resp, _ := get(t, c, base+strings.Replace(beginSignIn(t, c, base, m.e), "/sign-in?", "/mfa/verification?", 1)); resp.StatusCode < 400 {
		t.Errorf("second step without the first = %d, want it refused", resp.StatusCode)
	}
	// The page alone is of no use in another browser.
	if resp, _ := get(t, browser(t), base+verification); resp.StatusCode < 400 {
		t.Errorf("page in another browser = %d, want it refused", resp.StatusCode)
	}
}

// R62: guessing through the pages is bounded like through the API.
func TestPagesBoundGuessing(t *testing.T) {
	m := newMFAWith(t, server.Config{Limits: noLimits}) // so that the factor's own count is met
	p, _ := m.enrolled(t)
	c, base := browser(t), m.s.URL()
	resp, html := submit(t, c, base, beginSignIn(t, c, base, m.e), "/sign-in", url.Values{"email": {"ada@example.com"}, "password": {password}})
	page := leadsTo(t, resp, html, "/mfa/verification")
	for range 10 {
		submit(t, c, base, page, "/mfa/verification", url.Values{"code": {p.wrong(t)}})
	}
	resp, html = submit(t, c, base, page, "/mfa/verification", url.Values{"code": {p.code(t, 0)}})
	refusedWith(t, resp, html, "Too many wrong codes")
}

func TestSignInByMagicCode(t *testing.T) {
	m := newMFA(t)
	c, base := browser(t), m.s.URL()
	page := beginSignIn(t, c, base, m.e)
	resp, html := submit(t, c, base, page, "/magic-code/send", url.Values{"email": {"nobody"}})
	refusedWith(t, resp, html, "Enter your e-mail address")
	resp, html = submit(t, c, base, page, "/magic-code/send", url.Values{"email": {"ada@example.com"}})
	entry := leadsTo(t, resp, html, "/magic-code")
	old, _ := lastMail(t, m.e, "ada@example.com")
	resp, html = submit(t, c, base, entry, "/magic-code/send", url.Values{})
	again := leadsTo(t, resp, html, "/magic-code")
	if _, html := get(t, c, base+again); !strings.Contains(html, "A new code is on its way") || !strings.Contains(html, `data-hak-page="magic-code"`) || !strings.Contains(html, "/inbox?client_id=") {
		t.Errorf("page after a second code:\n%s", html)
	}
	code, _ := lastMail(t, m.e, "ada@example.com")
	if old != code {
		resp, html = submit(t, c, base, entry, "/magic-code", url.Values{"code": {old}})
		refusedWith(t, resp, html, "not right")
	}
	resp, html = submit(t, c, base, again, "/magic-code", url.Values{"code": {code}})
	if out := redeemed(t, base, m.e, resp, html); out["authentication_method"] != "MagicAuth" {
		t.Errorf("authentication_method = %v, want MagicAuth", out["authentication_method"])
	}
	resp, html = submit(t, c, base, again, "/magic-code", url.Values{"code": {code}})
	refusedWith(t, resp, html, "used before")
	// A flow that no code was sent for has no such page.
	if resp, _ := get(t, c, base+strings.Replace(page, "/sign-in?", "/magic-code?", 1)); resp.StatusCode < 400 {
		t.Errorf("page without a code = %d, want it refused", resp.StatusCode)
	}
}

// A mailed code does not stand in for the second factor.
func TestMagicCodeAsksForTheSecondFactor(t *testing.T) {
	m := newMFA(t)
	p, _ := m.enrolled(t)
	c, base := browser(t), m.s.URL()
	resp, html := submit(t, c, base, beginSignIn(t, c, base, m.e), "/magic-code/send", url.Values{"email": {"ada@example.com"}})
	entry := leadsTo(t, resp, html, "/magic-code")
	code, _ := lastMail(t, m.e, "ada@example.com")
	resp, html = submit(t, c, base, entry, "/magic-code", url.Values{"code": {code}})
	resp, html = submit(t, c, base, leadsTo(t, resp, html, "/mfa/verification"), "/mfa/verification", url.Values{"code": {p.code(t, 0)}})
	redeemed(t, base, m.e, resp, html)
}

// Who has an account is not told: page and status are the same, but for the address.
func TestMagicCodeTellsNotWhoHasAnAccount(t *testing.T) {
	m := newMFA(t)
	c, base := browser(t), m.s.URL()
	pages := map[string]string{}
	for _, email := range []string{"ada@example.com", "eve@example.com"} {
		resp, html := submit(t, c, base, beginSignIn(t, c, base, m.e), "/magic-code/send", url.Values{"email": {email}})
		_, html = get(t, c, base+leadsTo(t, resp, html, "/magic-code"))
		_, wrong := submit(t, c, base, resp.Header.Get("Location"), "/magic-code", url.Values{"code": {"x"}})
		for _, p := range []*string{&html, &wrong} {
			*p = regexp.MustCompile(`value="[^"]{40,}"|flow=[^"]+|nonce="[^"]+"`).ReplaceAllString(strings.ReplaceAll(*p, email, "EMAIL"), "")
		}
		pages[email] = html + wrong
	}
	if diff := cmp.Diff(pages["ada@example.com"], pages["eve@example.com"]); diff != "" {
		t.Errorf("pages of a known and an unknown address differ (-known +unknown):\n%s", diff)
	}
}

// Somebody who signed up with another's address has set a password. It must not
// open the account once its owner proves the address with a mailed code.
func TestMagicCodeDropsAPasswordOfAnUnprovenAddress(t *testing.T) {
	m := newMFA(t)
	base := m.s.URL()
	beginSignUp(t, browser(t), base, m.e, "victim@example.com") // with the password "correct horse"
	c := browser(t)
	resp, html := submit(t, c, base, beginSignIn(t, c, base, m.e), "/magic-code/send", url.Values{"email": {"victim@example.com"}})
	entry := leadsTo(t, resp, html, "/magic-code")
	code, _ := lastMail(t, m.e, "victim@example.com")
	resp, html = submit(t, c, base, entry, "/magic-code", url.Values{"code": {code}})
	redeemed(t, base, m.e, resp, html)
	if status, out := m.grant(t, url.Values{"grant_type": {"password"}, "email": {"victim@example.com"}, "password": {"correct horse"}}); status != http.StatusBadRequest || out["code"] != "invalid_credentials" {
		t.Errorf("password from before = %d %v, want invalid_credentials", status, out)
	}
	// A password of a proven address stays.
	resp, html = submit(t, c, base, beginSignIn(t, c, base, m.e), "/magic-code/send", url.Values{"email": {"ada@example.com"}})
	entry = leadsTo(t, resp, html, "/magic-code")
	code, _ = lastMail(t, m.e, "ada@example.com")
	submit(t, c, base, entry, "/magic-code", url.Values{"code": {code}})
	if status, out := m.passwordGrant(t); status != http.StatusOK {
		t.Errorf("password of a proven address = %d %v, want tokens", status, out)
	}
}

func TestInboxIsForThisMachineOnly(t *testing.T) {
	m := newMFA(t)
	beginSignUp(t, browser(t), m.s.URL(), m.e, "grace@example.com")
	code, _ := lastMail(t, m.e, "grace@example.com")
	list, err := m.e.Messages(t.Context(), "", time.Time{}, 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("Messages = %v, %v", list, err)
	}
	message := "/inbox/" + list[0].ID
	query := "?client_id=" + m.e.ClientID
	for _, path := range []string{"/inbox", message} {
		resp, html := get(t, browser(t), m.s.URL()+path+query)
		if resp.StatusCode != http.StatusOK || !strings.Contains(html, code) || !strings.Contains(html, "grace@example.com") {
			t.Errorf("GET %s = %d, want the mail:\n%s", path, resp.StatusCode, html)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s has headers %v, want no CORS and no caching", path, resp.Header)
		}
	}
	if _, html := get(t, browser(t), m.s.URL()+"/"); strings.Contains(html, "grace@example.com") {
		t.Error("the console shows mail")
	}
	for name, change := range map[string]func(*http.Request){
		"another host name":  func(r *http.Request) { r.Host = "evil.example" },
		"a proxy says so":    func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.7") },
		"another proxy":      func(r *http.Request) { r.Header.Set("Forwarded", "for=203.0.113.7") },
		"another client":     func(r *http.Request) { r.URL.RawQuery = "client_id=client_x" },
		"no client":          func(r *http.Request) { r.URL.RawQuery = "" },
		"a mail not in here": func(r *http.Request) { r.URL.Path = "/inbox/message_x" },
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/inbox", message} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", m.s.URL()+path+query, nil)
				if err != nil {
					t.Fatal(err)
				}
				change(req)
				resp, err := browser(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if html := body(t, resp); resp.StatusCode != http.StatusNotFound || strings.Contains(html, code) {
					t.Errorf("GET %s = %d, want 404", path, resp.StatusCode)
				}
			}
		})
	}
	t.Run("production", func(t *testing.T) {
		prod, err := m.team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: "prod", Production: true})
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := get(t, browser(t), m.s.URL()+"/inbox?client_id="+prod.ClientID); resp.StatusCode != http.StatusNotFound {
			t.Errorf("inbox of production = %d, want 404", resp.StatusCode)
		}
	})
}

// Behind a proxy every request comes over loopback, so a server with a public
// address shows no inbox at all.
func TestInboxIsClosedOnAPublicServer(t *testing.T) {
	s := startWith(t, server.Config{PublicURL: "https://auth.example.com", Addr: "127.0.0.1:0"})
	_, e := environment(t, s, "dev")
	if s.URL() != "https://auth.example.com" {
		t.Fatalf("URL() = %s", s.URL())
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/inbox?client_id="+e.ClientID, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.RemoteAddr = "127.0.0.1:50000"
	if status := s.Answer(req); status != http.StatusNotFound {
		t.Errorf("inbox = %d, want 404", status)
	}
}
