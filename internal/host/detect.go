package host

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// Lookup returns the value of an environment variable and whether it is set.
type Lookup func(name string) (string, bool)

// get returns the value without surrounding white space; unset and empty are
// the same. An empty GITHUB_HEAD_REF, which Convex takes for a name, is none.
func (l Lookup) get(name string) string {
	v, _ := l(name)
	return strings.TrimSpace(v)
}

// on reports whether a variable such as CI holds a true value.
func (l Lookup) on(name string) bool {
	switch strings.ToLower(l.get(name)) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// Options are what a person says about the build, and how files are read. The
// zero value leaves everything to the environment.
type Options struct {
	Kind             Kind     // --kind
	Branch           string   // --branch
	URLs             []string // --url, repeatable; added to what the platform tells
	ProductionBranch string   // --production-branch, for platforms that do not tell production builds apart

	// ReadFile reads the event file of GitHub Actions. Without it the event is
	// unknown, and the pull request number and head commit may be too.
	ReadFile func(name string) ([]byte, error)
}

// Detect reads the build environment. Options win over variables and are
// checked: a preview build cannot be called production.
//
// Errors: [fault.Invalid] for options and variables that make no sense,
// [fault.Conflict] for options that contradict the platform, and
// [fault.NeedsPerson] when the kind cannot be told, with the flag to pass.
func Detect(lookup Lookup, o Options) (*Build, error) {
	switch o.Kind {
	case "", Dev, Preview, Prod:
	default:
		return nil, fault.New(fault.Invalid, "--kind %q is not a kind of deployment", string(o.Kind)).WithFix("use dev, preview or prod")
	}
	if o.Branch != "" {
		if err := checkBranch("--branch", o.Branch); err != nil {
			return nil, err
		}
	}
	if o.ProductionBranch != "" {
		if err := checkBranch("--production-branch", o.ProductionBranch); err != nil {
			return nil, err
		}
	}
	d := &detection{env: lookup, o: o, b: &Build{Host: hostOf(lookup), Unattended: Unattended(lookup)}}
	d.leaveVercelBuild()
	if err := d.read(); err != nil {
		return nil, err
	}
	if err := d.settleKind(); err != nil {
		return nil, err
	}
	if err := d.settleBranch(); err != nil {
		return nil, err
	}
	if err := d.settleURLs(); err != nil {
		return nil, err
	}
	d.compareWithConvex()
	return d.b, nil
}

// hostOf names the platform. The order is that of the Convex command line for
// the platforms it knows, so that both see the same one; the platforms that
// set CI come before CI itself.
func hostOf(env Lookup) Host {
	switch {
	case env.on("VERCEL"):
		return Vercel
	case env.on("NETLIFY"):
		return Netlify
	case env.on("CF_PAGES"):
		return CloudflarePages
	case env.on("WORKERS_CI"):
		return CloudflareWorkers
	}
	return hostBehind(env)
}

// hostBehind names the platform without the four that bring their own build.
func hostBehind(env Lookup) Host {
	switch {
	case env.on("GITHUB_ACTIONS"):
		return GitHubActions
	case env.on("RENDER"):
		return Render
	case env.get("RAILWAY_PROJECT_ID") != "" || env.get("RAILWAY_ENVIRONMENT_NAME") != "":
		return Railway
	case env.get("FLY_APP_NAME") != "":
		return Fly
	case Unattended(env):
		return CI
	}
	return None
}

// Variables that only builds have: of any system, of the platforms that Berth
// reads, and of systems that are "ci" here and may not set CI.
var (
	anyCI      = []string{"CI", "CONTINUOUS_INTEGRATION", "BUILD_NUMBER"}
	platformCI = []string{
		"VERCEL", "NETLIFY", "CF_PAGES", "WORKERS_CI", "GITHUB_ACTIONS", "RENDER",
		"RAILWAY_ENVIRONMENT_NAME", "RAILWAY_PROJECT_ID", "FLY_APP_NAME",
	}
	otherCI = []string{
		"GITLAB_CI", "BUILDKITE", "CIRCLECI", "CODEBUILD_BUILD_ID", "JENKINS_URL", "TEAMCITY_VERSION",
		"TF_BUILD", "BITBUCKET_BUILD_NUMBER", "DRONE", "APPVEYOR",
	}
)

// Unattended reports whether the variables are those of a build, so that
// nobody is there to answer a question.
func Unattended(lookup Lookup) bool {
	return slices.ContainsFunc(slices.Concat(anyCI, platformCI, otherCI), lookup.on)
}

// detection is one run of Detect.
type detection struct {
	env Lookup
	o   Options
	b   *Build

	sure    bool   // the platform itself says which kind this is
	ask     string // why the kind cannot be told, when it cannot
	askTags bool   // the build is of a tag, so a production branch would not help
}

// leaveVercelBuild handles "vercel build" outside Vercel: it sets VERCEL=1 and
// next to nothing else, so the platform that runs it is the one that counts.
func (d *detection) leaveVercelBuild() {
	if d.b.Host != Vercel || d.env.get("VERCEL_ENV") != "" {
		return
	}
	behind := hostBehind(d.env)
	if behind == CI && !slices.ContainsFunc(otherCI, d.env.on) {
		return // a build on Vercel sets CI too
	}
	if behind != None {
		d.b.Host = behind
		d.b.warn("vercel_build_elsewhere", "VERCEL is set but VERCEL_ENV is not: this is \"vercel build\" on "+behind.Title()+", not a build on Vercel", "")
	}
}

func (d *detection) read() error {
	switch d.b.Host {
	case Vercel:
		return d.readVercel()
	case Netlify:
		return d.readNetlify()
	case CloudflarePages:
		d.readPages()
	case CloudflareWorkers:
		d.readWorkers()
	case GitHubActions:
		return d.readGitHub()
	case Render:
		d.readRender()
	case Railway:
		d.readRailway()
	case Fly:
		d.readFly()
	case CI:
		d.readCI()
	case None:
		d.kind(Dev, "no build platform: this is a developer's machine")
		d.sure = false
	}
	return nil
}

// kind records what the platform says.
func (d *detection) kind(k Kind, from string) {
	d.b.Kind, d.b.KindFrom, d.sure = k, from, true
}

// branch records the first of the named variables that has a value.
func (d *detection) branch(names ...string) {
	for _, name := range names {
		if v := d.env.get(name); v != "" && v != "HEAD" {
			d.b.Branch, d.b.BranchFrom = v, name
			return
		}
	}
}

func (d *detection) settleKind() error {
	b, o := d.b, d.o
	if o.Kind != "" {
		if o.Kind == Prod && d.sure && b.Kind != Prod {
			return fault.New(fault.Conflict, "--kind prod contradicts %s: this is a %s build (%s)", b.Host.Title(), b.Kind, b.KindFrom).
				WithCode("kind_contradicted").
				WithFix("deploy production from a production build, or leave out --kind")
		}
		if d.sure && b.Kind != o.Kind {
			b.warn("kind_overridden", b.Host.Title()+" calls this a "+string(b.Kind)+" build ("+b.KindFrom+"), --kind makes it "+string(o.Kind), "")
		}
		b.Kind, b.KindFrom = o.Kind, "--kind"
		return nil
	}
	if b.Kind != "" {
		return nil
	}
	branch := b.Branch
	if o.Branch != "" {
		branch = o.Branch
	}
	if o.ProductionBranch != "" && branch != "" && !d.askTags {
		if branch == o.ProductionBranch {
			b.Kind, b.KindFrom = Prod, "the branch is --production-branch"
		} else {
			b.Kind, b.KindFrom = Preview, "the branch is not --production-branch"
		}
		return nil
	}
	err := fault.New(fault.NeedsPerson, "the kind of this deployment is unknown: %s", d.ask).WithCode("kind_unknown")
	if d.askTags || branch == "" {
		return err.WithFix("pass --kind preview or --kind prod, and --branch NAME for a preview")
	}
	return err.WithFix("pass --production-branch NAME (builds of it are production, others previews), or --kind preview or --kind prod")
}

func (d *detection) settleBranch() error {
	b, o := d.b, d.o
	if o.Branch != "" {
		if b.Branch != "" && b.Branch != o.Branch {
			b.warn("branch_overridden", "--branch "+strconv.Quote(o.Branch)+" replaces the branch of the build, "+quote(b.Branch)+" ("+b.BranchFrom+")", "")
		}
		b.Branch, b.BranchFrom = o.Branch, "--branch"
	}
	if b.Kind == Preview && b.Branch == "" {
		return fault.New(fault.Invalid, "the branch of this preview is unknown: %s sets no variable that names it", b.Host.Title()).
			WithCode("branch_unknown").WithFix("pass --branch NAME")
	}
	if b.Fork != "" {
		b.warn("fork", "the pull request comes from the fork "+quote(b.Fork)+": GitHub passes no secrets to such builds, and its branch is kept apart from a branch of the same name here", "")
	}
	if b.Closed {
		b.warn("pull_request_closed", "the pull request was closed: a deployment made now outlives it", "run berth prune in this workflow instead")
	}
	return nil
}

// checkBranch applies the rules of git-check-ref-format to a name that a
// person wrote. Names from platforms are taken as they are.
func checkBranch(flag, name string) error {
	bad := func(why, fix string) error {
		return fault.New(fault.Invalid, "%s %s %s", flag, quote(name), why).WithFix("%s", fix)
	}
	if strings.HasPrefix(name, "refs/") {
		return bad("is a full reference", "write the branch name alone, without refs/heads/")
	}
	if len(name) > 255 {
		return bad("is longer than 255 bytes", "write the branch name alone")
	}
	if name == "HEAD" || name == "@" || name[0] == '-' || name[0] == '/' || strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "//") || strings.Contains(name, "@{") || strings.ContainsAny(name, " ~^:?*[\\") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return bad("is not a branch name that git allows", "write the name as git branch prints it")
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return bad("is not a branch name that git allows", "write the name as git branch prints it")
		}
	}
	return nil
}

// quote quotes a value of unknown origin for a message, in short.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}

// number reads a positive decimal number, or 0.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
