//go:build unix

package torture

import (
	"fmt"
	"testing"
	"time"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
)

// BenchmarkUnchanged measures plan and deploy of a branch that is as it should
// be, as whole commands, with the calls they make.
func BenchmarkUnchanged(b *testing.B) {
	for _, command := range []string{"plan", "deploy"} {
		b.Run(command, func(b *testing.B) {
			h := newHouse(b, examples.ReactVite)
			h.serve()
			one := branch{"one", 1}
			h.deployAll([]branch{one})
			var last deployed
			for b.Loop() {
				last = decode[deployed](b, h.berth(one.env(), command, "--json").wait(b))
			}
			b.ReportMetric(float64(last.Calls.Reads), "reads/op")
			b.ReportMetric(float64(last.Calls.Writes), "writes/op")
		})
	}
}

// BenchmarkDeploys measures first deploys, each with a new branch: one after
// another, and fifty at once.
func BenchmarkDeploys(b *testing.B) {
	for _, mode := range []claim.Mode{claim.Dedicated, claim.Shared} {
		for _, n := range []int{1, fifty} {
			b.Run(fmt.Sprintf("%s/%d-at-once", mode, n), func(b *testing.B) {
				h := newHouse(b, examples.ReactVite)
				h.serve()
				done := 0
				for b.Loop() {
					list := branches(n)
					for i := range list {
						list[i].name = fmt.Sprintf("n%d", done)
						done++
					}
					h.deployAll(list, "--placement", string(mode))
				}
				b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "deploys/s")
			})
		}
	}
}

// BenchmarkDeploy50ms measures a deploy with four hosts, as a whole command,
// where every call to WorkOS takes 50 ms, next to the order of the vendor's
// tool: each redirect URI, the homepage, each origin, one after another. The
// ratio is how many times longer that takes, without any time for a process.
func BenchmarkDeploy50ms(b *testing.B) {
	v := newVendor(b, 0, 0)
	v.latency = 50 * time.Millisecond
	var ours, unchanged, theirs time.Duration
	n := 0
	for b.Loop() {
		n++
		key := fmt.Sprintf("sk_test_%d", n)
		e := v.AddEnvironment(key)
		h := newHouse(b, examples.ReactVite)
		h.env = append(append(h.env, v.env()...), "WORKOS_CLIENT_ID="+e.ClientID, "WORKOS_API_KEY="+key)
		one := branch{"one", 1}
		deploy := func() {
			decode[deployed](b, h.deploy(one, "--url", "https://x.example.com", "--url", "https://y.example.com").wait(b))
		}
		ours += elapsed(deploy)
		unchanged += elapsed(deploy)

		key += "_sequential"
		v.AddEnvironment(key)
		client := workos.NewEnvironment(wire.Client{Base: v.http.URL}, "", secret.String(key))
		theirs += elapsed(func() { sequential(b, client, e.RedirectURIs(), e.Homepage(), e.Origins()) })
	}
	perRun := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(n) }
	b.ReportMetric(perRun(ours), "ms/first")
	b.ReportMetric(perRun(unchanged), "ms/unchanged")
	b.ReportMetric(perRun(theirs), "ms/sequential")
	b.ReportMetric(float64(theirs)/float64(ours), "ratio-first")
	b.ReportMetric(float64(theirs)/float64(unchanged), "ratio-unchanged")
}

func sequential(b *testing.B, client *workos.Environment, uris []string, homepage string, origins []string) {
	for _, uri := range uris {
		if _, err := client.AddRedirectURI(b.Context(), uri); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := client.SetHomepage(b.Context(), homepage); err != nil {
		b.Fatal(err)
	}
	for _, origin := range origins {
		if _, err := client.AddCORSOrigin(b.Context(), origin); err != nil {
			b.Fatal(err)
		}
	}
}
