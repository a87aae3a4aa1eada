// Package host reads the build environment that a command runs in: which
// hosting platform, which kind of deployment, which branch, commit and pull
// request, and every address at which a reviewer may open the result.
//
// It reads variables through a function that is passed in, one event file of
// GitHub Actions, and git through a runner that is passed in. What it cannot
// know it says: a kind that no variable tells is an error that names the flag,
// a computed address is marked as a guess. What the values are used for is
// left to others.
//
// Sources are the platforms' own pages: "System environment variables"
// (Vercel), "Build environment variables" (Netlify), "Build configuration"
// (Cloudflare Pages and Workers Builds), "Default environment variables"
// (GitHub Actions, Render, Railway, Fly, GitLab).
package host

import (
	"slices"
)

// Host is the platform that runs the build.
type Host string

// The platforms that Berth tells apart.
const (
	Vercel            Host = "vercel"
	Netlify           Host = "netlify"
	CloudflarePages   Host = "cloudflare-pages"
	CloudflareWorkers Host = "cloudflare-workers"
	GitHubActions     Host = "github-actions"
	Render            Host = "render"
	Railway           Host = "railway"
	Fly               Host = "fly"
	CI                Host = "ci"   // some other continuous integration, GitLab among them
	None              Host = "none" // a developer's machine
)

// Title is the name of the platform in messages.
func (h Host) Title() string {
	switch h {
	case Vercel:
		return "Vercel"
	case Netlify:
		return "Netlify"
	case CloudflarePages:
		return "Cloudflare Pages"
	case CloudflareWorkers:
		return "Cloudflare Workers Builds"
	case GitHubActions:
		return "GitHub Actions"
	case Render:
		return "Render"
	case Railway:
		return "Railway"
	case Fly:
		return "Fly"
	case CI:
		return "this CI"
	}
	return "this machine"
}

// Kind is the kind of deployment that is being built.
type Kind string

// The kinds, named as Convex names deployment types.
const (
	Dev     Kind = "dev"
	Preview Kind = "preview"
	Prod    Kind = "prod"
)

// Role says what an address of a deployment stands for.
type Role string

// The roles.
const (
	CommitURL     Role = "commit"     // this build only, new with each push
	BranchURL     Role = "branch"     // the newest build of the branch
	ProductionURL Role = "production" // the app's production host
	CustomURL     Role = "custom"     // named by a person
)

// URL is one origin of a deployment.
type URL struct {
	Origin string `json:"origin"` // scheme, host and port, in lower case, without the default port
	Role   Role   `json:"role"`
	From   string `json:"from"`            // the variable or flag that named it, or how it was computed
	Guess  bool   `json:"guess,omitempty"` // computed by a rule that the platform does not document
}

// Warning is something that is worth knowing and stops nothing.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// Build is what is known about the build environment.
type Build struct {
	Host         Host      `json:"host"`
	Kind         Kind      `json:"kind"`
	KindFrom     string    `json:"kind_from"`               // how the kind was decided
	Target       string    `json:"target,omitempty"`        // name of a custom environment on Vercel
	Branch       string    `json:"branch,omitempty"`        // raw, as the platform spells it; never empty for previews
	BranchFrom   string    `json:"branch_from,omitempty"`   // the variable, file or flag that named it
	Commit       string    `json:"commit,omitempty"`        // the head commit, not a merge commit, when it can be told
	PullRequest  int       `json:"pull_request,omitempty"`  // 0 when there is none or it cannot be told
	Fork         string    `json:"fork,omitempty"`          // owner/name of the fork a pull request comes from; only GitHub tells
	Closed       bool      `json:"closed,omitempty"`        // the event says that the pull request was closed
	ProjectID    string    `json:"project_id,omitempty"`    // the platform's own id of the project or repository
	DeploymentID string    `json:"deployment_id,omitempty"` // the platform's own id of this deployment or build
	URLs         []URL     `json:"urls"`                    // every origin that is known, the production one of a preview included
	Unattended   bool      `json:"unattended"`              // nobody is there to answer questions
	Warnings     []Warning `json:"warnings,omitempty"`
}

// CallbackOrigins returns the origins at which a sign-in of this deployment may
// end, so the ones to register redirect URIs and CORS origins for, in the
// order of [Build.URLs]. The production host is among them for production
// builds only: a preview that registered it would send its codes there.
func (b *Build) CallbackOrigins() []string {
	var origins []string
	for _, u := range b.URLs {
		if u.Role != ProductionURL || b.Kind == Prod {
			origins = append(origins, u.Origin)
		}
	}
	return origins
}

// StableOrigin returns the origin that stays the same over the builds of this
// deployment: what a person named, else the production host (production) or
// the branch host (previews), else the commit host. A guess comes last. It is
// "" when no origin is known yet.
func (b *Build) StableOrigin() string {
	order := []Role{CustomURL, BranchURL, CommitURL}
	if b.Kind == Prod {
		order = []Role{CustomURL, ProductionURL, BranchURL, CommitURL}
	}
	guess := ""
	for _, role := range order {
		for _, u := range b.URLs {
			switch {
			case u.Role != role:
			case !u.Guess:
				return u.Origin
			case guess == "":
				guess = u.Origin
			}
		}
	}
	return guess
}

// ProductionOrigin returns the origin of the production host, or "" when the
// platform does not tell it.
func (b *Build) ProductionOrigin() string {
	for _, u := range b.URLs {
		if u.Role == ProductionURL {
			return u.Origin
		}
	}
	return ""
}

func (b *Build) warn(code, message, fix string) {
	w := Warning{Code: code, Message: message, Fix: fix}
	if !slices.Contains(b.Warnings, w) {
		b.Warnings = append(b.Warnings, w)
	}
}
