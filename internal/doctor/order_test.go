package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// applies reports whether all edits can be made in another app than the one they
// were written for: the texts they replace are there.
func applies(t testing.TB, root string, edits []edit) bool {
	t.Helper()
	made := map[string]string{} // files as the edits before left them
	for _, e := range edits {
		text, known := made[e.file]
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
		if !known {
			text = string(data)
		}
		switch {
		case e.from == "":
			// A file that is written whole stands for one of the other app's, or for
			// a new one in a folder that there is.
			if _, err := os.Stat(filepath.Dir(filepath.Join(root, filepath.FromSlash(e.file)))); err != nil {
				return false
			}
			made[e.file] = e.to
		case err != nil && !known:
			return false
		case e.from == "*":
			made[e.file] = ""
		case !strings.Contains(text, e.from):
			return false
		default:
			made[e.file] = strings.Replace(text, e.from, e.to, 1)
		}
	}
	return true
}

// transposed gives edits of a plain app as edits of the monorepo.
func transposed(edits []edit) []edit {
	list := make([]edit, len(edits))
	for i, e := range edits {
		switch {
		case strings.HasPrefix(e.file, "convex"):
			e.file = "packages/backend/" + e.file
		case e.file != "turbo.json" && !strings.HasPrefix(e.file, "packages/"):
			e.file = "apps/web/" + e.file
		}
		list[i] = e
	}
	return list
}

// TestTheRightCodeIsFirst breaks one thing at a time in each of the three example
// apps, wherever it can be broken there.
func TestTheRightCodeIsFirst(t *testing.T) {
	cases, right := 0, 0
	inApp := map[string]int{}
	for _, app := range []string{vite, next, monorepo} {
		for _, b := range brokenApps {
			edits := b.edits
			if app == monorepo && b.app == vite {
				edits = transposed(edits)
			}
			if app == next && b.app == vite && ofVite(b) {
				continue
			}
			root := copyApp(t, app)
			if !applies(t, root, edits) {
				continue
			}
			for _, e := range edits {
				e.apply(t, root)
			}
			cases++
			inApp[app]++
			if r := examine(t, root); len(r.Findings) > 0 && r.Findings[0].Code == b.code {
				right++
			} else {
				t.Errorf("%s with %s: findings = %+v, want it first", app, b.code, r.Findings)
			}
		}
	}
	if cases < 70 || right*100 < cases*99 {
		t.Errorf("the right code was first in %d of %d cases, want at least 99 %% of at least 70", right, cases)
	}
	t.Logf("the right code was first in %d of %d cases: %v", right, cases, inApp)
}

// ofVite reports whether edits are about something that a Next.js app does not
// have: variables by Vite's names, the browser's own AuthKit package.
func ofVite(b broken) bool {
	for _, e := range b.edits {
		if strings.HasSuffix(e.file, ".env.local") && strings.Contains(e.to, "VITE_") || b.code == otherAdapter {
			return true
		}
	}
	return false
}

// cleanEdits are changes that are right, and look like something that is not.
var cleanEdits = map[string]broken{
	"pages behind a guarded middleware": {app: next, edits: []edit{{"app/page.tsx", "await withAuth()", "await withAuth({ ensureSignedIn: true })"},
		{"proxy.ts", "authkitMiddleware({ redirectUri: redirectUri(request) })", "authkitMiddleware({ redirectUri: redirectUri(request), middlewareAuth: { enabled: true, unauthenticatedPaths: [] } })"}}},
	"a route that begins the sign-in": {app: next, edits: []edit{{"app/account/route.ts", "", "import { withAuth } from \"@workos-inc/authkit-nextjs\";\nexport const GET = async () => Response.json(await withAuth({ ensureSignedIn: true }));\n"}}},
	"a test with an address":          {app: vite, edits: []edit{{"src/client.test.ts", "", "import { ConvexReactClient } from \"convex/react\";\nexport const c = new ConvexReactClient(\"https://x.convex.cloud\");\n"}}},
	"a build that pushes by a script": {app: vite, edits: []edit{{"vercel.json", "{", `{"buildCommand": "npm run deploy",`}, {"package.json", `"dev": "vite",`, `"dev": "vite", "deploy": "npx convex deploy --cmd 'npm run build'",`}}},
	"a build by berth":                {app: vite, edits: []edit{{"vercel.json", "{", `{"buildCommand": "npx berth deploy -- npm run build",`}}},
	"a build by another runner":       {app: vite, edits: []edit{{"vercel.json", "{", `{"buildCommand": "make build",`}}},
	"a task with the variables":       {app: monorepo, edits: []edit{{"packages/backend/package.json", `"dev": "convex dev"`, `"build": "convex deploy"`}, {"turbo.json", `"VITE_*"`, `"VITE_*", "CONVEX_*"`}}},
	"a package with its own turbo.json": {app: monorepo, edits: []edit{{"packages/backend/package.json", `"dev": "convex dev"`, `"build": "convex deploy"`},
		{"packages/backend/turbo.json", "", "{\"extends\": [\"//\"], // ours\n\"tasks\": {\"build\": {\"passThroughEnv\": [\"CONVEX_DEPLOY_KEY\"]}}}"}}},
	"a runner that keeps nothing back": {app: monorepo, edits: []edit{{"packages/backend/package.json", `"dev": "convex dev"`, `"build": "convex deploy"`}, {"turbo.json", `"tasks"`, `"envMode": "loose", "tasks"`}}},
	"two lock files of one manager":    {app: vite, edits: []edit{{"bun.lock", "", ""}, {"bun.lockb", "", ""}}},
}

func TestWhatIsRightGivesNoFinding(t *testing.T) {
	for name, c := range cleanEdits {
		t.Run(name, func(t *testing.T) {
			root := copyApp(t, c.app)
			for _, e := range c.edits {
				e.apply(t, root)
			}
			if r := examine(t, root); len(r.Findings) > 0 {
				t.Errorf("findings = %+v, want none", r.Findings)
			}
		})
	}
}
