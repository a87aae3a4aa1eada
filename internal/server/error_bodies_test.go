package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/workos"
)

// R62: every body of expected-errors.json is what a server answers in the
// situation of its name, and no other member is in it.
func TestErrorBodies(t *testing.T) {
	data, err := os.ReadFile("testdata/expected-errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name   string
			Status int
			Body   any
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	s := startWith(t, server.Config{Now: c.now})
	a := newAccount(t, s, email)
	if _, err := a.e.AddCORSOrigin(t.Context(), "https://example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.e.AddRedirectURI(t.Context(), "https://example.com/callback"); err != nil {
		t.Fatal(err)
	}
	auth := func(form m) func() (int, string) {
		form["client_id"] = a.e.ClientID
		return func() (int, string) { return call(t, s, "POST", "/user_management/authenticate", "", form) }
	}
	keyed := func(method, path string, body any) func() (int, string) {
		return func() (int, string) { return call(t, s, method, path, a.key, body) }
	}
	// The same person in an environment that has not seen the address proven.
	fresh := newAccount(t, s, email)
	status, text := call(t, s, "PUT", "/user_management/users/"+userID(t, fresh.e, email), fresh.key, m{"email_verified": false})
	if status != http.StatusOK {
		t.Fatalf("update user = %d %s", status, text)
	}
	gate := func() (int, string) {
		return call(t, s, "POST", "/user_management/authenticate", "", m{"grant_type": "password", "client_id": fresh.e.ClientID, "client_secret": fresh.key, "email": email, "password": password})
	}
	// verify answers the gate with what code makes of the mailed one.
	verify := func(token string, code func(string) string) (int, string) {
		_, text := gate()
		var step struct {
			Token string `json:"pending_authentication_token"`
		}
		if err := json.Unmarshal([]byte(text), &step); err != nil || step.Token == "" {
			t.Fatalf("password grant = %s, want the verification gate", text)
		}
		mailed, _ := lastMail(t, fresh.e, email)
		if token == "" {
			token = step.Token
		}
		return call(t, s, "POST", "/user_management/authenticate", "", m{"grant_type": workos.GrantEmailVerification, "client_id": fresh.e.ClientID, "client_secret": fresh.key,
			"pending_authentication_token": token, "code": code(mailed)})
	}
	covered := map[string]func() (int, string){
		"email verification gate": gate,
		"bad one-time code": func() (int, string) {
			return verify("", func(mailed string) string { return string('0'+('9'-mailed[0])) + mailed[1:] })
		},
		"expired one-time code": func() (int, string) {
			return verify("", func(mailed string) string {
				c.advance(identity.EmailVerification.Lifetime() + time.Second)
				return mailed
			})
		},
		"bad pending token": func() (int, string) {
			return verify("made-up", func(mailed string) string { return mailed })
		},
		"refresh reuse after grace": func() (int, string) {
			first := a.signIn(t)
			a.refresh(t, first["refresh_token"])
			c.advance(time.Minute)
			return auth(m{"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})()
		},
		"refresh of ended session": func() (int, string) {
			first := a.signIn(t)
			get(t, browser(t), s.URL()+"/user_management/sessions/logout?session_id="+decode(t, first["access_token"].(string))["sid"].(string))
			return auth(m{"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})()
		},
		"refresh without any token (cookie blocked)": auth(m{"grant_type": "refresh_token"}),
		"wrong password":          auth(m{"grant_type": "password", "client_secret": a.key, "email": email, "password": "wrong password"}),
		"unknown or expired code": auth(m{"grant_type": "authorization_code", "code": "01UNKNOWN", "code_verifier": verifier}),
		"redirect URI exists":     keyed("POST", "/user_management/redirect_uris", m{"uri": "https://example.com/callback"}),
		"CORS origin exists":      keyed("POST", "/user_management/cors_origins", m{"origin": "https://example.com"}),
		"CORS origin invalid":     keyed("POST", "/user_management/cors_origins", m{"origin": "example"}),
		"default redirect URI delete": func() (int, string) {
			uris, err := a.e.RedirectURIs(t.Context())
			if err != nil || !uris[0].Default {
				t.Fatalf("RedirectURIs = %v, %v; want the first one as default", uris, err)
			}
			return call(t, s, "DELETE", "/user_management/redirect_uris/"+uris[0].ID, a.key, nil)
		},
		"webhook endpoint exists": func() (int, string) {
			hook := m{"endpoint_url": "https://example.com/hook", "events": []string{"user.created"}}
			call(t, s, "POST", "/webhook_endpoints", a.key, hook)
			return call(t, s, "POST", "/webhook_endpoints", a.key, hook)
		},
		"bad API key": func() (int, string) {
			return call(t, s, "GET", "/user_management/users", "sk_test_bad", nil)
		},
	}
	maps.Copy(covered, stepCases(t, s))
	for _, want := range file.Cases {
		t.Run(want.Name, func(t *testing.T) {
			do, ok := covered[want.Name]
			if !ok {
				t.Fatal("no situation of a server stands for this case")
			}
			delete(covered, want.Name)
			status, text := do()
			var got any
			if err := json.Unmarshal([]byte(text), &got); err != nil || status != want.Status || !like(got, want.Body) {
				t.Errorf("answer = %d %s, want %d %v", status, text, want.Status, want.Body)
			}
		})
	}
	for name := range covered {
		t.Errorf("expected-errors.json has no case %q", name)
	}
}

// stepCases are the situations in which a sign-in needs a further step, or
// another way, each in an environment of its own on s.
func stepCases(t *testing.T, s *server.Server) map[string]func() (int, string) {
	t.Helper()
	// signIn answers the password grant of the one user.
	signIn := func(c *customer) (int, string) {
		return call(t, s, "POST", "/user_management/authenticate", "", m{"grant_type": "password", "client_id": c.e.ClientID, "client_secret": c.key, "email": email, "password": password})
	}
	// asRecorded gives the user the recorded one's id and times, which ours has its own of.
	asRecorded := func(status int, text string) (int, string) {
		var out m
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		u, _ := out["user"].(m)
		if u["email"] != email || !strings.HasPrefix(fmt.Sprint(u["id"]), "user_") {
			t.Fatalf("user of %s = %v, want the one who signs in", text, u)
		}
		u["id"], u["created_at"], u["updated_at"] = "user_01E4ZCR3C56J083X43JQXF3JK5", "2026-01-15T12:00:00.000Z", "2026-01-15T12:00:00.000Z"
		delete(u, "name") // may be absent; we always send it
		data, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		return status, string(data)
	}
	secondFactor := func(enrolled bool) func() (int, string) {
		return func() (int, string) {
			c := newCustomer(t, s)
			u := c.user(t, email)
			if err := c.e.SetMFARequired(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if enrolled {
				mfa := &mfaSetup{s: s, e: c.e, key: c.key, user: u, clk: &stillClock{at: time.Now()}}
				mfa.enrolled(t)
			}
			return asRecorded(signIn(c))
		}
	}
	// connected makes an organization with a domain and a connection, whose member the user is.
	connected := func(domain string) *customer {
		c := newCustomer(t, s)
		o, err := c.e.CreateOrganization(t.Context(), identity.Organization{Name: "Acme", Domains: []identity.OrganizationDomain{{Domain: domain, State: "verified"}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.e.CreateConnection(t.Context(), identity.Connection{OrganizationID: o.ID, Type: "TestIdp", Kind: identity.TestConnection, Name: "Acme", State: identity.ConnectionActive})
		if err != nil {
			t.Fatal(err)
		}
		c.member(t, o.ID, c.user(t, email), nil)
		return c
	}
	return map[string]func() (int, string){
		"mfa enrollment": secondFactor(false),
		"mfa challenge":  secondFactor(true),
		"organization selection": func() (int, string) {
			c := newCustomer(t, s)
			u := c.user(t, email)
			c.member(t, c.organization(t, "Acme"), u, nil)
			c.member(t, c.organization(t, "Globex"), u, nil)
			status, text := asRecorded(signIn(c))
			var out m
			if err := json.Unmarshal([]byte(text), &out); err != nil {
				t.Fatal(err)
			}
			list, _ := out["organizations"].([]any)
			if len(list) != 2 {
				t.Fatalf("organizations of %s = %v, want two", text, list)
			}
			out["organizations"] = list[:1] // the case shows one
			data, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			return status, string(data)
		},
		"sso required": func() (int, string) {
			return signIn(connected("example.com"))
		},
		"organization auth methods required": func() (int, string) {
			// A magic code where the organization takes passwords alone; it has no connection.
			c := newCustomer(t, s)
			o := c.organization(t, "Acme")
			c.member(t, o, c.user(t, email), nil)
			if err := c.e.SetOrganizationMethods(t.Context(), o, &identity.OrganizationMethods{Password: true}); err != nil {
				t.Fatal(err)
			}
			sent := c.ok(t, http.StatusCreated, "POST", "/user_management/magic_auth", m{"email": email})
			return call(t, s, "POST", "/user_management/authenticate", "", m{"grant_type": workos.GrantMagicAuth, "client_id": c.e.ClientID, "client_secret": c.key, "email": email, "code": sent["code"]})
		},
		"authenticate rate limit": func() (int, string) {
			c := newCustomer(t, s)
			for range limit.Documented().Authenticate.Max {
				if status, text := signIn(c); status == http.StatusTooManyRequests {
					t.Fatalf("password grant within the limit = %d %s", status, text)
				}
			}
			resp, text := postJSON(t, s, "POST", "/user_management/authenticate", "", m{"grant_type": "password", "client_id": c.e.ClientID, "client_secret": c.key, "email": email, "password": password})
			if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("Retry-After = %q, want whole seconds", resp.Header.Get("Retry-After"))
			}
			return resp.StatusCode, text
		},
	}
}

// like compares an answer with an expected one: the same members everywhere,
// and texts in which "…" stands for anything.
func like(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if ok && len(want) == 0 {
			return true // constraints: whichever
		}
		for k, v := range want {
			if !like(object[k], v) {
				return false
			}
		}
		return ok && len(object) == len(want)
	case []any:
		list, ok := got.([]any)
		for i := range want {
			if len(list) != len(want) || !like(list[i], want[i]) {
				return false
			}
		}
		return ok
	case string:
		text, ok := got.(string)
		before, after, open := strings.Cut(want, "…")
		if !open {
			return ok && text == want
		}
		return ok && len(text) > len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
	default:
		return got == want
	}
}
