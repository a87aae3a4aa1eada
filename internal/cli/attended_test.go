package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/server"
)

// startTestServer runs a server until the test ends and returns the variables that
// name it.
func startTestServer(t *testing.T) map[string]string {
	t.Helper()
	s, err := server.New(t.Context(), server.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Hash: auth.HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1}})
	if err != nil {
		t.Fatal(err)
	}
	local, err := s.Announce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }() // the context ends before clean-up
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return map[string]string{serverVar: local.URL, tokenVar: local.Token, "USER": "ada"}
}

const missingVariable = `{"authKit": {"dev": {"configure": {"redirectUris": ["http://localhost:5173/callback", "https://${buildEnv.MY_HOST}/callback"]}}}}`

// R6: at a terminal a missing build variable is a warning, and the entry is
// skipped; in CI it is an error.
func TestMissingBuildVariableAtATerminal(t *testing.T) {
	env, _, stderr := testEnv(t, startTestServer(t))
	write(t, filepath.Join(env.Dir, "package.json"), `{"name": "shop", "devDependencies": {"vite": "7"}}`)
	write(t, filepath.Join(env.Dir, "convex.json"), missingVariable)
	if code := Run(t.Context(), []string{"dev", "--once"}, env); code != exitError || !strings.Contains(stderr.String(), "berth: authKit.dev.configure.redirectUris[1]: no value for MY_HOST") {
		t.Errorf("unattended: berth dev --once = exit code %d, want 1 and the variable's name:\n%s", code, stderr)
	}
	stderr.Reset()
	env.Interactive = true
	if code := Run(t.Context(), []string{"dev", "--once"}, env); code != exitOK {
		t.Fatalf("attended: berth dev --once = exit code %d, want 0:\n%s", code, stderr)
	}
	for _, want := range []string{"! authKit.dev.configure.redirectUris[1]: no value for MY_HOST; the entry is skipped\n", "+ redirect_uri http://localhost:5173/callback\n"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("attended: berth dev --once says\n%s\nwant %q", stderr, want)
		}
	}
}

// apply asks at a terminal; a no changes nothing.
func TestApplyAsks(t *testing.T) {
	env, _, stderr := testEnv(t, startTestServer(t))
	env.Interactive = true
	write(t, filepath.Join(env.Dir, "package.json"), `{"name": "shop", "devDependencies": {"vite": "7"}}`)
	write(t, filepath.Join(env.Dir, "convex.json"), `{"authKit": {"dev": {"configure": {"redirectUris": ["http://localhost:5173/callback"]}}}}`)
	for _, step := range []struct {
		answer string
		code   int
		says   string
	}{
		{"n\n", exitError, "Nothing was changed."},
		{"", exitInterrupted, "no answer was given; nothing was changed"},
		{"y\n", exitOK, "✓ ready: environment shop dev ada"},
		{"", exitOK, "✓ already as it should be: environment shop dev ada"},
	} {
		stderr.Reset()
		env.Stdin = strings.NewReader(step.answer)
		if code := Run(t.Context(), []string{"apply"}, env); code != step.code || !strings.Contains(stderr.String(), step.says) {
			t.Errorf("berth apply answered %q = exit code %d, want %d and %q:\n%s", step.answer, code, step.code, step.says, stderr)
		}
	}
}
