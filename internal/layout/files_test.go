package layout

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const longest = 500 // lines of a Go file that is no test

func TestFilesStayReadable(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(p.dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			if bytes.HasPrefix(text, []byte("// Code generated ")) {
				continue
			}
			if lines := bytes.Count(text, []byte("\n")); lines > longest {
				t.Errorf("%s/%s has %d lines, at most %d.\nfix: split it by its words, not by its length", p.path, name, lines, longest)
			}
		}
	}
}

var (
	// A folder of somebody's machine: it means nothing on another one.
	homePath = regexp.MustCompile(`(?:^|[\s"'=(:,` + "`" + `])/(?:home|root|work|Users)/[A-Za-z0-9._-]+`)
	// npm records where a package came from; another machine may use another registry.
	resolvedURL = regexp.MustCompile(`"resolved":\s*"https?:`)
)

// homePaths are tracked files that hold such paths for a reason, by name.
var homePaths = map[string]string{}

func TestTrackedFilesNameNoMachine(t *testing.T) {
	names, err := trackedFiles()
	if err != nil {
		t.Fatalf("git ls-files: %v\nfix: run the tests in a clone of the repository", err)
	}
	used := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
			continue
		}
		if bytes.IndexByte(text, 0) >= 0 { // not text
			continue
		}
		if path.Base(name) == ".env.local" {
			t.Errorf("%s is tracked; it holds the secrets of one person.\nfix: git rm --cached %s", name, name)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := homePath.FindString(line); found != "" {
				used[name] = true
				if homePaths[name] == "" {
					t.Errorf("%s:%d holds a path of one machine: %s\n"+
						"fix: make it relative, or add the file with its reason to homePaths (internal/layout/files_test.go)",
						name, i+1, strings.TrimSpace(found))
				}
			}
			if resolvedURL.MatchString(line) {
				t.Errorf("%s:%d pins the address of a registry.\nfix: npm install --omit-lockfile-registry-resolved", name, i+1)
				break
			}
		}
	}
	for name := range homePaths {
		if !used[name] {
			t.Errorf("homePaths names %s, which holds no such path any more; remove it", name)
		}
	}
}

func TestHomePathPattern(t *testing.T) {
	slash := "/"
	for text, want := range map[string]bool{
		slash + "root/go":                             true,
		`open("` + slash + `home/ann/x")`:             true,
		"cd " + slash + "Users/ann":                   true,
		"https://example.com/home/page":               false,
		"GET /user_management/users":                  false,
		"packages" + slash + "work/item":              false,
		"the /root/ of all":                           false,
		"https://api.example.com" + slash + "work/a1": false,
	} {
		if got := homePath.MatchString(text); got != want {
			t.Errorf("homePath.MatchString(%q) = %v, want %v", text, got, want)
		}
	}
}
