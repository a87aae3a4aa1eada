package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server"
)

// testEnv is a process without a person, in an empty folder.
func testEnv(t testing.TB, vars map[string]string) (env *Env, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	dir := t.TempDir()
	all := map[string]string{"XDG_DATA_HOME": filepath.Join(dir, "data")}
	for k, v := range vars {
		all[k] = v
	}
	return &Env{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Dir: dir, Width: 80, Version: "v0.0.0-test", Now: time.Now,
		Lookup:  func(name string) (string, bool) { v, ok := all[name]; return v, ok },
		Environ: os.Environ,
	}, stdout, stderr
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	env, _, _ := testEnv(t, nil)
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.HasParent() && (cmd.Short[:1] != strings.ToLower(cmd.Short[:1]) || strings.HasSuffix(cmd.Short, ".")) {
			t.Errorf("%s: Short = %q, want a phrase in lower case without a full stop", path, cmd.Short)
		}
		for _, row := range exampleRows(cmd.Example) {
			if !strings.Contains(row[0], "berth") || strings.Contains(row[0], "  ") {
				t.Errorf("%s: example %q, want a command line, and what it is for after a tab", path, row[0])
			}
		}
		if cmd.Example == "" && !cmd.Hidden {
			t.Errorf("%s has no example", path)
		}
		if cmd.HasParent() && cmd.Parent() == cmd.Root() && !cmd.Hidden && cmd.GroupID == "" {
			t.Errorf("%s is in no group", path)
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRootCommand(env))
}

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("a defect"), 1},
		{fault.New(fault.Internal, "x"), 1},
		{fault.New(fault.Invalid, "x"), 1},
		{fault.New(fault.NotFound, "x"), 1},
		{fault.New(fault.Conflict, "x"), 1},
		{fault.New(fault.Denied, "x"), 1},
		{fault.New(fault.RateLimited, "x"), 1},
		{fault.New(fault.Unavailable, "x"), 1},
		{fault.New(fault.Unsupported, "x"), 1},
		{fault.New(fault.NeedsPerson, "x"), 3},
		{fault.New(fault.Unauthenticated, "x"), 4},
		{fault.New(fault.Interrupted, "x"), 130},
		{&Exit{exitPending}, 2},
		{&Exit{77}, 77},
		{fmt.Errorf("run npm: %w", &Exit{77}), 77},
		{Resume(fault.New(fault.NeedsPerson, "x"), "berth y"), 3},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("exitCode(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestErrorsAreShownInOneForm(t *testing.T) {
	fixable := Resume(fault.Wrap(errors.New("dial tcp: no"), fault.NeedsPerson, "the door is shut").WithFix("open it").WithCode("door"), "berth enter")
	defect := fmt.Errorf("read x: %w", errors.New("sk_test_secret is odd"))
	for _, tc := range []struct {
		name           string
		err            error
		json, debug    bool
		stdout, stderr string
	}{
		{name: "message, fix and resume", err: fixable, stderr: "berth: the door is shut\nfix: open it\nthen: berth enter\n"},
		{name: "the same as JSON", err: fixable, json: true, stdout: `{
  "error": {
    "kind": "needs_person",
    "code": "door",
    "message": "the door is shut",
    "fix": "open it",
    "resume": "berth enter"
  }
}
`},
		{name: "a defect shows no cause", err: defect, stderr: "berth: something went wrong inside Berth\nfix: run it again with BERTH_DEBUG=1 to see the cause\n"},
		{name: "with BERTH_DEBUG it does", err: defect, debug: true, stderr: "berth: something went wrong inside Berth\ncause: read x: sk_test_secret is odd\n"},
		{name: "a code alone is silent", err: &Exit{2}},
		{name: "no error", err: nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			vars := map[string]string{}
			if tc.debug {
				vars[debugVar] = "1"
			}
			env, stdout, stderr := testEnv(t, vars)
			env.flags.json = tc.json
			env.report(tc.err)
			if diff := cmp.Diff([]string{tc.stdout, tc.stderr}, []string{stdout.String(), stderr.String()}); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInterruptedCommandsSaySo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	blamed := fault.Wrap(context.Canceled, fault.Unavailable, "WorkOS did not answer")
	if got := settled(ctx, blamed); got != error(blamed) {
		t.Errorf("settled before the signal = %v, want the error itself", got)
	}
	cancel()
	if got := settled(ctx, blamed); exitCode(got) != 130 || strings.Contains(fault.From(got).Message, "WorkOS") {
		t.Errorf("settled after the signal = %v (exit %d), want an interruption", got, exitCode(got))
	}
	if got := settled(ctx, &Exit{2}); exitCode(got) != 2 {
		t.Errorf("settled(Exit 2) has exit code %d, want 2", exitCode(got))
	}
	if got := settled(ctx, nil); got != nil {
		t.Errorf("settled(nil) = %v, want nil: it ended in order", got)
	}
}

func TestConfirm(t *testing.T) {
	for _, tc := range []struct {
		name        string
		interactive bool
		yes         bool
		input       string
		want        int // exit code
		asked       bool
	}{
		{name: "--yes asks nothing", yes: true, want: 0},
		{name: "--yes asks nothing on a terminal", interactive: true, yes: true, want: 0},
		{name: "return is a yes", interactive: true, input: "\n", want: 0, asked: true},
		{name: "y", interactive: true, input: "Y\r\n", want: 0, asked: true},
		{name: "n", interactive: true, input: "n\n", want: 1, asked: true},
		{name: "anything else is a no", interactive: true, input: "hm\n", want: 1, asked: true},
		{name: "end of input is no answer", interactive: true, input: "", want: 130, asked: true},
		{name: "nobody there", want: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env, stdout, stderr := testEnv(t, nil)
			env.Interactive, env.flags.yes, env.Stdin = tc.interactive, tc.yes, strings.NewReader(tc.input)
			err := env.Output().Confirm(t.Context(), "Write 3 files?")
			if got := exitCode(err); got != tc.want {
				t.Errorf("Confirm = %v, exit code %d, want %d", err, got, tc.want)
			}
			if asked := strings.Contains(stderr.String(), "Write 3 files? [Y/n]"); asked != tc.asked || stdout.Len() > 0 {
				t.Errorf("stderr %q, stdout %q; want a question on stderr: %t", stderr, stdout, tc.asked)
			}
		})
	}
	t.Run("a signal ends the wait", func(t *testing.T) {
		env, _, _ := testEnv(t, nil)
		r, w := io.Pipe()
		defer w.Close()
		env.Interactive, env.Stdin = true, r
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := env.Output().Confirm(ctx, "Sure?"); exitCode(err) != 130 {
			t.Errorf("Confirm = %v, want an interruption", err)
		}
	})
}

func TestInitAsksOnATerminal(t *testing.T) {
	env, _, stderr := testEnv(t, nil)
	write(t, filepath.Join(env.Dir, "package.json"), `{"devDependencies": {"vite": "7"}}`)
	env.Interactive, env.Stdin = true, strings.NewReader("no\n")
	if code := Run(t.Context(), []string{"init"}, env); code != 1 {
		t.Fatalf("init answered with no = %d, want 1:\n%s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(env.Dir, "convex.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("convex.json after a no: %v, want none", err)
	}
	env.Stdin = strings.NewReader("y\n")
	if code := Run(t.Context(), []string{"init"}, env); code != 0 {
		t.Fatalf("init answered with y = %d, want 0:\n%s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(env.Dir, "convex.json")); err != nil {
		t.Error(err)
	}
}

func TestColors(t *testing.T) {
	for _, tc := range []struct {
		vars map[string]string
		args []string
		want bool
	}{
		{nil, nil, true},
		{map[string]string{"NO_COLOR": "1"}, nil, false},
		{map[string]string{"NO_COLOR": ""}, nil, true}, // no-color.org: "when present and not an empty string"
		{nil, []string{"--no-color"}, false},
	} {
		env, stdout, _ := testEnv(t, tc.vars)
		env.Color, env.ColorOut = true, true
		Run(t.Context(), append([]string{"version", "--help"}, tc.args...), env)
		if got := strings.Contains(stdout.String(), "\x1b["); got != tc.want {
			t.Errorf("Run(%v) with %v shows colors: %t, want %t", tc.args, tc.vars, got, tc.want)
		}
	}
}

func TestTableAlignsColoredCells(t *testing.T) {
	var b bytes.Buffer
	p := &Printer{&b, true}
	p.Table([]string{"NAME", "STATE"}, [][]string{{p.Green("ok"), "yes"}, {"größer", "no"}})
	want := "\x1b[2mNAME    STATE\x1b[0m\n\x1b[32mok\x1b[0m      yes\ngrößer  no\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("Table (-want +got):\n%s", diff)
	}
}

func TestDataFolder(t *testing.T) {
	for _, tc := range []struct {
		system string
		vars   map[string]string
		want   string
	}{
		{"linux", map[string]string{"HOME": "/h"}, "/h/.local/share/berth"},
		{"linux", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/d/berth"},
		{"linux", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "relative"}, "/h/.local/share/berth"},
		{"linux", nil, ""},
		{"darwin", map[string]string{"HOME": "/h"}, "/h/Library/Application Support/berth"},
		{"windows", map[string]string{"LocalAppData": "/c/Local", "HOME": "/c"}, "/c/Local/berth"},
		{"windows", map[string]string{"HOME": "/c"}, ""},
	} {
		if got := systemDataDir(tc.system, func(name string) string { return tc.vars[name] }); got != tc.want {
			t.Errorf("systemDataDir(%s, %v) = %q, want %q", tc.system, tc.vars, got, tc.want)
		}
	}
	env, _, _ := testEnv(t, map[string]string{dataVar: "here"})
	if got, err := env.DataDir(); err != nil || got != filepath.Join(env.Dir, "here") {
		t.Errorf("DataDir with BERTH_DATA = %q, %v, want %q", got, err, filepath.Join(env.Dir, "here"))
	}
	env.flags.data = "flag"
	if got, err := env.DataDir(); err != nil || got != filepath.Join(env.Dir, "flag") {
		t.Errorf("DataDir with --data = %q, %v, want the flag's", got, err)
	}
}

func TestResumeCommandCanBePasted(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"init"}, "berth init --yes"},
		{[]string{"init", "--app", "my app"}, "berth init --app 'my app' --yes"},
		{[]string{"dev", "--", "npm", "run", "it's"}, `berth dev --yes -- npm run 'it'\''s'`},
		{[]string{"init", ""}, "berth init '' --yes"},
	} {
		env, _, _ := testEnv(t, nil)
		env.args = tc.args
		if got := env.again("--yes"); got != tc.want {
			t.Errorf("again(%q) = %s, want %s", tc.args, got, tc.want)
		}
	}
}

func TestUsualAddresses(t *testing.T) {
	for before, want := range map[string][]string{
		"":                          {"127.0.0.1:4747", "127.0.0.1:0"},
		"http://127.0.0.1:4747":     {"127.0.0.1:4747", "127.0.0.1:0"},
		"http://127.0.0.1:40123":    {"127.0.0.1:40123", "127.0.0.1:4747", "127.0.0.1:0"},
		"https://auth.example.com":  {"127.0.0.1:4747", "127.0.0.1:0"},
		"http://10.0.0.7:8080":      {"127.0.0.1:4747", "127.0.0.1:0"},
		"http://[::1]:40123":        {"[::1]:40123", "127.0.0.1:4747", "127.0.0.1:0"},
		"http://127.0.0.1:nonsense": {"127.0.0.1:4747", "127.0.0.1:0"},
	} {
		if diff := cmp.Diff(want, usualAddrs(server.Local{URL: before})); diff != "" {
			t.Errorf("usualAddrs(%q) (-want +got):\n%s", before, diff)
		}
	}
}

// TestPortOfLastTime: apps remember the address of a server, so it comes back
// there; when another program has taken the port it moves, and says so.
func TestPortOfLastTime(t *testing.T) {
	env, _, stderr := testEnv(t, nil)
	dir := filepath.Join(env.Dir, "data")
	taken := httptest.NewServer(http.NotFoundHandler())
	write(t, filepath.Join(dir, "server.json"), fmt.Sprintf(`{"url": %q}`, taken.URL))
	open := func() string {
		s, err := (&serveOptions{env: env}).open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.URL()
	}
	if got := open(); got == taken.URL || !strings.Contains(stderr.String(), "is taken by another program; listening on "+got) {
		t.Errorf("open with the port taken = %s, said %q", got, stderr)
	}
	taken.Close()
	if got := open(); got != taken.URL {
		t.Errorf("open with the port free = %s, want %s as last time", got, taken.URL)
	}
}

func TestAnotherProgramIsNotTakenForTheServer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "hello", http.StatusUnauthorized)
	}))
	defer other.Close()
	env, _, _ := testEnv(t, nil)
	dir, err := env.DataDir()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.json"), fmt.Sprintf(`{"url": %q, "token": "berth_token_x", "pid": %d}`, other.URL, os.Getpid()))
	if _, err := env.FindServer(t.Context()); fault.Code(err) != "no_server" {
		t.Errorf("FindServer = %v, want code no_server", err)
	}
	if code := Run(t.Context(), []string{"serve", "stop"}, env); code != 0 { // and this process goes on
		t.Errorf("serve stop = %d, want 0", code)
	}
}

func TestFindServer(t *testing.T) {
	vars := map[string]string{}
	env, _, _ := testEnv(t, vars)
	dir, err := env.DataDir()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.json"), `{"url": "http://127.0.0.1:1", "token": "mine"}`)
	for _, tc := range []struct {
		name        string
		flag        string
		vars        map[string]string
		url, token  string
		from        string
		unavailable bool
	}{
		{name: "flag over environment", flag: "http://a/", vars: map[string]string{serverVar: "http://b", tokenVar: "t"}, url: "http://a", token: "t", from: "--server"},
		{name: "environment", vars: map[string]string{serverVar: "http://b/", tokenVar: "t"}, url: "http://b", token: "t", from: serverVar},
		{name: "the token of this machine for its own server", vars: map[string]string{serverVar: "http://127.0.0.1:1"}, url: "http://127.0.0.1:1", token: "mine", from: serverVar},
		{name: "and for no other", vars: map[string]string{serverVar: "http://b"}, url: "http://b", from: serverVar},
		{name: "nothing runs", unavailable: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := *env
			e.flags.server = tc.flag
			e.Lookup = func(name string) (string, bool) {
				if v, ok := tc.vars[name]; ok {
					return v, ok
				}
				return env.Lookup(name)
			}
			a, err := e.FindServer(t.Context())
			if tc.unavailable {
				if fault.Code(err) != "no_server" {
					t.Errorf("FindServer = %+v, %v, want code no_server", a, err)
				}
				return
			}
			if err != nil || a.URL != tc.url || a.Token.Reveal() != tc.token || a.From != tc.from {
				t.Errorf("FindServer = %s %q from %s, %v, want %s %q from %s", a.URL, a.Token.Reveal(), a.From, err, tc.url, tc.token, tc.from)
			}
		})
	}
}

// TestEnsureServerStartsOne; the script serve-race has many processes do it at once.
func TestEnsureServerStartsOne(t *testing.T) {
	env, _, _ := testEnv(t, nil)
	exe, err := exec.LookPath("berth") // this test binary, see TestMain
	if err != nil {
		t.Fatal(err)
	}
	env.Exe = exe
	dir := filepath.Join(env.Dir, "data")
	t.Cleanup(func() { stopServersBelow(env.Dir) })
	local, started, err := ensureServer(t.Context(), env, dir, []string{"--addr", "127.0.0.1:0"})
	if err != nil || !started || local.PID == os.Getpid() {
		t.Fatalf("ensureServer = %s, %t, %v, want a server of its own process", local.URL, started, err)
	}
	if again, started, err := EnsureServer(t.Context(), env, dir); err != nil || started || again != local {
		t.Errorf("EnsureServer with a running one = %s, %t, %v, want the same, not started", again.URL, started, err)
	}
}

func TestEnsureServerPassesOnWhyNot(t *testing.T) {
	env, _, _ := testEnv(t, nil)
	exe, err := exec.LookPath("berth")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(env.Dir, "data")
	if _, _, err := EnsureServer(t.Context(), env, dir); !fault.Is(err, fault.Unsupported) {
		t.Errorf("EnsureServer without a program = %v, want kind unsupported", err)
	}
	env.Exe = exe
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	_, _, err = ensureServer(t.Context(), env, dir, []string{"--addr", taken.Listener.Addr().String()})
	if fault.Code(err) != "port_taken" || fault.From(err).Fix == "" {
		t.Errorf("ensureServer on a taken port = %v, want code port_taken with a fix", err)
	}
}

func TestJSONErrorsAreOneValue(t *testing.T) {
	for _, args := range [][]string{{"--json"}, {"nothing", "--json"}, {"init", "--json"}, {"init", "--prt", "--json"}, {"serve", "token", "--json"}, {"completion", "--json"}} {
		env, stdout, _ := testEnv(t, nil)
		code := Run(t.Context(), args, env)
		if len(args) == 1 {
			continue // help is for people
		}
		var v struct{ Error errorView }
		if err := json.Unmarshal(stdout.Bytes(), &v); err != nil || v.Error.Message == "" || v.Error.Fix == "" || code == 0 {
			t.Errorf("Run(%q) = %d with %q, want an error with a fix as JSON (%v)", args, code, stdout, err)
		}
	}
}
