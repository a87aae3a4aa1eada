package cli

import (
	"context"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
)

// bound opens the deployment that the flags name, with the environment it has.
// At WorkOS it returns the error of elsewhere, when there is one, before
// anything is asked there.
func (t *targetFlags) bound(ctx context.Context, elsewhere error) (*session, *claim.Grant, error) {
	s, err := t.open(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	if elsewhere != nil && !s.conn.Embedded {
		s.close()
		return nil, nil, elsewhere
	}
	g, err := s.conn.Ledger.Claim(ctx, s.req.Deployment())
	if fault.Is(err, fault.NotFound) || err == nil && !g.Placement.Bound() {
		err = errNotReady(s.req)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, g, nil
}

// agreed refuses to change production without --yes: a mistyped --kind must
// not reach people.
func (s *session) agreed(g *claim.Grant) error {
	env := s.target.env
	if !g.Placement.Production && s.req.Kind != claim.Prod || env.flags.yes || env.DryRun() {
		return nil
	}
	return Resume(fault.New(fault.NeedsPerson, "%s is production; nothing was changed", s.req.Title()).
		WithCode("production_needs_yes").WithFix("look at what you are about to change, then pass --yes"), env.again("--yes"))
}
