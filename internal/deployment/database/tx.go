package database

import (
	"crypto/rand"
	"fmt"
	"maps"

	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// Limits bound what one function may read and write.
type Limits struct {
	ReadDocuments  int
	ReadBytes      int
	WriteDocuments int
	WriteBytes     int
	Ranges         int // calls of get and of queries
}

// DefaultLimits are Convex's.
var DefaultLimits = Limits{ReadDocuments: 32000, ReadBytes: 16 << 20, WriteDocuments: 16000, WriteBytes: 16 << 20, Ranges: 4096}

// Tx is a transaction. It is used by one goroutine at a time, and sees its own writes.
type Tx struct {
	db      *Database
	base    *state
	own     map[string]*table // tables written to, with trees of their own
	written map[string]write  // by id
	reads   *ReadSet
	limits  Limits
	used    Limits
	created float64
}

type write struct {
	table         string
	before, after *Document // nil: not there
}

// Reads returns what was read so far.
func (tx *Tx) Reads() *ReadSet {
	tx.reads.compact()
	return tx.reads
}

// Timestamp returns the moment that the transaction sees.
func (tx *Tx) Timestamp() Timestamp { return tx.base.ts }

// Wrote reports whether there is anything to commit.
func (tx *Tx) Wrote() bool { return len(tx.written) > 0 }

// TableOf returns the table that a document id belongs to, or "" for none.
func (tx *Tx) TableOf(id string) string {
	number, _, err := value.ParseID(id)
	if err != nil {
		return ""
	}
	if name := tx.base.names[number]; name != "" {
		return name
	}
	for name, t := range tx.own {
		if t.number == number {
			return name
		}
	}
	return ""
}

func (tx *Tx) table(name string) *table {
	if t := tx.own[name]; t != nil {
		return t
	}
	return tx.base.tables[name]
}

// NormalizeID returns the id when it is one of the table, else "".
func (tx *Tx) NormalizeID(table, id string) string {
	if tx.TableOf(id) != table || table == "" {
		return ""
	}
	return id
}

func idKey(id string) string { return string(value.AppendKey(nil, id)) }

// Get returns a document, or nil. A text that is no id is an error.
func (tx *Tx) Get(id string) (*Document, error) {
	name := tx.TableOf(id)
	if name == "" {
		if _, _, err := value.ParseID(id); err != nil {
			return nil, fault.New(fault.Invalid, "Invalid argument `id`, expected ID string, got %q", id).WithCode("InvalidID")
		}
		return nil, nil
	}
	key := idKey(id)
	if err := tx.read(indexName{name, byID}, interval{key, after(key)}); err != nil {
		return nil, err
	}
	d, ok := tx.table(name).indexes[byID].tree.Get(key)
	if !ok {
		return nil, nil
	}
	return d, tx.count(d)
}

const tryLess = "Consider using smaller limits in your queries, paginating your queries, or using indexed queries with a selective index range expressions."

// read notes a range.
func (tx *Tx) read(at indexName, i interval) error {
	tx.reads.add(at, i)
	if tx.used.Ranges++; tx.used.Ranges > tx.limits.Ranges {
		return fault.New(fault.Invalid, "Too many reads in a single function execution (limit: %d). %s", tx.limits.Ranges, tryLess).WithCode("TooManyReads")
	}
	return nil
}

// count holds the documents that were read to the limits.
func (tx *Tx) count(d *Document) error {
	tx.used.ReadDocuments++
	tx.used.ReadBytes += len(d.Encoded)
	switch {
	case tx.used.ReadDocuments > tx.limits.ReadDocuments:
		return fault.New(fault.Invalid, "Too many documents read in a single function execution (limit: %d). %s", tx.limits.ReadDocuments, tryLess).WithCode("TooManyDocumentsRead")
	case tx.used.ReadBytes > tx.limits.ReadBytes:
		return fault.New(fault.Invalid, "Too many bytes read in a single function execution (limit: %d bytes). %s", tx.limits.ReadBytes, tryLess).WithCode("TooManyBytesRead")
	}
	return nil
}

// Insert adds a document to a table, which is made when there is none, and
// returns its id.
func (tx *Tx) Insert(table string, fields value.Object) (string, error) {
	if err := CheckTableName(table); err != nil {
		return "", err
	}
	return tx.insert(table, fields)
}

// InsertSystem is Insert for one of the system's own tables, such as
// _scheduled_functions, which functions only read.
func (tx *Tx) InsertSystem(table string, fields value.Object) (string, error) {
	return tx.insert(table, fields)
}

func (tx *Tx) insert(table string, fields value.Object) (string, error) {
	for _, name := range []string{"_id", "_creationTime"} {
		if _, there := fields[name]; there {
			return "", fault.New(fault.Invalid, "Provided document contains the system field `%s`, which Convex sets itself", name).WithCode("SystemFieldsInInsert")
		}
	}
	t := tx.ownTable(table)
	var own [16]byte
	if _, err := rand.Read(own[:]); err != nil {
		return "", err
	}
	tx.created = creation(tx.db.now(), max(tx.created, tx.base.created))
	id := value.FormatID(t.number, own)
	doc := maps.Clone(fields)
	doc["_id"], doc["_creationTime"] = id, tx.created
	return id, tx.put(t, nil, doc)
}

// ownTable returns the table with trees that may be changed.
func (tx *Tx) ownTable(name string) *table {
	if t := tx.own[name]; t != nil {
		return t
	}
	var t *table
	if old := tx.base.tables[name]; old != nil {
		t = tx.db.own(old)
	} else {
		number := uint32(firstTable)
		for {
			if _, taken := tx.base.names[number]; !taken && !tx.ownsNumber(number) {
				break
			}
			number++
		}
		scratch := state{tables: map[string]*table{}, names: map[uint32]string{}, schema: tx.base.schema}
		t = scratch.addTable(name, number)
	}
	tx.own[name] = t
	return t
}

// firstTable is the first number of a table; lower ones are Convex's own.
const firstTable = 10001

func (tx *Tx) ownsNumber(n uint32) bool {
	for _, t := range tx.own {
		if t.number == n {
			return true
		}
	}
	return false
}

// Patch changes fields of a document: value.Undefined removes one. It returns
// the new document.
func (tx *Tx) Patch(id string, changes value.Object) error {
	return tx.change("Update", id, func(fields value.Object) (value.Object, error) {
		for name, v := range changes {
			if _, gone := v.(value.Undefined); gone {
				delete(fields, name)
			} else {
				fields[name] = v
			}
		}
		return fields, nil
	})
}

// Replace puts other fields in the place of a document's.
func (tx *Tx) Replace(id string, fields value.Object) error {
	return tx.change("Replace", id, func(old value.Object) (value.Object, error) {
		doc := maps.Clone(fields)
		for _, name := range []string{"_id", "_creationTime"} {
			if v, there := doc[name]; there && value.Compare(v, old[name]) != 0 {
				return nil, systemField(name, v, old[name])
			}
			doc[name] = old[name]
		}
		return doc, nil
	})
}

func systemField(name string, got, want any) error {
	return fault.New(fault.Invalid, "Provided document `%s` field %s does not match the document's: %s", name, value.Text(got), value.Text(want)).WithCode("SystemFieldMismatch")
}

func (tx *Tx) change(verb, id string, fn func(value.Object) (value.Object, error)) error {
	old, err := tx.existing(verb, id)
	if err != nil {
		return err
	}
	before := old.Fields()
	doc, err := fn(maps.Clone(before))
	if err != nil {
		return err
	}
	for _, name := range []string{"_id", "_creationTime"} {
		if v, there := doc[name]; !there || value.Compare(v, before[name]) != 0 {
			return systemField(name, v, before[name])
		}
	}
	return tx.put(tx.ownTable(old.Table), old, doc)
}

func (tx *Tx) existing(verb, id string) (*Document, error) {
	d, err := tx.Get(id)
	if err == nil && d == nil {
		err = fault.New(fault.Invalid, "%s on nonexistent document ID %s", verb, id).WithCode("DocumentNotFound")
	}
	return d, err
}

// Delete removes a document and returns what it was.
func (tx *Tx) Delete(id string) (*Document, error) {
	old, err := tx.existing("Delete", id)
	if err != nil {
		return nil, err
	}
	t := tx.ownTable(old.Table)
	return old, tx.note(t, old, nil)
}

// put writes a document after it was held to limits and schema.
func (tx *Tx) put(t *table, before *Document, doc value.Object) error {
	if err := value.CheckDocument(doc); err != nil {
		return err
	}
	if s := tx.base.schema; s != nil {
		if err := s.check(t.name, doc, tx.TableOf); err != nil {
			return err
		}
	}
	id, _ := doc["_id"].(string)
	return tx.note(t, before, &Document{ID: id, Table: t.name, Encoded: value.Append(nil, doc)})
}

func (tx *Tx) note(t *table, before, after *Document) error {
	w := write{table: t.name, before: before, after: after}
	id := ""
	if after != nil {
		id = after.ID
		tx.used.WriteBytes += len(after.Encoded)
	} else {
		id = before.ID
	}
	t.replace(id, w)
	if tx.written == nil {
		tx.written = map[string]write{}
	}
	if earlier, again := tx.written[id]; again {
		w.before = earlier.before // what the others still see
	}
	tx.written[id] = w
	if w.before == nil && w.after == nil {
		delete(tx.written, id)
	}
	tx.used.WriteDocuments++
	switch {
	case tx.used.WriteDocuments > tx.limits.WriteDocuments:
		return fault.New(fault.Invalid, "Too many documents written in a single function execution (limit: %d)", tx.limits.WriteDocuments).WithCode("TooManyWrites")
	case tx.used.WriteBytes > tx.limits.WriteBytes:
		return fault.New(fault.Invalid, "Too many bytes written in a single function execution (limit: %d bytes)", tx.limits.WriteBytes).WithCode("TooManyBytesWritten")
	}
	return nil
}

// Savepoint returns a function that takes back all writes since.
func (tx *Tx) Savepoint() (rollback func()) {
	own := make(map[string]*table, len(tx.own))
	for name, t := range tx.own {
		own[name] = tx.db.own(t)
	}
	written, created := maps.Clone(tx.written), tx.created
	return func() { tx.own, tx.written, tx.created = own, written, created }
}

// Count returns how many documents a table has.
func (tx *Tx) Count(name string) (int, error) {
	if err := tx.read(indexName{name, byID}, interval{"", after("")}); err != nil {
		return 0, err
	}
	t := tx.table(name)
	if t == nil {
		return 0, nil
	}
	return t.indexes[byID].tree.Len(), nil
}

// CheckTableName refuses names that tables cannot have.
func CheckTableName(name string) error {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "Invalid table name %q: %s", name, why).WithCode("InvalidTableName")
	}
	switch {
	case name == "" || len(name) > 64:
		return bad("table names have 1 to 64 characters")
	case name[0] == '_':
		return bad("names that begin with an underscore are the system's")
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return bad(fmt.Sprintf("table names have letters, digits and underscores, and begin with a letter; %q is none", c))
		}
	}
	return nil
}
