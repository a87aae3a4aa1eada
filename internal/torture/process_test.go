//go:build unix

package torture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berthdev/berth/examples"
)

// binary is the path of the program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "berth-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "berth")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/berthdev/berth/cmd/berth")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// patience is how long a child may take, retries of its calls included.
const patience = 100 * time.Second

// child is a running berth process.
type child struct {
	cmd            *exec.Cmd
	name           string
	stdout, stderr bytes.Buffer
	done           chan struct{}
	once           sync.Once
}

// ended is what became of a child.
type ended struct {
	name           string
	code           int // -1 when a signal ended it
	stdout, stderr string
}

func (e ended) String() string {
	return fmt.Sprintf("%s: exit code %d\n%s%s", e.name, e.code, e.stderr, e.stdout)
}

// start starts berth with an environment of its own: nothing of the person who
// runs the tests reaches it.
func start(t testing.TB, dir string, env []string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(binary, args...), name: "berth " + strings.Join(args, " "), done: make(chan struct{})}
	c.cmd.Dir = dir
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "NO_COLOR=1", "TERM=dumb", "CI=1", "USER=ada",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0"}, env...)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.cmd.SysProcAttr = ownGroup()
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", c.name, err)
	}
	go func() {
		_ = c.cmd.Wait() // the exit code says it
		close(c.done)
	}()
	t.Cleanup(c.kill)
	return c
}

// kill ends the child and what it started, at once (SIGKILL), and waits.
func (c *child) kill() {
	c.once.Do(func() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }) // it may have ended
	<-c.done
}

// wait waits for the child's end.
func (c *child) wait(t testing.TB) ended {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.kill()
		t.Errorf("%s did not end within %s\n%s", c.name, patience, c.stderr.String())
	}
	return ended{name: c.name, code: c.cmd.ProcessState.ExitCode(), stdout: c.stdout.String(), stderr: c.stderr.String()}
}

// house is a server with a team, or the place where one would be, and an app.
type house struct {
	t      testing.TB
	dir    string
	app    string // folder with convex.json
	server *child
	url    string
	token  string
	env    []string // of every child
}

// newHouse copies an example app and prepares empty home and data folders.
func newHouse(t testing.TB, example string) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, dir: dir}
	h.env = []string{"HOME=" + filepath.Join(dir, "home"), "BERTH_DATA=" + filepath.Join(dir, "data")}
	h.app = h.checkout("app", example)
	return h
}

// in returns the same house for a subtest.
func (h *house) in(t testing.TB) *house {
	sub := *h
	sub.t = t
	return &sub
}

// checkout copies an example app into a folder.
func (h *house) checkout(name, example string) string {
	h.t.Helper()
	files, err := examples.App(example)
	if err != nil {
		h.t.Fatal(err)
	}
	dir := filepath.Join(h.dir, name)
	if err := os.CopyFS(dir, files); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

func (h *house) data() string { return filepath.Join(h.dir, "data") }

// serve starts the server, on the port of last time when there was one, and
// waits until it has written where it is.
func (h *house) serve() {
	h.t.Helper()
	addr := "127.0.0.1:0"
	if h.url != "" {
		addr = strings.TrimPrefix(h.url, "http://")
	}
	h.server = start(h.t, h.dir, h.env[:2], "serve", "--addr", addr, "--quiet", "--no-rate-limits")
	deadline := time.Now().Add(20 * time.Second)
	for {
		var local struct {
			URL, Token string
			PID        int
		}
		data, err := os.ReadFile(filepath.Join(h.data(), "server.json"))
		if err == nil {
			err = json.Unmarshal(data, &local)
		}
		if err == nil && local.PID == h.server.cmd.Process.Pid {
			h.url, h.token = local.URL, local.Token
			h.env = append(h.env[:2:2], "BERTH_SERVER="+h.url, "BERTH_TOKEN="+h.token)
			return
		}
		select {
		case <-h.server.done:
			h.t.Fatalf("the server ended\n%s", h.server.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no server.json of process %d after 20 s: %v\n%s", h.server.cmd.Process.Pid, err, h.server.stderr.String())
		}
	}
}

// berth starts a command in the app's folder.
func (h *house) berth(env []string, args ...string) *child {
	h.t.Helper()
	return start(h.t, h.app, slices.Concat(h.env, env), args...)
}

// decode reads the JSON that a command printed; it fails the test when the
// command did not end with code 0.
func decode[T any](t testing.TB, e ended) T {
	t.Helper()
	var v T
	if e.code != 0 {
		t.Errorf("%v\nwant exit code 0", e)
		return v
	}
	if err := json.Unmarshal([]byte(e.stdout), &v); err != nil {
		t.Errorf("%s printed no JSON: %v\n%s", e.name, err, e.stdout)
	}
	return v
}

// refusal is the JSON of a command that failed.
type refusal struct {
	Error struct{ Kind, Code, Message, Fix string }
}

func (e ended) refusal() (refusal, error) {
	var r refusal
	err := json.Unmarshal([]byte(e.stdout), &r)
	if err == nil && r.Error.Message == "" {
		err = errors.New("no error in it")
	}
	return r, err
}
