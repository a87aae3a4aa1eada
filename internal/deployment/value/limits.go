package value

import (
	"github.com/berthdev/berth/internal/fault"
)

// Limits of Convex.
const (
	MaxDocument = 1 << 20  // size of a document
	MaxArgument = 16 << 20 // size of arguments and results
	MaxDepth    = 64       // nesting of arrays and objects
	MaxArray    = 8192     // elements of an array
	MaxFields   = 1024     // fields of an object
	maxName     = 1024     // bytes of a field name
)

// Size is the size of a value as Convex counts it, in bytes.
func Size(v any) int {
	switch v := v.(type) {
	case nil, bool:
		return 1
	case float64, int64:
		return 9
	case string:
		return len(v) + 2
	case Bytes:
		return len(v) + 2
	case Array:
		n := 2
		for _, e := range v {
			n += Size(e)
		}
		return n
	case Object:
		n := 2
		for name, e := range v {
			n += len(name) + 1 + Size(e)
		}
		return n
	}
	return 0
}

// CheckDocument holds a document to the limits. Fields of its own that begin
// with "_" must be _id and _creationTime.
func CheckDocument(fields Object) error {
	for name := range fields {
		if len(name) > 0 && name[0] == '_' && name != "_id" && name != "_creationTime" {
			return fault.New(fault.Invalid, "Field '%s' starts with an underscore, which is only allowed for system fields like '_id'", name).WithCode("InvalidFieldName")
		}
	}
	if n := Size(fields); n > MaxDocument {
		return fault.New(fault.Invalid, "Value is too large (%.2f MiB > maximum size 1 MiB)", float64(n)/(1<<20)).WithCode("ValueTooLargeError")
	}
	return Check(fields)
}

// Check holds a value to the limits of depth, lengths and field names.
func Check(v any) error { return check(v, 0) }

func check(v any, depth int) error {
	switch v := v.(type) {
	case Array:
		if depth++; depth > MaxDepth {
			return tooNested(depth)
		}
		if len(v) > MaxArray {
			return fault.New(fault.Invalid, "Array length is too long (%d > maximum length %d)", len(v), MaxArray).WithCode("ArrayTooLong")
		}
		for _, e := range v {
			if err := check(e, depth); err != nil {
				return err
			}
		}
	case Object:
		if depth++; depth > MaxDepth {
			return tooNested(depth)
		}
		if len(v) > MaxFields {
			return fault.New(fault.Invalid, "Object has too many fields (%d > maximum number %d)", len(v), MaxFields).WithCode("ObjectTooManyFields")
		}
		for name, e := range v {
			if err := checkName(name); err != nil {
				return err
			}
			if err := check(e, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func tooNested(depth int) error {
	return fault.New(fault.Invalid, "Value is too nested (nested %d levels deep > maximum nesting %d)", depth, MaxDepth).WithCode("TooNestedError")
}

func checkName(name string) error {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "Field name %.80q is not allowed: %s", name, why).WithCode("InvalidFieldName")
	}
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxName:
		return bad("it is longer than 1024 bytes")
	case name[0] == '$':
		return bad("field names cannot begin with $")
	}
	for i := range len(name) {
		if name[i] < 0x20 || name[i] >= 0x7f {
			return bad("field names have non-control ASCII characters only")
		}
	}
	return nil
}
