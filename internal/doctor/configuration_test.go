package doctor

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// surrounded is an app with an environment and a deployment that fit it.
func surrounded(t testing.TB, name string, edits ...edit) *Subject {
	t.Helper()
	root := copyApp(t, name)
	port, vars := "5173", [][2]string{{"VITE_WORKOS_CLIENT_ID", "client_01MINE"}, {"VITE_WORKOS_REDIRECT_URI", "http://localhost:5173/callback"}, {"VITE_CONVEX_URL", "https://happy-otter-123.convex.cloud"}}
	if name == next {
		port, vars = "3000", [][2]string{{"WORKOS_CLIENT_ID", "client_01MINE"}, {"WORKOS_API_KEY", "sk_test_x"}, {"WORKOS_COOKIE_PASSWORD", strings.Repeat("x", 43)},
			{"NEXT_PUBLIC_WORKOS_REDIRECT_URI", "http://localhost:3000/callback"}, {"NEXT_PUBLIC_CONVEX_URL", "https://happy-otter-123.convex.cloud"}}
	}
	app, err := project.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]project.EnvVar, len(vars))
	for i, v := range vars {
		list[i] = project.EnvVar{Name: v[0], Value: secret.String(v[1])}
	}
	if _, _, err := app.WriteEnv(app.EnvPath(), list, "written by berth dev"); err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		e.apply(t, root)
	}
	s, err := Files(app, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s.Environment = &Environment{ClientID: "client_01MINE", Issuer: "https://api.workos.com/user_management/client_01MINE", BaseURL: "https://api.workos.com",
		RedirectURIs: []string{"http://localhost:" + port + "/callback"}, CORSOrigins: []string{"http://localhost:" + port}, HomepageURL: "http://localhost:" + port}
	id := "client_01MINE"
	s.Deployment = &Deployment{Name: "happy-otter-123", URL: "https://happy-otter-123.convex.cloud", Type: "dev", CanRead: true, Variables: map[string]string{"WORKOS_CLIENT_ID": id},
		Providers: []authconfig.Provider{
			{Kind: authconfig.CustomJWT, Issuer: "https://api.workos.com/", ApplicationID: &id, Algorithm: "RS256", JWKS: "https://api.workos.com/sso/jwks/" + id},
			{Kind: authconfig.CustomJWT, Issuer: "https://api.workos.com/user_management/" + id, Algorithm: "RS256", JWKS: "https://api.workos.com/sso/jwks/" + id},
		}}
	s.Values = []Value{{Name: "WORKOS_CLIENT_ID", Place: "deployment variables", Text: id}, {Name: app.Framework.ClientID, Place: ".env.local", Text: id}}
	return s
}

func findingsOf(t testing.TB, s *Subject) []Finding {
	t.Helper()
	r, err := Run(t.Context(), s, Checks())
	if err != nil {
		t.Fatal(err)
	}
	return r.Findings
}

func TestAWholeSetUpIsClean(t *testing.T) {
	for _, app := range []string{vite, next} {
		if found := findingsOf(t, surrounded(t, app)); len(found) > 0 {
			t.Errorf("%s: %+v, want nothing", app, found)
		}
	}
}

// surroundings breaks one thing around a whole app at a time.
var surroundings = []struct {
	code  string
	app   string
	edits []edit
	more  func(*Subject)
}{
	{code: "redirect-uri-not-registered", app: next, more: func(s *Subject) { s.Environment.RedirectURIs = []string{"http://localhost:3000/callback/"} }},
	{code: "redirect-uri-port-differs", app: vite, more: func(s *Subject) { s.Port = 5174 }},
	{code: "cors-origin-not-allowed", app: vite, more: func(s *Subject) { s.Environment.CORSOrigins = []string{"http://localhost:3000"} }},
	{code: "homepage-missing", app: vite, more: func(s *Subject) { s.Environment.HomepageURL = "" }},
	{code: "redirect-uri-too-broad", app: vite, more: func(s *Subject) {
		s.Environment.RedirectURIs = append(s.Environment.RedirectURIs, "https://*.vercel.app/callback")
	}},
	{code: "local-redirect-uri-in-production", app: vite, more: func(s *Subject) { s.Environment.Production, s.Kind = true, "prod" }},
	{code: "client-id-differs", app: vite, more: func(s *Subject) { s.Values[0].Text = "client_01OTHER" }},
	{code: "client-id-missing", app: vite, edits: []edit{{".env.local", "VITE_WORKOS_CLIENT_ID=client_01MINE\n", ""}}, more: func(s *Subject) { s.Values = s.Values[:1] }},
	{code: "credentials-incomplete", app: next, edits: []edit{{".env.local", "WORKOS_API_KEY=sk_test_x\n", ""}}},
	{code: "cookie-password-missing", app: next, edits: []edit{{".env.local", strings.Repeat("x", 43), "short"}}},
	{code: "redirect-uri-variable-missing", app: next, edits: []edit{{".env.local", "NEXT_PUBLIC_WORKOS_REDIRECT_URI=http://localhost:3000/callback\n", ""}}},
	{code: "production-key-in-development", app: next, more: func(s *Subject) {
		s.Values = append(s.Values, Value{Name: "WORKOS_API_KEY", Place: ".env.local", Prefix: "sk_live"})
	}},
	{code: "test-key-in-production", app: next, more: func(s *Subject) {
		s.Kind = "prod"
		s.Values = append(s.Values, Value{Name: "WORKOS_API_KEY", Place: "deployment variables", Prefix: "sk_test"})
	}},
	{code: "convex-url-differs", app: vite, edits: []edit{{".env.local", "happy-otter-123", "quiet-fox-456"}}},
	{code: "deploy-key-of-another-kind", app: vite, more: func(s *Subject) { s.Host = &Host{Name: "Vercel", Kind: "preview", KeyType: "prod"} }},
	{code: "deployment-variables-unreadable", app: vite, more: func(s *Subject) { s.Deployment.CanRead = false }},
	{code: "auth-config-variable-unset", app: vite, more: func(s *Subject) { delete(s.Deployment.Variables, "WORKOS_CLIENT_ID") }},
	{code: "auth-config-unpushed", app: vite, more: func(s *Subject) { s.Deployment.Providers = s.Deployment.Providers[:1] }},
	{code: "auth-config-issuer-missing", app: vite, more: func(s *Subject) { s.Environment.Issuer = "http://127.0.0.1:4747/user_management/client_01MINE" }},
	{code: "env-file-tracked", app: vite, more: func(s *Subject) { s.Git = answers(0, 0) }},
	{code: "env-file-not-ignored", app: next, more: func(s *Subject) { s.Git = answers(1, 1) }},
	{code: "account-email-taken", app: vite, more: func(s *Subject) {
		s.Problems = []error{fault.New(fault.Conflict, "A WorkOS team already exists with ada@example.com").WithCode(workos.CodeUserAlreadyExists)}
	}},
	{code: "account-platform-not-authorized", app: vite, more: func(s *Subject) {
		s.Problems = []error{fault.New(fault.Denied, "400 Bad Request: WorkOSPlatformNotAuthorized: the platform is not authorized")}
	}},
	{code: "account-team-not-provisioned", app: vite, more: func(s *Subject) {
		s.Problems = []error{fault.New(fault.NotFound, "no team").WithCode("WorkOSTeamNotProvisioned"), fault.New(fault.Internal, "something else")}
	}},
	{code: "account-needs-billing", app: vite, more: func(s *Subject) {
		s.Problems = []error{fault.New(fault.NeedsPerson, "billing details are needed").WithCode(workos.CodeBillingRequired)}
	}},
}

// answers is a git that knows one file: whether it is tracked and whether it is
// ignored, as exit codes.
func answers(tracked, ignored int) project.Git {
	return func(_ context.Context, _ string, args ...string) (int, error) {
		switch args[0] {
		case "ls-files":
			return tracked, nil
		case "check-ignore":
			return ignored, nil
		}
		return 0, nil // it is a repository
	}
}

func TestWhatSurroundsTheAppIsCompared(t *testing.T) {
	for _, c := range surroundings {
		t.Run(c.code, func(t *testing.T) {
			s := surrounded(t, c.app, c.edits...)
			if c.more != nil {
				c.more(s)
			}
			found := findingsOf(t, s)
			if len(found) == 0 || found[0].Code != c.code {
				t.Errorf("findings = %+v, want %s first", found, c.code)
			}
		})
	}
}

func TestADifferingRedirectURIIsShownToTheCharacter(t *testing.T) {
	s := surrounded(t, next)
	s.Environment.RedirectURIs = []string{"https://other.example/x", "http://localhost:3000/calback"}
	found := findingsOf(t, s)
	want := []string{"registered  http://localhost:3000/calback", "asked for   http://localhost:3000/callback", "                                     ^"}
	if len(found) == 0 || !slices.Equal(found[0].Proof, want) {
		t.Errorf("proof = %+v, want %q", found, want)
	}
}

// TestEveryFindingIsReached holds the catalogue to the tests: no code without
// something broken that gives it first.
func TestEveryFindingIsReached(t *testing.T) {
	reached := map[string]bool{}
	for _, b := range brokenApps {
		reached[b.code] = true
	}
	for _, c := range surroundings {
		reached[c.code] = true
	}
	for _, c := range recordings {
		reached[c.code] = true
	}
	for _, c := range liveServers {
		reached[c.code] = true
	}
	for _, c := range logs {
		reached[c.code] = true
	}
	for _, e := range Catalogue() {
		if !reached[e.Code] {
			t.Errorf("no test breaks something to get %s", e.Code)
		}
		delete(reached, e.Code)
	}
	for code := range reached {
		t.Errorf("%s is expected and not in the catalogue", code)
	}
	for _, c := range Checks() {
		for _, code := range c.Codes {
			if Explain(code).Code == "" {
				t.Errorf("check %s can give %s, which is not in the catalogue", c.Name, code)
			}
		}
	}
}
