package host

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

func variables(env map[string]string) Lookup {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func with(base map[string]string, pairs ...string) map[string]string {
	env := map[string]string{}
	for k, v := range base {
		env[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return env
}

func without(base map[string]string, names ...string) map[string]string {
	env := with(base)
	for _, name := range names {
		delete(env, name)
	}
	return env
}

var (
	vercel = map[string]string{
		"VERCEL": "1", "CI": "1", "VERCEL_ENV": "preview", "VERCEL_TARGET_ENV": "preview",
		"VERCEL_GIT_COMMIT_REF": "feature/login", "VERCEL_GIT_COMMIT_SHA": "fa1eade47b73733d6312d5abfad33ce9e4068081", "VERCEL_GIT_PULL_REQUEST_ID": "23",
		"VERCEL_URL": "web-x1y2z3a4b-acme.vercel.app", "VERCEL_BRANCH_URL": "web-git-feature-login-acme.vercel.app",
		"VERCEL_PROJECT_PRODUCTION_URL": "www.example.com", "VERCEL_PROJECT_ID": "prj_1", "VERCEL_DEPLOYMENT_ID": "dpl_1",
	}
	netlify = map[string]string{
		"NETLIFY": "true", "CI": "true", "CONTEXT": "deploy-preview", "HEAD": "feature/login", "BRANCH": "pull/42/head", "COMMIT_REF": "abc123",
		"PULL_REQUEST": "true", "REVIEW_ID": "42", "SITE_ID": "site-1", "DEPLOY_ID": "0123456789abcdef01234567",
		"DEPLOY_URL": "https://0123456789abcdef01234567--acme.netlify.app", "DEPLOY_PRIME_URL": "https://deploy-preview-42--acme.netlify.app",
		"URL": "https://www.example.com",
	}
	pages = map[string]string{
		"CF_PAGES": "1", "CF_PAGES_BRANCH": "feature/Login", "CF_PAGES_COMMIT_SHA": "abc123", "CF_PAGES_URL": "https://0a1b2c3d.acme.pages.dev",
	}
	workers = map[string]string{
		"WORKERS_CI": "1", "CI": "true", "WORKERS_CI_BRANCH": "feature/login", "WORKERS_CI_COMMIT_SHA": "abc123", "WORKERS_CI_BUILD_UUID": "uuid-1",
	}
	pull = map[string]string{
		"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_HEAD_REF": "feature/login", "GITHUB_BASE_REF": "main",
		"GITHUB_REF": "refs/pull/42/merge", "GITHUB_REF_NAME": "42/merge", "GITHUB_REF_TYPE": "branch", "GITHUB_SHA": "merge000",
		"GITHUB_REPOSITORY_ID": "77", "GITHUB_RUN_ID": "9", "GITHUB_EVENT_PATH": "/event.json",
	}
	push = map[string]string{
		"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_HEAD_REF": "", "GITHUB_REF": "refs/heads/feature/login",
		"GITHUB_REF_NAME": "feature/login", "GITHUB_REF_TYPE": "branch", "GITHUB_SHA": "abc123", "GITHUB_REPOSITORY_ID": "77", "GITHUB_EVENT_PATH": "/event.json",
	}
	gitlab = map[string]string{
		"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_REF_NAME": "feature/login", "CI_COMMIT_BRANCH": "feature/login", "CI_COMMIT_SHA": "abc123", "CI_PROJECT_ID": "5",
	}
)

const (
	pullEvent = `{"action":"synchronize","number":42,"pull_request":{"number":42,
		"head":{"ref":"feature/login","sha":"head000","repo":{"id":77,"full_name":"acme/web"}},
		"base":{"ref":"main","sha":"base000","repo":{"id":77,"full_name":"acme/web"}}},"repository":{"default_branch":"main"}}`
	pushEvent = `{"ref":"refs/heads/feature/login","repository":{"default_branch":"main"}}`
)

func file(text string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if name != "/event.json" {
			return nil, errors.New("no such file")
		}
		return []byte(text), nil
	}
}

// What each platform's own variables give (R62: every host of a preview).
func TestDetect(t *testing.T) {
	type want struct {
		Host       Host
		Kind       Kind
		Branch     string
		Commit     string
		PR         int
		Project    string
		Callbacks  []string
		Stable     string
		Production string
		Codes      []string // of warnings
	}
	vercelHosts := []string{"https://web-git-feature-login-acme.vercel.app", "https://web-x1y2z3a4b-acme.vercel.app"}
	netlifyHosts := []string{netlify["DEPLOY_PRIME_URL"], netlify["DEPLOY_URL"]}
	cases := []struct {
		name string
		env  map[string]string
		o    Options
		want want
	}{
		{"a Vercel preview registers commit and branch host, never production", vercel, Options{},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts, vercelHosts[0], "https://www.example.com", nil}},
		{"a Vercel branch that was deployed before its pull request has no number", with(vercel, "VERCEL_GIT_PULL_REQUEST_ID", ""), Options{},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 0, "prj_1", vercelHosts, vercelHosts[0], "https://www.example.com", nil}},
		{"Vercel production registers all three", with(vercel, "VERCEL_ENV", "production", "VERCEL_GIT_COMMIT_REF", "main", "VERCEL_GIT_PULL_REQUEST_ID", ""), Options{},
			want{Vercel, Prod, "main", vercel["VERCEL_GIT_COMMIT_SHA"], 0, "prj_1", append(slices.Clone(vercelHosts), "https://www.example.com"), "https://www.example.com", "https://www.example.com", nil}},
		{"the first deployment on Vercel is production whatever its branch", with(vercel, "VERCEL_ENV", "production"), Options{},
			want{Vercel, Prod, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", append(slices.Clone(vercelHosts), "https://www.example.com"), "https://www.example.com", "https://www.example.com", []string{"unusual_production_branch"}}},
		{"a custom environment on Vercel is a preview", with(vercel, "VERCEL_TARGET_ENV", "staging"), Options{},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts, vercelHosts[0], "https://www.example.com", []string{"custom_environment"}}},
		{"an unknown VERCEL_ENV is a preview", with(vercel, "VERCEL_ENV", "staging"), Options{},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts, vercelHosts[0], "https://www.example.com", nil}},
		{"a Vercel deployment by command line has no branch host", without(vercel, "VERCEL_BRANCH_URL"), Options{},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts[1:], vercelHosts[1], "https://www.example.com", []string{"no_branch_url"}}},
		{"a branch host that is the production host is not registered", with(vercel, "VERCEL_BRANCH_URL", "WWW.example.com"), Options{},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts[1:], vercelHosts[1], "https://www.example.com", nil}},
		{"--url is added and becomes the stable one", vercel, Options{URLs: []string{"https://Login.preview.example.com/"}},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", append(slices.Clone(vercelHosts), "https://login.preview.example.com"), "https://login.preview.example.com", "https://www.example.com", nil}},
		{"--branch replaces the branch and says so", vercel, Options{Branch: "other"},
			want{Vercel, Preview, "other", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts, vercelHosts[0], "https://www.example.com", []string{"branch_overridden", "convex_preview_name"}}},
		{"--kind preview may lower a production build", with(vercel, "VERCEL_ENV", "production"), Options{Kind: Preview},
			want{Vercel, Preview, "feature/login", vercel["VERCEL_GIT_COMMIT_SHA"], 23, "prj_1", vercelHosts, vercelHosts[0], "https://www.example.com", []string{"unusual_production_branch", "kind_overridden"}}},
		{"vercel build on GitHub Actions is GitHub Actions", with(pull, "VERCEL", "1"), Options{ReadFile: file(pullEvent)},
			want{GitHubActions, Preview, "feature/login", "head000", 42, "77", nil, "", "", []string{"vercel_build_elsewhere", "no_urls", "convex_preview_name"}}},
		{"vercel build on GitLab is GitLab", with(gitlab, "VERCEL", "1", "CI_MERGE_REQUEST_IID", "7"), Options{URLs: []string{"https://a.example.com"}},
			want{CI, Preview, "feature/login", "abc123", 7, "5", []string{"https://a.example.com"}, "https://a.example.com", "", []string{"vercel_build_elsewhere", "convex_preview_name"}}},

		{"a Netlify deploy preview takes HEAD, not BRANCH", netlify, Options{},
			want{Netlify, Preview, "feature/login", "abc123", 42, "site-1", netlifyHosts, netlifyHosts[0], "https://www.example.com", nil}},
		{"a Netlify branch deploy", with(netlify, "CONTEXT", "branch-deploy", "PULL_REQUEST", "false", "BRANCH", "feature/login", "DEPLOY_PRIME_URL", "https://feature-login--acme.netlify.app"), Options{},
			want{Netlify, Preview, "feature/login", "abc123", 0, "site-1", []string{"https://feature-login--acme.netlify.app", netlifyHosts[1]}, "https://feature-login--acme.netlify.app", "https://www.example.com", nil}},
		{"Netlify without HEAD falls back to BRANCH", with(without(netlify, "HEAD"), "BRANCH", "feature/login"), Options{},
			want{Netlify, Preview, "feature/login", "abc123", 42, "site-1", netlifyHosts, netlifyHosts[0], "https://www.example.com", []string{"convex_preview_name"}}},
		{"Netlify production", with(netlify, "CONTEXT", "production", "HEAD", "main", "PULL_REQUEST", "false", "DEPLOY_PRIME_URL", "https://www.example.com"), Options{},
			want{Netlify, Prod, "main", "abc123", 0, "site-1", []string{"https://www.example.com", netlifyHosts[1]}, "https://www.example.com", "https://www.example.com", nil}},
		{"netlify dev on a laptop registers no local server of Netlify", map[string]string{"NETLIFY": "true", "CONTEXT": "dev", "URL": "http://localhost:8888"}, Options{},
			want{Netlify, Dev, "", "", 0, "", nil, "", "", []string{"no_urls"}}},

		{"Cloudflare Pages needs to be told the production branch", pages, Options{ProductionBranch: "main"},
			want{CloudflarePages, Preview, "feature/Login", "abc123", 0, "acme", []string{"https://0a1b2c3d.acme.pages.dev", "https://feature-login.acme.pages.dev"}, "https://feature-login.acme.pages.dev", "https://acme.pages.dev", nil}},
		{"a long Pages branch host is a guess and not the stable one", with(pages, "CF_PAGES_BRANCH", "feature/a-very-long-branch-name-indeed"), Options{ProductionBranch: "main"},
			want{CloudflarePages, Preview, "feature/a-very-long-branch-name-indeed", "abc123", 0, "acme", []string{"https://0a1b2c3d.acme.pages.dev", "https://feature-a-very-long-branch-n.acme.pages.dev"}, "https://0a1b2c3d.acme.pages.dev", "https://acme.pages.dev", []string{"pages_alias"}}},
		{"a Pages production branch that is not main", with(pages, "CF_PAGES_BRANCH", "master"), Options{ProductionBranch: "master"},
			want{CloudflarePages, Prod, "master", "abc123", 0, "acme", []string{"https://0a1b2c3d.acme.pages.dev", "https://acme.pages.dev", "https://master.acme.pages.dev"}, "https://acme.pages.dev", "https://acme.pages.dev", []string{"convex_not_production"}}},
		{"a Pages preview of main", with(pages, "CF_PAGES_BRANCH", "main"), Options{ProductionBranch: "release"},
			want{CloudflarePages, Preview, "main", "abc123", 0, "acme", []string{"https://0a1b2c3d.acme.pages.dev", "https://main.acme.pages.dev"}, "https://main.acme.pages.dev", "https://acme.pages.dev", []string{"convex_production"}}},
		{"Workers Builds knows no address", workers, Options{ProductionBranch: "main"},
			want{CloudflareWorkers, Preview, "feature/login", "abc123", 0, "", nil, "", "", []string{"no_urls"}}},

		{"a GitHub pull request takes the head commit", pull, Options{ReadFile: file(pullEvent), URLs: []string{"https://a.example.com"}},
			want{GitHubActions, Preview, "feature/login", "head000", 42, "77", []string{"https://a.example.com"}, "https://a.example.com", "", nil}},
		{"without the event file the merge commit is all there is", pull, Options{URLs: []string{"https://a.example.com"}},
			want{GitHubActions, Preview, "feature/login", "merge000", 42, "77", []string{"https://a.example.com"}, "https://a.example.com", "", []string{"merge_commit"}}},
		{"an empty GITHUB_HEAD_REF is no name", with(pull, "GITHUB_HEAD_REF", ""), Options{ReadFile: file(pullEvent), URLs: []string{"https://a.example.com"}},
			want{GitHubActions, Preview, "feature/login", "head000", 42, "77", []string{"https://a.example.com"}, "https://a.example.com", "", []string{"convex_preview_name"}}},
		{"a merged pull request has the base branch as reference", with(pull, "GITHUB_REF", "refs/heads/main"), Options{ReadFile: file(strings.Replace(pullEvent, "synchronize", "closed", 1)), URLs: []string{"https://a.example.com"}},
			want{GitHubActions, Preview, "feature/login", "head000", 42, "77", []string{"https://a.example.com"}, "https://a.example.com", "", []string{"pull_request_closed"}}},
		{"a push to a branch is a preview", push, Options{ReadFile: file(pushEvent), URLs: []string{"https://a.example.com"}},
			want{GitHubActions, Preview, "feature/login", "abc123", 0, "77", []string{"https://a.example.com"}, "https://a.example.com", "", []string{"convex_preview_name"}}},
		{"a push to the named production branch is production", with(push, "GITHUB_REF", "refs/heads/main", "GITHUB_REF_NAME", "main"), Options{ReadFile: file(pushEvent), ProductionBranch: "main", URLs: []string{"https://www.example.com"}},
			want{GitHubActions, Prod, "main", "abc123", 0, "77", []string{"https://www.example.com"}, "https://www.example.com", "", nil}},
		{"a merge queue is a preview", with(push, "GITHUB_EVENT_NAME", "merge_group", "GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-1-abc"), Options{URLs: []string{"https://a.example.com"}},
			want{GitHubActions, Preview, "gh-readonly-queue/main/pr-1-abc", "abc123", 0, "77", []string{"https://a.example.com"}, "https://a.example.com", "", []string{"convex_preview_name"}}},

		{"a Render pull request", map[string]string{"RENDER": "true", "IS_PULL_REQUEST": "true", "RENDER_GIT_BRANCH": "feature/login", "RENDER_GIT_COMMIT": "abc123", "RENDER_EXTERNAL_URL": "https://web-pr-3.onrender.com"}, Options{},
			want{Render, Preview, "feature/login", "abc123", 0, "", []string{"https://web-pr-3.onrender.com"}, "https://web-pr-3.onrender.com", "", []string{"convex_preview_name"}}},
		{"a Render service named production", map[string]string{"RENDER": "true", "IS_PULL_REQUEST": "false", "RENDER_GIT_BRANCH": "main", "RENDER_EXTERNAL_HOSTNAME": "web.onrender.com"}, Options{ProductionBranch: "main"},
			want{Render, Prod, "main", "", 0, "", []string{"https://web.onrender.com"}, "https://web.onrender.com", "https://web.onrender.com", nil}},
		{"a Railway pull request environment", map[string]string{"RAILWAY_PROJECT_ID": "p", "RAILWAY_ENVIRONMENT_NAME": "web-pr-12", "RAILWAY_GIT_BRANCH": "feature/login", "RAILWAY_GIT_COMMIT_SHA": "abc123", "RAILWAY_PUBLIC_DOMAIN": "web-pr-12.up.railway.app"}, Options{},
			want{Railway, Preview, "feature/login", "abc123", 12, "p", []string{"https://web-pr-12.up.railway.app"}, "https://web-pr-12.up.railway.app", "", []string{"convex_preview_name"}}},
		{"Railway production", map[string]string{"RAILWAY_PROJECT_ID": "p", "RAILWAY_ENVIRONMENT_NAME": "production", "RAILWAY_PUBLIC_DOMAIN": "web.up.railway.app"}, Options{},
			want{Railway, Prod, "", "", 0, "p", []string{"https://web.up.railway.app"}, "https://web.up.railway.app", "https://web.up.railway.app", nil}},
		{"a Fly review app", map[string]string{"FLY_APP_NAME": "pr-8-acme-web"}, Options{Branch: "feature/login"},
			want{Fly, Preview, "feature/login", "", 8, "", []string{"https://pr-8-acme-web.fly.dev"}, "https://pr-8-acme-web.fly.dev", "", []string{"convex_preview_name"}}},
		{"a GitLab merge request", with(gitlab, "CI_MERGE_REQUEST_IID", "7", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "feature/login"), Options{URLs: []string{"https://a.example.com"}},
			want{CI, Preview, "feature/login", "abc123", 7, "5", []string{"https://a.example.com"}, "https://a.example.com", "", nil}},
		{"a developer's machine", map[string]string{"TERM": "xterm"}, Options{},
			want{None, Dev, "", "", 0, "", nil, "", "", nil}},
		{"a production deployment from a developer's machine", nil, Options{Kind: Prod, URLs: []string{"https://www.example.com"}},
			want{None, Prod, "", "", 0, "", []string{"https://www.example.com"}, "https://www.example.com", "", nil}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b, err := Detect(variables(c.env), c.o)
			if err != nil {
				t.Fatalf("Detect = %v (fix: %s)", err, fault.From(err).Fix)
			}
			var codes []string
			for _, w := range b.Warnings {
				codes = append(codes, w.Code)
			}
			got := want{b.Host, b.Kind, b.Branch, b.Commit, b.PullRequest, b.ProjectID, b.CallbackOrigins(), b.StableOrigin(), b.ProductionOrigin(), codes}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Detect (-want +got):\n%s", diff)
			}
			if b.KindFrom == "" {
				t.Error("Detect says not how the kind was decided")
			}
		})
	}
}

func TestDetectRefuses(t *testing.T) {
	cases := []struct {
		name string
		env  map[string]string
		o    Options
		kind fault.Kind
		fix  string // part of the fix
	}{
		{"VERCEL without VERCEL_ENV", map[string]string{"VERCEL": "1", "CI": "1"}, Options{}, fault.Invalid, "--kind"},
		{"VERCEL without VERCEL_ENV and a kind but no branch", map[string]string{"VERCEL": "1"}, Options{Kind: Preview}, fault.Invalid, "--branch"},
		{"VERCEL with an empty VERCEL_ENV", with(vercel, "VERCEL_ENV", ""), Options{}, fault.Invalid, "System Environment Variables"},
		{"a Vercel preview called production", vercel, Options{Kind: Prod}, fault.Conflict, "leave out --kind"},
		{"a Vercel preview without a branch", without(vercel, "VERCEL_GIT_COMMIT_REF"), Options{}, fault.Invalid, "--branch"},
		{"a preview with the production host as --url", vercel, Options{URLs: []string{"https://WWW.example.com:443/"}}, fault.Conflict, "this deployment"},
		{"production with http", with(vercel, "VERCEL_ENV", "production"), Options{URLs: []string{"http://www.example.com"}}, fault.Invalid, "https"},
		{"production on localhost", with(vercel, "VERCEL_ENV", "production"), Options{URLs: []string{"https://localhost:3000"}}, fault.Invalid, "https"},
		{"a --url with a path", vercel, Options{URLs: []string{"https://a.example.com/callback"}}, fault.Invalid, "without a path"},
		{"a --url with a user", vercel, Options{URLs: []string{"https://me@a.example.com"}}, fault.Invalid, "without a path"},
		{"a --url with a wildcard", vercel, Options{URLs: []string{"https://*.example.com"}}, fault.Invalid, "without a path"},
		{"an empty --url", vercel, Options{URLs: []string{""}}, fault.Invalid, "without a path"},
		{"a --url with another scheme", vercel, Options{URLs: []string{"ftp://a.example.com"}}, fault.Invalid, "without a path"},
		{"NETLIFY without CONTEXT", map[string]string{"NETLIFY": "true"}, Options{}, fault.Invalid, "--kind"},
		{"Netlify with the reference of a pull request only", without(netlify, "HEAD"), Options{}, fault.Invalid, "--branch"},
		{"Pages without a production branch", pages, Options{}, fault.NeedsPerson, "--production-branch"},
		{"Workers without a production branch", workers, Options{}, fault.NeedsPerson, "--production-branch"},
		{"a push to the default branch", with(push, "GITHUB_REF", "refs/heads/main", "GITHUB_REF_NAME", "main"), Options{ReadFile: file(pushEvent)}, fault.NeedsPerson, "--production-branch"},
		{"a push without its event file", push, Options{}, fault.NeedsPerson, "--production-branch"},
		{"a push of a tag", with(push, "GITHUB_REF", "refs/tags/v1", "GITHUB_REF_NAME", "v1", "GITHUB_REF_TYPE", "tag"), Options{ProductionBranch: "v1"}, fault.NeedsPerson, "--kind"},
		{"a workflow run, whose reference is the default branch", with(push, "GITHUB_EVENT_NAME", "workflow_run"), Options{ProductionBranch: "main"}, fault.NeedsPerson, "--kind"},
		{"a workflow run called a preview", with(push, "GITHUB_EVENT_NAME", "workflow_run"), Options{Kind: Preview}, fault.Invalid, "--branch"},
		{"a broken event file", pull, Options{ReadFile: file("{")}, fault.Invalid, "GITHUB_EVENT_PATH"},
		{"a GitHub pull request called production", pull, Options{Kind: Prod, ReadFile: file(pullEvent)}, fault.Conflict, "leave out --kind"},
		{"Render without a word on production", map[string]string{"RENDER": "true", "IS_PULL_REQUEST": "false", "RENDER_GIT_BRANCH": "main"}, Options{}, fault.NeedsPerson, "--production-branch"},
		{"a Railway environment of another name", map[string]string{"RAILWAY_PROJECT_ID": "p", "RAILWAY_ENVIRONMENT_NAME": "staging"}, Options{}, fault.NeedsPerson, "--kind"},
		{"a Fly app", map[string]string{"FLY_APP_NAME": "web"}, Options{}, fault.NeedsPerson, "--kind"},
		{"a plain CI", map[string]string{"CI": "true"}, Options{}, fault.NeedsPerson, "--kind"},
		{"a GitLab tag", with(without(gitlab, "CI_COMMIT_BRANCH"), "CI_COMMIT_TAG", "v1"), Options{ProductionBranch: "feature/login"}, fault.NeedsPerson, "--kind"},
		{"an unknown kind", vercel, Options{Kind: "staging"}, fault.Invalid, "dev, preview or prod"},
		{"a full reference as branch", vercel, Options{Branch: "refs/heads/x"}, fault.Invalid, "refs/heads/"},
		{"a branch with a space", vercel, Options{Branch: "a b"}, fault.Invalid, "git branch"},
		{"a branch with two dots", vercel, Options{Branch: "a..b"}, fault.Invalid, "git branch"},
		{"a branch with a line feed", vercel, Options{Branch: "a\nb"}, fault.Invalid, "git branch"},
		{"a branch like an option", vercel, Options{Branch: "-x"}, fault.Invalid, "git branch"},
		{"a branch that ends in .lock", vercel, Options{Branch: "a.lock/b"}, fault.Invalid, "git branch"},
		{"a branch of 256 bytes", vercel, Options{Branch: strings.Repeat("a", 256)}, fault.Invalid, "branch name"},
		{"a bad production branch", vercel, Options{ProductionBranch: "a b"}, fault.Invalid, "git branch"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b, err := Detect(variables(c.env), c.o)
			if b != nil || !fault.Is(err, c.kind) || !strings.Contains(fault.From(err).Fix, c.fix) {
				t.Errorf("Detect = %v, %v with fix %q, want %s with a fix that has %q", b, err, fault.From(err).Fix, c.kind, c.fix)
			}
		})
	}
}

func TestForkPullRequests(t *testing.T) {
	for name, c := range map[string]struct{ event, fork string }{
		"a pull request from a fork": {strings.Replace(pullEvent, `{"id":77,"full_name":"acme/web"}`, `{"id":99,"full_name":"stranger/web"}`, 1), "stranger/web"},
		"a fork that was deleted":    {strings.Replace(pullEvent, `{"id":77,"full_name":"acme/web"}`, `null`, 1), "a deleted fork"},
	} {
		t.Run(name, func(t *testing.T) {
			own, err := Detect(variables(pull), Options{ReadFile: file(pullEvent)})
			if err != nil {
				t.Fatal(err)
			}
			foreign, err := Detect(variables(with(pull, "GITHUB_EVENT_NAME", "pull_request_target")), Options{ReadFile: file(c.event)})
			if err != nil {
				t.Fatal(err)
			}
			if own.Fork != "" || foreign.Fork != c.fork {
				t.Errorf("Fork = %q and %q, want none and %q", own.Fork, foreign.Fork, c.fork)
			}
			ownKey, err1 := own.Key("web")
			foreignKey, err2 := foreign.Key("web")
			if err1 != nil || err2 != nil || ownKey == foreignKey {
				t.Errorf("Key = %q (%v) and %q (%v), want two keys", ownKey, err1, foreignKey, err2)
			}
			if !slices.ContainsFunc(foreign.Warnings, func(w Warning) bool { return w.Code == "untrusted_code" }) {
				t.Errorf("Warnings = %v, want untrusted_code", foreign.Warnings)
			}
		})
	}
}

func TestBadURLsOfPlatformsAreLeftOut(t *testing.T) {
	for _, value := range []string{"localhost:3000", "https://a.example.com/path", "a b", "https://me:pw@a.example.com", "*.vercel.app", "https://", "127.0.0.1", "münchen.de", "a..b"} {
		b, err := Detect(variables(with(vercel, "VERCEL_URL", value)), Options{})
		if err != nil {
			t.Errorf("Detect with VERCEL_URL %q = %v", value, err)
			continue
		}
		if got := b.CallbackOrigins(); len(got) != 1 || b.Warnings[0].Code != "bad_url" {
			t.Errorf("Detect with VERCEL_URL %q: origins %v, warnings %v, want the branch host and bad_url", value, got, b.Warnings)
		}
	}
}

func TestUnattended(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"CI": ""}, false},
		{map[string]string{"CI": "false"}, false},
		{map[string]string{"CI": "0"}, false},
		{map[string]string{"CI": "true"}, true},
		{map[string]string{"CI": "1"}, true},
		{map[string]string{"BUILDKITE": "true"}, true},
		{map[string]string{"JENKINS_URL": "https://ci.example.com"}, true},
		{map[string]string{"CF_PAGES": "1"}, true},
		{map[string]string{"VERCEL_ENV": "preview"}, false},
	} {
		if got := Unattended(variables(c.env)); got != c.want {
			t.Errorf("Unattended(%v) = %v, want %v", c.env, got, c.want)
		}
	}
}

// Any variables give a build or an error, and no preview ever registers the
// production host.
func FuzzDetect(f *testing.F) {
	names := []string{
		"VERCEL", "VERCEL_ENV", "VERCEL_TARGET_ENV", "VERCEL_URL", "VERCEL_BRANCH_URL", "VERCEL_PROJECT_PRODUCTION_URL", "VERCEL_GIT_COMMIT_REF",
		"NETLIFY", "CONTEXT", "HEAD", "BRANCH", "URL", "DEPLOY_URL", "DEPLOY_PRIME_URL", "CF_PAGES", "CF_PAGES_BRANCH", "CF_PAGES_URL",
		"WORKERS_CI", "WORKERS_CI_BRANCH", "GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_HEAD_REF", "GITHUB_EVENT_PATH",
		"RENDER", "IS_PULL_REQUEST", "RENDER_GIT_BRANCH", "RENDER_EXTERNAL_URL", "RAILWAY_ENVIRONMENT_NAME", "RAILWAY_PUBLIC_DOMAIN", "FLY_APP_NAME", "CI", "CI_COMMIT_REF_NAME",
	}
	seed := func(env map[string]string, flags string) {
		var lines []string
		for k, v := range env {
			lines = append(lines, k+"="+v)
		}
		slices.Sort(lines)
		f.Add(strings.Join(lines, "\n"), flags, pullEvent)
	}
	seed(vercel, "")
	seed(vercel, "preview\nother\nhttps://www.example.com\nmain")
	seed(with(vercel, "VERCEL_URL", "www.example.com", "VERCEL_ENV", "staging"), "")
	seed(netlify, "")
	seed(with(netlify, "DEPLOY_PRIME_URL", "https://www.example.com:443"), "")
	seed(pages, "\n\n\nmain")
	seed(workers, "preview")
	seed(pull, "")
	seed(push, "")
	seed(gitlab, "preview\n\nhttps://a.example.com")
	f.Fuzz(func(t *testing.T, variableLines, flags, eventText string) {
		env := map[string]string{}
		for i, line := range strings.Split(variableLines, "\n") {
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				name, value = names[i%len(names)], line
			}
			env[name] = value
		}
		flag := append(strings.Split(flags, "\n"), "", "", "", "")
		o := Options{Kind: Kind(flag[0]), Branch: flag[1], ProductionBranch: flag[3], ReadFile: func(string) ([]byte, error) { return []byte(eventText), nil }}
		if flag[2] != "" {
			o.URLs = []string{flag[2]}
		}
		b, err := Detect(variables(env), o)
		if err != nil {
			if fe := fault.From(err); fe.Kind == fault.Internal || fe.Fix == "" && fe.Err == nil {
				t.Fatalf("Detect = %v, want a fault with a fix", err)
			}
			return
		}
		if b.Kind == "" || b.KindFrom == "" || b.Kind == Preview && b.Branch == "" {
			t.Fatalf("Detect = %+v, want a kind, and a branch for previews", b)
		}
		if _, err := b.Key("project"); err != nil && b.Kind != Dev {
			t.Fatalf("Key = %v", err)
		}
		if b.Kind == Prod {
			return
		}
		production := map[Host]string{Vercel: "VERCEL_PROJECT_PRODUCTION_URL", Netlify: "URL"}[b.Host]
		host, err := parseOrigin(strings.TrimSpace(env[production]))
		if production == "" || err != nil || host.local {
			return
		}
		if slices.Contains(b.CallbackOrigins(), host.text) || b.StableOrigin() == host.text {
			t.Fatalf("a %s build registers %s, which is the production host", b.Kind, host.text)
		}
	})
}
