//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berthdev/berth/internal/fault"
)

// lockFile takes an exclusive lock that the system drops when the process
// ends, however it ends. The file holds the owner's process id for messages.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot open the lock file %s", path)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, inUse(path, f)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0) // for messages only
	}
	return func() { f.Close() }, nil
}

func inUse(path string, f *os.File) error {
	owner := ""
	buf := make([]byte, 32)
	if n, _ := f.ReadAt(buf, 0); n > 0 {
		owner = " (process " + strings.TrimSpace(string(buf[:n])) + ")"
	}
	return fault.New(fault.Conflict, "the database %s is in use by another server%s", strings.TrimSuffix(path, ".lock"), owner).
		WithFix("stop that server, or give this one a folder of its own with --data DIR").WithCode("database_in_use")
}
