//go:build unix

package torture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/claim"
)

func TestTwoDeploysOfOneBranchAtOnceShareOneEnvironment(t *testing.T) {
	t.Parallel()
	for _, mode := range []claim.Mode{claim.Dedicated, claim.Shared} {
		t.Run(string(mode), func(t *testing.T) {
			h := newHouse(t, examples.ReactVite)
			h.serve()
			b := branch{"same", 1}
			for b.commit = 1; b.commit <= 6; b.commit++ {
				got := h.deployAll([]branch{b, b}, "--placement", string(mode))
				if got[0].Environment != got[1].Environment {
					t.Errorf("commit %d: environments %v and %v, want the same", b.commit, got[0].Environment, got[1].Environment)
				}
				h.checkSound()
			}
			if n := len(h.environments()); n != 1 {
				t.Errorf("%d environments, want 1", n)
			}
		})
	}
}

func TestTwoCommitsOfOneBranchAtOnceBothStayReachable(t *testing.T) {
	t.Parallel()
	h := newHouse(t, examples.ReactVite)
	h.serve()
	h.deployAll([]branch{{"same", 1}, {"same", 2}, {"same", 3}, {"same", 4}})
	h.checkSound()
	entries := h.grants()[branch{name: "same"}.deployment()].Claim.Entries()
	if got := len(entries.RedirectURIs); got != 5 {
		t.Errorf("redirect URIs %v, want the branch's and those of 4 commits", entries.RedirectURIs)
	}
}

// A branch that returns to an earlier commit wants addresses that have just
// been superseded, one of them perhaps the default redirect URI, which stays.
func TestAnEarlierCommitIsWantedAgainAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []claim.Mode{claim.Dedicated, claim.Shared} {
		t.Run(string(mode), func(t *testing.T) {
			h := newHouse(t, examples.ReactVite)
			h.serve()
			for round := range 2 {
				for commit := 1; commit <= 6; commit++ {
					h.deployAll([]branch{{"back", commit}}, "--placement", string(mode))
				}
				if took := elapsed(func() { h.deployAll([]branch{{"back", 1}}) }); took.Seconds() > 20 {
					t.Errorf("round %d: the deploy of the first commit took %s, want no wait for a removal that is over", round, took)
				}
				h.checkSound()
			}
		})
	}
}

func TestPruneRacingWithDeployLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []claim.Mode{claim.Dedicated, claim.Shared} {
		t.Run(string(mode), func(t *testing.T) {
			h := newHouse(t, examples.ReactVite)
			h.serve()
			list := branches(6)
			h.deployAll(list, "--placement", string(mode))
			for range 3 {
				var all []*child
				for i := range list {
					list[i].commit++
					prune := func() { all = append(all, h.berth(nil, "prune", "--yes", "--json", "--branch", list[i].name)) }
					deploy := func() { all = append(all, h.deploy(list[i], "--placement", string(mode))) }
					order := []func(){prune, deploy}
					if i%2 == 0 {
						order = []func(){deploy, prune}
					}
					for _, do := range order {
						do()
					}
				}
				for _, c := range all {
					e := c.wait(t)
					r, err := e.refusal()
					switch {
					case e.code == 0:
					case strings.Contains(e.name, "prune") && err == nil && r.Error.Code == "unknown_deployment":
						// The last round's prune won, and this one came before the deploy.
					default:
						t.Errorf("%v\nwant exit code 0", e)
					}
				}
				h.checkSound()
			}
			// Whatever won: the next deploy makes it whole, and keeps nothing of before.
			h.deployAll(list, "--placement", string(mode))
			h.checkSound()
			if got := len(h.grants()); got != len(list) {
				t.Errorf("%d claims, want %d", got, len(list))
			}
		})
	}
}

// dev starts `berth dev --once` in a checkout.
func (h *house) dev(app string) *child {
	h.t.Helper()
	return start(h.t, app, h.env, "dev", "--once", "--json")
}

func TestTwoWorktreesAtOnceHaveTwoEnvironments(t *testing.T) {
	t.Parallel()
	h := newHouse(t, examples.NextJS)
	h.serve()
	a, b := h.checkout("a", examples.NextJS), h.checkout("b", examples.NextJS)
	ca, cb := h.dev(a), h.dev(b)
	da, db := decode[deployed](t, ca.wait(t)), decode[deployed](t, cb.wait(t))
	if da.Environment.ClientID == db.Environment.ClientID {
		t.Errorf("both worktrees have %s, want an environment each", da.Environment.ClientID)
	}
	for app, d := range map[string]deployed{a: da, b: db} {
		if text := readFile(t, filepath.Join(app, ".env.local")); !strings.Contains(text, "WORKOS_CLIENT_ID="+d.Environment.ClientID+"\n") {
			t.Errorf(".env.local of %s does not hold %s", app, d.Environment.ClientID)
		}
	}
	h.checkSound()
}

func TestTwoDevRunsInOneWorktreeAtOnceShareOneEnvironment(t *testing.T) {
	t.Parallel()
	for range 4 {
		h := newHouse(t, examples.NextJS)
		h.serve()
		env := filepath.Join(h.app, ".env.local")
		if err := os.WriteFile(env, []byte(mine), 0o600); err != nil {
			t.Fatal(err)
		}
		ca, cb := h.dev(h.app), h.dev(h.app)
		da, db := decode[deployed](t, ca.wait(t)), decode[deployed](t, cb.wait(t))
		if da.Environment != db.Environment {
			t.Errorf("environments %v and %v, want the same", da.Environment, db.Environment)
		}
		h.checkSound()
		if n := len(h.environments()); n != 1 {
			t.Errorf("%d environments, want 1", n)
		}
		checkEnvFile(t, env, da.Environment.ClientID)
		before := readFile(t, env)
		again := decode[deployed](t, h.dev(h.app).wait(t))
		if again.Calls.Writes != 0 || readFile(t, env) != before {
			t.Errorf("the next run made %d writes and changed .env.local %v, want neither", again.Calls.Writes, readFile(t, env) != before)
		}
	}
}

// mine is what a person has in .env.local: no byte of it is Berth's.
const mine = "# keep me\r\nSECRET='a # b'\nEMPTY=\n\n  INDENTED = yes # why\nMULTI=\"one\ntwo\"\n"

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// checkEnvFile fails the test unless the person's part of .env.local is there
// byte for byte and Berth's block, when there is one, is whole. An empty
// clientID is not compared.
func checkEnvFile(t testing.TB, path, clientID string) {
	t.Helper()
	text := readFile(t, path)
	rest, ok := strings.CutPrefix(text, mine)
	if !ok {
		t.Errorf("%s lost what a person wrote:\n%q", path, text)
		return
	}
	if rest == "" && clientID == "" {
		return // not written yet
	}
	values := map[string]string{}
	for line := range strings.Lines(rest) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok && !strings.HasPrefix(line, "#") {
			if _, twice := values[name]; twice {
				t.Errorf("%s has %s twice", path, name)
			}
			values[name] = value
		}
	}
	if !strings.HasSuffix(rest, "\n") {
		t.Errorf("%s ends in the middle of a line:\n%q", path, rest)
	}
	for _, name := range []string{"WORKOS_CLIENT_ID", "WORKOS_API_KEY", "NEXT_PUBLIC_WORKOS_REDIRECT_URI", "WORKOS_COOKIE_PASSWORD", "WORKOS_API_HOSTNAME"} {
		if values[name] == "" {
			t.Errorf("%s has no %s:\n%q", path, name, rest)
		}
	}
	if got := values["WORKOS_CLIENT_ID"]; clientID != "" && got != clientID {
		t.Errorf("%s has client ID %s, want %s", path, got, clientID)
	}
}
