package project

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareWithProduction(t *testing.T) { // R38, R47
	f, ok := FrameworkByID(Vite)
	if !ok {
		t.Fatal("FrameworkByID(vite) = none")
	}
	local := ParseEnv([]byte("VITE_WORKOS_CLIENT_ID=client_a\nWORKOS_CLIENT_ID=client_b\nVITE_WORKOS_REDIRECT_URI=http://localhost:5173/callback\nVITE_CONVEX_URL=same\nWORKOS_API_KEY=\n"))
	prod := ParseEnv([]byte("VITE_WORKOS_CLIENT_ID=client_p\nVITE_WORKOS_REDIRECT_URI=https://a.example/auth\nVITE_CONVEX_URL=same\nWORKOS_API_KEY=x\n"))
	type verdict struct {
		Name, Rule string
		OK         bool
	}
	var got []verdict
	for _, c := range f.CompareWithProduction(local.Lookup, prod.Lookup) {
		got = append(got, verdict{c.Name, c.Rule, c.OK})
		if c.OK != (c.Why == "") {
			t.Errorf("%+v: want a reason exactly when it is not right", c)
		}
	}
	want := []verdict{
		{"VITE_WORKOS_CLIENT_ID", "must-differ", true},
		{"VITE_WORKOS_REDIRECT_URI", "must-differ", true},
		{"VITE_CONVEX_URL", "must-differ", false},
		{"VITE_WORKOS_REDIRECT_URI path", "must-match", false},
		{"VITE_WORKOS_CLIENT_ID and WORKOS_CLIENT_ID (local)", "must-match", false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CompareWithProduction (-want +got):\n%s", diff)
	}
}
