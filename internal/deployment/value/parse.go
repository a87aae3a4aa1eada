package value

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// Parse reads a value in encoded JSON: plain JSON, but for int64
// {"$integer": base64 of 8 bytes little endian}, bytes {"$bytes": base64} and the
// floats that JSON has no word for {"$float": base64 of 8 bytes}. Errors have kind
// Invalid. The limits of documents are CheckDocument's; only the depth is
// held here, because a reader must not be led too deep.
func Parse(encoded []byte) (any, error) { return parse(encoded, false) }

// ParsePatch is Parse for the argument of a patch, where {"$undefined": null}
// removes a field.
func ParsePatch(encoded []byte) (any, error) { return parse(encoded, true) }

func parse(encoded []byte, patch bool) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(encoded))
	dec.UseNumber()
	p := parser{dec: dec, patch: patch}
	v, err := p.value(0)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = malformed("there is more after the value")
		}
	}
	return v, err
}

func malformed(format string, args ...any) error {
	return fault.New(fault.Invalid, "the value is not encoded JSON: %s", fmt.Sprintf(format, args...)).WithCode("InvalidValue")
}

type parser struct {
	dec   *json.Decoder
	patch bool
}

func (p parser) value(depth int) (any, error) {
	if depth > MaxDepth+1 {
		return nil, tooNested(depth - 1)
	}
	t, err := p.dec.Token()
	if err != nil {
		return nil, malformed("syntax error")
	}
	return p.after(t, depth)
}

// after reads the rest of the value that begins with t.
func (p parser) after(t json.Token, depth int) (any, error) {
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return p.array(depth)
		}
		return p.object(depth)
	case json.Number:
		f, err := strconv.ParseFloat(string(t), 64)
		if err != nil {
			return nil, malformed("the number %.40s is out of range", t)
		}
		return f, nil
	default:
		return t, nil // nil, bool or string
	}
}

func (p parser) array(depth int) (any, error) {
	all := Array{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if _, hole := v.(Undefined); hole {
			return nil, malformed("an array cannot hold undefined")
		}
		all = append(all, v)
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, malformed("syntax error")
	}
	return all, nil
}

func (p parser) object(depth int) (any, error) {
	o := Object{}
	special := ""
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, malformed("syntax error")
		}
		name, _ := t.(string)
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(name, "$") {
			special = name
		}
		o[name] = v
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, malformed("syntax error")
	}
	if special == "" {
		return o, nil
	}
	if len(o) != 1 {
		return nil, malformed("field names cannot begin with $, got %.60q", special)
	}
	return p.special(special, o[special])
}

func (p parser) special(name string, of any) (any, error) {
	if name == "$undefined" && of == nil && p.patch {
		return Undefined{}, nil
	}
	text, isText := of.(string)
	if !isText {
		return nil, malformed("field names cannot begin with $, got %.60q", name)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, malformed("%.20s is not base64", name)
	}
	switch name {
	case "$bytes":
		return Bytes(data), nil
	case "$integer", "$float":
		if len(data) != 8 {
			return nil, malformed("%s has %d bytes, want 8", name, len(data))
		}
		bits := binary.LittleEndian.Uint64(data)
		if name == "$integer" {
			return int64(bits), nil //nolint:gosec // the two's complement bits are the number
		}
		f := math.Float64frombits(bits)
		if !unusual(f) {
			return nil, malformed("$float is for numbers that JSON cannot write")
		}
		return f, nil
	}
	return nil, malformed("field names cannot begin with $, got %.60q", name)
}

// unusual reports whether JSON has no word for f.
func unusual(f float64) bool {
	return math.IsNaN(f) || math.IsInf(f, 0) || f == 0 && math.Signbit(f)
}
