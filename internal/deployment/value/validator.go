package value

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// A Validator is the type of a value, as v.* of convex/values builds it.
type Validator struct {
	kind    string
	table   string       // of an id
	literal any          // of a literal
	of      []*Validator // element of an array, members of a union, key and value of a record
	fields  map[string]field
}

type field struct {
	optional bool
	*Validator
}

// ParseValidator reads the JSON form in which functions and schemas export
// their validators.
func ParseValidator(data []byte) (*Validator, error) {
	var raw rawValidator
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fault.New(fault.Invalid, "the validator is not valid JSON").WithCode("InvalidValidator")
	}
	return raw.read(0)
}

type rawValidator struct {
	Type      string          `json:"type"`
	Value     json.RawMessage `json:"value"`
	TableName string          `json:"tableName"`
	Keys      json.RawMessage `json:"keys"`
	Values    json.RawMessage `json:"values"`
}

type rawField struct {
	Type     json.RawMessage `json:"fieldType"`
	Optional bool            `json:"optional"`
}

func (r rawValidator) read(depth int) (*Validator, error) {
	bad := func(why string) (*Validator, error) {
		return nil, fault.New(fault.Invalid, "the validator of type %q %s", r.Type, why).WithCode("InvalidValidator")
	}
	if depth > 2*MaxDepth {
		return bad("is nested too deeply")
	}
	inner := func(data json.RawMessage) (*Validator, error) {
		var raw rawValidator
		if err := json.Unmarshal(data, &raw); err != nil {
			return bad("holds something that is no validator")
		}
		return raw.read(depth + 1)
	}
	v := &Validator{kind: r.Type}
	switch r.Type {
	case "null", "number", "bigint", "boolean", "string", "bytes", "any":
		return v, nil
	case "commitTs":
		v.kind = "bigint"
		return v, nil
	case "id":
		if v.table = r.TableName; v.table == "" {
			return bad("names no table")
		}
		return v, nil
	case "literal":
		var err error
		if v.literal, err = Parse(r.Value); err != nil {
			return bad("has an unreadable value")
		}
		return v, nil
	case "array":
		element, err := inner(r.Value)
		v.of = []*Validator{element}
		return v, err
	case "union":
		var members []json.RawMessage
		if err := json.Unmarshal(r.Value, &members); err != nil {
			return bad("has no list of members")
		}
		for _, m := range members {
			member, err := inner(m)
			if err != nil {
				return nil, err
			}
			v.of = append(v.of, member)
		}
		return v, nil
	case "record":
		keys, err := inner(r.Keys)
		if err != nil {
			return nil, err
		}
		var values rawField
		if err := json.Unmarshal(r.Values, &values); err != nil {
			return bad("has no type of its values")
		}
		of, err := inner(values.Type)
		v.of = []*Validator{keys, of}
		return v, err
	case "object":
		var fields map[string]rawField
		if err := json.Unmarshal(r.Value, &fields); err != nil {
			return bad("has no fields")
		}
		v.fields = make(map[string]field, len(fields))
		for name, f := range fields {
			of, err := inner(f.Type)
			if err != nil {
				return nil, err
			}
			v.fields[name] = field{f.Optional, of}
		}
		return v, nil
	}
	return bad("is not known")
}

// IsAny reports whether the validator accepts everything.
func (v *Validator) IsAny() bool { return v == nil || v.kind == "any" }

// Check returns nil when x fits, or an error whose text is Convex's. table
// returns the name of the table that a document id belongs to, or "" for none.
// A nil Validator accepts everything.
func (v *Validator) Check(x any, table func(id string) string) error {
	if v == nil {
		return nil
	}
	m := v.check(x, table)
	if m == nil {
		return nil
	}
	return fault.New(fault.Invalid, "%s", m.text()).WithCode("ValidationError")
}

// CheckFields is Check for a document of a table: the fields that Convex adds
// are not in the schema and are left out.
func (v *Validator) CheckFields(doc Object, table func(id string) string) error {
	own := maps.Clone(doc)
	delete(own, "_id")
	delete(own, "_creationTime")
	return v.Check(own, table)
}

// mismatch is why a value does not fit; path is from the inside out.
type mismatch struct {
	message string
	details string // lines after the path
	path    []string
}

func (m *mismatch) at(where string) *mismatch {
	if m != nil {
		m.path = append(m.path, where)
	}
	return m
}

func (m *mismatch) text() string {
	path := ""
	if len(m.path) > 0 {
		slices.Reverse(m.path)
		path = "Path: " + strings.Join(m.path, "")
	}
	if m.details == "" {
		return m.message + path
	}
	return m.message + "\n" + path + "\n" + m.details
}

func (v *Validator) noMatch(x any) *mismatch {
	return &mismatch{message: "Value does not match validator.", details: "Value: " + Text(x) + "\nValidator: " + v.String()}
}

func (v *Validator) check(x any, table func(string) string) *mismatch {
	fits := false
	switch v.kind {
	case "any":
		fits = true
	case "null":
		fits = x == nil
	case "number":
		_, fits = x.(float64)
	case "bigint":
		_, fits = x.(int64)
	case "boolean":
		_, fits = x.(bool)
	case "string":
		_, fits = x.(string)
	case "bytes":
		_, fits = x.(Bytes)
	case "id":
		return v.checkID(x, table)
	case "literal":
		if rank(x) != rank(v.literal) || Compare(x, v.literal) != 0 {
			return &mismatch{message: fmt.Sprintf("`%s` does not match literal validator `%s`.", Text(x), v)}
		}
		return nil
	case "array":
		list, ok := x.(Array)
		for i, e := range list {
			if m := v.of[0].check(e, table); m != nil {
				return m.at(fmt.Sprintf("[%d]", i))
			}
		}
		fits = ok
	case "record":
		o, ok := x.(Object)
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if m := v.of[0].check(name, table); m != nil {
				return m.at(".keys()")
			}
			if m := v.of[1].check(o[name], table); m != nil {
				return m.at(".values()")
			}
		}
		fits = ok
	case "object":
		o, ok := x.(Object)
		if ok {
			return v.checkObject(o, table)
		}
	case "union":
		if len(v.of) == 1 {
			return v.of[0].check(x, table)
		}
		for _, member := range v.of {
			if member.check(x, table) == nil {
				return nil
			}
		}
	}
	if fits {
		return nil
	}
	return v.noMatch(x)
}

func (v *Validator) checkID(x any, table func(string) string) *mismatch {
	id, ok := x.(string)
	if !ok {
		return v.noMatch(x)
	}
	switch found := table(id); found {
	case v.table:
		return nil
	case "":
		return v.noMatch(x)
	default:
		return &mismatch{message: fmt.Sprintf("Found ID %q from table `%s`, which does not match the table name in validator `%s`.", id, found, v)}
	}
}

func (v *Validator) checkObject(o Object, table func(string) string) *mismatch {
	details := func() string { return "Object: " + Text(o) + "\nValidator: " + v.String() }
	for _, name := range slices.Sorted(maps.Keys(v.fields)) {
		f := v.fields[name]
		x, there := o[name]
		switch {
		case there:
			if m := f.check(x, table); m != nil {
				return m.at("." + name)
			}
		case !f.optional:
			return &mismatch{message: fmt.Sprintf("Object is missing the required field `%s`. Consider wrapping the field validator in `v.optional(...)` if this is expected.", name), details: details()}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if _, known := v.fields[name]; !known {
			return &mismatch{message: fmt.Sprintf("Object contains extra field `%s` that is not in the validator.", name), details: details()}
		}
	}
	return nil
}

// String writes the validator as its source would.
func (v *Validator) String() string {
	if v == nil {
		return "v.any()"
	}
	list := func(of []*Validator) string {
		texts := make([]string, len(of))
		for i, o := range of {
			texts[i] = o.String()
		}
		return strings.Join(texts, ", ")
	}
	switch v.kind {
	case "number":
		return "v.float64()"
	case "bigint":
		return "v.int64()"
	case "id":
		return fmt.Sprintf("v.id(%q)", v.table)
	case "literal":
		if _, ok := v.literal.(int64); ok {
			return "v.literal(<bigint>)"
		}
		return "v.literal(" + Text(v.literal) + ")"
	case "array", "record", "union":
		return "v." + v.kind + "(" + list(v.of) + ")"
	case "object":
		var b strings.Builder
		for i, name := range slices.Sorted(maps.Keys(v.fields)) {
			if i > 0 {
				b.WriteString(", ")
			}
			text := v.fields[name].Validator.String()
			if v.fields[name].optional {
				text = "v.optional(" + text + ")"
			}
			b.WriteString(name + ": " + text)
		}
		return "v.object({" + b.String() + "})"
	}
	return "v." + v.kind + "()"
}

// Text writes a value for a message: objects with bare names, floats with a
// decimal point.
func Text(v any) string {
	switch v := v.(type) {
	case float64:
		text := string(appendNumber(nil, v))
		if !strings.ContainsAny(text, ".eNI") {
			text += ".0"
		}
		return text
	case int64:
		return strconv.FormatInt(v, 10)
	case Bytes:
		return string(appendBase64(nil, v))
	case Array:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = Text(e)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case Object:
		var b strings.Builder
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(name + ": " + Text(v[name]))
		}
		return "{" + b.String() + "}"
	}
	return string(Append(nil, v))
}
