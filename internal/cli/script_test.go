package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/server"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestMain lets scripts, and servers that commands start in the background, run
// this test binary as the real program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"berth":      func() { os.Exit(Main("v0.0.0-test")) },
		"web-server": webServer,
	})
}

// TestScripts runs testdata/script. Beside the usual commands scripts have:
//
//	exits CODE command args...     run it and want that exit code
//	serve-start                    start a server; sets BERTH_SERVER and BERTH_TOKEN
//	serve-stop                     stop it
//	listen VAR                     take a port for the whole script; VAR is host:port
//	json FILE PATH VALUE           FILE (or stdout) is JSON and holds VALUE at a.b.0
//	json FILE                      FILE is JSON
//	normal FROM TO                 copy a file (or stdout) with ids replaced
//	post PATH JSON                 send it to the server with the API key in .env.local
//	app-state FOLDER TO            names, modes and hashes of the files in FOLDER
//	server-state TO                hashes of what the script's server holds
//	write-var NAME FILE            write a variable's value into a file
//	split-env FILE                 credentials of an .env.local as GIVEN_CLIENT, GIVEN_KEY and key.txt
//	convex-start [write-only]      start a stand-in for Convex; sets CONVEX_PROVISION_HOST
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Condition:           scriptCondition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":        cmdExits,
			"serve-start":  cmdServeStart,
			"serve-stop":   cmdServeStop,
			"listen":       cmdListen,
			"json":         cmdJSON,
			"normal":       cmdNormal,
			"post":         cmdPost,
			"app-state":    cmdAppState,
			"server-state": cmdServerState,
			"convex-start": cmdConvexStart,
			"write-var":    cmdWriteVar,
			"split-env":    cmdSplitEnv,
		},
	})
}

func setupScript(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	for name, value := range map[string]string{
		"HOME": home, "XDG_DATA_HOME": filepath.Join(home, "data"), "XDG_CONFIG_HOME": filepath.Join(home, "config"),
		"LocalAppData": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": filepath.Dir(env.WorkDir),
	} {
		env.Setenv(name, value)
	}
	env.Defer(func() { stopServersBelow(env.WorkDir) })
	return os.MkdirAll(home, 0o700)
}

// stopServersBelow stops what a script left running.
func stopServersBelow(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "server.json" {
			return nil
		}
		local, err := server.ReadLocal(filepath.Dir(path))
		if err != nil || local.PID == os.Getpid() {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for {
			if _, ok := alive(ctx, local); !ok || ctx.Err() != nil {
				return nil
			}
			_ = terminate(local.PID) // asked again until it does not answer
			_ = pause(ctx, 20*time.Millisecond)
		}
	})
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s = exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// scriptServer is the server of one script.
type scriptServer struct {
	stop context.CancelFunc
	done chan error
}

var scriptServers = make(chan map[*testscript.TestScript]*scriptServer, 1)

func init() { scriptServers <- map[*testscript.TestScript]*scriptServer{} }

// cmdServeStart runs the server in this process, so that no failure of a script
// can leave it behind. Its password hash is cheap.
func cmdServeStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: serve-start")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{DataDir: ts.MkAbs(".server"), Addr: "127.0.0.1:0", Version: "v0.0.0-test",
		Hash: auth.HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1}})
	if err != nil {
		cancel()
		ts.Fatalf("start a server: %v", err)
	}
	local, err := s.Announce(ctx)
	if err != nil {
		cancel()
		ts.Fatalf("announce the server: %v", errors.Join(err, s.Close()))
	}
	running := &scriptServer{cancel, make(chan error, 1)}
	go func() { running.done <- s.Run(ctx) }()
	all := <-scriptServers
	all[ts] = running
	scriptServers <- all
	ts.Setenv(serverVar, local.URL)
	ts.Setenv(tokenVar, local.Token)
	ts.Defer(func() {
		if err := stopScriptServer(ts); err != nil {
			ts.Logf("stop the server: %v", err)
		}
	})
}

func cmdServeStop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: serve-stop")
	}
	ts.Check(stopScriptServer(ts))
}

func stopScriptServer(ts *testscript.TestScript) error {
	all := <-scriptServers
	running := all[ts]
	delete(all, ts)
	scriptServers <- all
	if running == nil {
		return nil
	}
	running.stop()
	return <-running.done
}

func cmdListen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// cmdPost asks as the backend of the app in the current folder does.
func cmdPost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: post PATH JSON")
	}
	_, rest, _ := strings.Cut(ts.ReadFile(".env.local"), "\nWORKOS_API_KEY=")
	key, _, _ := strings.Cut(rest, "\n")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, ts.Getenv(serverVar)+args[0], strings.NewReader(args[1]))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		ts.Fatalf("post %s = %s", args[0], resp.Status)
	}
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 && len(args) != 3 {
		ts.Fatalf("usage: json FILE [PATH VALUE]")
	}
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		ts.Fatalf("%s is no JSON: %v", args[0], err)
	}
	if dec.More() {
		ts.Fatalf("%s holds more than one JSON value", args[0])
	}
	if len(args) == 1 {
		return
	}
	if got, err := at(v, args[1]); err != nil || got != args[2] {
		ts.Fatalf("%s holds %q at %s, want %q (%v)", args[0], got, args[1], args[2], err)
	}
}

// at returns the value at a path such as error.kind or changes.0.path; lists
// and objects as compact JSON.
func at(v any, path string) (string, error) {
	for key := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[key]
			if !ok {
				return "", fmt.Errorf("no %s", key)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return "", fmt.Errorf("no element %s of %d", key, len(in))
			}
			v = in[i]
		default:
			return "", fmt.Errorf("nothing beneath %v", v)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSpace(out.String()), err
}
