//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
)

// detached gives a child a session of its own: neither Ctrl-C nor the end of
// the terminal reaches it.
var detached = &syscall.SysProcAttr{Setsid: true}

// terminate asks a process to end in order. A process that is gone is no error.
func terminate(pid int) error {
	err := syscall.Kill(pid, syscall.SIGTERM)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return os.NewSyscallError("kill", err)
}

// exists reports whether there is a process, its end not yet collected included.
func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }
