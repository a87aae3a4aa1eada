package plan_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/internal/workos/workostest"
)

const key = "sk_test_key"

func client(tr *workostest.Transport, observe func(string, string, int)) *workos.Environment {
	return workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: tr}, Observe: observe}, "client_1", key)
}

// branch is what a preview of the given name wants.
func branch(name string) plan.Desired {
	host := "https://" + name + ".example.com"
	return plan.Desired{
		Target:       plan.Target{Deployment: "preview " + name, Environment: "staging", Server: "WorkOS", Placement: plan.Dedicated},
		RedirectURIs: []string{host + "/callback", "https://" + name + "-commit.example.com/callback"},
		Origins:      []string{host, "https://" + name + "-commit.example.com"},
		Homepage:     host,
	}
}

// run reads, plans and applies as a command does.
func run(ctx context.Context, e *workos.Environment, d plan.Desired, homepage plan.AppliedHomepage, hooks plan.Hooks) (*plan.Report, error) {
	actual, err := plan.Read(ctx, e, d)
	if err != nil {
		return nil, err
	}
	actual.Environment, actual.Homepage = &plan.EnvironmentState{ID: "environment_1"}, homepage
	return plan.Apply(ctx, plan.Diff(d, actual), plan.Targets{Environment: plan.WorkOS{Client: e}, Hooks: hooks})
}

func TestUnchangedEnvironmentCostsOnlyTheReads(t *testing.T) {
	s := workostest.New(t)
	s.AddEnvironment(key)
	e := client(&workostest.Transport{Handler: s}, nil)
	d := branch("x")
	report, err := run(t.Context(), e, d, plan.AppliedHomepage{}, plan.Hooks{})
	if err != nil || report.Count(plan.Done) != 5 {
		t.Fatalf("first run = %v, %v, want five changes done", report, err)
	}
	s.ForgetCalls()
	report, err = run(t.Context(), e, d, plan.AppliedHomepage{Value: d.Homepage, Known: true}, plan.Hooks{
		Intent: func(context.Context, []plan.Change) error { return errors.New("nothing was to be written") },
	})
	calls := s.Calls()
	slices.Sort(calls)
	if want := []string{"GET /user_management/cors_origins", "GET /user_management/redirect_uris"}; err != nil || len(report.Results) != 0 || !slices.Equal(calls, want) {
		t.Errorf("second run = %v, %v with calls %v, want %v (R21)", report, err, calls, want)
	}
}

// TestFaultSchedule: whatever goes wrong, an apply converges or stops with a
// message that names the call and the next step; the attempts are bounded; and
// a rerun without faults converges, losing nothing foreign.
func TestFaultSchedule(t *testing.T) {
	const foreign = "https://person.example.com/callback"
	var stoppedRuns, convergedRuns int
	met := map[workostest.Fault]int{}
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			s := workostest.New(t)
			state := s.AddEnvironment(key)
			state.Put(foreign, false)
			state.Put("https://old.example.com/callback", false)
			tr := &workostest.Transport{Handler: s, Seed: seed, Percent: []int{10, 30, 60, 95}[seed%4]}
			var attempts atomic.Int64
			e := client(tr, func(string, string, int) { attempts.Add(1) })
			d := branch("x")
			d.JWTTemplate = `{"aud":"x"}`
			d.Ours.RedirectURIs = []string{"https://old.example.com/callback"}
			start := time.Now()
			_, err := run(t.Context(), e, d, plan.AppliedHomepage{}, plan.Hooks{})
			// Three reads and seven writes, five attempts each, 30 s plus at most 8 s of waiting per attempt.
			if n := attempts.Load(); n > 50 {
				t.Errorf("seed %d: %d attempts, want 50 at most", seed, n)
			}
			if took := time.Since(start); took > 3*5*38*time.Second {
				t.Errorf("seed %d: took %v", seed, took)
			}
			if err != nil {
				stoppedRuns++
				f := fault.From(err)
				if !strings.Contains(f.Message, "/user_management/") || f.Fix == "" || f.Kind != fault.Unavailable && f.Kind != fault.RateLimited {
					t.Errorf("seed %d: stopped with %v (fix %q, kind %s), want the call and the next step", seed, err, f.Fix, f.Kind)
				}
			} else {
				convergedRuns++
			}
			for f, n := range tr.Met() {
				met[f] += n
			}
			tr.Percent = 0
			if _, err := run(t.Context(), e, d, plan.AppliedHomepage{}, plan.Hooks{}); err != nil {
				t.Fatalf("seed %d: the rerun stopped: %v", seed, err)
			}
			want := append(slices.Clone(d.RedirectURIs), foreign)
			slices.Sort(want)
			if diff := cmp.Diff(want, state.RedirectURIs()); diff != "" {
				t.Errorf("seed %d: redirect URIs (-want +got):\n%s", seed, diff)
			}
			origins := slices.Sorted(slices.Values(d.Origins))
			if diff := cmp.Diff(origins, state.Origins()); diff != "" || state.Homepage() != d.Homepage {
				t.Errorf("seed %d: homepage %s, origins (-want +got):\n%s", seed, state.Homepage(), diff)
			}
			actual, err := plan.Read(t.Context(), e, d)
			actual.Environment, actual.Homepage = &plan.EnvironmentState{}, plan.AppliedHomepage{Value: d.Homepage, Known: true}
			if p := plan.Diff(d, actual); err != nil || !p.Empty() {
				t.Errorf("seed %d: after the rerun the plan is %s, %v", seed, p.Text(nil), err)
			}
		})
	}
	if stoppedRuns < 30 || convergedRuns < 100 {
		t.Errorf("%d runs stopped and %d converged at once: the schedule is too mild or too harsh", stoppedRuns, convergedRuns)
	}
	for _, f := range workostest.Faults {
		if met[f] == 0 {
			t.Errorf("fault %s was never met", f)
		}
	}
}

// turns lets one of several actors act at a time, chosen by a seed. An actor
// acts between two calls of wait.
type turns struct {
	ask  chan chan struct{} // an actor is ready for its next step
	quit chan struct{}      // an actor has finished
}

func (g turns) wait() {
	mine := make(chan struct{})
	g.ask <- mine
	<-mine
}

// play runs n actors, step by step in an order that r decides.
func (g turns) play(r *rand.Rand, n int, actor func(i int)) {
	for i := range n {
		go func() { actor(i); g.quit <- struct{}{} }()
	}
	var ready []chan struct{}
	running := n
	for running > 0 || len(ready) > 0 {
		for running > 0 { // until all are ready or finished
			select {
			case mine := <-g.ask:
				ready = append(ready, mine)
			case <-g.quit:
			}
			running--
		}
		if len(ready) == 0 {
			return
		}
		i := r.IntN(len(ready))
		next := ready[i]
		ready = slices.Delete(ready, i, i+1)
		running++
		close(next)
	}
}

// gated is an HTTP transport whose every request waits for its turn.
type gated struct {
	turns
	next http.RoundTripper
}

func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	g.wait()
	return g.next.RoundTrip(r)
}

// TestInterleavedSharedPlansLeaveTheUnion (R57, R58): N deployments that share
// an environment deploy in any interleaving, each with one URI that it gives
// up. Some of those are just being claimed by a neighbour.
func TestInterleavedSharedPlansLeaveTheUnion(t *testing.T) {
	const n, foreign = 4, "https://person.example.com/callback"
	uri := func(i int) string { return fmt.Sprintf("https://h%d.example.com/callback", i) }
	putBack := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 58))
		s := workostest.New(t)
		state := s.AddEnvironment(key)
		state.Put(foreign, false)
		for i := range n {
			state.Put(uri(i), false)
		}
		var mu sync.Mutex
		claims := map[int][]string{}
		for i := range n {
			claims[i] = []string{uri(i)}
		}
		others := func(me int) (out []string) {
			mu.Lock()
			defer mu.Unlock()
			for i, c := range claims {
				if i != me {
					out = append(out, c...)
				}
			}
			return out
		}
		g := turns{ask: make(chan chan struct{}), quit: make(chan struct{})}
		want := []string{foreign}
		moves := make([]string, n)
		for i := range n {
			// Deployment i gives up its URI for a new one, or for its neighbour's old one.
			moves[i] = fmt.Sprintf("https://new%d.example.com/callback", i)
			if r.IntN(2) == 0 {
				moves[i] = uri((i + 1) % n)
			}
			want = append(want, moves[i])
		}
		g.play(r, n, func(i int) {
			d := plan.Desired{
				Target: plan.Target{Placement: plan.Shared}, RedirectURIs: []string{moves[i]}, Origins: []string{strings.TrimSuffix(moves[i], "/callback")},
				Ours: plan.Ours{RedirectURIs: []string{uri(i)}},
			}
			g.wait()
			mu.Lock()
			claims[i] = d.RedirectURIs // the claim is recorded before the plan reads
			mu.Unlock()
			d.Others.RedirectURIs = others(i)
			e := workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: gated{g, &workostest.Transport{Handler: s}}}}, "", key)
			// Reads one after another: an actor has one step at a time.
			var actual plan.Actual
			var err error
			if actual.RedirectURIs, err = e.ListRedirectURIs(context.Background()); err != nil {
				t.Error(err)
			}
			if actual.Origins, err = e.ListCORSOrigins(context.Background()); err != nil {
				t.Error(err)
			}
			report, err := plan.Apply(context.Background(), plan.Diff(d, actual), plan.Targets{
				Environment: plan.WorkOS{Client: e}, Parallel: 1,
				Hooks: plan.Hooks{Claimed: func(_ context.Context, c plan.Change) (bool, error) {
					g.wait()
					return slices.Contains(others(i), c.Name), nil
				}},
			})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			for _, result := range report.Results {
				if strings.Contains(result.Detail, "put back") {
					putBack++
				}
			}
			mu.Unlock()
		})
		slices.Sort(want)
		got := state.RedirectURIs()
		if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
			t.Fatalf("seed %d: redirect URIs (-want +got):\n%s", seed, diff)
		}
		if len(state.Origins()) < 1 {
			t.Fatalf("seed %d: origins are lost", seed)
		}
	}
	if putBack == 0 {
		t.Error("no interleaving had a claim made between check and removal")
	}
}

func TestClaimedEntryIsNotTouched(t *testing.T) {
	s := workostest.New(t)
	state := s.AddEnvironment(key)
	state.Put("https://a.example.com/cb", false)
	e := client(&workostest.Transport{Handler: s}, nil)
	d := plan.Desired{Ours: plan.Ours{RedirectURIs: []string{"https://a.example.com/cb"}}}
	report, err := run(t.Context(), e, d, plan.AppliedHomepage{}, plan.Hooks{
		Claimed: func(context.Context, plan.Change) (bool, error) { return true, nil },
	})
	deletes := slices.ContainsFunc(s.Calls(), func(c string) bool { return strings.HasPrefix(c, http.MethodDelete) })
	if err != nil || deletes || report.Count(plan.NotRemoved) != 1 {
		t.Errorf("Apply = %s, %v, calls %v, want nothing deleted", report.Text(nil), err, s.Calls())
	}
}

// backend is a deployment and an app folder in memory.
type backend struct {
	order     *[]string
	variables map[string]string
	files     map[string]string
	fail      error
}

func (b *backend) SetVariables(_ context.Context, changes []plan.VariableChange) error {
	if b.fail != nil {
		return b.fail
	}
	*b.order = append(*b.order, "variables")
	for _, c := range changes {
		if delete(b.variables, c.Name); !c.Remove {
			b.variables[c.Name] = c.Value.Reveal()
		}
	}
	return nil
}

func (b *backend) WriteFile(_ context.Context, f plan.FileChange) error {
	*b.order = append(*b.order, "file")
	text := string(f.After)
	for name, value := range f.Values {
		text = strings.ReplaceAll(text, "${"+name+"}", value.Reveal())
	}
	b.files[f.Path] = text
	return nil
}

type provisioner struct {
	order *[]string
	env   *workos.Environment
}

func (p provisioner) Provision(context.Context, plan.Change) (plan.Provisioned, error) {
	*p.order = append(*p.order, "environment")
	return plan.Provisioned{Environment: plan.WorkOS{Client: p.env}, Values: map[string]secret.String{"WORKOS_API_KEY": "sk_test_made"}}, nil
}

func (p provisioner) Release(context.Context, plan.Change) (workos.Outcome, error) {
	*p.order = append(*p.order, "release")
	return workos.Outcome{State: workos.Done}, nil
}

func TestApplyMakesTheEnvironmentFirstAndPassesItsValuesOn(t *testing.T) {
	s := workostest.New(t)
	state := s.AddEnvironment(key)
	var order []string
	b := &backend{order: &order, variables: map[string]string{}, files: map[string]string{}}
	d := branch("x")
	d.Environment.Name = "berth-x"
	d.Variables = []plan.DesiredVariable{{Name: "WORKOS_API_KEY", Secret: true, Pending: true}}
	d.Files = []plan.DesiredFile{{Path: ".env.local", Content: []byte("WORKOS_API_KEY=${WORKOS_API_KEY}\n"), Pending: true}}
	p := plan.Diff(d, plan.Actual{Variables: map[string]secret.String{}})
	if text := p.Text(nil); !strings.Contains(text, "+ environment  berth-x\n") || !strings.Contains(text, "WORKOS_API_KEY: (known once the environment is made)") {
		t.Errorf("Text = %s", text)
	}
	var intents, outcomes atomic.Int64
	report, err := plan.Apply(t.Context(), p, plan.Targets{
		Provisioner: provisioner{&order, client(&workostest.Transport{Handler: s}, nil)}, Variables: b, Files: b,
		Hooks: plan.Hooks{
			Intent: func(_ context.Context, changes []plan.Change) error {
				intents.Add(int64(len(changes)))
				if len(s.Calls()) != 0 || len(order) != 0 {
					t.Error("a write came before the intent")
				}
				return nil
			},
			Outcome: func(context.Context, plan.Result) error { outcomes.Add(1); return nil },
		},
	})
	if err != nil || report.Count(plan.Done) != 8 || intents.Load() != 8 || outcomes.Load() != 8 {
		t.Errorf("Apply = %s, %v, %d intents, %d outcomes, want eight of each", report.Text(nil), err, intents.Load(), outcomes.Load())
	}
	if want := []string{"environment", "variables", "file"}; !slices.Equal(order, want) || len(state.RedirectURIs()) != 2 {
		t.Errorf("order = %v, URIs %v, want %v", order, state.RedirectURIs(), want)
	}
	if b.variables["WORKOS_API_KEY"] != "sk_test_made" || b.files[".env.local"] != "WORKOS_API_KEY=sk_test_made\n" {
		t.Errorf("variables = %v, files = %v, want the made key", b.variables, b.files)
	}
}

func TestFirstHardFailureStopsNewWork(t *testing.T) {
	s := workostest.New(t)
	s.AddEnvironment(key)
	var order []string
	b := &backend{order: &order, variables: map[string]string{}, files: map[string]string{}, fail: fault.New(fault.Denied, "Convex answered POST /api/update_environment_variables with 403: no").WithCode("denied")}
	d := branch("x")
	d.Variables = []plan.DesiredVariable{{Name: "A", Value: "sk_test_hidden", Secret: true}}
	d.Files = []plan.DesiredFile{{Path: "f", Content: []byte("x")}}
	targets := plan.Targets{Environment: plan.WorkOS{Client: client(&workostest.Transport{Handler: s}, nil)}, Variables: b, Files: b}
	report, err := plan.Apply(t.Context(), plan.Diff(d, plan.Actual{}), targets)
	f := fault.From(err)
	if f == nil || f.Kind != fault.Denied || f.Code != "denied" || !strings.Contains(f.Message, "set variable A in preview x: Convex answered POST /api/update_environment_variables") || !strings.Contains(f.Fix, "same command again") {
		t.Errorf("Apply = %+v, want kind, code, call and next step", f)
	}
	if report.Count(plan.Done) != 5 || report.Count(plan.Failed) != 1 || report.Count(plan.NotStarted) != 1 || len(order) != 0 {
		t.Errorf("report = %s, want five done, one failed, one not started", report.Text(nil))
	}
	if strings.Contains(report.Text(nil)+err.Error(), "hidden") {
		t.Error("a secret is in report or error")
	}
	// A bad key stops the configuration: at most one slot's worth of calls was under way.
	bad := workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: &workostest.Transport{Handler: s}}}, "", "sk_test_wrong")
	s.ForgetCalls()
	many := plan.Desired{}
	for i := range 100 {
		many.RedirectURIs = append(many.RedirectURIs, fmt.Sprintf("https://h%d.example.com/cb", i))
	}
	_, err = plan.Apply(t.Context(), plan.Diff(many, plan.Actual{}), plan.Targets{Environment: plan.WorkOS{Client: bad}, Parallel: 4})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(fault.From(err).Fix, "WORKOS_API_KEY") || len(s.Calls()) > 8 {
		t.Errorf("Apply with a bad key = %v after %d calls, want it stopped at once", err, len(s.Calls()))
	}
}

func TestApplyRefusesWhatNobodyCanDo(t *testing.T) {
	p := plan.Diff(plan.Desired{RedirectURIs: []string{"https://a/cb"}, Variables: []plan.DesiredVariable{{Name: "A", Value: "1"}}}, plan.Actual{})
	s := workostest.New(t)
	s.AddEnvironment(key)
	_, err := plan.Apply(t.Context(), p, plan.Targets{Environment: plan.WorkOS{Client: client(&workostest.Transport{Handler: s}, nil)}})
	if err == nil || len(s.Calls()) != 0 {
		t.Errorf("Apply without a place for variables = %v after %d calls, want an error before any", err, len(s.Calls()))
	}
}

func TestInterruptedApplySaysWhatWasNotStarted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := workostest.New(t)
	s.AddEnvironment(key)
	recorded := 0
	report, err := plan.Apply(ctx, plan.Diff(branch("x"), plan.Actual{}), plan.Targets{
		Environment: plan.WorkOS{Client: client(&workostest.Transport{Handler: s}, nil)}, Parallel: 1,
		Hooks: plan.Hooks{Outcome: func(ctx context.Context, _ plan.Result) error { recorded++; cancel(); return ctx.Err() }},
	})
	if !fault.Is(err, fault.Interrupted) || fault.From(err).Fix == "" || recorded != report.Count(plan.Done) || report.Count(plan.NotStarted) == 0 {
		t.Errorf("Apply = %v, %d recorded, report\n%s", err, recorded, report.Text(nil))
	}
}

func TestRefusedHomepageAndDefaultURIAreWarnings(t *testing.T) {
	s := workostest.New(t)
	state := s.AddEnvironment("sk_live_key")
	state.Put("https://old.example.com/cb", true)
	e := workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: &workostest.Transport{Handler: s}}}, "", "sk_live_key")
	actual, err := plan.Read(t.Context(), e, plan.Desired{})
	if err != nil {
		t.Fatal(err)
	}
	actual.RedirectURIs[0].Default = false // a server that does not tell, like the emulator
	d := plan.Desired{Homepage: "http://localhost:3000", Ours: plan.Ours{RedirectURIs: []string{"https://old.example.com/cb"}}}
	report, err := plan.Apply(t.Context(), plan.Diff(d, actual), plan.Targets{Environment: plan.WorkOS{Client: e}})
	if err != nil || report.Count(plan.Refused) != 1 || report.Count(plan.NotRemoved) != 1 || len(report.Warnings()) != 2 {
		t.Errorf("Apply = %s, %v, want two warnings (R75)", report.Text(nil), err)
	}
}
