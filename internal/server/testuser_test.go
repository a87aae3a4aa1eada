package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// cast is an environment with two users, of whom ada is a test user.
type cast struct {
	s        *server.Server
	team     *store.Team
	e        *store.Env
	ada, bob identity.User
	token    string
	key      string
}

func newCast(t *testing.T, cfg server.Config) *cast {
	t.Helper()
	s := startWith(t, cfg)
	team, e := environment(t, s, "dev")
	c := &cast{s: s, team: team, e: e}
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	token, err := team.CreateCredential(t.Context(), store.TokenCredential, "ci", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := e.CreateAPIKey(t.Context(), "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	c.token, c.key = token.Secret.Reveal(), key.Reveal()
	for _, u := range []struct {
		address, first string
		to             *identity.User
	}{{"ada@example.com", "Ada", &c.ada}, {"bob@example.com", "Bob", &c.bob}} {
		if status, text := call(t, s, "POST", "/user_management/users", c.key, m{"email": u.address, "password": password, "first_name": u.first, "email_verified": true}); status != http.StatusCreated {
			t.Fatalf("create user = %d %s", status, text)
		}
		if *u.to, err = e.UserByEmail(t.Context(), u.address); err != nil {
			t.Fatal(err)
		}
	}
	c.keep(t, c.ada)
	return c
}

func (c *cast) path(suffix string) string {
	return "/berth/v1/environments/" + c.e.ClientID + suffix
}

func (c *cast) keep(t *testing.T, u identity.User) {
	t.Helper()
	if status, text := call(t, c.s, "PUT", c.path("/test_users/"+u.ID), c.token, m{"password": password}); status != http.StatusOK {
		t.Fatalf("PUT test user = %d %s, want 200", status, text)
	}
}

// elsewhere makes every request look as if a proxy had passed it on.
type elsewhere struct{}

func (elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	return http.DefaultTransport.RoundTrip(r)
}

// signInPage opens the sign-in page and returns its flow and the addresses it offers.
func (c *cast) signInPage(t *testing.T, b *http.Client) (flow string, offered []string) {
	t.Helper()
	resp, _ := get(t, b, authorizeURL(c.s.URL(), c.e.ClientID, callback, nil))
	resp, html := get(t, b, c.s.URL()+resp.Header.Get("Location"))
	found := flowField.FindStringSubmatch(html)
	if resp.StatusCode != http.StatusOK || found == nil {
		t.Fatalf("sign-in page = %d:\n%s", resp.StatusCode, html)
	}
	for _, id := range testButton.FindAllStringSubmatch(html, -1) {
		u, err := c.e.User(t.Context(), id[1])
		if err != nil {
			t.Fatal(err)
		}
		offered = append(offered, u.Email)
	}
	return found[1], offered
}

var testButton = regexp.MustCompile(`<button type="submit" name="test_user" value="([^"]+)">`)

func (c *cast) click(t *testing.T, b *http.Client, flow, userID string) (*http.Response, string) {
	t.Helper()
	return post(t, b, c.s.URL()+"/sign-in/test-user", url.Values{"flow": {flow}, "test_user": {userID}})
}

// R119: a click signs in with the real password check.
func TestOneClickSignsATestUserIn(t *testing.T) {
	c := newCast(t, server.Config{})
	b := browser(t)
	flow, offered := c.signInPage(t, b)
	if diff := cmp.Diff([]string{"ada@example.com"}, offered); diff != "" {
		t.Fatalf("offered users (-want +got):\n%s", diff)
	}
	resp, html := c.click(t, b, flow, c.ada.ID)
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), callback) {
		t.Fatalf("click = %d to %v:\n%s", resp.StatusCode, to, html)
	}
	if strings.Contains(html, password) {
		t.Error("the page holds the password")
	}
	for name, id := range map[string]string{"an ordinary user": c.bob.ID, "nobody": "user_01", "no id": ""} {
		if resp, _ := c.click(t, b, flow, id); resp.StatusCode != http.StatusNotFound {
			t.Errorf("click on %s = %d, want 404", name, resp.StatusCode)
		}
	}
	grant := url.Values{"grant_type": {"authorization_code"}, "client_id": {c.e.ClientID}, "client_secret": {c.key}, "code": {to.Query().Get("code")}, "code_verifier": {verifier}}
	if status, out := authenticate(t, c.s.URL(), grant); status != http.StatusOK || out["authentication_method"] != "Password" {
		t.Fatalf("exchange = %d %v, want a sign-in by password", status, out)
	}
	names := eventNames(t, c.e)
	if !strings.Contains(names, "authentication.password_succeeded") {
		t.Errorf("events = %s, want a password sign-in among them", names)
	}
}

func eventNames(t *testing.T, e *store.Env) string {
	t.Helper()
	list, _, err := e.Events(t.Context(), store.EventFilter{}, store.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ev := range list {
		names = append(names, ev.Name)
	}
	return strings.Join(names, " ")
}

// R119: nothing that an ordinary sign-in needs is skipped.
func TestAClickSkipsNoStep(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, c *cast)
		status  int
		page    string // where it leads
		says    string
	}{
		{"a changed password is wrong", func(t *testing.T, c *cast) {
			if status, text := call(t, c.s, "PUT", "/user_management/users/"+c.ada.ID, c.key, m{"password": "another password"}); status != http.StatusOK {
				t.Fatalf("change password = %d %s", status, text)
			}
		}, http.StatusUnprocessableEntity, "", "berth users reset"},
		{"an unproven address gets a code", func(t *testing.T, c *cast) {
			if status, text := call(t, c.s, "PUT", "/user_management/users/"+c.ada.ID, c.key, m{"email_verified": false}); status != http.StatusOK {
				t.Fatalf("change user = %d %s", status, text)
			}
		}, http.StatusSeeOther, "/email-verification", ""},
		{"a required second factor is asked for", func(t *testing.T, c *cast) {
			if status, text := call(t, c.s, "PATCH", c.path("/settings"), c.token, m{"mfa_required": true}); status != http.StatusOK {
				t.Fatalf("patch = %d %s", status, text)
			}
		}, http.StatusSeeOther, "/mfa/enrollment", ""},
		{"several organizations are chosen from", func(t *testing.T, c *cast) {
			for _, name := range []string{"Acme", "Globex"} {
				o, err := c.e.CreateOrganization(t.Context(), identity.Organization{Name: name})
				if err != nil {
					t.Fatal(err)
				}
				if status, text := call(t, c.s, "POST", "/user_management/organization_memberships", c.key, m{"user_id": c.ada.ID, "organization_id": o.ID}); status != http.StatusCreated {
					t.Fatalf("membership = %d %s", status, text)
				}
			}
		}, http.StatusSeeOther, "/organization-selection", ""},
		{"a pause after wrong passwords holds", func(t *testing.T, c *cast) {
			for range store.MaxPasswordFailures {
				if err := c.e.PasswordFailed(t.Context(), c.ada.Email); err != nil {
					t.Fatal(err)
				}
			}
		}, http.StatusUnprocessableEntity, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCast(t, server.Config{})
			tt.prepare(t, c)
			b := browser(t)
			flow, _ := c.signInPage(t, b)
			resp, html := c.click(t, b, flow, c.ada.ID)
			if resp.StatusCode != tt.status || !strings.HasPrefix(resp.Header.Get("Location"), tt.page) || !strings.Contains(html, tt.says) {
				t.Errorf("click = %d to %q, want %d to %q saying %q:\n%s", resp.StatusCode, resp.Header.Get("Location"), tt.status, tt.page, tt.says, html)
			}
		})
	}
}

func TestTheRateOfSignInsHoldsForClicks(t *testing.T) {
	c := newCast(t, server.Config{Now: newStopped().now})
	b := browser(t)
	flow, _ := c.signInPage(t, b)
	for range 50 {
		if resp, _ := c.click(t, b, flow, c.ada.ID); resp.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("50 clicks in no time were all answered, want 429 for one of them")
}

// The list is for this machine; for others only where the team says so.
func TestWhoIsOfferedTestUsers(t *testing.T) {
	c := newCast(t, server.Config{})
	there := browser(t)
	there.Transport = elsewhere{}
	flow, offered := c.signInPage(t, there)
	if len(offered) != 0 {
		t.Errorf("from elsewhere = %v, want no test users", offered)
	}
	if resp, _ := c.click(t, there, flow, c.ada.ID); resp.StatusCode != http.StatusNotFound {
		t.Errorf("click from elsewhere = %d, want 404", resp.StatusCode)
	}
	if status, text := call(t, c.s, "PATCH", c.path("/settings"), c.token, m{"pages": m{"list_test_users": true}}); status != http.StatusOK {
		t.Fatalf("patch = %d %s", status, text)
	}
	flow, offered = c.signInPage(t, there)
	if len(offered) != 1 {
		t.Errorf("from elsewhere, where it is allowed = %v, want ada", offered)
	}
	if resp, _ := c.click(t, there, flow, c.ada.ID); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("click from elsewhere, where it is allowed = %d, want 303", resp.StatusCode)
	}
}

// R123: production has no test users, nor has a production deployment in an
// environment that is none.
func TestProductionHasNoTestUsers(t *testing.T) {
	c := newCast(t, server.Config{})
	prod, key := production(t, c.s)
	if status, text := call(t, c.s, "POST", "/user_management/users", key, m{"email": "eve@example.com", "password": password}); status != http.StatusCreated {
		t.Fatalf("create user = %d %s", status, text)
	}
	eve, err := prod.UserByEmail(t.Context(), "eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	path := "/berth/v1/environments/" + prod.ClientID
	for _, try := range []string{password, "wrong password"} {
		if status, text := call(t, c.s, "PUT", path+"/test_users/"+eve.ID, c.token, m{"password": try}); status != http.StatusForbidden || !strings.Contains(text, "production_has_no_test_accounts") {
			t.Errorf("PUT test user of production = %d %s, want 403", status, text)
		}
	}
	if status, text := call(t, c.s, "PATCH", path+"/settings", c.token, m{"pages": m{"list_test_users": true}}); status != http.StatusForbidden {
		t.Errorf("list test users of production = %d %s, want 403", status, text)
	}
	if _, _, err := prod.TestPassword(t.Context(), eve.ID); !fault.Is(err, fault.Denied) {
		t.Errorf("TestPassword in production = %v, want Denied", err)
	}

	req := claim.Request{Project: "shop", Deployment: "shop/prod/prod", Kind: claim.Prod, Mode: claim.Shared, APIBase: c.s.URL(),
		Want: claim.Entries{RedirectURIs: []string{callback}}, Given: &claim.Given{ClientID: c.e.ClientID, APIKey: "sk_test_x"}}
	g, err := c.team.PutClaim(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.team.Intend(t.Context(), g.Claim.ID, req.Want); err != nil {
		t.Fatal(err)
	}
	b := browser(t)
	flow, offered := c.signInPage(t, b)
	if len(offered) != 0 {
		t.Errorf("a production deployment offers %v, want nobody", offered)
	}
	if resp, _ := c.click(t, b, flow, c.ada.ID); resp.StatusCode != http.StatusNotFound {
		t.Errorf("click for a production deployment = %d, want 404", resp.StatusCode)
	}
}

// R61: the user of another environment cannot be clicked.
func TestATestUserIsOfOneEnvironment(t *testing.T) {
	c := newCast(t, server.Config{})
	_, other := environment(t, c.s, "other")
	u, err := other.CreateUser(t.Context(), identity.User{Email: "mallory@example.com", EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.PutTestUser(t.Context(), u.ID, password); err != nil {
		t.Fatal(err)
	}
	b := browser(t)
	flow, _ := c.signInPage(t, b)
	if resp, html := c.click(t, b, flow, u.ID); resp.StatusCode != http.StatusNotFound || strings.Contains(html, "mallory") {
		t.Errorf("click on a user of another environment = %d, want 404", resp.StatusCode)
	}
	if err := c.e.PutTestUser(t.Context(), u.ID, password); !fault.Is(err, fault.NotFound) {
		t.Errorf("PutTestUser for a user of another environment = %v, want NotFound", err)
	}
}

func TestTestUsersComeAndGo(t *testing.T) {
	c := newCast(t, server.Config{})
	if status, text := call(t, c.s, "PUT", c.path("/test_users/"+c.bob.ID), c.token, m{"password": "wrong password"}); status != http.StatusBadRequest || !strings.Contains(text, "test_password_wrong") {
		t.Errorf("PUT with a wrong password = %d %s, want 400 test_password_wrong", status, text)
	}
	c.keep(t, c.bob)
	c.keep(t, c.bob)
	if status, text := call(t, c.s, "GET", c.path("/test_users"), c.token, nil); status != http.StatusOK || strings.Count(text, `"email"`) != 2 || strings.Contains(text, password) {
		t.Errorf("GET test users = %d %s, want both without passwords", status, text)
	}
	if status, text := call(t, c.s, "DELETE", c.path("/test_users/"+c.bob.ID), c.token, nil); status != http.StatusOK {
		t.Errorf("DELETE test user = %d %s, want 200", status, text)
	}
	if status, _ := call(t, c.s, "DELETE", c.path("/test_users/"+c.bob.ID), c.token, nil); status != http.StatusNotFound {
		t.Errorf("DELETE again = %d, want 404", status)
	}
	if _, err := c.e.User(t.Context(), c.bob.ID); err != nil {
		t.Errorf("the user is gone with its role as a test user: %v", err)
	}
	if err := c.e.DeleteUser(t.Context(), c.ada.ID); err != nil {
		t.Fatal(err)
	}
	if list, err := c.e.TestUsers(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("TestUsers = %v, %v; want none", list, err)
	}
}
