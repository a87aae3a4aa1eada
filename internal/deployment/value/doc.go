// Package value holds the data of Convex functions and documents: null, booleans,
// 64-bit floats and integers, strings, bytes, arrays and objects, with their
// encoded JSON form, their order, their limits, validators and document ids.
//
// A value is one of the Go types nil, bool, float64, int64, string, Bytes, Array
// and Object. Values are not changed after they were made; they may be shared.
package value

// Bytes is an ArrayBuffer.
type Bytes []byte

// Array is a list of values.
type Array = []any

// Object is an object. The encoded form lists its fields by name.
type Object = map[string]any

// Undefined stands for a missing field: before every other value in the order of
// an index, and in a patch for a field that goes away. No document holds it.
type Undefined struct{}
