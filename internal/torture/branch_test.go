//go:build unix

package torture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/secret"
)

// project is the slug of the example app that the tests deploy.
const project = "react-vite-authkit"

// branch is a preview as Vercel builds it: two hosts, of which the commit's
// changes with every push.
type branch struct {
	name   string
	commit int
}

func (b branch) branchOrigin() string { return "https://shop-git-" + b.name + "-acme.vercel.app" }

func (b branch) commitOrigin() string {
	return fmt.Sprintf("https://shop-%s-c%d-acme.vercel.app", b.name, b.commit)
}

func (b branch) callbacks() []string {
	list := []string{b.branchOrigin() + "/callback", b.commitOrigin() + "/callback"}
	slices.Sort(list)
	return list
}

// env is what Vercel sets in the build.
func (b branch) env() []string {
	bare := func(origin string) string { return strings.TrimPrefix(origin, "https://") }
	return []string{"VERCEL=1", "VERCEL_ENV=preview", "VERCEL_GIT_COMMIT_REF=" + b.name, fmt.Sprintf("VERCEL_GIT_COMMIT_SHA=%040d", b.commit),
		"VERCEL_BRANCH_URL=" + bare(b.branchOrigin()), "VERCEL_URL=" + bare(b.commitOrigin()),
		"VERCEL_GIT_REPO_OWNER=acme", "VERCEL_GIT_REPO_SLUG=shop"}
}

func (b branch) deployment() string {
	return claim.DeploymentKey(project, claim.Preview, b.name)
}

// branches returns n branches at their first commit.
func branches(n int) []branch {
	list := make([]branch, n)
	for i := range list {
		list[i] = branch{fmt.Sprintf("b%02d", i), 1}
	}
	return list
}

// deployed is the part of the JSON of `berth deploy` and `berth dev` that the
// tests look at.
type deployed struct {
	Deployment  string
	Placement   claim.Mode
	Environment struct {
		ID, Name string
		ClientID string `json:"client_id"`
	}
	Redirects []string `json:"redirect_uris"`
	Changed   bool
	Plan      struct {
		Changes []struct{ Action, Resource, Name string }
		Notes   []struct{ Resource, Name, Reason string }
	}
	Calls struct{ Reads, Writes int }
}

// deploy starts `berth deploy` of a branch.
func (h *house) deploy(b branch, args ...string) *child {
	h.t.Helper()
	return h.berth(b.env(), append([]string{"deploy", "--json"}, args...)...)
}

// deployAll deploys all branches at once and returns what each said.
func (h *house) deployAll(list []branch, args ...string) []deployed {
	h.t.Helper()
	running := make([]*child, len(list))
	for i, b := range list {
		running[i] = h.deploy(b, args...)
	}
	out := make([]deployed, len(list))
	for i, c := range running {
		out[i] = decode[deployed](h.t, c.wait(h.t))
	}
	return out
}

// ledger is a client of the server's own protocol.
func (h *house) ledger() *berth.Client { return berth.New(h.url, secret.String(h.token)) }

// grants returns all claims by deployment.
func (h *house) grants() map[string]claim.Grant {
	h.t.Helper()
	list, err := h.ledger().Claims(h.context(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]claim.Grant{}
	for _, g := range list {
		if _, twice := out[g.Claim.Deployment]; twice {
			h.t.Errorf("%s has two claims", g.Claim.Deployment)
		}
		out[g.Claim.Deployment] = g
	}
	return out
}

// environments returns all environments of the server by client ID.
func (h *house) environments() map[string]berth.Environment {
	h.t.Helper()
	list, err := h.ledger().Environments(h.context())
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]berth.Environment{}
	for _, e := range list {
		out[e.ClientID] = e
	}
	return out
}

// key returns the API key of a deployment's environment.
func (h *house) key(deployment string) secret.String {
	h.t.Helper()
	g, err := h.ledger().Claim(h.context(), deployment)
	if err != nil {
		h.t.Fatal(err)
	}
	return g.APIKey
}

// checkSound fails the test unless every claim is live and complete, every
// environment belongs to one, and no environment holds a redirect URI or origin
// that no claim wants.
func (h *house) checkSound() {
	h.t.Helper()
	want := map[string]claim.Entries{}
	for deployment, g := range h.grants() {
		if g.Claim.State != claim.Live {
			h.t.Errorf("claim of %s is %s, want live", deployment, g.Claim.State)
		}
		if !g.Placement.Bound() {
			h.t.Errorf("placement of %s is %s, want bound", deployment, g.Placement.State)
		}
		want[g.Placement.ClientID] = claim.Union(want[g.Placement.ClientID], g.Claim.Entries())
	}
	have := h.environments()
	for clientID, e := range have {
		wanted, ok := want[clientID]
		if !ok {
			h.t.Errorf("environment %s (%s) belongs to no claim", e.Name, clientID)
			continue
		}
		got := claim.Entries{RedirectURIs: e.RedirectURIs, CORSOrigins: e.CORSOrigins}
		if lost := wanted.Without(got); !lost.Empty() {
			h.t.Errorf("environment %s lost %v", e.Name, lost)
		}
		if foreign := got.Without(wanted); !foreign.Empty() {
			h.t.Errorf("environment %s has foreign entries %v", e.Name, foreign)
		}
	}
	for clientID := range want {
		if _, ok := have[clientID]; !ok {
			h.t.Errorf("environment %s of a claim does not exist", clientID)
		}
	}
	o, err := h.ledger().Orphans(h.context())
	if err != nil {
		h.t.Fatal(err)
	}
	if len(o.Environments)+len(o.Placements) > 0 {
		h.t.Errorf("orphans: environments %v, placements %v, want none", o.Environments, o.Placements)
	}
}

func eachAtOnce[T any](list []T, workers int, do func(T)) {
	slots := make(chan struct{}, workers)
	done := make(chan struct{})
	for _, v := range list {
		go func() {
			slots <- struct{}{}
			do(v)
			<-slots
			done <- struct{}{}
		}()
	}
	for range list {
		<-done
	}
}

func clientIDs(list []deployed) []string {
	var ids []string
	for _, d := range list {
		ids = append(ids, d.Environment.ClientID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// logTime logs how long a step took.
func logTime(t testing.TB, what string, do func()) {
	t.Helper()
	took := elapsed(do)
	t.Logf("%s: %.2f s", what, took.Seconds())
}
