package doctor

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/project"
)

// copyApp copies an example app, without what is installed into it.
func copyApp(t testing.TB, name string) string {
	t.Helper()
	from, to := filepath.Join("../../examples", name), t.TempDir()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(notSource, d.Name()) || d.Name() == ".next" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// examine runs the checks that need nothing but files.
func examine(t testing.TB, root string) *Report {
	t.Helper()
	app, err := project.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Files(app, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), s, Checks())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// edit changes one file of an app: from "" it is written whole, to "" with from
// "*" it is deleted.
type edit struct{ file, from, to string }

func (e edit) apply(t testing.TB, root string) {
	t.Helper()
	p := filepath.Join(root, filepath.FromSlash(e.file))
	if e.from == "*" && e.to == "" {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
		return
	}
	text := e.to
	if e.from != "" {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), e.from) {
			t.Fatalf("%s does not hold %q", e.file, e.from)
		}
		text = strings.Replace(string(data), e.from, e.to, 1)
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// broken is one thing broken in an example app, and the code that must come first.
type broken struct {
	app   string
	code  string
	edits []edit
}

const (
	vite     = "react-vite-authkit"
	next     = "nextjs-authkit"
	monorepo = "monorepo"
)

var brokenApps = []broken{
	{vite, "convex-provider-outside-authkit", []edit{{"src/main.tsx", "<ConvexProviderWithAuthKit client={convex} useAuth={useAuth}>\n        <App />\n      </ConvexProviderWithAuthKit>", "<App />"},
		{"src/main.tsx", "<StrictMode>", "<StrictMode><ConvexProviderWithAuthKit client={convex} useAuth={useAuth}>"}, {"src/main.tsx", "</StrictMode>", "</ConvexProviderWithAuthKit></StrictMode>"}}},
	{vite, "authkit-provider-missing", []edit{{"src/main.tsx", "<AuthKitProvider", "<div"}, {"src/main.tsx", "</AuthKitProvider>", "</div>"}}},
	{vite, "convex-use-auth-missing", []edit{{"src/main.tsx", " useAuth={useAuth}", ""}}},
	{vite, "client-id-not-passed", []edit{{"src/main.tsx", "clientId={env.VITE_WORKOS_CLIENT_ID}", ""}, {"src/main.tsx", "{...api}", ""}}},
	{vite, "convex-provider-without-auth", []edit{{"src/main.tsx", "<ConvexProviderWithAuthKit client={convex} useAuth={useAuth}>", "<ConvexProvider client={convex}>"}, {"src/main.tsx", "</ConvexProviderWithAuthKit>", "</ConvexProvider>"},
		{"src/main.tsx", "import { ConvexReactClient }", "import { ConvexProvider, ConvexReactClient }"}}},
	{vite, "env-not-public", []edit{{"src/main.tsx", "clientId={env.VITE_WORKOS_CLIENT_ID}", "clientId={process.env.WORKOS_CLIENT_ID}"}}},
	{vite, "secret-in-browser-code", []edit{{"src/main.tsx", "const env = import.meta.env;", "const env = import.meta.env;\nconst key = import.meta.env.VITE_WORKOS_API_KEY;"}}},
	{vite, "adapter-of-another-framework", []edit{{"src/other.tsx", "", `import { useAuth } from "@workos-inc/authkit-nextjs/components";` + "\nexport const x = useAuth;\n"}}},
	{vite, "forced-refresh-loop", []edit{{"src/other.tsx", "", `import { useAuth } from "@workos-inc/authkit-react";` + "\nexport function useLoop() { const { getAccessToken } = useAuth(); setInterval(() => getAccessToken({ forceRefresh: true }), 500); }\n"}}},
	{vite, "auth-config-missing", []edit{{"convex/auth.config.ts", "*", ""}}},
	{vite, "auth-config-twice", []edit{{"convex/auth.config.js", "", "export default { providers: [] };\n"}}},
	{vite, "auth-config-broken", []edit{{"convex/auth.config.ts", "export default {", "export default { ,"}}},
	{vite, "auth-config-without-providers", []edit{{"convex/auth.config.ts", "", "export default { providers: [] };\n"}}},
	{vite, "auth-config-one-issuer", []edit{{"convex/auth.config.ts", `issuer: "https://api.workos.com/",`, `issuer: "https://auth.example.com/",`}}},
	{vite, "auth-config-other-client", []edit{{"convex/auth.config.ts", "process.env.WORKOS_CLIENT_ID", `"client_01OTHER"`}, {".env.local", "", "VITE_WORKOS_CLIENT_ID=client_01MINE\n"}}},
	{vite, "auth-config-keys-of-another-client", []edit{{"convex/auth.config.ts", "sso/jwks/${clientId}", "sso/jwks/client_01OTHER"}}},
	{vite, "auth-config-provider-shadowed", []edit{{"convex/auth.config.ts", "providers: [", "providers: [{ type: \"customJwt\", issuer: \"https://api.workos.com/user_management/\" + clientId, algorithm: \"RS256\", jwks: \"https://keys.example.com/jwks\" },"}}},
	{vite, "auth-config-placeholder", []edit{{"convex/auth.config.ts", "process.env.WORKOS_CLIENT_ID", `"<your WorkOS client ID>"`}}},
	{vite, "auth-config-fallback", []edit{{"convex/auth.config.ts", "process.env.WORKOS_CLIENT_ID", `process.env.WORKOS_CLIENT_ID ?? "none"`}}},
	{vite, "credentials-hand-set", []edit{{".env.local", "", "VITE_WORKOS_CLIENT_ID=client_01MINE\n"}}},
	{vite, "authkit-unknown-key", []edit{{"convex.json", `"redirectUris"`, `"redirectUri"`}}},
	{vite, "json-duplicate-key", []edit{{"convex.json", `"corsOrigins": [`, `"appHomepageUrl": "http://localhost:5173", "corsOrigins": [`}}},
	{vite, "uri-malformed", []edit{{"convex.json", "http://localhost:5173/callback", "<http://localhost:5173/callback"}}},
	{vite, "uri-not-for-production", []edit{{"convex.json", `"https://${buildEnv.VERCEL_PROJECT_PRODUCTION_URL}/callback"`, `"http://localhost:5173/callback"`}}},
	{vite, "template-unknown", []edit{{"convex.json", "${authEnv.WORKOS_CLIENT_ID}", "${authEnv.CLIENT}"}}},
	{vite, "api-key-public", []edit{{"convex.json", `"VITE_WORKOS_CLIENT_ID": "${authEnv.WORKOS_CLIENT_ID}"`, `"VITE_WORKOS_API_KEY": "${authEnv.WORKOS_API_KEY}"`}}},
	{vite, "api-key-in-config", []edit{{"convex.json", "${authEnv.WORKOS_CLIENT_ID}", "sk_test_a2V5XzAxSEdXRUtSMDEyMzQ1Njc4OSxhYmNkZWZnaGlqa2xtbm9wcXJzdHV2"}}},
	{vite, "env-name-invalid", []edit{{"convex.json", `"VITE_WORKOS_CLIENT_ID"`, `"VITE WORKOS"`}}},
	{vite, "env-prefix-wrong", []edit{{"convex.json", `"VITE_WORKOS_CLIENT_ID"`, `"NEXT_PUBLIC_WORKOS_CLIENT_ID"`}}},
	{vite, "packages-missing", []edit{{"package.json", `"@convex-dev/workos"`, `"something-else"`}}},
	{next, "callback-route-missing", []edit{{"app/callback/route.ts", "*", ""}}},
	{next, "next-middleware-misplaced", []edit{{"app/proxy.ts", "", "import { authkitMiddleware } from \"@workos-inc/authkit-nextjs\";\nexport default authkitMiddleware();\n"}, {"proxy.ts", "*", ""}}},
	{vite, "convex-auth-state-ignored", []edit{{"src/App.tsx", "", "import { useQuery } from \"convex/react\";\nimport { api } from \"../convex/_generated/api\";\nexport function App() { return <p>{String(useQuery(api.myFunctions.listNumbers, { count: 1 }))}</p>; }\n"}}},
	{next, "next-middleware-missing", []edit{{"proxy.ts", "*", ""}}},
	{next, "next-callback-without-handleauth", []edit{{"app/callback/route.ts", "", "export const GET = () => new Response('hello');\n"}}},
	{next, "secret-in-browser-code", []edit{{"components/Numbers.tsx", "\"use client\";", "\"use client\";\nconst key = process.env.WORKOS_API_KEY;"}}},
	{next, "sign-out-prefetched", []edit{{"app/sign-out/route.ts", "", `import { signOut } from "@workos-inc/authkit-nextjs";` + "\nexport async function GET() { await signOut(); }\n"},
		{"app/menu.tsx", "", `import Link from "next/link";` + "\nexport const Menu = () => <Link href=\"/sign-out\">Sign out</Link>;\n"}}},
	{next, "sign-out-on-get", []edit{{"app/sign-out/route.ts", "", `import { signOut } from "@workos-inc/authkit-nextjs";` + "\nexport async function GET() { await signOut(); }\n"},
		{"app/menu.tsx", "", `import Link from "next/link";` + "\nexport const Menu = () => <Link href=\"/sign-out\" prefetch={false}>Sign out</Link>;\n"}}},
	{vite, "convex-url-fixed", []edit{{"src/main.tsx", "new ConvexReactClient(env.VITE_CONVEX_URL)", `new ConvexReactClient("https://happy-otter-123.convex.cloud")`}}},
	{vite, "convex-url-not-passed", []edit{{"src/main.tsx", "new ConvexReactClient(env.VITE_CONVEX_URL)", "new ConvexReactClient()"}}},
	{vite, "client-id-fixed", []edit{{"src/main.tsx", "clientId={env.VITE_WORKOS_CLIENT_ID}", `clientId="client_01MINE"`}}},
	{vite, "redirect-uri-fixed", []edit{{"src/main.tsx", "redirectUri={redirectUri}", `redirectUri="http://localhost:5173/callback"`}}},
	{vite, "dev-mode-fixed", []edit{{"src/main.tsx", "redirectUri={redirectUri}", "redirectUri={redirectUri} devMode"}}},
	{next, "next-ensure-signed-in-in-page", []edit{{"app/page.tsx", "await withAuth()", "await withAuth({ ensureSignedIn: true })"}}},
	{monorepo, "runner-strips-variables", []edit{{"packages/backend/package.json", `"dev": "convex dev"`, `"dev": "convex dev", "build": "convex deploy --cmd 'npm run build -w @monorepo/web'"`}}},
	{vite, "build-without-convex-deploy", []edit{{"vercel.json", "{", `{"buildCommand": "npm run build",`}}},
	{vite, "two-lock-files", []edit{{"package-lock.json", "", "{}"}, {"pnpm-lock.yaml", "", ""}}},
}

func TestEachBrokenAppGivesItsCodeFirst(t *testing.T) {
	for _, b := range brokenApps {
		t.Run(b.app+" "+b.code, func(t *testing.T) {
			root := copyApp(t, b.app)
			for _, e := range b.edits {
				e.apply(t, root)
			}
			r := examine(t, root)
			if len(r.Findings) == 0 || r.Findings[0].Code != b.code {
				t.Errorf("findings = %+v, want %s first", r.Findings, b.code)
			}
			for _, f := range r.Findings {
				if f.Seen == "" {
					t.Errorf("%s has no evidence", f.Code)
				}
			}
		})
	}
}

func TestTheExamplesAreClean(t *testing.T) {
	for _, app := range []string{vite, next, monorepo} {
		if r := examine(t, copyApp(t, app)); len(r.Findings) > 0 || !slices.ContainsFunc(r.Skipped, func(s Skipped) bool { return strings.Contains(s.Reason, "not known") }) {
			t.Errorf("%s: findings %+v, skipped %+v, want none", app, r.Findings, r.Skipped)
		}
	}
}
