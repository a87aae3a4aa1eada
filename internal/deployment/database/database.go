// Package database keeps the documents of one deployment: tables, indexes, a
// schema, transactions and the log of commits that subscriptions follow.
//
// All documents are in memory while a database is open, in trees that are copied
// on write: a transaction sees one moment and nobody waits for a reader. Commits
// are serializable (optimistic: what a transaction read is compared with what
// was written since) and durable in the Backing when they return.
package database

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// Timestamp orders commits: nanoseconds since 1970, each higher than the one before.
type Timestamp uint64

// Row is a document as it is kept: Value is the encoded JSON of all its fields,
// _id and _creationTime among them.
type Row struct {
	ID    string
	Table string
	Value []byte
}

// Meta is what a database is, besides its documents.
type Meta struct {
	Timestamp Timestamp
	Tables    map[string]uint32 // number of each table; ids hold it
	Schema    []byte            // JSON of the schema; nil for none
}

// Batch is one commit. It is written whole or not at all.
type Batch struct {
	Timestamp Timestamp
	Put       []Row
	Delete    []string          // ids
	Tables    map[string]uint32 // new ones
	Schema    []byte            // nil: as before
}

// Backing keeps a database on disk.
type Backing interface {
	// Load calls row for every document and returns the rest.
	Load(ctx context.Context, row func(Row) error) (Meta, error)
	// Write is durable when it returns nil.
	Write(ctx context.Context, b Batch) error
}

// keptCommits is how far back a transaction may have begun, and a subscription
// may ask what changed. Older ones are told to start again.
const keptCommits = 1024

// Database is one open database. It is safe for concurrent use.
type Database struct {
	backing Backing
	now     func() time.Time

	commit sync.Mutex // one commit at a time
	mu     sync.RWMutex
	state  *state
	log    []Commit // the last keptCommits, oldest first
	moved  chan struct{}
	pinned []snapshot

	copying sync.Mutex // copying a tree marks the original too
}

// Commit says what one commit wrote.
type Commit struct {
	Timestamp  Timestamp
	Everything bool // the schema changed: whatever was read may differ
	touched    []touch
}

// touch is one entry of one index that was added or removed.
type touch struct {
	index indexName
	key   string
}

type indexName struct{ table, index string }

// state is everything at one moment. It is never changed.
type state struct {
	ts      Timestamp
	tables  map[string]*table
	names   map[uint32]string
	schema  *Schema
	created float64 // the latest _creationTime
}

type table struct {
	name    string
	number  uint32
	indexes map[string]*index // by_id and by_creation_time always
}

type index struct {
	fields []path
	tree   *btree.Map[string, *Document]
}

// Document is one document; it does not change.
type Document struct {
	ID      string
	Table   string
	Encoded []byte // encoded JSON of all fields
}

// Fields returns all fields of the document, _id and _creationTime among them.
func (d *Document) Fields() value.Object {
	v, err := value.Parse(d.Encoded)
	fields, ok := v.(value.Object)
	if err != nil || !ok {
		panic("database: a document that was checked when it was written cannot be read") // memory is not what it was
	}
	return fields
}

// Open reads a database. now is its clock.
func Open(ctx context.Context, backing Backing, now func() time.Time) (*Database, error) {
	db := &Database{backing: backing, now: now, moved: make(chan struct{})}
	var rows []Row
	meta, err := backing.Load(ctx, func(r Row) error {
		if v, err := value.Parse(r.Value); err != nil {
			return err
		} else if _, ok := v.(value.Object); !ok {
			return fault.New(fault.Internal, "the document %s of table %s is no object", r.ID, r.Table)
		}
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := &state{ts: meta.Timestamp, tables: map[string]*table{}, names: map[uint32]string{}}
	if meta.Schema != nil {
		if s.schema, err = ParseSchema(meta.Schema); err != nil {
			return nil, err
		}
	}
	for name, number := range meta.Tables {
		s.addTable(name, number)
	}
	for _, r := range rows {
		t := s.tables[r.Table]
		if t == nil {
			return nil, fault.New(fault.Internal, "document %s is of the unknown table %s", r.ID, r.Table)
		}
		d := &Document{ID: r.ID, Table: r.Table, Encoded: r.Value}
		fields := d.Fields()
		for _, x := range t.indexes {
			x.tree.Set(x.key(fields), d)
		}
		created, _ := fields["_creationTime"].(float64)
		s.created = max(s.created, created)
	}
	db.state = s
	return db, nil
}

// addTable adds an empty table with the indexes of the schema.
func (s *state) addTable(name string, number uint32) *table {
	t := &table{name: name, number: number, indexes: map[string]*index{
		byID:           {tree: &btree.Map[string, *Document]{}, fields: nil},
		byCreationTime: {tree: &btree.Map[string, *Document]{}, fields: []path{{"_creationTime"}}},
	}}
	if s.schema != nil {
		for _, x := range s.schema.Tables[name].Indexes {
			t.indexes[x.Name] = &index{fields: paths(x.Fields), tree: &btree.Map[string, *Document]{}}
		}
	}
	s.tables[name], s.names[number] = t, name
	return t
}

// clone returns a copy whose maps may be changed; tables stay shared.
func (s *state) clone() *state {
	c := *s
	c.tables, c.names = maps.Clone(s.tables), maps.Clone(s.names)
	return &c
}

// own returns a copy of the table whose trees may be changed.
func (db *Database) own(t *table) *table {
	c := &table{name: t.name, number: t.number, indexes: make(map[string]*index, len(t.indexes))}
	db.copying.Lock()
	defer db.copying.Unlock()
	for name, x := range t.indexes {
		c.indexes[name] = &index{fields: x.fields, tree: x.tree.Copy()}
	}
	return c
}

func (db *Database) latest() *state {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.state
}

// Timestamp returns the latest commit's.
func (db *Database) Timestamp() Timestamp { return db.latest().ts }

// Schema returns the schema that documents are held to, or nil.
func (db *Database) Schema() *Schema { return db.latest().schema }

// Tables returns the names and sizes (documents) of the tables.
func (db *Database) Tables() map[string]int {
	all := map[string]int{}
	for name, t := range db.latest().tables {
		all[name] = t.indexes[byID].tree.Len()
	}
	return all
}

// ErrConflict says that something a transaction read was written since it
// began. The caller runs the function again.
var ErrConflict = fault.New(fault.Conflict, "Documents read from or written to a table changed while this mutation was being run and on every subsequent retry.").
	WithCode("OptimisticConcurrencyControlFailure")

// Begin returns a transaction at the latest commit.
func (db *Database) Begin() *Tx { return db.begin(db.latest()) }

func (db *Database) begin(at *state) *Tx {
	return &Tx{db: db, base: at, own: map[string]*table{}, reads: newReadSet(), limits: DefaultLimits}
}

// Commit makes what a transaction wrote durable and visible, and returns its
// timestamp: for one that wrote nothing that of its beginning.
func (db *Database) Commit(ctx context.Context, tx *Tx) (Timestamp, error) {
	if len(tx.written) == 0 {
		return tx.base.ts, nil
	}
	db.commit.Lock()
	defer db.commit.Unlock()
	now := db.latest()
	if now != tx.base {
		since, ok := db.since(tx.base.ts)
		if !ok {
			return 0, ErrConflict
		}
		for _, c := range since {
			if tx.reads.Touched(c) {
				return 0, ErrConflict
			}
		}
	}
	next := now.clone()
	next.ts = max(now.ts+1, Timestamp(max(0, db.now().UnixNano()))) //nolint:gosec // not negative
	next.created = max(now.created, tx.created)
	batch := Batch{Timestamp: next.ts, Tables: map[string]uint32{}}
	c := Commit{Timestamp: next.ts}
	changed := map[string]*table{}
	for id, w := range tx.written {
		t := changed[w.table]
		if t == nil {
			if old := next.tables[w.table]; old != nil {
				t = db.own(old)
			} else {
				// Two transactions may have made one table; the number is in its ids.
				if taken := next.names[tx.own[w.table].number]; taken != "" {
					return 0, ErrConflict
				}
				t = next.addTable(w.table, tx.own[w.table].number)
				batch.Tables[w.table] = t.number
			}
			if t.number != tx.own[w.table].number {
				return 0, ErrConflict
			}
			changed[w.table], next.tables[w.table] = t, t
		}
		c.touched = append(c.touched, t.replace(id, w)...)
		if w.after == nil {
			batch.Delete = append(batch.Delete, id)
		} else {
			batch.Put = append(batch.Put, Row{ID: id, Table: w.table, Value: w.after.Encoded})
		}
	}
	if err := db.backing.Write(ctx, batch); err != nil {
		return 0, err
	}
	db.publish(next, c)
	return next.ts, nil
}

// replace writes one document into the indexes and returns the entries that
// appeared and disappeared.
func (t *table) replace(id string, w write) []touch {
	var touched []touch
	var before, after value.Object
	if w.before != nil {
		before = w.before.Fields()
	}
	if w.after != nil {
		after = w.after.Fields()
	}
	for name, x := range t.indexes {
		at := indexName{t.name, name}
		if before != nil {
			key := x.key(before)
			x.tree.Delete(key)
			touched = append(touched, touch{at, key})
		}
		if after != nil {
			key := x.key(after)
			x.tree.Set(key, w.after)
			touched = append(touched, touch{at, key})
		}
	}
	return touched
}

// publish makes a state the latest one. The commit lock is held.
func (db *Database) publish(next *state, c Commit) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.state = next
	if len(db.log) >= 2*keptCommits {
		db.log = append([]Commit(nil), db.log[keptCommits:]...)
	}
	db.log = append(db.log, c)
	close(db.moved)
	db.moved = make(chan struct{})
}

// since returns the commits after ts, or false when they are no longer known.
func (db *Database) since(ts Timestamp) ([]Commit, bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	for i := len(db.log) - 1; i >= 0; i-- {
		if db.log[i].Timestamp <= ts {
			return db.log[i+1:], true
		}
	}
	// The log reaches back to the opening, or to what was dropped since.
	return db.log, len(db.log) < keptCommits
}

// Since returns the commits after ts, oldest first, and a channel that is closed
// at the next one. known is false when ts is too long ago to tell.
func (db *Database) Since(ts Timestamp) (commits []Commit, next <-chan struct{}, known bool) {
	db.mu.RLock()
	next = db.moved
	db.mu.RUnlock()
	commits, known = db.since(ts)
	return commits, next, known
}

// creation returns a _creationTime in milliseconds that is later than all before.
func creation(now time.Time, last float64) float64 {
	const step = 1.0 / 4096
	t := float64(now.UnixMicro()) / 1000
	return max(math.Floor(t/step)*step, last+step)
}
