package host

import (
	"regexp"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Branches that look alike to people, DNS or file systems stay apart (R57).
func TestDeploymentKeysNeverCollide(t *testing.T) {
	branches := []string{
		"feature/login", "feature-login", "Feature-Login", "feature_login", "feature login", "feature--login", "-feature-login", "feature-login-", "feature/login/",
		"FEATURE/LOGIN", "main", "Main", "MAIN", "prod", "dev", "é", "e\u0301", "e", "🚀", "🚀🚀", "日本語", "x", "X", "--", "-", "/", ":", "a:b", "a/b", "a.b",
		strings.Repeat("a", 39), strings.Repeat("a", 40), strings.Repeat("a", 41), strings.Repeat("a", 255), strings.Repeat("a", 254) + "b",
		strings.Repeat("é", 127), "\xff", "\xfe", "\ufffd",
	}
	for _, b := range append([]string(nil), branches...) {
		branches = append(branches, Slug(b)+"-", Slug(b)+"--", "fork:"+b)
	}
	shape := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?:(prod|(preview|dev):[a-z0-9]([a-z0-9-]*[a-z0-9])?)$`)
	seen, distinct := map[string]string{}, map[string]bool{}
	for _, project := range []string{"prj_1", "prj-1", "PRJ-1"} {
		for _, kind := range []Kind{Prod, Preview, Dev} {
			for _, branch := range branches {
				id := project + "\x00" + string(kind)
				if kind != Prod {
					id += "\x00" + branch
				}
				key, err := DeploymentKey(project, kind, branch)
				if err != nil {
					t.Fatalf("DeploymentKey(%q, %s, %q) = %v", project, kind, branch, err)
				}
				if other, ok := seen[key]; ok && other != id {
					t.Errorf("DeploymentKey = %q for %q and %q, want two keys", key, other, id)
				}
				seen[key] = id
				distinct[id] = true
				if !shape.MatchString(key) || len(key) > 140 {
					t.Errorf("DeploymentKey(%q, %s, %q) = %q, want lower-case letters, digits and hyphens, at most 140 bytes", project, kind, branch, key)
				}
			}
		}
	}
	if len(seen) != len(distinct) {
		t.Errorf("%d keys for %d deployments, want as many", len(seen), len(distinct))
	}
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"main":                    "main",
		"feature-login":           "feature-login",
		"v2":                      "v2",
		strings.Repeat("a", 40):   strings.Repeat("a", 40),
		"feature/login":           "feature-login--",
		"Feature-Login":           "feature-login--",
		"🚀":                       "x--",
		"":                        "x--",
		strings.Repeat("ab/", 85): strings.TrimSuffix(strings.Repeat("ab-", 14)[:40], "-") + "--",
	} {
		got := Slug(name)
		if strings.HasSuffix(want, "--") {
			if rest, ok := strings.CutPrefix(got, want); !ok || len(rest) != 20 || len(got) > 63 {
				t.Errorf("Slug(%q) = %q, want %q and 20 characters", name, got, want)
			}
		} else if got != want {
			t.Errorf("Slug(%q) = %q, want %q", name, got, want)
		}
	}
	// The key of a branch must stay what it is: environments are found by it.
	if got, want := Slug("feature/login"), "feature-login--"+digest("feature/login"); got != want {
		t.Errorf("Slug = %q, want %q", got, want)
	}
}

func FuzzSlug(f *testing.F) {
	f.Add("feature/login", "feature-login")
	f.Add("feature-login--0123456789abcdefghij", "Feature-Login")
	f.Add("🚀", "\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Slug(a), Slug(b)
		if (x == y) != (a == b) {
			t.Fatalf("Slug(%q) = %q, Slug(%q) = %q", a, x, b, y)
		}
		if !plainHost(x) || strings.ContainsAny(x, "._") || x[0] == '-' || x[len(x)-1] == '-' {
			t.Fatalf("Slug(%q) = %q, which is no DNS label", a, x)
		}
	})
}

func TestDeploymentKeyRefuses(t *testing.T) {
	for _, c := range []struct {
		project string
		kind    Kind
		name    string
	}{{"", Prod, ""}, {"p", Preview, ""}, {"p", Dev, ""}, {"p", "staging", "x"}, {"p", "", "x"}} {
		if key, err := DeploymentKey(c.project, c.kind, c.name); !fault.Is(err, fault.Invalid) {
			t.Errorf("DeploymentKey(%q, %q, %q) = %q, %v, want invalid", c.project, c.kind, c.name, key, err)
		}
	}
}

// Two machines, or two worktrees of one, are two developers' deployments (R49).
func TestWorktreeID(t *testing.T) {
	id := func(machine, root string) string {
		t.Helper()
		got, err := WorktreeID(machine, root)
		if err != nil {
			t.Fatalf("WorktreeID(%q, %q) = %v", machine, root, err)
		}
		return got
	}
	a := id("machine-a", "/src/ann/web")
	if a != id("machine-a", "/src/ann/web/") {
		t.Error("WorktreeID differs by a trailing slash")
	}
	if a == id("machine-b", "/src/ann/web") || a == id("machine-a", "/src/ann/web2") {
		t.Error("WorktreeID is the same for another machine or worktree")
	}
	if strings.Contains(a, "ann") && strings.Contains(a, "web") || Slug(a) != a {
		t.Errorf("WorktreeID = %q, want a slug that does not show the path", a)
	}
	for _, bad := range [][2]string{{"", "/src"}, {"m", "home"}, {"m", ""}, {"m\x00", "/src"}} {
		if got, err := WorktreeID(bad[0], bad[1]); !fault.Is(err, fault.Invalid) {
			t.Errorf("WorktreeID(%q, %q) = %q, %v, want invalid", bad[0], bad[1], got, err)
		}
	}
}

func TestAliases(t *testing.T) {
	for branch, want := range map[string]string{
		"feature/Login":                    "feature-login",
		"main":                             "main",
		"a_b.c":                            "a-b-c",
		"a--b":                             "a--b",
		strings.Repeat("a", 28):            strings.Repeat("a", 28),
		strings.Repeat("a", 29):            strings.Repeat("a", 28) + "?",
		"feature/twenty-eight-chars/-rest": "feature-twenty-eight-chars?",
		"/x/":                              "x?",
		"🚀":                                "?",
		"":                                 "",
	} {
		got, guess := PagesAlias(branch)
		if guess {
			got += "?"
		}
		if got != want {
			t.Errorf("PagesAlias(%q) = %q, want %q", branch, got, want)
		}
	}
	long := "feature/" + strings.Repeat("long-", 20)
	for _, c := range []struct{ branch, worker, want string }{
		{"feature/Login", "web", "feature-login"},
		{"a__b--c", "web", "a-b-c"},
		{"-x-", "web", "x"},
		{"123-fix", "web", ""},
		{"🚀", "web", ""},
		{"main", strings.Repeat("w", 62), ""},
	} {
		if got := WorkersAlias(c.branch, c.worker); got != c.want {
			t.Errorf("WorkersAlias(%q, %q) = %q, want %q", c.branch, c.worker, got, c.want)
		}
	}
	got := WorkersAlias(long, "web")
	if len(got)+len("-web") != 63 || !regexp.MustCompile(`^feature-long-.*-[0-9a-f]{4}$`).MatchString(got) || got == WorkersAlias(long+"x", "web") {
		t.Errorf("WorkersAlias(long) = %q, want 59 characters that end in 4 hexadecimal digits of its own", got)
	}
}

func TestKeyType(t *testing.T) {
	for key, want := range map[string]string{
		"prod:calm-fox-701|s":          KeyProd,
		"dev:calm-fox-701|s":           KeyDev,
		"preview:acme:web|s":           KeyPreview,
		"preview:calm-fox-701|s":       KeyPreviewDeployment,
		"project:acme:web|s":           KeyProject,
		"custom:calm-fox-701|s":        KeyCustom,
		"staging:calm-fox-701|s":       KeyCustom,
		"calm-fox-701|s":               KeyProd,
		" preview:acme:web|s:with:s ":  KeyPreview,
		"calm-fox-701|s:preview:a:b|c": KeyProd,
		"":                             "",
		"nonsense":                     "",
		"<ignore_deploy_key>":          "",
	} {
		if got := KeyType(secret.String(key)); got != want {
			t.Errorf("KeyType(%q) = %q, want %q", key, got, want)
		}
	}
}

// R82: the wrong kind is named, with the place of the right one.
func TestCheckDeployKey(t *testing.T) {
	allowed := map[Kind][]string{
		Prod:    {"", KeyProd, KeyProject},
		Preview: {"", KeyPreview, KeyPreviewDeployment},
		Dev:     {"", KeyDev, KeyProject},
	}
	hosts := []Host{Vercel, Netlify, CloudflarePages, CloudflareWorkers, GitHubActions, Render, Railway, Fly, CI, None}
	for kind, good := range allowed {
		for _, h := range hosts {
			for _, keyType := range []string{"", KeyProd, KeyDev, KeyPreview, KeyPreviewDeployment, KeyProject, KeyCustom, "other"} {
				err := CheckDeployKey(&Build{Host: h, Kind: kind, KindFrom: "a variable"}, keyType)
				want := false
				for _, g := range good {
					want = want || g == keyType
				}
				if (err == nil) != want {
					t.Errorf("CheckDeployKey(%s %s, %q) = %v, want accepted %v", h, kind, keyType, err, want)
				}
				if err != nil && (fault.Code(err) != "wrong_deploy_key" || !strings.Contains(fault.From(err).Fix, "deploy key in the Convex dashboard and set it in ")) {
					t.Errorf("CheckDeployKey(%s %s, %q) = %v with fix %q, want the place to set the right key", h, kind, keyType, err, fault.From(err).Fix)
				}
			}
		}
	}
	err := CheckDeployKey(&Build{Host: Vercel, Kind: Preview, KindFrom: "VERCEL_ENV is preview"}, KeyProd)
	if got, want := err.Error(), "CONVEX_DEPLOY_KEY is a production deploy key in a preview build (VERCEL_ENV is preview)"; got != want {
		t.Errorf("CheckDeployKey = %q, want %q", got, want)
	}
	if fix := fault.From(err).Fix; !strings.Contains(fix, "environment Preview only") {
		t.Errorf("CheckDeployKey: fix %q, want Vercel's Preview environment", fix)
	}
}

func TestHandOverSaysTheTruth(t *testing.T) {
	hosts := []Host{Vercel, Netlify, CloudflarePages, CloudflareWorkers, GitHubActions, Render, Railway, Fly, CI, None}
	frameworks := []string{"", FrameworkNext, FrameworkVite, FrameworkTanStackStart, FrameworkSvelteKit, FrameworkReactRouter, FrameworkExpo}
	for _, h := range hosts {
		for _, framework := range frameworks {
			ho := HandOverFor(h, framework)
			browserOnly := framework == FrameworkVite || framework == FrameworkExpo
			if want := h == None || browserOnly; ho.Complete != want {
				t.Errorf("HandOverFor(%s, %s).Complete = %v, want %v", h, framework, ho.Complete, want)
			}
			if !ho.Complete && (ho.Advice == "" || !strings.Contains(ho.Sentence, " not")) {
				t.Errorf("HandOverFor(%s, %s) = %q, %q, want what is missing and advice", h, framework, ho.Sentence, ho.Advice)
			}
			if len(ho.Now) == 0 || ho.RunTime == "" || !strings.HasSuffix(ho.Sentence, ".") {
				t.Errorf("HandOverFor(%s, %s) = %+v, want channels and a sentence", h, framework, ho)
			}
		}
	}
	if got := HandOverFor(Vercel, FrameworkReactRouter).RunTime; got != ServerModule {
		t.Errorf("HandOverFor(vercel, react-router).RunTime = %s, want %s", got, ServerModule)
	}
}

func TestConvexSees(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want ConvexView
	}{
		{"Vercel preview", vercel, ConvexView{"feature/login", true, false}},
		{"Vercel production", with(vercel, "VERCEL_ENV", "production"), ConvexView{"feature/login", true, true}},
		{"vercel build elsewhere", map[string]string{"VERCEL": "1"}, ConvexView{}},
		{"Netlify", netlify, ConvexView{"feature/login", true, false}},
		{"Pages", pages, ConvexView{"feature/Login", true, false}},
		{"Workers on main", with(workers, "WORKERS_CI_BRANCH", "main"), ConvexView{"main", true, true}},
		{"GitHub pull request", pull, ConvexView{"feature/login", true, true}},
		{"GitHub push has an empty name", push, ConvexView{"", true, true}},
		{"GitLab", gitlab, ConvexView{"feature/login", true, true}},
		{"Render", map[string]string{"RENDER": "true", "RENDER_GIT_BRANCH": "x"}, ConvexView{"", false, true}},
	} {
		if got := ConvexSees(variables(c.env)); got != c.want {
			t.Errorf("%s: ConvexSees = %+v, want %+v", c.name, got, c.want)
		}
	}
	if got := (&Build{Kind: Preview, Branch: "feature/Login"}).PreviewName(); got != "feature/Login" {
		t.Errorf("PreviewName = %q, want the raw branch", got)
	}
	if got := (&Build{Kind: Prod, Branch: "main"}).PreviewName(); got != "" {
		t.Errorf("PreviewName of production = %q, want none", got)
	}
}
