package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/berth"
)

func TestMethodsAreReadAsTheyAreShown(t *testing.T) {
	for text, args := range map[string][]string{
		"sso":                              {"sso"},
		"sso password magic-code":          {"magic-code", "password", "sso"},
		"password GoogleOAuth GitHubOAuth": {"GoogleOAuth", "password", "GitHubOAuth"},
	} {
		t.Run(text, func(t *testing.T) {
			if got := methodsText(readMethods(args)); got != text {
				t.Errorf("methodsText(readMethods(%q)) = %q, want %q", args, got, text)
			}
		})
	}
	want := &berth.OrganizationMethods{SSO: true, Social: []string{"GoogleOAuth"}}
	if diff := cmp.Diff(want, readMethods([]string{"sso", "GoogleOAuth"})); diff != "" {
		t.Errorf("readMethods (-want +got):\n%s", diff)
	}
}
