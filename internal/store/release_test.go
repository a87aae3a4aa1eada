package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
)

func preview(branch string) claim.Request {
	return claim.Request{Project: "shop", Deployment: "shop/preview/" + branch, Kind: claim.Preview, Branch: branch, Repository: "acme/shop", Mode: claim.Dedicated,
		APIBase: "http://here", Lifetime: time.Hour, Want: claim.Entries{RedirectURIs: []string{"https://" + branch}}}
}

func put(t testing.TB, tm *Team, r claim.Request) *claim.Grant {
	t.Helper()
	g, err := tm.PutClaim(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The server reaps what is its own and over, and nothing else: a release that
// it cannot finish would block the entries of the next deploy for good.
func TestOnlyOwnAndOverClaimsExpire(t *testing.T) {
	now := time.Now()
	tm := team(t, openAt(t, func() time.Time { return now }))
	here, elsewhere, dev, prod := preview("here"), preview("elsewhere"), preview("x"), preview("x")
	elsewhere.APIBase = "https://api.workos.com"
	dev.Kind, dev.Deployment = claim.Dev, "shop/dev/ada"
	prod.Kind, prod.Deployment = claim.Prod, "shop/prod/prod"
	g := put(t, tm, here)
	for _, r := range []claim.Request{elsewhere, dev, prod} {
		put(t, tm, r)
	}
	expired := func() []string {
		t.Helper()
		ids, err := tm.Expired(t.Context(), "http://here")
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if ids := expired(); len(ids) != 0 {
		t.Errorf("Expired = %v, want none yet", ids)
	}
	now = now.Add(2 * time.Hour)
	if diff := cmp.Diff([]string{g.Claim.ID}, expired()); diff != "" {
		t.Errorf("Expired (-want +got):\n%s", diff)
	}
	// A deploy that renews the claim between the look and the release keeps it.
	put(t, tm, here)
	if _, err := tm.ReleaseExpired(t.Context(), g.Claim.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("ReleaseExpired of a renewed claim = %v, want not found", err)
	}
	for branch, want := range map[string]int{"here": 1, "elsewhere": 0} {
		ids, err := tm.PreviewsOf(t.Context(), "http://here", "acme/shop", branch)
		if err != nil || len(ids) != want {
			t.Errorf("PreviewsOf %s = %v, %v; want %d", branch, ids, err, want)
		}
	}
}

// A branch that is deployed again while its old environment goes keeps its
// new claim, environment and deployment (R57, R68).
func TestARedeployOvertakesARelease(t *testing.T) {
	tm := team(t, open(t))
	ctx := t.Context()
	first := put(t, tm, preview("b"))
	rel, err := tm.Release(ctx, first.Claim.ID)
	if err != nil {
		t.Fatal(err)
	}
	second := put(t, tm, preview("b"))
	if second.Claim.ID == first.Claim.ID || second.Placement.ID == first.Placement.ID || second.Placement.Slot == first.Placement.Slot {
		t.Errorf("the redeploy got %+v, want a claim and a placement of its own", second)
	}
	if _, _, err := tm.OpenDeployment(ctx, "shop", claim.Preview, "b", false); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Intend": tm.Intend(ctx, first.Claim.ID, rel.Claim.Entries()), "Confirm": tm.Confirm(ctx, first.Claim.ID, claim.Entries{}, "https://b")} {
		if fault.Code(err) != "claim_released" || fault.From(err).Fix == "" {
			t.Errorf("%s on the released claim = %v, want claim_released with a fix", name, err)
		}
	}
	if err := tm.Released(ctx, rel.Claim.ID, rel.Remove); err != nil {
		t.Fatal(err)
	}
	if all, err := tm.Deployments(ctx); err != nil || len(all) != 1 {
		t.Errorf("Deployments = %v, %v; want the redeploy's", all, err)
	}
	rel, err = tm.Release(ctx, second.Claim.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := tm.Released(ctx, rel.Claim.ID, rel.Remove); err != nil {
		t.Fatal(err)
	}
	if all, err := tm.Deployments(ctx); err != nil || len(all) != 0 {
		t.Errorf("Deployments = %v, %v; want none after the last release", all, err)
	}
}

// Whoever removes an entry has the time of its lease; afterwards a claim may
// have it, and a late confirmation does not forget it.
func TestRemovalLease(t *testing.T) {
	now := time.Now()
	tm := team(t, openAt(t, func() time.Time { return now }))
	ctx := t.Context()
	shared := func(branch, uri string) claim.Request {
		r := preview(branch)
		r.Mode, r.Given, r.Want = claim.Shared, &claim.Given{ClientID: "client_1", APIKey: "sk_test_1"}, claim.Entries{RedirectURIs: []string{uri}}
		return r
	}
	a := put(t, tm, shared("a", "https://x"))
	if err := tm.Intend(ctx, a.Claim.ID, a.Claim.Entries()); err != nil {
		t.Fatal(err)
	}
	rel, err := tm.Release(ctx, a.Claim.ID)
	if err != nil || len(rel.Remove.RedirectURIs) != 1 {
		t.Fatalf("Release = %+v, %v; want https://x to be removed", rel, err)
	}
	if _, err := tm.PutClaim(ctx, shared("b", "https://x")); fault.Code(err) != "removal_in_progress" {
		t.Errorf("PutClaim during the removal = %v, want removal_in_progress", err)
	}
	if _, err := tm.Claim(ctx, "shop/preview/b"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the refused claim was kept: %v", err)
	}
	now = now.Add(claim.RemovalLease + time.Second)
	b := put(t, tm, shared("b", "https://x"))
	if err := tm.Released(ctx, a.Claim.ID, rel.Remove); err != nil {
		t.Fatal(err)
	}
	g, err := tm.Claim(ctx, b.Claim.Deployment)
	if err != nil || len(g.Owned.RedirectURIs) != 1 {
		t.Errorf("Claim = %+v, %v; want https://x still Berth's own", g, err)
	}
	if rel, err = tm.Release(ctx, b.Claim.ID); err != nil || len(rel.Remove.RedirectURIs) != 1 {
		t.Errorf("Release of the last claim = %+v, %v; want https://x removed", rel, err)
	}
}

// A person's new API key of a known environment replaces the old one.
func TestAGivenKeyIsReplaced(t *testing.T) {
	tm := team(t, open(t))
	r := preview("a")
	r.Mode = claim.Shared
	r.Given = &claim.Given{ClientID: "client_1", APIKey: "sk_test_old"}
	put(t, tm, r)
	r.Given = &claim.Given{ClientID: "client_1", APIKey: "sk_test_new"}
	if g := put(t, tm, r); g.APIKey != "sk_test_new" || g.Changed {
		t.Errorf("PutClaim with a new key = %q, changed %v; want the new key in an unchanged claim", g.APIKey.Reveal(), g.Changed)
	}
	other := preview("b")
	other.Mode, other.Given = claim.Shared, &claim.Given{ClientID: "client_1"}
	if g := put(t, tm, other); g.APIKey != "sk_test_new" {
		t.Errorf("PutClaim without a key = %q, want the known one", g.APIKey.Reveal())
	}
	other.Production, other.Deployment = true, "shop/preview/c"
	if _, err := tm.PutClaim(t.Context(), other); fault.Code(err) != "placement_differs" {
		t.Errorf("PutClaim of another type = %v, want placement_differs", err)
	}
}
