package project

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

const (
	maxDepth   = 4    // folders below the root: packages/group/app/x
	maxFolders = 5000 // a repository with more of them needs --app
)

// skipped are folders that hold no app of their own.
var skipped = []string{"node_modules", "dist", "build", "out", "coverage", "vendor", "target", "_generated", "__pycache__"}

// walk lists the folders of the root, breadth first and sorted, without build
// output, hidden folders, symbolic links and other Git checkouts: a worktree or
// submodule inside this one is another app.
func (f *finder) walk() error {
	if f.walked {
		return nil
	}
	f.walked = true
	level := []string{"."}
	for depth := 0; depth <= maxDepth && len(level) > 0; depth++ {
		var next []string
		for _, dir := range level {
			if len(f.folders) >= maxFolders {
				return fault.New(fault.NeedsPerson, "%s has more than %d folders to search for the app", f.root.Name(), maxFolders).
					WithCode("app-not-found").WithFix("name the app's folder with --app DIR")
			}
			entries, err := fs.ReadDir(f.root.FS(), dir)
			if err != nil {
				continue // a folder that cannot be read holds no app that could be edited
			}
			checkout := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".git" })
			if checkout && dir != "." {
				continue
			}
			f.folders = append(f.folders, dir)
			if _, err := f.manifest(dir); err != nil {
				return err
			}
			for _, e := range entries {
				if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(skipped, e.Name()) {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		level = next
	}
	return nil
}

func (f *finder) where(keep func(string) bool) []string {
	var dirs []string
	for _, d := range f.folders {
		if keep(d) {
			dirs = append(dirs, d)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// members keeps the folders that the workspace declares, when it declares any of
// them: an examples folder next to the apps is then no candidate.
func (f *finder) members(dirs []string) []string {
	patterns := workspacePatterns(f.root, f.manifests["."])
	if len(patterns) == 0 {
		return dirs
	}
	return narrow(dirs, func(d string) bool {
		in := d == "."
		for _, p := range patterns {
			if not, ok := strings.CutPrefix(p, "!"); ok {
				in = in && !matchGlob(not, d)
			} else {
				in = in || matchGlob(p, d)
			}
		}
		return in
	})
}

// workspacePatterns are the member patterns of a workspace root: `workspaces` of
// package.json (bun, npm, yarn) and `packages` of pnpm-workspace.yaml.
func workspacePatterns(root *os.Root, m *manifest) []string {
	var patterns []string
	if m != nil {
		patterns = append(patterns, m.Workspaces...)
	}
	if b, err := root.ReadFile("pnpm-workspace.yaml"); err == nil {
		patterns = append(patterns, pnpmPackages(string(b))...)
	}
	return patterns
}

// pnpmPackages reads the `packages` list of a pnpm-workspace.yaml, in block or
// flow form. The rest of the file is not looked at.
func pnpmPackages(yaml string) []string {
	var patterns []string
	inside := false
	for line := range strings.Lines(yaml) {
		line = strings.TrimRight(line, "\r\n\t ")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(line, "packages:"):
			inside = true
			flow := strings.TrimSpace(strings.TrimPrefix(line, "packages:"))
			flow, _, _ = strings.Cut(flow, "]")
			if flow, ok := strings.CutPrefix(flow, "["); ok {
				for item := range strings.SplitSeq(flow, ",") {
					patterns = append(patterns, yamlScalar(item))
				}
				inside = false
			}
		case inside && strings.HasPrefix(trimmed, "-"):
			patterns = append(patterns, yamlScalar(strings.TrimPrefix(trimmed, "-")))
		default:
			inside = false
		}
	}
	return slices.DeleteFunc(patterns, func(p string) bool { return p == "" })
}

func yamlScalar(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : end+1]
		}
	}
	s, _, _ = strings.Cut(s, " #")
	return strings.TrimSpace(s)
}

// matchGlob matches a slash-separated folder with a workspace pattern, in which
// `*` stands for one folder name and `**` for any number of folders.
func matchGlob(pattern, dir string) bool {
	pattern = strings.Trim(strings.TrimPrefix(pattern, "./"), "/")
	return matchParts(strings.Split(pattern, "/"), strings.Split(dir, "/"))
}

func matchParts(pattern, dir []string) bool {
	if len(pattern) == 0 {
		return len(dir) == 0
	}
	if pattern[0] == "**" {
		for i := range len(dir) + 1 {
			if matchParts(pattern[1:], dir[i:]) {
				return true
			}
		}
		return false
	}
	if len(dir) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], dir[0])
	return err == nil && ok && matchParts(pattern[1:], dir[1:])
}
