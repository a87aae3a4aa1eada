//go:build windows

package cli

import "os/exec"

// interruptGroup leaves the stop to the system, which has no such signal.
func interruptGroup(*exec.Cmd) {}
