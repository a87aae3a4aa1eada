package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// lastMail returns the newest mail to an address.
func lastMail(t testing.TB, e *store.Env, to string) (code, link string) {
	t.Helper()
	list, err := e.Messages(t.Context(), to, time.Time{}, 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("Messages(%s) = %v, %v; want one", to, list, err)
	}
	return list[0].Code, list[0].Link
}

// submit posts a form of the page that a response redirected to.
func submit(t testing.TB, c *http.Client, base, page, action string, form url.Values) (*http.Response, string) {
	t.Helper()
	resp, html := get(t, c, base+page)
	m := flowField.FindStringSubmatch(html)
	if resp.StatusCode != http.StatusOK || m == nil {
		t.Fatalf("GET %s = %d, flow field %v:\n%s", page, resp.StatusCode, m, html)
	}
	form.Set("flow", m[1])
	return post(t, c, base+action, form)
}

// proveAddress goes through the page that a sign-up leads to, with the code
// from the inbox.
func proveAddress(t testing.TB, c *http.Client, base string, e *store.Env, email string, resp *http.Response, html string) (*http.Response, string) {
	t.Helper()
	page := leadsTo(t, resp, html, "/email-verification")
	code, _ := lastMail(t, e, email)
	return submit(t, c, base, page, "/email-verification", url.Values{"code": {code}})
}

func TestSignUpProvesTheAddressWithACode(t *testing.T) {
	s := start(t)
	e := mailEnvironment(t, s)
	c := browser(t)
	to := beginSignUp(t, c, s.URL(), e, "ada@example.com")
	code, _ := lastMail(t, e, "ada@example.com")

	resp, html := submit(t, c, s.URL(), to, "/email-verification", url.Values{"code": {"000000"}})
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(html, "not right") {
		t.Fatalf("wrong code = %d, want 422 with the reason", resp.StatusCode)
	}
	resp, _ = submit(t, c, s.URL(), to, "/email-verification", url.Values{"code": {code[:3] + "-" + code[3:]}})
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), callback+"?code=") {
		t.Fatalf("right code = %d to %q, want 303 to the callback", resp.StatusCode, resp.Header.Get("Location"))
	}
	u, err := e.UserByEmail(t.Context(), "ada@example.com")
	if err != nil || !u.EmailVerified {
		t.Fatalf("user = %+v, %v; want a verified one", u, err)
	}
}

func mailEnvironment(t testing.TB, s *server.Server) *store.Env {
	t.Helper()
	_, e := environment(t, s, "dev")
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	return e
}

// beginSignUp fills in the sign-up form and returns the page that follows.
func beginSignUp(t testing.TB, c *http.Client, base string, e *store.Env, email string) string {
	t.Helper()
	q := url.Values{"client_id": {e.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "provider": {"authkit"}, "screen_hint": {"sign-up"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	resp, _ := get(t, c, base+"/user_management/authorize?"+q.Encode())
	resp, html := submit(t, c, base, resp.Header.Get("Location"), "/sign-up", url.Values{"email": {email}, "password": {"correct horse"}})
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/email-verification?") {
		t.Fatalf("sign-up = %d to %q, want 303 to the verification:\n%s", resp.StatusCode, to, html)
	}
	return to
}

func TestPasswordResetByMail(t *testing.T) {
	s := start(t)
	e := mailEnvironment(t, s)
	c := browser(t)
	beginSignUp(t, c, s.URL(), e, "ada@example.com")
	q := url.Values{"client_id": {e.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "provider": {"authkit"}}
	resp, _ := get(t, c, s.URL()+"/user_management/authorize?"+q.Encode())
	page := strings.Replace(resp.Header.Get("Location"), "/sign-in?", "/reset-password/request?", 1)
	resp, known := submit(t, c, s.URL(), page, "/reset-password/request", url.Values{"email": {"ada@example.com"}})
	_, unknown := submit(t, c, s.URL(), page, "/reset-password/request", url.Values{"email": {"bob@example.com"}})
	if resp.StatusCode != http.StatusOK || len(known) != len(unknown)-len("bob@example.com")+len("ada@example.com") {
		t.Errorf("the answers for a known and an unknown address differ")
	}
	_, link := lastMail(t, e, "ada@example.com")
	other := browser(t) // a link is opened wherever the mail is read
	resp, html := get(t, other, link)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("reset link = %d:\n%s", resp.StatusCode, html)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"client_id": {e.ClientID}, "token": {u.Query().Get("token")}, "password": {"another password"}}
	if resp, html = post(t, other, s.URL()+"/reset-password", form); resp.StatusCode != http.StatusOK {
		t.Fatalf("reset = %d, want 200:\n%s", resp.StatusCode, html)
	}
	if resp, _ = post(t, other, s.URL()+"/reset-password", form); resp.StatusCode != http.StatusNotFound {
		t.Errorf("second use of the token = %d, want 404", resp.StatusCode)
	}
}
