package layout

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/berthdev/berth"

// pkg is a package of this module.
type pkg struct {
	name    string   // path in the module without "internal/"
	path    string   // path in the module
	doc     string   // first sentence of the package comment
	imports []string // names of packages of this module, without those of test files
	dir     string
	files   []string // Go files, test files included, for any system
}

// ourName returns the name of a package of this module.
func ourName(importPath string) (string, bool) {
	path, ok := strings.CutPrefix(importPath, module+"/")
	return strings.TrimPrefix(path, "internal/"), ok
}

// root returns the top folder of the module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// output runs a command at the top of the module and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, "go", append([]string{"list"}, args...)...)
}

// trackedFiles returns the names of the files that git holds and that exist.
var trackedFiles = sync.OnceValues(func() ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	var names []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(cmd.Dir, name))
		if err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names, err
})

// packages lists the packages of this module. A package that does not compile
// is listed too: that is for the compiler to say.
func packages(t *testing.T) []pkg {
	t.Helper()
	var list []pkg
	in := json.NewDecoder(strings.NewReader(goList(t, "-e", "-json", "./...")))
	for {
		var p struct {
			ImportPath, Dir, Doc                                                  string
			Imports, GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		err := in.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		one := pkg{path: strings.TrimPrefix(p.ImportPath, module+"/"), doc: p.Doc, dir: p.Dir}
		one.name, _ = ourName(p.ImportPath)
		for _, path := range p.Imports {
			if name, ok := ourName(path); ok {
				one.imports = append(one.imports, name)
			}
		}
		for _, files := range [][]string{p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles} {
			one.files = append(one.files, files...)
		}
		if len(one.files) > 0 { // else a folder whose first file is still to come
			list = append(list, one)
		}
	}
	if len(list) < 5 {
		t.Fatalf("go list ./... names %d packages, want the whole module", len(list))
	}
	return list
}

func TestPackagesExplainThemselves(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		if p.doc == "" && !testFilesDocumented(p) {
			t.Errorf("package %s has no package comment.\nfix: say what it is for and what it leaves to others, above its package clause", p.path)
		}
		if _, ok := testSupportOf(p.name); ok {
			continue
		}
		if !strings.Contains(string(page), "\n| `"+p.path+"` | ") {
			t.Errorf("package %s has no line in docs/architecture.md.\nfix: add \"| `%s` | what it is for |\" to the table there", p.path, p.path)
		}
	}
}

// testFilesDocumented tells whether a package that consists of test files only
// has its comment in one of them.
func testFilesDocumented(p pkg) bool {
	for _, name := range p.files {
		if !strings.HasSuffix(name, "_test.go") {
			return false
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err == nil && f.Doc != nil {
			return true
		}
	}
	return false
}
