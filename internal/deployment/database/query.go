package database

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tidwall/btree"

	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// Query is a query as ctx.db builds it: where it reads, then filters and limits
// in order. UnmarshalJSON reads the form that the functions send.
type Query struct {
	table     string
	index     string
	bounds    []bound
	desc      bool
	operators []operator
}

type bound struct {
	op    string // Eq, Gt, Gte, Lt, Lte
	field string
	value any
}

type operator struct {
	filter *expression
	limit  int // when filter is nil
}

func badQuery(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode("InvalidQuery")
}

// UnmarshalJSON implements [json.Unmarshaler].
func (q *Query) UnmarshalJSON(data []byte) error {
	var raw struct {
		Source struct {
			Type      string `json:"type"`
			TableName string `json:"tableName"`
			IndexName string `json:"indexName"`
			Order     string `json:"order"`
			Range     []struct {
				Type      string          `json:"type"`
				FieldPath string          `json:"fieldPath"`
				Value     json.RawMessage `json:"value"`
			} `json:"range"`
		} `json:"source"`
		Operators []struct {
			Filter json.RawMessage `json:"filter"`
			Limit  *float64        `json:"limit"`
		} `json:"operators"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return badQuery("The query cannot be read.")
	}
	*q = Query{}
	switch raw.Source.Type {
	case "FullTableScan":
		q.table, q.index = raw.Source.TableName, byCreationTime
	case "IndexRange":
		q.table, q.index, _ = strings.Cut(raw.Source.IndexName, ".")
		for _, r := range raw.Source.Range {
			v, err := value.ParsePatch(r.Value)
			if err != nil {
				return err
			}
			q.bounds = append(q.bounds, bound{r.Type, r.FieldPath, v})
		}
	case "Search":
		return fault.New(fault.Unsupported, "Search indexes are not supported by Berth.").WithCode("SearchNotSupported")
	default:
		return badQuery("Unknown query source %q.", raw.Source.Type)
	}
	switch raw.Source.Order {
	case "", "asc":
	case "desc":
		q.desc = true
	default:
		return badQuery("Unknown order %q, it is asc or desc.", raw.Source.Order)
	}
	for _, o := range raw.Operators {
		switch {
		case o.Limit != nil:
			if *o.Limit < 0 {
				return badQuery("A limit cannot be negative.")
			}
			q.operators = append(q.operators, operator{limit: int(min(*o.Limit, 1e9))})
		case len(o.Filter) > 0:
			e, err := parseExpression(o.Filter, 0)
			if err != nil {
				return err
			}
			q.operators = append(q.operators, operator{filter: e})
		default:
			return badQuery("Unknown query operator.")
		}
	}
	return nil
}

// interval returns the keys that the bounds select in an index.
func (q *Query) interval(x *index) (interval, error) {
	fields := x.fields
	if q.index != byID {
		fields = append(append([]path{}, fields...), path{"_creationTime"})
		if q.index == byCreationTime {
			fields = x.fields
		}
	}
	fields = append(append([]path{}, fields...), path{"_id"})
	var prefix []byte
	at := 0
	bounds := q.bounds
	for ; len(bounds) > 0 && bounds[0].op == "Eq"; bounds = bounds[1:] {
		if at >= len(fields) || strings.Join(fields[at], ".") != bounds[0].field {
			return interval{}, outOfOrder(q, bounds[0].field)
		}
		prefix = value.AppendKey(prefix, bounds[0].value)
		at++
	}
	i := interval{string(prefix), after(string(prefix))}
	var lower, upper bool
	for _, b := range bounds {
		if at >= len(fields) || strings.Join(fields[at], ".") != b.field {
			return interval{}, outOfOrder(q, b.field)
		}
		key := string(value.AppendKey(append([]byte{}, prefix...), b.value))
		switch {
		case b.op == "Gt" && !lower:
			i.lo, lower = after(key), true
		case b.op == "Gte" && !lower:
			i.lo, lower = key, true
		case b.op == "Lt" && !upper:
			i.hi, upper = key, true
		case b.op == "Lte" && !upper:
			i.hi, upper = after(key), true
		case b.op == "Eq":
			return interval{}, badQuery("Invalid index range: `eq` on %s follows an inequality.", b.field)
		default:
			return interval{}, badQuery("Invalid index range: %s is bounded twice in one direction, or by the unknown %s.", b.field, b.op)
		}
	}
	return i, nil
}

func outOfOrder(q *Query, field string) error {
	return badQuery("Tried to query index %s.%s but the query didn't use the index fields in order: %s does not come next.", q.table, q.index, field)
}

// Cursor walks through what a query finds.
type Cursor struct {
	tx    *Tx
	q     *Query
	at    indexName
	rest  interval // what is still to be read
	it    *btree.MapIter[string, *Document]
	begun bool
	done  bool
	left  []int // of each limit
	last  string
}

// Query begins to read. Errors are of kind Invalid, such as for an index that
// does not exist.
func (tx *Tx) Query(q *Query) (*Cursor, error) {
	c := &Cursor{tx: tx, q: q, at: indexName{q.table, q.index}}
	for _, o := range q.operators {
		c.left = append(c.left, o.limit)
	}
	t := tx.table(q.table)
	if t == nil {
		// The table may be made later: what was read is that it is empty.
		if q.index != byID && q.index != byCreationTime && !tx.declared(q.table, q.index) {
			return nil, noIndex(q)
		}
		c.done = true
		return c, tx.read(c.at, interval{"", after("")})
	}
	x := t.indexes[q.index]
	if x == nil {
		return nil, noIndex(q)
	}
	var err error
	if c.rest, err = q.interval(x); err != nil {
		return nil, err
	}
	it := x.tree.Iter()
	c.it = &it
	if tx.used.Ranges++; tx.used.Ranges > tx.limits.Ranges {
		return nil, tx.read(c.at, interval{})
	}
	return c, nil
}

func noIndex(q *Query) error {
	return fault.New(fault.Invalid, "Index %s.%s not found.", q.table, q.index).WithCode("IndexNotFoundError")
}

func (tx *Tx) declared(table, index string) bool {
	if tx.base.schema == nil {
		return false
	}
	for _, x := range tx.base.schema.Tables[table].Indexes {
		if x.Name == index {
			return true
		}
	}
	return false
}

// Next returns the next document, or nil at the end.
func (c *Cursor) Next() (*Document, error) {
	for !c.done {
		for i, o := range c.q.operators {
			if o.filter == nil && c.left[i] == 0 {
				c.done = true
				return nil, nil
			}
		}
		d, err := c.step()
		if d == nil || err != nil {
			return nil, err
		}
		fits, err := c.passes(d)
		if fits || err != nil {
			return d, err
		}
	}
	return nil, nil
}

// passes runs the operators on a document, in order.
func (c *Cursor) passes(d *Document) (bool, error) {
	var fields value.Object
	for i, o := range c.q.operators {
		if o.filter == nil {
			if c.left[i] == 0 {
				return false, nil
			}
			c.left[i]--
			continue
		}
		if fields == nil {
			fields = d.Fields()
		}
		v, err := o.filter.eval(fields)
		if err != nil {
			return false, err
		}
		if !truthy(v) {
			return false, nil
		}
	}
	return true, nil
}

// step returns the next document of the index and notes that the index was read
// up to it.
func (c *Cursor) step() (*Document, error) {
	found := false
	switch {
	case c.begun && !c.q.desc:
		found = c.it.Next()
	case c.begun:
		found = c.it.Prev()
	case !c.q.desc:
		found = c.it.Seek(c.rest.lo)
	default:
		// Seek finds the first key from hi on; the one before it is the last below.
		if c.it.Seek(c.rest.hi) {
			found = c.it.Prev()
		} else {
			found = c.it.Last()
		}
	}
	c.begun = true
	if found {
		key := c.it.Key()
		if !c.q.desc && key < c.rest.hi {
			return c.took(interval{c.rest.lo, key + "\x00"}, interval{key + "\x00", c.rest.hi}, key)
		}
		if c.q.desc && key >= c.rest.lo {
			return c.took(interval{key, c.rest.hi}, interval{c.rest.lo, key}, key)
		}
	}
	c.done = true
	c.tx.reads.add(c.at, c.rest)
	return nil, nil
}

func (c *Cursor) took(read, rest interval, key string) (*Document, error) {
	c.tx.reads.add(c.at, read)
	c.rest, c.last = rest, key
	d := c.it.Value()
	return d, c.tx.count(d)
}

// Page is a part of what a query finds.
type Page struct {
	Documents []*Document
	Done      bool   // nothing follows
	Cursor    string // where the next page begins
}

// PageRequest asks for a page. Cursor is "" for the first. With End the page
// goes up to that cursor, however many documents that are.
type PageRequest struct {
	Cursor string
	End    string
	Size   int
	Rows   int // how many documents may be looked at; 0: as many as it takes
}

// cursorEnd is the cursor behind the last document.
const cursorEnd = "_end_cursor"

func encodeCursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(key))
}

func decodeCursor(cursor string) (key string, end bool, err error) {
	if cursor == cursorEnd {
		return "", true, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", false, fault.New(fault.Invalid, "InvalidCursor: Tried to run a query starting from a cursor, but it looks like this cursor is from a different query.").WithCode("InvalidCursor")
	}
	return string(data), false, nil
}

// Page returns the part of a query that a request asks for.
func (tx *Tx) Page(q *Query, r PageRequest) (Page, error) {
	c, err := tx.Query(q)
	if err != nil {
		return Page{}, err
	}
	if r.Cursor != "" {
		key, end, err := decodeCursor(r.Cursor)
		if err != nil {
			return Page{}, err
		}
		switch {
		case end:
			return Page{Documents: []*Document{}, Done: true, Cursor: cursorEnd}, nil
		case q.desc:
			c.rest.hi = min(c.rest.hi, key)
		default:
			c.rest.lo = max(c.rest.lo, key+"\x00")
		}
	}
	until, bounded := "", false
	if r.End != "" && r.End != cursorEnd {
		if until, _, err = decodeCursor(r.End); err != nil {
			return Page{}, err
		}
		if bounded = true; q.desc {
			c.rest.lo = max(c.rest.lo, until)
		} else {
			c.rest.hi = min(c.rest.hi, until+"\x00")
		}
	}
	p := Page{Documents: []*Document{}}
	looked := tx.used.ReadDocuments
	for r.End != "" || len(p.Documents) < r.Size {
		if r.Rows > 0 && tx.used.ReadDocuments-looked >= r.Rows {
			break
		}
		d, err := c.Next()
		if err != nil {
			return Page{}, err
		}
		if d == nil {
			p.Done = !bounded
			break
		}
		p.Documents = append(p.Documents, d)
	}
	switch {
	case p.Done:
		p.Cursor = cursorEnd
	case bounded:
		p.Cursor = r.End
	case c.last != "":
		p.Cursor = encodeCursor(c.last)
	default:
		p.Cursor = r.Cursor
	}
	return p, nil
}
