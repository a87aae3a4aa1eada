package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// setEnv edits the app's .env.local and applies the edit.
func setEnv(t *testing.T, a *App, set []EnvVar) ([]string, error) {
	t.Helper()
	f, err := a.ReadEnvFile(a.EnvPath())
	if err != nil {
		return nil, err
	}
	next, _, err := f.Set(set, "")
	if err != nil {
		t.Fatal(err)
	}
	return a.Apply([]FileChange{f.Change(a.EnvPath(), next)})
}

func TestApplyWritesOnce(t *testing.T) {
	dir := writeTree(t, map[string]string{"package.json": "{}"})
	a := findApp(t, dir)
	if w, err := setEnv(t, a, vars("A", "1")); err != nil || !cmp.Equal(w, []string{a.EnvPath()}) {
		t.Fatalf("Apply = %v, %v, want .env.local written", w, err)
	}
	info, err := os.Stat(a.EnvPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a new .env.local = %v, %v, want 0600", info.Mode(), err)
	}
	if w, err := setEnv(t, a, vars("A", "1")); err != nil || len(w) != 0 {
		t.Errorf("second Apply = %v, %v, want no write", w, err)
	}
	if err := os.Chmod(a.EnvPath(), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := setEnv(t, a, vars("A", "2")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(a.EnvPath()); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode after an edit = %v, %v, want it kept", info.Mode(), err)
	}
	if got := names(t, dir); !cmp.Equal(got, []string{".env.local", "package.json"}) {
		t.Errorf("folder = %v, want no temporary file", got)
	}
}

func TestApplyFailuresLeaveTheFile(t *testing.T) {
	for _, c := range []struct {
		name string
		disk disk
		code string
		kind fault.Kind
		text string
	}{
		{"a full disk", disk{write: func(f *os.File, b []byte) error {
			if _, err := f.Write(b[:len(b)/2]); err != nil {
				return err
			}
			return &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
		}}, "disk-full", fault.Conflict, "no space left"},
		{"a read-only folder", disk{open: func(_ *os.Root, name string, _ fs.FileMode) (*os.File, error) {
			return nil, &fs.PathError{Op: "openat", Path: name, Err: syscall.EACCES}
		}}, "file-denied", fault.Denied, "read-only"},
		{"a read-only disk", disk{open: func(_ *os.Root, name string, _ fs.FileMode) (*os.File, error) {
			return nil, &fs.PathError{Op: "openat", Path: name, Err: syscall.EROFS}
		}}, "file-denied", fault.Denied, "read-only"},
		{"another failure", disk{write: func(f *os.File, _ []byte) error { return errors.New("odd") }}, "file-write", fault.Conflict, "odd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := writeTree(t, map[string]string{"package.json": "{}", ".env.local": "MINE=1\n"})
			a := findApp(t, dir)
			_, err := a.apply([]FileChange{{Path: a.EnvPath(), Before: []byte("MINE=1\n"), After: []byte("MINE=1\nSECRET=topsecret\n")}}, c.disk)
			if !fault.Is(err, c.kind) || fault.Code(err) != c.code || !strings.Contains(err.Error(), c.text) ||
				!strings.Contains(err.Error(), a.EnvPath()) || !strings.Contains(err.Error(), "as it was") || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("Apply = %v (%s), want %s, the path and the state of the file", err, fault.Code(err), c.code)
			}
			if got := read(t, a.EnvPath()); got != "MINE=1\n" {
				t.Errorf(".env.local = %q, want it as it was", got)
			}
			if got := names(t, dir); len(got) != 2 {
				t.Errorf("folder = %v, want no temporary file", got)
			}
		})
	}
}

func TestApplyRefusesAChangedFile(t *testing.T) {
	a := findApp(t, writeTree(t, map[string]string{"package.json": "{}", ".env.local": "A=1\n"}))
	f, err := a.ReadEnvFile(a.EnvPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.EnvPath(), []byte("A=2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, _, err := f.Set(vars("B", "1"), "")
	if err != nil {
		t.Fatal(err)
	}
	other := FileChange{Path: filepath.Join(a.WebDir, "other"), After: []byte("x")}
	w, err := a.Apply([]FileChange{other, f.Change(a.EnvPath(), next)})
	if fault.Code(err) != "file-changed" || len(w) != 0 || read(t, a.EnvPath()) != "A=2\n" {
		t.Errorf("Apply = %v, %v, want code file-changed and no write at all", w, err)
	}
	if _, err := os.Stat(other.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(other) = %v, want no file", err)
	}
}

func TestApplyAndLinks(t *testing.T) {
	t.Run("a link inside the app keeps being a link", func(t *testing.T) {
		dir := writeTree(t, map[string]string{"package.json": "{}", "env/dev": "X=1\n"})
		a := findApp(t, dir)
		if err := os.Symlink("env/dev", a.EnvPath()); err != nil {
			t.Fatal(err)
		}
		if _, err := setEnv(t, a, vars("A", "1")); err != nil {
			t.Fatal(err)
		}
		if target, err := os.Readlink(a.EnvPath()); err != nil || target != "env/dev" {
			t.Errorf("Readlink = %q, %v, want env/dev", target, err)
		}
		if got := read(t, filepath.Join(dir, "env/dev")); !strings.HasPrefix(got, "X=1\n") || !strings.Contains(got, "A=1") {
			t.Errorf("env/dev = %q, want the edit", got)
		}
	})
	t.Run("an absolute link inside the app", func(t *testing.T) {
		dir := writeTree(t, map[string]string{"package.json": "{}", "env/dev": "X=1\n"})
		a := findApp(t, dir)
		if err := os.Symlink(filepath.Join(dir, "env/dev"), a.EnvPath()); err != nil {
			t.Fatal(err)
		}
		if _, err := setEnv(t, a, vars("A", "1")); err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(dir, "env/dev")); !strings.Contains(got, "A=1") {
			t.Errorf("env/dev = %q, want the edit", got)
		}
	})
	for _, c := range []struct{ name, target, code string }{
		{"a link out of the app", "../outside", "symlink-outside"},
		{"an absolute link out of the app", "/etc/hostname", "symlink-outside"},
		{"a link to itself", ".env.local", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := findApp(t, writeTree(t, map[string]string{"package.json": "{}"}))
			if err := os.Symlink(c.target, a.EnvPath()); err != nil {
				t.Fatal(err)
			}
			_, err := a.Apply([]FileChange{{Path: a.EnvPath(), After: []byte("A=1\n")}})
			if err == nil || c.code != "" && fault.Code(err) != c.code {
				t.Errorf("Apply = %v, want code %q", err, c.code)
			}
			if _, err := a.ReadEnvFile(a.EnvPath()); err == nil {
				t.Error("ReadEnvFile = nil, want an error")
			}
		})
	}
	a := findApp(t, writeTree(t, map[string]string{"package.json": "{}"}))
	if _, err := a.Apply([]FileChange{{Path: filepath.Join(filepath.Dir(a.Root), "x"), After: []byte("x")}}); fault.Code(err) != "outside-app" {
		t.Errorf("Apply(outside) = %v, want code outside-app", err)
	}
	if err := os.Mkdir(a.EnvPath(), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ReadEnvFile(a.EnvPath()); fault.Code(err) != "not-a-file" {
		t.Errorf("ReadEnvFile(folder) = %v, want code not-a-file", err)
	}
}

func TestWriteEnvInParallelLosesNothing(t *testing.T) {
	a := findApp(t, writeTree(t, map[string]string{"package.json": "{}", ".env.local": "MINE=1\n"}))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, wrote, err := a.WriteEnv(a.EnvPath(), vars(fmt.Sprintf("V%d", i), "x"), ""); err != nil || !wrote {
				t.Errorf("WriteEnv(V%d) = %v, %v, want it written", i, wrote, err)
			}
		})
	}
	all.Wait()
	f, err := a.ReadEnvFile(a.EnvPath())
	if err != nil || len(f.Names()) != 9 {
		t.Errorf("Names() = %q, %v, want all nine", f.Names(), err)
	}
	for _, n := range f.Names()[1:] {
		if !f.Managed(n) {
			t.Errorf("Managed(%s) = false, want true", n)
		}
	}
	if _, wrote, err := a.WriteEnv(a.EnvPath(), vars("V0", "x"), ""); wrote || err != nil {
		t.Errorf("WriteEnv of what is there = %v, %v, want no write", wrote, err)
	}
}

func TestPrintingHoldsNoSecret(t *testing.T) { // R42
	f := ParseEnv([]byte("WORKOS_API_KEY=sk_test_hidden\n"))
	next, changes, err := f.Set(vars("B", "hidden2"), "")
	if err != nil {
		t.Fatal(err)
	}
	change := f.Change("/x/.env.local", next)
	text := fmt.Sprintf("%v %+v %#v %v %+v %#v %+v %#v", f, f, f, change, change, []FileChange{change}, changes, CookiePassword())
	if strings.Contains(text, "hidden") || strings.Contains(text, "aGlkZGVu") {
		t.Errorf("printing gives %s, want no secret", text)
	}
}
