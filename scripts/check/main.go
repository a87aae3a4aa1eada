// Command check runs every check of the repository, one after another, and
// sums them up: format, vet, staticcheck, the layout test, all Go tests with
// the race detector and, when e2e/ is there, the official clients. All steps
// run even when one fails, so that one run shows everything. It ends with the
// line "N passed, N failed" and exit code 1 if anything failed or no test ran.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// layoutPackage is tested first and on its own: its failures explain others.
const layoutPackage = "github.com/berthdev/berth/internal/layout"

// uninstrumented leaves the race detector out of the C libraries that were
// translated to Go (SQLite, QuickJS): it makes them some forty times slower, and
// each runs on one goroutine at a time. Our use of them is still watched. Only
// the translated packages themselves are named: what is generic in others, such
// as sync.Map, would be left out of every package that shares it.
var uninstrumented = []string{"-gcflags=modernc.org/libc=-race=false", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libquickjs=-race=false"}

// tally is what the closing line is made of.
type tally struct {
	passed, failed int
}

func (t *tally) add(o tally) {
	t.passed += o.passed
	t.failed += o.failed
}

// step is one check. It returns what it counted; a step that counts nothing
// of its own counts as one.
type step struct {
	name string
	run  func(context.Context, io.Writer) tally
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(check(ctx, os.Stdout, steps()))
}

// steps is the list that CI runs, in order.
func steps() []step {
	list := []step{
		{"format", gofmt},
		{"vet", command("go", "vet", "./...")},
		{"staticcheck", command("go", "tool", "staticcheck", "./...")},
		{"layout", goTest("-count=1", layoutPackage)},
		{"tests", allTests},
	}
	if _, err := os.Stat("e2e/package.json"); err == nil {
		list = append(list, step{"e2e", command("npm", "test", "--silent", "--prefix", "e2e")})
	}
	return list
}

// check runs the steps, prints the summary and returns the exit code.
func check(ctx context.Context, out io.Writer, list []step) int {
	var total tally
	var lines []string
	for _, s := range list {
		fmt.Fprintf(out, "== %s\n", s.name)
		began := time.Now()
		got := s.run(ctx, out)
		verdict := "ok"
		if got.failed > 0 {
			verdict = "FAIL"
		}
		lines = append(lines, fmt.Sprintf("%-4s %-12s %5d passed %4d failed %7.1fs",
			verdict, s.name, got.passed, got.failed, time.Since(began).Seconds()))
		total.add(got)
		if ctx.Err() != nil {
			fmt.Fprintln(out, "interrupted")
			total.failed++
			break
		}
	}
	fmt.Fprintf(out, "== summary\n%s\n", strings.Join(lines, "\n"))
	fmt.Fprintf(out, "%d passed, %d failed\n", total.passed, total.failed)
	if total.failed > 0 || total.passed == 0 {
		return 1
	}
	return 0
}

// command is a step that passes when the command exits with 0.
func command(name string, args ...string) func(context.Context, io.Writer) tally {
	return func(ctx context.Context, out io.Writer) tally {
		cmd := cancellable(ctx, name, args...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(out, "%s %s: %v\n", name, strings.Join(args, " "), err)
			return tally{failed: 1}
		}
		return tally{passed: 1}
	}
}

// cancellable returns a command that is asked to end when ctx is done, so that
// it can end what it started, and is killed when it does not.
func cancellable(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// gofmt passes when every Go file that git knows, or would take, is in the
// standard format.
func gofmt(ctx context.Context, out io.Writer) tally {
	list, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.go").Output()
	if err != nil {
		fmt.Fprintf(out, "git ls-files: %v\n", err)
		return tally{failed: 1}
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if _, err := os.Stat(name); err == nil { // removed, but not yet committed
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		fmt.Fprintln(out, "git ls-files names no Go file")
		return tally{failed: 1}
	}
	var text bytes.Buffer
	cmd := exec.CommandContext(ctx, "gofmt", append([]string{"-l"}, files...)...)
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil || text.Len() > 0 {
		fmt.Fprintf(out, "%sfix: make format\n", text.Bytes())
		return tally{failed: 1}
	}
	return tally{passed: 1}
}

// allTests runs the tests of every package but the layout test, which had its
// own step. No result is taken from the cache.
func allTests(ctx context.Context, out io.Writer) tally {
	list, err := exec.CommandContext(ctx, "go", "list", "-e", "./...").Output()
	if err != nil {
		fmt.Fprintf(out, "go list ./...: %v\n", err)
		return tally{failed: 1}
	}
	args := append([]string{"-race", "-count=1"}, uninstrumented...)
	for name := range strings.FieldsSeq(string(list)) {
		if name != layoutPackage {
			args = append(args, name)
		}
	}
	return goTest(args...)(ctx, out)
}

// goTest runs go test and prints its results, failures in full.
func goTest(args ...string) func(context.Context, io.Writer) tally {
	return func(ctx context.Context, out io.Writer) tally {
		cmd := cancellable(ctx, "go", append([]string{"test", "-json"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // the race detector is built with cgo
		cmd.Stderr = out
		events, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			fmt.Fprintf(out, "go test: %v\n", err)
			return tally{failed: 1}
		}
		got := report(events, out)
		if err := cmd.Wait(); err != nil && got.failed == 0 {
			fmt.Fprintf(out, "go test: %v\n", err)
			got.failed++
		}
		return got
	}
}
