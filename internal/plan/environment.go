package plan

import (
	"context"
	"sync"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/workos"
)

// Reader reads the configuration of an environment; [workos.Environment] does.
type Reader interface {
	ListRedirectURIs(ctx context.Context) ([]workos.RedirectURI, error)
	ListCORSOrigins(ctx context.Context) ([]workos.CORSOrigin, error)
	GetJWTTemplate(ctx context.Context) (string, error)
}

// Read fills the configuration members of an Actual: two calls at once, and a
// third only when a JWT template is wanted. The caller adds the rest. The
// claim of the deployment must be recorded before (see Hooks.Claimed).
func Read(ctx context.Context, env Reader, desired Desired) (Actual, error) {
	var a Actual
	var errs [3]error
	var wg sync.WaitGroup
	wg.Go(func() { a.RedirectURIs, errs[0] = env.ListRedirectURIs(ctx) })
	wg.Go(func() { a.Origins, errs[1] = env.ListCORSOrigins(ctx) })
	if desired.JWTTemplate != "" {
		wg.Go(func() { a.JWTTemplate, errs[2] = env.GetJWTTemplate(ctx) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return Actual{}, err
		}
	}
	return a, nil
}

// WorkOS applies configuration changes through the AuthKit protocol, to WorkOS
// or to a server that speaks it.
type WorkOS struct{ Client *workos.Environment }

// Configure implements Configurator.
func (w WorkOS) Configure(ctx context.Context, c Change) (workos.Outcome, error) {
	switch {
	case c.Resource == RedirectURI && c.Action == Add:
		return w.Client.AddRedirectURI(ctx, c.Name)
	case c.Resource == RedirectURI && c.Action == Remove:
		return w.Client.DeleteRedirectURI(ctx, c.ID)
	case c.Resource == CORSOrigin && c.Action == Add:
		return w.Client.AddCORSOrigin(ctx, c.Name)
	case c.Resource == CORSOrigin && c.Action == Remove:
		return w.Client.DeleteCORSOrigin(ctx, c.ID)
	case c.Resource == Homepage && (c.Action == Add || c.Action == Set):
		return w.Client.SetHomepage(ctx, c.After)
	case c.Resource == JWTTemplate && (c.Action == Add || c.Action == Set):
		return w.Client.SetJWTTemplate(ctx, c.After)
	}
	return workos.Outcome{}, fault.New(fault.Internal, "an environment cannot %s", c.label())
}
