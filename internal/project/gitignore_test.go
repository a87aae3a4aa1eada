package project

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func noGit(context.Context, string, ...string) (int, error) {
	return 0, &exec.Error{Name: "git", Err: exec.ErrNotFound}
}

// isolated runs git without the settings of the machine.
func isolated(t *testing.T) Git {
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "none"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	return RunGit
}

// TestGitignoreChange covers R48, with git and without it.
func TestGitignoreChange(t *testing.T) {
	git := isolated(t)
	for _, c := range []struct {
		name         string
		root, web    string // contents of the two .gitignore files; "-" for none
		file, expect string // file that changes and its new text; "" for none
	}{
		{"no file", "-", "-", "apps/web/.gitignore", ".env.local\n"},
		{"ignored by name", ".env.local\n", "-", "", ""},
		{"ignored by pattern", "# env\n.env*\n", "-", "", ""},
		{"ignored by *.local", "*.local", "-", "", ""},
		{"ignored by path", "/apps/web/.env.local\n", "-", "", ""},
		{"ignored by **", "**/.env.local\n", "-", "", ""},
		{"a longer name is no match", ".env.local.bak", "-", ".gitignore", ".env.local.bak\n.env.local\n"},
		{"crlf kept", "dist\r\n", "-", ".gitignore", "dist\r\n.env.local\r\n"},
		{"negated", ".env*\n!.env.local\n", "-", ".gitignore", ".env*\n!.env.local\n.env.local\n"},
		{"negated below", ".env*\n", "!.env.local", "apps/web/.gitignore", "!.env.local\n.env.local\n"},
		{"only at the root", "/.env.local\n", "-", ".gitignore", "/.env.local\n.env.local\n"},
		{"folder pattern", ".env.local/\n", "-", ".gitignore", ".env.local/\n.env.local\n"},
	} {
		for _, with := range []struct {
			name string
			git  Git
		}{{"git", git}, {"no git", noGit}} {
			t.Run(c.name+" with "+with.name, func(t *testing.T) {
				files := map[string]string{"package.json": `{"workspaces":["apps/*"]}`, "apps/web/package.json": `{"dependencies":{"next":"1"}}`}
				if c.root != "-" {
					files[".gitignore"] = c.root
				}
				if c.web != "-" {
					files["apps/web/.gitignore"] = c.web
				}
				dir := writeTree(t, files)
				if exit, err := git(t.Context(), dir, "init", "-q"); exit != 0 || err != nil {
					t.Fatalf("git init = %d, %v", exit, err)
				}
				a := findApp(t, dir)
				change, ok, finding, err := a.GitignoreChange(t.Context(), with.git, a.EnvPath())
				if err != nil || finding != nil || ok != (c.file != "") {
					t.Fatalf("GitignoreChange = %v, %v, %v, want change %v", ok, finding, err, c.file != "")
				}
				if !ok {
					return
				}
				if diff := cmp.Diff([]string{c.file, c.expect}, []string{a.Rel(change.Path), string(change.After)}); diff != "" {
					t.Fatalf("GitignoreChange (-want +got):\n%s", diff)
				}
				if _, err := a.Apply([]FileChange{change}); err != nil {
					t.Fatal(err)
				}
				if exit, err := git(t.Context(), a.WebDir, "check-ignore", "-q", ".env.local"); exit != 0 || err != nil {
					t.Errorf("git check-ignore = %d, %v, want it ignored", exit, err)
				}
				if _, ok, _, err := a.GitignoreChange(t.Context(), with.git, a.EnvPath()); ok || err != nil {
					t.Errorf("second GitignoreChange = %v, %v, want none", ok, err)
				}
			})
		}
	}
}

func TestGitignoreTrackedFile(t *testing.T) {
	git := isolated(t)
	dir := writeTree(t, map[string]string{"package.json": "{}", ".env.local": "A=1", ".gitignore": ".env.local\n"})
	for _, args := range [][]string{{"init", "-q"}, {"add", "-f", ".env.local"}} {
		if exit, err := git(t.Context(), dir, args...); exit != 0 || err != nil {
			t.Fatalf("git %v = %d, %v", args, exit, err)
		}
	}
	a := findApp(t, dir)
	_, ok, finding, err := a.GitignoreChange(t.Context(), git, a.EnvPath())
	if ok || err != nil || finding == nil || finding.Code != CodeTracked {
		t.Errorf("GitignoreChange = %v, %+v, %v, want finding %s and no change", ok, finding, err, CodeTracked)
	}
}
