package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/server"
)

const invitationsPath = "/user_management/invitations"

func (c *customer) invite(t testing.TB, body m) m {
	t.Helper()
	return c.ok(t, 201, "POST", invitationsPath, body)
}

func (c *customer) refused(t testing.TB, status int, code, method, path string, body any) {
	t.Helper()
	got, out := c.try(t, method, path, body)
	if message, _ := out["message"].(string); got != status || code != "" && out["code"] != code || code == "" && len(out) != 1 || message == "" {
		t.Errorf("%s %s = %d %v, want %d with the code %q", method, path, got, out, status, code)
	}
}

// R95: an invitation joins its organization after the sign-in it came with.
func TestAnInvitationWinsOverTheChoice(t *testing.T) {
	c := newCustomer(t, start(t))
	u := c.user(t, email)
	acme, globex, third := c.organization(t, "Acme"), c.organization(t, "Globex"), c.organization(t, "Third")
	c.member(t, acme, u, nil)
	c.member(t, globex, u, nil)
	c.ok(t, 201, "POST", "/authorization/roles", m{"slug": "admin", "name": "Admin"})
	i := c.invite(t, m{"email": "A@Example.com", "organization_id": third, "role_slug": "admin", "inviter_user_id": u})
	token := i["token"].(string)
	for key, want := range map[string]any{"object": "invitation", "state": "pending", "accepted_at": nil, "revoked_at": nil, "accepted_user_id": nil,
		"organization_id": third, "inviter_user_id": u, "role_slug": "admin"} {
		if i[key] != want {
			t.Errorf("%s of a new invitation = %v, want %v", key, i[key], want)
		}
	}
	_, link := lastMail(t, c.e, email)
	if link != i["accept_invitation_url"] || !strings.Contains(link, token) {
		t.Errorf("link of the mail = %q, want accept_invitation_url %v", link, i["accept_invitation_url"])
	}
	pending := c.ok(t, 200, "GET", "/user_management/organization_memberships?statuses=pending&user_id="+u, nil)["data"].([]any)
	if len(pending) != 1 || pending[0].(map[string]any)["organization_id"] != third {
		t.Fatalf("pending memberships = %v, want one in %s", pending, third)
	}
	om := pending[0].(map[string]any)["id"].(string)
	c.refused(t, 400, "cannot_deactivate_pending_organization_membership", "PUT", "/user_management/organization_memberships/"+om+"/deactivate", nil)
	c.refused(t, 400, "cannot_reactivate_pending_organization_membership", "PUT", "/user_management/organization_memberships/"+om+"/reactivate", nil)
	c.refused(t, 400, "cannot_reactivate_pending_organization_membership", "POST", "/user_management/organization_memberships", m{"user_id": u, "organization_id": third})
	c.refused(t, 400, "email_already_invited_to_organization", "POST", invitationsPath, m{"email": email, "organization_id": third})
	c.refused(t, 400, "user_already_organization_member", "POST", invitationsPath, m{"email": email, "organization_id": acme})

	if status, out := c.password(t, email, url.Values{"invitation_token": {"wrong"}}); status != 400 || out["error"] != "invitation_invalid" {
		t.Errorf("sign-in with a wrong token = %d %v, want 400 invitation_invalid", status, out)
	}
	c.user(t, "b@example.com")
	if status, out := c.password(t, "b@example.com", url.Values{"invitation_token": {token}}); status != 400 || out["error"] != "invitation_cannot_be_used_for_email" {
		t.Errorf("sign-in of another with the token = %d %v, want 400 invitation_cannot_be_used_for_email", status, out)
	}
	status, out := c.password(t, email, url.Values{"invitation_token": {token}})
	if status != 200 || out["organization_id"] != third || claimsOf(t, out)["role"] != "admin" {
		t.Fatalf("sign-in with the token = %d %v, want 200 in %s as admin", status, out, third)
	}
	got := c.ok(t, 200, "GET", invitationsPath+"/by_token/"+token, nil)
	if got["state"] != "accepted" || got["accepted_user_id"] != u || got["accepted_at"] == nil {
		t.Errorf("invitation = %v, want it accepted", got)
	}
	if status, out = c.password(t, email, url.Values{"invitation_token": {token}}); status != 200 || out["organization_id"] != third {
		t.Errorf("the same sign-in again = %d %v, want the same", status, out)
	}
	id := i["id"].(string)
	c.refused(t, 400, "invite_has_accepted_user_id", "POST", invitationsPath+"/"+id+"/accept", nil)
	c.refused(t, 400, "invite_not_pending", "POST", invitationsPath+"/"+id+"/revoke", nil)
	c.refused(t, 400, "invite_accepted", "POST", invitationsPath+"/"+id+"/resend", m{})
}

func TestAnInvitationWithACodeAndThroughThePages(t *testing.T) {
	c := newCustomer(t, start(t))
	u := c.user(t, email)
	acme, globex := c.organization(t, "Acme"), c.organization(t, "Globex")
	c.member(t, acme, u, nil)
	i := c.invite(t, m{"email": email, "organization_id": globex})
	code := c.browse(t, browser(t), nil)
	if status, out := c.redeem(t, code, url.Values{"invitation_token": {"wrong"}}); status != 400 || out["error"] != "invitation_invalid" {
		t.Errorf("exchange with a wrong token = %d %v, want 400 invitation_invalid", status, out)
	}
	status, out := c.redeem(t, code, url.Values{"invitation_token": {i["token"].(string)}})
	if status != 200 || out["organization_id"] != globex {
		t.Fatalf("exchange = %d %v, want the code unspent by the refusal, and 200 in %s", status, out, globex)
	}

	// A new person follows the link of the mail.
	third := c.organization(t, "Third")
	c.invite(t, m{"email": "new@example.com", "organization_id": third})
	_, link := lastMail(t, c.e, "new@example.com")
	b := browser(t)
	resp, _ := get(t, b, link)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("GET /invite = %d, want 303", resp.StatusCode)
	}
	resp, _ = get(t, b, c.s.URL()+resp.Header.Get("Location"))
	page := resp.Header.Get("Location")
	if !strings.HasPrefix(page, "/sign-up?") {
		t.Fatalf("authorize for somebody new = %q, want the sign-up", page)
	}
	resp, _ = submit(t, b, c.s.URL(), page, "/sign-up", url.Values{"email": {"new@example.com"}, "password": {password}})
	otp, _ := lastMail(t, c.e, "new@example.com")
	resp, html := submit(t, b, c.s.URL(), resp.Header.Get("Location"), "/email-verification", url.Values{"code": {otp}})
	if !strings.HasPrefix(resp.Header.Get("Location"), callback) {
		t.Fatalf("after the code = %d to %q:\n%s", resp.StatusCode, resp.Header.Get("Location"), html)
	}
	if status, out := c.redeem(t, resp, url.Values{"code_verifier": nil}); status != 200 || out["organization_id"] != third {
		t.Errorf("exchange = %d %v, want 200 in %s", status, out, third)
	}
	resp, html = get(t, browser(t), c.s.URL()+"/invite?client_id="+c.e.ClientID+"&invitation_token=wrong")
	if resp.StatusCode != 404 || !strings.Contains(html, "invitation") {
		t.Errorf("GET /invite with a wrong token = %d, want 404 with the reason", resp.StatusCode)
	}
	to, err := url.Parse(c.browse(t, browser(t), url.Values{"invitation_token": {"wrong"}}).Header.Get("Location"))
	if err != nil || to.Query().Get("error") != "access_denied" {
		t.Errorf("authorize with a wrong token = %v, %v; want error=access_denied", to, err)
	}
}

func TestInvitationsExpireAndAreRevoked(t *testing.T) {
	clock := &clock{}
	c := newCustomer(t, startWith(t, server.Config{Now: clock.now}))
	acme := c.organization(t, "Acme")
	u := c.user(t, email)
	i := c.invite(t, m{"email": email, "organization_id": acme, "expires_in_days": 1})
	id, token := i["id"].(string), i["token"].(string)
	clock.advance(23 * time.Hour)
	again := c.ok(t, 200, "POST", invitationsPath+"/"+id+"/resend", m{})
	if again["token"] != token || again["expires_at"] == i["expires_at"] || again["state"] != "pending" {
		t.Errorf("resent invitation = %v, want the same token and a later end", again)
	}
	if list, err := c.e.Messages(t.Context(), email, time.Time{}, 10); err != nil || len(list) != 2 {
		t.Errorf("mails = %d, %v; want 2", len(list), err)
	}
	clock.advance(25 * time.Hour)
	if got := c.ok(t, 200, "GET", invitationsPath+"/"+id, nil); got["state"] != "expired" {
		t.Errorf("state after its end = %v, want expired", got["state"])
	}
	c.refused(t, 400, "invite_not_pending", "POST", invitationsPath+"/"+id+"/accept", nil)
	c.refused(t, 400, "invite_not_pending", "POST", invitationsPath+"/"+id+"/revoke", nil)
	c.refused(t, 400, "invite_expired", "POST", invitationsPath+"/"+id+"/resend", nil)
	if status, out := c.password(t, email, url.Values{"invitation_token": {token}}); status != 400 || out["error"] != "invitation_invalid" {
		t.Errorf("sign-in with an expired one = %d %v, want 400 invitation_invalid", status, out)
	}

	next := c.invite(t, m{"email": email, "organization_id": acme}) // the expired one is no obstacle
	id, token = next["id"].(string), next["token"].(string)
	if got := c.ok(t, 200, "POST", invitationsPath+"/"+id+"/revoke", nil); got["state"] != "revoked" || got["revoked_at"] == nil {
		t.Errorf("revoked invitation = %v", got)
	}
	c.refused(t, 400, "invite_revoked", "POST", invitationsPath+"/"+id+"/resend", nil)
	c.refused(t, 400, "invite_not_pending", "POST", invitationsPath+"/"+id+"/accept", nil)
	if got := ids(c.ok(t, 200, "GET", "/user_management/organization_memberships?statuses=pending,active&user_id="+u, nil)); got != "" {
		t.Errorf("memberships after the revocation = %q, want none", got)
	}
	if status, out := c.password(t, email, url.Values{"invitation_token": {token}}); status != 400 || out["error"] != "invitation_invalid" {
		t.Errorf("sign-in with a revoked one = %d %v, want 400 invitation_invalid", status, out)
	}

	last := c.invite(t, m{"email": email, "organization_id": acme, "expires_in_days": 30})
	if got := c.ok(t, 200, "POST", invitationsPath+"/"+last["id"].(string)+"/accept", nil); got["state"] != "accepted" || got["accepted_user_id"] != u {
		t.Errorf("accepted invitation = %v", got)
	}
	if status, out := c.password(t, email, nil); status != 200 || out["organization_id"] != acme {
		t.Errorf("sign-in afterwards = %d %v, want 200 in %s", status, out, acme)
	}
	stranger := c.invite(t, m{"email": "nobody@example.com"})
	c.refused(t, 400, "invalid_invite", "POST", invitationsPath+"/"+stranger["id"].(string)+"/accept", nil)
	c.refused(t, 400, "email_already_invited", "POST", invitationsPath, m{"email": "Nobody@example.com"})
	if got, want := ids(c.ok(t, 200, "GET", invitationsPath+"?email=NOBODY@example.com", nil)), stranger["id"]; got != want {
		t.Errorf("invitations of an address = %q, want %v", got, want)
	}
	if got := ids(c.ok(t, 200, "GET", invitationsPath+"?organization_id="+acme+"&order=asc&limit=2", nil)); got != i["id"].(string)+" "+id {
		t.Errorf("invitations of an organization = %q, want the first two", got)
	}
}

// Every refusal of the contract, section 6.1, that needs no story.
func TestOrganizationErrorBodies(t *testing.T) {
	c := newCustomer(t, start(t))
	u := c.user(t, email)
	taken := c.ok(t, 201, "POST", "/organizations", m{"name": "Acme", "external_id": "x", "domains": []string{"acme.example"}})
	acme, verified := taken["id"].(string), taken["domains"].([]any)[0].(map[string]any)["id"].(string)
	om := c.member(t, acme, u, nil)
	own := "/authorization/organizations/" + acme + "/roles"
	c.ok(t, 201, "POST", own, m{"slug": "org-used", "name": "Used"})
	c.ok(t, 200, "PUT", "/user_management/organization_memberships/"+om, m{"role_slug": "org-used"})
	if slug := c.ok(t, 201, "POST", own, m{"name": "Billing & Ops"})["slug"].(string); !strings.HasPrefix(slug, "org-billing-ops-") {
		t.Errorf("made slug = %q, want it to begin with org-billing-ops-", slug)
	}
	c.ok(t, 201, "POST", "/authorization/permissions", m{"slug": "p", "name": "P"})
	const orgs, domains, members = "/organizations", "/organization_domains", "/user_management/organization_memberships"
	long := strings.Repeat("x", 151)
	for _, try := range []struct {
		status             int
		code, method, path string
		body               any
	}{
		{422, "", "POST", orgs, m{}},
		{422, "", "POST", orgs, m{"name": " "}},
		{422, "", "POST", orgs, m{"name": "B", "external_id": long}},
		{422, "", "POST", orgs, m{"name": "B", "domains": []string{"no domain"}}},
		{422, "", "POST", orgs, m{"name": "B", "domain_data": []any{m{"domain": "b.example", "state": "odd"}}}},
		{409, "", "POST", orgs, m{"name": "B", "domains": []string{"ACME.example"}}},
		{400, "external_id_already_used", "POST", orgs, m{"name": "B", "external_id": "x"}},
		{400, "invalid_metadata", "POST", orgs, m{"name": "B", "metadata": m{"": "x"}}},
		{422, "", "GET", orgs + "?limit=101", nil},
		{404, "", "GET", orgs + "/org_unknown", nil},
		{404, "", "GET", orgs + "/external_id/unknown", nil},
		{404, "", "GET", orgs + "/id/x", nil},
		{404, "", "PUT", orgs + "/org_unknown", m{"name": "B"}},
		{404, "", "DELETE", orgs + "/org_unknown", nil},
		{422, "", "PUT", orgs + "/" + acme, m{"name": ""}},
		{409, "domain_already_exists", "POST", domains, m{"domain": "acme.example", "organization_id": acme}},
		{404, "", "POST", domains, m{"domain": "b.example", "organization_id": "org_unknown"}},
		{404, "", "GET", domains + "/org_domain_x", nil},
		{404, "", "DELETE", domains + "/org_domain_x", nil},
		{400, "domain_already_verified", "POST", domains + "/" + verified + "/verify", nil},
		{400, "missing_user_id_or_organization_id", "GET", members, nil},
		{400, "invalid_request_parameters", "GET", members + "?user_id=" + u + "&limit=0", nil},
		{400, "invalid_request_parameters", "GET", members + "?user_id=" + u + "&statuses=odd", nil},
		{422, "invalid_request_parameters", "POST", members, m{"user_id": u}},
		{404, "", "POST", members, m{"user_id": u, "organization_id": "org_unknown"}},
		{404, "", "POST", members, m{"user_id": "user_x", "organization_id": acme}},
		{422, "invalid_role", "POST", members, m{"user_id": c.user(t, "b@example.com"), "organization_id": acme, "role_slug": "odd"}},
		{400, "user_already_organization_member", "POST", members, m{"user_id": u, "organization_id": acme}},
		{422, "invalid_role", "PUT", members + "/" + om, m{"role_slug": "odd"}},
		{422, "invalid_request_parameters", "PUT", members + "/" + om, m{"role_slugs": []string{}}},
		{422, "invalid_request_parameters", "PUT", members + "/" + om, m{"role_slug": "member", "role_slugs": []string{"member"}}},
		{404, "", "GET", members + "/om_x", nil},
		{404, "", "PUT", members + "/om_x", m{"role_slug": "member"}},
		{404, "", "DELETE", members + "/om_x", nil},
		{404, "", "PUT", members + "/om_x/deactivate", nil},
		{404, "", "PUT", members + "/om_x/reactivate", nil},
		{422, "invalid_request_parameters", "POST", invitationsPath, m{"email": "no address"}},
		{400, "user_already_exists", "POST", invitationsPath, m{"email": email}},
		{400, "expires_in_days_too_short", "POST", invitationsPath, m{"email": "c@example.com", "expires_in_days": 0}},
		{400, "expires_in_days_too_long", "POST", invitationsPath, m{"email": "c@example.com", "expires_in_days": 31}},
		{400, "invalid_role", "POST", invitationsPath, m{"email": "c@example.com", "organization_id": acme, "role_slug": "odd"}},
		{404, "", "POST", invitationsPath, m{"email": "c@example.com", "organization_id": "org_unknown"}},
		{404, "", "POST", invitationsPath, m{"email": "c@example.com", "inviter_user_id": "user_x"}},
		{404, "", "GET", invitationsPath + "/invitation_x", nil},
		{404, "", "GET", invitationsPath + "/by_token/x", nil},
		{404, "", "POST", invitationsPath + "/invitation_x/accept", nil},
		{404, "", "POST", invitationsPath + "/invitation_x/revoke", nil},
		{404, "", "POST", invitationsPath + "/invitation_x/resend", nil},
		{422, "invalid_request_parameters", "GET", invitationsPath + "?order=odd", nil},
		{400, "bad_request", "POST", "/authorization/roles", m{"slug": "Upper", "name": "X"}},
		{400, "bad_request", "POST", "/authorization/roles", m{"slug": "org-x", "name": "X"}},
		{400, "bad_request", "POST", "/authorization/roles", m{"slug": "x", "name": "X", "resource_type_slug": "No Type"}},
		{409, "role_slug_conflict", "POST", "/authorization/roles", m{"slug": "member", "name": "X"}},
		{422, "", "POST", "/authorization/roles", m{"slug": "x"}},
		{422, "", "POST", "/authorization/roles", m{"slug": "x", "name": "X", "description": long}},
		{404, "", "GET", "/authorization/roles/org-used", nil},
		{404, "", "PATCH", "/authorization/roles/odd", m{"name": "X"}},
		{422, "", "PATCH", "/authorization/roles/member", m{"name": long}},
		{404, "", "PUT", "/authorization/roles/member/permissions", m{"permissions": []string{"odd"}}},
		{422, "", "PUT", "/authorization/roles/member/permissions", m{}},
		{404, "", "POST", "/authorization/roles/member/permissions", m{"slug": "odd"}},
		{422, "", "POST", "/authorization/roles/member/permissions", m{}},
		{400, "bad_request", "POST", own, m{"slug": "admin", "name": "X"}},
		{409, "organization_role_slug_conflict", "POST", own, m{"slug": "org-used", "name": "X"}},
		{404, "", "POST", "/authorization/organizations/org_unknown/roles", m{"name": "X"}},
		{404, "", "GET", "/authorization/organizations/org_unknown/roles", nil},
		{403, "", "PATCH", own + "/member", m{"name": "X"}},
		{403, "", "DELETE", own + "/member", nil},
		{409, "role_has_assignments", "DELETE", own + "/org-used", nil},
		{404, "", "DELETE", own + "/org-odd", nil},
		{404, "", "DELETE", own + "/org-used/permissions/p", nil},
		{400, "bad_request", "POST", "/authorization/permissions", m{"slug": "Ä", "name": "X"}},
		{409, "permission_slug_conflict", "POST", "/authorization/permissions", m{"slug": "p", "name": "X"}},
		{422, "", "POST", "/authorization/permissions", m{"slug": "q"}},
		{404, "", "GET", "/authorization/permissions/odd", nil},
		{404, "", "PATCH", "/authorization/permissions/odd", m{"name": "X"}},
		{404, "", "DELETE", "/authorization/permissions/odd", nil},
	} {
		c.refused(t, try.status, try.code, try.method, try.path, try.body)
	}
	for _, path := range []string{"GET /organizations", "POST /organization_domains", "GET " + members, "GET " + invitationsPath, "GET /authorization/roles", "POST " + own} {
		method, path, _ := strings.Cut(path, " ")
		if status, out := (&customer{s: c.s, key: "sk_test_wrong"}).try(t, method, path, nil); status != 401 || out["message"] != "Unauthorized" || len(out) != 1 {
			t.Errorf("%s %s with a wrong key = %d %v, want 401 Unauthorized", method, path, status, out)
		}
	}
	status, out := c.grant(t, selectionGrant, nil)
	if status != 400 || out["error"] != "invalid_request" {
		t.Errorf("selection grant without members = %d %v, want 400 invalid_request", status, out)
	}
}
