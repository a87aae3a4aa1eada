package project

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/berthdev/berth/internal/fault"
)

// FileChange is one file of an app folder before and after an edit. It is data:
// it can be shown, and [Apply] does exactly what it says. Before and After of an
// env file hold secrets; show such a file by its [EnvChange] list instead.
type FileChange struct {
	Path   string // absolute
	Before []byte // nil when the file is new
	After  []byte
	Mode   fs.FileMode // for a new file; an existing file keeps its mode
	Secret bool        // the contents must not be shown
}

// Changed reports whether applying c would write anything.
func (c FileChange) Changed() bool { return !bytes.Equal(c.Before, c.After) }

// String names the file and never its contents.
func (c FileChange) String() string {
	switch {
	case !c.Changed():
		return c.Path + " stays as it is"
	case c.Before == nil:
		return "new file " + c.Path
	}
	return "edit of " + c.Path
}

// GoString is String, so that no debugging output holds a secret.
func (c FileChange) GoString() string { return c.String() }

// maxFileSize bounds the files of an app folder that Berth reads whole.
const maxFileSize = 4 << 20

// readFile reads a file of the app. A missing file gives an error that wraps
// [fs.ErrNotExist].
func (a *App) readFile(name string) ([]byte, error) {
	root, err := a.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rel, err := a.local(name)
	if err != nil {
		return nil, err
	}
	if rel, err = resolveLink(root, rel); err != nil {
		return nil, err
	}
	return readLimited(root, rel)
}

func readLimited(root *os.Root, rel string) ([]byte, error) {
	f, err := root.Open(rel)
	if err != nil {
		return nil, readError(err, root, rel)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "%s is not a regular file", rootPath(root, rel)).WithCode("not-a-file")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, readError(err, root, rel)
	}
	if len(b) > maxFileSize {
		return nil, fault.New(fault.Invalid, "%s is larger than %d MiB", rootPath(root, rel), maxFileSize>>20).WithCode("file-too-large")
	}
	return b, nil
}

func (a *App) local(name string) (string, error) {
	rel := a.Rel(name)
	if !filepath.IsLocal(filepath.FromSlash(rel)) {
		return "", fault.New(fault.Invalid, "%s is outside %s", name, a.Root).WithCode("outside-app")
	}
	return rel, nil
}

func rootPath(root *os.Root, rel string) string {
	return filepath.Join(root.Name(), filepath.FromSlash(rel))
}

func readError(err error, root *os.Root, rel string) error {
	at := rootPath(root, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(err, fault.NotFound, "no file %s", at)
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(err, fault.Denied, "no right to read %s", at).WithCode("file-denied").WithFix("check the permissions of the file and its folder")
	case isEscape(err):
		return outside(err, at)
	}
	return fault.Wrap(err, fault.Conflict, "read %s", at)
}

// isEscape recognises the refusal of os.Root to leave the app folder, for which
// package os exports no value.
func isEscape(err error) bool { return strings.Contains(err.Error(), "path escapes from parent") }

func outside(err error, at string) error {
	return fault.Wrap(err, fault.NeedsPerson, "%s is a symbolic link out of the app folder; Berth does not follow it", at).
		WithCode("symlink-outside").WithFix("replace the link by a file of its own, or run Berth where the link leads")
}

// Apply writes the changed files, each in one atomic step: a temporary file in
// the same folder, synced, then renamed. Before the first write it checks that
// every file still is what the change was made from. A failure leaves the file
// it names as it was; files written before it stay written. It returns the paths
// it wrote.
func (a *App) Apply(changes []FileChange) ([]string, error) {
	return a.apply(changes, disk{})
}

func (a *App) apply(changes []FileChange, d disk) (written []string, err error) {
	root, err := a.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	targets := make([]string, len(changes))
	for i, c := range changes {
		rel, err := a.local(c.Path)
		if err != nil {
			return nil, err
		}
		if targets[i], err = resolveLink(root, rel); err != nil {
			return nil, err
		}
		if err := unchanged(root, targets[i], c.Before); err != nil {
			return nil, err
		}
	}
	for i, c := range changes {
		if !c.Changed() {
			continue
		}
		if err := d.replace(root, targets[i], c); err != nil {
			return written, err
		}
		written = append(written, c.Path)
	}
	return written, nil
}

// resolveLink follows symbolic links of the file itself, so that the file behind
// the link is replaced and the link stays. Links out of the root are refused.
func resolveLink(root *os.Root, rel string) (string, error) {
	first := rel
	for range 16 {
		info, err := root.Lstat(rel)
		if errors.Is(err, fs.ErrNotExist) {
			return rel, nil
		}
		if err != nil {
			return "", readError(err, root, rel)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if !info.Mode().IsRegular() {
				return "", fault.New(fault.Invalid, "%s is not a regular file", rootPath(root, rel)).WithCode("not-a-file")
			}
			return rel, nil
		}
		target, err := root.Readlink(rel)
		if err != nil {
			return "", readError(err, root, rel)
		}
		if filepath.IsAbs(target) {
			if target, err = filepath.Rel(root.Name(), target); err != nil {
				return "", outside(err, rootPath(root, first))
			}
			rel = filepath.ToSlash(target)
		} else {
			rel = path.Join(path.Dir(rel), filepath.ToSlash(target))
		}
		if !filepath.IsLocal(filepath.FromSlash(rel)) {
			return "", outside(nil, rootPath(root, first))
		}
	}
	return "", fault.New(fault.Invalid, "%s is a chain of symbolic links without end", rootPath(root, first)).WithCode("symlink-loop")
}

func unchanged(root *os.Root, rel string, before []byte) error {
	now, err := readLimited(root, rel)
	if errors.Is(err, fs.ErrNotExist) {
		now, err = nil, nil
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) || (now == nil) != (before == nil) {
		return fault.New(fault.Conflict, "%s changed while Berth was working on it", rootPath(root, rel)).
			WithCode("file-changed").WithFix("run the command again")
	}
	return nil
}

// disk is the part of writing that a test can make fail.
type disk struct {
	write func(*os.File, []byte) error
	open  func(*os.Root, string, fs.FileMode) (*os.File, error)
}

func (d disk) replace(root *os.Root, rel string, c FileChange) (err error) {
	at := rootPath(root, rel)
	mode := c.Mode
	if mode == 0 {
		mode = 0o644
	}
	if info, err := root.Stat(rel); err == nil {
		mode = info.Mode().Perm()
	}
	dir := path.Dir(rel)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return writeError(err, at, c.Before != nil)
	}
	open, write := d.open, d.write
	if open == nil {
		open = func(root *os.Root, name string, mode fs.FileMode) (*os.File, error) {
			return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		}
	}
	if write == nil {
		write = func(f *os.File, b []byte) error { _, err := f.Write(b); return err }
	}
	temp := path.Join(dir, "."+strings.TrimPrefix(path.Base(rel), ".")+".berth-"+rand.Text()[:10])
	f, err := open(root, temp, 0o600)
	if err != nil {
		return writeError(err, at, c.Before != nil)
	}
	defer func() {
		if err != nil {
			f.Close()
			root.Remove(temp)
			err = writeError(err, at, c.Before != nil)
		}
	}()
	if err := write(f, c.After); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	folder, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close() // also gives the lock back
	// The file is compared again at the last moment, because an editor may have
	// saved meanwhile. The lock makes that check and the rename one step among
	// Berth processes; where a file system knows no locks it is not taken.
	lockFolder(folder)
	if err := unchanged(root, rel, c.Before); err != nil {
		return err
	}
	if err := root.Rename(temp, rel); err != nil {
		return err
	}
	folder.Sync() // best effort: some systems cannot sync a folder
	return nil
}

func writeError(err error, at string, existed bool) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	state := "the file was not made"
	if existed {
		state = "the file is as it was"
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(err, fault.Conflict, "cannot write %s: no space left on the disk; %s", at, state).
			WithCode("disk-full").WithFix("free some space, then run the command again")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.Wrap(err, fault.Denied, "cannot write %s: the folder or disk is read-only; %s", at, state).
			WithCode("file-denied").WithFix("make %s writable for you, then run the command again", filepath.Dir(at))
	case isEscape(err):
		return outside(err, at)
	}
	return fault.Wrap(err, fault.Conflict, "cannot write %s; %s", at, state).WithCode("file-write")
}
