package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// shell starts the demo's child processes. Each gets a small environment of its
// own: nothing that the person has set leads a child to a real account, and
// the home folder is an empty one.
type shell struct {
	env []string // of every child

	mu      sync.Mutex
	secrets []string // never to be shown, not even when a child prints them
}

// passed are the variables of the person's environment that children need to
// run at all.
var passed = []string{"PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "COMSPEC", "PATHEXT", "GOCOVERDIR"}

// newShell takes what is needed from environ ("NAME=value"). home becomes the
// children's home folder.
func newShell(environ []string, home string) *shell {
	s := &shell{}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		for _, p := range passed {
			if strings.EqualFold(name, p) {
				s.env = append(s.env, v)
			}
		}
	}
	s.env = append(s.env, "HOME="+home, "USERPROFILE="+home, "LOCALAPPDATA="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home,
		"NO_COLOR=1", "TERM=dumb",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Berth demo", "GIT_AUTHOR_EMAIL=demo@shop.example", "GIT_COMMITTER_NAME=Berth demo", "GIT_COMMITTER_EMAIL=demo@shop.example")
	return s
}

// hide keeps a secret out of everything that is shown.
func (s *shell) hide(values ...secret.String) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if len(v) >= 8 {
			s.secrets = append(s.secrets, v.Reveal())
		}
	}
}

func (s *shell) clean(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.secrets {
		text = strings.ReplaceAll(text, v, "[secret]")
	}
	return text
}

// command is a child process.
type command struct {
	name  string   // as a person would type it
	dir   string   // working folder
	path  string   // program
	args  []string //
	env   []string // besides the shell's
	stdin string
}

// childError is a child process that failed.
type childError struct {
	name   string
	err    error
	output string // the end of what it said, without secrets
}

func (e *childError) Error() string { return fmt.Sprintf("%s: %v", e.name, e.err) }
func (e *childError) Unwrap() error { return e.err }

// run runs a command to its end and returns its standard output. When ctx ends
// the command is asked to end in order, and ended after a while; it leaves no
// process behind either way.
func (s *shell) run(ctx context.Context, c command) (string, error) {
	var out, all tail
	cmd := s.prepare(ctx, c, io.MultiWriter(&out, &all), &all)
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
		killGroup(cmd)
	}
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", fault.Wrap(ctx.Err(), fault.Interrupted, "%s was stopped", c.name)
	case errors.Is(err, exec.ErrNotFound):
		return "", fault.Wrap(err, fault.Unavailable, "%s is not installed or not on the search path", c.path).WithFix("install it and try again")
	}
	return "", &childError{name: c.name, err: err, output: s.clean(all.String())}
}

func (s *shell) prepare(ctx context.Context, c command, stdout, stderr io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(append([]string(nil), s.env...), c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	own(cmd)
	cmd.Cancel = func() error { return endGroup(cmd) }
	return cmd
}

// background is a child that runs until it is stopped.
type background struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	output tail
	done   chan struct{}
	err    error // valid once done is closed
}

// start starts a command that runs until stop.
func (s *shell) start(c command) (*background, error) {
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{cancel: cancel, done: make(chan struct{})}
	b.cmd = s.prepare(ctx, c, &b.output, &b.output)
	if err := b.cmd.Start(); err != nil {
		cancel()
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be started", c.name)
	}
	go func() {
		defer close(b.done)
		b.err = b.cmd.Wait()
		killGroup(b.cmd)
	}()
	return b, nil
}

// stop asks the child to end and waits until it has.
func (b *background) stop() {
	b.cancel()
	<-b.done
}

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
