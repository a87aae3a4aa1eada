package server_test

import (
	"maps"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// belongings are what a tenant has of keys, flags and credentials.
type belongings struct {
	key        identity.OwnedKey
	value      string // of the key
	flag       identity.Flag
	credential string // id
}

func newBelongings(t testing.TB, v *tenant) belongings {
	t.Helper()
	var b belongings
	k, value, err := v.env.CreateOwnedKey(t.Context(), identity.OwnedKey{OrganizationID: v.circle.organization.ID, UserID: v.circle.member.ID, Name: v.mark, Permissions: []string{v.circle.permission.Slug}})
	if err != nil {
		t.Fatal(err)
	}
	b.key, b.value = k, value.Reveal()
	if b.flag, err = v.env.CreateFlag(t.Context(), identity.Flag{Slug: flagOf(v), Name: v.mark, Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if err := v.env.AddFlagTarget(t.Context(), b.flag.Slug, v.circle.organization.ID); err != nil {
		t.Fatal(err)
	}
	c, err := v.team.CreateCredential(t.Context(), store.TokenCredential, v.mark, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	b.credential = c.ID
	return b
}

func flagOf(v *tenant) string { return v.circle.permission.Slug } // the mark in lower case

// state is all that is kept of them.
func (b belongings) state(t testing.TB, v *tenant) []any {
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
	keys, _, _, err := v.env.OwnedKeys(ctx, store.OwnedKeyFilter{UserID: v.circle.member.ID}, all)
	keep(keys, err)
	own, _, _, err := v.env.OwnedKeys(ctx, store.OwnedKeyFilter{OrganizationID: v.circle.organization.ID}, all)
	keep(own, err)
	flags, _, _, err := v.env.Flags(ctx, store.FlagsFor{}, all)
	keep(flags, err)
	reached, _, _, err := v.env.Flags(ctx, store.FlagsFor{OrganizationID: v.circle.organization.ID}, all)
	keep(reached, err)
	credentials, err := v.team.Credentials(ctx)
	keep(credentials, err)
	return out
}

func init() { maps.Copy(rows, featureRows) }

func keysOfOrganization(c circle) string {
	return "/organizations/" + c.organization.ID + "/api_keys"
}

func keysOfMember(c circle) string { return "/user_management/users/" + c.member.ID + "/api_keys" }

func keyPath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/api_keys/" + b.belongings.key.ID + suffix }
}

func flagPath(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/feature-flags/" + b.belongings.flag.Slug + suffix }
}

func targetPath(b *tenant) string { return flagPath("/targets/" + b.circle.member.ID)(b) }

func settled(suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID + suffix }
}

func ownFlag(b *tenant) string {
	return settled("/feature_flags/" + b.belongings.flag.Slug)(b)
}

// featureRows are the rows of keys, flags, widgets, settings and credentials.
var featureRows = map[string]row{
	"POST /organizations/{organization}/api_keys": {path: under(keysOfOrganization, ""), own: apiKey, bodies: named},
	"GET /organizations/{organization}/api_keys":  {path: under(keysOfOrganization, ""), own: apiKey},
	"POST /user_management/users/{user}/api_keys": {path: under(keysOfMember, ""), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"name": "Mallory", "organization_id": b.circle.organization.ID}, m{"name": "Mallory", "organization_id": a.circle.organization.ID}}
	}},
	"GET /user_management/users/{user}/api_keys": {path: under(keysOfMember, ""), own: apiKey},
	// A value of another environment is answered like one that is nobody's.
	"POST /api_keys/validations": {path: fixed("/api_keys/validations"), own: apiKey, accepts: true,
		bodies: bodies(func(b *tenant) []any { return []any{m{"value": b.belongings.value}} })},
	"POST /api_keys/{id}/expire": {path: keyPath("/expire"), own: apiKey, bodies: bodies(func(*tenant) []any { return []any{m{}} })},
	"DELETE /api_keys/{id}":      {path: keyPath(""), own: apiKey},

	"GET /feature-flags":                              {path: func(b *tenant) string { return "/feature-flags?before=" + b.belongings.flag.ID }, own: apiKey, accepts: true},
	"GET /feature-flags/{slug}":                       {path: flagPath(""), own: apiKey},
	"PUT /feature-flags/{slug}/enable":                {path: flagPath("/enable"), own: apiKey},
	"PUT /feature-flags/{slug}/disable":               {path: flagPath("/disable"), own: apiKey},
	"POST /feature-flags/{slug}/targets/{resource}":   {path: targetPath, own: apiKey},
	"DELETE /feature-flags/{slug}/targets/{resource}": {path: targetPath, own: apiKey},
	"GET /organizations/{organization}/feature-flags": {path: under(organizationPath, "/feature-flags"), own: apiKey},
	"GET /user_management/users/{user}/feature-flags": {path: func(b *tenant) string { return "/user_management/users/" + b.circle.member.ID + "/feature-flags" }, own: apiKey},
	"POST /berth/v1/environments/{client_id}/feature_flags": {path: settled("/feature_flags"), own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"slug": "mallory"}} })},
	"PATCH /berth/v1/environments/{client_id}/feature_flags/{slug}": {path: ownFlag, own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"enabled": false}} })},
	"DELETE /berth/v1/environments/{client_id}/feature_flags/{slug}": {path: ownFlag, own: teamToken},

	"POST /widgets/token": {path: fixed("/widgets/token"), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"user_id": b.circle.member.ID, "organization_id": b.circle.organization.ID}, m{"user_id": a.circle.member.ID, "organization_id": b.circle.organization.ID},
			m{"user_id": b.circle.member.ID}}
	}},
	"POST /client/token": {path: fixed("/client/token"), own: apiKey, bodies: func(a, b *tenant) []any {
		return []any{m{"user_id": b.circle.member.ID, "organization_id": b.circle.organization.ID}, m{"user_id": a.circle.member.ID, "organization_id": b.circle.organization.ID}}
	}},

	"GET /berth/v1/environments/{client_id}/settings": {path: settled("/settings"), own: teamToken},
	"PATCH /berth/v1/environments/{client_id}/settings": {path: settled("/settings"), own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{"brand": m{"name": "Mallory"}}} })},
	"GET /berth/v1/tokens":         {path: fixed("/berth/v1/tokens"), own: teamToken, accepts: true},
	"DELETE /berth/v1/tokens/{id}": {path: func(b *tenant) string { return "/berth/v1/tokens/" + b.belongings.credential }, own: teamToken},
}
