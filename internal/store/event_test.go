package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berthdev/berth/internal/identity"
)

// Events of one environment are bounded, in order of the writes, and nobody else's.
func TestEventsAreBoundedAndOrdered(t *testing.T) {
	db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "berth.db"), Describe: func(v any) ([]byte, error) { return json.Marshal(fmt.Sprintf("%T", v)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tm := team(t, db)
	e, other := env(t, tm, "one"), env(t, tm, "two")
	const surplus = 25
	err = db.write(t.Context(), func(tx *tx) error {
		for range (keptEvents + surplus) / 5 {
			if err := e.record(tx, slices.Repeat([]happened{{name: "user.updated", about: identity.User{}}}, 5)...); err != nil {
				return err
			}
		}
		return other.record(tx, happened{name: "user.created", about: identity.User{}})
	})
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := e.Events(t.Context(), EventFilter{}, Page{Limit: 100, Ascending: true})
	if err != nil || !slices.IsSortedFunc(first, func(a, b identity.Event) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) }) {
		t.Fatalf("Events = %v, %v; want them in order", first, err)
	}
	if err := db.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, _, err := e.Events(t.Context(), EventFilter{}, Page{Limit: 1, Ascending: true})
	if err != nil || len(left) != 1 || left[0].ID != first[surplus].ID {
		t.Errorf("the oldest event after Sweep = %v, %v; want %s", left, err, first[surplus].ID)
	}
	if list, _, err := other.Events(t.Context(), EventFilter{}, Page{Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("events of the other environment = %v, %v; want its one", list, err)
	}
}
