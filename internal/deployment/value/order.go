package value

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
)

// rank orders the types: undefined, null, int64, float64, boolean, string,
// bytes, array, object.
func rank(v any) byte {
	switch v.(type) {
	case Undefined:
		return 1
	case nil:
		return 2
	case int64:
		return 3
	case float64:
		return 4
	case bool:
		return 5
	case string:
		return 6
	case Bytes:
		return 7
	case Array:
		return 8
	case Object:
		return 9
	}
	panic("value: a Go type that is no value")
}

// Compare orders values as Convex's indexes do, by type and then within it.
// Floats are in IEEE 754's total order, strings in that of their UTF-8 bytes.
func Compare(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(floatOrder(a), floatOrder(b.(float64)))
	case bool:
		if a == b.(bool) {
			return 0
		}
		if b.(bool) {
			return -1
		}
		return 1
	case string:
		return strings.Compare(a, b.(string))
	case Bytes:
		return bytes.Compare(a, b.(Bytes))
	case Array:
		return slices.CompareFunc(a, b.(Array), Compare)
	case Object:
		return compareObjects(a, b.(Object))
	}
	return 0
}

func compareObjects(a, b Object) int {
	an, bn := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))
	for i, name := range an {
		if i >= len(bn) {
			return 1
		}
		if c := cmp.Or(strings.Compare(name, bn[i]), Compare(a[name], b[bn[i]])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(an), len(bn))
}

// floatOrder maps a float to an integer of the same total order.
func floatOrder(f float64) uint64 {
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		return ^bits
	}
	return bits | 1<<63
}

// end closes a string, array or object in a key. Within strings escape stands
// before the bytes 0 and 1, so that no key is the beginning of another.
const (
	end    = 0x00
	escape = 0x01
)

// AppendKey appends bytes that sort (bytes.Compare) as the values do. Keys of
// several values in a row sort as the rows do.
func AppendKey(dst []byte, v any) []byte {
	dst = append(dst, rank(v))
	switch v := v.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63) //nolint:gosec // flipping the sign bit orders the bits
	case float64:
		return binary.BigEndian.AppendUint64(dst, floatOrder(v))
	case bool:
		if v {
			return append(dst, 1)
		}
		return append(dst, 0)
	case string:
		return appendEscaped(dst, []byte(v))
	case Bytes:
		return appendEscaped(dst, v)
	case Array:
		for _, e := range v {
			dst = AppendKey(dst, e)
		}
		return append(dst, end)
	case Object:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			// 1 says that a field follows; its name may begin with any byte.
			dst = AppendKey(appendEscaped(append(dst, 1), []byte(name)), v[name])
		}
		return append(dst, end)
	}
	return dst
}

func appendEscaped(dst, data []byte) []byte {
	for _, c := range data {
		if c == end || c == escape {
			dst = append(dst, escape, c+1)
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, end)
}
