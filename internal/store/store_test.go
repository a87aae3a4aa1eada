package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
)

func open(t testing.TB) *DB {
	t.Helper()
	return openAt(t, nil)
}

func openAt(t testing.TB, now func() time.Time) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "berth.db"), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func team(t testing.TB, db *DB) *Team {
	t.Helper()
	team, err := db.CreateTeam(t.Context(), "Acme", "admin@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	return team
}

func TestLedgerRoundTrip(t *testing.T) {
	db := open(t)
	tm := team(t, db)
	req := claim.Request{Project: "shop", Deployment: "shop/preview/a", Kind: claim.Preview, Branch: "a", Mode: claim.Dedicated, APIBase: "http://x",
		Want: claim.Entries{RedirectURIs: []string{"https://a/cb"}, CORSOrigins: []string{"https://a"}}}
	g, err := tm.PutClaim(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	e, err := tm.CreateEnvironment(t.Context(), NewEnvironment{Name: g.Placement.EnvironmentName, IdempotencyKey: g.Placement.EnvironmentKey()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tm.Bind(t.Context(), g.Placement.ID, e.ID, e.ClientID, "sk_test_x"); err != nil {
		t.Fatal(err)
	}
	if err := tm.Intend(t.Context(), g.Claim.ID, req.Want); err != nil {
		t.Fatal(err)
	}
	if err := tm.Confirm(t.Context(), g.Claim.ID, claim.Entries{}, "https://a"); err != nil {
		t.Fatal(err)
	}
	again, err := tm.PutClaim(t.Context(), req)
	if err != nil || again.Changed || again.Claim.State != claim.Live || again.APIKey != "sk_test_x" {
		t.Fatalf("second PutClaim = %+v, %v; want unchanged, live, with its key", again, err)
	}
	o, err := tm.Orphans(t.Context())
	if err != nil || len(o.Environments)+len(o.Placements) != 0 {
		t.Fatalf("Orphans = %+v, %v; want none", o, err)
	}
	r, err := tm.Release(t.Context(), g.Claim.ID)
	if err != nil || !r.DeleteEnvironment || r.Placement.EnvironmentID != e.ID {
		t.Fatalf("Release = %+v, %v; want the environment deleted", r, err)
	}
	if err := tm.DeleteEnvironment(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	if err := tm.Released(t.Context(), g.Claim.ID, r.Remove); err != nil {
		t.Fatal(err)
	}
	if all, err := tm.Claims(t.Context(), ""); err != nil || len(all) != 0 {
		t.Fatalf("Claims = %v, %v; want none", all, err)
	}
	if _, err := e.AddRedirectURI(t.Context(), "https://a/cb"); err == nil {
		t.Fatal("a deleted environment took a redirect URI")
	}
}
