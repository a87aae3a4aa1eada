package project

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKeysAreRenamedAndNothingElse holds that only the key's own bytes change (R12).
func TestKeysAreRenamedAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		renamed             []string
	}{
		{"keys at every depth", "{\n  \"authkit\" : {\"dev\":{ \"configure\":{\"redirectURIs\":[\"http://localhost:5173/callback\"] }},\r\n\t\"production\": {}}\n}",
			"{\n  \"authKit\" : {\"dev\":{ \"configure\":{\"redirectUris\":[\"http://localhost:5173/callback\"] }},\r\n\t\"prod\": {}}\n}",
			[]string{"authkit to authKit", "production to prod", "redirectURIs to redirectUris"}},
		{"a name that is taken stays", `{"authKit":{"dev":{},"develop":{},"development":{}}}`, `{"authKit":{"dev":{},"develop":{},"development":{}}}`, nil},
		{"keys of variables are nobody's business", `{"authKit":{"dev":{"localEnvVars":{"configure":"x","prodd":"y"}}}}`, `{"authKit":{"dev":{"localEnvVars":{"configure":"x","prodd":"y"}}}}`, nil},
		{"a key that resembles none stays", `{"authKit":{"dev":{},"banana":{}}}`, `{"authKit":{"dev":{},"banana":{}}}`, nil},
		{"nothing to rename", `{"functions":"convex/"}`, `{"functions":"convex/"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "convex.json"), []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			app, err := Find(dir)
			if err != nil {
				t.Fatal(err)
			}
			change, renamed, err := app.RenameKeys()
			if err != nil {
				t.Fatal(err)
			}
			if string(change.Before) != c.before || string(change.After) != c.after {
				t.Errorf("RenameKeys() = %q -> %q, want %q", change.Before, change.After, c.after)
			}
			if d := cmp.Diff(c.renamed, renamed); d != "" {
				t.Errorf("renamed (-want +got):\n%s", d)
			}
		})
	}
}

func TestARenameThatGivesABrokenFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "convex.json"), []byte(`{"authKit":{"dev":{"configure":{"redirectURIs":"http://localhost:5173"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	app, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.RenameKeys(); err == nil {
		t.Error("RenameKeys() of a value of another type = nil, want an error")
	}
}
