package host

import (
	"regexp"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

func (d *detection) readVercel() error {
	b, env := d.b, d.env
	d.branch("VERCEL_GIT_COMMIT_REF")
	b.Commit = env.get("VERCEL_GIT_COMMIT_SHA")
	b.PullRequest = number(env.get("VERCEL_GIT_PULL_REQUEST_ID"))
	b.ProjectID, b.DeploymentID = env.get("VERCEL_PROJECT_ID"), env.get("VERCEL_DEPLOYMENT_ID")
	switch kind := env.get("VERCEL_ENV"); kind {
	case "production":
		d.kind(Prod, "VERCEL_ENV is production")
		d.doubtFirstDeployment()
	case "preview":
		d.kind(Preview, "VERCEL_ENV is preview")
	case "development":
		d.kind(Dev, "VERCEL_ENV is development")
	case "":
		if d.o.Kind == "" {
			return fault.New(fault.Invalid, "VERCEL is set but VERCEL_ENV is not: either this is \"vercel build\" outside Vercel, or the project hides its system variables").
				WithCode("vercel_env_missing").
				WithFix("turn on \"Automatically expose System Environment Variables\" in the project's settings, or pass --kind, --branch and --url")
		}
	default:
		d.kind(Preview, "VERCEL_ENV is "+quote(kind)+", which is not production")
	}
	d.origin("VERCEL_BRANCH_URL", BranchURL)
	d.origin("VERCEL_URL", CommitURL)
	d.origin("VERCEL_PROJECT_PRODUCTION_URL", ProductionURL)
	if target := env.get("VERCEL_TARGET_ENV"); target != "" && target != "production" && target != "preview" && target != "development" {
		b.Target = target
		b.warn("custom_environment", "the domain of the custom environment "+quote(target)+" is in no variable", "pass it with --url")
	}
	if b.Kind == Preview && env.get("VERCEL_URL") != "" && env.get("VERCEL_BRANCH_URL") == "" {
		b.warn("no_branch_url", "VERCEL_BRANCH_URL is empty, as in deployments by the command line without Git metadata: only the host of this commit is known", "pass the address that reviewers open with --url")
	}
	return nil
}

// doubtFirstDeployment warns because the first deployment of a new project is
// production, whatever its branch.
func (d *detection) doubtFirstDeployment() {
	branch := d.b.Branch
	switch {
	case branch == "":
		return
	case d.o.ProductionBranch != "":
		if branch == d.o.ProductionBranch {
			return
		}
	case branch == "main" || branch == "master" || branch == "production":
		return
	}
	d.b.warn("unusual_production_branch", "Vercel calls this build of branch "+quote(branch)+" production; it does so with the first deployment of every new project", "pass --kind preview if it is not meant to be production")
}

func (d *detection) readNetlify() error {
	b, env := d.b, d.env
	d.branch("HEAD")
	if b.Branch == "" && !strings.HasPrefix(env.get("BRANCH"), "pull/") {
		// Of a pull request BRANCH is the checked-out reference pull/42/head.
		d.branch("BRANCH")
	}
	b.Commit = env.get("COMMIT_REF")
	if env.on("PULL_REQUEST") {
		b.PullRequest = number(env.get("REVIEW_ID"))
	}
	b.ProjectID, b.DeploymentID = env.get("SITE_ID"), env.get("DEPLOY_ID")
	switch context := env.get("CONTEXT"); context {
	case "production":
		d.kind(Prod, "CONTEXT is production")
	case "deploy-preview", "branch-deploy", "preview-server":
		d.kind(Preview, "CONTEXT is "+context)
	case "dev", "dev-server":
		d.kind(Dev, "CONTEXT is "+context)
	case "":
		if d.o.Kind == "" {
			return fault.New(fault.Invalid, "NETLIFY is set but CONTEXT is not: this is not a build on Netlify").
				WithCode("netlify_context_missing").WithFix("pass --kind, --branch and --url, or unset NETLIFY")
		}
	default:
		d.kind(Preview, "CONTEXT is "+quote(context)+", which is not production")
	}
	d.origin("DEPLOY_PRIME_URL", BranchURL)
	d.origin("DEPLOY_URL", CommitURL)
	d.origin("URL", ProductionURL)
	return nil
}

func (d *detection) readPages() {
	b, env := d.b, d.env
	d.branch("CF_PAGES_BRANCH")
	b.Commit = env.get("CF_PAGES_COMMIT_SHA")
	d.origin("CF_PAGES_URL", CommitURL)
	d.ask = "Cloudflare Pages does not tell which branch is the production branch"

	// https://<8 hex>.<project>.pages.dev
	if len(b.URLs) == 0 {
		return
	}
	domain, ok := strings.CutSuffix(strings.TrimPrefix(b.URLs[0].Origin, "https://"), ".pages.dev")
	_, project, two := strings.Cut(domain, ".")
	if !ok || !two || project == "" || strings.Contains(project, ".") {
		return
	}
	b.ProjectID = project
	d.add(URL{Origin: "https://" + project + ".pages.dev", Role: ProductionURL, From: "the project name in CF_PAGES_URL"})
	alias, guess := PagesAlias(d.branchToUse())
	if alias == "" {
		return
	}
	d.add(URL{Origin: "https://" + alias + "." + project + ".pages.dev", Role: BranchURL, From: "computed from the branch name", Guess: guess})
	if guess {
		b.warn("pages_alias", "the branch host "+alias+"."+project+".pages.dev is a guess: Cloudflare Pages cuts long branch names, and two of them can get the same host", "use shorter branch names, or open the address of the commit")
	}
}

func (d *detection) readWorkers() {
	d.branch("WORKERS_CI_BRANCH")
	d.b.Commit = d.env.get("WORKERS_CI_COMMIT_SHA")
	d.b.DeploymentID = d.env.get("WORKERS_CI_BUILD_UUID")
	d.ask = "Cloudflare Workers Builds does not tell which branch is the production branch"
}

func (d *detection) readRender() {
	d.branch("RENDER_GIT_BRANCH")
	d.b.Commit = d.env.get("RENDER_GIT_COMMIT")
	role := BranchURL
	if d.env.get("IS_PULL_REQUEST") == "true" {
		d.kind(Preview, "IS_PULL_REQUEST is true")
	} else {
		d.ask = "Render tells pull requests apart, and this is none; it does not tell whether the service is production"
		if d.o.Kind == Prod || d.o.Kind == "" && d.o.ProductionBranch != "" && d.o.ProductionBranch == d.branchToUse() {
			role = ProductionURL
		}
	}
	d.origin("RENDER_EXTERNAL_URL", role)
	if len(d.b.URLs) == 0 {
		d.origin("RENDER_EXTERNAL_HOSTNAME", role)
	}
}

var (
	railwayPullRequest = regexp.MustCompile(`(?:^|-)pr-([0-9]+)$`)
	flyReviewApp       = regexp.MustCompile(`^pr-([0-9]+)-`)
)

func (d *detection) readRailway() {
	b, env := d.b, d.env
	d.branch("RAILWAY_GIT_BRANCH")
	b.Commit = env.get("RAILWAY_GIT_COMMIT_SHA")
	b.ProjectID, b.DeploymentID = env.get("RAILWAY_PROJECT_ID"), env.get("RAILWAY_DEPLOYMENT_ID")
	role := BranchURL
	name := env.get("RAILWAY_ENVIRONMENT_NAME")
	if pr := railwayPullRequest.FindStringSubmatch(name); pr != nil {
		d.kind(Preview, "RAILWAY_ENVIRONMENT_NAME is that of a pull request")
		b.PullRequest = number(pr[1])
	} else if name == "production" {
		d.kind(Prod, "RAILWAY_ENVIRONMENT_NAME is production")
		role = ProductionURL
	} else {
		d.ask = "the Railway environment " + quote(name) + " is neither named production nor that of a pull request"
		if d.o.Kind == Prod {
			role = ProductionURL
		}
	}
	d.origin("RAILWAY_PUBLIC_DOMAIN", role)
}

func (d *detection) readFly() {
	app := d.env.get("FLY_APP_NAME")
	role := BranchURL
	if pr := flyReviewApp.FindStringSubmatch(app); pr != nil {
		d.kind(Preview, "FLY_APP_NAME is that of a review app")
		d.b.PullRequest = number(pr[1])
	} else {
		d.ask = "Fly does not tell which app is production"
		if d.o.Kind == Prod {
			role = ProductionURL
		}
	}
	if plainHost(app) && !strings.Contains(app, ".") {
		d.add(URL{Origin: "https://" + strings.ToLower(app) + ".fly.dev", Role: role, From: "FLY_APP_NAME"})
	}
}

// readCI reads GitLab's variables, which other systems imitate, and whatever
// Convex reads in a build that sets CI.
func (d *detection) readCI() {
	b, env := d.b, d.env
	d.branch("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "GITHUB_HEAD_REF", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME")
	b.Commit = env.get("CI_COMMIT_SHA")
	b.PullRequest = number(env.get("CI_MERGE_REQUEST_IID"))
	b.ProjectID = env.get("CI_PROJECT_ID")
	from, to := env.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"), env.get("CI_MERGE_REQUEST_PROJECT_PATH")
	if from != "" && to != "" && from != to {
		b.Fork = from
	}
	switch {
	case b.PullRequest > 0:
		d.kind(Preview, "CI_MERGE_REQUEST_IID is set")
	case env.get("CI_COMMIT_TAG") != "":
		d.ask, d.askTags = "this is a build of a tag", true
		b.Branch, b.BranchFrom = "", ""
	default:
		d.ask = "this CI does not tell production builds apart"
	}
}

// branchToUse is the branch before it is settled.
func (d *detection) branchToUse() string {
	if d.o.Branch != "" {
		return d.o.Branch
	}
	return d.b.Branch
}
