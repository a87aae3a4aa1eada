package store

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// R61: who has a flag follows from its switch, its default and its targets, in
// its own environment alone.
func TestFlagsReachWhomTheyAreFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	db, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { db.Close() }()
	ctx, tm := t.Context(), team(t, db)
	a := must[*Env](t)(tm.CreateEnvironment(ctx, NewEnvironment{Name: "a"}))
	b := must[*Env](t)(tm.CreateEnvironment(ctx, NewEnvironment{Name: "b"}))
	o := must[identity.Organization](t)(a.CreateOrganization(ctx, identity.Organization{Name: "Acme"}))
	u := must[identity.User](t)(a.CreateUser(ctx, identity.User{Email: "a@example.com"}))
	m := must[identity.Membership](t)(a.CreateMembership(ctx, o.ID, u.ID, nil))
	for _, f := range []identity.Flag{{Slug: "all", Name: "x", Enabled: true, Default: true}, {Slug: "off", Name: "x", Default: true},
		{Slug: "org", Name: "x", Enabled: true}, {Slug: "user", Name: "x", Enabled: true}, {Slug: "none", Name: "x", Enabled: true}} {
		must[identity.Flag](t)(a.CreateFlag(ctx, f))
	}
	must[identity.Flag](t)(b.CreateFlag(ctx, identity.Flag{Slug: "all", Name: "x"}))
	if _, err := a.CreateFlag(ctx, identity.Flag{Slug: "all", Name: "x"}); fault.Code(err) != "flag_slug_conflict" {
		t.Errorf("CreateFlag of a slug that is taken = %v, want flag_slug_conflict", err)
	}
	for slug, id := range map[string]string{"org": o.ID, "user": u.ID, "off": u.ID} {
		for range 2 { // repeating it changes nothing
			if err := a.AddFlagTarget(ctx, slug, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.AddFlagTarget(ctx, "all", "group_1"); err != ErrFlagTarget {
		t.Errorf("AddFlagTarget of another kind of id = %v, want ErrFlagTarget", err)
	}
	for _, id := range []string{o.ID, u.ID, "org_none", "user_none"} {
		if err := b.AddFlagTarget(ctx, "all", id); !fault.Is(err, fault.NotFound) {
			t.Errorf("AddFlagTarget of %s in another environment = %v, want NotFound", id, err)
		}
	}
	session := func(org string) []string {
		t.Helper()
		return must[[]string](t)(a.EnabledFlags(ctx, org, u.ID))
	}
	listed := func(f FlagsFor) []string {
		t.Helper()
		list, _, _, err := a.Flags(ctx, f, Page{Limit: 10, Ascending: true})
		if err != nil {
			t.Fatal(err)
		}
		var slugs []string
		for _, f := range list {
			slugs = append(slugs, f.Slug)
		}
		return slugs
	}
	check := func(what string, want, got []string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("flags of a session in the organization", []string{"all", "org", "user"}, session(o.ID))
	check("flags of a session without one", []string{"all", "user"}, session(""))
	if got := listed(FlagsFor{UserID: u.ID}); len(got) != 3 {
		t.Errorf("flags of the user = %v, want all, org and user", got)
	}
	if got := listed(FlagsFor{OrganizationID: o.ID}); len(got) != 2 {
		t.Errorf("flags of the organization = %v, want all and org", got)
	}
	if _, err := a.DeactivateMembership(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if got := listed(FlagsFor{UserID: u.ID}); len(got) != 2 {
		t.Errorf("flags of the user who left = %v, want all and user", got)
	}
	for name, call := range map[string]func() error{
		"Flags of a user":         func() error { _, _, _, err := b.Flags(ctx, FlagsFor{UserID: u.ID}, Page{Limit: 1}); return err },
		"Flags of a organization": func() error { _, _, _, err := b.Flags(ctx, FlagsFor{OrganizationID: o.ID}, Page{Limit: 1}); return err },
		"DeleteFlag":              func() error { return b.DeleteFlag(ctx, "org") },
		"Flag":                    func() error { _, err := b.Flag(ctx, "org"); return err },
	} {
		if err := call(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s of another environment = %v, want NotFound", name, err)
		}
	}
	if err := a.RemoveFlagTarget(ctx, "org", o.ID); err != nil {
		t.Fatal(err)
	}
	check("flags after the target was taken away", []string{"all", "user"}, session(o.ID))

	// A server that starts again knows which environments have flags.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(ctx, Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	again := must[*Env](t)(db.EnvByClientID(ctx, a.ClientID))
	check("flags after a restart", []string{"all", "user"}, must[[]string](t)(again.EnabledFlags(ctx, "", u.ID)))
	tm = must[*Team](t)(db.Team(ctx, a.TeamID))
	if err := tm.DeleteEnvironment(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := db.row(ctx, "SELECT (SELECT count(*) FROM feature_flags WHERE environment_id = $1) + (SELECT count(*) FROM feature_flag_targets)", a.ID).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of flags are left after their environment, %v; want none", left, err)
	}
}
