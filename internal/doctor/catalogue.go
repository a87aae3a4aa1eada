package doctor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// catalogue holds every entry by its code. Files of checks add theirs with
// define and register; a test holds that each is complete and reached.
var catalogue = map[string]Entry{}

// all are the checks of the package, in the order of their files.
var all []Check

var codeShape = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

// define adds an entry to the catalogue and returns its code. Mistakes in the
// catalogue are mistakes of the program, so they stop it at its start.
func define(e Entry) string {
	_, twice := catalogue[e.Code]
	switch {
	case twice:
		panic("doctor: two entries have the code " + e.Code)
	case !codeShape.MatchString(e.Code):
		panic("doctor: the code " + e.Code + " is not lower case with dashes")
	case e.Title == "" || e.Why == "" || e.Fix == "" || e.Leg == "" || e.Severity == "" || len(e.Requirements) == 0:
		panic("doctor: the entry " + e.Code + " is not complete")
	case e.Likely < 0 || e.Likely > 100:
		panic(fmt.Sprintf("doctor: the likelihood of %s is %d", e.Code, e.Likely))
	}
	catalogue[e.Code] = e
	return e.Code
}

// register adds a check.
func register(c Check) struct{} {
	all = append(all, c)
	return struct{}{}
}

// Checks returns all checks, by name.
func Checks() []Check {
	list := slices.Clone(all)
	slices.SortFunc(list, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Catalogue returns all entries, by code.
func Catalogue() []Entry {
	list := make([]Entry, 0, len(catalogue))
	for _, code := range slices.Sorted(maps.Keys(catalogue)) {
		list = append(list, catalogue[code])
	}
	return list
}

// Explain returns the entry of a code, or an empty one.
func Explain(code string) Entry { return catalogue[code] }
