//go:build unix

package cli

import (
	"bytes"
	"errors"
	"fmt"
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

// exists reports whether there is a process. One that ended and was not
// collected by its parent counts only where /proc does not tell.
func exists(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // proc_pid_stat(5): pid (name) state ...
	if err != nil {
		return true
	}
	return !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z"))
}
