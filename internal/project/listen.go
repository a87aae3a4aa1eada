package project

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// Listener is a TCP port that a process of this user listens on.
type Listener struct {
	Port    int
	PID     int
	Dir     string // working directory of the process, links resolved; "" when not readable
	Command string // name of its program
	Parents []int  // its parent, grandparent, … up to the first process
}

// Listeners asks the system which ports are listened on. Processes whose files
// the caller may not read are left out. Code "listeners-unknown" in the error
// means that the system cannot be asked.
type Listeners func(ctx context.Context) ([]Listener, error)

// SystemListeners reads /proc on Linux and runs lsof and ps elsewhere.
func SystemListeners(ctx context.Context) ([]Listener, error) {
	if runtime.GOOS == "linux" {
		return procListeners(ctx, "/proc")
	}
	return lsofListeners(ctx, func(ctx context.Context, name string, args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, name, args...).Output()
	})
}

func listenersUnknown(err error, format string, args ...any) error {
	return fault.Wrap(err, fault.Unsupported, format, args...).WithCode("listeners-unknown").
		WithFix("say the port with --port")
}

// procListeners reads the listening sockets of proc/net/tcp and tcp6, then finds
// their owners among the open files of all processes.
func procListeners(ctx context.Context, proc string) ([]Listener, error) {
	inodes := map[string]int{} // socket inode -> port
	read := 0
	for _, name := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(filepath.Join(proc, "net", name))
		if err != nil {
			continue // a system without IPv6 has no tcp6
		}
		read++
		for line := range strings.Lines(string(b)) {
			if port, inode, ok := parseProcSocket(line); ok {
				inodes[inode] = port
			}
		}
	}
	if read == 0 {
		return nil, listenersUnknown(nil, "%s/net/tcp cannot be read, so the listening ports are not known", proc)
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, listenersUnknown(err, "%s cannot be read, so the listening ports are not known", proc)
	}
	parents := map[int]int{}
	var found []Listener
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(err, fault.Interrupted, "stopped while looking for the web server's port")
		}
		dir := filepath.Join(proc, e.Name())
		command, parent, ok := parseProcStat(dir)
		if !ok {
			continue // the process ended meanwhile
		}
		parents[pid] = parent
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue
		}
		var ports []int
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if err != nil {
				continue
			}
			inode, ok := strings.CutPrefix(target, "socket:[")
			if port, listening := inodes[strings.TrimSuffix(inode, "]")]; ok && listening && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
		if len(ports) == 0 {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd")) // "" then matches no folder
		for _, p := range ports {
			found = append(found, Listener{Port: p, PID: pid, Dir: cwd, Command: command})
		}
	}
	return withParents(found, parents), nil
}

// parseProcSocket reads a line of /proc/net/tcp; see proc_net_tcp(5): field 2 is
// the local address and port in hexadecimal, field 4 the state (0A is LISTEN),
// field 10 the inode.
func parseProcSocket(line string) (port int, inode string, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != "0A" {
		return 0, "", false
	}
	i := strings.LastIndexByte(f[1], ':')
	n, err := strconv.ParseUint(f[1][i+1:], 16, 16)
	return int(n), f[9], err == nil && i > 0 && f[9] != "0"
}

// parseProcStat reads the program name and the parent from /proc/<pid>/stat. The
// name is in parentheses and may hold any character.
func parseProcStat(dir string) (command string, parent int, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return "", 0, false
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(f[1])
	return string(b[open+1 : end]), parent, err == nil
}

func withParents(found []Listener, parents map[int]int) []Listener {
	for i := range found {
		for pid := parents[found[i].PID]; pid > 0 && len(found[i].Parents) < 100; pid = parents[pid] {
			found[i].Parents = append(found[i].Parents, pid)
		}
	}
	slices.SortFunc(found, func(a, b Listener) int {
		if a.Port != b.Port {
			return a.Port - b.Port
		}
		return a.PID - b.PID
	})
	return found
}

// lsofListeners asks lsof for listening sockets and working directories and ps
// for parents.
func lsofListeners(ctx context.Context, run func(ctx context.Context, name string, args ...string) ([]byte, error)) ([]Listener, error) {
	// lsof ends with 1 when it found nothing or could not read a part, so its
	// exit code says nothing; only a missing lsof does.
	out, err := run(ctx, "lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-Fpcn")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, listenersUnknown(err, "lsof is not installed, so the listening ports are not known")
	}
	found := parseLsofSockets(out)
	if len(found) == 0 {
		return nil, nil
	}
	var pids []string
	for _, l := range found {
		if p := strconv.Itoa(l.PID); !slices.Contains(pids, p) {
			pids = append(pids, p)
		}
	}
	out, _ = run(ctx, "lsof", "-a", "-d", "cwd", "-p", strings.Join(pids, ","), "-Fpn")
	dirs := parseLsofDirs(out)
	parents := map[int]int{}
	if out, err := run(ctx, "ps", "-axo", "pid=,ppid="); err == nil {
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if len(f) == 2 {
				pid, err1 := strconv.Atoi(f[0])
				parent, err2 := strconv.Atoi(f[1])
				if err1 == nil && err2 == nil {
					parents[pid] = parent
				}
			}
		}
	}
	for i := range found {
		found[i].Dir = dirs[found[i].PID]
	}
	return withParents(found, parents), nil
}

// parseLsofSockets reads field output: p<pid>, c<command>, n<address>:<port>.
func parseLsofSockets(out []byte) []Listener {
	var found []Listener
	var current Listener
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		line := s.Text()
		if line == "" {
			continue
		}
		switch line[0] {
		case 'p':
			pid, _ := strconv.Atoi(line[1:]) // 0 is dropped below
			current = Listener{PID: pid}
		case 'c':
			current.Command = line[1:]
		case 'n':
			port, err := strconv.Atoi(line[strings.LastIndexByte(line, ':')+1:])
			l := current
			l.Port = port
			same := func(o Listener) bool { return o.PID == l.PID && o.Port == l.Port }
			if err == nil && l.PID > 0 && !slices.ContainsFunc(found, same) {
				found = append(found, l)
			}
		}
	}
	return found
}

func parseLsofDirs(out []byte) map[int]string {
	dirs := map[int]string{}
	pid := 0
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		switch line := s.Text(); {
		case strings.HasPrefix(line, "p"):
			pid, _ = strconv.Atoi(line[1:])
		case strings.HasPrefix(line, "n"):
			dirs[pid] = line[1:]
		}
	}
	return dirs
}
