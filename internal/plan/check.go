package plan

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/workos"
)

// Kind is what a deployment is for.
type Kind string

const (
	Dev     Kind = "dev"
	Preview Kind = "preview"
	Prod    Kind = "prod"
)

// Keys says which kinds of credentials a run has.
type Keys struct {
	API             workos.KeyMode // of WORKOS_API_KEY; "" when there is none
	Deploy          string         // first word of CONVEX_DEPLOY_KEY: dev, preview, prod, project; "" when there is none
	EnvironmentType string         // authKit.prod.environmentType; "" is production
	ProdHosts       []string       // hosts known to be production's
	PreviewHosts    []string       // hosts known to be of previews
}

// Severity says whether a problem stops the run.
type Severity string

const (
	Refuse Severity = "refuse" // nothing may be written
	Warn   Severity = "warn"
)

// Problem is a mix of dev and prod, or a URI that cannot work.
type Problem struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"` // the URI, origin or variable it is about
	Message  string   `json:"message"`
	Fix      string   `json:"fix"`
}

// Check names every mix of dev and prod before any write (R39, R79, R82). A
// preview URL with a test key is as it should be. The result is sorted, the
// refusals first.
func Check(d Desired, kind Kind, keys Keys) []Problem {
	c := checker{kind: kind, keys: keys}
	c.production = kind == Prod && (keys.EnvironmentType == "" || keys.EnvironmentType == "production")
	c.apiKey()
	c.deployKey()
	for _, uri := range unique(d.RedirectURIs) {
		c.address(RedirectURI, uri)
		if err := identity.CheckRedirectURI(uri, false); err != nil {
			c.add("redirect_uri_invalid", Refuse, uri, err.Error(), "correct configure.redirectUris in convex.json")
		}
	}
	for _, origin := range unique(d.Origins) {
		c.address(CORSOrigin, origin)
	}
	if d.Homepage != "" {
		c.address(Homepage, d.Homepage)
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject, b.Subject))
	})
	return slices.Compact(c.problems)
}

type checker struct {
	kind       Kind
	keys       Keys
	production bool // the environment is a production one
	problems   []Problem
}

func (c *checker) add(code string, s Severity, subject, message, fix string) {
	c.problems = append(c.problems, Problem{code, s, clean(subject), clean(message), fix})
}

func (c *checker) apiKey() {
	const name = "WORKOS_API_KEY"
	switch {
	case c.keys.API == workos.LiveKey && c.kind != Prod:
		c.add("live_key_outside_prod", Refuse, name, "WORKOS_API_KEY is a live key (sk_live_…) and this is a "+string(c.kind)+" deployment",
			"give this deployment the key of a staging environment (sk_test_…)")
	case c.keys.API == workos.LiveKey && !c.production:
		c.add("live_key_with_lower_environment_type", Refuse, name, "WORKOS_API_KEY is a live key (sk_live_…), and authKit.prod.environmentType is "+c.keys.EnvironmentType,
			"use a key of a staging environment, or set environmentType to \"production\"")
	case c.keys.API == workos.TestKey && c.production:
		c.add("test_key_in_prod", Refuse, name, "WORKOS_API_KEY is a test key (sk_test_…) and this is the production deployment",
			"give production the key of a production environment (sk_live_…), or set authKit.prod.environmentType to \"staging\"")
	case c.keys.API == workos.UnknownKey:
		c.add("api_key_kind_unknown", Warn, name, "WORKOS_API_KEY begins neither with sk_test_ nor with sk_live_: whether it fits this deployment is not known",
			"check that the value is a WorkOS API key")
	}
}

func (c *checker) deployKey() {
	const name = "CONVEX_DEPLOY_KEY"
	switch key := c.keys.Deploy; {
	case key == string(Prod) && c.kind == Preview:
		c.add("prod_deploy_key_in_preview", Refuse, name, "CONVEX_DEPLOY_KEY is a production key and this is a preview build: it would deploy the branch to production",
			"put a preview deploy key (preview:…) into the host's Preview scope and keep the production key in its Production scope")
	case key == string(Prod) && c.kind == Dev:
		c.add("prod_deploy_key_in_dev", Refuse, name, "CONVEX_DEPLOY_KEY is a production key and this is a dev deployment", "unset CONVEX_DEPLOY_KEY on this machine")
	case (key == string(Preview) || key == string(Dev)) && c.kind == Prod:
		c.add(key+"_deploy_key_in_prod", Refuse, name, "CONVEX_DEPLOY_KEY is a "+key+" key and this is the production deployment",
			"put the production deploy key (prod:…) into the host's Production scope")
	}
}

// address checks where a URI or origin points.
func (c *checker) address(r Resource, raw string) {
	u, err := url.Parse(strings.Replace(raw, ":*", "", 1)) // a port wildcard is not a URL
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return // a native app's scheme, or malformed: not a matter of dev and prod
	}
	host := strings.ToLower(u.Hostname())
	local := loopback(host)
	what := strings.ReplaceAll(string(r), "_", " ")
	fix := "change it in the authKit section of convex.json that is meant for " + string(c.kind) + " deployments"
	if c.keys.API == workos.LiveKey && !c.production && (local || u.Scheme == "http") {
		c.add("live_key_with_local_uri", Refuse, raw, "the "+what+" "+raw+" is local or unencrypted, and WORKOS_API_KEY is a live key (sk_live_…)",
			"use a test key (sk_test_…) for local addresses")
	}
	switch {
	case c.kind == Prod && host == "127.0.0.1" && u.Scheme == "http" && r == RedirectURI:
		c.add("loopback_uri_in_prod", Warn, raw, "the redirect URI "+raw+" is allowed in production for native apps only (RFC 8252 section 7.3)", fix)
	case c.kind == Prod && local:
		c.add("localhost_uri_in_prod", Refuse, raw, "the "+what+" "+raw+" points at a local machine, and this is the production deployment", fix)
	case c.kind == Prod && u.Scheme == "http":
		c.add("http_uri_in_prod", Refuse, raw, "the "+what+" "+raw+" uses http, and production is https only", fix)
	case c.kind == Prod && c.previewHost(host):
		c.add("preview_host_in_prod", Refuse, raw, "the "+what+" "+raw+" is on the host of a preview, and this is the production deployment", fix)
	case c.kind != Prod && slices.Contains(c.keys.ProdHosts, host):
		c.add("prod_uri_in_"+string(c.kind), Refuse, raw, "the "+what+" "+raw+" is on production's host, and this is a "+string(c.kind)+" deployment", fix)
	}
}

func loopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") || host == "::1" || host == "0.0.0.0"
}

var (
	vercelBranchHost   = regexp.MustCompile(`^[a-z0-9-]+-git-[a-z0-9-]+\.vercel\.app$`)
	netlifyPreviewHost = regexp.MustCompile(`^[a-z0-9-]+--[a-z0-9-]+\.netlify\.app$`)
	pagesPreviewHost   = regexp.MustCompile(`^[a-z0-9-]+\.[a-z0-9-]+\.pages\.dev$`)
)

// previewHost reports whether host is known as a preview's, or has a form that
// only previews have. A host whose form fits both is let through.
func (c *checker) previewHost(host string) bool {
	if slices.Contains(c.keys.ProdHosts, host) {
		return false
	}
	return slices.Contains(c.keys.PreviewHosts, host) ||
		vercelBranchHost.MatchString(host) || netlifyPreviewHost.MatchString(host) || pagesPreviewHost.MatchString(host)
}
