package claim

import (
	"fmt"
	"time"
)

// Evidence is what is known about a repository's branches and what a person
// named. A failed look-up leaves Branches nil: it proves nothing.
type Evidence struct {
	Repository string          // owner/name whose branches were listed
	Branches   map[string]bool // nil when the list could not be had
	Named      map[string]bool // branches or deployment keys that a person asked to release; with any, only these
}

// Dead decides whether a claim may be released, and why. Production is never
// dead, and neither is a dev deployment that nobody named.
func Dead(c Claim, e Evidence, now time.Time) (bool, string) {
	if c.Kind == Prod {
		return false, "production is never pruned"
	}
	if e.Named[c.Deployment] || c.Kind == Preview && e.Named[c.Branch] {
		return true, "asked for"
	}
	if c.State == Releasing && len(e.Named) == 0 {
		return true, "an earlier release was not finished"
	}
	if c.Kind == Dev {
		return false, "a developer's deployment is released only by name"
	}
	if len(e.Named) > 0 {
		return false, "not among those asked for"
	}
	if !c.ExpiresAt.IsZero() && now.After(c.ExpiresAt) {
		return true, fmt.Sprintf("not deployed since %s, lifetime %s", c.RenewedAt.UTC().Format("2006-01-02"), days(c.Lifetime))
	}
	switch {
	case c.Branch == "":
		return false, "its branch is not known"
	case e.Branches == nil:
		return false, "the branches could not be listed"
	case c.Repository == "" || c.Repository != e.Repository:
		return false, "it belongs to another repository"
	case len(e.Branches) == 0:
		return false, "the repository lists no branch at all, which proves nothing"
	case e.Branches[c.Branch]:
		return false, "its branch exists"
	}
	return true, fmt.Sprintf("branch %s is gone from %s", c.Branch, e.Repository)
}

func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		n := int(d / (24 * time.Hour))
		if n == 1 {
			return "1 day"
		}
		return fmt.Sprintf("%d days", n)
	}
	return d.String()
}
