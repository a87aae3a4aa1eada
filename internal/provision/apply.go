package provision

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

func (c *Connection) now() time.Time { return time.Now() }

// Outcome is what applying a plan came to.
type Outcome struct {
	Plan        plan.Plan
	Report      *plan.Report
	Environment Environment
	Changed     bool // anything was written
	Replanned   bool // the world had moved since the plan was shown, so another one was applied
	BackendName string
}

// Apply does what the plan shows and keeps the ledger true around it. With
// nothing to change it writes nothing, not even to the ledger. When another run
// releases the deployment meanwhile it begins again, with a new claim.
func (c *Connection) Apply(ctx context.Context, p *Prepared) (*Outcome, error) {
	var out *Outcome
	begun := false
	err := again(ctx, func() (bool, error) {
		if begun {
			fresh, err := c.Prepare(ctx, p.Request)
			if err != nil {
				return false, err
			}
			fresh.made = p.made
			*p = *fresh
		}
		var err error
		out, err = p.apply(ctx)
		if out != nil {
			out.Replanned = out.Replanned || begun
		}
		begun = true
		return err != nil && c.overtaken(ctx, p, err), err
	})
	return out, err
}

func (p *Prepared) apply(ctx context.Context) (*Outcome, error) {
	c := p.conn
	if p.Idle != "" {
		return &Outcome{Report: &plan.Report{}}, nil
	}
	if err := p.Refused(); err != nil {
		return nil, err
	}
	if !p.renewed && p.Plan.Empty() && p.grant.Claim.State == claim.Live {
		return &Outcome{Plan: p.Plan, Report: &plan.Report{Notes: p.Plan.Notes}, Environment: p.environment(), BackendName: p.backend.Name}, nil
	}
	shown := p.Plan
	grant, err := p.putClaim(ctx)
	if err != nil {
		return nil, err
	}
	if grant.Reread || grant.Placement.Bound() != p.grant.Placement.Bound() || !sameEntries(grant, p.grant) {
		p.grant = grant
		p.Plan = plan.Plan{Warnings: shown.Warnings[:0:0]}
		if err := p.want(); err != nil {
			return nil, err
		}
		p.grant.Claim = grant.Claim
		if err := p.diff(ctx); err != nil {
			return nil, err
		}
		if err := p.Refused(); err != nil {
			return nil, err
		}
	}
	p.grant = grant
	if p.backend, err = p.backend.Open(ctx); err != nil {
		return nil, err
	}
	out := &Outcome{Plan: p.Plan, Changed: true, Replanned: len(p.Plan.Changes) != len(shown.Changes), BackendName: p.backend.Name}
	run := &run{conn: c, prepared: p, grant: grant}
	targets := plan.Targets{Provisioner: run, Files: run, Hooks: plan.Hooks{Intent: run.intent, Outcome: run.outcome, Claimed: run.claimed}}
	if grant.Placement.Bound() {
		targets.Environment = run.configurator(grant)
	}
	if p.backend.Deployment != nil {
		targets.Variables = run
	}
	if p.backend.Embedded {
		targets.AuthConfig = run
	}
	out.Report, err = plan.Apply(ctx, p.Plan, targets)
	if err != nil {
		return out, err
	}
	p.grant = run.grant
	out.Environment = p.environment()
	if err := c.Ledger.Confirm(ctx, run.grant.Claim.ID, berth.ConfirmRequest{Removed: run.removed, HomepageURL: run.homepage}); err != nil {
		return out, err
	}
	return out, nil
}

// putClaim records the claim, after it has ended what another run of a release
// of the same deployment left. Entries that this run had added under a claim
// that was released meanwhile are recorded again as Berth's own.
func (p *Prepared) putClaim(ctx context.Context) (*claim.Grant, error) {
	if p.grant.Claim.ID == "" && p.claim.Mode == claim.Shared {
		if err := p.conn.finishReleases(ctx, p.Request); err != nil {
			return nil, err
		}
	}
	grant, err := p.conn.Ledger.PutClaim(ctx, p.claim)
	if err != nil || p.made.Empty() {
		return grant, err
	}
	return grant, p.conn.Ledger.Intend(ctx, grant.Claim.ID, p.made.Normal())
}

// sameEntries reports whether the ledger's answer is what the plan was made
// from. What others want may have changed: it is asked again before anything
// is removed.
func sameEntries(a, b *claim.Grant) bool {
	return a.Claim.Entries().Equal(b.Claim.Entries()) && a.Owned.Equal(b.Owned) && a.Placement.HomepageURL == b.Placement.HomepageURL &&
		(b.Placement.ID == "" || a.Placement.ID == b.Placement.ID) && (b.Claim.ID == "" || a.Claim.ID == b.Claim.ID)
}

// environment returns what a child process gets to know.
func (p *Prepared) environment() Environment {
	e := Environment{Placement: p.grant.Placement, APIKey: p.grant.APIKey, Variables: p.vars(p.grant.Placement, p.grant.APIKey)}
	slices.SortFunc(e.Variables, func(a, b Variable) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return e
}

// run carries out one plan: it implements the target interfaces of package plan.
type run struct {
	conn     *Connection
	prepared *Prepared
	grant    *claim.Grant

	mu       sync.Mutex
	removed  claim.Entries
	homepage string
}

// intent records what is about to be added as Berth's own.
func (r *run) intent(ctx context.Context, changes []plan.Change) error {
	var add claim.Entries
	for _, c := range changes {
		switch {
		case c.Action == plan.Add && c.Resource == plan.RedirectURI:
			add.RedirectURIs = append(add.RedirectURIs, c.Name)
		case c.Action == plan.Add && c.Resource == plan.CORSOrigin:
			add.CORSOrigins = append(add.CORSOrigins, c.Name)
		}
	}
	if add.Empty() {
		return nil
	}
	return r.conn.Ledger.Intend(ctx, r.grant.Claim.ID, add.Normal())
}

// outcome remembers what has to be confirmed.
func (r *run) outcome(_ context.Context, res plan.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := res.State == plan.Done || res.State == plan.AlreadyThere
	made := &r.prepared.made
	switch {
	case res.Change.Action == plan.Add && res.Change.Resource == plan.RedirectURI:
		made.RedirectURIs = append(made.RedirectURIs, res.Change.Name)
	case res.Change.Action == plan.Add && res.Change.Resource == plan.CORSOrigin:
		made.CORSOrigins = append(made.CORSOrigins, res.Change.Name)
	case res.Change.Action == plan.Remove && res.Change.Resource == plan.RedirectURI && gone:
		r.removed.RedirectURIs = append(r.removed.RedirectURIs, res.Change.Name)
	case res.Change.Action == plan.Remove && res.Change.Resource == plan.CORSOrigin && gone:
		r.removed.CORSOrigins = append(r.removed.CORSOrigins, res.Change.Name)
	case res.Change.Resource == plan.Homepage && (res.State == plan.Done || res.State == plan.Refused):
		r.homepage = res.Change.After
	}
	return nil
}

// claimed asks the ledger whether a deployment wants an entry by now. That this
// run's own claim was released meanwhile must not keep the answer from it.
func (r *run) claimed(ctx context.Context, c plan.Change) (bool, error) {
	var wanted claim.Entries
	g, err := r.conn.Ledger.Claim(ctx, r.grant.Claim.Deployment)
	switch {
	case err == nil && g.Placement.ID == r.grant.Placement.ID:
		wanted = claim.Union(g.Others, g.Claim.Entries())
	case err == nil || fault.Is(err, fault.NotFound):
		all, err := r.conn.Ledger.Claims(ctx, "")
		if err != nil {
			return false, err
		}
		for _, other := range all {
			if other.Placement.ID == r.grant.Placement.ID && other.Claim.State != claim.Releasing {
				wanted = claim.Union(wanted, other.Claim.Entries())
			}
		}
	default:
		return false, err
	}
	return slices.Contains(wanted.RedirectURIs, c.Name) || slices.Contains(wanted.CORSOrigins, c.Name), nil
}

func (r *run) configurator(g *claim.Grant) plan.Configurator {
	return &configurator{WorkOS: plan.WorkOS{Client: r.conn.environment(g.Placement.ClientID, g.APIKey)}, ledger: r.conn.Ledger, clientID: g.Placement.ClientID, embedded: r.conn.Embedded}
}

// configurator configures an environment. What the vendor has no call for goes
// over Berth's own protocol: the issuer, and removing a default redirect URI.
type configurator struct {
	plan.WorkOS
	ledger   *berth.Client
	clientID string
	embedded bool
}

// Configure implements plan.Configurator.
func (c *configurator) Configure(ctx context.Context, change plan.Change) (workos.Outcome, error) {
	if change.Resource == plan.Issuer {
		issuer := plan.WithClientID(change.After, c.clientID)
		return workos.Outcome{State: workos.Done}, c.ledger.PatchEnvironment(ctx, c.clientID, berth.EnvironmentPatch{Issuer: &issuer})
	}
	out, err := c.WorkOS.Configure(ctx, change)
	if !c.embedded || out.State != workos.NotRemovable {
		return out, err
	}
	if change.Resource == plan.RedirectURI { // the default one
		return workos.Outcome{State: workos.Done}, c.ledger.PatchEnvironment(ctx, c.clientID, berth.EnvironmentPatch{RemoveRedirectURIs: []string{change.Name}})
	}
	return workos.Outcome{State: workos.AlreadyGone}, nil // a Berth server removes any origin: another run has
}

// Provision implements plan.Provisioner. The idempotency keys come from the
// placement, so that a repeated run adopts what an interrupted one made.
func (r *run) Provision(ctx context.Context, c plan.Change) (plan.Provisioned, error) {
	pl := r.grant.Placement
	if r.conn.Platform == nil {
		return plan.Provisioned{}, fault.New(fault.Unsupported, "no environment can be made here").WithFix("set the WorkOS Platform credentials or use a Berth server")
	}
	env, err := r.conn.Platform.CreateEnvironment(ctx, r.conn.TeamID, pl.EnvironmentName, pl.Production, pl.EnvironmentKey())
	if err != nil {
		return plan.Provisioned{}, err
	}
	key, err := r.conn.Platform.CreateAPIKey(ctx, r.conn.TeamID, env.ID, "berth", time.Time{}, pl.APIKeyKey())
	if err != nil {
		return plan.Provisioned{}, err
	}
	bound, bindErr := r.conn.Ledger.Bind(ctx, pl.ID, berth.BindRequest{EnvironmentID: env.ID, ClientID: env.ClientID, APIKey: key.Value.Secret().Reveal()})
	if bindErr != nil && !fault.Is(bindErr, fault.NotFound) {
		return plan.Provisioned{}, bindErr
	}
	if bound.EnvironmentID != env.ID {
		// Another run of this deployment was faster, and its environment counts,
		// or the deployment was released meanwhile.
		if _, err := r.conn.Platform.DeleteEnvironment(ctx, r.conn.TeamID, env.ID); err != nil {
			return plan.Provisioned{}, err
		}
	}
	if bindErr != nil {
		return plan.Provisioned{}, bindErr
	}
	if r.grant, err = r.conn.Ledger.Claim(ctx, r.grant.Claim.Deployment); err != nil {
		return plan.Provisioned{}, err
	}
	return plan.Provisioned{Environment: r.configurator(r.grant), Adopted: bound.EnvironmentID != env.ID, Values: map[string]secret.String{
		ClientIDVar: secret.String(r.grant.Placement.ClientID), APIKeyVar: r.grant.APIKey, EnvironmentIDVar: secret.String(r.grant.Placement.EnvironmentID)}}, nil
}

// Release implements plan.Provisioner. Environments are released by Prune,
// which asks the ledger first.
func (r *run) Release(context.Context, plan.Change) (workos.Outcome, error) {
	return workos.Outcome{}, errors.New("an environment is released through the ledger only")
}

// SetVariables implements plan.VariableSetter.
func (r *run) SetVariables(ctx context.Context, changes []plan.VariableChange) error {
	out := make([]convex.VariableChange, len(changes))
	for i, c := range changes {
		out[i].Name = c.Name
		if !c.Remove {
			out[i].Value = new(c.Value.Reveal())
		}
	}
	return r.prepared.backend.Deployment.UpdateVariables(ctx, out)
}

// PushAuthConfig implements plan.AuthConfigPusher.
func (r *run) PushAuthConfig(ctx context.Context, source string) error {
	_, err := r.conn.Ledger.PutAuthConfig(ctx, r.prepared.backend.Name, berth.AuthConfig{Source: source})
	return err
}

// WriteFile implements plan.FileWriter.
func (r *run) WriteFile(_ context.Context, f plan.FileChange) error {
	app := r.prepared.Request.App
	path := filepath.Join(app.Root, filepath.FromSlash(f.Path))
	if path == app.EnvPath() {
		r.prepared.grant = r.grant
		vars, err := r.prepared.localVars(r.prepared.values())
		if err != nil {
			return err
		}
		_, _, err = app.WriteEnv(path, vars, r.prepared.envNote())
		return err
	}
	_, err := app.Apply([]project.FileChange{{Path: path, Before: f.Before, After: f.After, Mode: 0o644}})
	return err
}
