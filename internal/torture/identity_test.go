//go:build unix

package torture

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/examples"
)

const (
	fewIdentityRounds  = 10
	manyIdentityRounds = 1000
	// signers is how many clients write at once while the server is killed.
	signers = 8
	// window is how long a refresh token may be presented again, and near is
	// where a slow machine makes a test unsure on which side it was.
	window = 30 * time.Second
	near   = 10 * time.Second
)

// TestTortureIdentity kills the server while people sign up and in, refresh,
// and are signed out, and starts it again: whatever was answered is true, and
// nothing that may be used once can be used twice.
func TestTortureIdentity(t *testing.T) {
	t.Parallel()
	seed, long := seedOf(t)
	rounds := fewIdentityRounds
	if long {
		rounds = manyIdentityRounds
	}
	w := newWriters(t, seed)
	for _, s := range w.all {
		s.renew()
		for range 3 { // somebody to begin with: hashing a password takes as long as a hundred writes
			s.createUser()
			s.password()
		}
	}
	// On a slow machine the rare ones may not come up before a kill.
	w.all[0].signUp()
	w.all[0].redeem()
	w.all[0].refresh()
	w.all[0].revoke()
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := 1; round <= rounds && !t.Failed(); round++ {
		w.writeUntilKilled(time.Duration(50+rng.IntN(450)) * time.Millisecond)
		w.serve()
		w.checkDatabase()
		w.checkOver()
		if t.Failed() || round%100 == 0 {
			t.Logf("round %d of seed %d", round, seed)
		}
	}
	w.count(t, rounds)
}

// writers are clients of one environment. Each has people and sessions of its
// own, so that it knows what the answers it got have promised.
type writers struct {
	*house
	clientID, apiKey string
	callback         string
	all              []*signer

	mu     sync.Mutex
	emails map[string]bool // of people whose sign-up was answered
}

func (w *writers) signedUp(email string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.emails[email] = true
}

func newWriters(t *testing.T, seed uint64) *writers {
	h := newHouse(t, examples.ReactVite)
	h.serve()
	d := h.deployAll([]branch{{"one", 1}})[0]
	if t.Failed() {
		t.FailNow()
	}
	w := &writers{house: h, clientID: d.Environment.ClientID, apiKey: h.key(d.Deployment).Reveal(), callback: d.Redirects[0], emails: map[string]bool{}}
	for i := range signers {
		w.all = append(w.all, &signer{w: w, name: fmt.Sprintf("w%d", i), rng: rand.New(rand.NewPCG(seed, uint64(i+1))), did: map[string]int{}})
	}
	return w
}

// writeUntilKilled lets all write and kills the server after d.
func (w *writers) writeUntilKilled(d time.Duration) {
	var wg sync.WaitGroup
	for _, s := range w.all {
		wg.Go(s.write)
	}
	time.Sleep(d)
	w.server.kill()
	wg.Wait()
}

// checkOver asks each writer to look over what it was promised.
func (w *writers) checkOver() {
	var wg sync.WaitGroup
	for _, s := range w.all {
		wg.Go(func() {
			s.renew()
			s.check()
		})
	}
	wg.Wait()
}

func (w *writers) count(t *testing.T, rounds int) {
	total := map[string]int{}
	users, sessions := 0, 0
	for _, s := range w.all {
		for what, n := range s.did {
			total[what] += n
		}
		users += len(s.users)
		sessions += len(s.live) + len(s.ended)
	}
	t.Logf("%d rounds; answered: %v; %d users and %d sessions were looked for after each", rounds, total, users, sessions)
	for _, what := range []string{"create user", "sign-up", "password", "code", "refresh", "revoke"} {
		if total[what] == 0 {
			t.Errorf("no %s was answered in %d rounds", what, rounds)
		}
	}
}

// TestTortureRefresh presents one refresh token fifty times at once: all get
// the same successor and an access token of their own, which works although the
// server is killed in the middle; a token of the generation before ends all.
func TestTortureRefresh(t *testing.T) {
	t.Parallel()
	seed, long := seedOf(t)
	rounds := 4
	if long {
		rounds = 40
	}
	w := newWriters(t, seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := w.all[0]
	for round := range rounds {
		s.renew()
		s.createUser()
		s.password()
		if t.Failed() {
			return
		}
		live := s.live[len(s.live)-1]
		s.live = s.live[:len(s.live)-1]
		killed := round%2 == 1
		answers := make([]map[string]any, fifty)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				status, body, err := s.post("/user_management/authenticate", "", s.refreshForm(live.token))
				if err == nil && status == 200 {
					answers[i] = body
				} else if err == nil || !killed {
					t.Errorf("refresh %d of %d at once = %d %v, %v; want 200", i, fifty, status, body, err)
				}
			})
		}
		if killed {
			time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
			w.server.kill()
		}
		wg.Wait()
		if killed {
			w.serve()
			s.renew()
			// Whether one was answered or none: the token gives its successor now.
			status, body, err := s.post("/user_management/authenticate", "", s.refreshForm(live.token))
			if err != nil || status != 200 {
				t.Fatalf("refresh after the kill = %d %v, %v; want 200", status, body, err)
			}
			answers = append(answers, body)
		}
		access := map[any]bool{}
		n, next := 0, ""
		for _, a := range answers {
			if a == nil {
				continue
			}
			n++
			access[a["access_token"]] = true
			token, _ := a["refresh_token"].(string)
			if next != "" && token != next {
				t.Errorf("refreshes of one token gave two successors")
			}
			next = token
		}
		if len(access) != n || next == live.token || next == "" {
			t.Errorf("%d refreshes of one token gave %d access tokens and the successor %v", n, len(access), next != live.token)
		}
		last := s.mustRefresh(next)
		s.mustRefuse("a token two generations old", live.token)
		s.mustRefuse("the newest token of a session ended by a replay", last)
	}
}

func (s *signer) refreshForm(token string) url.Values {
	return url.Values{"client_id": {s.w.clientID}, "grant_type": {"refresh_token"}, "refresh_token": {token}}
}
