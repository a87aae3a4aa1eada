package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// clients is how many HTTP clients run at once; like browsers and app servers
// they keep their connections.
const clients = 32

// client sends requests over its own kept connection and decodes nothing but
// what is asked for: the clients run on the same processors as the server.
type client struct {
	http *http.Client
	base string
}

func newClient(base string) *client {
	return &client{base: base, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}}
}

func (c *client) authenticate(b testing.TB, form string) []byte {
	resp, err := c.http.Post(c.base+"/user_management/authenticate", "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		b.Error(err)
		return nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Errorf("authenticate = %d %s, %v", resp.StatusCode, data, err)
	}
	return data
}

func member(data []byte, name string) string {
	_, rest, _ := bytes.Cut(data, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

func middle[T float64 | time.Duration](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// BenchmarkEnvironments makes 10,000 environments as the Platform API does,
// with a redirect URI and an API key each, and compares the last hundred with
// the first hundred by their median (R20).
func BenchmarkEnvironments(b *testing.B) {
	for b.Loop() {
		s := startWith(b, server.Config{})
		team, err := s.Store().FirstTeam(b.Context(), "Acme")
		if err != nil {
			b.Fatal(err)
		}
		token, err := team.CreateCredential(b.Context(), store.TokenCredential, "bench", time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		const n, batch = 10_000, 100
		c := newClient(s.URL())
		send := func(method, path, credential string, body any) []byte {
			data, err := json.Marshal(body)
			if err != nil {
				b.Fatal(err)
			}
			req, err := http.NewRequestWithContext(b.Context(), method, s.URL()+path, bytes.NewReader(data))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+credential)
			req.Header.Set("Content-Type", "application/json")
			resp, err := c.http.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			defer resp.Body.Close()
			out, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode >= 300 {
				b.Fatalf("%s %s = %d %s, %v", method, path, resp.StatusCode, out, err)
			}
			return out
		}
		took := make([]time.Duration, n)
		start := time.Now()
		for i := range took {
			began := time.Now()
			put := send("PUT", "/berth/v1/claim", token.Secret.Reveal(), m{"project": "shop", "deployment": fmt.Sprintf("shop/preview/b%d", i), "kind": "preview", "branch": fmt.Sprintf("b%d", i),
				"mode": "dedicated", "api_base": s.URL(), "want": m{"redirect_uris": []string{fmt.Sprintf("https://b%d.example.com/callback", i)}}})
			var g struct {
				Placement struct{ ID string }
			}
			if err := json.Unmarshal(put, &g); err != nil {
				b.Fatal(err)
			}
			e := send("POST", "/platform/teams/"+team.ID+"/environments", token.Secret.Reveal(), m{"name": fmt.Sprint("b", i)})
			key := send("POST", "/platform/teams/"+team.ID+"/environments/"+member(e, "id")+"/api_keys", token.Secret.Reveal(), m{"name": "berth"})
			send("POST", "/berth/v1/placements/"+g.Placement.ID+"/bind", token.Secret.Reveal(), m{"environment_id": member(e, "id"), "client_id": member(e, "client_id"), "api_key": member(key, "value")})
			send("POST", "/user_management/redirect_uris", member(key, "value"), m{"uri": fmt.Sprintf("https://b%d.example.com/callback", i)})
			took[i] = time.Since(began)
		}
		total := time.Since(start)
		// The very first ones warm up statements and pages.
		first, last := milliseconds(middle(took[batch:2*batch])), milliseconds(middle(took[n-batch:]))
		b.ReportMetric(float64(n)/total.Seconds(), "environments/s")
		b.ReportMetric(first, "first_ms")
		b.ReportMetric(last, "10000th_ms")
		b.ReportMetric(last/first, "10000th_vs_first")
	}
}

// fill makes a folder with n environments that have been signed in to before.
func fill(b *testing.B, dir string, n int) (clientID, key string) {
	b.Helper()
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(dir, "berth.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	team, err := db.FirstTeam(b.Context(), "Acme")
	if err != nil {
		b.Fatal(err)
	}
	hash, err := auth.NewHasher(auth.DefaultHashParams).Hash(b.Context(), password)
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				e, err := team.CreateEnvironment(b.Context(), store.NewEnvironment{Name: fmt.Sprint(i)})
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := e.AddRedirectURI(b.Context(), callback); err != nil {
					b.Error(err)
				}
				if _, err := e.CreateUser(b.Context(), identity.User{Email: email, PasswordHash: hash, EmailVerified: true}); err != nil {
					b.Error(err)
				}
				if i == 0 {
					_, value, err := e.CreateAPIKey(b.Context(), "k", time.Time{}, "")
					if err != nil {
						b.Error(err)
					}
					clientID, key = e.ClientID, value.Reveal()
				}
			}
		})
	}
	wg.Wait()
	return clientID, key
}

// build makes the program.
func build(b *testing.B) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "berth")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "../../cmd/berth").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// serve starts `berth serve` on a folder and returns its URL, and the process,
// which is killed at the end of the benchmark at the latest.
func serve(b *testing.B, bin, dir string) (base string, p *exec.Cmd) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), bin, "--data", dir, "--json", "serve", "--addr", "127.0.0.1:0", "--no-rate-limits")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	var started struct{ URL string }
	if err := json.NewDecoder(out).Decode(&started); err != nil || started.URL == "" {
		b.Fatalf("berth serve says %+v, %v; want its URL", started, err)
	}
	return started.URL, cmd
}

// BenchmarkStart measures the time from the start of a server process with
// 1,000 environments on disk to the answer of the first sign-in. The first
// start, which makes the signing keys, is not measured.
func BenchmarkStart(b *testing.B) {
	bin, dir := build(b), b.TempDir()
	clientID, key := fill(b, dir, 1000)
	signIn := url.Values{"grant_type": {"password"}, "client_id": {clientID}, "client_secret": {key}, "email": {email}, "password": {password}}.Encode()
	var took []time.Duration
	for round := range 6 {
		began := time.Now()
		base, server := serve(b, bin, dir)
		newClient(base).authenticate(b, signIn)
		if d := time.Since(began); round > 0 {
			took = append(took, d)
		}
		if err := server.Process.Kill(); err != nil {
			b.Fatal(err)
		}
		_ = server.Wait() // killed
	}
	for b.Loop() {
	}
	b.ReportMetric(milliseconds(middle(took)), "first_sign_in_ms")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkIdleMemory measures the resident memory of a server process with
// 100 environments, each of which has been signed in to once, after a pause.
func BenchmarkIdleMemory(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("resident memory is read from /proc")
	}
	bin, dir := build(b), b.TempDir()
	clientID, key := fill(b, dir, 100)
	base, server := serve(b, bin, dir)
	time.Sleep(3 * time.Second) // the pool of signing keys fills
	idle := residentMB(b, server.Process.Pid)
	c := newClient(base)
	signIn := url.Values{"grant_type": {"password"}, "client_id": {clientID}, "client_secret": {key}, "email": {email}, "password": {password}}.Encode()
	for range 100 {
		c.authenticate(b, signIn)
	}
	time.Sleep(75 * time.Second) // `berth serve` gives memory back every minute
	after := residentMB(b, server.Process.Pid)
	for b.Loop() {
	}
	b.ReportMetric(idle, "idle_MB")
	b.ReportMetric(after, "idle_after_sign_ins_MB")
}

func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kb) / 1024
}
