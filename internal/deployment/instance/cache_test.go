package instance

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/berthdev/berth/internal/claim"
)

// runs returns how often a function ran.
func runs(i *Instance, identifier string) int {
	n := 0
	entries, _, _ := i.Logs(0)
	for _, e := range entries {
		if e.Identifier == identifier {
			n++
		}
	}
	return n
}

func TestAQueryRunsOnceForAllAndPerCommitThatTouchesIt(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	subs := make([]*Subscription, 20)
	for n := range subs {
		subs[n] = i.Subscribe(Caller{Name: "SyncWorker"}, "notes:list", []byte("[{}]"), nil)
	}
	ask := func(want string) {
		t.Helper()
		v := i.View()
		var all sync.WaitGroup
		for _, s := range subs {
			all.Go(func() {
				r, err := s.At(t.Context(), v, false)
				if err != nil || string(r.Value) != want {
					t.Errorf("At = %+v, %v, want %s", r, err, want)
				}
			})
		}
		all.Wait()
	}
	ask(`[]`)
	ask(`[]`)
	if got := runs(i, "notes:list"); got != 1 {
		t.Errorf("the query ran %d times, want once", got)
	}
	out, err := i.Mutation(t.Context(), client, "notes:count", nil) // another table
	result(t, out, err)
	if subs[0].Fresh(i.View()) == nil {
		t.Error("a commit that touches nothing made the result stale")
	}
	ask(`[]`)
	old := i.View()
	for n := range 3 {
		out, err = i.Mutation(t.Context(), client, "notes:add", []byte(`[{"text":"a"}]`))
		result(t, out, err)
		ask([]string{`["a"]`, `["a","a"]`, `["a","a","a"]`}[n])
	}
	if got := runs(i, "notes:list"); got != 4 {
		t.Errorf("the query ran %d times, want 4: the first time and for each commit", got)
	}
	if _, err := subs[0].At(t.Context(), old, false); !errors.Is(err, ErrLater) {
		t.Errorf("At an older view = %v, want ErrLater", err)
	}
	if r, err := subs[0].At(t.Context(), old, true); err != nil || string(r.Value) != `[]` {
		t.Errorf("At an older view, alone = %+v, %v", r, err)
	}
	pushNotes(t, i)
	ask(`["a","a","a"]`)
	if _, err := subs[0].At(t.Context(), old, false); !errors.Is(err, ErrLater) {
		t.Errorf("At a view of older functions = %v, want ErrLater", err)
	}
	for _, s := range subs {
		s.Close()
	}
	if n := len(i.cache.entries); n != 0 {
		t.Errorf("%d results are kept that nobody asks for", n)
	}
}

func TestOutcomesOfMutationsAreKeptForAWhile(t *testing.T) {
	i := testInstance(t, claim.Dev)
	pushNotes(t, i)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			out, err := i.MutationOnce(t.Context(), client, "session", 1, "notes:count", nil)
			if err != nil || string(out.Value) != "1" {
				t.Errorf("MutationOnce = %s, %v, want 1", out.Value, err)
			}
		})
	}
	all.Wait()
	for n := range 3 { // a failure is not an outcome to keep
		if out, err := i.MutationOnce(t.Context(), client, "session", 2, "notes:none", nil); err != nil || out.Failure == nil {
			t.Errorf("MutationOnce %d = %+v, %v, want a failure", n, out, err)
		}
	}
	i.outcomes.bytes = keptOutcomeBytes
	out, err := i.MutationOnce(t.Context(), client, "session", 3, "notes:count", nil)
	if got := result(t, out, err); got != "2" || len(i.outcomes.runs) != 1 || len(i.outcomes.order) != 1 {
		t.Errorf("count = %s with %d outcomes kept, want the last one only", got, len(i.outcomes.runs))
	}
	if out, err = i.MutationOnce(t.Context(), client, "session", 4, "notes:count", nil); result(t, out, err) != fmt.Sprint(3) {
		t.Errorf("count = %s, want 3", out.Value)
	}
}
