package host

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

const (
	tipA = "1111111111111111111111111111111111111111"
	tipB = "2222222222222222222222222222222222222222222222222222222222222222"
)

func answers(stdout, stderr string, err error) Git {
	return Git{Run: func(context.Context, string, ...string) ([]byte, []byte, error) {
		return []byte(stdout), []byte(stderr), err
	}}
}

// A branch is gone only by a complete list without it (R74).
func TestRemoteBranchesProvesNothingByFailure(t *testing.T) {
	exit := errors.New("exit status 128")
	for _, c := range []struct {
		name           string
		stdout, stderr string
		err            error
		kind           fault.Kind
		code           string
	}{
		{"git fails", "", "fatal: could not read Username", exit, fault.Unavailable, ""},
		{"git fails after half a list", tipA + "\trefs/heads/main\n", "fatal: the remote end hung up", exit, fault.Unavailable, ""},
		{"the address is no repository", "", "fatal: '/x' does not appear to be a git repository", exit, fault.Unavailable, ""},
		{"git is missing", "", "", &exec.Error{Name: "git", Err: exec.ErrNotFound}, fault.Unavailable, "git_missing"},
		{"the deadline passes", "", "", context.DeadlineExceeded, fault.Unavailable, ""},
		{"nothing comes back", "", "", nil, fault.Unavailable, "no_branches"},
		{"the last line is cut", tipA + "\trefs/heads/main\n" + tipA + "\trefs/heads/fea", "", nil, fault.Unavailable, ""},
		{"a line is no branch", tipA + "\trefs/tags/v1\n", "", nil, fault.Unavailable, ""},
		{"a line is talk", "warning: redirecting\n", "", nil, fault.Unavailable, ""},
		{"a line has no object name", "xyz\trefs/heads/main\n", "", nil, fault.Unavailable, ""},
		{"a line has no name", tipA + "\trefs/heads/\n", "", nil, fault.Unavailable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			heads, err := answers(c.stdout, c.stderr, c.err).RemoteBranches(t.Context(), ".", "origin")
			if heads != nil || !fault.Is(err, c.kind) || fault.Code(err) != c.code {
				t.Errorf("RemoteBranches = %v, %v (code %q), want %s with code %q", heads, err, fault.Code(err), c.kind, c.code)
			}
		})
	}
}

func TestRemoteBranches(t *testing.T) {
	heads, err := answers(tipA+"\trefs/heads/main\n"+tipB+"\trefs/heads/feature/Lögin\n", "", nil).RemoteBranches(t.Context(), ".", "origin")
	if err != nil {
		t.Fatal(err)
	}
	if !heads.Has("main") || !heads.Has("feature/Lögin") || heads.Has("feature/lögin") || heads.Has("refs/heads/main") || heads.Has("") {
		t.Error("Has does not tell the branches that were listed")
	}
	if heads.Len() != 2 || heads.Commit("main") != tipA || heads.Commit("gone") != "" {
		t.Errorf("Len = %d, Commit(main) = %q, want 2, %q", heads.Len(), heads.Commit("main"), tipA)
	}
	for _, remote := range []string{"", "-x", "--upload-pack=touch /tmp/x"} {
		if _, err := answers("", "", nil).RemoteBranches(t.Context(), ".", remote); !fault.Is(err, fault.Invalid) {
			t.Errorf("RemoteBranches(%q) = %v, want invalid", remote, err)
		}
	}
}

func TestErrorsOfGitShowNoPassword(t *testing.T) {
	const address = "https://me:hunter2@git.example.com/web.git"
	_, err := answers("", "fatal: unable to access '"+address+"'", errors.New("exit status 128")).RemoteBranches(t.Context(), ".", address)
	if err == nil || strings.Contains(err.Error()+fault.From(err).Fix, "hunter2") {
		t.Errorf("RemoteBranches = %v, want an error without the password", err)
	}
	for address, want := range map[string]string{
		"https://me:hunter2@git.example.com/web.git":      "https://git.example.com/web.git",
		"https://token@git.example.com/web.git?t=hunter2": "https://git.example.com/web.git",
		"ssh://git:hunter2@git.example.com/web.git":       "ssh://git@git.example.com/web.git",
		"git@git.example.com:acme/web.git":                "git@git.example.com:acme/web.git",
		"https://me:%zz@git.example.com":                  "https://...",
		"/srv/web.git":                                    "/srv/web.git",
	} {
		if got := withoutUser(address); got != want {
			t.Errorf("withoutUser(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestGitEndsWithItsDeadline(t *testing.T) {
	g := Git{Timeout: time.Nanosecond, Run: func(ctx context.Context, _ string, _ ...string) ([]byte, []byte, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}}
	if _, err := g.RemoteBranches(t.Context(), ".", "origin"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("RemoteBranches after the deadline = %v, want unavailable", err)
	}
	if _, err := g.Info(t.Context(), "."); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Info after the deadline = %v, want unavailable", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Info(stopped, "."); !fault.Is(err, fault.Interrupted) {
		t.Errorf("Info after a signal = %v, want interrupted", err)
	}
	if _, err := g.RemoteBranches(stopped, ".", "origin"); !fault.Is(err, fault.Interrupted) {
		t.Errorf("RemoteBranches after a signal = %v, want interrupted", err)
	}
}

// The real git, on repositories made for the test.
func TestSystemGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("the tests need git")
	}
	base := t.TempDir()
	base, err := filepath.EvalSymlinks(base)
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + base, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com", "GIT_TERMINAL_PROMPT=1", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(base),
	}
	run := SystemGit(environ)
	git := func(dir string, args ...string) {
		t.Helper()
		if out, talk, err := run(t.Context(), dir, args...); err != nil {
			t.Fatalf("git %v: %v\n%s%s", args, err, out, talk)
		}
	}
	remote, work := filepath.Join(base, "remote.git"), filepath.Join(base, "work")
	git(base, "init", "-q", "--bare", remote)
	git(base, "init", "-q", "-b", "main", work)
	g := Git{Run: run, Timeout: time.Minute}

	info, err := g.Info(t.Context(), work)
	if err != nil || info.Root != work || info.Branch != "main" || info.Commit != "" || info.Remote != "" {
		t.Errorf("Info before the first commit = %+v, %v, want the root and branch main alone", info, err)
	}
	if _, err := g.Info(t.Context(), base); !fault.Is(err, fault.NotFound) || fault.Code(err) != "no_repository" {
		t.Errorf("Info outside a repository = %v, want not found", err)
	}
	git(work, "remote", "add", "upstream", "https://me:hunter2@git.example.com/x.git")
	git(work, "remote", "add", "origin", remote)
	if _, err := g.RemoteBranches(t.Context(), work, "origin"); fault.Code(err) != "no_branches" {
		t.Errorf("RemoteBranches of an empty remote = %v, want no_branches", err)
	}
	git(work, "commit", "-q", "--allow-empty", "-m", "first")
	git(work, "push", "-q", "origin", "main", "main:feature/login")

	info, err = g.Info(t.Context(), work)
	if err != nil || info.Remote != "origin" || info.RemoteURL != remote || !objectName(info.Commit) {
		t.Errorf("Info = %+v, %v, want remote origin at %s and a commit", info, err, remote)
	}
	heads, err := g.RemoteBranches(t.Context(), work, "origin")
	if err != nil || !heads.Has("main") || !heads.Has("feature/login") || heads.Has("gone") || heads.Commit("main") != info.Commit {
		t.Errorf("RemoteBranches = %+v, %v, want main and feature/login", heads, err)
	}
	if _, err := g.RemoteBranches(t.Context(), work, "nowhere"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("RemoteBranches of an unknown remote = %v, want unavailable", err)
	}
	marker := filepath.Join(base, "ran")
	if _, err := g.RemoteBranches(t.Context(), work, "ext::touch "+marker); !fault.Is(err, fault.Unavailable) {
		t.Errorf("RemoteBranches by a program = %v, want unavailable", err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("RemoteBranches ran a program that the address named")
	}

	second := filepath.Join(base, "second")
	git(work, "worktree", "add", "-q", "-b", "other", second)
	info, err = g.Info(t.Context(), second)
	if err != nil || info.Root != second || info.Branch != "other" {
		t.Errorf("Info in a second worktree = %+v, %v, want its own root and branch", info, err)
	}
	git(second, "checkout", "-q", "--detach")
	if info, err = g.Info(t.Context(), second); err != nil || info.Branch != "" || info.Commit == "" {
		t.Errorf("Info with a detached HEAD = %+v, %v, want no branch", info, err)
	}
	if !slices.Contains(environ, "GIT_TERMINAL_PROMPT=1") {
		t.Error("SystemGit changed the environment that it was given")
	}
}
