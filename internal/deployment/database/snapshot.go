package database

import "time"

// Snapshots that were asked for stay readable this long, and so many of them.
const (
	keptFor       = 30 * time.Second
	keptSnapshots = 256
)

type snapshot struct {
	state *state
	until time.Time
}

// Pin keeps the latest moment readable for a while, for several queries that
// shall see the same, and returns its timestamp.
func (db *Database) Pin() Timestamp {
	now := db.now()
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.state
	kept := db.pinned[:0]
	for _, p := range db.pinned {
		if p.state.ts != s.ts && now.Before(p.until) {
			kept = append(kept, p)
		}
	}
	if len(kept) >= keptSnapshots {
		kept = kept[1:]
	}
	clear(db.pinned[len(kept):])
	db.pinned = append(kept, snapshot{state: s, until: now.Add(keptFor)})
	return s.ts
}

// BeginAt is Begin at a moment that Pin returned or at the latest one. ok is
// false when the moment is not kept.
func (db *Database) BeginAt(ts Timestamp) (tx *Tx, ok bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.state.ts == ts {
		return db.begin(db.state), true
	}
	for _, p := range db.pinned {
		if p.state.ts == ts {
			return db.begin(p.state), true
		}
	}
	return nil, false
}
