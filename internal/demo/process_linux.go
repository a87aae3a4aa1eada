package demo

import (
	"os/exec"
	"syscall"
)

// own puts the child in a process group of its own, so that Ctrl-C reaches it
// through this process only and everything it starts can be ended. The kernel
// ends it when this process dies (PR_SET_PDEATHSIG). That signal follows the
// thread that made the child; the Go runtime ends threads only when a locked
// goroutine ends, and this package locks none.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
