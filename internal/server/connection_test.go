package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/web"
)

// away begins a sign-in at a connection and returns its browser and the page of
// the test identity provider.
func (a *account) away(t testing.TB, path string, q url.Values) (c *http.Client, state string, resp *http.Response) {
	t.Helper()
	c = browser(t)
	query := url.Values{"client_id": {a.e.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"a b&c"}}
	if path == "/user_management/authorize" {
		query.Set("code_challenge", challenge())
		query.Set("code_challenge_method", "S256")
	}
	for k, v := range q {
		query[k] = v
	}
	resp, _ = get(t, c, a.s.URL()+path+"?"+query.Encode())
	for range 3 {
		to := resp.Header.Get("Location")
		if strings.HasPrefix(to, "/sso/test-provider?state=") {
			return c, strings.TrimPrefix(to, "/sso/test-provider?state="), resp
		}
		if !strings.HasPrefix(to, "/") {
			break
		}
		resp, _ = get(t, c, a.s.URL()+to)
	}
	return c, "", resp
}

// answer says at the test identity provider who the person is, and returns what
// the callback answers.
func (a *account) answer(t testing.TB, c *http.Client, state string, form url.Values) (*http.Response, string) {
	t.Helper()
	form.Set("state", state)
	resp, html := post(t, c, a.s.URL()+"/sso/test-provider", form)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("test provider = %d, want 303:\n%s", resp.StatusCode, html)
	}
	return get(t, c, a.s.URL()+resp.Header.Get("Location"))
}

// returned is the query with which the browser came back to the application.
func returned(t testing.TB, resp *http.Response, html string) url.Values {
	t.Helper()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), callback) || to.Query().Get("state") != "a b&c" {
		t.Fatalf("answer = %d to %v, want %s with the state:\n%s", resp.StatusCode, to, callback, html)
	}
	return to.Query()
}

const umAuthorize = "/user_management/authorize"

var google = url.Values{"provider": {"GoogleOAuth"}}

func person(email string) url.Values {
	return url.Values{"email": {email}, "first_name": {"Ada"}, "last_name": {"Lovelace"}, web.FieldDecision: {web.DecisionAllow}}
}

// organizationWith makes an organization that has proven a domain, with a
// connection to the test identity provider.
func (a *account) organizationWith(t testing.TB, domain string) identity.Connection {
	t.Helper()
	o, err := a.e.CreateOrganization(t.Context(), identity.Organization{Name: "Acme", Domains: []identity.OrganizationDomain{{Domain: domain, State: identity.DomainVerified, Manual: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return a.connect(t, o.ID)
}

func (a *account) connect(t testing.TB, organizationID string) identity.Connection {
	t.Helper()
	c, err := a.e.CreateConnection(t.Context(), identity.Connection{OrganizationID: organizationID, Type: "GenericOIDC", Kind: identity.TestConnection, Name: "Acme", State: identity.ConnectionActive})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSocialSignIn(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	t.Run("a verified address joins the user who has it (R119: by the same callback as a real provider)", func(t *testing.T) {
		c, state, _ := a.away(t, umAuthorize, google)
		resp, html := a.answer(t, c, state, person(strings.ToUpper(email)))
		status, out := a.exchange(t, returned(t, resp, html).Get("code"), nil)
		if status != http.StatusOK || out["authentication_method"] != "GoogleOAuth" || out["oauth_tokens"] != nil {
			t.Fatalf("exchange = %d %v, want 200 with GoogleOAuth and no oauth_tokens", status, out)
		}
		u, err := a.e.UserByEmail(t.Context(), email)
		if err != nil || out["user"].(m)["id"] != u.ID || u.PasswordHash == "" {
			t.Errorf("user = %v, want %s with the password kept", out["user"], u.ID)
		}
		if _, again := a.refresh(t, out["refresh_token"]); again["authentication_method"] != "GoogleOAuth" {
			t.Errorf("method after a refresh = %v, want GoogleOAuth", again["authentication_method"])
		}
		_, list := call(t, a.s, "GET", "/user_management/users/"+u.ID+"/identities", a.key, nil)
		var identities []map[string]string
		if err := json.Unmarshal([]byte(list), &identities); err != nil || len(identities) != 1 || identities[0]["provider"] != "GoogleOAuth" || identities[0]["type"] != "OAuth" || identities[0]["idp_id"] == "" {
			t.Errorf("identities = %s, %v; want a bare array with one of Google", list, err)
		}
		_, sessions := call(t, a.s, "GET", "/user_management/users/"+u.ID+"/sessions", a.key, nil)
		if !strings.Contains(sessions, `"auth_method":"oauth"`) {
			t.Errorf("sessions = %s, want oauth", sessions)
		}
		if _, events := call(t, a.s, "GET", "/events?events=authentication.oauth_succeeded", a.key, nil); !strings.Contains(events, email) {
			t.Errorf("events = %s, want authentication.oauth_succeeded", events)
		}
	})
	t.Run("an unverified address of somebody else needs the mailed code before it is joined", func(t *testing.T) {
		c, state, _ := a.away(t, umAuthorize, url.Values{"provider": {"GitHubOAuth"}})
		form := person(email)
		form.Set(web.FieldDecision, web.DecisionUnverified)
		resp, html := a.answer(t, c, state, form)
		if !strings.HasPrefix(resp.Header.Get("Location"), "/email-verification?") {
			t.Fatalf("callback = %d to %q, want the page that asks for a code:\n%s", resp.StatusCode, resp.Header.Get("Location"), html)
		}
		u, err := a.e.UserByEmail(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		if _, list := call(t, a.s, "GET", "/user_management/users/"+u.ID+"/identities", a.key, nil); strings.Contains(list, "GithubOAuth") {
			t.Errorf("identities before the proof = %s, want none of GitHub", list)
		}
		messages, err := a.e.Messages(t.Context(), email, time.Time{}, 1)
		if err != nil || len(messages) != 1 {
			t.Fatalf("messages = %v, %v; want one", messages, err)
		}
		_, page := get(t, c, a.s.URL()+resp.Header.Get("Location"))
		resp, html = post(t, c, a.s.URL()+"/email-verification", url.Values{"flow": {flowField.FindStringSubmatch(page)[1]}, "code": {messages[0].Code}})
		if status, out := a.exchange(t, returned(t, resp, html).Get("code"), nil); status != http.StatusOK || out["authentication_method"] != "GitHubOAuth" {
			t.Errorf("exchange = %d %v, want 200 with GitHubOAuth", status, out)
		}
		if _, list := call(t, a.s, "GET", "/user_management/users/"+u.ID+"/identities", a.key, nil); !strings.Contains(list, `"GithubOAuth"`) {
			t.Errorf("identities after the proof = %s, want GithubOAuth", list)
		}
	})
	t.Run("a password of an unproven address goes when somebody proves the address", func(t *testing.T) {
		status, text := call(t, a.s, "POST", "/user_management/users", a.key, m{"email": "victim@example.com", "password": password})
		if status != http.StatusCreated {
			t.Fatalf("create user = %d %s", status, text)
		}
		c, state, _ := a.away(t, umAuthorize, google)
		resp, html := a.answer(t, c, state, person("victim@example.com"))
		if status, out := a.exchange(t, returned(t, resp, html).Get("code"), nil); status != http.StatusOK {
			t.Fatalf("exchange = %d %v", status, out)
		}
		if u, err := a.e.UserByEmail(t.Context(), "victim@example.com"); err != nil || u.PasswordHash != "" || !u.EmailVerified {
			t.Errorf("user = %+v, %v; want proven and without the password", u, err)
		}
	})
	t.Run("tokens of the provider are handed on where the connection says so", func(t *testing.T) {
		c, err := a.e.SocialConnection(t.Context(), "GoogleOAuth")
		if err != nil {
			t.Fatal(err)
		}
		c.ReturnTokens = true
		if _, err := a.e.UpdateConnection(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		b, state, _ := a.away(t, umAuthorize, google)
		resp, html := a.answer(t, b, state, person(email))
		_, out := a.exchange(t, returned(t, resp, html).Get("code"), nil)
		tokens, _ := out["oauth_tokens"].(m)
		if tokens["provider"] != "GoogleOAuth" || tokens["access_token"] == "" || tokens["expires_at"] == 0.0 {
			t.Errorf("oauth_tokens = %v, want those of Google", out["oauth_tokens"])
		}
	})
	t.Run("earlier identities are one click away, and the page names itself", func(t *testing.T) {
		c, state, _ := a.away(t, umAuthorize, google)
		_, html := get(t, c, a.s.URL()+"/sso/test-provider?state="+state)
		if !strings.Contains(html, "Test identity provider") || !strings.Contains(html, "victim@example.com") {
			t.Errorf("the page names neither itself nor an earlier identity:\n%s", html)
		}
	})
	t.Run("the sign-in page offers it", func(t *testing.T) {
		c := browser(t)
		resp, _ := get(t, c, authorizeURL(a.s.URL(), a.e.ClientID, callback, nil))
		_, html := get(t, c, a.s.URL()+resp.Header.Get("Location"))
		if !strings.Contains(html, "Continue with Google") {
			t.Errorf("no button for Google:\n%s", html)
		}
	})
}

// RFC 9700 sections 4.4 and 4.5, RFC 6749 section 10.12.
func TestAnswersOfProvidersAreHeldToTheirSignIn(t *testing.T) {
	clk := &clock{}
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits, Now: clk.now}), email)
	begin := func(t *testing.T) (*http.Client, string, string) {
		c, state, _ := a.away(t, umAuthorize, google)
		form := person(email)
		form.Set("state", state)
		resp, html := post(t, c, a.s.URL()+"/sso/test-provider", form)
		if resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("test provider = %d:\n%s", resp.StatusCode, html)
		}
		return c, state, resp.Header.Get("Location")
	}
	refused := func(t *testing.T, what string, c *http.Client, path string) {
		t.Helper()
		if resp, _ := get(t, c, a.s.URL()+path); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s = %d to %q, want 400", what, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	t.Run("an answer works once", func(t *testing.T) {
		c, _, path := begin(t)
		resp, html := get(t, c, a.s.URL()+path)
		if returned(t, resp, html).Get("code") == "" {
			t.Fatal("no code")
		}
		refused(t, "the same answer again", c, path)
	})
	t.Run("only in the browser that began", func(t *testing.T) {
		c, state, path := begin(t)
		refused(t, "another browser", browser(t), path)
		refused(t, "the page in another browser", browser(t), "/sso/test-provider?state="+state)
		if resp, html := get(t, c, a.s.URL()+path); returned(t, resp, html).Get("code") == "" {
			t.Error("the owner's answer afterwards has no code")
		}
	})
	t.Run("only with its own state", func(t *testing.T) {
		c, _, path := begin(t)
		u, _ := url.Parse(path)
		refused(t, "a made-up state", c, "/sso/callback?state=AAAA&code="+u.Query().Get("code"))
		refused(t, "no state", c, "/sso/callback?code="+u.Query().Get("code"))
	})
	t.Run("a code of another sign-in is refused, and says so to the application", func(t *testing.T) {
		_, _, path := begin(t)
		u, _ := url.Parse(path)
		c, state, _ := begin(t)
		resp, html := get(t, c, a.s.URL()+"/sso/callback?"+url.Values{"state": {state}, "code": {u.Query().Get("code")}}.Encode())
		if got := returned(t, resp, html).Get("error"); got != "oauth_failed" {
			t.Errorf("error = %q, want oauth_failed", got)
		}
	})
	t.Run("an answer that names another issuer is refused (RFC 9207)", func(t *testing.T) {
		c, _, path := begin(t)
		resp, html := get(t, c, a.s.URL()+path+"&iss=https://evil.example")
		if got := returned(t, resp, html).Get("error"); got != "oauth_failed" {
			t.Errorf("error = %q, want oauth_failed", got)
		}
	})
	for decision, want := range map[string]string{web.DecisionDeny: "access_denied", web.DecisionFail: "oauth_failed"} {
		t.Run(decision, func(t *testing.T) {
			c, state, _ := a.away(t, umAuthorize, google)
			resp, html := a.answer(t, c, state, url.Values{web.FieldDecision: {decision}})
			if got := returned(t, resp, html).Get("error"); got != want {
				t.Errorf("error = %q, want %s", got, want)
			}
		})
	}
	if _, events := call(t, a.s, "GET", "/events?events=authentication.oauth_failed", a.key, nil); !strings.Contains(events, `"access_denied"`) {
		t.Errorf("events = %s, want authentication.oauth_failed", events)
	}
	t.Run("not after its time", func(t *testing.T) {
		c, _, path := begin(t)
		clk.advance(auth.ConnectionLifetime + time.Second)
		refused(t, "a late answer", c, path)
	})
}

func TestAuthorizeChoosesAConnection(t *testing.T) {
	s := startWith(t, server.Config{Limits: noLimits})
	a, b := newAccount(t, s, email), newAccount(t, s, "b@example.com")
	conn, other := a.organizationWith(t, "acme.example"), b.organizationWith(t, "acme.example")
	twice := a.organizationWith(t, "twice.example")
	a.connect(t, twice.OrganizationID)
	off := a.organizationWith(t, "off.example")
	off.State = identity.ConnectionInactive
	if _, err := a.e.UpdateConnection(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	none, err := a.e.CreateOrganization(t.Context(), identity.Organization{Name: "None"})
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct {
		q    url.Values
		want string // error, "" for the test provider
	}{
		"connection":                         {url.Values{"connection_id": {conn.ID}}, ""},
		"organization with one":              {url.Values{"organization_id": {conn.OrganizationID}}, ""},
		"organization with two":              {url.Values{"organization_id": {twice.OrganizationID}}, "ambiguous_connection_selector"},
		"one of the two":                     {url.Values{"connection_id": {twice.ID}, "organization_id": {twice.OrganizationID}}, ""},
		"organization without":               {url.Values{"organization_id": {none.ID}}, "connection_invalid"},
		"unknown organization":               {url.Values{"organization_id": {"org_x"}}, "organization_invalid"},
		"inactive connection":                {url.Values{"connection_id": {off.ID}}, "connection_unlinked"},
		"organization with an inactive one":  {url.Values{"organization_id": {off.OrganizationID}}, "connection_unlinked"},
		"connection of another environment":  {url.Values{"connection_id": {other.ID}}, "connection_invalid"},
		"connection of another organization": {url.Values{"connection_id": {conn.ID}, "organization_id": {none.ID}}, "connection_invalid"},
		"organization of another one":        {url.Values{"organization_id": {other.OrganizationID}}, "organization_invalid"},
		"unknown provider":                   {url.Values{"provider": {"FaceOAuth"}}, "connection_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, state, resp := a.away(t, umAuthorize, try.q)
			if try.want == "" {
				if state == "" {
					t.Errorf("authorize = %d to %q, want the test provider", resp.StatusCode, resp.Header.Get("Location"))
				}
				return
			}
			if got := returned(t, resp, "").Get("error"); got != try.want {
				t.Errorf("error = %q, want %s", got, try.want)
			}
		})
	}
	for _, typ := range identity.SocialProviders() {
		if _, state, resp := a.away(t, umAuthorize, url.Values{"provider": {typ}}); state == "" {
			t.Errorf("provider=%s outside production = %d to %q, want the test provider", typ, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

func TestSingleSignOn(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	if err := a.e.SetMFARequired(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	e, err := a.s.Store().EnvByClientID(t.Context(), a.e.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	a.e = e
	conn := a.organizationWith(t, "acme.example")
	byConnection := url.Values{"connection_id": {conn.ID}}
	t.Run("its people become members, without a second factor", func(t *testing.T) {
		c, state, _ := a.away(t, umAuthorize, byConnection)
		form := person("eve@acme.example")
		form.Set("groups", "Engineering, Admins")
		form.Set("attributes", `{"department": "Sales"}`)
		resp, html := a.answer(t, c, state, form)
		status, out := a.exchange(t, returned(t, resp, html).Get("code"), nil)
		if status != http.StatusOK || out["authentication_method"] != "SSO" || out["organization_id"] != conn.OrganizationID {
			t.Fatalf("exchange = %d %v, want SSO in the organization", status, out)
		}
		if _, events := call(t, a.s, "GET", "/events?events=authentication.sso_succeeded", a.key, nil); !strings.Contains(events, `"connection_id":"`+conn.ID) {
			t.Errorf("events = %s, want authentication.sso_succeeded with the connection", events)
		}
		if _, list := call(t, a.s, "GET", "/user_management/users/"+out["user"].(m)["id"].(string)+"/identities", a.key, nil); strings.TrimSpace(list) != "[]" {
			t.Errorf("identities = %s, want [] (single sign-on is none)", list)
		}
	})
	t.Run("an organization's word about an address of others counts for nothing", func(t *testing.T) {
		c, state, _ := a.away(t, umAuthorize, byConnection)
		resp, html := a.answer(t, c, state, person(email))
		if !strings.HasPrefix(resp.Header.Get("Location"), "/email-verification?") {
			t.Errorf("callback = %d to %q, want the proof of the address:\n%s", resp.StatusCode, resp.Header.Get("Location"), html)
		}
	})
	t.Run("a password is refused for its people (contract 2.3)", func(t *testing.T) {
		if status, text := call(t, a.s, "POST", "/user_management/users", a.key, m{"email": "pat@acme.example", "password": password, "email_verified": true}); status != http.StatusCreated {
			t.Fatalf("create user = %d %s", status, text)
		}
		status, out := authenticate(t, a.s.URL(), url.Values{"grant_type": {"password"}, "client_id": {a.e.ClientID}, "client_secret": {a.key}, "email": {"pat@acme.example"}, "password": {password}})
		ids, _ := out["connection_ids"].([]any)
		pending, there := out["pending_authentication_token"]
		if status != http.StatusBadRequest || out["error"] != "sso_required" || out["email"] != "pat@acme.example" || len(ids) != 1 || ids[0] != conn.ID || !there || pending != nil {
			t.Errorf("password grant = %d %v, want 400 sso_required", status, out)
		}
	})
	t.Run("the sign-in page sends its people there", func(t *testing.T) {
		for _, path := range []string{"/sign-in", "/sign-in/sso", "/magic-code/send", "/sign-up"} {
			c := browser(t)
			resp, _ := get(t, c, authorizeURL(a.s.URL(), a.e.ClientID, callback, nil))
			_, page := get(t, c, a.s.URL()+resp.Header.Get("Location"))
			resp, html := post(t, c, a.s.URL()+path, url.Values{"flow": {flowField.FindStringSubmatch(page)[1]}, "email": {"eve@ACME.example"}})
			to, ok := strings.CutPrefix(resp.Header.Get("Refresh"), "0; url=")
			if resp.StatusCode != http.StatusOK || !ok {
				t.Fatalf("POST %s = %d with Refresh %q, want the way to the provider:\n%s", path, resp.StatusCode, resp.Header.Get("Refresh"), html)
			}
			if resp, _ := get(t, c, a.s.URL()+to); !strings.HasPrefix(resp.Header.Get("Location"), "/sso/test-provider?") {
				t.Errorf("POST %s leads to %q, want the test provider", path, resp.Header.Get("Location"))
			}
		}
	})
	t.Run("who was taken out of the organization stays out", func(t *testing.T) {
		u, err := a.e.UserByEmail(t.Context(), "eve@acme.example")
		if err != nil {
			t.Fatal(err)
		}
		members, err := a.e.ActiveMemberships(t.Context(), u.ID)
		if err != nil || len(members) != 1 {
			t.Fatalf("memberships = %v, %v; want one", members, err)
		}
		if _, err := a.e.DeactivateMembership(t.Context(), members[0].ID); err != nil {
			t.Fatal(err)
		}
		c, state, _ := a.away(t, umAuthorize, byConnection)
		resp, html := a.answer(t, c, state, person("eve@acme.example"))
		if got := returned(t, resp, html).Get("error"); got != "access_denied" {
			t.Errorf("error = %q, want access_denied", got)
		}
	})
	t.Run("an organization may take single sign-on only", func(t *testing.T) {
		if err := a.e.SetMFARequired(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		u, err := a.e.UserByEmail(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.e.CreateMembership(t.Context(), conn.OrganizationID, u.ID, nil); err != nil {
			t.Fatal(err)
		}
		if err := a.e.SetOrganizationMethods(t.Context(), conn.OrganizationID, &identity.OrganizationMethods{SSO: true, Social: []string{"GoogleOAuth"}}); err != nil {
			t.Fatal(err)
		}
		status, out := authenticate(t, a.s.URL(), url.Values{"grant_type": {"password"}, "client_id": {a.e.ClientID}, "client_secret": {a.key}, "email": {email}, "password": {password}})
		methods, _ := out["auth_methods"].(m)
		if status != http.StatusBadRequest || out["error"] != "organization_authentication_methods_required" || methods["google_oauth"] != true || methods["password"] != false || len(out["sso_connection_ids"].([]any)) != 1 {
			t.Errorf("password grant = %d %v, want 400 organization_authentication_methods_required", status, out)
		}
		c, state, _ := a.away(t, umAuthorize, google)
		resp, html := a.answer(t, c, state, person(email))
		if status, out := a.exchange(t, returned(t, resp, html).Get("code"), nil); status != http.StatusOK || out["organization_id"] != conn.OrganizationID {
			t.Errorf("exchange after Google = %d %v, want 200 in the organization", status, out)
		}
	})
}

func TestMethodsThatAreOff(t *testing.T) {
	a := newAccount(t, startWith(t, server.Config{Limits: noLimits}), email)
	settings := a.e.Settings
	settings.Methods = identity.Methods{NoPassword: true, NoMagicCode: true, NoSSO: true, NoSignUp: true}
	if err := a.e.SetSettings(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	for grant, want := range map[string]string{"password": "email_password_auth_disabled", "urn:workos:oauth:grant-type:magic-auth:code": "authentication_method_not_allowed"} {
		status, out := authenticate(t, a.s.URL(), url.Values{"grant_type": {grant}, "client_id": {a.e.ClientID}, "client_secret": {a.key}, "email": {email}, "password": {password}, "code": {"123456"}})
		if status != http.StatusForbidden || out["code"] != want {
			t.Errorf("%s = %d %v, want 403 %s", grant, status, out, want)
		}
	}
	conn := a.organizationWith(t, "acme.example")
	_, _, resp := a.away(t, umAuthorize, url.Values{"connection_id": {conn.ID}})
	if got := returned(t, resp, "").Get("error"); got != "access_denied" {
		t.Errorf("single sign-on = %q, want access_denied", got)
	}
	c, state, _ := a.away(t, umAuthorize, google)
	resp, html := a.answer(t, c, state, person("new@example.com"))
	if got := returned(t, resp, html).Get("error"); got != "access_denied" {
		t.Errorf("a new person by Google = %q, want access_denied", got)
	}
	if _, err := a.e.UserByEmail(t.Context(), "new@example.com"); err == nil {
		t.Error("a user was made although sign-up is off")
	}
}

func TestSSOAPI(t *testing.T) {
	clk := &clock{}
	s := startWith(t, server.Config{Limits: noLimits, Now: clk.now})
	a, b := newAccount(t, s, email), newAccount(t, s, "b@example.com")
	conn := a.organizationWith(t, "acme.example")
	code := func(t *testing.T) string {
		c, state, _ := a.away(t, "/sso/authorize", url.Values{"connection": {conn.ID}})
		form := person("eve@acme.example")
		form.Set("groups", "Engineering")
		form.Set("attributes", `{"department": "Sales"}`)
		resp, html := a.answer(t, c, state, form)
		return returned(t, resp, html).Get("code")
	}
	token := func(t *testing.T, by *account, clientID, code, grant string) (int, map[string]any) {
		resp, text := post(t, http.DefaultClient, s.URL()+"/sso/token", url.Values{"client_id": {clientID}, "client_secret": {by.key}, "grant_type": {grant}, "code": {code}})
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("token = %s: %v", text, err)
		}
		return resp.StatusCode, out
	}
	first := code(t)
	for name, try := range map[string]struct {
		by                 *account
		client, code, gran string
		want               string
	}{
		"another environment's key": {b, a.e.ClientID, first, "authorization_code", "invalid_client"},
		"another environment":       {b, b.e.ClientID, first, "authorization_code", "invalid_grant"},
		"another grant":             {a, a.e.ClientID, first, "password", "unsupported_grant_type"},
		"a made-up code":            {a, a.e.ClientID, "x", "authorization_code", "invalid_grant"},
	} {
		if status, out := token(t, try.by, try.client, try.code, try.gran); status != http.StatusBadRequest || out["error"] != try.want {
			t.Errorf("%s = %d %v, want 400 %s", name, status, out, try.want)
		}
	}
	if status, out := a.exchange(t, first, url.Values{"client_secret": {a.key}}); status != http.StatusBadRequest {
		t.Errorf("a code of the SSO API at User Management = %d %v, want 400", status, out)
	}
	status, out := token(t, a, a.e.ClientID, first, "authorization_code")
	profile, _ := out["profile"].(m)
	raw, _ := profile["raw_attributes"].(m)
	if status != http.StatusOK || out["token_type"] != "Bearer" || profile["email"] != "eve@acme.example" || profile["organization_id"] != conn.OrganizationID ||
		profile["connection_type"] != "GenericOIDC" || raw["department"] != "Sales" || len(profile["groups"].([]any)) != 1 {
		t.Fatalf("token = %d %v, want the profile", status, out)
	}
	if _, err := a.e.UserByEmail(t.Context(), "eve@acme.example"); err == nil {
		t.Error("the SSO API made a user")
	}
	if status, out := token(t, a, a.e.ClientID, first, "authorization_code"); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
		t.Errorf("the code again = %d %v, want invalid_grant", status, out)
	}
	access := out["access_token"].(string)
	if status, text := call(t, s, "GET", "/sso/profile", access, nil); status != http.StatusOK || !strings.Contains(text, profile["id"].(string)) {
		t.Errorf("profile = %d %s, want 200", status, text)
	}
	if status, text := call(t, s, "GET", "/sso/profile", a.key, nil); status != http.StatusUnauthorized || strings.TrimSpace(text) != `{"error":"Unauthorized"}` {
		t.Errorf("profile with an API key = %d %s, want 401", status, text)
	}
	status, text := call(t, s, "POST", "/sso/logout/authorize", a.key, m{"profile_id": profile["id"]})
	var logout struct {
		URL   string `json:"logout_url"`
		Token string `json:"logout_token"`
	}
	if err := json.Unmarshal([]byte(text), &logout); err != nil || status != http.StatusOK {
		t.Fatalf("logout/authorize = %d %s", status, text)
	}
	if resp, html := get(t, browser(t), logout.URL); resp.StatusCode != http.StatusOK || !strings.Contains(html, "signed out") {
		t.Errorf("logout = %d, want the page that says so", resp.StatusCode)
	}
	if status, _ := call(t, s, "GET", "/sso/profile", logout.Token, nil); status != http.StatusUnauthorized {
		t.Errorf("profile with a logout token = %d, want 401", status)
	}
	late := code(t)
	clk.advance(auth.CodeLifetime + time.Second)
	if status, out := token(t, a, a.e.ClientID, late, "authorization_code"); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
		t.Errorf("an expired code = %d %v, want invalid_grant", status, out)
	}
	if status, _ := call(t, s, "GET", "/sso/profile", access, nil); status != http.StatusUnauthorized {
		t.Errorf("profile after the token's time = %d, want 401", status)
	}
}
