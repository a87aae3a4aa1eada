package provision

import (
	"context"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/workos"
)

// Examined is what a deployment has at the moment, for a diagnosis. Nothing was
// changed to learn it.
type Examined struct {
	Grant       *claim.Grant       // nil: there is no claim for it yet
	Embedded    *berth.Environment // on a Berth server
	Credentials *workos.Environment
	Backend     *Backend
	// Problems say why parts could not be read.
	EnvironmentProblem, BackendProblem error
}

// Examine reads what a request's deployment has. It fails only when the ledger
// cannot be read; other places are reported in the result.
func (c *Connection) Examine(ctx context.Context, r Request) (*Examined, error) {
	x := &Examined{}
	g, err := c.Ledger.Claim(ctx, r.Deployment())
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return nil, err
	case g.Placement.Bound():
		x.Grant = g
		x.Credentials = c.EnvironmentOf(g)
	}
	if x.Grant != nil && c.Embedded {
		e, err := c.Ledger.Environment(ctx, x.Grant.Placement.ClientID)
		x.Embedded, x.EnvironmentProblem = &e, err
	}
	x.Backend, x.BackendProblem = c.backend(ctx, r)
	return x, nil
}
