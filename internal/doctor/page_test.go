package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPagesAreTheCatalogue holds the written pages to the catalogue (R129).
// BERTH_UPDATE_GOLDEN=1 writes them.
func TestPagesAreTheCatalogue(t *testing.T) {
	for file, want := range map[string]string{"../../docs/findings/README.md": Playbook(), "../../skills/berth/SKILL.md": Skill()} {
		if os.Getenv("BERTH_UPDATE_GOLDEN") != "" {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(got)); d != "" {
			t.Errorf("%s is out of date; BERTH_UPDATE_GOLDEN=1 go test ./internal/doctor writes it:\n%s", file, d)
		}
	}
}
