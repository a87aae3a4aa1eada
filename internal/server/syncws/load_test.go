package syncws

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment/instance"
)

// load is many clients of two deployments while mutations come in at a rate.
type load struct {
	clients   int // of the first deployment; the second has a tenth
	mutations int
	every     time.Duration
}

// The counters of the second deployment begin here, so that a value tells whose it is.
const second = 1_000_000

// written is what was asked for one counter: when each value began to be written.
type written struct {
	turn   sync.Mutex // one writer at a time, so that it is known who wrote which value
	mu     sync.Mutex // guards what follows
	starts map[int]time.Time
	last   int
}

// loaded is the state of one run.
type loaded struct {
	r        *rig
	counters [2]map[string]*written
	mu       sync.Mutex
	delays   []time.Duration
	call     []time.Duration // of the mutations alone
}

// queriesOf are the ten queries of a client: some are everybody's, some its own;
// the first three are written to.
func queriesOf(n int) (paths, args, counters []string) {
	add := func(path, owner, counter string) {
		arg := "{}"
		if owner != "" {
			arg = fmt.Sprintf(`{"owner":%q}`, owner)
		}
		paths, args, counters = append(paths, path), append(args, arg), append(counters, counter)
	}
	add("users:counter", "everybody", "everybody")
	add("users:counter", fmt.Sprintf("hot%d", n%10), fmt.Sprintf("hot%d", n%10))
	add("users:mine", "", fmt.Sprintf("user%d", n))
	for k := range 5 {
		add("users:counter", fmt.Sprintf("cold%d", k), "")
	}
	add("users:me", "", "")
	add("users:counter", fmt.Sprintf("untouched%d", n), "")
	return paths, args, counters
}

func (l load) run(t testing.TB) *loaded {
	t.Helper()
	s := &loaded{r: newRig(t, 2, claim.Dev)}
	counts := [2]int{l.clients, max(l.clients/10, 2)}
	type subscriber struct {
		*client
		k, n     int
		counters []string
	}
	var all []subscriber
	for k := range counts {
		s.counters[k] = map[string]*written{}
		names := []string{"everybody"}
		for n := range 10 {
			names = append(names, fmt.Sprintf("hot%d", n))
		}
		for n := range counts[k] {
			names = append(names, fmt.Sprintf("user%d", n))
		}
		for _, name := range names {
			s.counters[k][name] = &written{starts: map[int]time.Time{}, last: k * second}
		}
		for n := range counts[k] {
			c := s.r.connect(k)
			c.authenticate(s.r.clock.user(t, fmt.Sprintf("user%d", n)))
			paths, args, counters := queriesOf(n)
			var mods []string
			for id := range paths {
				mods = append(mods, fmt.Sprintf(`{"type":"Add","queryId":%d,"udfPath":%q,"args":[%s]}`, id, paths[id], args[id]))
			}
			c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[%s]}`, strings.Join(mods, ","))
			all = append(all, subscriber{c, k, n, counters})
		}
	}
	for _, c := range all {
		c.until("all queries", func(received) bool { return c.at.QuerySet == 1 })
		if want := fmt.Sprintf(`"http://issuer.test/|user%d"`, c.n); string(c.results[8].Value) != want {
			t.Fatalf("client %d: me = %s, want %s", c.n, c.results[8].Value, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var readers sync.WaitGroup
	finals := make(chan struct{}) // closed when nothing is written any more
	errs := make(chan error, len(all))
	for _, c := range all {
		readers.Go(func() {
			if err := s.follow(ctx, c.client, c.k, c.counters, finals); err != nil {
				errs <- fmt.Errorf("client %d of deployment %d: %w", c.n, c.k, err)
			}
		})
	}
	s.write(ctx, t, l, counts)
	close(finals)
	// One last commit for everybody: who has all else learns that it is done.
	for k := range counts {
		s.mutate(ctx, t, k, "everybody")
	}
	readers.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	return s
}

// write runs the mutations, as many of the first deployment as of the second.
func (s *loaded) write(ctx context.Context, t testing.TB, l load, counts [2]int) {
	var running sync.WaitGroup
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for n := range l.mutations {
		<-tick.C
		running.Go(func() {
			k := n % 2
			name := fmt.Sprintf("hot%d", rand.IntN(10)) //nolint:gosec // a load, no secret
			switch n % 10 {
			case 0, 1:
				name = "everybody"
			case 2, 3:
				name = fmt.Sprintf("user%d", n/10%counts[k])
			}
			s.mutate(ctx, t, k, name)
		})
	}
	running.Wait()
}

func (s *loaded) mutate(ctx context.Context, t testing.TB, k int, name string) {
	w := s.counters[k][name]
	w.turn.Lock()
	defer w.turn.Unlock()
	begun := time.Now()
	w.mu.Lock()
	w.last++
	value := w.last
	w.starts[value] = begun
	w.mu.Unlock()
	i, release, err := s.r.registry.Open(ctx, s.r.names[k])
	if err != nil {
		t.Error(err)
		return
	}
	defer release()
	out, err := i.Mutation(ctx, instance.Caller{Name: "HttpApi"}, "users:count", fmt.Appendf(nil, `[{"owner":%q,"from":%d}]`, name, k*second+1))
	if err != nil || string(out.Value) != fmt.Sprint(value) {
		t.Errorf("count %s = %s, %v, want %d", name, out.Value, err, value)
		return
	}
	s.mu.Lock()
	s.call = append(s.call, time.Since(begun))
	s.mu.Unlock()
}

// follow reads what a client is sent until it has the final state.
func (s *loaded) follow(ctx context.Context, c *client, k int, counters []string, finals <-chan struct{}) error {
	have := make([]int, len(counters))
	var delays []time.Duration
	defer func() {
		s.mu.Lock()
		s.delays = append(s.delays, delays...)
		s.mu.Unlock()
	}()
	done := func() bool {
		select {
		case <-finals:
		default:
			return false
		}
		for id, name := range counters {
			if name == "" {
				continue
			}
			w := s.counters[k][name]
			w.mu.Lock()
			last := w.last
			w.mu.Unlock()
			if have[id] != last && last != k*second {
				return false
			}
		}
		return true
	}
	for {
		_, data, err := c.conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("has %v: %w", have, err)
		}
		at := time.Now()
		m, err := c.take(data)
		if err != nil {
			return err
		}
		for _, x := range m.Modifications {
			var values []int
			if counters[x.QueryID] == "" || json.Unmarshal(x.Value, &values) != nil || len(values) != 1 {
				return fmt.Errorf("query %d, which nobody wrote to, became %s", x.QueryID, x.Value)
			}
			if values[0]/second != k || values[0] <= have[x.QueryID] {
				return fmt.Errorf("query %d went from %d to %d", x.QueryID, have[x.QueryID], values[0])
			}
			have[x.QueryID] = values[0]
			w := s.counters[k][counters[x.QueryID]]
			begun, known := w.began(values[0])
			if !known {
				return fmt.Errorf("query %d has %d, which nobody wrote", x.QueryID, values[0])
			}
			delays = append(delays, at.Sub(begun))
		}
		if done() {
			return nil
		}
	}
}

func (w *written) began(value int) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.starts[value]
	return at, ok
}

func quantile(d []time.Duration, q float64) float64 {
	slices.Sort(d)
	if len(d) == 0 {
		return 0
	}
	return float64(d[int(q*float64(len(d)-1))].Microseconds()) / 1000
}

// Every client converges, and none sees another deployment's data.
func TestClientsConvergeWhileMutationsComeIn(t *testing.T) {
	s := load{clients: 50, mutations: 60, every: 10 * time.Millisecond}.run(t)
	if len(s.delays) == 0 {
		t.Error("no client was told of anything")
	}
	t.Logf("%d updates, p50 %.1f ms, p99 %.1f ms; the mutation alone %.1f ms", len(s.delays), quantile(s.delays, 0.5), quantile(s.delays, 0.99), quantile(s.call, 0.5))
}

// BenchmarkUpdate is 1,000 clients with ten queries each while mutations come in
// at 50/s, for six seconds: from the start of a mutation to its result at a
// client, with the mutation alone (call) and an idle deployment's query beside it.
func BenchmarkUpdate(b *testing.B) {
	for b.Loop() {
		s := load{clients: 1000, mutations: 300, every: 20 * time.Millisecond}.run(b)
		b.ReportMetric(quantile(s.delays, 0.5), "p50-ms")
		b.ReportMetric(quantile(s.delays, 0.99), "p99-ms")
		b.ReportMetric(float64(len(s.delays)), "updates")
		b.ReportMetric(quantile(s.call, 0.5), "call-p50-ms")
		b.ReportMetric(quantile(s.call, 0.99), "call-p99-ms")
	}
}
