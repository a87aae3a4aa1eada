package layout

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// outside lists, by import path, what belongs to the process and not to a
// package: environment, arguments, standard streams, exit.
var outside = map[string][]string{
	"os": {
		"Args", "Environ", "Exit", "ExpandEnv", "Getenv", "LookupEnv", "Setenv", "Unsetenv", "Clearenv",
		"Stdin", "Stdout", "Stderr", "UserCacheDir", "UserConfigDir", "UserHomeDir",
	},
	"syscall": {"Environ", "Exit", "Getenv", "Setenv", "Stdin", "Stdout", "Stderr"},
	"fmt":     {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"log":     {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Print", "Printf", "Println"},
	"flag":    {"Parse", "Args", "CommandLine"},
}

// above are the packages that may touch all of it: the command line and the
// programs around it.
var above = []string{"cli", "cmd/", "scripts/"}

// exceptions are uses outside of those, as "file call", each with its reason.
var exceptions = map[string]string{}

func TestOnlyTheCommandLineTouchesTheProcess(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		if isAbove(p.name) {
			continue
		}
		for _, name := range p.files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.dir, name), nil, 0)
			if err != nil {
				t.Errorf("parse %s/%s: %v", p.path, name, err)
				continue
			}
			for _, u := range usesOutside(f) {
				key := fmt.Sprintf("%s/%s %s", p.path, name, u.name)
				used[key] = true
				if exceptions[key] == "" {
					t.Errorf("%s/%s:%d uses %s, which only internal/cli may.\n"+
						"fix: take it as a parameter (streams as io.Reader and io.Writer, the environment as func(string) (string, bool)).\n"+
						"If it must stay, add %q with its reason to exceptions (internal/layout/outside_test.go)",
						p.path, name, fset.Position(u.at).Line, u.name, key)
				}
			}
		}
	}
	for key := range exceptions {
		if !used[key] {
			t.Errorf("exception %q is not needed any more; remove it", key)
		}
	}
}

func isAbove(name string) bool {
	for _, a := range above {
		if name == a || strings.HasPrefix(name, strings.TrimSuffix(a, "/")+"/") {
			return true
		}
	}
	return false
}

type use struct {
	name string // such as os.Getenv
	at   token.Pos
}

// usesOutside finds what f uses of the names in outside, under whatever name
// the package is imported.
func usesOutside(f *ast.File) []use {
	var found []use
	paths := map[string]string{} // local name to import path
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || outside[path] == nil {
			continue
		}
		local := path
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "." { // its names cannot be told from our own
			found = append(found, use{path + ".*", spec.Pos()})
		}
		paths[local] = path
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || x.Obj != nil { // a local variable of that name
				return true
			}
			for _, name := range outside[paths[x.Name]] {
				if n.Sel.Name == name {
					found = append(found, use{paths[x.Name] + "." + name, n.Pos()})
				}
			}
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.Ident); ok && fun.Obj == nil && (fun.Name == "print" || fun.Name == "println") {
				found = append(found, use{fun.Name, n.Pos()})
			}
		}
		return true
	})
	return found
}

func TestUsesOutsideAreFoundUnderAnyName(t *testing.T) {
	for _, test := range []struct{ name, body, want string }{
		{"plain", `import "os"; var x = os.Getenv("A")`, "os.Getenv"},
		{"renamed", `import sys "os"; func f() { sys.Exit(1) }`, "os.Exit"},
		{"as a value", `import "os"; var get = os.LookupEnv`, "os.LookupEnv"},
		{"dot import", `import . "fmt"; func f() { Println() }`, "fmt.*"},
		{"builtin", `func f() { println("x") }`, "println"},
		{"a variable of that name", `import "os"; var _ = os.ErrExist; func f(os struct{ Getenv func() }) { os.Getenv() }`, ""},
		{"a harmless function", `import "os"; var _ = os.ReadFile`, ""},
		{"a method of that name", `import "fmt"; var _ = fmt.Sprint; func f(w interface{ Println() }) { w.Println() }`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+test.body, 0)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, u := range usesOutside(f) {
				got += u.name
			}
			if got != test.want {
				t.Errorf("usesOutside(%s) = %q, want %q", test.body, got, test.want)
			}
		})
	}
}
