package provision

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

// R36: for each of the 2^3 combinations of sources the first place in the
// documented order counts, for both values.
func TestEffectiveSourceOfEveryCombination(t *testing.T) {
	for mask := range 8 {
		local, deployment, ledger := mask&1 != 0, mask&2 != 0, mask&4 != 0
		t.Run(fmt.Sprintf("local %t, deployment %t, ledger %t", local, deployment, ledger), func(t *testing.T) {
			sources := []Source{{Place: FromProcess}, {Place: FromEnvLocal}, {Place: FromDeployment}, {Place: FromLedger}}
			var places []string
			for i, set := range []bool{false, local, deployment, ledger} {
				if set {
					sources[i].ClientID, sources[i].APIKey = "client_same", "sk_test_same"
					places = append(places, sources[i].Place)
				}
			}
			got, err := Effective(sources)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if len(places) > 0 {
				want = places[0]
			}
			if place := placeOf(got); place != want {
				t.Errorf("Effective = %q, want %q", place, want)
			}
			for _, e := range explain(sources) {
				if e.From != want {
					t.Errorf("explain %s = from %q, want %q", e.Name, e.From, want)
				}
				if others := strings.Join(e.Others, "|"); len(places) > 1 && others != strings.Join(places[1:], "|") {
					t.Errorf("explain %s = also in %q, want %q", e.Name, others, places[1:])
				}
				if e.Mismatch() != "" {
					t.Errorf("explain %s = mismatch %q, want none", e.Name, e.Mismatch())
				}
			}
		})
	}
}

func placeOf(s *Source) string {
	if s == nil {
		return ""
	}
	return s.Place
}

// The build environment and .env.local are one step of the order; within it the
// build environment comes first.
func TestBuildEnvironmentBeforeEnvLocal(t *testing.T) {
	got, err := Effective([]Source{{FromProcess, "client_a", "sk_test_a"}, {FromEnvLocal, "client_b", "sk_test_b"}})
	if err != nil || got.ClientID != "client_a" {
		t.Errorf("Effective = %+v, %v, want client_a", got, err)
	}
}

// R37: half of a pair is named, with its place, and never completed from another.
func TestHalfOfAPairIsNamed(t *testing.T) {
	full := Source{FromDeployment, "client_full", "sk_test_full"}
	for _, test := range []struct {
		name   string
		source Source
		want   string
	}{
		{"no key in the build environment", Source{FromProcess, "client_a", ""}, "WORKOS_CLIENT_ID is set in the build environment, but WORKOS_API_KEY is not"},
		{"no client ID in the build environment", Source{FromProcess, "", "sk_test_secret"}, "WORKOS_API_KEY is set in the build environment, but WORKOS_CLIENT_ID is not"},
		{"no key in .env.local", Source{FromEnvLocal, "client_a", ""}, "WORKOS_CLIENT_ID is set in .env.local, but WORKOS_API_KEY is not"},
		{"no client ID on the deployment", Source{FromDeployment, "", "sk_test_secret"}, "WORKOS_API_KEY is set in the deployment variables, but WORKOS_CLIENT_ID is not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Effective([]Source{test.source, full})
			if got != nil || fault.Code(err) != "credentials_incomplete" || fault.From(err).Message != test.want {
				t.Errorf("Effective = %v, %v, want %q", got, err, test.want)
			}
			if strings.Contains(fmt.Sprint(err), "sk_test_secret") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

// R38: a mismatch names the places and the public value, never a secret.
func TestMismatchNamesPlacesAndNoSecret(t *testing.T) {
	got := explain([]Source{
		{FromProcess, "client_a", "sk_test_aaa"}, {FromEnvLocal, "client_a", "sk_test_bbb"},
		{FromDeployment, "client_c", "sk_test_aaa"}, {FromLedger, "client_d", "sk_test_ddd"},
	})
	want := []Explained{
		{Name: ClientIDVar, From: FromProcess, Value: "client_a", Others: []string{FromEnvLocal, FromDeployment, FromLedger}, Differ: []string{FromDeployment, FromLedger}},
		{Name: APIKeyVar, From: FromProcess, Others: []string{FromEnvLocal, FromDeployment, FromLedger}, Differ: []string{FromEnvLocal, FromLedger}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("explain (-want +got):\n%s", d)
	}
	sentence := "WORKOS_CLIENT_ID is another one in the deployment variables and in the ledger of claims than in the build environment (client_a), which counts"
	if m := got[0].Mismatch(); m != sentence {
		t.Errorf("Mismatch = %q, want %q", m, sentence)
	}
	if m := fmt.Sprint(got[1].Mismatch(), got); strings.Contains(m, "sk_test") {
		t.Errorf("explanation holds a secret: %s", m)
	}
}
