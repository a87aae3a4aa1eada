package host

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Runner runs git with args in the folder dir and returns what it wrote. The
// error is non-nil unless git ran and ended with 0.
type Runner func(ctx context.Context, dir string, args ...string) (stdout, stderr []byte, err error)

// maxOutput bounds what is kept of git's output. More than that is an error:
// half a list proves nothing.
const maxOutput = 64 << 20

// SystemGit returns a [Runner] for the git on the search path. environ is the
// environment of the process ("NAME=value"). Git never asks: prompts are off,
// ssh runs in batch mode, and only transports that run no programs of their own
// choice are allowed.
func SystemGit(environ []string) Runner {
	env := append([]string(nil), environ...)
	env = append(env, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "SSH_ASKPASS_REQUIRE=never", "GCM_INTERACTIVE=never",
		"GIT_ALLOW_PROTOCOL=file:git:http:https:ssh", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	ownSSH := false
	for _, v := range environ {
		ownSSH = ownSSH || strings.HasPrefix(v, "GIT_SSH_COMMAND=") || strings.HasPrefix(v, "GIT_SSH=")
	}
	if !ownSSH {
		env = append(env, "GIT_SSH_COMMAND=ssh -oBatchMode=yes")
	}
	return func(ctx context.Context, dir string, args ...string) ([]byte, []byte, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir, cmd.Env = dir, env
		// A helper that survives git may keep the pipes open.
		cmd.WaitDelay = time.Second
		var out, talk bounded
		cmd.Stdout, cmd.Stderr = &out, &talk
		err := cmd.Run()
		if ctx.Err() != nil {
			err = ctx.Err()
		} else if err == nil && out.over {
			err = errors.New("git wrote more than 64 MiB")
		}
		return out.Bytes(), talk.Bytes(), err
	}
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxOutput - b.Len(); len(p) > room {
		b.over = true
		b.Buffer.Write(p[:room])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// Git reads a repository.
type Git struct {
	Run     Runner
	Timeout time.Duration // for one call of git; 0 means 20 seconds
}

// Info is what git knows about a folder.
type Info struct {
	Root      string // absolute path of the worktree
	Branch    string // "" when HEAD is detached
	Commit    string // "" before the first commit
	Remote    string // name of the remote, "" without one
	RemoteURL string // without user name and password
}

// Info reads the worktree that dir is in. Errors: [fault.NotFound] when dir is
// in no worktree, [fault.Unavailable] when git cannot be run.
func (g Git) Info(ctx context.Context, dir string) (*Info, error) {
	root, err := g.line(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	info := &Info{Root: root}
	// Each of these has a good reason to fail; the deadline is not one.
	for _, ask := range []struct {
		into *string
		args []string
	}{
		{&info.Branch, []string{"symbolic-ref", "--quiet", "--short", "HEAD"}},
		{&info.Commit, []string{"rev-parse", "--verify", "--quiet", "HEAD^{commit}"}},
	} {
		if *ask.into, err = g.line(ctx, dir, ask.args...); err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	remotes, err := g.line(ctx, dir, "remote")
	if err != nil || remotes == "" {
		return info, nil
	}
	names := strings.Split(remotes, "\n")
	info.Remote = names[0]
	for _, name := range names {
		if name == "origin" {
			info.Remote = name
		}
	}
	address, err := g.line(ctx, dir, "remote", "get-url", "--", info.Remote)
	if err == nil {
		info.RemoteURL = withoutUser(address)
	}
	return info, nil
}

// Heads is the complete list of branches that a remote has.
type Heads struct {
	branches map[string]string // name without refs/heads/ to commit
}

// Has reports whether the remote has the branch.
func (h *Heads) Has(branch string) bool {
	_, ok := h.branches[branch]
	return ok
}

// Commit returns the commit at the tip of the branch, or "".
func (h *Heads) Commit(branch string) string { return h.branches[branch] }

// Len is the number of branches, at least 1.
func (h *Heads) Len() int { return len(h.branches) }

// RemoteBranches asks a remote for its branches (git ls-remote --heads). A
// branch that the returned [Heads] lacks is gone; nothing else proves that.
// Therefore a failure, an answer that cannot be read and an empty answer are
// all errors: [fault.Unavailable], the last with the code "no_branches".
func (g Git) RemoteBranches(ctx context.Context, dir, remote string) (*Heads, error) {
	if remote == "" || strings.HasPrefix(remote, "-") {
		return nil, fault.New(fault.Invalid, "%s is not the name or address of a remote", quote(withoutUser(remote))).WithFix("pass a name that git remote prints")
	}
	shown := quote(withoutUser(remote))
	out, err := g.call(ctx, dir, "ls-remote", "--heads", "--", remote)
	if fault.Is(err, fault.Interrupted) || fault.Code(err) == "git_missing" {
		return nil, err
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the branches of the remote %s are unknown: git ls-remote did not answer", shown).
			WithFix("run git ls-remote --heads in this folder to see why; nothing was taken for gone")
	}
	heads := &Heads{branches: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		commit, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		name, isHead := strings.CutPrefix(ref, "refs/heads/")
		if !ok || !isHead || name == "" || !objectName(commit) || !strings.HasSuffix(line, "\n") {
			return nil, fault.New(fault.Unavailable, "the answer of the remote %s cannot be read: %s", shown, quote(line)).
				WithFix("run git ls-remote --heads in this folder; nothing was taken for gone")
		}
		heads.branches[name] = commit
	}
	if len(heads.branches) == 0 {
		return nil, fault.New(fault.Unavailable, "the remote %s has no branches at all, which is more likely a wrong address than a repository where every branch is gone", shown).
			WithCode("no_branches").WithFix("check the address with git remote -v; nothing was taken for gone")
	}
	return heads, nil
}

// objectName reports whether s is a SHA-1 or SHA-256 object name.
func objectName(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func (g Git) line(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := g.call(ctx, dir, args...)
	return strings.TrimRight(string(out), "\r\n"), err
}

// call runs git once within the deadline and sorts its failures.
func (g Git) call(ctx context.Context, dir string, args ...string) ([]byte, error) {
	limit := g.Timeout
	if limit == 0 {
		limit = 20 * time.Second
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, talk, err := g.Run(within, dir, args...)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, fault.Wrap(ctx.Err(), fault.Interrupted, "git %s was stopped", args[0])
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.Wrap(err, fault.Unavailable, "git %s did not end within %v", args[0], limit)
	case errors.Is(err, exec.ErrNotFound):
		return nil, fault.Wrap(err, fault.Unavailable, "git is not installed or not on the search path").WithCode("git_missing").WithFix("install git, or pass --branch")
	case strings.Contains(string(talk), "not a git repository"):
		return nil, fault.New(fault.NotFound, "%s is in no git repository", quote(dir)).WithCode("no_repository")
	case strings.Contains(string(talk), "dubious ownership"):
		return nil, fault.New(fault.Denied, "git refuses the repository at %s because another user owns it", quote(dir)).
			WithFix("git config --global --add safe.directory <path>")
	}
	// git may repeat an address with a password in its talk, so it goes nowhere.
	return nil, fault.Wrap(err, fault.NotFound, "git %s found nothing", args[0])
}

// withoutUser removes user name and password from a remote's address. The
// user of ssh addresses (git@host) is kept: it is no secret.
func withoutUser(address string) string {
	scheme, _, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return scheme + "://..."
	}
	if u.User != nil {
		if scheme == "ssh" {
			u.User = url.User(u.User.Username())
		} else {
			u.User = nil
		}
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}

// Names lists the branches, sorted.
func (h *Heads) Names() []string { return slices.Sorted(maps.Keys(h.branches)) }
