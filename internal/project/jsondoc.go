package project

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
)

// maxComposites bounds the objects and arrays of a JSON file, so that a hostile
// file cannot exhaust the stack of the recursive parser.
const maxComposites = 20_000

// document is a strictly parsed JSON file that keeps every byte.
type document struct {
	path string // for messages
	src  []byte
	root hujson.Value
}

// parseDocument parses src as RFC 8259 JSON, as the vendor's tool does: no
// comments, no trailing commas, no byte-order mark. Errors carry line and column.
func parseDocument(path string, src []byte) (*document, error) {
	fail := func(code string, line, column int, what string) *fault.Error {
		return fault.New(fault.Invalid, "%s:%d:%d: %s", path, line, column, what).WithCode(code)
	}
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		return nil, fail("json-bom", 1, 1, "starts with a byte-order mark").WithFix("save the file as UTF-8 without a byte-order mark")
	}
	if bytes.Count(src, []byte("{"))+bytes.Count(src, []byte("[")) > maxComposites {
		return nil, fault.New(fault.Invalid, "%s: too many objects and arrays", path).WithCode("json-syntax")
	}
	value, err := hujson.Parse(src)
	if err != nil {
		var line, column int
		if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &line, &column); scanErr != nil {
			line, column = 1, 1
		}
		what := strings.SplitN(err.Error(), ": ", 3)[2:]
		reason := "not JSON"
		if len(what) == 1 && !strings.Contains(what[0], "literal") { // a literal can be somebody's key
			reason = "not JSON: " + what[0]
		} else if len(what) == 1 {
			reason = "not JSON: not a valid string, number, true, false or null"
		}
		return nil, fail("json-syntax", line, column, reason).WithFix("repair line %d", line)
	}
	if offset, what := nonStandard(&value); what != "" {
		line, column := position(src, offset)
		return nil, fail("json-"+what, line, column, "has a "+strings.ReplaceAll(what, "-", " ")+", which JSON does not allow").
			WithFix("remove the %s on line %d; the convex command line refuses it too", strings.ReplaceAll(what, "-", " "), line)
	}
	return &document{path: path, src: src, root: value}, nil
}

// nonStandard finds the first comment or trailing comma of v.
func nonStandard(v *hujson.Value) (offset int, what string) {
	comment := func(extra hujson.Extra, start int) bool {
		i := bytes.IndexByte(extra, '/')
		if i >= 0 {
			offset, what = start+i, "comment"
		}
		return i >= 0
	}
	if comment(v.BeforeExtra, v.StartOffset-len(v.BeforeExtra)) {
		return offset, what
	}
	inside := func(last *hujson.Value, after hujson.Extra) {
		if comment(after, v.EndOffset-1-len(after)) {
			return
		}
		if last != nil && last.AfterExtra != nil {
			offset, what = last.EndOffset+len(last.AfterExtra), "trailing-comma"
		}
	}
	switch c := v.Value.(type) {
	case *hujson.Object:
		for i := range c.Members {
			for _, part := range []*hujson.Value{&c.Members[i].Name, &c.Members[i].Value} {
				if offset, what = nonStandard(part); what != "" {
					return offset, what
				}
			}
		}
		var last *hujson.Value
		if n := len(c.Members); n > 0 {
			last = &c.Members[n-1].Value
		}
		inside(last, c.AfterExtra)
	case *hujson.Array:
		for i := range c.Elements {
			if offset, what = nonStandard(&c.Elements[i]); what != "" {
				return offset, what
			}
		}
		var last *hujson.Value
		if n := len(c.Elements); n > 0 {
			last = &c.Elements[n-1]
		}
		inside(last, c.AfterExtra)
	}
	if what == "" {
		comment(v.AfterExtra, v.EndOffset)
	}
	return offset, what
}

// position gives the line and column, both from 1 and the column in bytes, of
// an offset.
func position(src []byte, offset int) (line, column int) {
	offset = max(0, min(offset, len(src)))
	line = 1 + bytes.Count(src[:offset], []byte("\n"))
	column = offset - bytes.LastIndexByte(src[:offset], '\n')
	return line, column
}

func (d *document) line(v *hujson.Value) int {
	line, _ := position(d.src, v.StartOffset)
	return line
}

// member returns the value of the last member called name, as JSON.parse does.
func member(v *hujson.Value, name string) *hujson.Value {
	o, ok := v.Value.(*hujson.Object)
	if !ok {
		return nil
	}
	var found *hujson.Value
	for i := range o.Members {
		if o.Members[i].Name.Value.(hujson.Literal).String() == name {
			found = &o.Members[i].Value
		}
	}
	return found
}

// stringValue returns the text of a JSON string.
func stringValue(v *hujson.Value) (string, bool) {
	if l, ok := v.Value.(hujson.Literal); ok && l.Kind() == '"' {
		return l.String(), true
	}
	return "", false
}

// functionsOf reads `functions` of a convex.json, leniently: finding the app
// must work while the rest of the file is broken.
func functionsOf(src []byte) (string, bool) {
	d, err := parseDocument("convex.json", src)
	if err != nil {
		return "", false
	}
	v := member(&d.root, "functions")
	if v == nil {
		return "", false
	}
	s, ok := stringValue(v)
	return s, ok && s != ""
}
