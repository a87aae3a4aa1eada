//go:build unix

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

const (
	fewMutationRounds  = 8
	manyMutationRounds = 500
	mutators           = 6
	// Rounds that share a deployment: its list must stay within the limits of one query.
	roundsPerDeployment = 8
)

// pairs is a pushed module: put writes the two halves of a pair in one mutation,
// with a read between them; list returns how many halves each pair has.
const pairs = `
const ask = async (op, a) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(a)));
const rows = async (table) => {
	const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query: { source: { type: "FullTableScan", tableName: table }, operators: [] } })));
	const all = [];
	for (;;) {
		const { value, done } = await ask("1.0/queryStreamNext", { queryId });
		if (done) return all;
		all.push(value);
	}
};
const register = (kind, handler) => ({ ["is" + kind]: true, isPublic: true, exportArgs: () => '{"type":"any"}', exportReturns: () => "null",
	["invoke" + kind]: async (text) => JSON.stringify((await handler(JSON.parse(text)[0])) ?? null) });
export const put = register("Mutation", async ({ name }) => {
	await ask("1.0/insert", { table: "halves", value: { name, side: "left" } });
	const [total] = await rows("totals");
	if (total === undefined) await ask("1.0/insert", { table: "totals", value: { n: 1 } });
	else await ask("1.0/shallowMerge", { id: total._id, value: { n: total.n + 1 } });
	await ask("1.0/insert", { table: "halves", value: { name, side: "right" } });
	return name;
});
export const list = register("Query", async () => {
	const halves = {};
	for (const { name } of await rows("halves")) halves[name] = (halves[name] ?? 0) + 1;
	const [total] = await rows("totals");
	return { halves, total: total?.n ?? 0 };
});
`

// TestTortureMutations kills the server while mutations run and starts it again:
// every mutation that was answered is there, none is there by half, and a
// counter that each of them raises agrees with them.
func TestTortureMutations(t *testing.T) {
	t.Parallel()
	seed, long := seedOf(t)
	rounds := fewMutationRounds
	if long {
		rounds = manyMutationRounds
	}
	h := newHouse(t, examples.ReactVite)
	h.serve()
	rng := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	answered := map[string]bool{}
	var origin string
	var next atomic.Int64
	total := 0
	for round := 1; round <= rounds && !t.Failed(); round++ {
		if (round-1)%roundsPerDeployment == 0 {
			origin = pushPairs(t, h, fmt.Sprintf("pairs-%d", round))
			total += len(answered)
			clear(answered)
		}
		var wg sync.WaitGroup
		for range mutators {
			wg.Go(func() {
				for {
					name := fmt.Sprintf("p%d", next.Add(1))
					var got string
					if err := call(origin, "mutation", "pairs:put", map[string]string{"name": name}, &got); err != nil {
						return // the server is gone, or what it answered is looked at below
					}
					mu.Lock()
					answered[got] = true
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(50+rng.IntN(400)) * time.Millisecond)
		h.server.kill()
		wg.Wait()
		h.serve()
		var state struct {
			Halves map[string]int `json:"halves"`
			Total  int            `json:"total"`
		}
		// The origins of deployments are opened beside the server's own.
		err := call(origin, "query", "pairs:list", struct{}{}, &state)
		for began := time.Now(); err != nil && time.Since(began) < 10*time.Second; err = call(origin, "query", "pairs:list", struct{}{}, &state) {
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Fatalf("round %d of seed %d: the deployment does not answer after a kill: %v", round, seed, err)
		}
		for name, n := range state.Halves {
			if n != 2 {
				t.Errorf("round %d of seed %d: %s has %d halves, want both", round, seed, name, n)
			}
		}
		for name := range answered {
			if state.Halves[name] == 0 {
				t.Errorf("round %d of seed %d: %s was answered and is not there", round, seed, name)
			}
		}
		if state.Total != len(state.Halves) {
			t.Errorf("round %d of seed %d: the counter is %d for %d pairs", round, seed, state.Total, len(state.Halves))
		}
	}
	total += len(answered)
	t.Logf("%d rounds, %d mutations answered", rounds, total)
	if total == 0 {
		t.Error("no mutation was answered")
	}
}

// pushPairs gives a new deployment of the server its functions and returns its origin.
func pushPairs(t *testing.T, h *house, name string) string {
	t.Helper()
	control := convex.NewControl(h.url, secret.String(h.token))
	me, err := h.ledger().Me(h.context())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := control.ProvisionAndAuthorize(h.context(), me.TeamSlug, name, convex.Dev)
	if err != nil {
		t.Fatal(err)
	}
	d, err := convex.NewDeployment(creds.URL, creds.AdminKey.Secret())
	if err != nil {
		t.Fatal(err)
	}
	module := func(path, source string) map[string]string {
		return map[string]string{"path": path, "source": source, "environment": "isolate"}
	}
	key := creds.AdminKey.Secret().Reveal()
	var started map[string]any
	err = d.Do(h.context(), wire.Call{Method: http.MethodPost, Path: "/api/deploy2/start_push", Out: &started, Body: map[string]any{"adminKey": key, "dryRun": false, "functions": "convex/",
		"componentDefinitions": []any{}, "nodeDependencies": []any{}, "appDefinition": map[string]any{"definition": module("convex.config.js", "export default {};"), "dependencies": []any{}, "schema": nil,
			"udfServerVersion": "1.48.0", "changedModules": []any{module("pairs.js", pairs)}, "unchangedModuleHashes": []any{}}}})
	if err == nil {
		err = d.Do(h.context(), wire.Call{Method: http.MethodPost, Path: "/api/deploy2/finish_push", Body: map[string]any{"adminKey": key, "startPush": started, "dryRun": false, "message": nil}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return creds.URL
}

// call runs a function over HTTP, once.
func call(origin, kind, path string, args, out any) error {
	body, err := json.Marshal(map[string]any{"path": path, "args": args, "format": "json"})
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 20 * time.Second}
	resp, err := client.Post(origin+"/api/"+kind, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Status       string          `json:"status"`
		Value        json.RawMessage `json:"value"`
		ErrorMessage string          `json:"errorMessage"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, strings.TrimSpace(answer.ErrorMessage))
	}
	return json.Unmarshal(answer.Value, out)
}
