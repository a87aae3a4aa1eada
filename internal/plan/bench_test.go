package plan_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/workos/workostest"
)

// BenchmarkNoOp measures reading, planning and applying an environment that is
// as it should be, with 50 entries of other branches in it.
func BenchmarkNoOp(b *testing.B) {
	s := workostest.New(b)
	state := s.AddEnvironment(key)
	for i := range 50 {
		state.Put(fmt.Sprintf("https://b%d.example.com/callback", i), false)
	}
	e := client(&workostest.Transport{Handler: s}, nil)
	d := branch("x")
	if _, err := run(b.Context(), e, d, plan.AppliedHomepage{}, plan.Hooks{}); err != nil {
		b.Fatal(err)
	}
	s.ForgetCalls()
	n := 0
	for b.Loop() {
		n++
		if _, err := run(b.Context(), e, d, plan.AppliedHomepage{Value: d.Homepage, Known: true}, plan.Hooks{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(s.Calls()))/float64(n), "calls/op")
}

// BenchmarkApply50ms applies a branch with three hosts where every call takes
// 50 ms, next to the order of the vendor's tool: each redirect URI, the
// homepage, each origin, one after another, without listing. The ratio is how
// many times longer that takes.
func BenchmarkApply50ms(b *testing.B) {
	d := branch("x")
	d.RedirectURIs = append(d.RedirectURIs, "http://localhost:3000/callback")
	d.Origins = append(d.Origins, "http://localhost:3000")
	var ours, theirs, repeat, theirRepeat time.Duration
	n := 0
	for b.Loop() {
		n++
		ctx := b.Context()
		s := workostest.New(b)
		s.AddEnvironment(key)
		e := client(&workostest.Transport{Handler: s, Latency: 50 * time.Millisecond}, nil)
		measure(b, &ours, func() error { _, err := run(ctx, e, d, plan.AppliedHomepage{}, plan.Hooks{}); return err })
		measure(b, &repeat, func() error {
			_, err := run(ctx, e, d, plan.AppliedHomepage{Value: d.Homepage, Known: true}, plan.Hooks{})
			return err
		})
		s2 := workostest.New(b)
		s2.AddEnvironment(key)
		sequential := client(&workostest.Transport{Handler: s2, Latency: 50 * time.Millisecond}, nil)
		one := func(ctx context.Context) error {
			for _, uri := range d.RedirectURIs {
				if _, err := sequential.AddRedirectURI(ctx, uri); err != nil {
					return err
				}
			}
			if _, err := sequential.SetHomepage(ctx, d.Homepage); err != nil {
				return err
			}
			for _, origin := range d.Origins {
				if _, err := sequential.AddCORSOrigin(ctx, origin); err != nil {
					return err
				}
			}
			return nil
		}
		measure(b, &theirs, func() error { return one(ctx) })
		measure(b, &theirRepeat, func() error { return one(ctx) })
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(n), "ms/first")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(n), "ms/first-sequential")
	b.ReportMetric(float64(theirs)/float64(ours), "ratio-first")
	b.ReportMetric(float64(theirRepeat)/float64(repeat), "ratio-unchanged")
}

func measure(b *testing.B, total *time.Duration, f func() error) {
	b.Helper()
	start := time.Now()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	*total += time.Since(start)
}
