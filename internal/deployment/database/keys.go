package database

import (
	"strings"

	"github.com/berthdev/berth/internal/deployment/value"
)

// The indexes that every table has.
const (
	byID           = "by_id"
	byCreationTime = "by_creation_time"
)

// path leads to a field within nested objects.
type path []string

func paths(names []string) []path {
	all := make([]path, len(names))
	for i, n := range names {
		all[i] = strings.Split(n, ".")
	}
	return all
}

// of returns the value that the path leads to, or value.Undefined.
func (p path) of(fields value.Object) any {
	var v any = fields
	for _, name := range p {
		o, ok := v.(value.Object)
		if !ok {
			return value.Undefined{}
		}
		if v, ok = o[name]; !ok {
			return value.Undefined{}
		}
	}
	return v
}

// key is the place of a document in the index: its indexed fields, then its
// creation time, then its id, so that no two documents share a place.
func (x *index) key(fields value.Object) string {
	var key []byte
	for _, p := range x.fields {
		key = value.AppendKey(key, p.of(fields))
	}
	if x.fields != nil {
		key = value.AppendKey(key, fields["_creationTime"])
	}
	return string(value.AppendKey(key, fields["_id"]))
}

// after returns the first key behind all those that begin with prefix. The bytes
// of a key that follow a value begin with its rank, which is below 0xff.
func after(prefix string) string { return prefix + "\xff" }
