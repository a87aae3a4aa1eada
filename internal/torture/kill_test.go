//go:build unix

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/claim"
)

const (
	fewRounds  = 16
	manyRounds = 200
)

// TestTortureKill kills deploys, prunes, dev runs and the server at random
// points and runs the same command again: nothing is orphaned, nothing lost,
// nothing half-written.
func TestTortureKill(t *testing.T) {
	t.Parallel()
	seed, long := seedOf(t)
	rounds := fewRounds
	if long {
		rounds = manyRounds
	}
	t.Logf("%d rounds", rounds)
	k := newKiller(t, seed)
	for round := 1; round <= rounds && !t.Failed(); round++ {
		k.round()
		if t.Failed() {
			t.Logf("round %d of seed %d: %s", round, seed, k.story)
		}
	}
	t.Logf("killed %d deploys, %d prunes, %d dev runs, %d servers; %d had ended before", k.killed["deploy"], k.killed["prune"], k.killed["dev"], k.killed["server"], k.missed)
	if left := k.temporary(); len(left) > 0 {
		t.Errorf("the app folders hold %q, want no file of a killed run after the next one", left)
	}
}

// seedOf returns the seed of a test and whether it is to run in its long form.
func seedOf(t *testing.T) (seed uint64, long bool) {
	t.Helper()
	seed, long = 1, os.Getenv("BERTH_TORTURE") != ""
	if long {
		seed = uint64(rand.Uint32())
	}
	if text := os.Getenv("BERTH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 32); err != nil {
			t.Fatalf("BERTH_SEED: %v", err)
		}
	}
	t.Logf("seed %d (repeat with BERTH_SEED=%d)", seed, seed)
	return seed, long
}

// killer plays the rounds. Its choices follow from the seed; what a process had
// done when the kill came does not.
type killer struct {
	*house
	rng    *rand.Rand
	list   []branch
	mode   map[string]claim.Mode
	dev    string        // folder of the developer's checkout
	took   time.Duration // about how long a command takes
	killed map[string]int
	missed int
	story  string // of this round
}

func newKiller(t *testing.T, seed uint64) *killer {
	k := &killer{house: newHouse(t, examples.ReactVite), rng: rand.New(rand.NewPCG(seed, 0)), list: branches(6), mode: map[string]claim.Mode{}, killed: map[string]int{}}
	k.serve()
	k.dev = k.checkout("dev", examples.NextJS)
	if err := os.WriteFile(k.envFile(), []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, b := range k.list {
		k.mode[b.name] = []claim.Mode{claim.Dedicated, claim.Shared}[i%2]
	}
	// A shared environment stays when its last deployment goes, for the next one
	// and its users: one branch is never pruned, so that it always has a claim.
	k.finish(k.house.deploy(branch{"anchor", 1}, "--placement", string(claim.Shared)))
	k.took = elapsed(func() { k.finish(k.deployOne(&k.list[0])) })
	return k
}

func (k *killer) envFile() string { return filepath.Join(k.dev, ".env.local") }

func (k *killer) say(format string, args ...any) {
	k.story += fmt.Sprintf(format, args...) + "; "
}

func (k *killer) round() {
	k.story = ""
	b := &k.list[k.rng.IntN(len(k.list))]
	switch dice := k.rng.IntN(10); {
	case dice < 5:
		b.commit++
		k.torture("deploy", func() *child { return k.deployOne(b) })
	case dice < 7:
		k.finish(k.deployOne(b))
		k.torture("prune", func() *child { return k.pruneOne(b) })
	default:
		k.devRound()
	}
	// What nobody has any more goes with the next prune, whoever it is for.
	decode[struct{}](k.t, k.berth(nil, "prune", "--yes", "--json").wait(k.t))
	k.checkSound()
}

func (k *killer) deployOne(b *branch) *child {
	return k.house.deploy(*b, "--placement", string(k.mode[b.name]))
}

func (k *killer) pruneOne(b *branch) *child {
	return k.berth(nil, "prune", "--yes", "--json", "--branch", b.name)
}

// torture starts a command, kills it or the server, and runs it again to its
// end. Now and then the next run is a prune of the branch instead, or a second
// run is under way meanwhile.
func (k *killer) torture(what string, command func() *child) {
	k.t.Helper()
	server := k.rng.IntN(4) == 0
	other := k.rng.IntN(4) == 0
	c := command()
	var second *child
	if other {
		k.say("a second %s at the same time", what)
		second = command()
	}
	time.Sleep(time.Duration(k.rng.Int64N(int64(k.took)) + 1))
	if server {
		k.say("server killed during %s", what)
		k.server.kill()
		k.killed["server"]++
		k.serve()
		k.outcome(c.wait(k.t))
	} else {
		k.say("%s killed", what)
		c.kill()
		if c.cmd.ProcessState.Exited() {
			k.missed++
		} else {
			k.killed[what]++
		}
	}
	if second != nil {
		k.outcome(second.wait(k.t))
	}
	took := elapsed(func() { k.finish(command()) })
	k.took = (3*k.took + took) / 4 // the machine may be busier at times
}

// outcome takes what became of a run whose server was killed, or next to which
// another one was: done, or an error with a next step.
func (k *killer) outcome(e ended) {
	k.t.Helper()
	if e.code == 0 || acceptable(e) {
		return
	}
	if r, err := e.refusal(); e.code != 1 || err != nil || r.Error.Fix == "" || r.Error.Kind == "internal" {
		k.t.Errorf("%v\nwant exit code 0, or 1 with a next step", e)
	}
}

// acceptable reports whether a prune found nothing because the killed one had
// ended its work.
func acceptable(e ended) bool {
	r, err := e.refusal()
	return err == nil && strings.Contains(e.name, "prune") && r.Error.Code == "unknown_deployment"
}

// finish waits for a run that must succeed.
func (k *killer) finish(c *child) {
	k.t.Helper()
	if e := c.wait(k.t); e.code != 0 && !acceptable(e) {
		k.t.Errorf("%v\nwant exit code 0", e)
	}
}

// devRound kills `berth dev --once`, sometimes with nothing there yet, and
// looks at .env.local right after the kill and after the next run.
func (k *killer) devRound() {
	k.t.Helper()
	if k.rng.IntN(2) == 0 {
		for key := range k.grants() {
			if strings.Contains(key, "/dev/") {
				k.say("dev deployment released")
				k.finish(start(k.t, k.dev, k.env, "prune", "--yes", "--json", "--deployment", key))
			}
		}
	}
	if err := os.WriteFile(k.envFile(), []byte(mine), 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.torture("dev", func() *child { return k.house.dev(k.dev) })
	checkEnvFile(k.t, k.envFile(), "")
	d := decode[deployed](k.t, k.house.dev(k.dev).wait(k.t))
	checkEnvFile(k.t, k.envFile(), d.Environment.ClientID)
	if d.Calls.Writes != 0 {
		k.t.Errorf("berth dev after the repeated run made %d writes, want none", d.Calls.Writes)
	}
}

// temporary returns files in the app folders that no app and no person has.
func (k *killer) temporary() []string {
	var left []string
	for _, dir := range []string{k.app, k.dev} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasPrefix(name, ".") && !slices.Contains([]string{".env.local", ".gitignore"}, name) {
				left = append(left, name)
			}
		}
	}
	return left
}
