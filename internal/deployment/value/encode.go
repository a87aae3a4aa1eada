package value

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/fault"
)

// Append appends v in encoded JSON, fields by name. Parse reads it back.
func Append(dst []byte, v any) []byte { return appendAs(dst, v, Encoded) }

// Format is how values are written for a caller.
type Format int

// The formats of the function API. Only Encoded can be read back exactly.
const (
	Encoded Format = iota // convex_encoded_json, convex_json: see Parse
	Clean                 // json, convex_clean_json: integers and bytes are strings
	Export                // export_json: integers are numbers, bytes strings
)

// ParseFormat reads the format parameter of a call. "" is json.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "", "json", "convex_clean_json":
		return Clean, nil
	case "convex_encoded_json", "convex_json":
		return Encoded, nil
	case "export_json":
		return Export, nil
	}
	return 0, fault.New(fault.Invalid, "format param must be one of [`json`]. Got %s", name).WithCode("BadFormat")
}

// Write appends v in a format.
func (f Format) Write(dst []byte, v any) []byte { return appendAs(dst, v, f) }

func appendAs(dst []byte, v any, f Format) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case float64:
		return appendFloat(dst, v, f)
	case int64:
		return appendInteger(dst, v, f)
	case string:
		return appendString(dst, v)
	case Bytes:
		if f != Encoded {
			return appendBase64(dst, v)
		}
		return append(appendBase64(append(dst, `{"$bytes":`...), v), '}')
	case Undefined:
		return append(dst, `{"$undefined":null}`...)
	case Array:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendAs(dst, e, f)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendAs(append(appendString(dst, name), ':'), v[name], f)
		}
		return append(dst, '}')
	}
	panic("value: a Go type that is no value")
}

func appendBase64(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

func appendInteger(dst []byte, n int64, f Format) []byte {
	switch f {
	case Clean:
		return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
	case Export:
		return strconv.AppendInt(dst, n, 10)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // the bits are what is written
	return append(appendBase64(append(dst, `{"$integer":`...), b[:]), '}')
}

func appendFloat(dst []byte, n float64, f Format) []byte {
	if !unusual(n) {
		return appendNumber(dst, n)
	}
	if f != Encoded {
		switch {
		case math.IsNaN(n):
			return append(dst, `"NaN"`...)
		case math.IsInf(n, 1):
			return append(dst, `"Infinity"`...)
		case math.IsInf(n, -1):
			return append(dst, `"-Infinity"`...)
		}
		return append(dst, "-0.0"...)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], math.Float64bits(n))
	return append(appendBase64(append(dst, `{"$float":`...), b[:]), '}')
}

// appendNumber writes a float as JavaScript does.
func appendNumber(dst []byte, n float64) []byte {
	format := byte('f')
	if abs := math.Abs(n); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, n, format, -1, 64)
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, _ := json.Marshal(s) // strings always encode
			return append(dst, text...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
