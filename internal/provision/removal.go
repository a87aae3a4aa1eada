package provision

import (
	"context"
	"slices"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/workos"
)

// removal takes Berth's own entries of a released claim out of a shared
// environment at WorkOS. While it has the lease on them no new claim can want
// them. When calls take so long that the lease ends, the last look at the
// ledger finds what was claimed meanwhile, and it is put back.
type removal struct {
	conn    *Connection
	env     *workos.Environment
	release *claim.Release
	leased  time.Time // when the lease began
	out     *Removal
	gone    claim.Entries
}

func (r *removal) run(ctx context.Context) error {
	if r.release.Remove.Empty() {
		return nil
	}
	uris, err := r.env.ListRedirectURIs(ctx)
	if err != nil {
		return err
	}
	for _, uri := range r.release.Remove.RedirectURIs {
		i := slices.IndexFunc(uris, func(u workos.RedirectURI) bool { return u.URI == uri })
		if i < 0 {
			r.gone.RedirectURIs = append(r.gone.RedirectURIs, uri)
			continue
		}
		if r.conn.now().Sub(r.leased) > claim.RemovalLease/3 {
			if over, err := r.renew(ctx); over || err != nil {
				return err
			}
		}
		if !slices.Contains(r.release.Remove.RedirectURIs, uri) {
			continue // claimed meanwhile
		}
		outcome, err := r.env.DeleteRedirectURI(ctx, uris[i].ID)
		if err != nil {
			return err
		}
		if outcome.State == workos.NotRemovable {
			r.out.Left = append(r.out.Left, Left{Name: uri, Reason: outcome.Reason})
			continue
		}
		r.gone.RedirectURIs = append(r.gone.RedirectURIs, uri)
		r.out.Removed = append(r.out.Removed, uri)
	}
	for _, origin := range r.release.Remove.CORSOrigins {
		r.out.Left = append(r.out.Left, Left{Name: origin, Reason: "WorkOS has no call that removes a CORS origin; remove it in the dashboard"})
	}
	return r.putBack(ctx)
}

// renew asks the ledger again what is to be removed, which begins a new lease.
// over says that another run has ended the release.
func (r *removal) renew(ctx context.Context) (over bool, err error) {
	release, err := r.conn.Ledger.Release(ctx, r.release.Claim.ID)
	if fault.Is(err, fault.NotFound) {
		return true, nil
	}
	if err == nil {
		r.release, r.leased = release, r.conn.now()
	}
	return false, err
}

// putBack registers again what was removed and is wanted by a claim that came
// after the lease had ended.
func (r *removal) putBack(ctx context.Context) error {
	if len(r.out.Removed) == 0 || r.conn.now().Sub(r.leased) < claim.RemovalLease/2 {
		return nil
	}
	// From here entries are gone: this must not be lost to a signal.
	ctx = context.WithoutCancel(ctx)
	if over, err := r.renew(ctx); over || err != nil {
		return err
	}
	for _, uri := range r.gone.RedirectURIs {
		if slices.Contains(r.release.Remove.RedirectURIs, uri) {
			continue
		}
		if _, err := r.env.AddRedirectURI(ctx, uri); err != nil {
			return err
		}
		r.out.Removed = slices.DeleteFunc(r.out.Removed, func(s string) bool { return s == uri })
	}
	return nil
}
