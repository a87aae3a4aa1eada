package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// customer is an environment as its own server sees it.
type customer struct {
	s   *server.Server
	e   *store.Env
	key string
}

func newCustomer(t testing.TB, s *server.Server) *customer {
	t.Helper()
	_, e := environment(t, s, "dev")
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	_, key, err := e.CreateAPIKey(t.Context(), "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return &customer{s: s, e: e, key: key.Reveal()}
}

// try calls the API and returns status and body.
func (c *customer) try(t testing.TB, method, path string, body any) (int, m) {
	t.Helper()
	status, text := call(t, c.s, method, path, c.key, body)
	out := m{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s %s answered %q: %v", method, path, text, err)
		}
	}
	return status, out
}

// ok is try for calls that must be answered with the given status.
func (c *customer) ok(t testing.TB, want int, method, path string, body any) m {
	t.Helper()
	status, out := c.try(t, method, path, body)
	if status != want {
		t.Fatalf("%s %s = %d %v, want %d", method, path, status, out, want)
	}
	return out
}

func (c *customer) user(t testing.TB, email string) string {
	t.Helper()
	return c.ok(t, 201, "POST", "/user_management/users", m{"email": email, "password": password, "email_verified": true})["id"].(string)
}

func (c *customer) organization(t testing.TB, name string) string {
	t.Helper()
	return c.ok(t, 201, "POST", "/organizations", m{"name": name})["id"].(string)
}

func (c *customer) member(t testing.TB, organization, user string, more m) string {
	t.Helper()
	body := m{"organization_id": organization, "user_id": user}
	for k, v := range more {
		body[k] = v
	}
	return c.ok(t, 201, "POST", "/user_management/organization_memberships", body)["id"].(string)
}

func (c *customer) grant(t testing.TB, kind string, more url.Values) (int, m) {
	t.Helper()
	form := url.Values{"grant_type": {kind}, "client_id": {c.e.ClientID}, "client_secret": {c.key}}
	for k, v := range more {
		form[k] = v
	}
	return authenticate(t, c.s.URL(), form)
}

func (c *customer) password(t testing.TB, email string, more url.Values) (int, m) {
	t.Helper()
	form := url.Values{"email": {email}, "password": {password}}
	for k, v := range more {
		form[k] = v
	}
	return c.grant(t, "password", form)
}

func (c *customer) refresh(t testing.TB, last m, organization string) (int, m) {
	t.Helper()
	form := url.Values{"refresh_token": {last["refresh_token"].(string)}}
	if organization != "" {
		form.Set("organization_id", organization)
	}
	return c.grant(t, "refresh_token", form)
}

// claimsOf are the claims about the organization.
func claimsOf(t testing.TB, answer m) m {
	t.Helper()
	all, out := decode(t, answer["access_token"].(string)), m{}
	for _, name := range []string{"org_id", "role", "roles", "permissions"} {
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	return out
}

const selectionGrant = "urn:workos:oauth:grant-type:organization-selection"

// R91, R92: a member of several organizations chooses one, the session keeps
// it, and a refresh moves to another one after a look at the membership.
func TestAMemberOfTwoOrganizationsChoosesAndSwitches(t *testing.T) {
	c := newCustomer(t, start(t))
	u := c.user(t, email)
	acme, globex, other := c.organization(t, "Acme"), c.organization(t, "Globex"), c.organization(t, "Other")
	c.member(t, acme, u, nil)
	status, out := c.password(t, email, nil)
	if status != 200 || out["organization_id"] != acme {
		t.Fatalf("sign-in of a member of one = %d %v, want 200 in %s", status, out, acme)
	}
	c.member(t, globex, u, nil)

	status, out = c.password(t, email, nil)
	pending, _ := out["pending_authentication_token"].(string)
	user, _ := out["user"].(map[string]any)
	if status != 403 || pending == "" || user["id"] != u {
		t.Fatalf("sign-in of a member of two = %d %v, want 403 with the user", status, out)
	}
	delete(out, "pending_authentication_token")
	delete(out, "user")
	delete(out, "message")
	want := m{"code": "organization_selection_required", "organizations": []any{m{"id": acme, "name": "Acme"}, m{"id": globex, "name": "Globex"}}}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("step body (-want +got):\n%s", diff)
	}
	for _, id := range []string{other, "org_unknown"} {
		status, out = c.grant(t, selectionGrant, url.Values{"pending_authentication_token": {pending}, "organization_id": {id}})
		if status != 400 || out["code"] != "invalid_organization_id" {
			t.Errorf("choosing %s = %d %v, want 400 invalid_organization_id", id, status, out)
		}
	}
	status, out = c.grant(t, selectionGrant, url.Values{"pending_authentication_token": {"x"}, "organization_id": {acme}})
	if status != 400 || out["code"] != "invalid_pending_authentication_token" {
		t.Errorf("choosing with a wrong token = %d %v, want 400 invalid_pending_authentication_token", status, out)
	}
	status, out = c.grant(t, selectionGrant, url.Values{"pending_authentication_token": {pending}, "organization_id": {acme}})
	if status != 200 || out["organization_id"] != acme {
		t.Fatalf("choosing = %d %v, want 200 in %s", status, out, acme)
	}
	for i, step := range []struct{ send, want string }{{"", acme}, {globex, globex}, {"", globex}, {acme, acme}, {"", acme}} {
		if status, out = c.refresh(t, out, step.send); status != 200 || out["organization_id"] != step.want || claimsOf(t, out)["org_id"] != step.want {
			t.Fatalf("refresh %d with %q = %d %v, want 200 in %s", i, step.send, status, out, step.want)
		}
	}
	for id, code := range map[string]string{other: "organization_membership_not_found", "org_unknown": "organization_not_found"} {
		status, refusal := c.refresh(t, out, id)
		if status != 400 || refusal["error"] != code || refusal["error_description"] == "" || len(refusal) != 2 {
			t.Errorf("refresh into %s = %d %v, want 400 %s in shape C", id, status, refusal, code)
		}
	}
	if status, out = c.refresh(t, out, ""); status != 200 || out["organization_id"] != acme {
		t.Errorf("refresh after refusals = %d %v, want the token unspent and the organization kept", status, out)
	}
	sessions := c.ok(t, 200, "GET", "/user_management/users/"+u+"/sessions", nil)["data"].([]any)
	if got := sessions[0].(map[string]any)["organization_id"]; got != acme {
		t.Errorf("organization_id of the session = %v, want %s", got, acme)
	}
}

// R93: whoever is no active member any more gets no further token.
func TestALostMembershipEndsAtTheNextRefresh(t *testing.T) {
	for name, lose := range map[string]func(c *customer, organization, membership string) (code string, back func()){
		"deactivated": func(c *customer, _, membership string) (string, func()) {
			c.ok(t, 200, "PUT", "/user_management/organization_memberships/"+membership+"/deactivate", nil)
			return "organization_membership_not_found", func() {
				c.ok(t, 200, "PUT", "/user_management/organization_memberships/"+membership+"/reactivate", nil)
			}
		},
		"deleted": func(c *customer, _, membership string) (string, func()) {
			c.ok(t, 200, "DELETE", "/user_management/organization_memberships/"+membership, nil)
			return "organization_membership_not_found", nil
		},
		"organization deleted": func(c *customer, organization, _ string) (string, func()) {
			c.ok(t, 200, "DELETE", "/organizations/"+organization, nil)
			return "organization_not_found", nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCustomer(t, start(t))
			u, acme := c.user(t, email), c.organization(t, "Acme")
			om := c.member(t, acme, u, nil)
			_, session := c.password(t, email, nil)
			code, back := lose(c, acme, om)
			if status, out := c.refresh(t, session, ""); status != 400 || out["error"] != code {
				t.Fatalf("refresh = %d %v, want 400 %s", status, out, code)
			}
			if status, out := c.password(t, email, nil); status != 200 || out["organization_id"] != nil {
				t.Errorf("sign-in = %d %v, want 200 without an organization", status, out)
			}
			if back == nil {
				return
			}
			back()
			if status, out := c.refresh(t, session, ""); status != 200 || out["organization_id"] != acme {
				t.Errorf("refresh of the reactivated = %d %v, want 200", status, out)
			}
		})
	}
}

// R94: what changes in roles and permissions shows in the next token.
func TestRolesAndPermissionsShowInTheNextToken(t *testing.T) {
	c := newCustomer(t, start(t))
	u, acme := c.user(t, email), c.organization(t, "Acme")
	om := c.member(t, acme, u, nil)
	own := "/authorization/organizations/" + acme + "/roles"
	for _, p := range []string{"docs:read", "docs:write", "bills:pay"} {
		c.ok(t, 201, "POST", "/authorization/permissions", m{"slug": p, "name": p})
	}
	c.ok(t, 201, "POST", "/authorization/roles", m{"slug": "editor", "name": "Editor"})
	c.ok(t, 201, "POST", own, m{"slug": "org-biller", "name": "Biller"})
	_, session := c.password(t, email, nil)
	list := func(items ...string) []any {
		out := []any{}
		for _, i := range items {
			out = append(out, i)
		}
		return out
	}
	want := func(roles, permissions []any) m {
		return m{"org_id": acme, "role": roles[0], "roles": roles, "permissions": permissions}
	}
	if diff := cmp.Diff(want(list("member"), list()), claimsOf(t, session)); diff != "" {
		t.Errorf("claims at first (-want +got):\n%s", diff)
	}
	membership := "/user_management/organization_memberships/" + om
	for _, step := range []struct {
		name, method, path string
		body               any
		status             int
		want               m
	}{
		{"permission of the default role", "POST", "/authorization/roles/member/permissions", m{"slug": "docs:read"}, 200, want(list("member"), list("docs:read"))},
		{"the same again", "POST", "/authorization/roles/member/permissions", m{"slug": "docs:read"}, 200, want(list("member"), list("docs:read"))},
		{"another role", "PUT", membership, m{"role_slug": "editor"}, 200, want(list("editor"), list())},
		{"its permissions", "PUT", "/authorization/roles/editor/permissions", m{"permissions": []string{"docs:write", "docs:read"}}, 200, want(list("editor"), list("docs:read", "docs:write"))},
		{"several roles", "PUT", membership, m{"role_slugs": []string{"org-biller", "editor"}}, 200, want(list("editor", "org-biller"), list("docs:read", "docs:write"))},
		{"permission of an organization's role", "POST", own + "/org-biller/permissions", m{"slug": "bills:pay"}, 200, want(list("editor", "org-biller"), list("bills:pay", "docs:read", "docs:write"))},
		{"permission taken", "DELETE", own + "/org-biller/permissions/bills:pay", nil, 200, want(list("editor", "org-biller"), list("docs:read", "docs:write"))},
		{"permission deleted", "DELETE", "/authorization/permissions/docs:write", nil, 204, want(list("editor", "org-biller"), list("docs:read"))},
		{"renamed", "PATCH", "/authorization/roles/editor", m{"name": "Writer", "description": nil}, 200, want(list("editor", "org-biller"), list("docs:read"))},
		{"nothing left", "PUT", "/authorization/roles/editor/permissions", m{"permissions": []string{}}, 200, want(list("editor", "org-biller"), list())},
	} {
		c.ok(t, step.status, step.method, step.path, step.body)
		status, next := c.refresh(t, session, "")
		if status != 200 {
			t.Fatalf("%s: refresh = %d %v", step.name, status, next)
		}
		session = next
		if diff := cmp.Diff(step.want, claimsOf(t, session)); diff != "" {
			t.Errorf("claims after %q (-want +got):\n%s", step.name, diff)
		}
	}
	roles := c.ok(t, 200, "GET", own, nil)
	if _, ok := roles["list_metadata"]; ok || len(roles["data"].([]any)) != 3 {
		t.Errorf("roles of the organization = %v, want three and no list_metadata", roles)
	}
}

func TestATemplateSeesTheOrganization(t *testing.T) {
	c := newCustomer(t, start(t))
	u := c.user(t, email)
	acme := c.ok(t, 201, "POST", "/organizations", m{"name": "Acme", "external_id": "42", "metadata": m{"plan": "gold"}})["id"].(string)
	c.member(t, acme, u, nil)
	c.ok(t, 200, "PUT", "/user_management/jwt_template", m{"content": `{"company":"{{ organization.name }}/{{ organization.external_id }}/{{ organization.metadata.plan }}",
		"as": {{ organization_membership.role.slug }}, "org_id": "forged"}`})
	_, out := c.password(t, email, nil)
	claims := decode(t, out["access_token"].(string))
	got := m{"company": claims["company"], "as": claims["as"], "org_id": claims["org_id"]}
	if diff := cmp.Diff(m{"company": "Acme/42/gold", "as": "member", "org_id": acme}, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// browse begins an authorization in a browser and returns what follows the
// sign-in form.
func (c *customer) browse(t testing.TB, b *http.Client, more url.Values) *http.Response {
	t.Helper()
	resp, _ := get(t, b, authorizeURL(c.s.URL(), c.e.ClientID, callback, more))
	to := resp.Header.Get("Location")
	if !strings.HasPrefix(to, "/sign-in?") {
		return resp
	}
	resp, _ = submit(t, b, c.s.URL(), to, "/sign-in", url.Values{"email": {email}, "password": {password}})
	return resp
}

func (c *customer) redeem(t testing.TB, resp *http.Response, more url.Values) (int, m) {
	t.Helper()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("answer = %d to %v, want a code", resp.StatusCode, to)
	}
	form := url.Values{"code": {to.Query().Get("code")}, "code_verifier": {verifier}}
	for k, v := range more {
		form[k] = v
	}
	return c.grant(t, "authorization_code", form)
}

func TestTheOrganizationPage(t *testing.T) {
	c := newCustomer(t, start(t))
	u := c.user(t, email)
	acme, globex, other := c.organization(t, "Acme"), c.organization(t, "Globex"), c.organization(t, "Other")
	om := c.member(t, acme, u, nil)
	c.member(t, globex, u, nil)
	b := browser(t)
	page := c.browse(t, b, nil).Header.Get("Location")
	if !strings.HasPrefix(page, "/organization-selection?") {
		t.Fatalf("after sign-in = %q, want the choice", page)
	}
	_, html := get(t, b, c.s.URL()+page)
	for _, text := range []string{"organization-selection", "Acme", "Globex", acme, globex} {
		if !strings.Contains(html, text) {
			t.Errorf("the page does not show %q", text)
		}
	}
	if strings.Contains(html, "Other") {
		t.Error("the page shows an organization of others")
	}
	resp, html := submit(t, b, c.s.URL(), page, "/organization-selection", url.Values{"organization_id": {other}})
	if resp.StatusCode != 422 || !strings.Contains(html, "not a member") {
		t.Errorf("choosing a foreign one = %d, want 422 with the reason", resp.StatusCode)
	}
	resp, _ = submit(t, b, c.s.URL(), page, "/organization-selection", url.Values{"organization_id": {globex}})
	if status, out := c.redeem(t, resp, nil); status != 200 || out["organization_id"] != globex {
		t.Errorf("exchange = %d %v, want 200 in %s", status, out, globex)
	}
	if status, out := c.redeem(t, c.browse(t, browser(t), url.Values{"organization_id": {acme}}), nil); status != 200 || out["organization_id"] != acme {
		t.Errorf("exchange after authorize with an organization = %d %v, want 200 in %s", status, out, acme)
	}
	for id, code := range map[string]string{other: "access_denied", "org_unknown": "organization_invalid"} {
		to, err := url.Parse(c.browse(t, browser(t), url.Values{"organization_id": {id}}).Header.Get("Location"))
		if err != nil || to.Query().Get("error") != code {
			t.Errorf("authorize into %s = %v, %v; want error=%s", id, to, err, code)
		}
	}
	// A code for an organization that its user was taken from meanwhile.
	resp = c.browse(t, browser(t), url.Values{"organization_id": {acme}})
	c.ok(t, 200, "PUT", "/user_management/organization_memberships/"+om+"/deactivate", nil)
	if status, out := c.redeem(t, resp, nil); status != 400 || out["error"] != "organization_membership_not_found" {
		t.Errorf("exchange after the deactivation = %d %v, want 400 organization_membership_not_found", status, out)
	}
}

func ids(list m) string {
	var out []string
	for _, item := range list["data"].([]any) {
		out = append(out, fmt.Sprint(item.(map[string]any)["id"]))
	}
	return strings.Join(out, " ")
}

func TestListsOfOrganizationsAndMembers(t *testing.T) {
	c := newCustomer(t, start(t))
	a, b := c.user(t, "a@example.com"), c.user(t, "b@example.com")
	acme := c.ok(t, 201, "POST", "/organizations", m{"name": "Acme", "domain_data": []any{m{"domain": "Acme.example", "state": "verified"}, m{"domain": "acme.test", "state": "pending"}}})
	domains := acme["domains"].([]any)
	if d := domains[0].(map[string]any); d["domain"] != "acme.example" || d["state"] != "verified" || d["verification_strategy"] != "manual" || len(domains) != 2 {
		t.Errorf("domains = %v, want two, the first verified by hand", domains)
	}
	globex := c.ok(t, 201, "POST", "/organizations", m{"name": "Globex", "external_id": "ext/1", "domains": []string{"globex.example"}})["id"].(string)
	first := acme["id"].(string)
	am, bm := c.member(t, first, a, nil), c.member(t, first, b, nil)
	cm := c.member(t, globex, a, nil)
	c.ok(t, 200, "PUT", "/user_management/organization_memberships/"+bm+"/deactivate", nil)
	for path, want := range map[string]string{
		"/organizations":                                                                            globex + " " + first,
		"/organizations?order=asc&limit=1":                                                          first,
		"/organizations?domains=acme.test":                                                          first,
		"/organizations?domains[]=acme.test&domains[]=x.y":                                          first,
		"/organizations?domains=globex.example,acme.example":                                        globex + " " + first,
		"/organizations?domains=other.example":                                                      "",
		"/organizations?search=GLOB":                                                                globex,
		"/user_management/organization_memberships?organization_id=" + first:                        am,
		"/user_management/organization_memberships?organization_id=" + first + "&statuses=inactive": bm,
		"/user_management/organization_memberships?organization_id=" + first + "&statuses[]=inactive&statuses[]=active&order=asc": am + " " + bm,
		"/user_management/organization_memberships?user_id=" + a:                                                                  cm + " " + am,
		"/user_management/organization_memberships?user_id=" + a + "&organization_id=" + globex:                                   cm,
		"/user_management/users?organization_id=" + first:                                                                         a,
		"/user_management/users?organization_id=" + globex + "&email=A@example.com":                                               a,
		"/user_management/users?organization_id=org_unknown":                                                                      "",
	} {
		if got := ids(c.ok(t, 200, "GET", path, nil)); got != want {
			t.Errorf("GET %s = %q, want %q", path, got, want)
		}
	}
	if got := c.ok(t, 200, "GET", "/organizations/external_id/ext%2F1", nil)["id"]; got != globex {
		t.Errorf("by external id = %v, want %s", got, globex)
	}
	changed := c.ok(t, 200, "PUT", "/organizations/"+globex, m{"external_id": nil, "metadata": m{"x": "1"}, "domain_data": []any{m{"domain": "new.example", "state": "pending"}, m{"domain": "globex.example", "state": "pending"}}})
	if changed["external_id"] != nil || changed["name"] != "Globex" || len(changed["domains"].([]any)) != 2 {
		t.Errorf("changed organization = %v, want the name kept, no external id and two domains", changed)
	}
	got := c.ok(t, 200, "GET", "/user_management/organization_memberships/"+am, nil)
	delete(got["user"].(map[string]any), "last_sign_in_at")
	for key, want := range map[string]any{"object": "organization_membership", "status": "active", "organization_name": "Acme", "role": m{"slug": "member"}, "directory_managed": false} {
		if diff := cmp.Diff(want, got[key]); diff != "" {
			t.Errorf("%s of a membership (-want +got):\n%s", key, diff)
		}
	}
	if user := got["user"].(map[string]any); user["id"] != a || user["email"] != "a@example.com" {
		t.Errorf("user of a membership = %v, want the whole object", user)
	}
}
