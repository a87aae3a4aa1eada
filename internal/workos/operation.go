package workos

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// Operation is a call of WorkOS's OpenAPI document.
type Operation struct {
	Tag    string // such as "user-management.users"
	Method string // in capitals
	Path   string // with parameters in braces, such as "/user_management/users/{id}"
}

// String is the operation's method and path, separated by a blank.
func (o Operation) String() string { return o.Method + " " + o.Path }

//go:embed operations.txt
var operationList string

var operations = sync.OnceValue(func() []Operation {
	var list []Operation
	for line := range strings.Lines(operationList) {
		if f := strings.Fields(line); len(f) == 3 && f[0] != "#" {
			list = append(list, Operation{Tag: f[0], Method: f[1], Path: f[2]})
		}
	}
	return list
})

// Operations returns every operation of the document (0.61.0), by tag, path
// and method.
func Operations() []Operation { return slices.Clone(operations()) }

// group is what all operations that a request can mean have in common.
type group struct {
	method, first string // method and first segment of the path
	segments      int
}

var operationGroups = sync.OnceValue(func() map[group][]Operation {
	groups := map[group][]Operation{}
	for _, o := range operations() {
		g := groupOf(o.Method, o.Path)
		groups[g] = append(groups[g], o)
	}
	return groups
})

func groupOf(method, path string) group {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return group{method, first, strings.Count(path, "/")}
}

// FindOperation returns the operation that a request means. Where several fit,
// the one with the first literal segment does: …/users/external_id/sessions is
// a user whose own id is "sessions".
func FindOperation(method, path string) (Operation, bool) {
	var best Operation
	for _, o := range operationGroups()[groupOf(method, path)] {
		if o.fits(path) && (best.Path == "" || o.before(best)) {
			best = o
		}
	}
	return best, best.Path != ""
}

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

// fits tells whether a path of as many segments is o's. It makes nothing: every
// request asks.
func (o Operation) fits(path string) bool {
	rest, more := o.Path, true
	for more {
		var want, is string
		want, rest, more = strings.Cut(rest, "/")
		is, path, _ = strings.Cut(path, "/")
		if isParameter(want) && is == "" || !isParameter(want) && is != want {
			return false
		}
	}
	return true
}

// before tells whether o is literal where other, of the same length, first is not.
func (o Operation) before(other Operation) bool {
	theirs := strings.Split(other.Path, "/")
	for i, s := range strings.Split(o.Path, "/") {
		if a, b := isParameter(s), isParameter(theirs[i]); a != b {
			return b
		}
	}
	return false
}
