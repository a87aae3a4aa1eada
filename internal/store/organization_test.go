package store

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

func orgEnv(t testing.TB, db *DB) *Env {
	t.Helper()
	e, err := team(t, db).CreateEnvironment(t.Context(), NewEnvironment{Name: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// R95: of many callers with one invitation one succeeds, and there is one membership.
func TestAnInvitationIsAcceptedOnce(t *testing.T) {
	db := open(t)
	e := orgEnv(t, db)
	u := must[identity.User](t)(e.CreateUser(t.Context(), identity.User{Email: "a@example.com"}))
	o := must[identity.Organization](t)(e.CreateOrganization(t.Context(), identity.Organization{Name: "Acme"}))
	i := must[identity.Invitation](t)(e.CreateInvitation(t.Context(), identity.Invitation{Email: "A@example.com", OrganizationID: o.ID, Days: 1, Token: "x"}))
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := e.AcceptInvitation(t.Context(), i.ID, u.ID)
			switch {
			case err == nil:
				wins.Add(1)
			case fault.Code(err) != "invite_has_accepted_user_id":
				t.Errorf("AcceptInvitation = %v, want invite_has_accepted_user_id", err)
			}
		})
	}
	wg.Wait()
	list, err := e.ActiveMemberships(t.Context(), u.ID)
	if wins.Load() != 1 || err != nil || len(list) != 1 {
		t.Errorf("%d of 16 accepted, memberships %v, %v; want one of each", wins.Load(), list, err)
	}
}

// R14: what one environment knows does not exist in another, and its roles,
// users and organizations cannot be put together with those of another.
func TestOrganizationsStayInTheirEnvironment(t *testing.T) {
	db := open(t)
	tm := team(t, db)
	a := must[*Env](t)(tm.CreateEnvironment(t.Context(), NewEnvironment{Name: "a"}))
	b := must[*Env](t)(tm.CreateEnvironment(t.Context(), NewEnvironment{Name: "b"}))
	u := must[identity.User](t)(b.CreateUser(t.Context(), identity.User{Email: "b@example.com"}))
	o := must[identity.Organization](t)(b.CreateOrganization(t.Context(), identity.Organization{Name: "B", ExternalID: "x", Domains: []identity.OrganizationDomain{{Domain: "b.example", State: identity.DomainPending}}}))
	m := must[identity.Membership](t)(b.CreateMembership(t.Context(), o.ID, u.ID, nil))
	mine := must[identity.Organization](t)(a.CreateOrganization(t.Context(), identity.Organization{Name: "A", ExternalID: "x", Domains: []identity.OrganizationDomain{{Domain: "b.example", State: identity.DomainPending}}}))
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Organization":                 func() error { _, err := a.Organization(ctx, o.ID); return err },
		"DeleteOrganization":           func() error { return a.DeleteOrganization(ctx, o.ID) },
		"Domain":                       func() error { _, err := a.Domain(ctx, o.Domains[0].ID); return err },
		"VerifyDomain":                 func() error { _, err := a.VerifyDomain(ctx, o.Domains[0].ID); return err },
		"Membership":                   func() error { _, err := a.Membership(ctx, m.ID); return err },
		"DeactivateMembership":         func() error { _, err := a.DeactivateMembership(ctx, m.ID); return err },
		"MemberAccess":                 func() error { _, err := a.MemberAccess(ctx, o.ID, u.ID); return err },
		"CreateMembership of its user": func() error { _, err := a.CreateMembership(ctx, mine.ID, u.ID, nil); return err },
		"Roles":                        func() error { _, err := a.Roles(ctx, o.ID); return err },
	} {
		if err := call(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s in another environment = %v, want NotFound", name, err)
		}
	}
	if err := tm.DeleteEnvironment(ctx, b.ID); err != nil {
		t.Fatalf("DeleteEnvironment with everything in it = %v", err)
	}
	for _, table := range []string{"organizations", "organization_domains", "organization_memberships", "membership_roles", "roles", "invitations"} {
		var n int
		if err := db.row(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"organizations": 1, "organization_domains": 1, "roles": 1}[table]
		if n != want {
			t.Errorf("%s has %d rows after the environment is gone, want %d", table, n, want)
		}
	}
}
