//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package project

import (
	"os"
	"syscall"
)

// lockFolder waits for the exclusive lock of an open folder. It is held for the
// time of a rename and ends when the folder is closed, also by a crash.
func lockFolder(folder *os.File) {
	for syscall.Flock(int(folder.Fd()), syscall.LOCK_EX) == syscall.EINTR {
	}
}
