package project

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// manifest is what Berth reads of a package.json.
type manifest struct {
	Name           string
	PackageManager string
	Scripts        map[string]string
	Dependencies   map[string]string // dependencies and devDependencies
	Workspaces     []string
}

func (m *manifest) depends(name string) bool {
	_, ok := m.Dependencies[name]
	return ok
}

// readManifest reads dir/package.json below root. It returns nil without an
// error when there is none.
func readManifest(root *os.Root, dir string) (*manifest, error) {
	name := path.Join(dir, "package.json")
	b, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(err, root, name)
	}
	var raw struct {
		Name            json.RawMessage            `json:"name"`
		PackageManager  json.RawMessage            `json:"packageManager"`
		Scripts         map[string]json.RawMessage `json:"scripts"`
		Dependencies    map[string]json.RawMessage `json:"dependencies"`
		DevDependencies map[string]json.RawMessage `json:"devDependencies"`
		Workspaces      json.RawMessage            `json:"workspaces"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		var syntax *json.SyntaxError
		at := rootPath(root, name)
		if errors.As(err, &syntax) {
			line, column := position(b, int(syntax.Offset)-1)
			return nil, fault.New(fault.Invalid, "%s:%d:%d: not JSON", at, line, column).
				WithCode("package-json-syntax").WithFix("repair the file, then run the command again")
		}
		return nil, fault.New(fault.Invalid, "%s: not a package.json: an entry has the wrong type", at).
			WithCode("package-json-syntax").WithFix("repair the file, then run the command again")
	}
	m := &manifest{Scripts: map[string]string{}, Dependencies: map[string]string{}}
	m.Name, m.PackageManager = text(raw.Name), text(raw.PackageManager)
	for k, v := range raw.Scripts {
		m.Scripts[k] = text(v)
	}
	for k, v := range raw.DevDependencies {
		m.Dependencies[k] = text(v)
	}
	for k, v := range raw.Dependencies {
		m.Dependencies[k] = text(v)
	}
	if raw.Workspaces != nil {
		var object struct {
			Packages []string `json:"packages"`
		}
		if json.Unmarshal(raw.Workspaces, &m.Workspaces) != nil && json.Unmarshal(raw.Workspaces, &object) == nil {
			m.Workspaces = object.Packages
		}
	}
	return m, nil
}

// text reads a JSON string and gives "" for anything else: a package.json with
// an odd entry that Berth does not need is no reason to stop.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// PackageManager is the word that starts a package manager: bun, pnpm, yarn or npm.
type PackageManager string

const (
	Bun  PackageManager = "bun"
	Pnpm PackageManager = "pnpm"
	Yarn PackageManager = "yarn"
	Npm  PackageManager = "npm"
)

var lockFiles = []struct {
	name    string
	manager PackageManager
}{
	{"bun.lock", Bun},
	{"bun.lockb", Bun},
	{"pnpm-lock.yaml", Pnpm},
	{"yarn.lock", Yarn},
	{"package-lock.json", Npm},
	{"npm-shrinkwrap.json", Npm},
}

// Run gives the words that run a script of package.json, such as `bun run dev`.
func (p PackageManager) Run(script string) []string {
	return []string{string(p), "run", script}
}

// Exec gives the words that run a command of an installed package, such as
// `pnpm exec convex dev`.
func (p PackageManager) Exec(command ...string) []string {
	words := map[PackageManager][]string{Bun: {"bunx"}, Pnpm: {"pnpm", "exec"}, Yarn: {"yarn"}, Npm: {"npx"}}[p]
	return append(slices.Clone(words), command...)
}

// Install gives the words that add packages to an app.
func (p PackageManager) Install(packages ...string) []string {
	verb := "add"
	if p == Npm {
		verb = "install"
	}
	return append([]string{string(p), verb}, packages...)
}

func parsePackageManager(field string) (PackageManager, bool) {
	name, _, _ := strings.Cut(field, "@")
	switch p := PackageManager(name); p {
	case Bun, Pnpm, Yarn, Npm:
		return p, true
	}
	return "", false
}

// packageManager looks from dir up to the root: the packageManager field first,
// because it is a statement, then lock files, because they are evidence.
func packageManager(root *os.Root, dir string, manifests map[string]*manifest) PackageManager {
	for _, d := range upward(dir) {
		if m := manifests[d]; m != nil {
			if p, ok := parsePackageManager(m.PackageManager); ok {
				return p
			}
		}
	}
	for _, d := range upward(dir) {
		for _, l := range lockFiles {
			if _, err := root.Lstat(path.Join(d, l.name)); err == nil {
				return l.manager
			}
		}
	}
	return Npm
}

// upward lists dir and the folders above it up to ".", slash separated.
func upward(dir string) []string {
	dirs := []string{dir}
	for dir != "." {
		dir = path.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}
