package deployment

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/fault"
)

func TestApply(t *testing.T) {
	current := map[string]string{"A": "1", "B": "1"}
	got, err := Apply(current, []Change{{"A", new("2")}, {"B", nil}, {"C", new("")}, {"GONE", nil}, {"A", nil}, {"D", new("x")}, {"D", new("y")}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "2", "C": "", "D": "y"}, got); diff != "" {
		t.Errorf("Apply (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "1"}, current); diff != "" {
		t.Errorf("Apply changed its argument:\n%s", diff)
	}
}

func TestApplyRefusals(t *testing.T) {
	many := func(n, size int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("V%03d", i)] = strings.Repeat("x", size)
		}
		return m
	}
	long := strings.Repeat("A", 257)
	tests := []struct {
		name       string
		current    map[string]string
		change     Change
		code, text string
	}{
		{"a digit first", nil, Change{"1X", new("v")}, CodeNameInvalid, "The environment variable name 1X is invalid. Environment variable names must begin with a letter and may only include characters a-z, A-Z, 0-9, and underscores."},
		{"a line end after the name", nil, Change{"X\n", new("v")}, CodeNameInvalid, ""},
		{"removing an invalid name", nil, Change{"a-b", nil}, CodeNameInvalid, ""},
		{"no name", nil, Change{"", new("v")}, CodeNameInvalid, ""},
		{"a long name", nil, Change{long, new("v")}, CodeNameTooLong, "The environment variable name " + long + " is too long. Environment variable names must be less than 256."},
		{"a long value", nil, Change{"X", new(strings.Repeat("x", 8193))}, CodeValueTooLarge, "The environment variable value is 8193 bytes, which is too large. (max size: 8192"},
		{"one too many", many(512, 1), Change{"X", new("v")}, CodeLimit, "The environment variable limit (512) has been met."},
		{"too much in all", many(63, 8192), Change{"X", new(strings.Repeat("x", 8192))}, CodeTotalSize, "The total size of all environment variables (524541 bytes) exceeds the limit (524288 bytes)."},
		{"a built-in name", nil, Change{"CONVEX_SITE_URL", new("v")}, CodeNameForbidden, `Environment variable with name "CONVEX_SITE_URL" is built-in and cannot be overridden`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Apply(tt.current, []Change{tt.change})
			if got != nil || !fault.Is(err, fault.Invalid) || fault.Code(err) != tt.code {
				t.Fatalf("Apply = %v, %v, want %s", got, err, tt.code)
			}
			if tt.text != "" && err.Error() != tt.text {
				t.Errorf("Apply = %q, want %q", err, tt.text)
			}
		})
	}
	t.Run("the limits themselves are allowed", func(t *testing.T) {
		if _, err := Apply(many(511, 1), []Change{{strings.Repeat("A", 256), new(strings.Repeat("x", 8192))}}); err != nil {
			t.Errorf("Apply = %v, want no error", err)
		}
	})
}

func TestStateFollowsItsVariables(t *testing.T) {
	const source = `export default {providers:[{domain:process.env.CONVEX_SITE_URL,applicationID:"convex"},{domain:process.env.DOMAIN,applicationID:process.env.ID}]}`
	s := State{CloudURL: "http://127.0.0.1:1", SiteURL: "http://127.0.0.1:2"}
	if _, err := s.Push(t.Context(), source); err == nil || fault.Code(err) != authconfig.CodeMissingVariable ||
		err.Error() != "Hit an error while pushing:\nEnvironment variable DOMAIN is used in auth config file but its value was not set" {
		t.Errorf("Push = %v, want the unset variable", err)
	}
	s = mustChange(t, s, Change{"DOMAIN", new("a.com")}, Change{"ID", new("x")})
	s, err := s.Push(t.Context(), source)
	if err != nil {
		t.Fatalf("Push = %v, want no error", err)
	}
	oidc := func(domain, id string) authconfig.Provider {
		return authconfig.Provider{Kind: authconfig.OIDC, Issuer: domain, ApplicationID: &id}
	}
	site := oidc("http://127.0.0.1:2", "convex")
	if diff := cmp.Diff([]authconfig.Provider{site, oidc("https://a.com", "x")}, s.Providers); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	s = mustChange(t, s, Change{"ID", new("a")})
	if diff := cmp.Diff([]authconfig.Provider{site, oidc("https://a.com", "a")}, s.Providers); diff != "" {
		t.Errorf("providers keep their place (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		change     Change
		code, text string
	}{
		{Change{"ID", nil}, authconfig.CodeMissingVariable, "Environment variable ID is used in auth config file but its value was not set"},
		{Change{"DOMAIN", new("token")}, authconfig.CodeInvalid, `This change would make the auth config invalid: Invalid provider domain URL "token": Does not look like a URL (must have a scheme or end with a top-level domain)`},
	} {
		after, err := s.ChangeVariables(t.Context(), []Change{tt.change})
		if fault.Code(err) != tt.code || err.Error() != tt.text {
			t.Errorf("ChangeVariables(%s) = %v, want %s %q", tt.change.Name, err, tt.code, tt.text)
		}
		if diff := cmp.Diff(s, after); diff != "" {
			t.Errorf("a refused change changed the state:\n%s", diff)
		}
	}
	s, err = s.Push(t.Context(), "")
	if err != nil || s.Providers != nil {
		t.Errorf("Push of nothing = %v, %v, want no providers", s.Providers, err)
	}
}

func mustChange(t *testing.T, s State, changes ...Change) State {
	t.Helper()
	s, err := s.ChangeVariables(t.Context(), changes)
	if err != nil {
		t.Fatalf("ChangeVariables = %v, want no error", err)
	}
	return s
}
