package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/workos"
)

// TestCheck covers R39, R79 and R82.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		uri  string
		kind Kind
		keys Keys
		want []string // codes; warnings with "?"
	}{
		{"a preview URL with a test key is as it should be", "https://app-git-x-team.vercel.app/cb", Preview, Keys{API: workos.TestKey, Deploy: "preview"}, nil},
		{"dev on localhost with a test key", "http://localhost:3000/cb", Dev, Keys{API: workos.TestKey}, nil},
		{"production as it should be", "https://app.example.com/cb", Prod, Keys{API: workos.LiveKey, Deploy: "prod"}, nil},
		{"live key with localhost", "http://localhost:3000/cb", Dev, Keys{API: workos.LiveKey}, []string{"live_key_outside_prod", "live_key_with_local_uri"}},
		{"live key with http", "http://box.example.com/cb", Preview, Keys{API: workos.LiveKey}, []string{"live_key_outside_prod", "live_key_with_local_uri"}},
		{"live key in a preview", "https://x.example.com/cb", Preview, Keys{API: workos.LiveKey}, []string{"live_key_outside_prod"}},
		{"test key in production", "https://app.example.com/cb", Prod, Keys{API: workos.TestKey}, []string{"test_key_in_prod"}},
		{"test key in production of type staging (R4)", "https://app.example.com/cb", Prod, Keys{API: workos.TestKey, EnvironmentType: "staging"}, nil},
		{"live key in production of type staging", "https://app.example.com/cb", Prod, Keys{API: workos.LiveKey, EnvironmentType: "staging"}, []string{"live_key_with_lower_environment_type"}},
		{"production deploy key in a preview build", "https://x.example.com/cb", Preview, Keys{API: workos.TestKey, Deploy: "prod"}, []string{"prod_deploy_key_in_preview"}},
		{"production deploy key in dev", "http://localhost:1/cb", Dev, Keys{Deploy: "prod"}, []string{"prod_deploy_key_in_dev"}},
		{"preview deploy key in production", "https://app.example.com/cb", Prod, Keys{Deploy: "preview"}, []string{"preview_deploy_key_in_prod"}},
		{"localhost in production", "https://localhost:3000/cb", Prod, Keys{API: workos.LiveKey}, []string{"localhost_uri_in_prod"}},
		{"http in production", "http://app.example.com/cb", Prod, Keys{}, []string{"http_uri_in_prod"}},
		{"any port of localhost in production", "http://localhost:*/cb", Prod, Keys{}, []string{"localhost_uri_in_prod"}},
		{"127.0.0.1 in production is for native apps", "http://127.0.0.1:4000/cb", Prod, Keys{}, []string{"loopback_uri_in_prod?"}},
		{"native scheme in production", "com.example.app:/callback", Prod, Keys{}, nil},
		{"Vercel branch host in production", "https://app-git-x-team.vercel.app/cb", Prod, Keys{}, []string{"preview_host_in_prod"}},
		{"Vercel project host in production", "https://app.vercel.app/cb", Prod, Keys{}, nil},
		{"Netlify deploy preview in production", "https://deploy-preview-7--site.netlify.app/cb", Prod, Keys{}, []string{"preview_host_in_prod"}},
		{"Pages alias in production", "https://feature.site.pages.dev/cb", Prod, Keys{}, []string{"preview_host_in_prod"}},
		{"Pages project host in production", "https://site.pages.dev/cb", Prod, Keys{}, nil},
		{"a host known as a preview's in production", "https://x.preview.example.com/cb", Prod, Keys{PreviewHosts: []string{"x.preview.example.com"}}, []string{"preview_host_in_prod"}},
		{"a host known as production's may look like a preview's", "https://app-git-x-team.vercel.app/cb", Prod, Keys{ProdHosts: []string{"app-git-x-team.vercel.app"}}, nil},
		{"production's host in a preview", "https://app.example.com/cb", Preview, Keys{ProdHosts: []string{"app.example.com"}}, []string{"prod_uri_in_preview"}},
		{"unknown key", "https://app.example.com/cb", Preview, Keys{API: workos.UnknownKey}, []string{"api_key_kind_unknown?"}},
		{"mangled by a chat program (R13)", `<http://localhost:3000/callback"],>`, Dev, Keys{}, []string{"redirect_uri_invalid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range Check(Desired{RedirectURIs: []string{tt.uri}}, tt.kind, tt.keys) {
				code := p.Code
				if p.Severity == Warn {
					code += "?"
				}
				got = append(got, code)
				if p.Subject == "" || p.Fix == "" || strings.Contains(p.Code, "_key_") && !strings.Contains(p.Message, "_KEY") {
					t.Errorf("problem = %+v, want it to name the variable and the fix", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Check differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckLooksAtOriginsAndHomepage(t *testing.T) {
	got := Check(Desired{Origins: []string{"http://localhost:5173"}, Homepage: "http://app.example.com"}, Prod, Keys{})
	if len(got) != 2 || got[0].Code != "http_uri_in_prod" || got[1].Code != "localhost_uri_in_prod" {
		t.Errorf("Check = %+v, want the homepage and the origin refused", got)
	}
}
