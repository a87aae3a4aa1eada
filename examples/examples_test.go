package examples_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/examples"
	"github.com/berthdev/berth/internal/fault"
)

// embedded returns the names of all files of the apps, with the app in front.
func embedded(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, app := range examples.Names() {
		files, err := examples.App(app)
		if err != nil {
			t.Fatalf("App(%q): %v", app, err)
		}
		err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, path.Join(app, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	return names
}

func TestBinaryHoldsWhatTheRepositoryHolds(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var want []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(name); err == nil && strings.Contains(name, "/") && !strings.Contains(name, "/_generated/") {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, embedded(t)); diff != "" {
		t.Errorf("embedded files differ from the repository's (-repository +embedded):\n%s"+
			"fix: name the file in a go:embed line of examples.go, or remove it", diff)
	}
}

func TestAppsAreCopiedWritable(t *testing.T) {
	for _, app := range examples.Names() {
		t.Run(app, func(t *testing.T) {
			files, err := examples.App(app)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "app")
			if err := os.CopyFS(dir, files); err != nil {
				t.Fatalf("CopyFS: %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte("{}\n"), 0o644); err != nil {
				t.Errorf("a copied file cannot be edited: %v", err)
			}
		})
	}
}

func TestUnknownAppIsNotFound(t *testing.T) {
	for _, name := range []string{"", ".", "..", "missing", "react-vite-authkit/src"} {
		if _, err := examples.App(name); fault.From(err).Kind != fault.NotFound {
			t.Errorf("App(%q) = %v, want kind %q", name, err, fault.NotFound)
		}
	}
}

// TestConvexJSON checks that each app configures every kind of deployment (R1, R2).
func TestConvexJSON(t *testing.T) {
	type section struct {
		Configure struct {
			RedirectURIs   []string `json:"redirectUris"`
			AppHomepageURL string   `json:"appHomepageUrl"`
			CORSOrigins    []string `json:"corsOrigins"`
		} `json:"configure"`
		LocalEnvVars    map[string]string `json:"localEnvVars"`
		EnvironmentType string            `json:"environmentType"`
	}
	for _, test := range []struct{ app, file, local string }{
		{examples.ReactVite, "convex.json", "http://localhost:5173"},
		{examples.NextJS, "convex.json", "http://localhost:3000"},
		{examples.Monorepo, "packages/backend/convex.json", "http://localhost:5173"},
	} {
		t.Run(test.app, func(t *testing.T) {
			files, err := examples.App(test.app)
			if err != nil {
				t.Fatal(err)
			}
			text, err := fs.ReadFile(files, test.file)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				AuthKit map[string]section `json:"authKit"`
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("%s: %v", test.file, err)
			}
			for kind, origin := range map[string]string{
				"dev":     test.local,
				"preview": "https://${buildEnv.VERCEL_BRANCH_URL}",
				"prod":    "https://${buildEnv.VERCEL_PROJECT_PRODUCTION_URL}",
			} {
				c := got.AuthKit[kind].Configure
				if !slices.Equal(c.RedirectURIs, []string{origin + "/callback"}) || c.AppHomepageURL != origin || !slices.Equal(c.CORSOrigins, []string{origin}) {
					t.Errorf("authKit.%s.configure = %+v, want %s everywhere", kind, c, origin)
				}
			}
			if len(got.AuthKit["dev"].LocalEnvVars) == 0 || got.AuthKit["preview"].LocalEnvVars != nil || got.AuthKit["prod"].LocalEnvVars != nil {
				t.Errorf("localEnvVars belong to dev, and only there")
			}
		})
	}
}
