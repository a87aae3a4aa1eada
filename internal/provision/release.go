package provision

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/workos"
)

// Verdict is the decision on one claim.
type Verdict struct {
	Grant  claim.Grant
	Dead   bool
	Reason string
}

// Judge decides for every claim of a project whether it may be released.
func Judge(claims []claim.Grant, e claim.Evidence, now time.Time) []Verdict {
	out := make([]Verdict, len(claims))
	for i, g := range claims {
		dead, reason := claim.Dead(g.Claim, e, now)
		out[i] = Verdict{Grant: g, Dead: dead, Reason: reason}
	}
	return out
}

// Removal is what releasing one claim came to.
type Removal struct {
	Deployment  string   `json:"deployment"`
	Environment string   `json:"environment"`
	Deleted     bool     `json:"environment_deleted"`
	Removed     []string `json:"removed"`
	Left        []Left   `json:"left"` // what the vendor does not let us remove, and why
}

// Left is an entry that stays.
type Left struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Release releases a claim: its environment when it was made for it, else the
// entries that Berth put there and nobody else wants. A run that stops in
// between is finished by the next one.
func (c *Connection) Release(ctx context.Context, claimID string) (*Removal, error) {
	rel, err := c.Ledger.Release(ctx, claimID)
	if err != nil {
		return nil, err
	}
	out := &Removal{Deployment: rel.Claim.Deployment, Environment: rel.Placement.EnvironmentName, Removed: []string{}, Left: []Left{}}
	here := c.Embedded && rel.Placement.APIBase == c.APIBase
	switch {
	case here:
		// The server itself removes all of it, in one step with the claim.
		out.Deleted = rel.DeleteEnvironment
		if !rel.DeleteEnvironment {
			out.Removed = append(append(out.Removed, rel.Remove.RedirectURIs...), rel.Remove.CORSOrigins...)
		}
		return out, c.Ledger.Released(ctx, claimID, rel.Remove)
	case rel.DeleteEnvironment:
		if err := c.deleteEnvironment(ctx, rel, out); err != nil {
			return out, err
		}
		return out, c.Ledger.Released(ctx, claimID, rel.Remove)
	case !rel.Placement.Bound():
		return out, c.Ledger.Released(ctx, claimID, claim.Entries{})
	case rel.Placement.APIBase != c.APIBase:
		return out, fault.New(fault.Conflict, "the environment of %s is at %s, and this command works with %s", rel.Claim.Deployment, rel.Placement.APIBase, c.APIBase).
			WithFix("run it with the settings that the deployment was made with")
	}
	r := &removal{conn: c, env: c.environment(rel.Placement.ClientID, rel.APIKey), release: rel, leased: c.now(), out: out}
	if err := r.run(ctx); err != nil {
		return out, err
	}
	return out, c.Ledger.Released(ctx, claimID, r.gone)
}

func (c *Connection) deleteEnvironment(ctx context.Context, rel *claim.Release, out *Removal) error {
	if rel.Placement.EnvironmentID == "" {
		if !c.Embedded {
			out.Left = append(out.Left, Left{Name: rel.Placement.EnvironmentName, Reason: "an interrupted run may have made an environment of this name; WorkOS has no call that lists environments, so look for it in the dashboard"})
		}
		return nil
	}
	if c.Platform == nil || rel.Placement.APIBase != c.APIBase {
		return fault.New(fault.Unsupported, "the environment %s can only be deleted with the credentials that made it (%s)", rel.Placement.EnvironmentName, rel.Placement.APIBase).
			WithFix("set the Platform credentials or the server that made it, and run the command again")
	}
	outcome, err := c.Platform.DeleteEnvironment(ctx, c.TeamID, rel.Placement.EnvironmentID)
	if err != nil {
		return err
	}
	if outcome.State == workos.NotRemovable {
		out.Left = append(out.Left, Left{Name: rel.Placement.EnvironmentName, Reason: outcome.Reason})
		return nil
	}
	out.Deleted = true
	return nil
}

// Orphan is an environment that Berth made and that no deployment has.
type Orphan struct {
	Name          string
	EnvironmentID string
}

// Orphans lists environments of a Berth server that an interrupted run left.
// WorkOS has no call that lists environments: there the list is empty, and
// Release says which ones may be left.
func (c *Connection) Orphans(ctx context.Context) ([]Orphan, error) {
	if !c.Embedded {
		return nil, nil
	}
	found, err := c.Ledger.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	var out []Orphan
	for _, e := range found.Environments {
		if !e.Production {
			out = append(out, Orphan{Name: e.Name, EnvironmentID: e.ID})
		}
	}
	return out, nil
}

// RemoveOrphans deletes orphaned environments.
func (c *Connection) RemoveOrphans(ctx context.Context, list []Orphan) error {
	for _, o := range list {
		if _, err := c.Platform.DeleteEnvironment(ctx, c.TeamID, o.EnvironmentID); err != nil {
			return err
		}
	}
	return nil
}
