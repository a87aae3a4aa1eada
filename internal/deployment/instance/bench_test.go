package instance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/store"
)

// resident returns the memory of this process in bytes: the engine's is not in Go's heap.
func resident(tb testing.TB) int {
	goruntime.GC()
	debug.FreeOSMemory()
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		pages, err := strconv.Atoi(string(bytes.Fields(data)[1]))
		if err != nil {
			tb.Fatal(err)
		}
		return pages * os.Getpagesize()
	}
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int(m.Sys - m.HeapReleased)
}

// deployments returns a registry and the names of n deployments with functions and a few documents.
func deployments(tb testing.TB, n int) (*Registry, []string) {
	tb.Helper()
	ctx := tb.Context()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(tb.TempDir(), "berth.db")})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	team, err := db.CreateTeam(ctx, "Acme", "admin@acme.example")
	if err != nil {
		tb.Fatal(err)
	}
	r := NewRegistry(Config{DB: db, Fetch: &deployment.Fetcher{}, Log: slog.New(slog.DiscardHandler), URLs: func(store.Deployment) (string, string) { return "http://127.0.0.1:1", "http://127.0.0.1:2" }})
	tb.Cleanup(r.Close)
	names := make([]string, n)
	for k := range names {
		d, _, err := team.OpenDeployment(ctx, fmt.Sprintf("shop%d", k), claim.Dev, "one", false)
		if err != nil {
			tb.Fatal(err)
		}
		names[k] = d.Name
		i, release, err := r.Open(ctx, d.Name)
		if err != nil {
			tb.Fatal(err)
		}
		pushNotes(tb, i)
		for range 10 {
			out, err := i.Mutation(ctx, client, "notes:add", []byte(`[{"text":"a note"}]`))
			result(tb, out, err)
		}
		release()
	}
	return r, names
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Microseconds()) / 1000
}

// BenchmarkIdleDeployments is what 100 deployments cost that were used and are
// still open, once they have rested, and after they were swept.
func BenchmarkIdleDeployments(b *testing.B) {
	const n = 100
	for b.Loop() {
		before := resident(b)
		r, _ := deployments(b, n)
		used := resident(b)
		r.rest(time.Now())
		rested := resident(b)
		r.sweep(time.Now())
		swept := resident(b)
		for unit, bytes := range map[string]int{"used-MB": used, "idle-MB": rested, "swept-MB": swept} {
			b.ReportMetric(float64(bytes-before)/1e6, unit)
		}
	}
}

// BenchmarkFirstCall is a query of a deployment that is not in memory, or that
// has no prepared context; BenchmarkWarmCall one of somebody who is signed in, on
// a deployment in use. Both are medians.
func BenchmarkFirstCall(b *testing.B) {
	r, names := deployments(b, 1)
	for _, state := range []string{"not in memory", "rested"} {
		b.Run(state, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				r.rest(time.Now())
				if state == "not in memory" {
					r.sweep(time.Now())
				}
				b.StartTimer()
				begun := time.Now()
				i, release, err := r.Open(b.Context(), names[0])
				if err != nil {
					b.Fatal(err)
				}
				out, err := i.Query(b.Context(), client, "notes:whoami", nil, nil)
				took = append(took, time.Since(begun))
				result(b, out, err)
				release()
			}
			b.ReportMetric(median(took), "median-ms")
		})
	}
}

func BenchmarkWarmCall(b *testing.B) {
	r, names := deployments(b, 1)
	i, release, err := r.Open(b.Context(), names[0])
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	who := Caller{Name: "HttpApi", Identity: &deployment.Identity{TokenIdentifier: "i|s", ExpiresAt: 1 << 40, Fields: map[string]json.RawMessage{"subject": json.RawMessage(`"s"`)}}}
	for _, pause := range []time.Duration{0, 10 * time.Millisecond} {
		name := "one after another"
		if pause > 0 {
			name = "100 per second"
		}
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				if pause > 0 {
					b.StopTimer()
					time.Sleep(pause)
					b.StartTimer()
				}
				begun := time.Now()
				out, err := i.Query(b.Context(), who, "notes:whoami", nil, nil)
				took = append(took, time.Since(begun))
				result(b, out, err)
			}
			b.ReportMetric(median(took), "median-ms")
		})
	}
}
