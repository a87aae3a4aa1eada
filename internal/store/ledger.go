package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

const claimColumns = "id, placement_id, project, deployment, kind, branch, repository, host, owner, wants, homepage_url, state, lifetime, created_at, renewed_at, expires_at"

func scanClaim(s scanner) (c claim.Claim, placementID string, err error) {
	var sets string
	var lifetime, created, renewed, expires int64
	err = s.Scan(&c.ID, &placementID, &c.Project, &c.Deployment, &c.Kind, &c.Branch, &c.Repository, &c.Host, &c.Owner, &sets,
		&c.HomepageURL, &c.State, &lifetime, &created, &renewed, &expires)
	if err != nil {
		return c, "", err
	}
	c.Lifetime = time.Duration(lifetime) * time.Millisecond
	c.CreatedAt, c.RenewedAt, c.ExpiresAt = fromMillis(created), fromMillis(renewed), fromMillis(expires)
	if err := json.Unmarshal([]byte(sets), &c.Sets); err != nil {
		return c, "", fmt.Errorf("read claim %s: %w", c.ID, err)
	}
	return c, placementID, nil
}

const placementColumns = "id, slot, mode, project, state, owned, production, api_base, environment_id, environment_name, client_id, api_key, homepage_url, homepage_claim"

func (t *Team) scanPlacement(s scanner) (p claim.Placement, key secret.String, err error) {
	var sealed []byte
	err = s.Scan(&p.ID, &p.Slot, &p.Mode, &p.Project, &p.State, &p.Owned, &p.Production, &p.APIBase, &p.EnvironmentID, &p.EnvironmentName,
		&p.ClientID, &sealed, &p.HomepageURL, &p.HomepageClaim)
	if err != nil || len(sealed) == 0 {
		return p, "", err
	}
	plain, err := t.db.box.Open("placement key", p.ID, sealed)
	return p, secret.String(plain), err
}

// PutClaim records what a deployment needs, before anything is asked of a
// vendor, and says where its environment is or should be. An unchanged, fresh
// claim is not written. Code removal_in_progress (Conflict) means that an
// entry is just being removed: ask again shortly.
func (t *Team) PutClaim(ctx context.Context, r claim.Request) (*claim.Grant, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	var g *claim.Grant
	err := t.db.write(ctx, func(tx *tx) error {
		now := t.db.now()
		old, placementID, err := t.activeClaim(tx, r.Deployment)
		if err != nil {
			return err
		}
		p, err := t.place(tx, r, old, placementID, now)
		if err != nil {
			return err
		}
		c, changed := claim.Renew(old, r, now)
		if c.ID == "" {
			c.ID = identity.NewID(identity.PrefixClaim)
		}
		if changed {
			if err := t.saveClaim(tx, c, p.ID); err != nil {
				return err
			}
		}
		g, err = t.grant(tx, c, p.ID)
		if err != nil {
			return err
		}
		g.Changed = changed
		if err := t.refuseRemoving(tx, p.ID, c.Entries(), now); err != nil {
			return err
		}
		if g.Reread, err = keep(tx, p.ID, c.Entries()); err != nil {
			return err
		}
		return t.markRemoving(tx, p.ID, c.ID, g.Superseded, now)
	})
	return g, err
}

// Claim returns the grant of a deployment without changing anything, or
// NotFound.
func (t *Team) Claim(ctx context.Context, deployment string) (*claim.Grant, error) {
	var g *claim.Grant
	err := t.db.write(ctx, func(tx *tx) error {
		c, placementID, err := t.activeClaim(tx, deployment)
		if err != nil {
			return err
		}
		if c == nil {
			return fault.New(fault.NotFound, "no claim of deployment %q", deployment).WithCode("claim_not_found")
		}
		g, err = t.grant(tx, *c, placementID)
		return err
	})
	return g, err
}

// Claims returns the team's claims, optionally of one project, oldest first,
// each with its placement.
func (t *Team) Claims(ctx context.Context, project string) ([]claim.Grant, error) {
	var all []claim.Grant
	places := map[string]claim.Placement{}
	err := t.db.list(ctx, "SELECT "+placementColumns+" FROM placements WHERE team_id = $1", func(s scanner) error {
		p, _, err := t.scanPlacement(s)
		places[p.ID] = p
		return err
	}, t.ID)
	if err != nil {
		return nil, err
	}
	live := map[string]int{}
	err = t.db.list(ctx, "SELECT "+claimColumns+" FROM claims WHERE team_id = $1 ORDER BY project, deployment, id", func(s scanner) error {
		c, placementID, err := scanClaim(s)
		if err != nil {
			return err
		}
		if c.State != claim.Releasing {
			live[placementID]++
		}
		if project == "" || c.Project == project {
			all = append(all, claim.Grant{Claim: c, Placement: places[placementID]})
		}
		return nil
	}, t.ID)
	for i := range all {
		all[i].OtherLive = live[all[i].Placement.ID]
		if all[i].Claim.State != claim.Releasing {
			all[i].OtherLive--
		}
	}
	return all, err
}

func (t *Team) activeClaim(tx *tx, deployment string) (*claim.Claim, string, error) {
	c, placementID, err := scanClaim(tx.row("SELECT "+claimColumns+" FROM claims WHERE team_id = $1 AND deployment = $2 AND state <> 'releasing'", t.ID, deployment))
	if isNoRows(err) {
		return nil, "", nil
	}
	return &c, placementID, err
}

// place finds or makes the placement of a request.
func (t *Team) place(tx *tx, r claim.Request, old *claim.Claim, placementID string, now time.Time) (claim.Placement, error) {
	if old != nil {
		p, _, err := t.scanPlacement(tx.row("SELECT "+placementColumns+" FROM placements WHERE team_id = $1 AND id = $2", t.ID, placementID))
		if err != nil {
			return p, err
		}
		if p.Mode != r.Mode || p.Mode == claim.Shared && p.Slot != r.Slot(1) || p.APIBase != r.APIBase || p.Production != r.Production {
			return p, fault.New(fault.Conflict, "deployment %s already has another environment (%s, %s)", r.Deployment, p.Mode, p.EnvironmentName).
				WithFix("keep that placement, or release it first: berth prune --deployment %s", r.Deployment).WithCode("placement_differs")
		}
		return p, t.keepGivenKey(tx, r, p.ID, now)
	}
	generation := 1
	if r.Mode == claim.Dedicated {
		// Slots of one deployment differ in the number after the "#"; "$" follows "#".
		prefix := strings.TrimSuffix(r.Slot(0), "0")
		if err := tx.row("SELECT count(*) + 1 FROM placements WHERE team_id = $1 AND slot > $2 AND slot < $3", t.ID, prefix, strings.TrimSuffix(prefix, "#")+"$").Scan(&generation); err != nil {
			return claim.Placement{}, err
		}
		// Deleted placements leave gaps: go on until the number is free.
		for {
			var n int
			if err := tx.row("SELECT count(*) FROM placements WHERE team_id = $1 AND slot = $2", t.ID, r.Slot(generation)).Scan(&n); err != nil {
				return claim.Placement{}, err
			}
			if n == 0 {
				break
			}
			generation++
		}
	}
	p := claim.Placement{ID: identity.NewID(identity.PrefixPlacement), Slot: r.Slot(generation), Mode: r.Mode, Project: r.Project, State: "wanted", Owned: r.Given == nil,
		Production: r.Production, APIBase: r.APIBase, EnvironmentName: r.EnvironmentName(generation)}
	var sealed []byte
	if r.Given != nil {
		p.State, p.ClientID = "bound", r.Given.ClientID
		sealed = t.db.box.Seal("placement key", p.ID, []byte(r.Given.APIKey.Reveal()))
	}
	_, err := tx.exec("INSERT INTO placements (team_id, created_at, updated_at, "+placementColumns+`) VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', $11, $12, $13, '', '')
		ON CONFLICT (team_id, slot) DO NOTHING`,
		t.ID, millis(now), p.ID, p.Slot, string(p.Mode), p.Project, p.State, p.Owned, p.Production, p.APIBase, p.EnvironmentName, p.ClientID, sealed)
	if err != nil {
		return p, err
	}
	p, _, err = t.scanPlacement(tx.row("SELECT "+placementColumns+" FROM placements WHERE team_id = $1 AND slot = $2", t.ID, p.Slot))
	switch {
	case err != nil:
		return p, err
	case p.APIBase != r.APIBase:
		return p, fault.New(fault.Conflict, "the shared environment %s is at %s, not at %s", p.EnvironmentName, p.APIBase, r.APIBase).WithCode("placement_differs")
	case p.Production != r.Production:
		return p, fault.New(fault.Conflict, "the shared environment %s is of another type (production %v, asked for %v)", p.EnvironmentName, p.Production, r.Production).WithCode("placement_differs")
	}
	return p, t.keepGivenKey(tx, r, p.ID, now)
}

// keepGivenKey keeps the API key that a person gave: it may be a new one of an
// environment that is already known.
func (t *Team) keepGivenKey(tx *tx, r claim.Request, placementID string, now time.Time) error {
	if r.Given == nil || r.Given.APIKey == "" {
		return nil
	}
	p, key, err := t.scanPlacement(tx.row("SELECT "+placementColumns+" FROM placements WHERE team_id = $1 AND id = $2", t.ID, placementID))
	if err != nil || key == r.Given.APIKey {
		return err
	}
	_, err = tx.exec("UPDATE placements SET api_key = $3, updated_at = $4 WHERE team_id = $1 AND id = $2",
		t.ID, p.ID, t.db.box.Seal("placement key", p.ID, []byte(r.Given.APIKey.Reveal())), millis(now))
	return err
}

func (t *Team) saveClaim(tx *tx, c claim.Claim, placementID string) error {
	sets, err := json.Marshal(c.Sets)
	if err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO claims (team_id, "+claimColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT (id) DO UPDATE SET branch = excluded.branch, repository = excluded.repository, host = excluded.host, owner = excluded.owner,
		wants = excluded.wants, homepage_url = excluded.homepage_url, state = excluded.state, lifetime = excluded.lifetime,
		renewed_at = excluded.renewed_at, expires_at = excluded.expires_at`,
		t.ID, c.ID, placementID, c.Project, c.Deployment, string(c.Kind), c.Branch, c.Repository, c.Host, c.Owner, string(sets), c.HomepageURL, string(c.State),
		c.Lifetime.Milliseconds(), millis(c.CreatedAt), millis(c.RenewedAt), millis(c.ExpiresAt))
	return err
}

// grant gathers what is known around a claim.
func (t *Team) grant(tx *tx, c claim.Claim, placementID string) (*claim.Grant, error) {
	g := &claim.Grant{Claim: c}
	var err error
	g.Placement, g.APIKey, err = t.scanPlacement(tx.row("SELECT "+placementColumns+" FROM placements WHERE team_id = $1 AND id = $2", t.ID, placementID))
	if err != nil {
		return nil, err
	}
	g.Others, g.OtherLive, err = t.otherWants(tx, placementID, c.ID)
	if err != nil {
		return nil, err
	}
	g.Owned, g.Removing, err = t.ownedEntries(tx, placementID, c.ID)
	if err != nil {
		return nil, err
	}
	g.Superseded = g.Owned.Without(claim.Union(c.Entries(), g.Others, g.Removing))
	return g, nil
}

func (t *Team) otherWants(tx *tx, placementID, exceptClaim string) (claim.Entries, int, error) {
	var sets []claim.Entries
	n := 0
	err := tx.rows("SELECT "+claimColumns+" FROM claims WHERE team_id = $1 AND placement_id = $2 AND id <> $3 AND state <> 'releasing'", func(s scanner) error {
		c, _, err := scanClaim(s)
		sets = append(sets, c.Sets...)
		n++
		return err
	}, t.ID, placementID, exceptClaim)
	return claim.Union(sets...), n, err
}

// ownedEntries returns what Berth put there, and which of it runs of other
// claims are removing now.
func (t *Team) ownedEntries(tx *tx, placementID, claimID string) (owned, removing claim.Entries, err error) {
	now := millis(t.db.now())
	err = tx.rows("SELECT kind, value, removing_until, removing_by FROM owned_entries WHERE placement_id = $1", func(s scanner) error {
		var kind, value, by string
		var until int64
		err := s.Scan(&kind, &value, &until, &by)
		add := func(e *claim.Entries) {
			if kind == "redirect_uri" {
				e.RedirectURIs = append(e.RedirectURIs, value)
			} else {
				e.CORSOrigins = append(e.CORSOrigins, value)
			}
		}
		if add(&owned); until > now && by != claimID {
			add(&removing)
		}
		return err
	}, placementID)
	return owned.Normal(), removing.Normal(), err
}

// refuseRemoving refuses a claim on entries that another run is removing now.
func (t *Team) refuseRemoving(tx *tx, placementID string, want claim.Entries, now time.Time) error {
	var blocked string
	err := tx.rows("SELECT value FROM owned_entries WHERE placement_id = $1 AND removing_until > $2", func(s scanner) error {
		var value string
		err := s.Scan(&value)
		if slices.Contains(want.RedirectURIs, value) || slices.Contains(want.CORSOrigins, value) {
			blocked = value
		}
		return err
	}, placementID, millis(now))
	if err == nil && blocked != "" {
		return fault.New(fault.Conflict, "%s is being removed right now", blocked).WithFix("try again in a moment").WithCode("removal_in_progress")
	}
	return err
}

// markRemoving notes that a run of a claim is about to remove entries.
func (t *Team) markRemoving(tx *tx, placementID, claimID string, e claim.Entries, now time.Time) error {
	return eachEntry(e, func(kind, value string) error {
		_, err := tx.exec("UPDATE owned_entries SET removing_until = $4, removing_by = $5 WHERE placement_id = $1 AND kind = $2 AND value = $3",
			placementID, kind, value, millis(now.Add(claim.RemovalLease)), claimID)
		return err
	})
}

// keep ends the removal mark of entries that are wanted again: whoever was
// removing them had the time of its lease, and may not forget them now. It
// reports whether there was such a mark: then what is there has to be read
// again, because the other run may have removed the entry before this claim
// was on record.
func keep(tx *tx, placementID string, wanted claim.Entries) (any bool, err error) {
	err = eachEntry(wanted, func(kind, value string) error {
		n, err := tx.exec("UPDATE owned_entries SET removing_until = 0, removing_by = '' WHERE placement_id = $1 AND kind = $2 AND value = $3 AND removing_until > 0",
			placementID, kind, value)
		any = any || n > 0
		return err
	})
	return any, err
}

func eachEntry(e claim.Entries, fn func(kind, value string) error) error {
	for _, v := range e.RedirectURIs {
		if err := fn("redirect_uri", v); err != nil {
			return err
		}
	}
	for _, v := range e.CORSOrigins {
		if err := fn("cors_origin", v); err != nil {
			return err
		}
	}
	return nil
}

// Bind records the environment that was made for a placement. Of two runs that
// made one each, the first wins: the other gets the winner's placement and must
// remove its own.
func (t *Team) Bind(ctx context.Context, placementID, environmentID, clientID string, apiKey secret.String) (claim.Placement, error) {
	var p claim.Placement
	err := t.db.write(ctx, func(tx *tx) (err error) {
		sealed := t.db.box.Seal("placement key", placementID, []byte(apiKey.Reveal()))
		_, err = tx.exec(`UPDATE placements SET state = 'bound', environment_id = $3, client_id = $4, api_key = $5, updated_at = $6
			WHERE team_id = $1 AND id = $2 AND state = 'wanted'`, t.ID, placementID, environmentID, clientID, sealed, millis(t.db.now()))
		if err != nil {
			return err
		}
		p, _, err = t.scanPlacement(tx.row("SELECT "+placementColumns+" FROM placements WHERE team_id = $1 AND id = $2", t.ID, placementID))
		if isNoRows(err) {
			return notFound("placement", placementID)
		}
		return err
	})
	return p, err
}

// Intend records entries as Berth's own before they are sent to the vendor. A
// claim that is being released takes none: its removal has been decided.
func (t *Team) Intend(ctx context.Context, claimID string, add claim.Entries) error {
	return t.db.write(ctx, func(tx *tx) error {
		placementID, err := t.heldPlacement(tx, claimID)
		if err != nil {
			return err
		}
		now := t.db.now()
		return eachEntry(add, func(kind, value string) error {
			_, err := tx.exec("INSERT INTO owned_entries (placement_id, kind, value, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
				placementID, kind, value, millis(now))
			return err
		})
	})
}

// heldPlacement returns the placement of a claim that is not being released.
func (t *Team) heldPlacement(tx *tx, claimID string) (string, error) {
	var id string
	var state claim.State
	err := tx.row("SELECT placement_id, state FROM claims WHERE team_id = $1 AND id = $2", t.ID, claimID).Scan(&id, &state)
	if isNoRows(err) {
		return "", notFound("claim", claimID)
	}
	if err == nil && state == claim.Releasing {
		return "", fault.New(fault.Conflict, "claim %s was released by another run", claimID).
			WithFix("run the same command again: it makes a new claim").WithCode("claim_released")
	}
	return id, err
}

// Confirm records that the environment is as the claim wants it. removed are
// superseded entries that are gone; homepage is the one that was set ("" for
// none).
func (t *Team) Confirm(ctx context.Context, claimID string, removed claim.Entries, homepage string) error {
	return t.db.write(ctx, func(tx *tx) error {
		placementID, err := t.heldPlacement(tx, claimID)
		if err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE claims SET state = 'live' WHERE team_id = $1 AND id = $2 AND state = 'pending'", t.ID, claimID); err != nil {
			return err
		}
		if homepage != "" {
			if _, err := tx.exec("UPDATE placements SET homepage_url = $3, homepage_claim = $4, updated_at = $5 WHERE team_id = $1 AND id = $2",
				t.ID, placementID, homepage, claimID, millis(t.db.now())); err != nil {
				return err
			}
		}
		return forget(tx, placementID, claimID, removed)
	})
}

// forget drops entries whose removal was under way. One that a claim wanted
// again meanwhile stays recorded. What the claim's run was to remove and could
// not, such as a default redirect URI, is free to be wanted again.
func forget(tx *tx, placementID, claimID string, removed claim.Entries) error {
	err := eachEntry(removed, func(kind, value string) error {
		_, err := tx.exec("DELETE FROM owned_entries WHERE placement_id = $1 AND kind = $2 AND value = $3 AND removing_until > 0", placementID, kind, value)
		return err
	})
	if err != nil {
		return err
	}
	_, err = tx.exec("UPDATE owned_entries SET removing_until = 0, removing_by = '' WHERE placement_id = $1 AND removing_by = $2", placementID, claimID)
	return err
}
