package project

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/fault"
)

// The file for ES256 reads the algorithm from the variable that Berth sets, and
// is otherwise the one of the templates.
func TestInitWritesTheAlgorithm(t *testing.T) {
	for _, c := range []struct {
		algorithm string
		reads     []string
	}{
		{"", []string{"WORKOS_CLIENT_ID"}},
		{"RS256", []string{"WORKOS_CLIENT_ID"}},
		{"ES256", []string{AlgorithmVar, "WORKOS_CLIENT_ID"}},
	} {
		t.Run("algorithm "+c.algorithm, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"dependencies": {"vite": "7"}}`), 0o600); err != nil {
				t.Fatal(err)
			}
			app, err := Find(dir)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := app.InitPlan(InitOptions{Algorithm: c.algorithm})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := app.Apply(plan.Changes); err != nil {
				t.Fatal(err)
			}
			source, err := app.ReadAuthConfig()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(source.Reads, c.reads) || source.Dynamic {
				t.Errorf("the file reads %v, dynamic %v; want %v", source.Reads, source.Dynamic, c.reads)
			}
			for _, has := range []string{"RS256", "ES256"} {
				result, err := authconfig.Eval(t.Context(), source.Source, map[string]string{"WORKOS_CLIENT_ID": "client_1", AlgorithmVar: has})
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range result.Providers {
					want := has
					if c.algorithm != "ES256" {
						want = "RS256"
					}
					if p.Algorithm != want || !strings.Contains(p.JWKS, "/sso/jwks/client_1") {
						t.Errorf("provider of %s with %s = %s of %s, want %s", p.Issuer, has, p.Algorithm, p.JWKS, want)
					}
				}
			}
		})
	}
	app, err := Find(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.InitPlan(InitOptions{Algorithm: "HS256"}); fault.Code(err) != "algorithm-unknown" {
		t.Errorf("InitPlan with HS256 = %v, want algorithm-unknown", err)
	}
}
