package layout

import (
	"slices"
	"strings"
	"testing"
)

// foundation may be imported by every package outside it.
var foundation = []string{"fault", "secret", "wire", "authconfig"}

// arrows says what each package may import, besides the foundation. Names are
// paths in the module without "internal/". A package that is listed here and
// not yet written is no failure; one that is written and not listed is.
//
// A package NAME/NAMEtest holds fakes and fixtures for tests of others: it needs
// no line, may import NAME and what NAME may, and never reaches the binary.
var arrows = map[string][]string{
	"cmd/berth": {"cli"},
	"cli": {
		"project", "host", "plan", "doctor", "convex", "workos", "server",
		"berth", "claim", "demo", "deployment", "examples", "provision", "identity", "limit", "seed", "browser",
	},

	"seed":    {"workos", "identity"}, // users and organizations of a test environment, from a file
	"browser": {},                     // signs in as a browser does, over plain HTTP

	"provision": {"berth", "claim", "convex", "host", "identity", "plan", "project", "workos"},

	"plan":   {"claim", "project", "host", "convex", "workos", "identity"},
	"doctor": {"claim", "project", "host", "convex", "workos", "deployment", "identity", "browser"},

	"server": {
		"server/authkit", "server/platform", "server/hosted", "server/control",
		"server/deploy", "server/dashboard", "server/berthapi", "server/route", "server/keyed", "server/webhook", "server/connect",
		"server/authorization", "server/apikeys", "server/flags", "server/widgets",
		"web", "auth", "store", "token", "mail", "identity", "claim", "deployment", "deployment/instance", "limit", "workos", "server/sso", "upstream",
	},
	"server/route":         {"identity", "limit"},                                    // handlers, errors and bodies: what the surfaces share
	"server/keyed":         {"workos", "server/route", "store", "identity", "limit"}, // calls with an API key, error shapes, lists
	"server/authkit":       {"workos", "server/keyed", "server/route", "auth", "store", "token", "identity", "limit"},
	"server/authorization": {"workos", "server/authkit", "server/keyed", "server/route", "store", "identity", "limit"}, // authkit for the shape of users
	"server/apikeys":       {"workos", "server/keyed", "server/route", "store", "identity", "limit"},
	"server/flags":         {"workos", "server/keyed", "server/route", "store", "identity", "limit"},
	"server/widgets":       {"workos", "server/keyed", "server/route", "auth", "store", "limit"},
	"server/connect":       {"workos", "server/keyed", "server/route", "auth", "store", "identity", "limit"},
	"server/platform":      {"workos", "server/route", "auth", "store", "identity"},
	"server/hosted":        {"server/route", "web", "auth", "store", "claim", "identity", "limit"},
	"server/control":       {"server/route", "convex", "berth", "claim", "store", "auth", "identity", "deployment", "host"}, // host for the key of a branch's claim
	"server/syncws":        {"deployment", "deployment/instance", "deployment/database"},                                    // subscriptions of Convex clients
	"server/deploy": {
		"server/route", "server/syncws", "convex", "berth", "deployment", "store",
		"deployment/instance", "deployment/runtime", "deployment/database", "deployment/value",
	},
	"server/dashboard": {"server/route", "web", "auth", "store", "claim", "identity"},
	"server/berthapi":  {"server/route", "berth", "claim", "auth", "store", "identity"},

	"server/webhook": {"workos", "store", "identity"}, // sends what the store queues

	// sign-in at identity providers
	"server/sso": {"workos", "server/keyed", "server/route", "server/hosted", "upstream", "web", "auth", "store", "identity", "limit"},

	"auth":       {"store", "token", "mail", "identity"},
	"store":      {"identity", "claim", "deployment/database", "deployment/value"},
	"token":      {"identity", "claim"},
	"deployment": {"identity", "convex"},

	"deployment/value":    {},
	"deployment/runtime":  {"deployment/value"},
	"deployment/database": {"deployment/value"},
	"deployment/instance": {"deployment", "deployment/value", "deployment/runtime", "deployment/database", "claim", "store"},
	"upstream":            {"identity"}, // speaks OpenID Connect to identity providers

	"limit":    {},
	"identity": {},
	"claim":    {},
	"project":  {},
	"convex":   {},
	"workos":   {},
	"berth":    {"claim"},
	"mail":     {"identity"},
	"web":      {},
	"host":     {},

	"fault":      {},
	"secret":     {},
	"wire":       {"fault"},
	"authconfig": {"fault"},

	// demo shows the whole, so it may use the whole, but for what stands above it.
	"demo": {
		"project", "host", "plan", "doctor", "convex", "workos", "berth", "claim",
		"server", "store", "auth", "token", "mail", "identity", "deployment", "web",
	},

	"examples":           {},
	"layout":             {},
	"torture":            {},
	"scripts/benchtable": {},
	"scripts/check":      {},
	"scripts/gallery":    {"web"}, // every page, to look at
	"e2e":                {},
}

// mayImport returns what the package called name may import, and whether the
// package is known at all.
func mayImport(name string) ([]string, bool) {
	if of, ok := testSupportOf(name); ok {
		allowed, known := arrows[of]
		return slices.Concat(allowed, foundation, []string{of}), known
	}
	allowed, known := arrows[name]
	if slices.Contains(foundation, name) {
		return allowed, known
	}
	return slices.Concat(allowed, foundation), known
}

// testSupportOf returns NAME for the package NAME/NAMEtest.
func testSupportOf(name string) (string, bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", false
	}
	of := name[:i]
	return of, name[i+1:] == of[strings.LastIndexByte(of, '/')+1:]+"test"
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, p := range packages(t) {
		allowed, known := mayImport(p.name)
		if !known {
			t.Errorf("package %s is not known here.\n"+
				"fix: say what it may import in arrows (internal/layout/arrows_test.go) and what it is for in docs/architecture.md", p.path)
			continue
		}
		for _, imported := range p.imports {
			if slices.Contains(allowed, imported) {
				continue
			}
			slices.Sort(allowed)
			t.Errorf("new arrow: %s -> %s. It may import: %s.\n"+
				"fix: get what is needed through one of those, or hand it in from above. If the arrow is meant, add %q to the line of %q\n"+
				"in arrows (internal/layout/arrows_test.go) and give the reason in the commit",
				p.name, imported, strings.Join(allowed, ", "), imported, p.name)
		}
	}
}

func TestArrowsMakeNoCircle(t *testing.T) {
	const open, closed = 1, 2
	state := map[string]int{}
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		trail = append(trail, name)
		switch state[name] {
		case closed:
			return
		case open:
			t.Errorf("arrows make a circle: %s", strings.Join(trail, " -> "))
			return
		}
		state[name] = open
		for _, next := range arrows[name] {
			if _, ok := arrows[next]; !ok {
				t.Errorf("arrow %s -> %s leads to a package that has no line of its own", name, next)
			}
			visit(next, trail)
		}
		state[name] = closed
	}
	for name := range arrows {
		visit(name, nil)
	}
}

// onlyForTests are modules that no shipped code may reach.
var onlyForTests = []string{"github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "github.com/santhosh-tekuri/jsonschema", "go.yaml.in/yaml", "testing"}

func TestBinaryHoldsNoTestCode(t *testing.T) {
	for line := range strings.FieldsSeq(goList(t, "-e", "-deps", "./cmd/berth")) {
		for _, module := range onlyForTests {
			if line == module || strings.HasPrefix(line, module+"/") {
				t.Errorf("cmd/berth reaches %s, which is for tests only.\nfix: `go mod why -m` or `go list -deps` shows through which package; move that code into a _test.go file", line)
			}
		}
		if name, ok := ourName(line); ok {
			if of, ok := testSupportOf(name); ok {
				t.Errorf("cmd/berth reaches %s, which holds test support of %s.\nfix: import it from _test.go files only", name, of)
			}
		}
	}
}
