// Package claim holds the rules of placement and claims: which environment a
// deployment gets, what it needs of it, when a claim is renewed and when it is
// dead. It does no I/O; store keeps claims, berth carries them over the wire.
//
// A claim moves pending -> live -> releasing -> gone. It is pending from the
// moment the need is recorded until the environment has been configured, so
// that a run that stopped half-way is finished by the next one.
package claim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Kind is the kind of a deployment.
type Kind string

const (
	Dev     Kind = "dev"     // one per developer or worktree
	Preview Kind = "preview" // one per branch
	Prod    Kind = "prod"
)

// Mode is a placement: how a deployment gets its environment.
type Mode string

const (
	Dedicated Mode = "dedicated" // an environment made for this deployment
	Pooled    Mode = "pooled"    // a hand-made environment leased to one deployment at a time
	Shared    Mode = "shared"    // one environment for many deployments
)

// State is the state of a claim.
type State string

const (
	Pending   State = "pending"
	Live      State = "live"
	Releasing State = "releasing"
)

// KeptSets is how many earlier sets of redirect URIs a claim keeps next to
// the current one: a host that names the commit changes its address on every
// push, and older tabs should still be able to sign in.
const KeptSets = 3

// RemovalLease bounds how long an entry that is being removed blocks a new
// claim on it. It is longer than the deadline of the vendor call it covers.
const RemovalLease = 2 * time.Minute

// DefaultPreviewLifetime is how long a preview's claim lives without a new
// deploy. Convex keeps previews for 5 or 14 days.
const DefaultPreviewLifetime = 14 * 24 * time.Hour

// Entries are redirect URIs and CORS origins of one deploy.
type Entries struct {
	RedirectURIs []string `json:"redirect_uris"`
	CORSOrigins  []string `json:"cors_origins"`
}

// Empty reports whether there are none.
func (e Entries) Empty() bool { return len(e.RedirectURIs) == 0 && len(e.CORSOrigins) == 0 }

// Normal returns e sorted and without duplicates, never nil inside.
func (e Entries) Normal() Entries {
	return Entries{RedirectURIs: normal(e.RedirectURIs), CORSOrigins: normal(e.CORSOrigins)}
}

func normal(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return append([]string{}, slices.Compact(list)...)
}

// Equal compares the sets.
func (e Entries) Equal(f Entries) bool {
	e, f = e.Normal(), f.Normal()
	return slices.Equal(e.RedirectURIs, f.RedirectURIs) && slices.Equal(e.CORSOrigins, f.CORSOrigins)
}

// Union returns all entries of the sets.
func Union(sets ...Entries) Entries {
	var all Entries
	for _, s := range sets {
		all.RedirectURIs = append(all.RedirectURIs, s.RedirectURIs...)
		all.CORSOrigins = append(all.CORSOrigins, s.CORSOrigins...)
	}
	return all.Normal()
}

// Without returns the entries of e that are not in f.
func (e Entries) Without(f Entries) Entries {
	drop := func(list, out []string) []string {
		return slices.DeleteFunc(normal(list), func(s string) bool { return slices.Contains(out, s) })
	}
	return Entries{RedirectURIs: drop(e.RedirectURIs, f.RedirectURIs), CORSOrigins: drop(e.CORSOrigins, f.CORSOrigins)}
}

// Intersect returns the entries that are in both.
func (e Entries) Intersect(f Entries) Entries { return e.Without(e.Without(f)) }

// Claim is what one deployment needs of its environment.
type Claim struct {
	ID          string        `json:"id"`
	Project     string        `json:"project"`
	Deployment  string        `json:"deployment"` // key: project/kind/reference
	Kind        Kind          `json:"kind"`
	Branch      string        `json:"branch,omitempty"`
	Repository  string        `json:"repository,omitempty"` // owner/name, for branch events
	Host        string        `json:"host,omitempty"`       // vercel, netlify, ...
	Owner       string        `json:"owner,omitempty"`      // developer or worktree of a dev deployment
	Sets        []Entries     `json:"sets"`                 // the current set first, then kept earlier ones
	HomepageURL string        `json:"homepage_url,omitempty"`
	State       State         `json:"state"`
	Lifetime    time.Duration `json:"lifetime,omitempty"` // nanoseconds; 0: no end
	CreatedAt   time.Time     `json:"created_at"`
	RenewedAt   time.Time     `json:"renewed_at"`
	ExpiresAt   time.Time     `json:"expires_at,omitzero"`
}

// Entries returns everything the claim wants, earlier sets included.
func (c Claim) Entries() Entries { return Union(c.Sets...) }

// Current returns the newest set.
func (c Claim) Current() Entries {
	if len(c.Sets) == 0 {
		return Entries{}
	}
	return c.Sets[0]
}

// Given are credentials of an environment that a person made.
type Given struct {
	ClientID string        `json:"client_id"`
	APIKey   secret.String `json:"-"`
}

// Request asks for a claim, or renews it.
type Request struct {
	Project     string        `json:"project"`
	Deployment  string        `json:"deployment"`
	Kind        Kind          `json:"kind"`
	Branch      string        `json:"branch,omitempty"`
	Repository  string        `json:"repository,omitempty"`
	Host        string        `json:"host,omitempty"`
	Owner       string        `json:"owner,omitempty"`
	Want        Entries       `json:"want"`
	HomepageURL string        `json:"homepage_url,omitempty"`
	Lifetime    time.Duration `json:"lifetime,omitempty"`
	Mode        Mode          `json:"mode"`
	Production  bool          `json:"production,omitempty"` // the environment is of the production type
	APIBase     string        `json:"api_base"`             // where the environment lives: an AuthKit API base URL
	Given       *Given        `json:"given,omitempty"`      // shared mode with a hand-made environment
}

// Check refuses a request that cannot be recorded.
func (r Request) Check() error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "claim: "+format, args...).WithCode("invalid_claim")
	}
	switch {
	case r.Project == "" || strings.ContainsAny(r.Project, "/\\ \t\n"):
		return bad("project %q is empty or has a slash or blank", r.Project)
	case r.Kind != Dev && r.Kind != Preview && r.Kind != Prod:
		return bad("unknown kind %q", r.Kind)
	case !strings.HasPrefix(r.Deployment, DeploymentKey(r.Project, r.Kind, "")) || len(r.Deployment) == len(DeploymentKey(r.Project, r.Kind, "")) || len(r.Deployment) > 400:
		return bad("deployment %q is not %s/%s/ and a reference, or is too long", r.Deployment, r.Project, r.Kind)
	case r.Mode != Dedicated && r.Mode != Shared:
		return bad("unknown placement %q", r.Mode)
	case r.Given != nil && r.Mode != Shared:
		return bad("credentials were given, so the placement is shared, not %s", r.Mode)
	case r.Given != nil && r.Given.ClientID == "":
		return bad("credentials were given without a client ID")
	case r.Lifetime < 0:
		return bad("negative lifetime")
	case r.APIBase == "":
		return bad("no API base")
	case len(r.Want.RedirectURIs)+len(r.Want.CORSOrigins) > 1000:
		return bad("more than 1000 entries")
	}
	return nil
}

// DeploymentKey returns the key of a deployment: project/kind/reference.
func DeploymentKey(project string, kind Kind, reference string) string {
	return project + "/" + string(kind) + "/" + reference
}

// Slot names the place that a request's environment fills. A dedicated one is
// numbered, because branch names are reused: generation n of a deployment is
// made while generation n-1 may still be on its way out.
func (r Request) Slot(generation int) string {
	switch {
	case r.Mode == Dedicated:
		return string(Dedicated) + ":" + r.Deployment + "#" + strconv.Itoa(generation)
	case r.Given != nil:
		return "given:" + r.Given.ClientID
	default:
		return string(Shared) + ":" + r.Project + "/" + string(r.Kind)
	}
}

// EnvironmentName is the name under which a slot's environment is made, so
// that a person who looks at the vendor's list knows whose it is.
func (r Request) EnvironmentName(generation int) string {
	name := strings.TrimPrefix(r.Deployment, r.Project+"/")
	switch {
	case r.Mode == Shared:
		name = string(r.Kind) + " (shared)"
	case r.Kind == Preview && r.Branch != "":
		name = "preview " + r.Branch
	case r.Kind == Prod:
		name = "production"
	case r.Kind == Dev && r.Owner != "":
		// One person may have several worktrees: the end of the id tells them apart.
		id := strings.TrimPrefix(name, "dev/")
		name = "dev " + r.Owner + " " + id[max(0, len(id)-4):]
	}
	if generation > 1 {
		name += " #" + strconv.Itoa(generation)
	}
	return fmt.Sprintf("%s %s", r.Project, name)
}

// Renew merges a request into the claim of the same deployment. changed says
// whether anything has to be written: an equal request changes nothing while
// less than a 24th of the lifetime has passed since the last renewal.
func Renew(old *Claim, r Request, now time.Time) (c Claim, changed bool) {
	want := r.Want.Normal()
	if old == nil {
		c = Claim{Project: r.Project, Deployment: r.Deployment, Kind: r.Kind, State: Pending, CreatedAt: now}
	} else {
		c = *old
	}
	c.Branch, c.Repository, c.Host, c.Owner = r.Branch, r.Repository, r.Host, r.Owner
	c.HomepageURL, c.Lifetime = r.HomepageURL, r.Lifetime
	same := old != nil && old.Current().Equal(want) && old.HomepageURL == r.HomepageURL && old.Lifetime == r.Lifetime &&
		old.Branch == r.Branch && old.Repository == r.Repository && old.Host == r.Host && old.Owner == r.Owner
	fresh := old != nil && (r.Lifetime == 0 || now.Sub(old.RenewedAt) < r.Lifetime/24)
	if same && fresh {
		return *old, false
	}
	if old == nil || !old.Current().Equal(want) {
		c.Sets = slices.DeleteFunc(slices.Clone(c.Sets), want.Equal)
		c.Sets = slices.Insert(c.Sets, 0, want)
		if r.Kind == Dev {
			c.Sets = c.Sets[:1] // a laptop has one port at a time
		}
		if len(c.Sets) > 1+KeptSets {
			c.Sets = c.Sets[:1+KeptSets]
		}
		c.State = Pending
	}
	c.RenewedAt = now
	c.ExpiresAt = time.Time{}
	if r.Lifetime > 0 {
		c.ExpiresAt = now.Add(r.Lifetime)
	}
	return c, true
}

// Choose returns the placement of a deployment and, for people, why. wish is
// what they asked for ("" for no wish); canCreate says that environments can be
// made here; given that credentials of one were found.
func Choose(wish Mode, canCreate, given bool) (Mode, string, error) {
	switch wish {
	case "":
		switch {
		case given:
			return Shared, "credentials of an existing environment are set", nil
		case canCreate:
			return Dedicated, "environments can be made here", nil
		}
		return "", "", fault.New(fault.NeedsPerson, "no way to get an auth environment: there is no server that makes them and no credentials of an existing one").
			WithFix("start one with `berth serve`, or set WORKOS_CLIENT_ID and WORKOS_API_KEY of an existing environment")
	case Dedicated:
		if !canCreate {
			return "", "", fault.New(fault.Unsupported, "placement dedicated needs a server or WorkOS Platform credentials that can make environments").
				WithFix("set BERTH_SERVER and BERTH_TOKEN, or WORKOS_PLATFORM_CLIENT_ID, WORKOS_PLATFORM_CLIENT_SECRET and WORKOS_PLATFORM_TEAM_ID, or use --placement shared")
		}
		return Dedicated, "asked for", nil
	case Shared:
		if !given && !canCreate {
			return "", "", fault.New(fault.NeedsPerson, "placement shared needs an environment to share").
				WithFix("set WORKOS_CLIENT_ID and WORKOS_API_KEY of the environment")
		}
		return Shared, "asked for", nil
	case Pooled:
		return "", "", fault.New(fault.Unsupported, "placement pooled is not available in this version").WithFix("use --placement dedicated or --placement shared")
	}
	return "", "", fault.New(fault.Invalid, "unknown placement %q", wish).WithFix("use dedicated or shared")
}

// Placement is where a claim's environment is.
type Placement struct {
	ID              string `json:"id"`
	Slot            string `json:"slot"`
	Mode            Mode   `json:"mode"`
	Project         string `json:"project"`
	State           string `json:"state"` // wanted, bound, deleting
	Owned           bool   `json:"owned"` // made by Berth, so that Berth may delete it
	Production      bool   `json:"production"`
	APIBase         string `json:"api_base"`
	EnvironmentID   string `json:"environment_id,omitempty"`
	EnvironmentName string `json:"environment_name"`
	ClientID        string `json:"client_id,omitempty"`
	HomepageURL     string `json:"homepage_url,omitempty"`   // last one set by Berth
	HomepageClaim   string `json:"homepage_claim,omitempty"` // the claim it was set for
}

// Bound reports whether the environment exists and its credentials are known.
func (p Placement) Bound() bool { return p.State == "bound" }

// EnvironmentKey is the Idempotency-Key with which the placement's environment
// is made, so that a repeated run gets the one that an interrupted run made.
func (p Placement) EnvironmentKey() string { return p.ID + "/environment" }

// APIKeyKey is the Idempotency-Key of the environment's API key.
func (p Placement) APIKeyKey() string { return p.ID + "/api_key" }

// Grant is a claim with all that a run needs to act on it.
type Grant struct {
	Claim      Claim         `json:"claim"`
	Placement  Placement     `json:"placement"`
	APIKey     secret.String `json:"-"`
	Others     Entries       `json:"others"`        // what other claims want of the same environment
	OtherLive  int           `json:"other_live"`    // how many other deployments share it
	Owned      Entries       `json:"owned_entries"` // what Berth put there
	Removing   Entries       `json:"removing"`      // of those, what the run of another claim is removing now
	Superseded Entries       `json:"superseded"`    // Berth's own, wanted by nobody any more, and this claim's to remove
	Changed    bool          `json:"changed"`       // the request changed the record
	Reread     bool          `json:"reread"`        // another run may have removed a wanted entry just before: look again
}

// Release says what is to be removed for a claim that is being released.
type Release struct {
	Claim             Claim         `json:"claim"`
	Placement         Placement     `json:"placement"`
	APIKey            secret.String `json:"-"`
	DeleteEnvironment bool          `json:"delete_environment"`
	Remove            Entries       `json:"remove"`
}
