package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// memory is a Backing that can be opened again.
type memory struct {
	mu   sync.Mutex
	rows map[string]Row
	meta Meta
	fail error
}

func newMemory() *memory {
	return &memory{rows: map[string]Row{}, meta: Meta{Tables: map[string]uint32{}}}
}

func (m *memory) Load(_ context.Context, row func(Row) error) (Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if err := row(r); err != nil {
			return Meta{}, err
		}
	}
	meta := m.meta
	meta.Tables = maps.Clone(meta.Tables)
	return meta, nil
}

func (m *memory) Write(_ context.Context, b Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for _, r := range b.Put {
		m.rows[r.ID] = r
	}
	for _, id := range b.Delete {
		delete(m.rows, id)
	}
	maps.Copy(m.meta.Tables, b.Tables)
	if b.Schema != nil {
		if m.meta.Schema = b.Schema; len(b.Schema) == 0 {
			m.meta.Schema = nil
		}
	}
	m.meta.Timestamp = b.Timestamp
	return nil
}

func open(t testing.TB, m *memory) *Database {
	t.Helper()
	db, err := Open(t.Context(), m, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func commit(t testing.TB, db *Database, fn func(tx *Tx)) Timestamp {
	t.Helper()
	tx := db.Begin()
	fn(tx)
	ts, err := db.Commit(t.Context(), tx)
	if err != nil {
		t.Fatalf("Commit = %v", err)
	}
	return ts
}

func insert(t testing.TB, tx *Tx, table string, fields value.Object) string {
	t.Helper()
	id, err := tx.Insert(table, fields)
	if err != nil {
		t.Fatalf("Insert(%s) = %v", value.Text(fields), err)
	}
	return id
}

func schema(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := ParseSchema([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func query(t testing.TB, text string) *Query {
	t.Helper()
	var q Query
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		t.Fatalf("query %s: %v", text, err)
	}
	return &q
}

func collect(t testing.TB, tx *Tx, q *Query) []value.Object {
	t.Helper()
	c, err := tx.Query(q)
	if err != nil {
		t.Fatalf("Query = %v", err)
	}
	all := []value.Object{}
	for {
		d, err := c.Next()
		if err != nil {
			t.Fatalf("Next = %v", err)
		}
		if d == nil {
			return all
		}
		all = append(all, d.Fields())
	}
}

const notes = `{"tables":[{"tableName":"notes","indexes":[{"indexDescriptor":"by_owner","fields":["owner","n"]},{"indexDescriptor":"by_deep","fields":["a.b"]}],
	"documentType":{"type":"any"}}],"schemaValidation":true}`

func TestDocumentsOutliveTheProcess(t *testing.T) {
	m := newMemory()
	db := open(t, m)
	if _, err := db.SetSchema(t.Context(), schema(t, notes)); err != nil {
		t.Fatal(err)
	}
	var kept, gone string
	commit(t, db, func(tx *Tx) {
		kept = insert(t, tx, "notes", value.Object{"owner": "ada", "n": 1.0})
		gone = insert(t, tx, "notes", value.Object{"owner": "bob", "n": 2.0})
		insert(t, tx, "other", value.Object{"x": value.Bytes{1}})
	})
	commit(t, db, func(tx *Tx) {
		if _, err := tx.Delete(gone); err != nil {
			t.Fatal(err)
		}
		if err := tx.Patch(kept, value.Object{"n": 5.0, "owner": value.Undefined{}}); err != nil {
			t.Fatal(err)
		}
	})
	again := open(t, m)
	if d := cmp.Diff(db.Tables(), again.Tables()); d != "" {
		t.Errorf("tables differ: %s", d)
	}
	tx := again.Begin()
	got := collect(t, tx, query(t, `{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Eq","fieldPath":"owner","value":{"$undefined":null}}]},"operators":[]}`))
	if len(got) != 1 || got[0]["n"] != 5.0 || got[0]["_id"] != kept {
		t.Errorf("the patched note = %v, want n 5 without owner", got)
	}
	id := insert(t, tx, "notes", value.Object{})
	if d, err := tx.Get(id); err != nil || d.Fields()["_creationTime"].(float64) <= got[0]["_creationTime"].(float64) {
		t.Errorf("a new document = %v, %v, want one created later than those before", d, err)
	}
	if again.Timestamp() != db.Timestamp() {
		t.Errorf("timestamp = %d, want %d", again.Timestamp(), db.Timestamp())
	}
}

func TestATransactionSeesItsOwnWritesAndNobodyElses(t *testing.T) {
	db := open(t, newMemory())
	first := db.Begin()
	id := insert(t, first, "notes", value.Object{"n": 1.0})
	if got := collect(t, first, query(t, `{"source":{"type":"FullTableScan","tableName":"notes"}}`)); len(got) != 1 {
		t.Errorf("the writer sees %d documents, want 1", len(got))
	}
	if first.TableOf(id) != "notes" || first.NormalizeID("notes", id) != id || first.NormalizeID("other", id) != "" {
		t.Error("the id of a new document is not one of its table")
	}
	other := db.Begin()
	if d, err := other.Get(id); d != nil || err != nil {
		t.Errorf("another transaction gets %v, %v, want nothing", d, err)
	}
	if _, err := db.Commit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if d, _ := other.Get(id); d != nil {
		t.Error("a transaction sees what was committed after it began")
	}
	if d, err := db.Begin().Get(id); d == nil || err != nil {
		t.Errorf("a later transaction gets %v, %v, want the document", d, err)
	}
}

// TestParallelMutationsLoseNothing lets many callers add to one counter, each
// running again after a conflict.
func TestParallelMutationsLoseNothing(t *testing.T) {
	db := open(t, newMemory())
	var id string
	commit(t, db, func(tx *Tx) { id = insert(t, tx, "counters", value.Object{"n": 0.0}) })
	const callers, times = 8, 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range times {
				for {
					tx := db.Begin()
					d, err := tx.Get(id)
					if err != nil {
						t.Error(err)
						return
					}
					if err := tx.Patch(id, value.Object{"n": d.Fields()["n"].(float64) + 1}); err != nil {
						t.Error(err)
						return
					}
					_, err = db.Commit(t.Context(), tx)
					if err == nil {
						break
					}
					if !errors.Is(err, ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	d, err := db.Begin().Get(id)
	if err != nil || d.Fields()["n"] != float64(callers*times) {
		t.Errorf("the counter = %v, %v, want %d", d.Fields()["n"], err, callers*times)
	}
}

func TestAReadOfARangeConflictsWithAWriteIntoIt(t *testing.T) {
	db := open(t, newMemory())
	if _, err := db.SetSchema(t.Context(), schema(t, notes)); err != nil {
		t.Fatal(err)
	}
	commit(t, db, func(tx *Tx) {
		for i := range 20 {
			insert(t, tx, "notes", value.Object{"owner": "ada", "n": float64(i)})
		}
	})
	for _, c := range []struct {
		name, read string
		write      value.Object
		conflict   bool
	}{
		{"within the range", `{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Eq","fieldPath":"owner","value":"ada"}]}}`, value.Object{"owner": "ada", "n": 3.5}, true},
		{"another owner", `{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Eq","fieldPath":"owner","value":"ada"}]}}`, value.Object{"owner": "bob", "n": 3.5}, false},
		{"behind what a limit let it read", `{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Eq","fieldPath":"owner","value":"ada"}]},"operators":[{"limit":3}]}`, value.Object{"owner": "ada", "n": 9.5}, false},
		{"before what a limit let it read", `{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Eq","fieldPath":"owner","value":"ada"}]},"operators":[{"limit":3}]}`, value.Object{"owner": "ada", "n": -1.0}, true},
		{"a table that is not there yet", `{"source":{"type":"FullTableScan","tableName":"new1"}}`, nil, true},
		{"another table", `{"source":{"type":"FullTableScan","tableName":"new2"}}`, value.Object{"owner": "ada", "n": 1.0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := db.Begin()
			collect(t, tx, query(t, c.read))
			insert(t, tx, "log", value.Object{})
			commit(t, db, func(other *Tx) {
				if c.write == nil {
					insert(t, other, "new1", value.Object{})
				} else {
					insert(t, other, "notes", c.write)
				}
			})
			_, err := db.Commit(t.Context(), tx)
			if got := errors.Is(err, ErrConflict); got != c.conflict {
				t.Errorf("conflict = %v (%v), want %v", got, err, c.conflict)
			}
		})
	}
}

func TestTheLogOfCommitsSaysWhatWasTouched(t *testing.T) {
	db := open(t, newMemory())
	tx := db.Begin()
	collect(t, tx, query(t, `{"source":{"type":"FullTableScan","tableName":"notes"}}`))
	commits, next, known := db.Since(tx.Timestamp())
	if len(commits) != 0 || !known {
		t.Fatalf("Since = %v, %v, want nothing", commits, known)
	}
	commit(t, db, func(tx *Tx) { insert(t, tx, "other", value.Object{}) })
	<-next
	commits, next, _ = db.Since(tx.Timestamp())
	if len(commits) != 1 || tx.Reads().Touched(commits[0]) {
		t.Errorf("a write to another table touches a read of notes")
	}
	commit(t, db, func(tx *Tx) { insert(t, tx, "notes", value.Object{}) })
	<-next
	commits, _, _ = db.Since(tx.Timestamp())
	if len(commits) != 2 || !tx.Reads().Touched(commits[1]) {
		t.Errorf("a write to notes does not touch a read of it")
	}
	for range 2*keptCommits + 1 {
		commit(t, db, func(tx *Tx) { insert(t, tx, "notes", value.Object{}) })
	}
	if _, _, known := db.Since(tx.Timestamp()); known {
		t.Error("Since knows everything that happened, want it to say that it was too much")
	}
}

// TestQueriesFindWhatASearchOfAllDocumentsFinds compares random index ranges,
// orders, filters and limits with the plain reading of them.
func TestQueriesFindWhatASearchOfAllDocumentsFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	db := open(t, newMemory())
	if _, err := db.SetSchema(t.Context(), schema(t, notes)); err != nil {
		t.Fatal(err)
	}
	pick := func() any {
		return []any{nil, 0.0, 1.0, 2.0, "a", "b", int64(1), value.Undefined{}}[r.IntN(8)]
	}
	var all []value.Object
	commit(t, db, func(tx *Tx) {
		for range 200 {
			doc := value.Object{}
			for _, name := range []string{"owner", "n"} {
				if v := pick(); v != (value.Undefined{}) {
					doc[name] = v
				}
			}
			id := insert(t, tx, "notes", doc)
			d, err := tx.Get(id)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d.Fields())
		}
	})
	field := func(doc value.Object, name string) any { return path{name}.of(doc) }
	encode := func(v any) string { return string(value.Append(nil, v)) }
	for round := range 400 {
		owner, low, high, filter, limit := pick(), pick(), pick(), pick(), r.IntN(12)
		desc := r.IntN(2) == 0
		order := map[bool]string{true: "desc", false: "asc"}[desc]
		text := fmt.Sprintf(`{"source":{"type":"IndexRange","indexName":"notes.by_owner","order":%q,"range":[{"type":"Eq","fieldPath":"owner","value":%s},{"type":"Gte","fieldPath":"n","value":%s},{"type":"Lt","fieldPath":"n","value":%s}]},
			"operators":[{"filter":{"$neq":[{"$field":"n"},{"$literal":%s}]}},{"limit":%d}]}`, order, encode(owner), encode(low), encode(high), encode(filter), limit)
		want := []value.Object{}
		for _, doc := range all {
			if value.Compare(field(doc, "owner"), owner) == 0 && value.Compare(field(doc, "n"), low) >= 0 && value.Compare(field(doc, "n"), high) < 0 && value.Compare(field(doc, "n"), filter) != 0 {
				want = append(want, doc)
			}
		}
		slices.SortFunc(want, func(a, b value.Object) int {
			c := value.Compare(field(a, "n"), field(b, "n"))
			if c == 0 {
				c = value.Compare(a["_creationTime"], b["_creationTime"])
			}
			if desc {
				return -c
			}
			return c
		})
		unlimited := want
		want = want[:min(limit, len(want))]
		tx := db.Begin()
		if d := cmp.Diff(want, collect(t, tx, query(t, text))); d != "" {
			t.Fatalf("round %d: %s differs (-want +got):\n%s", round, text, d)
		}
		// The same in pages.
		q := query(t, text)
		q.operators = q.operators[:1]
		paged, cursor := []value.Object{}, ""
		for {
			p, err := tx.Page(q, PageRequest{Cursor: cursor, Size: 1 + r.IntN(5)})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range p.Documents {
				paged = append(paged, d.Fields())
			}
			again, err := tx.Page(q, PageRequest{Cursor: cursor, Size: 1, End: p.Cursor})
			if err != nil || len(again.Documents) != len(p.Documents) {
				t.Fatalf("the page up to its own end has %d documents, %v, want %d", len(again.Documents), err, len(p.Documents))
			}
			if cursor = p.Cursor; p.Done {
				break
			}
		}
		if d := cmp.Diff(unlimited, paged); d != "" {
			t.Fatalf("round %d: pages of %s differ (-want +got):\n%s", round, text, d)
		}
	}
}

func TestFiltersCompute(t *testing.T) {
	doc := value.Object{"a": 6.0, "b": int64(4), "s": "x", "o": value.Object{"p": true}}
	for text, want := range map[string]any{
		`{"$add":[{"$field":"a"},{"$literal":1}]}`:                               7.0,
		`{"$sub":[{"$field":"a"},{"$literal":1}]}`:                               5.0,
		`{"$div":[{"$field":"a"},{"$literal":4}]}`:                               1.5,
		`{"$mod":[{"$field":"a"},{"$literal":4}]}`:                               2.0,
		`{"$mul":[{"$field":"b"},{"$literal":{"$integer":"/v////////8="}}]}`:     int64(-8),
		`{"$neg":{"$field":"b"}}`:                                                int64(-4),
		`{"$neg":{"$field":"a"}}`:                                                -6.0,
		`{"$not":{"$field":"o.p"}}`:                                              false,
		`{"$and":[{"$field":"o.p"},{"$gt":[{"$field":"a"},{"$literal":5}]}]}`:    true,
		`{"$or":[{"$field":"none"},{"$lte":[{"$field":"s"},{"$literal":"x"}]}]}`: true,
		`{"$eq":[{"$field":"none"},{"$literal":{"$undefined":null}}]}`:           true,
		`{"$gte":[{"$field":"s"},{"$field":"a"}]}`:                               true,
	} {
		e, err := parseExpression([]byte(text), 0)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.eval(doc); err != nil || got != want {
			t.Errorf("%s = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{`{"$add":[{"$field":"a"},{"$field":"b"}]}`, `{"$neg":{"$field":"s"}}`, `{"$mul":[{"$field":"b"},{"$literal":{"$integer":"/////////38="}}]}`, `{"$div":[{"$field":"b"},{"$literal":{"$integer":"AAAAAAAAAAA="}}]}`} {
		e, err := parseExpression([]byte(text), 0)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if v, err := e.eval(doc); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s = %v, %v, want kind Invalid", text, v, err)
		}
	}
}

func TestASchemaIsHeldAndItsIndexesBuilt(t *testing.T) {
	m := newMemory()
	db := open(t, m)
	var id string
	commit(t, db, func(tx *Tx) {
		id = insert(t, tx, "notes", value.Object{"owner": "ada", "n": 1.0})
		insert(t, tx, "free", value.Object{"x": 1.0})
	})
	const strict = `{"tables":[{"tableName":"notes","indexes":[{"indexDescriptor":"by_owner","fields":["owner"]}],"documentType":{"type":"object","value":{
		"owner":{"fieldType":{"type":"string"},"optional":false},"n":{"fieldType":{"type":"%s"},"optional":false}}}}],"schemaValidation":true}`
	if _, err := db.SetSchema(t.Context(), schema(t, fmt.Sprintf(strict, "string"))); err == nil || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "Path: .n") {
		t.Errorf("SetSchema = %v, want a refusal that names the document and the field", err)
	}
	stale := db.Begin()
	insert(t, stale, "notes", value.Object{"owner": 5.0})
	if _, err := db.SetSchema(t.Context(), schema(t, fmt.Sprintf(strict, "number"))); err != nil {
		t.Fatalf("SetSchema = %v", err)
	}
	if _, err := db.Commit(t.Context(), stale); !errors.Is(err, ErrConflict) {
		t.Errorf("a transaction from before the schema = %v, want a conflict", err)
	}
	for _, again := range []*Database{db, open(t, m)} {
		tx := again.Begin()
		if got := collect(t, tx, query(t, `{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Eq","fieldPath":"owner","value":"ada"}]}}`)); len(got) != 1 {
			t.Errorf("the new index finds %v, want the note", got)
		}
		if _, err := tx.Insert("notes", value.Object{"owner": "x"}); fault.Code(err) != "SchemaEnforcementError" {
			t.Errorf("Insert of what does not fit = %v", err)
		}
		if err := tx.Patch(id, value.Object{"extra": 1.0}); fault.Code(err) != "SchemaEnforcementError" {
			t.Errorf("Patch to what does not fit = %v", err)
		}
		if _, err := tx.Query(query(t, `{"source":{"type":"IndexRange","indexName":"notes.by_none","range":[]}}`)); fault.Code(err) != "IndexNotFoundError" {
			t.Errorf("Query of no index = %v", err)
		}
	}
	if _, err := db.SetSchema(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if open(t, m).Schema() != nil {
		t.Error("a schema that was taken away is back after opening again")
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	db := open(t, newMemory())
	tx := db.Begin()
	id := insert(t, tx, "notes", value.Object{"n": 1.0})
	other := value.FormatID(firstTable, [16]byte{1})
	for name, err := range map[string]error{
		"InvalidTableName":     func() error { _, err := tx.Insert("_secret", value.Object{}); return err }(),
		"SystemFieldsInInsert": func() error { _, err := tx.Insert("notes", value.Object{"_id": "x"}); return err }(),
		"SystemFieldMismatch":  tx.Patch(id, value.Object{"_id": "x"}),
		"DocumentNotFound":     tx.Replace(other, value.Object{}),
		"InvalidFieldName":     tx.Patch(id, value.Object{"_x": 1.0}),
		"ValueTooLargeError":   tx.Patch(id, value.Object{"x": strings.Repeat("x", value.MaxDocument)}),
		"InvalidID":            tx.Replace("nonsense", value.Object{}),
	} {
		if fault.Code(err) != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
	tx.limits.WriteDocuments = 3
	_ = tx.Patch(id, value.Object{"x": 1.0})
	_ = tx.Patch(id, value.Object{"x": 2.0})
	if err := tx.Patch(id, value.Object{"x": 3.0}); fault.Code(err) != "TooManyWrites" {
		t.Errorf("one write too many = %v", err)
	}
	tx.limits.ReadDocuments = 0
	if _, err := tx.Get(id); fault.Code(err) != "TooManyDocumentsRead" {
		t.Errorf("one read too many = %v", err)
	}
}

func TestAFailedWriteChangesNothing(t *testing.T) {
	m := newMemory()
	db := open(t, m)
	m.fail = errors.New("disk full")
	tx := db.Begin()
	insert(t, tx, "notes", value.Object{})
	if _, err := db.Commit(t.Context(), tx); !errors.Is(err, m.fail) {
		t.Errorf("Commit = %v, want %v", err, m.fail)
	}
	if n, err := db.Begin().Count("notes"); n != 0 || err != nil {
		t.Errorf("Count = %d, %v, want 0", n, err)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add([]byte(`{"source":{"type":"FullTableScan","tableName":"notes","order":"desc"},"operators":[{"filter":{"$and":[]}},{"limit":3}]}`))
	f.Add([]byte(`{"source":{"type":"IndexRange","indexName":"notes.by_owner","range":[{"type":"Gt","fieldPath":"owner","value":{"$undefined":null}}]},"operators":[]}`))
	f.Add([]byte(`{"source":{"type":"IndexRange","indexName":"notes.by_id","range":[{"type":"Eq","fieldPath":"_id","value":"x"}]},"operators":[{"filter":{"$mod":[{"$literal":{"$integer":"AAAAAAAAAIA="}},{"$literal":{"$integer":"//////////8="}}]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var q Query
		if json.Unmarshal(data, &q) != nil {
			return
		}
		db := open(t, newMemory())
		tx := db.Begin()
		for i := range 3 {
			insert(t, tx, "notes", value.Object{"owner": float64(i)})
		}
		c, err := tx.Query(&q)
		if err != nil {
			return
		}
		for range 5 {
			if d, err := c.Next(); d == nil || err != nil {
				break
			}
		}
		_, _ = tx.Page(&q, PageRequest{Size: 2, Cursor: "AAAA"})
	})
}
