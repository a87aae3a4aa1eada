package torture

import "syscall"

// ownGroup puts a child in a process group of its own. The kernel ends it when
// this process dies, however that happens.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
