package provision

import (
	"context"
	"net/http"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/wire"
)

// overtakenTries bounds how often a run starts again because another one
// released its claim meanwhile; overtakenPause is the first wait before that,
// doubled each time.
const (
	overtakenTries = 5
	overtakenPause = 50 * time.Millisecond
)

// overtaken reports whether err comes from another run that released the
// deployment meanwhile, so that starting again from the claim makes it whole:
// claim, environment, key or backend are not there any more.
func (c *Connection) overtaken(ctx context.Context, p *Prepared, err error) bool {
	status := wire.Status(err)
	switch {
	case ctx.Err() != nil || p == nil:
		return false
	case status == http.StatusConflict:
		return fault.Code(err) == "claim_released"
	case status != http.StatusNotFound && status != http.StatusUnauthorized:
		return false
	case c.Embedded:
		return true // the token itself was good at the start
	}
	known := ""
	if p.grant != nil {
		known = p.grant.Claim.ID
	}
	now, err := c.Ledger.Claim(ctx, p.Request.Deployment())
	switch {
	case fault.Is(err, fault.NotFound):
		return known != ""
	case err != nil:
		return false
	}
	return now.Claim.ID != known
}

// again calls do until it is not overtaken any more, at most overtakenTries
// times.
func again(ctx context.Context, do func() (overtaken bool, err error)) error {
	for try := 0; ; try++ {
		overtaken, err := do()
		if err == nil || !overtaken || try == overtakenTries {
			return err
		}
		select {
		case <-time.After(overtakenPause << try):
		case <-ctx.Done():
			return err
		}
	}
}

// finishReleases ends releases of the deployment that another run began and
// did not end: their entries in a shared environment are about to go, and are
// the very ones that a new claim wants. A run that is still at it finds them
// gone, which it takes for its own success.
func (c *Connection) finishReleases(ctx context.Context, r Request) error {
	all, err := c.Ledger.Claims(ctx, r.Project)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.Claim.Deployment != r.Deployment() || g.Claim.State != claim.Releasing || g.Placement.Mode != claim.Shared {
			continue
		}
		if _, err := c.Release(ctx, g.Claim.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}
