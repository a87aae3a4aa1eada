package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// R14, R61: a key is good in its own environment alone, while its end has not
// come and its user is a member; what was taken away no longer passes.
func TestAnOwnedKeyIsGoodWhileItsOwnerIs(t *testing.T) {
	db := open(t)
	tm, ctx := team(t, db), t.Context()
	a := must[*Env](t)(tm.CreateEnvironment(ctx, NewEnvironment{Name: "a"}))
	b := must[*Env](t)(tm.CreateEnvironment(ctx, NewEnvironment{Name: "b"}))
	o := must[identity.Organization](t)(a.CreateOrganization(ctx, identity.Organization{Name: "Acme"}))
	u := must[identity.User](t)(a.CreateUser(ctx, identity.User{Email: "a@example.com"}))
	m := must[identity.Membership](t)(a.CreateMembership(ctx, o.ID, u.ID, nil))
	for _, slug := range []string{"posts:read", "posts:write"} {
		must[identity.Permission](t)(a.CreatePermission(ctx, identity.Permission{Slug: slug, Name: slug}))
	}
	good := func(e *Env, value string) bool {
		t.Helper()
		_, ok, err := e.ValidateOwnedKey(ctx, value)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	k, value, err := a.CreateOwnedKey(ctx, identity.OwnedKey{OrganizationID: o.ID, UserID: u.ID, Name: "k", Permissions: []string{"posts:write", "posts:read", "posts:read"}})
	if err != nil {
		t.Fatal(err)
	}
	text := value.Reveal()
	if diff := cmp.Diff([]string{"posts:read", "posts:write"}, k.Permissions); diff != "" || k.Obfuscated != "sk_..."+text[len(text)-4:] || strings.HasPrefix(text, "sk_test_") || strings.HasPrefix(text, "sk_live_") {
		t.Errorf("CreateOwnedKey = %+v, value of %d characters (permissions -want +got):\n%s", k, len(text), diff)
	}
	if got := []bool{good(a, text), good(b, text), good(a, text[:len(text)-1]), good(a, "")}; !cmp.Equal(got, []bool{true, false, false, false}) {
		t.Errorf("valid in its environment, in another, cut short, empty = %v; want only the first", got)
	}
	if err := a.DeletePermission(ctx, "posts:write"); err != nil {
		t.Fatal(err)
	}
	if k, _, err = a.ValidateOwnedKey(ctx, text); err != nil || !cmp.Equal(k.Permissions, []string{"posts:read"}) || k.LastUsedAt.IsZero() {
		t.Errorf("ValidateOwnedKey after a permission was deleted = %+v, %v; want posts:read alone and its last use", k, err)
	}
	if _, err := a.DeactivateMembership(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if good(a, text) {
		t.Error("the key of a user who is no member any more is valid")
	}
	if _, err := a.ReactivateMembership(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ExpireOwnedKey(ctx, k.ID, db.now().Add(time.Hour)); err != nil || !good(a, text) {
		t.Errorf("a key that ends in an hour: %v, want it valid", err)
	}
	if k, err = a.ExpireOwnedKey(ctx, k.ID, time.Time{}); err != nil || !k.ExpiresAt.IsZero() {
		t.Errorf("ExpireOwnedKey of the zero time = %+v, %v; want no end", k, err)
	}
	if _, err := a.ExpireOwnedKey(ctx, k.ID, db.now().Add(-time.Hour)); err != nil || good(a, text) {
		t.Errorf("a key that has ended: %v, want it invalid", err)
	}
	if _, err := a.ExpireOwnedKey(ctx, k.ID, time.Time{}); fault.Code(err) != "api_key_already_expired" {
		t.Errorf("ExpireOwnedKey again = %v, want api_key_already_expired", err)
	}
	for name, call := range map[string]func() error{
		"ExpireOwnedKey": func() error { _, err := b.ExpireOwnedKey(ctx, k.ID, time.Time{}); return err },
		"DeleteOwnedKey": func() error { return b.DeleteOwnedKey(ctx, k.ID) },
		"CreateOwnedKey": func() error {
			_, _, err := b.CreateOwnedKey(ctx, identity.OwnedKey{OrganizationID: o.ID, Name: "k"})
			return err
		},
	} {
		if err := call(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s of another environment = %v, want NotFound", name, err)
		}
	}
	if list, _, _, err := b.OwnedKeys(ctx, OwnedKeyFilter{UserID: u.ID}, Page{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("OwnedKeys of another environment = %v, %v; want none", list, err)
	}
	if _, err := db.EnvByAPIKey(ctx, text); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("EnvByAPIKey of a customer's key = %v, want Unauthenticated", err)
	}
	var holds int
	if err := db.row(ctx, "SELECT count(*) FROM owned_keys WHERE instr(CAST(hash AS TEXT), $1) OR instr(obfuscated, $2)", text, text[3:30]).Scan(&holds); err != nil || holds != 0 {
		t.Errorf("%d rows hold the value, %v; want none", holds, err)
	}
	if err := tm.DeleteEnvironment(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	if err := db.row(ctx, "SELECT (SELECT count(*) FROM owned_keys) + (SELECT count(*) FROM owned_key_permissions)").Scan(&holds); err != nil || holds != 0 {
		t.Errorf("%d rows of keys are left after their environment, %v; want none", holds, err)
	}
}

func TestCredentialsAreListedAndRevoked(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	tm := must[*Team](t)(db.CreateTeam(ctx, "one", "a@example.com"))
	other := must[*Team](t)(db.CreateTeam(ctx, "two", "b@example.com"))
	first := must[*Credential](t)(tm.CreateCredential(ctx, TokenCredential, "first", time.Time{}))
	second := must[*Credential](t)(tm.CreateCredential(ctx, ClientCredential, "second", db.now().Add(time.Hour)))
	must[*Credential](t)(tm.CreateCredential(ctx, TokenCredential, "over", db.now().Add(-time.Hour)))
	must[*Credential](t)(other.CreateCredential(ctx, TokenCredential, "theirs", time.Time{}))
	mine := must[*Team](t)(db.TeamByToken(ctx, first.Secret.Reveal()))
	list, err := mine.Credentials(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, c := range list {
		got[c.ID] = c.Current
	}
	if diff := cmp.Diff(map[string]bool{first.ID: true, second.ID: false}, got); diff != "" {
		t.Errorf("Credentials (current by id, -want +got):\n%s", diff)
	}
	if err := other.RevokeCredential(ctx, first.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("RevokeCredential of another team = %v, want NotFound", err)
	}
	if err := mine.RevokeCredential(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := db.TeamByToken(ctx, first.Secret.Reveal()); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("TeamByToken of a revoked token = %v, want Unauthenticated", err)
	}
	if err := mine.RevokeCredential(ctx, first.ID); fault.Code(err) != "credential_not_found" {
		t.Errorf("RevokeCredential again = %v, want credential_not_found", err)
	}
}
