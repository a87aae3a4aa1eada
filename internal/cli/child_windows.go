//go:build windows

package cli

import (
	"os"
	"os/exec"
)

// interruptGroup leaves the stop to the system, which has no such signal.
func interruptGroup(*exec.Cmd) {}

// forward has nothing to do: the console sends its events to every process.
func forward(*os.Process) (stop func()) { return func() {} }

// exitStatus is the exit code of a program.
func exitStatus(exit *exec.ExitError) int { return exit.ExitCode() }
