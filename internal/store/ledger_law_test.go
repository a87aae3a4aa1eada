package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
)

// world is a team with its ledger, and the vendor's side of it: which entries
// each placement's environment really has. People put entries there too.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Time
	db     *DB
	team   *Team
	vendor map[string]map[string]bool // placement id -> redirect URIs
	people map[string]bool            // entries of people, in every shared environment
	runs   []*run
	log    []string
}

// run is one command in progress: deploy or prune of one deployment. It is
// stepped one call at a time, and may stop at any step.
type run struct {
	deployment int
	prune      bool
	step       int
	began      time.Time // of a removal under way
	req        claim.Request
	grant      *claim.Grant
	release    *claim.Release
	env        *Env
	add        []string
}

const deployments = 6 // the last one is production

// request wants entries that overlap with those of others and of people.
func (w *world) request(n int) claim.Request {
	kind, mode := claim.Preview, claim.Dedicated
	switch {
	case n == deployments-1:
		kind = claim.Prod
	case n == 0:
		kind = claim.Dev
	}
	r := claim.Request{Project: "shop", Kind: kind, Branch: fmt.Sprint("b", n), Repository: "acme/shop", APIBase: "http://x", Lifetime: time.Hour}
	if n%2 == 1 {
		mode = claim.Shared // 1, 3 and production at 5
		r.Given = &claim.Given{ClientID: "client_shared", APIKey: "sk_test_shared"}
	}
	r.Mode, r.Deployment = mode, claim.DeploymentKey("shop", kind, fmt.Sprint("b", n))
	r.Want.RedirectURIs = []string{fmt.Sprintf("https://own%d-%d", n, w.rng.IntN(7)), fmt.Sprint("https://common", w.rng.IntN(3))}
	if w.rng.IntN(4) == 0 {
		r.Want.RedirectURIs = append(r.Want.RedirectURIs, "https://people1")
	}
	return r
}

// live returns what claims that are not being released want of a placement.
func (w *world) live(placementID string) map[string]bool {
	w.t.Helper()
	all, err := w.team.Claims(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, g := range all {
		if g.Placement.ID == placementID && g.Claim.State != claim.Releasing {
			for _, uri := range g.Claim.Entries().RedirectURIs {
				wanted[uri] = true
			}
		}
	}
	return wanted
}

func (w *world) owned(placementID string) []string {
	w.t.Helper()
	var all []string
	err := w.db.list(w.t.Context(), "SELECT value FROM owned_entries WHERE placement_id = $1 ORDER BY value", func(s scanner) error {
		var v string
		err := s.Scan(&v)
		all = append(all, v)
		return err
	}, placementID)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// offered holds the laws of what may be removed.
func (w *world) offered(p claim.Placement, remove claim.Entries, what string) {
	w.t.Helper()
	placementID := p.ID
	live, owned := w.live(placementID), w.owned(placementID)
	for _, uri := range remove.RedirectURIs {
		if live[uri] {
			w.fail("%s offers %s, which a live claim wants", what, uri)
		}
		if !slices.Contains(owned, uri) {
			w.fail("%s offers %s, which is not Berth's own", what, uri)
		}
		if p.Mode == claim.Shared && w.people[uri] {
			w.fail("%s offers %s of a person", what, uri)
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.log {
		w.t.Log(line)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) entries(p claim.Placement) map[string]bool {
	if w.vendor[p.ID] == nil {
		w.vendor[p.ID] = map[string]bool{}
		if p.Mode == claim.Shared {
			for uri := range w.people {
				w.vendor[p.ID][uri] = true
			}
		}
	}
	return w.vendor[p.ID]
}

// advance does the next call of a run and reports whether the run is over.
func (w *world) advance(r *run) (over bool) {
	w.t.Helper()
	ctx := w.t.Context()
	w.log = append(w.log, fmt.Sprintf("%s b%d prune=%v step %d", w.now.Format("15:04:05"), r.deployment, r.prune, r.step))
	r.step++
	if r.prune {
		return w.advancePrune(r)
	}
	switch r.step {
	case 1:
		g, err := w.team.PutClaim(ctx, r.req)
		if fault.Code(err) == "removal_in_progress" {
			r.step = 0
			return w.rng.IntN(3) == 0 // asks again, or gives up
		}
		if err != nil {
			w.fail("PutClaim b%d = %v", r.deployment, err)
		}
		w.offered(g.Placement, g.Superseded, "PutClaim")
		r.grant, r.began = g, w.now
		w.entries(g.Placement)
		if g.Placement.Bound() {
			r.step = 3
		}
	case 2:
		e, err := w.team.CreateEnvironment(ctx, NewEnvironment{Name: r.grant.Placement.EnvironmentName, IdempotencyKey: r.grant.Placement.EnvironmentKey()})
		if err != nil {
			w.fail("CreateEnvironment = %v", err)
		}
		r.env = e
	case 3:
		p, err := w.team.Bind(ctx, r.grant.Placement.ID, r.env.ID, r.env.ClientID, "sk_test_x")
		if fault.Is(err, fault.NotFound) || err == nil && p.State == "deleting" {
			return true
		}
		if err != nil || p.EnvironmentID != r.env.ID {
			w.fail("Bind = %+v, %v; want the environment of the placement's key", p, err)
		}
	case 4:
		have := w.entries(r.grant.Placement)
		for _, uri := range r.grant.Claim.Entries().RedirectURIs {
			if !have[uri] {
				r.add = append(r.add, uri)
			}
		}
		err := w.team.Intend(ctx, r.grant.Claim.ID, claim.Entries{RedirectURIs: r.add})
		if fault.Is(err, fault.NotFound) || fault.Code(err) == "claim_released" {
			return true
		}
		if err != nil {
			w.fail("Intend = %v", err)
		}
	case 5:
		for _, uri := range r.add {
			w.entries(r.grant.Placement)[uri] = true
		}
	case 6:
		for _, uri := range r.grant.Superseded.RedirectURIs {
			delete(w.entries(r.grant.Placement), uri)
		}
	case 7:
		err := w.team.Confirm(ctx, r.grant.Claim.ID, r.grant.Superseded, "")
		if err != nil && !fault.Is(err, fault.NotFound) && fault.Code(err) != "claim_released" {
			w.fail("Confirm = %v", err)
		}
		return true
	}
	return false
}

func (w *world) advancePrune(r *run) (over bool) {
	ctx := w.t.Context()
	switch r.step {
	case 1:
		all, err := w.team.Claims(ctx, "")
		if err != nil {
			w.fail("Claims = %v", err)
		}
		i := slices.IndexFunc(all, func(g claim.Grant) bool { return g.Claim.Deployment == r.req.Deployment })
		if i < 0 {
			return true
		}
		rel, err := w.team.Release(ctx, all[i].Claim.ID)
		if r.req.Kind == claim.Prod {
			if !fault.Is(err, fault.Denied) {
				w.fail("Release of production = %v, want denied", err)
			}
			return true
		}
		if fault.Is(err, fault.NotFound) {
			return true
		}
		if err != nil {
			w.fail("Release = %v", err)
		}
		w.offered(rel.Placement, rel.Remove, "Release")
		if rel.DeleteEnvironment != (rel.Placement.Mode == claim.Dedicated) {
			w.fail("Release of %s: delete the environment %v", rel.Placement.Slot, rel.DeleteEnvironment)
		}
		r.release, r.began = rel, w.now
	case 2:
		if !r.release.DeleteEnvironment {
			for _, uri := range r.release.Remove.RedirectURIs {
				delete(w.entries(r.release.Placement), uri)
			}
			break
		}
		if id := r.release.Placement.EnvironmentID; id != "" {
			if err := w.team.DeleteEnvironment(ctx, id); err != nil && !fault.Is(err, fault.NotFound) {
				w.fail("DeleteEnvironment = %v", err)
			}
		}
	case 3:
		if err := w.team.Released(ctx, r.release.Claim.ID, r.release.Remove); err != nil && !fault.Is(err, fault.NotFound) {
			w.fail("Released = %v", err)
		}
		return true
	}
	return false
}

// busy says that a run of the deployment is under way. One deployment's runs
// follow each other: a host builds a branch one commit at a time, and a branch
// that is gone is not deployed.
func (w *world) busy(n int) bool {
	return slices.ContainsFunc(w.runs, func(r *run) bool { return r.deployment == n })
}

func (w *world) finish(r *run) {
	for range 40 {
		if w.advance(r) {
			return
		}
		if r.grant == nil && r.release == nil {
			w.now = w.now.Add(claim.RemovalLease) // waits for somebody else's removal
		}
	}
	w.fail("b%d does not come to an end", r.deployment)
}

// The laws of the ledger, under any interleaving of runs that may stop at any
// step (R22, R57, R58, R68, R71-R74): an entry that a live claim wants is never
// offered for removal, nothing that Berth did not add is, production is never
// released; reruns converge, and after the last release nothing is left.
func TestTortureLedgerLaws(t *testing.T) {
	seeds := 20
	if os.Getenv("BERTH_TORTURE") != "" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { ledgerLaws(t, uint64(seed)) })
	}
}

func ledgerLaws(t *testing.T, seed uint64) {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), vendor: map[string]map[string]bool{},
		people: map[string]bool{"https://people1": true, "https://people2": true}}
	w.db = openAt(t, func() time.Time { return w.now })
	w.team = team(t, w.db)
	for range 150 {
		w.now = w.now.Add(time.Duration(w.rng.IntN(20)) * time.Second)
		if n := w.rng.IntN(deployments); len(w.runs) < 4 && !w.busy(n) {
			w.runs = append(w.runs, &run{deployment: n, prune: w.rng.IntN(3) == 0, req: w.request(n)})
		}
		if len(w.runs) == 0 {
			continue
		}
		i := w.rng.IntN(len(w.runs))
		r := w.runs[i]
		// A run stops at any step; one that holds a removal longer than its
		// lease has met the deadline of its calls.
		late := !r.began.IsZero() && w.now.Sub(r.began) >= claim.RemovalLease
		if late || w.rng.IntN(12) == 0 || w.advance(r) {
			w.runs = slices.Delete(w.runs, i, i+1)
		}
	}
	w.runs = nil
	w.now = w.now.Add(claim.RemovalLease + time.Second)

	// Everybody deploys once more, alone: all that is wanted is there.
	ids := map[string]string{}
	for n := range deployments {
		r := &run{deployment: n, req: w.request(n)}
		w.finish(r)
		ids[r.req.Deployment] = r.grant.Placement.ID
	}
	all, err := w.team.Claims(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if g.Claim.State == claim.Releasing {
			continue
		}
		for _, uri := range g.Claim.Entries().RedirectURIs {
			if !w.entries(g.Placement)[uri] {
				w.fail("%s wants %s, and its environment does not have it", g.Claim.Deployment, uri)
			}
		}
		if g.Placement.ID != ids[g.Claim.Deployment] || g.Claim.State != claim.Live {
			w.fail("%s is %s at %s after its rerun", g.Claim.Deployment, g.Claim.State, g.Placement.Slot)
		}
	}
	for uri := range w.people {
		if !w.entries(claim.Placement{ID: ids["shop/preview/b1"], Mode: claim.Shared})[uri] {
			w.fail("%s of a person is gone", uri)
		}
	}

	// Everything is released, claims of stopped releases included.
	for n := range deployments {
		for range 5 {
			w.now = w.now.Add(claim.RemovalLease + time.Second)
			w.finish(&run{deployment: n, prune: true, req: w.request(n)})
		}
	}
	o, err := w.team.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Placements) > 0 {
		w.fail("placements without a claim are left: %+v", o.Placements)
	}
	for _, e := range o.Environments { // made by runs that stopped, after their release
		if err := w.team.DeleteEnvironment(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	envs, err := w.team.Environments(t.Context())
	if err != nil || len(envs) != 0 {
		w.fail("environments are left: %d, %v", len(envs), err)
	}
	left, err := w.team.Claims(t.Context(), "")
	if err != nil || len(left) != 1 || left[0].Claim.Kind != claim.Prod {
		w.fail("claims are left: %+v, %v; want production's alone", left, err)
	}
	shared := left[0].Placement
	wanted := w.live(shared.ID)
	for _, uri := range w.owned(shared.ID) {
		if !wanted[uri] {
			w.fail("%s is still recorded as Berth's own, and nobody wants it", uri)
		}
	}
	for uri := range w.entries(shared) {
		if !wanted[uri] && !w.people[uri] {
			w.fail("%s is left in the environment, and nobody wants it", uri)
		}
	}
	for uri := range w.people {
		if !w.entries(shared)[uri] {
			w.fail("%s of a person is gone", uri)
		}
	}
}
