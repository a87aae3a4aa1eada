package doctor

import (
	"context"
	"net/http"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/project"
)

// Subject is what is examined: an app folder with what surrounds it. Members
// that are not known are nil or empty, and checks that need them are skipped.
// Checks only read it.
type Subject struct {
	App    *project.App
	Lookup func(name string) (string, bool) // process environment
	Config *project.Config                  // convex.json; nil when it cannot be read
	Env    *project.EnvFile                 // .env.local
	Source *Source                          // syntax trees of the web app and of convex/; nil without an app
	Kind   claim.Kind                       // of the deployment that is examined
	Branch string
	Origin string // the web app's address here: http://localhost:5173
	Port   int    // that the web server listens on, 0 when none runs

	// Values names every place that has one of the shared variables.
	Values []Value

	Environment *Environment // the auth environment as configured
	Deployment  *Deployment  // the backend
	Host        *Host        // of the build, when there is one

	// Problems are what asking for the environment and the deployment failed with.
	Problems []error
	// Git asks the installed git; nil when it must not be run.
	Git project.Git

	HTTP *http.Client // with deadlines; its calls go where findings look
	Now  time.Time
	// Unreachable says why Environment or Deployment is nil.
	Unreachable map[Need]string
}

// Value is one variable in one place. Secret values are kept as a fingerprint:
// what is equal can be told, what it is cannot.
type Value struct {
	Name        string `json:"name"`
	Place       string `json:"place"`            // .env.local, deployment variables, Vercel (Preview), ...
	Text        string `json:"value,omitempty"`  // of what is no secret
	Fingerprint string `json:"fingerprint"`      // first 8 hex digits of a keyed hash
	Prefix      string `json:"prefix,omitempty"` // sk_test, sk_live, prod, preview: the public part of a secret
}

// Environment is the configuration of an auth environment.
type Environment struct {
	ClientID     string
	Production   bool
	Issuer       string
	RedirectURIs []string
	DefaultURI   string
	CORSOrigins  []string
	HomepageURL  string
	BaseURL      string // https://api.workos.com or a Berth server
	Embedded     bool
	// Others are further deployments that share the environment.
	Others []string
}

// Deployment is a Convex deployment as it can be asked.
type Deployment struct {
	Name      string
	URL       string // of its functions
	Type      string // dev, preview, prod
	Variables map[string]string
	// CanRead is false when the key may deploy but not read variables.
	CanRead   bool
	Providers []authconfig.Provider // pushed; nil when they cannot be known
	Pushed    string                // bundled source of auth.config, when it can be known
	// Check presents a token to the deployment and returns its decision.
	Check func(ctx context.Context, token string) (*Acceptance, error)
	// Query runs a function as the holder of a token.
	Query func(ctx context.Context, path, token string) (result string, err error)
}

// Acceptance is a deployment's decision about a token.
type Acceptance struct {
	Accepted bool
	Code     string
	Text     string
	Subject  string
	Issuer   string
}

// Host is a build environment.
type Host struct {
	Name      string // Vercel, Netlify, ...
	Kind      claim.Kind
	KeyType   string // of the deploy key: prod, preview, ...
	Origins   []string
	Variables []string // names
}

// lacks says why a need is not met, or "".
func (s *Subject) lacks(n Need) string {
	missing := func(need Need, isThere bool, text string) string {
		if n&need == 0 || isThere {
			return ""
		}
		if why := s.Unreachable[need]; why != "" {
			return why
		}
		return text
	}
	for _, why := range []string{
		missing(NeedsApp, s.App != nil, "there is no app folder here"),
		missing(NeedsEnvironment, s.Environment != nil, "the auth environment is not known"),
		missing(NeedsDeployment, s.Deployment != nil, "the deployment is not known"),
		missing(NeedsNetwork, s.HTTP != nil, "calls over the network were not wanted"),
	} {
		if why != "" {
			return why
		}
	}
	return ""
}
