//go:build windows

package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// detached gives a child no console: neither Ctrl-C nor the end of the window
// reaches it.
var detached = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}

// terminate ends a process. Windows knows no request to end for a process
// without a console; the database takes that as it takes a crash.
func terminate(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil // it is gone
	}
	defer p.Release()
	return p.Kill()
}

// exists reports whether there is a process.
func exists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	p.Release()
	return true
}
