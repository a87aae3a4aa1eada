package convex

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// Paths of a deployment's own routes. UpdateVariables uses the one that the
// command line is known to use; servers also answer it under /api/v1.
const (
	PathListVariables   = "/api/v1/list_environment_variables"
	PathUpdateVariables = "/api/update_environment_variables"
	PathCanonicalURLs   = "/api/v1/get_canonical_urls"
)

// Deployment calls one Convex deployment. Make one with [NewDeployment].
type Deployment struct {
	wire.Client
	url string
}

// NewDeployment returns a client of the deployment at origin (scheme, host and
// port; a trailing slash is dropped) that presents adminKey, which may also be
// a deploy key for it.
func NewDeployment(origin string, adminKey secret.String) (*Deployment, error) {
	u, err := url.Parse(strings.TrimSuffix(origin, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "%q is not the origin of a Convex deployment", origin).
			WithFix("give scheme and host only, such as https://happy-animal-123.convex.cloud")
	}
	return &Deployment{
		Client: wire.Client{
			Base:      u.String(),
			Name:      "the deployment " + u.Host,
			Authorize: bearer("Convex", adminKey),
			Header:    http.Header{"Convex-Client": {clientVersion}},
		},
		url: u.String(),
	}, nil
}

// URL is the deployment's origin, without a trailing slash.
func (d *Deployment) URL() string { return d.url }

// ListVariables reads all variables. A key that may deploy but not read them
// gives an error of kind Denied: the caller can go on without knowing them.
func (d *Deployment) ListVariables(ctx context.Context) (map[string]string, error) {
	var out ListVariablesResponse
	err := d.Do(ctx, wire.Call{Method: http.MethodGet, Path: PathListVariables, Out: &out})
	if fault.Is(err, fault.Denied) {
		return nil, fault.Wrap(err, fault.Denied, "this key may not read the variables of %s", d.url).
			WithCode(fault.Code(err)).
			WithFix("use a deploy key that may view environment variables, or go on without comparing them")
	}
	if err != nil {
		return nil, err
	}
	if out.EnvironmentVariables == nil {
		out.EnvironmentVariables = map[string]string{}
	}
	return out.EnvironmentVariables, nil
}

// UpdateVariables makes all changes in one call: they take effect together or
// not at all. The deployment refuses what would break its auth.config (code
// AuthConfigMissingEnvironmentVariable or InvalidAuthConfig). No changes make
// no call.
func (d *Deployment) UpdateVariables(ctx context.Context, changes []VariableChange) error {
	if len(changes) == 0 {
		return nil
	}
	// Setting the same values twice does no harm.
	return d.Do(ctx, wire.Call{Method: http.MethodPost, Path: PathUpdateVariables, Body: UpdateVariablesRequest{changes}, Repeatable: true})
}

// CanonicalURLs reads the addresses under which the deployment is known.
func (d *Deployment) CanonicalURLs(ctx context.Context) (CanonicalURLs, error) {
	var out CanonicalURLs
	err := d.Do(ctx, wire.Call{Method: http.MethodGet, Path: PathCanonicalURLs, Out: &out})
	return out, err
}
