package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module is a small module with one package for each way to end.
var module = map[string]string{
	"go.mod":           "module sample\n\ngo 1.26\n",
	"good/a_test.go":   "package good\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"one\", func(t *testing.T) {}); t.Run(\"two/three\", func(t *testing.T) {}) }\nfunc TestB(t *testing.T) {}\nfunc TestC(t *testing.T) { t.Skip(\"not here\") }\n",
	"bad/a_test.go":    "package bad\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"x/y\", func(t *testing.T) { t.Error(\"a clear message\") }) }\nfunc TestB(t *testing.T) {}\n",
	"broken/a_test.go": "package broken\nfunc init() { undefinedName() }\n",
	"panics/a_test.go": "package panics\nimport \"testing\"\nfunc TestA(t *testing.T) { panic(\"boom\") }\n",
	"exits/a_test.go":  "package exits\nimport (\"os\"; \"testing\")\nfunc TestA(t *testing.T) { os.Exit(3) }\n",
	"main/a_test.go":   "package main\nimport (\"os\"; \"testing\")\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(4) }\nfunc TestA(t *testing.T) {}\n",
	"none/a.go":        "package none\n",
}

func TestGoTestCountsEveryWayToEnd(t *testing.T) {
	dir := t.TempDir()
	for name, text := range module {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, test := range []struct {
		packages string
		want     tally
		output   string
	}{
		{"./good", tally{passed: 3}, "skip sample/good TestC"},
		{"./bad", tally{passed: 1, failed: 1}, "a clear message"},
		{"./broken", tally{failed: 1}, "undefined: undefinedName"},
		{"./panics", tally{failed: 1}, "boom"},
		{"./exits", tally{failed: 1}, "TestA (did not end)"},
		{"./main", tally{passed: 1, failed: 1}, "FAIL sample/main"},
		{"./none", tally{failed: 1}, "no test ran"},
		{"./missing", tally{failed: 1}, "setup failed"},
	} {
		t.Run(strings.TrimPrefix(test.packages, "./"), func(t *testing.T) {
			var out strings.Builder
			got := goTest("-count=1", test.packages)(t.Context(), &out)
			if got != test.want {
				t.Errorf("goTest(%s) = %+v, want %+v\n%s", test.packages, got, test.want, &out)
			}
			if !strings.Contains(out.String(), test.output) {
				t.Errorf("goTest(%s) printed\n%s\nwant %q in it", test.packages, &out, test.output)
			}
		})
	}
}

func TestCheckEndsWithTheTotals(t *testing.T) {
	good := step{"good", func(context.Context, io.Writer) tally { return tally{passed: 2} }}
	bad := step{"bad", func(context.Context, io.Writer) tally { return tally{passed: 1, failed: 1} }}
	for _, test := range []struct {
		name string
		list []step
		code int
		last string
	}{
		{"all steps pass", []step{good, good}, 0, "4 passed, 0 failed"},
		{"a failure does not stop the rest", []step{bad, good}, 1, "3 passed, 1 failed"},
		{"nothing ran", nil, 1, "0 passed, 0 failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if code := check(t.Context(), &out, test.list); code != test.code {
				t.Errorf("check() = %d, want %d", code, test.code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != test.last {
				t.Errorf("last line = %q, want %q", got, test.last)
			}
		})
	}
}
