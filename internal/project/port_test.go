package project

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

// The test binary plays a dev server: BERTH_TEST_SERVER=PORT listens on that port
// or, when it is taken, on the next free one, as Vite does; "spawn" starts such a
// server as its child. It prints the port and ends when its input ends.
func TestMain(m *testing.M) {
	switch mode := os.Getenv("BERTH_TEST_SERVER"); mode {
	case "":
		os.Exit(m.Run())
	case "spawn":
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BERTH_TEST_SERVER=0")
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		if err := cmd.Run(); err != nil {
			os.Exit(1)
		}
	default:
		port, err := strconv.Atoi(mode)
		if err != nil {
			os.Exit(1)
		}
		var l net.Listener
		for range 20 {
			if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				break
			}
			port++
		}
		if l == nil {
			os.Exit(1)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		io.Copy(io.Discard, os.Stdin)
	}
}

// serve starts the test binary as a server in dir and returns its port and process.
func serve(t *testing.T, dir, mode string) (port, pid int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BERTH_TEST_SERVER="+mode)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("server in %s: %v", dir, err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("server in %s: %v", dir, err)
	}
	port, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return port, cmd.Process.Pid
}

func askPort(t *testing.T, a *App, q PortQuery) Port {
	t.Helper()
	if q.Listeners == nil {
		q.Listeners = SystemListeners
	}
	p, err := a.Port(t.Context(), q)
	if err != nil {
		t.Fatalf("Port = %v", err)
	}
	if p.Unknown != "" {
		t.Fatalf("Port: %s", p.Unknown)
	}
	return p
}

// TestPortListening covers R51, R52 and R53 with real processes.
func TestPortListening(t *testing.T) {
	if runtime.GOOS != "linux" {
		if _, err := exec.LookPath("lsof"); err != nil {
			t.Fatal("this test needs lsof on this system")
		}
	}
	tree := map[string]string{"package.json": `{"devDependencies": {"vite": "7"}}`, "src/x.ts": ""}
	t.Run("a random port", func(t *testing.T) {
		a := findApp(t, writeTree(t, tree))
		if p := askPort(t, a, PortQuery{}); p.Source != PortDefault || p.Number != 5173 {
			t.Errorf("Port before the start = %+v, want the default 5173", p)
		}
		port, pid := serve(t, filepath.Join(a.WebDir, "src"), "0")
		p := askPort(t, a, PortQuery{})
		if p.Number != port || p.Source != PortListening || p.Expected != 5173 || !p.Moved() || !strings.Contains(p.Where, strconv.Itoa(pid)) {
			t.Errorf("Port = %+v, want listening on %d by process %d", p, port, pid)
		}
		if p := askPort(t, a, PortQuery{Ignore: []int{pid}}); p.Source != PortDefault {
			t.Errorf("Port without that process = %+v, want the default", p)
		}
	})
	t.Run("two worktrees, one inside the other", func(t *testing.T) {
		one, two := findApp(t, writeTree(t, tree)), findApp(t, writeTree(t, tree))
		nested := filepath.Join(one.WebDir, "wt")
		for name, text := range map[string]string{".git": "gitdir: x", "package.json": tree["package.json"]} {
			if err := os.MkdirAll(nested, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(nested, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		three := findApp(t, nested)
		for _, a := range []*App{three, two, one} {
			want, _ := serve(t, a.WebDir, "0")
			if p := askPort(t, a, PortQuery{}); p.Number != want || len(p.Others) != 0 {
				t.Errorf("Port in %s = %+v, want %d alone", a.WebDir, p, want)
			}
		}
	})
	t.Run("the configured port is taken and the server moves on (R52)", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		configured := taken.Addr().(*net.TCPAddr).Port
		a := findApp(t, writeTree(t, map[string]string{
			"package.json": fmt.Sprintf(`{"scripts": {"dev": "vite --port %d"}, "devDependencies": {"vite": "7"}}`, configured)}))
		real, _ := serve(t, a.WebDir, strconv.Itoa(configured))
		p := askPort(t, a, PortQuery{})
		if p.Number != real || p.Expected != configured || !p.Moved() {
			t.Errorf("Port = %+v, want %d instead of %d", p, real, configured)
		}
	})
	t.Run("descendants of the started command", func(t *testing.T) {
		a := findApp(t, writeTree(t, tree))
		old, _ := serve(t, a.WebDir, "0") // left over from an earlier run
		port, root := serve(t, a.WebDir, "spawn")
		if p := askPort(t, a, PortQuery{RootPID: root}); p.Number != port || len(p.Others) != 0 {
			t.Errorf("Port of process %d = %+v, want %d and not %d", root, p, port, old)
		}
		p := askPort(t, a, PortQuery{})
		if len(p.Others) != 1 || p.Number != min(port, old) && p.Number-5173 > 20 {
			t.Errorf("Port without a root = %+v, want one of %d and %d and the other named", p, old, port)
		}
	})
}

func TestPortChoice(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"package.json": `{"workspaces": ["apps/*"]}`, "apps/web/package.json": `{"dependencies": {"next": "16"}}`, "apps/docs/package.json": "{}",
		"apps/web/.next/standalone/package.json": "{}", "apps/web/tools/package.json": "{}",
	})
	a := findApp(t, filepath.Join(dir, "apps/web"))
	at := func(sub string) string { return filepath.Join(dir, sub) }
	for _, c := range []struct {
		name string
		all  []Listener
		root int
		want Port
	}{
		{"the expected port first", []Listener{{Port: 1234, PID: 1, Dir: a.WebDir, Command: "node"}, {Port: 3001, PID: 2, Dir: a.WebDir, Command: "node"}, {Port: 24678, PID: 2, Dir: a.WebDir}}, 0,
			Port{Number: 3001, Source: PortListening, Where: "node, process 2", Expected: 3000, Others: []int{1234, 24678}}},
		{"no inspector, backend or sibling", []Listener{{Port: 9229, PID: 1, Dir: a.WebDir}, {Port: 3210, PID: 2, Dir: a.WebDir, Command: "convex-local-backend"}, {Port: 3000, PID: 3, Dir: at("apps/docs")}, {Port: 3000, PID: 4, Dir: at("apps/web/tools")}}, 0,
			Port{Number: 3000, Source: PortDefault, Where: "Next.js", Expected: 3000}},
		{"build output", []Listener{{Port: 8080, PID: 1, Dir: at("apps/web/.next/standalone"), Command: "node"}}, 0,
			Port{Number: 8080, Source: PortListening, Where: "node, process 1", Expected: 3000}},
		{"a server started from the root", []Listener{{Port: 3005, PID: 3, Dir: dir, Command: "node", Parents: []int{2, 1}}, {Port: 3006, PID: 4, Dir: at("apps/docs"), Parents: []int{2}}}, 2,
			Port{Number: 3005, Source: PortListening, Where: "node, process 3", Expected: 3000}},
		{"a folder that cannot be read", []Listener{{Port: 3005, PID: 3, Command: "node"}}, 0,
			Port{Number: 3000, Source: PortDefault, Where: "Next.js", Expected: 3000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := askPort(t, a, PortQuery{RootPID: c.root, Listeners: func(context.Context) ([]Listener, error) { return c.all, nil }})
			if diff := cmp.Diff(c.want, p); diff != "" {
				t.Errorf("Port (-want +got):\n%s", diff)
			}
		})
	}
	p, err := a.Port(t.Context(), PortQuery{Listeners: func(context.Context) ([]Listener, error) { return nil, listenersUnknown(nil, "no lsof") }})
	if err != nil || p.Source != PortDefault || !strings.Contains(p.Unknown, "no lsof") {
		t.Errorf("Port(system cannot be asked) = %+v, %v, want the default and the reason", p, err)
	}
}

func TestPortConfigured(t *testing.T) {
	next := func(script string) string {
		return fmt.Sprintf(`{"scripts": {"dev": %q, "dev:web": "next dev --port=4100"}, "dependencies": {"next": "16"}}`, script)
	}
	vite := `{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "7"}}`
	for _, c := range []struct {
		name  string
		files map[string]string
		env   string // PORT
		want  int
		where string
	}{
		{"-p", map[string]string{"package.json": next("next dev -p 4000")}, "", 4000, "package.json, script dev"},
		{"-p without a space", map[string]string{"package.json": next("next dev -p4000")}, "", 4000, "package.json, script dev"},
		{"PORT in front", map[string]string{"package.json": next("PORT=4001 next dev")}, "", 4001, "package.json, script dev"},
		{"the other half of the script", map[string]string{"package.json": next("convex dev --port 9999 & next dev --port 4002")}, "", 4002, "package.json, script dev"},
		{"a script that runs another", map[string]string{"package.json": next(`concurrently "convex dev" "npm:dev:web"`)}, "", 4100, "package.json, script dev:web"},
		{"bun run", map[string]string{"package.json": next("bun run dev:web")}, "", 4100, "package.json, script dev:web"},
		{"a script that runs itself", map[string]string{"package.json": next("bun run dev")}, "", 3000, "Next.js"},
		{"PORT of the environment", map[string]string{"package.json": next("next dev")}, "4003", 4003, "PORT in the environment"},
		{"Next.js does not read PORT from .env", map[string]string{"package.json": next("next dev"), ".env": "PORT=1"}, "", 3000, "Next.js"},
		{"PORT in .env.local", map[string]string{"package.json": `{"dependencies": {"react-scripts": "5"}}`, ".env.local": "PORT=4004", ".env": "PORT=1"}, "", 4004, "PORT in .env.local"},
		{"vite.config", map[string]string{"package.json": vite, "vite.config.ts": "export default { server: { hmr: { port: 1111 }, // port: 2222,\n strictPort: true, port: 4005 } }"}, "", 4005, "vite.config.ts"},
		{"vite.config with PORT", map[string]string{"package.json": vite, "vite.config.js": "export default { server: { port: Number(process.env.PORT) || 3 } }"}, "4006", 4006, "PORT in the environment"},
		{"vite does not read PORT", map[string]string{"package.json": vite}, "4007", 5173, "React (Vite)"},
		{"preview.port is another one", map[string]string{"package.json": vite, "vite.config.ts": "export default { preview: { port: 4008 }, server: { proxy: { port: 1 } } }"}, "", 5173, "React (Vite)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := findApp(t, writeTree(t, c.files))
			p, err := a.Port(t.Context(), PortQuery{Env: func(n string) (string, bool) { return c.env, n == "PORT" && c.env != "" }})
			if err != nil || p.Number != c.want || p.Where != c.where || p.Expected != c.want || p.Moved() {
				t.Errorf("Port = %+v, %v, want %d from %s", p, err, c.want, c.where)
			}
		})
	}
}

func TestLsofListeners(t *testing.T) {
	run := func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch {
		case name == "ps":
			return []byte("    1     0\n  700     1\n  701   700\n"), nil
		case strings.Contains(strings.Join(args, " "), "-d cwd -p 701,702"):
			return []byte("p701\nfcwd\nn/app/web\np702\nfcwd\nn/other folder\n"), nil
		default:
			return []byte("p701\ncnode\nf20\nn*:3001\nf21\nn[::1]:3001\np702\ncruby\nf5\nn127.0.0.1:4000\n"), nil
		}
	}
	got, err := lsofListeners(t.Context(), run)
	want := []Listener{
		{Port: 3001, PID: 701, Dir: "/app/web", Command: "node", Parents: []int{700, 1}},
		{Port: 4000, PID: 702, Dir: "/other folder", Command: "ruby"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("lsofListeners = %v (-want +got):\n%s", err, diff)
	}
	_, err = lsofListeners(t.Context(), func(context.Context, string, ...string) ([]byte, error) {
		return nil, &exec.Error{Name: "lsof", Err: exec.ErrNotFound}
	})
	if fault.Code(err) != "listeners-unknown" {
		t.Errorf("lsofListeners without lsof = %v, want code listeners-unknown", err)
	}
	if _, err := procListeners(t.Context(), t.TempDir()); fault.Code(err) != "listeners-unknown" {
		t.Errorf("procListeners(empty folder) = %v, want code listeners-unknown", err)
	}
}
