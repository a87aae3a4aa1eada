package store_test

import (
	"testing"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

// TestAPIKeysAreRememberedOnlyWhileTheyHold uses a key until it is cached, then
// ends it in each way there is.
func TestAPIKeysAreRememberedOnlyWhileTheyHold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	db, err := store.Open(t.Context(), store.Options{Path: t.TempDir() + "/berth.db", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	team, err := db.FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(e *store.Env, id string) error{
		"its time comes": func(*store.Env, string) error { now = now.Add(2 * time.Hour); return nil },
		"it is expired":  func(e *store.Env, id string) error { return e.ExpireAPIKey(t.Context(), id, now) },
		"its environment is deleted": func(e *store.Env, _ string) error {
			return team.DeleteEnvironment(t.Context(), e.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			k, value, err := e.CreateAPIKey(t.Context(), "k", now.Add(time.Hour), "")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got, err := db.EnvByAPIKey(t.Context(), value.Reveal()); err != nil || got.ID != e.ID {
					t.Fatalf("EnvByAPIKey = %v, %v; want %s", got, err, e.ID)
				}
			}
			if err := end(e, k.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := db.EnvByAPIKey(t.Context(), value.Reveal()); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("EnvByAPIKey after the end = %v, want Unauthenticated", err)
			}
		})
	}
}
