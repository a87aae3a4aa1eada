package database

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tidwall/btree"

	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// Schema is what convex/schema.ts exports.
type Schema struct {
	Tables map[string]TableSchema
	// Validate holds documents to the types; without it they are only described.
	Validate bool
	json     []byte
}

// TableSchema describes one table.
type TableSchema struct {
	Indexes []IndexSchema
	Type    *value.Validator // nil: any document
}

// IndexSchema is an index over fields, in this order; nested ones are a.b.
type IndexSchema struct {
	Name   string
	Fields []string
}

// maxIndexes and maxIndexFields bound the indexes of a table, as Convex does.
const (
	maxIndexes     = 32
	maxIndexFields = 16
)

// ParseSchema reads the JSON that a schema module exports. nil and empty are no schema.
func ParseSchema(data []byte) (*Schema, error) {
	var raw struct {
		Tables []struct {
			TableName string `json:"tableName"`
			Indexes   []struct {
				IndexDescriptor string   `json:"indexDescriptor"`
				Fields          []string `json:"fields"`
			} `json:"indexes"`
			SearchIndexes []json.RawMessage `json:"searchIndexes"`
			VectorIndexes []json.RawMessage `json:"vectorIndexes"`
			DocumentType  json.RawMessage   `json:"documentType"`
		} `json:"tables"`
		SchemaValidation bool `json:"schemaValidation"`
	}
	bad := func(format string, args ...any) (*Schema, error) {
		return nil, fault.New(fault.Invalid, "%s", fmt.Sprintf(format, args...)).WithCode("InvalidSchema")
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return bad("The schema is not valid JSON.")
	}
	s := &Schema{Tables: map[string]TableSchema{}, Validate: raw.SchemaValidation, json: slices.Clone(data)}
	for _, t := range raw.Tables {
		if err := CheckTableName(t.TableName); err != nil {
			return nil, err
		}
		if _, twice := s.Tables[t.TableName]; twice {
			return bad("The table %q is defined twice.", t.TableName)
		}
		if len(t.SearchIndexes) > 0 || len(t.VectorIndexes) > 0 {
			return bad("In table %q: search and vector indexes are not supported by Berth.", t.TableName)
		}
		if len(t.Indexes) > maxIndexes {
			return bad("Table %q has %d indexes, at most %d are allowed.", t.TableName, len(t.Indexes), maxIndexes)
		}
		var table TableSchema
		for _, x := range t.Indexes {
			if err := checkIndex(table.Indexes, x.IndexDescriptor, x.Fields); err != nil {
				return bad("In table %q: %s", t.TableName, err)
			}
			table.Indexes = append(table.Indexes, IndexSchema{Name: x.IndexDescriptor, Fields: x.Fields})
		}
		if len(t.DocumentType) > 0 && string(t.DocumentType) != "null" {
			var err error
			if table.Type, err = value.ParseValidator(t.DocumentType); err != nil {
				return nil, err
			}
		}
		s.Tables[t.TableName] = table
	}
	return s, nil
}

func checkIndex(others []IndexSchema, name string, fields []string) error {
	switch {
	case name == byID || name == byCreationTime:
		return fmt.Errorf("the index name %q is reserved", name)
	case CheckTableName(name) != nil:
		return fmt.Errorf("%q cannot be the name of an index", name)
	case len(fields) == 0 || len(fields) > maxIndexFields:
		return fmt.Errorf("index %q has %d fields, it must have 1 to %d", name, len(fields), maxIndexFields)
	}
	for i, f := range fields {
		if f == "_creationTime" || f == "_id" {
			return fmt.Errorf("index %q names %s, which every index ends with by itself", name, f)
		}
		if f == "" || slices.Contains(fields[:i], f) {
			return fmt.Errorf("index %q names the field %q twice or not at all", name, f)
		}
	}
	for _, o := range others {
		if o.Name == name {
			return fmt.Errorf("index %q is defined twice", name)
		}
	}
	return nil
}

// JSON returns what the schema was read from.
func (s *Schema) JSON() []byte { return s.json }

// check holds a document to the type of its table.
func (s *Schema) check(table string, doc value.Object, tableOf func(string) string) error {
	if !s.Validate {
		return nil
	}
	t, known := s.Tables[table]
	if !known {
		return nil
	}
	if err := t.Type.CheckFields(doc, tableOf); err != nil {
		id, _ := doc["_id"].(string)
		return fault.New(fault.Invalid, "Failed to insert or update a document in table \"%s\" because it does not match the schema: %s", table, fault.From(err).Message).
			WithCode("SchemaEnforcementError").WithFix("change the document %s or the schema", id)
	}
	return nil
}

// CheckSchema reports whether the documents fit a schema, without changing
// anything. The error names the first that does not.
func (db *Database) CheckSchema(s *Schema) error { return db.latest().checkAll(s) }

func (s *state) checkAll(schema *Schema) error {
	if schema == nil || !schema.Validate {
		return nil
	}
	tableOf := (&Tx{base: s}).TableOf
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		def, known := schema.Tables[name]
		if !known || def.Type.IsAny() {
			continue
		}
		var err error
		s.tables[name].indexes[byID].tree.Scan(func(_ string, d *Document) bool {
			if err = def.Type.CheckFields(d.Fields(), tableOf); err != nil {
				err = fault.New(fault.Invalid, "Schema validation failed.\nDocument with ID \"%s\" in table \"%s\" does not match the schema: %s", d.ID, name, fault.From(err).Message).WithCode("SchemaValidationFailed")
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SetSchema holds the database to a schema from now on and builds its indexes;
// nil is no schema. Documents that do not fit refuse it. Transactions under way
// and subscriptions begin again.
func (db *Database) SetSchema(ctx context.Context, s *Schema) (Timestamp, error) {
	db.commit.Lock()
	defer db.commit.Unlock()
	now := db.latest()
	if err := now.checkAll(s); err != nil {
		return 0, err
	}
	next := now.clone()
	next.ts = max(now.ts+1, Timestamp(max(0, db.now().UnixNano()))) //nolint:gosec // not negative
	next.schema = s
	batch := Batch{Timestamp: next.ts, Schema: []byte{}}
	if s != nil {
		batch.Schema = s.json
	}
	for name, t := range now.tables {
		next.tables[name] = db.reindexed(t, s)
	}
	if err := db.backing.Write(ctx, batch); err != nil {
		return 0, err
	}
	db.publish(next, Commit{Timestamp: next.ts, Everything: true})
	return next.ts, nil
}

// reindexed returns the table with the indexes of a schema. Those that it has
// already stay as they are.
func (db *Database) reindexed(t *table, s *Schema) *table {
	c := &table{name: t.name, number: t.number, indexes: map[string]*index{byID: t.indexes[byID], byCreationTime: t.indexes[byCreationTime]}}
	if s == nil {
		return c
	}
	for _, def := range s.Tables[t.name].Indexes {
		fields := paths(def.Fields)
		if old := t.indexes[def.Name]; old != nil && slices.EqualFunc(old.fields, fields, slices.Equal[path]) {
			c.indexes[def.Name] = old
			continue
		}
		x := &index{fields: fields, tree: &btree.Map[string, *Document]{}}
		t.indexes[byID].tree.Scan(func(_ string, d *Document) bool {
			x.tree.Set(x.key(d.Fields()), d)
			return true
		})
		c.indexes[def.Name] = x
	}
	return c
}
