//go:build unix

package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/fault"
)

// faulty returns a program that is berth, but for one command that says a
// secret and fails.
func faulty(t *testing.T, exe, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "berth")
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = %s ]; then echo \"boom $BERTH_TOKEN\" >&2; exit 7; fi\nexec '%s' \"$@\"\n", command, exe)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFailedDemoNamesTheStepAndShowsTheChild(t *testing.T) {
	for command, step := range map[string]string{"serve": "start a server", "dev": "berth dev", "deploy": "berth deploy: three", "users": "berth users", "prune": "delete branch"} {
		t.Run(command, func(t *testing.T) {
			o := options(t)
			o.Exe = faulty(t, o.Exe, command)
			seen := &progress{}
			o.Progress = seen
			r, err := Run(t.Context(), o)
			f := fault.From(err)
			if f == nil || f.Code != "demo_failed" || !strings.Contains(f.Message, step) {
				t.Fatalf("Run = %v, want it to name the step %q", err, step)
			}
			last := r.Steps[len(r.Steps)-1]
			if last.OK || r.OK || !strings.HasPrefix(last.What, step) {
				t.Errorf("last step %+v, want %q to have failed", last, step)
			}
			text := seen.text.String()
			if !strings.Contains(text, "boom") || command != "serve" && !strings.Contains(text, "boom [secret]") {
				t.Errorf("shown: %s\nwant what the child said, without the token", text)
			}
			nothingLeft(t, o, r)
		})
	}
}

// kept starts berth demo --keep and waits until it shows its result.
func kept(t *testing.T) (*exec.Cmd, Options, *Result) {
	t.Helper()
	o := options(t)
	cmd := exec.CommandContext(t.Context(), o.Exe, "demo", "--keep", "--json")
	cmd.Env = append(os.Environ(), "TMPDIR="+o.TempDir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		t.Fatalf("berth demo --keep --json prints no result: %v, %v", err, cmd.Wait())
	}
	return cmd, o, &r
}

func TestCtrlCEndsAKeptDemo(t *testing.T) {
	cmd, o, r := kept(t)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("berth demo --keep after Ctrl-C = %v, want exit 0", err)
	}
	nothingLeft(t, o, r)
}
