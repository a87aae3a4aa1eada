package store

import (
	"context"
	"slices"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// Release begins to release a claim and says what is to be removed. It can be
// repeated until Released has been called.
func (t *Team) Release(ctx context.Context, claimID string) (*claim.Release, error) {
	return t.release(ctx, claimID, func(claim.Claim) bool { return true })
}

// ReleaseExpired is Release for a claim whose lifetime is over or whose
// release was begun. A claim that was renewed meanwhile is NotFound.
func (t *Team) ReleaseExpired(ctx context.Context, claimID string) (*claim.Release, error) {
	return t.release(ctx, claimID, func(c claim.Claim) bool {
		return c.State == claim.Releasing || !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(t.db.now())
	})
}

func (t *Team) release(ctx context.Context, claimID string, due func(claim.Claim) bool) (*claim.Release, error) {
	var r *claim.Release
	err := t.db.write(ctx, func(tx *tx) error {
		c, placementID, err := scanClaim(tx.row("SELECT "+claimColumns+" FROM claims WHERE team_id = $1 AND id = $2", t.ID, claimID))
		if isNoRows(err) || err == nil && !due(c) {
			return notFound("claim", claimID)
		}
		if err != nil {
			return err
		}
		if c.Kind == claim.Prod {
			return fault.New(fault.Denied, "%s is production: it is never released by clean-up", c.Deployment).WithCode("production_is_kept")
		}
		now := t.db.now()
		c.State = claim.Releasing
		if err := t.saveClaim(tx, c, placementID); err != nil {
			return err
		}
		g, err := t.grant(tx, c, placementID)
		if err != nil {
			return err
		}
		r = &claim.Release{Claim: c, Placement: g.Placement, APIKey: g.APIKey, Remove: g.Owned.Without(g.Others)}
		r.DeleteEnvironment = g.Placement.Owned && g.Placement.Mode == claim.Dedicated && !g.Placement.Production
		if r.DeleteEnvironment {
			if r.Placement.EnvironmentID == "" {
				// The run that made it stopped before it could record it.
				if r.Placement.EnvironmentID, _, err = tx.remembered(t.ID, r.Placement.EnvironmentKey()); err != nil {
					return err
				}
			}
			_, err := tx.exec("UPDATE placements SET state = 'deleting', updated_at = $3 WHERE team_id = $1 AND id = $2", t.ID, placementID, millis(now))
			r.Placement.State = "deleting"
			return err
		}
		return t.markRemoving(tx, placementID, c.ID, r.Remove, now)
	})
	return r, err
}

// Released ends a release: the claim is forgotten, and with a deleted
// environment its placement too. removed are the entries that are gone; the
// others stay recorded as Berth's own. What is left of the claim in this
// database goes in the same transaction, so that a new claim of the deployment
// comes either before it and is spared, or after it and loses nothing: the
// record of the deployment, and in an environment of this server the
// environment itself or the entries, the default redirect URI included.
func (t *Team) Released(ctx context.Context, claimID string, removed claim.Entries) error {
	return t.released(ctx, claimID, removed, t.deleteUnclaimed)
}

// ReleasedEnvironment is Released for an environment of this server whose
// deployment stays.
func (t *Team) ReleasedEnvironment(ctx context.Context, claimID string) error {
	return t.released(ctx, claimID, claim.Entries{}, func(*tx, claim.Claim) error { return nil })
}

func (t *Team) released(ctx context.Context, claimID string, removed claim.Entries, deleteDeployment func(*tx, claim.Claim) error) error {
	var clientID string
	err := t.db.write(ctx, func(tx *tx) error {
		c, placementID, err := scanClaim(tx.row("SELECT "+claimColumns+" FROM claims WHERE team_id = $1 AND id = $2", t.ID, claimID))
		if isNoRows(err) {
			return notFound("claim", claimID)
		}
		if err != nil {
			return err
		}
		if c.State != claim.Releasing {
			return fault.New(fault.Conflict, "claim %s is %s, not being released", claimID, c.State).WithCode("not_releasing")
		}
		g, err := t.grant(tx, c, placementID)
		if err != nil {
			return err
		}
		e, err := t.environmentHere(tx, g.Placement)
		if err != nil {
			return err
		}
		if e != nil {
			clientID = e.ClientID
			removed = g.Owned.Without(g.Others)
			if g.Placement.State == "deleting" {
				_, err = tx.exec("DELETE FROM environments WHERE team_id = $1 AND id = $2", t.ID, e.ID)
			} else {
				err = removeEntries(tx, *e, removed.RedirectURIs, removed.CORSOrigins)
			}
			if err != nil {
				return err
			}
		}
		if err := deleteDeployment(tx, c); err != nil {
			return err
		}
		if err := forget(tx, placementID, claimID, removed); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM claims WHERE team_id = $1 AND id = $2", t.ID, claimID); err != nil {
			return err
		}
		if _, err = tx.exec("DELETE FROM placements WHERE team_id = $1 AND id = $2 AND state = 'deleting'", t.ID, placementID); err != nil {
			return err
		}
		return tx.audit(t.db, t.cleaner(), t.ID, g.Placement.EnvironmentID, "claim.released", c.Deployment)
	})
	t.db.envs.forget(clientID)
	return err
}

// environmentHere returns the environment of a placement when it is in this
// database, made but not yet bound included; else nil.
func (t *Team) environmentHere(tx *tx, p claim.Placement) (*identity.Environment, error) {
	id := p.EnvironmentID
	if id == "" && p.Owned {
		var err error
		if id, _, err = tx.remembered(t.ID, p.EnvironmentKey()); err != nil {
			return nil, err
		}
	}
	e, err := scanEnvironment(tx.row("SELECT "+environmentColumns+" FROM environments WHERE team_id = $1 AND (id = $2 OR client_id = $3 AND client_id <> '')", t.ID, id, p.ClientID))
	if isNoRows(err) {
		return nil, nil
	}
	return &e, err
}

// Orphans are things without an owner.
type Orphans struct {
	Environments []identity.Environment // made here under a slot's name, but bound to no placement
	Placements   []claim.Placement      // wanted or bound, but no claim is left
}

// Orphans lists environments of this team that no placement knows and that
// carry a placement's idempotency key, and placements without a claim.
// Environments made by people are never listed.
func (t *Team) Orphans(ctx context.Context) (*Orphans, error) {
	o := &Orphans{}
	err := t.db.list(ctx, "SELECT "+environmentColumns+` FROM environments WHERE team_id = $1
		AND id IN (SELECT result_id FROM idempotency WHERE team_id = $1 AND key LIKE 'placement\_%' ESCAPE '\')
		AND id NOT IN (SELECT environment_id FROM placements WHERE team_id = $1)
		AND id NOT IN (SELECT i.result_id FROM idempotency i JOIN placements p ON i.key = p.id || '/environment' WHERE i.team_id = $1)
		ORDER BY id`, func(s scanner) error {
		e, err := scanEnvironment(s)
		o.Environments = append(o.Environments, e)
		return err
	}, t.ID)
	if err != nil {
		return nil, err
	}
	err = t.db.list(ctx, "SELECT "+placementColumns+" FROM placements WHERE team_id = $1 AND mode = 'dedicated' AND id NOT IN (SELECT placement_id FROM claims WHERE team_id = $1) ORDER BY id",
		func(s scanner) error {
			p, _, err := t.scanPlacement(s)
			o.Placements = append(o.Placements, p)
			return err
		}, t.ID)
	return o, err
}

// ClaimFor returns the claim that registered a redirect URI, or nil when no
// claim of this environment knows it. An exact entry counts more than a
// wildcard, the current set more than an earlier one. With an empty URI it returns the only
// claim, if there is exactly one.
func (e *Env) ClaimFor(ctx context.Context, redirectURI string) (*claim.Claim, error) {
	var best *claim.Claim
	likeness, n := 0, 0
	err := e.eachClaim(ctx, func(c claim.Claim) {
		n++
		for i, set := range c.Sets {
			fits := 0
			switch {
			case redirectURI == "" || slices.Contains(set.RedirectURIs, redirectURI):
				fits = 2 // exactly this address
			case identity.AllowedRedirectURI(set.RedirectURIs, redirectURI):
				fits = 1 // by a wildcard, or with and without the last slash
			default:
				continue
			}
			if fits *= 2; i == 0 {
				fits++ // the current set rather than an earlier one
			}
			if fits > likeness {
				best, likeness = &c, fits
			}
		}
	})
	if redirectURI == "" && n != 1 {
		best = nil
	}
	return best, err
}

// HomepageFor returns the homepage of the deployment that registered a
// redirect URI, or "". It makes sign-out lead to the right place although many
// deployments share the environment.
func (e *Env) HomepageFor(ctx context.Context, redirectURI string) (string, error) {
	if redirectURI == "" {
		return "", nil
	}
	c, err := e.ClaimFor(ctx, redirectURI)
	if c == nil || err != nil {
		return "", err
	}
	return c.HomepageURL, nil
}

// ClaimedHomepages returns the homepages of all live claims.
func (e *Env) ClaimedHomepages(ctx context.Context) ([]string, error) {
	var all []string
	err := e.eachClaim(ctx, func(c claim.Claim) {
		if c.HomepageURL != "" {
			all = append(all, c.HomepageURL)
		}
	})
	return all, err
}

func (e *Env) eachClaim(ctx context.Context, fn func(claim.Claim)) error {
	return e.db.list(ctx, `SELECT c.id, c.placement_id, c.project, c.deployment, c.kind, c.branch, c.repository, c.host, c.owner, c.wants, c.homepage_url, c.state,
		c.lifetime, c.created_at, c.renewed_at, c.expires_at
		FROM claims c JOIN placements p ON p.id = c.placement_id WHERE p.team_id = $1 AND p.client_id = $2 AND c.state <> 'releasing'`, func(s scanner) error {
		c, _, err := scanClaim(s)
		if err == nil {
			fn(c)
		}
		return err
	}, e.TeamID, e.ClientID)
}

// hereOnly restricts a query over claims to those whose environment is on this
// server: at its address, or by a client ID that is this team's. Releases of
// others need credentials that the server does not have, and a release begun
// in vain would block the entries for a new deploy.
const hereOnly = ` AND EXISTS (SELECT 1 FROM placements p WHERE p.id = placement_id
	AND (p.api_base = $2 OR p.client_id IN (SELECT client_id FROM environments WHERE team_id = $1)))`

// Expired returns ids of claims on this server, whose address is base, that
// are over: previews by their lifetime, others by a release that was begun.
func (t *Team) Expired(ctx context.Context, base string) ([]string, error) {
	var ids []string
	err := t.db.list(ctx, "SELECT id FROM claims WHERE team_id = $1 AND (state = 'releasing' AND kind <> 'prod' OR kind = 'preview' AND expires_at > 0 AND expires_at < $3)"+hereOnly, func(s scanner) error {
		var id string
		err := s.Scan(&id)
		ids = append(ids, id)
		return err
	}, t.ID, base, millis(t.db.now()))
	return ids, err
}

// ClaimsOf returns ids of preview claims on this server, whose address is base,
// of one branch of a project.
func (t *Team) ClaimsOf(ctx context.Context, base, project, branch string) ([]string, error) {
	var ids []string
	err := t.db.list(ctx, "SELECT id FROM claims WHERE team_id = $1 AND kind = 'preview' AND project = $3 AND branch = $4"+hereOnly, func(s scanner) error {
		var id string
		err := s.Scan(&id)
		ids = append(ids, id)
		return err
	}, t.ID, base, project, branch)
	return ids, err
}

// PreviewsOf returns ids of preview claims on this server, whose address is
// base, of one branch of a repository.
func (t *Team) PreviewsOf(ctx context.Context, base, repository, branch string) ([]string, error) {
	var ids []string
	err := t.db.list(ctx, "SELECT id FROM claims WHERE team_id = $1 AND kind = 'preview' AND repository = $3 AND branch = $4"+hereOnly, func(s scanner) error {
		var id string
		err := s.Scan(&id)
		ids = append(ids, id)
		return err
	}, t.ID, base, repository, branch)
	return ids, err
}
