//go:build windows

package store

import (
	"os"
	"strings"

	"golang.org/x/sys/windows"

	"github.com/berthdev/berth/internal/fault"
)

// lockFile takes an exclusive lock that the system drops when the process ends.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot open the lock file %s", path)
	}
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{}); err != nil {
		f.Close()
		return nil, fault.Wrap(err, fault.Conflict, "the database %s is in use by another server", strings.TrimSuffix(path, ".lock")).
			WithFix("stop that server, or give this one a folder of its own with --data DIR").WithCode("database_in_use")
	}
	return func() { f.Close() }, nil
}
