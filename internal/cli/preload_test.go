package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNodeOptions(t *testing.T) {
	for _, c := range []struct{ have, path, want string }{
		{"", "/data/n.cjs", "--require /data/n.cjs"},
		{"--max-old-space-size=4096", "/data/n.cjs", "--max-old-space-size=4096 --require /data/n.cjs"},
		{"", "/my data/n.cjs", `--require "/my data/n.cjs"`},
		{"", `C:\Users\Ada L\n.cjs`, `--require "C:\\Users\\Ada L\\n.cjs"`},
		{"", `/a"b/n.cjs`, `--require "/a\"b/n.cjs"`},
		{"--require /data/n.cjs --inspect", "/data/n.cjs", "--require /data/n.cjs --inspect"}, // a child of a child
	} {
		if got := nodeOptions(c.have, c.path); got != c.want {
			t.Errorf("nodeOptions(%q, %q) = %s, want %s", c.have, c.path, got, c.want)
		}
	}
}

func TestWritePreload(t *testing.T) {
	env, _, _ := testEnv(t, nil)
	env.flags.data = filepath.Join(t.TempDir(), "data folder")
	path, err := env.writePreload()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := env.writePreload()
	if err != nil || again != path {
		t.Fatalf("writePreload = %s, %v, want %s", again, err, path)
	}
	info, err := os.Stat(path)
	data, readErr := os.ReadFile(path)
	if err != nil || readErr != nil || info.Mode().Perm()&0o077 != 0 || !bytes.Equal(data, preload) {
		t.Errorf("the file has mode %v, want what was embedded, for its owner only", info.Mode())
	}
}

// runNode runs a script with the preload and a map of hosts.
func runNode(t *testing.T, hosts any, script string, extra ...string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	dir := filepath.Join(t.TempDir(), `with "quotes" and spaces`)
	env, _, _ := testEnv(t, nil)
	env.flags.data = dir
	path, err := env.writePreload()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(hosts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "-e", script)
	cmd.Env = append(os.Environ(), hostsVar+"="+string(encoded), nodeOptionsVar+"="+nodeOptions("--no-deprecation", path))
	cmd.Env = append(cmd.Env, extra...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node = %v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func TestPreloadSendsOnlyTheNamedHosts(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+" "+string(body))
	}))
	defer srv.Close()
	hosts := map[string]string{"api.workos.com": srv.URL}
	ask := func(call string) string {
		return runNode(t, hosts, call+`.then((r) => r.text()).then(console.log, (e) => console.log("failed:", e.message))`)
	}
	for call, want := range map[string]string{
		`fetch("https://api.workos.com/a?b=c")`: "GET /a?b=c",
		`fetch(new URL("https://api.workos.com:443/a"), {method: "PUT", headers: {authorization: "Bearer k"}, body: "{}"})`:           "PUT /a Bearer k {}",
		`fetch(new Request("https://api.workos.com/a", {method: "POST", headers: {authorization: "Bearer k"}, body: "x".repeat(3)}))`: "POST /a Bearer k xxx",
		`fetch(new Request("https://api.workos.com/a"), {method: "DELETE"})`:                                                          "DELETE /a",
		`fetch("` + srv.URL + `/own")`:                   "GET /own",
		`fetch("https://api.workos.com.evil.invalid/a")`: "failed: fetch failed",
		`fetch("https://evil.invalid/api.workos.com")`:   "failed: fetch failed",
		`fetch("http://api.workos.com.invalid/a")`:       "failed: fetch failed",
		`fetch("not a url")`:                             "failed: Failed to parse URL from not a url",
	} {
		if got := ask(call); strings.TrimSpace(got) != want {
			t.Errorf("%s = %q, want %q", call, got, want)
		}
	}
}

func TestPreloadLeavesTheRestAlone(t *testing.T) {
	script := `console.log(JSON.stringify([fetch.name, fetch.length, require("tls").connect.name, Object.getOwnPropertyDescriptor(globalThis, "fetch").writable]))`
	for name, hosts := range map[string]any{"no hosts": nil, "a list": []int{1}, "a number": 1, "a host": map[string]string{"api.workos.com": "http://127.0.0.1:1"}} {
		if got := runNode(t, hosts, script); got != `["fetch",1,"connect",true]` {
			t.Errorf("with %s node prints %s, want what it prints alone", name, got)
		}
	}
	if got := runNode(t, nil, script, hostsVar+"={broken"); got != `["fetch",1,"connect",true]` {
		t.Errorf("with a broken variable node prints %s, want what it prints alone", got)
	}
}

func TestPreloadCarriesSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "plain")
			_ = c.Close()
		}
	}()
	got := runNode(t, map[string]string{"calm-fox-701.convex.cloud": "http://" + l.Addr().String()},
		`const s = require("tls").connect({host: "calm-fox-701.convex.cloud", port: 443}, () => console.log("open"));
s.on("data", (d) => console.log(String(d))); s.on("end", () => console.log("end"));`)
	if got != "open\nplain\nend" {
		t.Errorf("a socket to a mapped name prints %q, want open, plain, end", got)
	}
}
