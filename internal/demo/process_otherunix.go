//go:build unix && !linux

package demo

import (
	"os/exec"
	"syscall"
)

// own puts the child in a process group of its own, so that Ctrl-C reaches it
// through this process only and everything it starts can be ended. These systems
// have no way to tie a child's life to its parent's: after a kill -9 of the demo
// its server has to be ended by hand.
func own(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
