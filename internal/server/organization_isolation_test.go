package server_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// circle is what a tenant has around organizations. Its member is a user of
// its own, so that the tenant's sessions stay without an organization.
type circle struct {
	organization identity.Organization
	member       identity.User
	membership   identity.Membership
	role         identity.Role
	permission   identity.Permission
	invitation   identity.Invitation
	endpoint     identity.Endpoint
}

func newCircle(t testing.TB, e *store.Env, mark string) circle {
	t.Helper()
	ctx := t.Context()
	var c circle
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	c.organization, err = e.CreateOrganization(ctx, identity.Organization{Name: mark, ExternalID: mark,
		Domains: []identity.OrganizationDomain{{Domain: strings.ToLower(mark) + ".test", State: identity.DomainPending}}})
	must(err)
	c.member, err = e.CreateUser(ctx, identity.User{Email: "member-" + mark + "@users.example", EmailVerified: true})
	must(err)
	c.membership, err = e.CreateMembership(ctx, c.organization.ID, c.member.ID, nil)
	must(err)
	c.permission, err = e.CreatePermission(ctx, identity.Permission{Slug: strings.ToLower(mark), Name: mark})
	must(err)
	c.role, err = e.CreateRole(ctx, identity.Role{OrganizationID: c.organization.ID, Slug: "org-" + strings.ToLower(mark), Name: mark})
	must(err)
	c.role, err = e.AddRolePermission(ctx, c.organization.ID, c.role.Slug, c.permission.Slug)
	must(err)
	c.invitation, err = e.CreateInvitation(ctx, identity.Invitation{Email: "invited-" + mark + "@users.example", OrganizationID: c.organization.ID, Days: 7, Token: "invite" + mark})
	must(err)
	c.endpoint, err = e.CreateEndpoint(ctx, identity.Endpoint{URL: "http://127.0.0.1:1/" + mark, Events: []string{"session.created"}})
	must(err)
	return c
}

// state is all that is kept of a circle.
func (c circle) state(t testing.TB, e *store.Env) []any {
	t.Helper()
	ctx, all := t.Context(), store.Page{Limit: 100}
	var out []any
	keep := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	organizations, _, _, err := e.Organizations(ctx, store.OrganizationFilter{}, all)
	keep(organizations, err)
	memberships, _, _, err := e.Memberships(ctx, store.MembershipFilter{}, all)
	keep(memberships, err)
	permissions, _, _, err := e.Permissions(ctx, all)
	keep(permissions, err)
	invitations, _, _, err := e.Invitations(ctx, "", "", all)
	keep(invitations, err)
	roles, err := e.Roles(ctx, c.organization.ID)
	keep(roles, err)
	endpoint, err := e.Endpoint(ctx, c.endpoint.ID)
	keep(endpoint, err)
	return out
}

func init() { maps.Copy(rows, organizationRows) }

func under(path func(circle) string, suffix string) func(*tenant) string {
	return func(b *tenant) string { return path(b.circle) + suffix }
}

func send(body func(c circle) m) func(a, b *tenant) []any {
	return bodies(func(b *tenant) []any { return []any{body(b.circle)} })
}

func organizationPath(c circle) string { return "/organizations/" + c.organization.ID }
func domainPath(c circle) string       { return "/organization_domains/" + c.organization.Domains[0].ID }
func membershipPath(c circle) string {
	return "/user_management/organization_memberships/" + c.membership.ID
}
func invitationPath(c circle) string { return "/user_management/invitations/" + c.invitation.ID }
func rolesPath(c circle) string {
	return "/authorization/organizations/" + c.organization.ID + "/roles"
}
func rolePath(c circle) string       { return rolesPath(c) + "/" + c.role.Slug }
func permissionPath(c circle) string { return "/authorization/permissions/" + c.permission.Slug }

var named = send(func(circle) m { return m{"name": "Mallory"} })

// organizationRows are the rows of organizations and what belongs to them.
var organizationRows = map[string]row{
	"POST /organizations": {path: fixed("/organizations"), own: apiKey, accepts: true, bodies: bodies(func(b *tenant) []any {
		return []any{m{"name": "Mine", "environment_id": b.env.ID, "id": b.circle.organization.ID}}
	})},
	"GET /organizations": {path: func(b *tenant) string {
		return "/organizations?domains=" + b.circle.organization.Domains[0].Domain
	}, own: apiKey, accepts: true},
	"GET /organizations/{id}":                {path: under(organizationPath, ""), own: apiKey},
	"GET /organizations/{by}/{external_id}":  {path: func(b *tenant) string { return "/organizations/external_id/" + b.circle.organization.ExternalID }, own: apiKey},
	"PUT /organizations/{id}":                {path: under(organizationPath, ""), own: apiKey, bodies: named},
	"DELETE /organizations/{id}":             {path: under(organizationPath, ""), own: apiKey},
	"GET /organization_domains/{id}":         {path: under(domainPath, ""), own: apiKey},
	"DELETE /organization_domains/{id}":      {path: under(domainPath, ""), own: apiKey},
	"POST /organization_domains/{id}/verify": {path: under(domainPath, "/verify")}, // its own answer asks the network
	"POST /organization_domains": {path: fixed("/organization_domains"), own: apiKey, bodies: send(func(c circle) m {
		return m{"domain": "d" + identity.NewULID() + ".example", "organization_id": c.organization.ID}
	})},

	"POST /user_management/organization_memberships": {path: fixed("/user_management/organization_memberships"), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"user_id": b.user.ID, "organization_id": b.circle.organization.ID}, m{"user_id": a.user.ID, "organization_id": b.circle.organization.ID},
			m{"user_id": b.user.ID, "organization_id": a.circle.organization.ID}}
	}},
	"GET /user_management/organization_memberships": {path: func(b *tenant) string {
		return "/user_management/organization_memberships?organization_id=" + b.circle.organization.ID
	}, own: apiKey, accepts: true},
	"GET /user_management/organization_memberships/{id}":            {path: under(membershipPath, ""), own: apiKey},
	"PUT /user_management/organization_memberships/{id}":            {path: under(membershipPath, ""), own: apiKey, bodies: send(func(c circle) m { return m{"role_slug": c.role.Slug} })},
	"DELETE /user_management/organization_memberships/{id}":         {path: under(membershipPath, ""), own: apiKey},
	"PUT /user_management/organization_memberships/{id}/deactivate": {path: under(membershipPath, "/deactivate"), own: apiKey},
	"PUT /user_management/organization_memberships/{id}/reactivate": {path: under(membershipPath, "/reactivate"), own: apiKey},

	"POST /user_management/invitations": {path: fixed("/user_management/invitations"), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"email": "x" + identity.NewULID() + "@example.com", "organization_id": b.circle.organization.ID},
			m{"email": "x@example.com", "organization_id": a.circle.organization.ID, "role_slug": b.circle.role.Slug}, m{"email": "y@example.com", "inviter_user_id": b.user.ID}}
	}},
	"GET /user_management/invitations": {path: func(b *tenant) string {
		return "/user_management/invitations?email=" + b.circle.invitation.Email
	}, own: apiKey, accepts: true},
	"GET /user_management/invitations/{id}":             {path: under(invitationPath, ""), own: apiKey},
	"GET /user_management/invitations/by_token/{token}": {path: func(b *tenant) string { return "/user_management/invitations/by_token/" + b.circle.invitation.Token }, own: apiKey},
	"POST /user_management/invitations/{id}/accept":     {path: under(invitationPath, "/accept")}, // nobody has the address yet
	"POST /user_management/invitations/{id}/revoke":     {path: under(invitationPath, "/revoke"), own: apiKey},
	"POST /user_management/invitations/{id}/resend":     {path: under(invitationPath, "/resend"), own: apiKey},

	"POST /authorization/roles": {path: fixed("/authorization/roles"), own: apiKey, accepts: true,
		bodies: bodies(func(b *tenant) []any {
			return []any{m{"slug": "mine", "name": "Mine", "organization_id": b.circle.organization.ID}}
		})},
	"GET /authorization/roles":          {path: fixed("/authorization/roles"), own: apiKey, accepts: true},
	"GET /authorization/roles/{slug}":   {path: fixed("/authorization/roles/member"), own: apiKey, accepts: true},
	"PATCH /authorization/roles/{slug}": {path: fixed("/authorization/roles/member"), own: apiKey, accepts: true, bodies: named},
	"PUT /authorization/roles/{slug}/permissions": {path: fixed("/authorization/roles/member/permissions"), own: apiKey,
		bodies: send(func(c circle) m { return m{"permissions": []string{c.permission.Slug}} })},
	"POST /authorization/roles/{slug}/permissions": {path: fixed("/authorization/roles/member/permissions"), own: apiKey,
		bodies: send(func(c circle) m { return m{"slug": c.permission.Slug} })},

	"POST /authorization/organizations/{organization}/roles":          {path: under(rolesPath, ""), own: apiKey, bodies: named},
	"GET /authorization/organizations/{organization}/roles":           {path: under(rolesPath, ""), own: apiKey},
	"GET /authorization/organizations/{organization}/roles/{slug}":    {path: under(rolePath, ""), own: apiKey},
	"PATCH /authorization/organizations/{organization}/roles/{slug}":  {path: under(rolePath, ""), own: apiKey, bodies: named},
	"DELETE /authorization/organizations/{organization}/roles/{slug}": {path: under(rolePath, ""), own: apiKey},
	"PUT /authorization/organizations/{organization}/roles/{slug}/permissions": {path: under(rolePath, "/permissions"), own: apiKey,
		bodies: send(func(circle) m { return m{"permissions": []string{}} })},
	"POST /authorization/organizations/{organization}/roles/{slug}/permissions": {path: under(rolePath, "/permissions"), own: apiKey,
		bodies: send(func(c circle) m { return m{"slug": c.permission.Slug} })},
	"DELETE /authorization/organizations/{organization}/roles/{slug}/permissions/{permission}": {path: func(b *tenant) string {
		return rolePath(b.circle) + "/permissions/" + b.circle.permission.Slug
	}, own: apiKey},

	"POST /authorization/permissions": {path: fixed("/authorization/permissions"), own: apiKey, accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"slug": "mine", "name": "Mine", "environment_id": b.env.ID}} })},
	"GET /authorization/permissions":           {path: func(b *tenant) string { return "/authorization/permissions?before=" + b.circle.permission.ID }, own: apiKey, accepts: true},
	"GET /authorization/permissions/{slug}":    {path: under(permissionPath, ""), own: apiKey},
	"PATCH /authorization/permissions/{slug}":  {path: under(permissionPath, ""), own: apiKey, bodies: named},
	"DELETE /authorization/permissions/{slug}": {path: under(permissionPath, ""), own: apiKey},

	"GET /organization-selection":  {path: fixed("/organization-selection?flow=x")},
	"POST /organization-selection": {path: fixed("/organization-selection")},
	// The link of an invitation leads on with nothing but what it holds itself.
	"GET /invite": {path: func(b *tenant) string { return "/invite?client_id=" + b.env.ClientID + "&invitation_token=wrong" }},
}
