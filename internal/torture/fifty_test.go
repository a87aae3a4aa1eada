//go:build unix

package torture

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/claim"
)

const fifty = 50

// TestFiftyDeploysAtOnce holds R57 to R62, R68 and R70: fifty builds push at
// the same moment, and every branch has its own complete sign-in afterwards.
func TestFiftyDeploysAtOnce(t *testing.T) {
	for _, mode := range []claim.Mode{claim.Dedicated, claim.Shared} {
		t.Run(string(mode), func(t *testing.T) {
			h := newHouse(t, examples.ReactVite)
			h.serve()
			all := branches(fifty)
			var first []deployed
			logTime(t, "50 first deploys at once", func() { first = h.deployAll(all, "--placement", string(mode)) })
			if t.Failed() {
				t.FailNow()
			}
			want := map[claim.Mode]int{claim.Dedicated: fifty, claim.Shared: 1}[mode]
			if got := len(clientIDs(first)); got != want {
				t.Errorf("%d client IDs, want %d", got, want)
			}
			h.checkSound()
			h.checkEntries(mode, all, first)
			logTime(t, "50 sign-ins and sign-outs", func() { h.checkSignIns(mode, all, first) })

			t.Run("a redeploy changes nothing", func(t *testing.T) {
				h := h.in(t)
				var again []deployed
				logTime(t, "50 redeploys at once", func() { again = h.deployAll(all) })
				for i, d := range again {
					if d.Changed || d.Calls.Writes != 0 {
						t.Errorf("redeploy of %s: changed %v, %d writes, want none; plan %v", all[i].name, d.Changed, d.Calls.Writes, d.Plan)
					}
					if d.Environment != first[i].Environment {
						t.Errorf("redeploy of %s has environment %v, had %v (R68)", all[i].name, d.Environment, first[i].Environment)
					}
				}
			})
			t.Run("superseded addresses stay for three commits and then go", func(t *testing.T) {
				h := h.in(t)
				for range claim.KeptSets + 1 {
					for i := range all {
						all[i].commit++
					}
					h.deployAll(all)
				}
				h.checkSound()
				live := h.grants()
				for _, b := range all {
					g := live[b.deployment()]
					var callbacks []string
					for commit := b.commit - claim.KeptSets; commit <= b.commit; commit++ {
						callbacks = append(callbacks, branch{b.name, commit}.callbacks()...)
					}
					slices.Sort(callbacks)
					if diff := cmp.Diff(slices.Compact(callbacks), g.Claim.Entries().RedirectURIs); diff != "" {
						t.Errorf("callbacks of %s (-want +got):\n%s", b.name, diff)
					}
				}
			})
			t.Run("a prune of half of them harms no other", func(t *testing.T) { h.in(t).pruneHalf(mode, all) })
		})
	}
}

// checkEntries reads the environments back: every branch has exactly its own
// redirect URIs, or together exactly those of all.
func (h *house) checkEntries(mode claim.Mode, all []branch, results []deployed) {
	h.t.Helper()
	have := h.environments()
	var union []string
	for i, b := range all {
		union = append(union, b.callbacks()...)
		got := slices.Sorted(slices.Values(have[results[i].Environment.ClientID].RedirectURIs))
		if mode == claim.Dedicated {
			if diff := cmp.Diff(b.callbacks(), got); diff != "" {
				h.t.Errorf("redirect URIs of %s (-want +got):\n%s", b.name, diff)
			}
		}
	}
	if mode == claim.Shared {
		slices.Sort(union)
		got := slices.Sorted(slices.Values(have[results[0].Environment.ClientID].RedirectURIs))
		if diff := cmp.Diff(union, got); diff != "" {
			h.t.Errorf("redirect URIs of the shared environment (-want +got):\n%s", diff)
		}
	}
}

// checkSignIns signs a person in to each branch, on both of its hosts in turn,
// and out again to the branch's own homepage (R59).
func (h *house) checkSignIns(mode claim.Mode, all []branch, results []deployed) {
	h.t.Helper()
	if mode == claim.Shared {
		if err := h.addUser(results[0], "qa@shared.example"); err != nil {
			h.t.Fatal(err)
		}
	}
	indexes := make([]int, len(all))
	for i := range indexes {
		indexes[i] = i
	}
	eachAtOnce(indexes, 4, func(i int) {
		b, email := all[i], "qa@shared.example"
		if mode == claim.Dedicated {
			email = fmt.Sprintf("qa@%s.example", b.name)
			if err := h.addUser(results[i], email); err != nil {
				h.t.Error(err)
				return
			}
		}
		end, err := h.signInAndOut(results[i].Environment.ClientID, b.callbacks()[i%2], email)
		if err != nil {
			h.t.Errorf("sign-in to %s: %v", b.name, err)
			return
		}
		if end != b.branchOrigin() && end != b.branchOrigin()+"/" {
			h.t.Errorf("sign-out of %s ended at %q, want %s (R59)", b.name, end, b.branchOrigin())
		}
	})
}

// pruneHalf prunes the first half of the branches, each by a process of its
// own, while the other half and five of the first are deployed again.
func (h *house) pruneHalf(mode claim.Mode, all []branch) {
	h.t.Helper()
	half, both := len(all)/2, 5
	var prunes, deploys []*child
	for i, b := range all {
		if i < half {
			prunes = append(prunes, h.berth(nil, "prune", "--yes", "--json", "--branch", b.name))
		}
		if i < both || i >= half {
			all[i].commit++
			deploys = append(deploys, h.deploy(all[i], "--placement", string(mode)))
		}
	}
	for _, c := range prunes {
		decode[struct{}](h.t, c.wait(h.t))
	}
	for _, c := range deploys {
		decode[deployed](h.t, c.wait(h.t))
	}
	// A prune that was judged before the last deploy ended may come after it:
	// what is there must be whole, and what was not pruned must be there.
	h.checkSound()
	live := h.grants()
	for i, b := range all {
		g, ok := live[b.deployment()]
		switch {
		case i >= half && !ok:
			h.t.Errorf("%s was not pruned and is gone", b.name)
		case i >= both && i < half && ok:
			h.t.Errorf("%s was pruned and is %s", b.name, g.Claim.State)
		}
	}
}
