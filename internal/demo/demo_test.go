package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/fault"
)

// programDir holds what program built, "" when no test asked for it.
var programDir string

// program builds the real binary once.
var program = sync.OnceValues(func() (exe string, err error) {
	if programDir, err = os.MkdirTemp("", "berth-test-"); err != nil {
		return "", err
	}
	exe = filepath.Join(programDir, "berth")
	if runtime.GOOS == "windows" {
		exe += ".exe"
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", exe, "github.com/berthdev/berth/cmd/berth")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build berth: %w\n%s", err, out)
	}
	return exe, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		os.RemoveAll(programDir)
	}
	os.Exit(code)
}

func options(t *testing.T) Options {
	t.Helper()
	exe, err := program()
	if err != nil {
		t.Fatal(err)
	}
	app, err := examples.App(examples.NextJS)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Exe: exe, Environ: os.Environ(), App: app, AppName: examples.NextJS, TempDir: t.TempDir(), Now: time.Now, Progress: &progress{}}
}

// progress keeps what a person would see.
type progress struct {
	text  bytes.Buffer
	begin func(what string)
}

func (p *progress) Begin(what string) {
	fmt.Fprintf(&p.text, "%s\n", what)
	if p.begin != nil {
		p.begin(what)
	}
}
func (p *progress) Done(_ time.Duration, outcome string) { fmt.Fprintf(&p.text, "  %s\n", outcome) }
func (p *progress) Failed(_ time.Duration, output string) {
	fmt.Fprintf(&p.text, "  failed\n%s\n", output)
}

// nothingLeft checks that the demo removed its folder and ended its server.
func nothingLeft(t *testing.T, o Options, r *Result) {
	t.Helper()
	left, err := os.ReadDir(o.TempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("temporary folder holds %v, %v; want nothing", left, err)
	}
	if r == nil || r.Server == "" {
		return
	}
	resp, err := http.Get(r.Server + "/berth/v1/health")
	if err == nil {
		resp.Body.Close()
		t.Errorf("the server at %s still answers, want it gone", r.Server)
	}
}

// The whole of the first job, through the real program: R57, R60, R61, R62, R72.
func TestDemo(t *testing.T) {
	exe, err := program()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), exe, "demo", "--json")
	// What a person may have set must not lead the demo to a real account.
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "TMP="+temp, "TEMP="+temp, "HOME="+filepath.Join(temp, "none"),
		"WORKOS_API_KEY=sk_test_of_a_person", "WORKOS_CLIENT_ID=client_of_a_person", "CONVEX_DEPLOY_KEY=dev:of-a-person|x",
		"BERTH_SERVER=http://192.0.2.1", "BERTH_TOKEN=of_a_person", "NETLIFY=true", "GIT_DIR=/nowhere")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("berth demo = %v, want exit 0\n%s", err, stderr.String())
	}
	var r Result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("berth demo --json prints no JSON: %v\n%s", err, stdout.String())
	}
	nothingLeft(t, Options{TempDir: temp}, &r)
	checkResult(t, &r)
	for _, text := range []string{stdout.String(), stderr.String()} {
		for _, secret := range []string{"sk_", "eyJ", "of_a_person"} {
			if strings.Contains(text, secret) {
				t.Errorf("the output holds %q, want no secret and nothing of the person's environment", secret)
			}
		}
	}
}

func checkResult(t *testing.T, r *Result) {
	t.Helper()
	var got []string
	clients := map[string]bool{}
	for _, d := range r.Deployments {
		clients[d.ClientID] = true
		if !d.Session.OK || !d.Token.OK || !d.Backend.OK || len(d.URLs) == 0 || d.SignOut != d.URLs[0] {
			t.Errorf("%s = session %v, token %v, backend %v, sign-out to %s of %v; want all well", d.Deployment, d.Session, d.Token, d.Backend, d.SignOut, d.URLs)
		}
		if d.Kind == "preview" && len(d.URLs) != 2 {
			t.Errorf("%s signs in on %v, want the branch host and the commit host", d.Deployment, d.URLs)
		}
		got = append(got, d.Deployment)
	}
	if diff := cmp.Diff([]string{"dev", "preview feature-a", "preview feature-b", "preview feature-c", "production"}, got); diff != "" {
		t.Errorf("deployments differ (-want +got):\n%s", diff)
	}
	if len(clients) != 5 {
		t.Errorf("%d environments, want one for each of 5 deployments", len(clients))
	}
	if r.Isolation.Page == "" || r.Isolation.Code != "NoAuthProvider" || r.Pruned.Branch != "feature-b" || !r.OK {
		t.Errorf("isolation %+v, pruned %+v, ok %t; want all shown", r.Isolation, r.Pruned, r.OK)
	}
	for _, s := range r.Steps {
		if !s.OK {
			t.Errorf("step %q failed", s.What)
		}
	}
	if rows := r.Table(); len(rows) != 8 || len(rows[0]) != len(Header) {
		t.Errorf("Table has %d rows, want one per address: 8", len(rows))
	}
}

func TestKeepLeavesLinksThatWork(t *testing.T) {
	o := options(t)
	o.Keep = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Show = func(r *Result) error {
		defer cancel()
		ca, err := NewAuthority(time.Now)
		if err != nil {
			return err
		}
		if len(r.Links) != 3 {
			t.Errorf("links %v, want dev and the two previews that are left", r.Links)
		}
		info, err := os.Stat(r.Accounts)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("accounts file %v, %v; want one that only its owner can read", info, err)
		}
		for _, l := range r.Links {
			p, err := NewBrowser(NewNetwork(ca)).Open(t.Context(), l.URL+"/sign-in")
			if err != nil || p.Marker != "sign-in" {
				t.Errorf("Open(%s/sign-in) = %+v, %v; want the hosted page", l.URL, p, err)
			}
		}
		return nil
	}
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatalf("Run = %v, want nil: Ctrl-C is how it ends", err)
	}
	nothingLeft(t, o, r)
}

func TestInterruptedDemoCleansUp(t *testing.T) {
	for _, at := range []string{"start a server", "berth deploy: three", "sign in through"} {
		t.Run("at "+at, func(t *testing.T) {
			o := options(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o.Progress = &progress{begin: func(what string) {
				if strings.HasPrefix(what, at) {
					cancel()
				}
			}}
			r, err := Run(ctx, o)
			if !fault.Is(err, fault.Interrupted) {
				t.Errorf("Run = %v, want interrupted", err)
			}
			nothingLeft(t, o, r)
		})
	}
}

func TestMissingGitIsNamed(t *testing.T) {
	o := options(t)
	var rest []string
	for _, v := range o.Environ {
		if !strings.HasPrefix(v, "PATH=") {
			rest = append(rest, v)
		}
	}
	o.Environ = append(rest, "PATH="+t.TempDir())
	t.Setenv("PATH", t.TempDir()) // programs are looked up in this process
	r, err := Run(t.Context(), o)
	if f := fault.From(err); f == nil || !strings.Contains(f.Message, "git is not installed") {
		t.Errorf("Run = %v, want it to say that git is missing", err)
	}
	nothingLeft(t, o, r)
}

func TestCaptureKeepsWhatConcernsSignIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vars.json")
	if err := Capture(path, []string{"WORKOS_CLIENT_ID=client_1", "NEXT_PUBLIC_WORKOS_REDIRECT_URI=https://a.example/cb?x=y", "CONVEX_URL=", "HOME=somewhere", "BERTH_TOKEN=t"}); err != nil {
		t.Fatal(err)
	}
	got, err := readCapture(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"WORKOS_CLIENT_ID": "client_1", "NEXT_PUBLIC_WORKOS_REDIRECT_URI": "https://a.example/cb?x=y", "CONVEX_URL": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Capture keeps other variables (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v; want mode 0600", info, err)
	}
	if err := Capture(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Capture over a file = %v, want a refusal", err)
	}
}

func TestReadSettings(t *testing.T) {
	tests := []struct {
		name string
		vars map[string]string
		want Settings
		path string
		bad  string // part of the error
	}{
		{name: "WorkOS itself", vars: map[string]string{"WORKOS_CLIENT_ID": "client_1", "WORKOS_API_KEY": "sk_test_1"},
			want: Settings{ClientID: "client_1", APIKey: "sk_test_1", API: "https://api.workos.com"}, path: "/callback"},
		{name: "a server on this machine", vars: map[string]string{"WORKOS_CLIENT_ID": "client_1", "WORKOS_API_KEY": "sk_test_1",
			"WORKOS_API_HOSTNAME": "127.0.0.1", "WORKOS_API_PORT": "4747", "WORKOS_API_HTTPS": "false", "NEXT_PUBLIC_WORKOS_REDIRECT_URI": "https://a.example/auth/cb"},
			want: Settings{ClientID: "client_1", APIKey: "sk_test_1", API: "http://127.0.0.1:4747", RedirectURI: "https://a.example/auth/cb"}, path: "/auth/cb"},
		{name: "no key", vars: map[string]string{"WORKOS_CLIENT_ID": "client_1"}, bad: "WORKOS_API_KEY"},
		{name: "nothing", vars: nil, bad: "WORKOS_CLIENT_ID and WORKOS_API_KEY"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadSettings(test.vars)
			if test.bad != "" {
				if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.bad) {
					t.Errorf("ReadSettings = %v, want it to name %s", err, test.bad)
				}
				return
			}
			if err != nil || got != test.want || got.callbackPath() != test.path {
				t.Errorf("ReadSettings = %+v, %v with callback %s; want %+v with %s", got, err, got.callbackPath(), test.want, test.path)
			}
		})
	}
}
