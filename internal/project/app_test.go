package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berthdev/berth/internal/fault"
)

// writeTree writes files below a new folder and returns it, links resolved.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func findApp(t *testing.T, dir string) *App {
	t.Helper()
	a, err := Find(dir)
	if err != nil {
		t.Fatalf("Find(%s) = %v, want an app", dir, err)
	}
	return a
}

// TestFind covers R11, R50 and R55 with one archive per layout.
func TestFind(t *testing.T) {
	archives, err := filepath.Glob("testdata/apps/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("Glob(testdata/apps) = %v, %v, want archives", archives, err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, f := range archive.Files {
			files[f.Name] = string(f.Data)
		}
		want := files["want"]
		delete(files, "want")
		root := writeTree(t, files)
		for line := range strings.Lines(want) {
			from, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar")+" from "+from, func(t *testing.T) {
				a, err := Find(filepath.Join(root, from))
				got := "error=" + fault.Code(err)
				if err == nil {
					rel := func(path string) string {
						r, err := filepath.Rel(root, path)
						if err != nil {
							t.Fatal(err)
						}
						return r
					}
					got = fmt.Sprintf("config=%s has=%v functions=%s web=%s framework=%s run=%s", rel(a.ConfigDir), a.HasConfig,
						rel(a.FunctionsDir), rel(a.WebDir), a.Framework.ID, strings.Join(a.PackageManager.Run("dev"), " "))
				} else if !fault.Is(err, fault.NeedsPerson) || !strings.Contains(fault.From(err).Fix, "--app ") {
					t.Errorf("Find(%s) = %v (fix %q), want kind needs_person and a fix that names --app", from, err, fault.From(err).Fix)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("Find(%s) (-want +got):\n%s", from, diff)
				}
			})
		}
	}
}

func TestFindErrors(t *testing.T) {
	if _, err := Find(filepath.Join(t.TempDir(), "gone")); !fault.Is(err, fault.NotFound) {
		t.Errorf("Find(missing folder) = %v, want kind not_found", err)
	}
	dir := writeTree(t, map[string]string{"package.json": "{\n  \"name\": oops\n}"})
	_, err := Find(dir)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "package.json:2:11") {
		t.Errorf("Find(broken package.json) = %v, want the line and column", err)
	}
	dir = writeTree(t, map[string]string{"convex.json": `{"functions": "../../etc"}`, "package.json": "{}"})
	if _, err := Find(dir); fault.Code(err) != "functions-outside" {
		t.Errorf("Find(functions outside) = %v, want code functions-outside", err)
	}
}

func TestMissingConfigHoldsAReadyFile(t *testing.T) { // R8
	a := findApp(t, writeTree(t, map[string]string{"package.json": `{"dependencies": {"next": "16"}}`}))
	_, err := a.ReadConfig()
	if fault.Code(err) != "config-missing" || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("ReadConfig() = %v, want code config-missing", err)
	}
	_, file, _ := strings.Cut(fault.From(err).Fix, ":\n")
	c, err := ParseConfig("convex.json", []byte(file))
	if err != nil || len(c.Findings) > 0 {
		t.Fatalf("ParseConfig(ready file) = %v, findings %v, want neither", err, c)
	}
	if got := c.DevPorts(); !cmp.Equal(got, []int{3000}) {
		t.Errorf("DevPorts() = %v, want [3000]", got)
	}
}

func TestDetect(t *testing.T) { // R50
	for _, c := range []struct {
		deps   string
		id     FrameworkID
		client string
		url    string
		port   int
	}{
		{"vite", Vite, "VITE_WORKOS_CLIENT_ID", "VITE_CONVEX_URL", 5173},
		{"next", NextJS, "WORKOS_CLIENT_ID", "NEXT_PUBLIC_CONVEX_URL", 3000},
		{"vite @tanstack/react-start", TanStackStart, "WORKOS_CLIENT_ID", "VITE_CONVEX_URL", 3000},
		{"vite @sveltejs/kit", SvelteKit, "WORKOS_CLIENT_ID", "PUBLIC_CONVEX_URL", 5173},
		{"vite @react-router/dev", ReactRouter, "WORKOS_CLIENT_ID", "VITE_CONVEX_URL", 5173},
		{"vite @remix-run/dev", Remix, "WORKOS_CLIENT_ID", "VITE_CONVEX_URL", 5173},
		{"@remix-run/dev", Remix, "WORKOS_CLIENT_ID", "CONVEX_URL", 3000},
		{"expo", Expo, "EXPO_PUBLIC_WORKOS_CLIENT_ID", "EXPO_PUBLIC_CONVEX_URL", 8081},
		{"react-scripts", CreateReactApp, "REACT_APP_WORKOS_CLIENT_ID", "REACT_APP_CONVEX_URL", 3000},
		{"hono", Plain, "WORKOS_CLIENT_ID", "CONVEX_URL", 3000},
	} {
		deps := map[string]string{}
		for _, d := range strings.Fields(c.deps) {
			deps[d] = "1"
		}
		f := Detect(deps)
		if f.ID != c.id || f.ClientID != c.client || f.ConvexURL != c.url || f.Port != c.port {
			t.Errorf("Detect(%s) = %s %s %s %d, want %s %s %s %d", c.deps, f.ID, f.ClientID, f.ConvexURL, f.Port, c.id, c.client, c.url, c.port)
		}
	}
}

func TestPackageManagerWords(t *testing.T) { // R54, R55
	for _, c := range []struct {
		manager            PackageManager
		run, exec, install string
	}{
		{Bun, "bun run dev:setup", "bunx convex dev", "bun add x"},
		{Pnpm, "pnpm run dev:setup", "pnpm exec convex dev", "pnpm add x"},
		{Yarn, "yarn run dev:setup", "yarn convex dev", "yarn add x"},
		{Npm, "npm run dev:setup", "npx convex dev", "npm install x"},
	} {
		got := []string{strings.Join(c.manager.Run("dev:setup"), " "), strings.Join(c.manager.Exec("convex", "dev"), " "), strings.Join(c.manager.Install("x"), " ")}
		if diff := cmp.Diff([]string{c.run, c.exec, c.install}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.manager, diff)
		}
	}
}
