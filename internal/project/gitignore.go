package project

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// Git runs git with args in dir and returns its exit code. The error is not nil
// only when git could not be run.
type Git func(ctx context.Context, dir string, args ...string) (exit int, err error)

// RunGit runs the installed git.
func RunGit(ctx context.Context, dir string, args ...string) (int, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// GitignoreChange is the edit that makes Git ignore the file at name: its exact
// name in the nearest .gitignore. ok is false when the file is ignored already.
// Git itself is asked; where it is missing, or the folder is no repository, the
// .gitignore files of the app are read for plain patterns. A file that Git tracks
// stays tracked whatever .gitignore says, and is reported as a finding.
func (a *App) GitignoreChange(ctx context.Context, git Git, name string) (change FileChange, ok bool, finding *Finding, err error) {
	rel, err := a.local(name)
	if err != nil {
		return FileChange{}, false, nil, err
	}
	dir, base := filepath.Dir(name), filepath.Base(name)
	exit, err := git(ctx, dir, "ls-files", "--error-unmatch", "--", base)
	if err := ctx.Err(); err != nil {
		return FileChange{}, false, nil, fault.Wrap(err, fault.Interrupted, "stopped while asking git about %s", name)
	}
	if err == nil && exit == 0 {
		finding = &Finding{
			Code: CodeTracked, Path: name, Message: "Git tracks " + a.Rel(name) + ", which holds credentials",
			Fix: "run git rm --cached " + a.Rel(name) + ", commit, and replace the credentials it held",
		}
	}
	ignored, known := false, false
	if exit, err := git(ctx, dir, "check-ignore", "-q", "--no-index", "--", base); err == nil && exit <= 1 {
		ignored, known = exit == 0, true
	}
	root, err := a.open()
	if err != nil {
		return FileChange{}, false, finding, err
	}
	defer root.Close()
	var nearest string // the .gitignore to write: the nearest one that exists, else a new one beside the file
	var nearestBytes []byte
	decided := false
	for _, d := range upward(path.Dir(rel)) {
		file := path.Join(d, ".gitignore")
		b, err := readLimited(root, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return FileChange{}, false, finding, err
		}
		if nearest == "" {
			nearest, nearestBytes = file, b
		}
		below := strings.TrimPrefix(rel, strings.TrimPrefix(d+"/", "./"))
		if verdict, matched := gitignoreVerdict(string(b), below); matched && !decided && !known {
			ignored, decided = verdict, true
		}
	}
	if ignored {
		return FileChange{}, false, finding, nil
	}
	if nearest == "" {
		nearest = path.Join(path.Dir(rel), ".gitignore")
	}
	nl := "\n"
	if bytes.Contains(nearestBytes, []byte("\r\n")) {
		nl = "\r\n"
	}
	after := slices.Clone(nearestBytes)
	if len(after) > 0 && !bytes.HasSuffix(after, []byte("\n")) {
		after = append(after, nl...)
	}
	after = append(after, base+nl...)
	return FileChange{Path: rootPath(root, nearest), Before: nearestBytes, After: after, Mode: 0o644}, true, finding, nil
}

// gitignoreVerdict applies the plain patterns of one .gitignore to a path below
// its folder: names, leading slash, `*` and `?`, `**/` in front, negation. A
// pattern that it does not know matches nothing, so that a name is written twice
// rather than not at all.
func gitignoreVerdict(text, file string) (ignored, matched bool) {
	parts := strings.Split(file, "/")
	for line := range strings.Lines(text) {
		p := strings.TrimRight(line, " \r\n")
		if p == "" || p[0] == '#' {
			continue
		}
		p, not := strings.CutPrefix(p, "!")
		folder := strings.HasSuffix(p, "/")
		p = strings.TrimPrefix(strings.TrimSuffix(p, "/"), "**/")
		anchored := strings.Contains(p, "/")
		p = strings.TrimPrefix(p, "/")
		hit := false
		for i := range parts {
			last := i == len(parts)-1
			if folder && last {
				continue
			}
			candidate := parts[i]
			if anchored {
				candidate = strings.Join(parts[:i+1], "/")
			}
			if ok, err := path.Match(p, candidate); err == nil && ok {
				hit = true
			}
		}
		if hit {
			ignored, matched = !not, true
		}
	}
	return ignored, matched
}
