//go:build unix

package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/internal/workos/workostest"
)

// vendor is a WorkOS in memory behind a real listener, with faults on
// schedule while broken is set.
type vendor struct {
	*workostest.Server
	http    *httptest.Server
	faults  *workostest.Transport
	broken  atomic.Bool
	latency time.Duration // of every call
}

// hang is how long a hanging request is kept open. The child's own deadline is
// half a minute: the connection is closed before, which it must take as well.
const hang = time.Second

func newVendor(t testing.TB, seed uint64, percent int) *vendor {
	v := &vendor{Server: workostest.New(t)}
	v.faults = &workostest.Transport{Handler: v.Server, Seed: seed, Percent: percent}
	v.http = httptest.NewServer(v)
	t.Cleanup(v.http.Close)
	return v
}

// ServeHTTP answers, or does what the schedule says.
func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(v.latency)
	if !v.broken.Load() {
		v.Server.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), hang)
	defer cancel()
	resp, err := v.faults.RoundTrip(r.WithContext(ctx))
	if err != nil {
		reset(w)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil { // the body breaks off
		w.Header().Set("Content-Length", fmt.Sprint(len(data)+100))
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(data) // the client is to be left waiting
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(data) // the client is gone
}

// reset ends the connection with RST.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closing then resets
	}
	_ = conn.Close()
}

// env points the kits' variables at the vendor.
func (v *vendor) env() []string {
	u, _ := url.Parse(v.http.URL)
	return []string{"WORKOS_API_HOSTNAME=" + u.Hostname(), "WORKOS_API_PORT=" + u.Port(), "WORKOS_API_HTTPS=false"}
}

const handMadeKey = "sk_test_hand_made_environment"

// shared returns the environment that a person made, and a house whose builds
// have its credentials. Claims are kept in the ledger file of the machine.
func (v *vendor) shared(t testing.TB) (*workostest.Environment, *house) {
	e := v.AddEnvironment(handMadeKey)
	h := newHouse(t, examples.ReactVite)
	h.env = append(append(h.env, v.env()...), "WORKOS_CLIENT_ID="+e.ClientID, "WORKOS_API_KEY="+handMadeKey)
	return e, h
}

// dedicated returns a team of the Platform API, and a house whose builds have
// the platform's credentials.
func (v *vendor) dedicated(t testing.TB) (*workos.Platform, string, *house) {
	v.CanListEnvironments = true
	p, err := workos.NewPlatform(workos.PlatformOptions{Wire: wire.Client{Base: v.http.URL}, TokenURL: v.http.URL + "/oauth2/token",
		ClientID: workostest.ClientID, ClientSecret: secret.String(workostest.ClientSecret)})
	if err != nil {
		t.Fatal(err)
	}
	team, err := p.CreateTeam(t.Context(), workos.NewTeam{Name: "Acme", AdminEmail: "ada@acme.example"}, "")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, examples.ReactVite)
	h.env = append(append(h.env, v.env()...), "WORKOS_PLATFORM_CLIENT_ID="+workostest.ClientID, "WORKOS_PLATFORM_CLIENT_SECRET="+workostest.ClientSecret,
		"WORKOS_PLATFORM_TEAM_ID="+team.ID, "WORKOS_PLATFORM_TOKEN_URL="+v.http.URL+"/oauth2/token")
	return p, team.ID, h
}

// converge repeats a command until it succeeds and returns how often it failed.
// Every failure on the way has to name the call and the next step.
func (h *house) converge(command func() *child) (failures int) {
	h.t.Helper()
	for ; failures < 12; failures++ {
		e := command().wait(h.t)
		if e.code == 0 {
			return failures
		}
		if err := namesCallAndStep(e); err != nil {
			h.t.Errorf("%v\n%v", e, err)
		}
	}
	h.t.Errorf("twelve runs in a row failed")
	return failures
}

func namesCallAndStep(e ended) error {
	r, err := e.refusal()
	switch {
	case e.code != 1:
		return fmt.Errorf("want exit code 1")
	case err != nil:
		return err
	case !slices.ContainsFunc([]string{"GET /", "POST /", "PUT /", "DELETE /", " was made"}, func(call string) bool { return strings.Contains(r.Error.Message, call) }):
		return errors.New("want a message that names the call")
	case !strings.Contains(r.Error.Fix, "again"):
		return errors.New("want a next step")
	}
	return nil
}

// TestTortureWorkOSFaults deploys and prunes against a WorkOS that fails on
// schedule: a run converges, or stops with a message from which a person can go
// on, and the next ones converge.
func TestTortureWorkOSFaults(t *testing.T) {
	t.Parallel()
	first, long := seedOf(t)
	n := uint64(3)
	if long {
		n = 12
	}
	var all sync.WaitGroup // most of the time is waiting between retries
	for seed := first; seed != first+n; seed++ {
		all.Go(func() {
			t.Run(fmt.Sprintf("shared environment, seed %d", seed), func(t *testing.T) { sharedUnderFaults(t, seed) })
		})
		all.Go(func() {
			t.Run(fmt.Sprintf("dedicated environments, seed %d", seed), func(t *testing.T) { dedicatedUnderFaults(t, seed) })
		})
	}
	all.Wait()
}

func sharedUnderFaults(t *testing.T, seed uint64) {
	v := newVendor(t, seed, 40)
	e, h := v.shared(t)
	failures := 0
	b := branch{"a", 0}
	for b.commit = 1; b.commit <= 2+claim.KeptSets; b.commit++ {
		v.broken.Store(true)
		failures += h.converge(func() *child { return h.deploy(b) })
		v.broken.Store(false)
		h.converge(func() *child { return h.deploy(b) }) // what a run could only leave to the next
	}
	b.commit--
	var want []string
	for commit := 2; commit <= b.commit; commit++ {
		want = append(want, branch{"a", commit}.callbacks()...)
	}
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), e.RedirectURIs()); diff != "" {
		t.Errorf("redirect URIs (-want +got):\n%s", diff)
	}
	if e.Homepage() != b.branchOrigin() {
		t.Errorf("homepage = %q, want %q", e.Homepage(), b.branchOrigin())
	}
	v.checkQuiet(h, b)
	t.Logf("faults met: %v; %d runs failed", v.faults.Met(), failures)
}

func dedicatedUnderFaults(t *testing.T, seed uint64) {
	v := newVendor(t, seed, 40)
	p, team, h := v.dedicated(t)
	failures := 0
	v.broken.Store(true)
	list := branches(3)
	for i := range list {
		failures += h.converge(func() *child { return h.deploy(list[i]) })
	}
	failures += h.converge(func() *child { return h.berth(nil, "prune", "--yes", "--json", "--branch", list[0].name) })
	v.broken.Store(false)
	envs, err := p.ListEnvironments(t.Context(), team)
	if err != nil {
		t.Fatal(err)
	}
	if len(envs) != 2 {
		t.Errorf("environments %v, want one for each of the 2 branches that are left", envs)
	}
	v.checkQuiet(h, list[1])
	t.Logf("faults met: %v; %d runs failed", v.faults.Met(), failures)
}

// checkQuiet runs an unchanged deploy, which may only read.
func (v *vendor) checkQuiet(h *house, b branch) {
	h.t.Helper()
	v.ForgetCalls()
	d := decode[deployed](h.t, h.deploy(b).wait(h.t))
	if d.Changed || d.Calls.Writes != 0 {
		h.t.Errorf("unchanged deploy: changed %v, %d writes, want none", d.Changed, d.Calls.Writes)
	}
	for _, call := range v.Calls() {
		if !strings.HasPrefix(call, "GET ") && call != "POST /oauth2/token" {
			h.t.Errorf("unchanged deploy called %s", call)
		}
	}
}

// TestWorkOSKeepsWhatItCannotRemove holds R75: what the vendor has no call for
// stays and is reported; the rest goes.
func TestWorkOSKeepsWhatItCannotRemove(t *testing.T) {
	t.Parallel()
	v := newVendor(t, 0, 0)
	e, h := v.shared(t)
	const theirs = "https://by-hand.example/callback"
	e.Put(theirs, false)
	first := branch{"a", 1}
	decode[deployed](t, h.deploy(first).wait(t))
	e.MakeDefault(first.commitOrigin() + "/callback")
	var last deployed
	b := first
	for b.commit = 2; b.commit <= 3+claim.KeptSets; b.commit++ {
		last = decode[deployed](t, h.deploy(b).wait(t))
	}
	b.commit--
	got := e.RedirectURIs()
	for _, uri := range []string{theirs, first.commitOrigin() + "/callback"} {
		if !slices.Contains(got, uri) {
			t.Errorf("%s is gone, want it kept", uri)
		}
	}
	if uri := (branch{"a", 2}).commitOrigin() + "/callback"; slices.Contains(got, uri) {
		t.Errorf("%s is there after %d more commits, want it removed", uri, claim.KeptSets+1)
	}
	if len(e.Origins()) != b.commit+1 {
		t.Errorf("origins %v, want that of the branch and of each commit: none can be removed", e.Origins())
	}
	noted := map[string]bool{}
	for _, n := range last.Plan.Notes {
		noted[n.Resource+" "+n.Name] = true
	}
	for _, want := range []string{"redirect_uri " + first.commitOrigin() + "/callback", "cors_origin " + first.commitOrigin(), "cors_origin " + (branch{"a", 2}).commitOrigin()} {
		if !noted[want] {
			t.Errorf("the plan does not report that %s stays; it reports %v", want, noted)
		}
	}

	// The address that was superseded is wanted again: nothing blocks it.
	if took := elapsed(func() { decode[deployed](t, h.deploy(first).wait(t)) }); took > 20*time.Second {
		t.Errorf("a deploy of the first commit took %s, want no wait for an entry that nobody is removing", took)
	}

	type pruned struct {
		Released []struct {
			Removed []string
			Left    []struct{ Name, Reason string }
		}
	}
	p := decode[pruned](t, h.berth(nil, "prune", "--yes", "--json", "--branch", "a").wait(t))
	if len(p.Released) != 1 {
		t.Fatalf("prune released %v, want one deployment", p.Released)
	}
	if diff := cmp.Diff([]string{theirs, first.commitOrigin() + "/callback"}, sorted(e.RedirectURIs()), cmp.Transformer("sort", sorted)); diff != "" {
		t.Errorf("redirect URIs after the prune (-want +got):\n%s", diff)
	}
	left := map[string]bool{}
	for _, l := range p.Released[0].Left {
		left[l.Name] = l.Reason != ""
	}
	for _, name := range append(e.Origins(), first.commitOrigin()+"/callback") {
		if !left[name] {
			t.Errorf("prune does not report that %s stays (R75); it reports %v", name, left)
		}
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// Two branches share a hand-made environment with its one homepage: the first
// keeps it, and the other is told.
func TestWorkOSHomepageIsNotFlipped(t *testing.T) {
	t.Parallel()
	v := newVendor(t, 0, 0)
	e, h := v.shared(t)
	a, b := branch{"a", 1}, branch{"b", 1}
	for range 3 {
		decode[deployed](t, h.deploy(a).wait(t))
		d := decode[deployed](t, h.deploy(b).wait(t))
		if e.Homepage() != a.branchOrigin() {
			t.Errorf("homepage = %q, want %q", e.Homepage(), a.branchOrigin())
		}
		i := slices.IndexFunc(d.Plan.Notes, func(n struct{ Resource, Name, Reason string }) bool { return n.Resource == "homepage" })
		if i < 0 || !strings.Contains(d.Plan.Notes[i].Reason, a.branchOrigin()) {
			t.Errorf("notes of the second branch %v, want one that names the homepage %s", d.Plan.Notes, a.branchOrigin())
		}
		a.commit++
		b.commit++
	}
}
