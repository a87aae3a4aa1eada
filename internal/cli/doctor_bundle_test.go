package cli

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestABundleHoldsNoSecret plants secrets everywhere that a bundle reads (R130).
func TestABundleHoldsNoSecret(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	secrets := []string{"sk_test_PLANTEDKEY1", "whsec_PLANTEDHOOK2", "planted-cookie-pass-3", "eyJwbGFudGVk.eyJmb3Vy.c2ln", "plantedTok5", "ada@planted.example", "plantedShell7"}
	for name, text := range map[string]string{
		"package.json":          `{"name":"shop","dependencies":{"vite":"7","react":"19"}}`,
		"convex.json":           `{"authKit":{"dev":{"localEnvVars":{"VITE_X":"` + secrets[0] + `"}}}}`,
		"convex/auth.config.ts": "// " + secrets[3] + "\nexport default { providers: [] };\n",
		".env.local":            "WORKOS_COOKIE_PASSWORD=" + secrets[2] + "\nHOOK_SECRET=" + secrets[1] + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := "refresh_token=" + secrets[4] + "\nset-cookie: s=" + secrets[2] + "\n" + secrets[5] + " came with " + secrets[6] + "\n"
	if err := os.WriteFile(logPath(data), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) int {
		env := &Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Dir: dir, Version: "v0",
			Lookup: func(string) (string, bool) { return "", false }, Environ: func() []string { return []string{"MY_TOKEN=" + secrets[6], "WORKOS_API_KEY=" + secrets[0]} }}
		return Run(t.Context(), append([]string{"doctor", "--offline", "--data", data}, args...), env)
	}
	file := filepath.Join(dir, "help.zip")
	if code := run("--bundle", file, "--dry-run"); code != 0 {
		t.Errorf("a dry run = exit code %d, want 0", code)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a dry run wrote the bundle")
	}
	if code := run("--bundle", file); code != 0 {
		t.Fatalf("doctor --bundle = exit code %d, want 0", code)
	}
	if code := run("--bundle", file); code != exitError {
		t.Errorf("a second bundle of that name = exit code %d, want %d", code, exitError)
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if strings.Contains(string(text), s) {
				t.Errorf("%s holds %s:\n%s", f.Name, s, text)
			}
		}
		if f.Name == "variables.json" && !strings.Contains(string(text), "WORKOS_COOKIE_PASSWORD") {
			t.Errorf("variables.json lacks a name: %s", text)
		}
	}
	for _, want := range []string{"app/convex.json", "app/convex/auth.config.ts", "variables.json", "versions.json", "doctor.json", "server.log"} {
		if !slices.Contains(names, want) {
			t.Errorf("the bundle has %v, not %s", names, want)
		}
	}
}
