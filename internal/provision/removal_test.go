package provision

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/server/berthapi"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/internal/workos/workostest"
)

// A run that is so slow that its lease ends may remove an address that a new
// claim wants: it is put back, and what was not yet removed stays.
func TestAddressesClaimedAfterTheLeaseSurviveASlowRemoval(t *testing.T) {
	const key, one, two, gone = "sk_test_shared", "https://one.example/callback", "https://two.example/callback", "https://gone.example/callback"
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "ledger.db"), Shared: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	team, err := db.FirstTeam(t.Context(), "local")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	(&berthapi.API{DB: db, Log: slog.New(slog.DiscardHandler), BaseURL: func() string { return "" }, Local: team}).Mount(mux)
	vendor := workostest.New(t)
	e := vendor.AddEnvironment(key)
	const base = "https://workos.example"
	conn := &Connection{Ledger: &berth.Client{Wire: &wire.Client{Base: "http://ledger", HTTP: &http.Client{Transport: inProcess{mux}}}}, APIBase: base}

	want := func(branch string, uris ...string) claim.Request {
		return claim.Request{Project: "shop", Deployment: "shop/preview/" + branch, Kind: claim.Preview, Branch: branch, Mode: claim.Shared, APIBase: base,
			Want: claim.Entries{RedirectURIs: uris}, Given: &claim.Given{ClientID: e.ClientID, APIKey: key}}
	}
	a, err := conn.Ledger.PutClaim(t.Context(), want("a", one, two, gone))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Ledger.Intend(t.Context(), a.Claim.ID, a.Claim.Entries()); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{one, two, gone} {
		e.Put(uri, false)
	}
	rel, err := conn.Ledger.Release(t.Context(), a.Claim.ID)
	if err != nil {
		t.Fatal(err)
	}

	// The first address goes, slowly; the lease ends; another branch claims it
	// and a second one.
	client := workos.NewEnvironment(wire.Client{Base: base, HTTP: &http.Client{Transport: inProcess{vendor}}}, e.ClientID, key)
	r := &removal{conn: conn, env: client, release: rel, leased: time.Now().Add(-claim.RemovalLease), out: &Removal{}}
	now = now.Add(claim.RemovalLease + time.Second)
	if _, err := conn.Ledger.PutClaim(t.Context(), want("b", one, two)); err != nil {
		t.Fatal(err)
	}
	uris, err := client.ListRedirectURIs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uris {
		if u.URI == one {
			if _, err := client.DeleteRedirectURI(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.leased, r.gone.RedirectURIs = time.Now().Add(-claim.RemovalLease), append(r.gone.RedirectURIs, one)
	if err := r.putBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{one, two}, e.RedirectURIs()); diff != "" {
		t.Errorf("redirect URIs (-want +got):\n%s", diff)
	}
	if !slices.Contains(r.out.Removed, gone) {
		t.Errorf("removed %q, want %s among them", r.out.Removed, gone)
	}
}
