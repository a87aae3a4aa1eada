package limit

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// after returns how long Take asks to wait, 0 when it allows.
func after(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*Exceeded](err)
	if !ok || !fault.Is(err, fault.RateLimited) || fault.Code(err) != "too_many_requests" || e.After <= 0 {
		t.Fatalf("Take = %#v, want a RateLimited fault around an *Exceeded", err)
	}
	return e.After
}

func TestTheWindowSlides(t *testing.T) {
	c := newClock()
	l := New(Rule{3, time.Minute}, c.now)
	for _, step := range []struct {
		wait time.Duration
		want time.Duration // that Take asks for
	}{
		{0, 0}, {20 * time.Second, 0}, {20 * time.Second, 0}, // at 0, 20 and 40 s
		{0, 20 * time.Second},
		{19 * time.Second, time.Second},
		{time.Second, 0}, // at 60 s the first one is out of the window
		{0, 20 * time.Second},
		{20 * time.Second, 0},
		{time.Hour, 0},
	} {
		c.advance(step.wait)
		if got := after(t, l.Take("ada")); got != step.want {
			t.Fatalf("Take at %s = wait %s, want %s", c.at.Format(time.TimeOnly), got, step.want)
		}
	}
}

func TestKeysAreApart(t *testing.T) {
	l := New(Rule{1, time.Minute}, newClock().now)
	for _, key := range [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {}} {
		if err := l.Take(key...); err != nil {
			t.Errorf("first Take(%q) = %v, want nil", key, err)
		}
		if after(t, l.Take(key...)) == 0 {
			t.Errorf("second Take(%q) = nil, want a refusal", key)
		}
	}
}

// However events fall, no window has more than Max, and whoever waits as told
// is allowed.
func TestNoWindowHasMoreThanTheRule(t *testing.T) {
	rule := Rule{100, time.Minute}
	c, r := newClock(), rand.New(rand.NewPCG(1, 2))
	l := New(rule, c.now)
	var allowed []time.Time
	for range 20_000 {
		c.advance(time.Duration(r.Int64N(int64(time.Second))))
		if wait := after(t, l.Take("k")); wait > 0 {
			c.advance(wait)
			if again := after(t, l.Take("k")); again != 0 {
				t.Fatalf("after waiting %s Take asks for %s more", wait, again)
			}
		}
		allowed = append(allowed, c.at)
		if n := len(allowed); n > rule.Max && allowed[n-1].Sub(allowed[n-1-rule.Max]) < rule.Per {
			t.Fatalf("%d events within %s, want at most %d in %s", rule.Max+1, allowed[n-1].Sub(allowed[n-1-rule.Max]), rule.Max, rule.Per)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := newClock()
	l := New(Rule{1_000_000, time.Minute}, c.now)
	for i := range 3 * keysKept {
		l.Take(strconv.Itoa(i))
	}
	if len(l.keys) != keysKept || l.recent.Len() != keysKept {
		t.Errorf("keys = %d and %d, want %d", len(l.keys), l.recent.Len(), keysKept)
	}
	for range 100_000 {
		c.advance(time.Millisecond)
		l.Take("busy")
	}
	if n := len(l.window(l.hash([]string{"busy"})).moments); n > grains+1 {
		t.Errorf("one key has %d moments, want at most %d", n, grains+1)
	}
}

func TestOffAllowsEverything(t *testing.T) {
	for name, l := range map[string]*Limiter{"zero rule": New(Rule{}, time.Now), "zero set": Set{}.Requests, "zero rules": NewSet(Rules{}, time.Now).Sends} {
		if l != nil || l.Take("x") != nil {
			t.Errorf("%s: limiter = %v, want none", name, l)
		}
	}
}

func TestCallersAtOnceGetNoMoreThanTheRule(t *testing.T) {
	l := New(Rule{50, time.Hour}, time.Now)
	var ok atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if l.Take("k") == nil {
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 50 {
		t.Errorf("allowed = %d, want 50", ok.Load())
	}
}

func BenchmarkTake(b *testing.B) {
	l := New(Documented().Requests, time.Now)
	for b.Loop() {
		l.Take("192.0.2.1")
	}
}
