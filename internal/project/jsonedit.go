package project

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/tailscale/hujson"
)

// node is a JSON value with ordered members: object, list of strings or string.
type node struct {
	object []field
	list   []string
	text   string
	kind   byte // '{', '[' or '"'
}

type field struct {
	key   string
	value node
}

func object(fields ...field) node { return node{kind: '{', object: fields} }
func list(items ...string) node   { return node{kind: '[', list: items} }
func str(s string) node           { return node{kind: '"', text: s} }

// layout says how new members are written.
type layout struct {
	unit    string // one step of indentation; "" writes everything on one line
	newline string
}

// layoutOf follows the way the file is written.
func layoutOf(d *document) layout {
	l := layout{unit: "  ", newline: "\n"}
	if bytes.Contains(d.src, []byte("\r\n")) {
		l.newline = "\r\n"
	}
	root := d.root.Value.(*hujson.Object)
	if len(root.Members) == 0 {
		return l
	}
	before := string(root.Members[0].Name.BeforeExtra)
	i := strings.LastIndexByte(before, '\n')
	if i < 0 {
		l.unit = ""
	} else if before[i+1:] != "" {
		l.unit = before[i+1:]
	}
	return l
}

func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return `""` // encoding a string cannot fail
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// render writes n, whose line is indented by indent. Short lists stay on their
// line, as the vendor's templates write them.
func (n node) render(b *strings.Builder, l layout, indent string) {
	switch n.kind {
	case '"':
		b.WriteString(quote(n.text))
	case '[':
		var items []string
		for _, s := range n.list {
			items = append(items, quote(s))
		}
		one := "[" + strings.Join(items, ", ") + "]"
		if l.unit == "" || len(items) < 2 {
			b.WriteString(one)
			return
		}
		inner := indent + l.unit
		b.WriteString("[" + l.newline + inner + strings.Join(items, ","+l.newline+inner) + l.newline + indent + "]")
	default:
		if len(n.object) == 0 {
			b.WriteString("{}")
			return
		}
		open, between, end := l.newline+indent+l.unit, ","+l.newline+indent+l.unit, l.newline+indent
		if l.unit == "" {
			open, between, end = "", ", ", ""
		}
		b.WriteString("{" + open)
		for i, f := range n.object {
			if i > 0 {
				b.WriteString(between)
			}
			b.WriteString(quote(f.key) + ": ")
			f.value.render(b, l, indent+l.unit)
		}
		b.WriteString(end + "}")
	}
}

// merge adds to v the members of n that it lacks, at any depth, and reports
// whether it added any. What is there stays, whatever its value: a person's
// entry wins over ours. indent is the indentation of the line v starts on.
func merge(v *hujson.Value, n node, l layout, indent string) bool {
	o, ok := v.Value.(*hujson.Object)
	if !ok || n.kind != '{' {
		return false
	}
	added := false
	for _, f := range n.object {
		if existing := member(v, f.key); existing != nil {
			added = merge(existing, f.value, l, memberIndent(o, l, indent)) || added
			continue
		}
		appendMember(o, f, l, indent)
		added = true
	}
	return added
}

// memberIndent is the indentation of o's members.
func memberIndent(o *hujson.Object, l layout, indent string) string {
	if n := len(o.Members); n > 0 {
		before := string(o.Members[n-1].Name.BeforeExtra)
		if i := strings.LastIndexByte(before, '\n'); i >= 0 {
			return before[i+1:]
		}
	}
	return indent + l.unit
}

func appendMember(o *hujson.Object, f field, l layout, indent string) {
	inner := memberIndent(o, l, indent)
	m := hujson.ObjectMember{Name: hujson.Value{Value: hujson.Literal(quote(f.key))}}
	m.Value.BeforeExtra = hujson.Extra(" ")
	n := len(o.Members)
	oneLine := l.unit == "" || n > 0 && !bytes.Contains(o.Members[n-1].Name.BeforeExtra, []byte("\n"))
	if oneLine {
		l.unit = ""
		if n > 0 {
			m.Name.BeforeExtra = hujson.Extra(" ")
		}
	} else {
		m.Name.BeforeExtra = hujson.Extra(l.newline + inner)
		if n == 0 {
			o.AfterExtra = hujson.Extra(l.newline + indent)
		}
	}
	var b strings.Builder
	f.value.render(&b, l, inner)
	// The text is not parsed again: the caller packs the tree and parses that.
	m.Value.Value = hujson.Literal(b.String())
	o.Members = append(o.Members, m)
}
