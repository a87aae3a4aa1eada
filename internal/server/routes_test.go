package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var pattern = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/.*)?$`)

// computed are the patterns whose path is not a literal: public files.
var computed = []string{"web.StylesheetPath", "web.IconPath"}

// mounted returns the patterns of all routes, read from the source of the
// surfaces: every string literal of the form "METHOD /path". A pattern that is
// put together in another way than the known ones fails the test. The routes of
// the deployments' own origins are tried in package deploy.
func mounted(t *testing.T) []string {
	t.Helper()
	var all []string
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == filepath.Join("deploy", "routes.go") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sum, ok := n.(*ast.BinaryExpr); ok {
				if text, ok := literal(sum.X); ok && pattern.MatchString(text) {
					if !slices.Contains(computed, called(sum.Y)) {
						t.Errorf("%s: a route pattern is computed; write it as one literal or add it to computed", files.Position(n.Pos()))
					}
					return false
				}
			}
			if text, ok := literal(n); ok && pattern.MatchString(text) {
				all = append(all, text)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func literal(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// called returns "pkg.Func" for a call of it.
func called(n ast.Expr) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return pkg.Name + "." + sel.Sel.Name
}
