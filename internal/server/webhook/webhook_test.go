package webhook

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

func sender(t *testing.T, local bool) *Sender {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "berth.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return New(db, slog.New(slog.DiscardHandler), func() bool { return local })
}

// A server that others reach must not be used to reach what only it can: a
// target is refused by its address, whatever name led there.
func TestOnlyAServerOnLoopbackSendsToPrivateAddresses(t *testing.T) {
	reached := false
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer target.Close()
	due := store.Due{Delivery: identity.Delivery{URL: target.URL, Event: identity.Event{Data: []byte("{}")}}}
	if status, problem := sender(t, false).send(t.Context(), due); problem == "" || reached {
		t.Errorf("send to loopback by a public server = %d, %q, reached %v; want it refused", status, problem, reached)
	}
	if status, problem := sender(t, true).send(t.Context(), due); status != http.StatusOK || problem != "" {
		t.Errorf("send to loopback by a server on loopback = %d, %q; want 200", status, problem)
	}
	for _, private := range []string{"127.0.0.1:80", "[::1]:80", "10.1.2.3:443", "172.16.0.1:80", "192.168.1.1:80", "169.254.169.254:80", "0.0.0.0:80", "100.64.0.1:80",
		"[::ffff:127.0.0.1]:80", "[::ffff:10.0.0.1]:80", "[fe80::1%eth0]:80", "[fd00::1]:80", "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80", "[::]:80", "224.0.0.1:80", "255.255.255.255:80"} {
		if err := sender(t, false).control("tcp", private, nil); err == nil {
			t.Errorf("control(%s) = nil, want it refused", private)
		}
	}
	for _, open := range []string{"93.184.216.34:443", "[2606:2800:220:1:248:1893:25c8:1946]:443"} {
		if err := sender(t, false).control("tcp", open, nil); err != nil {
			t.Errorf("control(%s) = %v, want nil", open, err)
		}
	}
}

func TestCheckTarget(t *testing.T) {
	for target, want := range map[string]struct{ local, public, production bool }{
		"https://app.example/hook":    {true, true, true},
		"http://app.example/hook":     {true, true, false},
		"http://localhost:3000/hook":  {true, false, false},
		"https://127.0.0.1/hook":      {true, false, false},
		"https://api.localhost./hook": {true, false, false},
		"https://[::1]/hook":          {true, false, false},
		"https://169.254.169.254/":    {true, false, false},
		"https://u:p@app.example/":    {},
		"https://app.example/#x":      {},
		"https:///hook":               {},
		"file:///etc/passwd":          {},
		"":                            {},
	} {
		if err := sender(t, true).CheckTarget(target, false); (err == nil) != want.local {
			t.Errorf("CheckTarget(%q) on loopback = %v, want allowed %v", target, err, want.local)
		}
		if err := sender(t, false).CheckTarget(target, false); (err == nil) != want.public {
			t.Errorf("CheckTarget(%q) on a public server = %v, want allowed %v", target, err, want.public)
		}
		if err := sender(t, false).CheckTarget(target, true); (err == nil) != want.production {
			t.Errorf("CheckTarget(%q) in production = %v, want allowed %v", target, err, want.production)
		}
	}
}
