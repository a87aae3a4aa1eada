//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// interruptGroup makes a stop reach the command politely first: package
// managers pass SIGINT on to what they started.
func interruptGroup(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
}
