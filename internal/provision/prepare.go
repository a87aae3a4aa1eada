package provision

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// readConfig reads convex.json and the section for the kind of deployment.
func (p *Prepared) readConfig() error {
	r := &p.Request
	cfg, err := r.App.ReadConfig()
	if err != nil {
		return err
	}
	if change, moved, err := p.movedPort(cfg); err != nil {
		return err
	} else if moved {
		if cfg, err = project.ParseConfig(r.App.ConfigPath, change.After); err != nil {
			return err
		}
	}
	p.Config, p.Findings = cfg, cfg.Findings
	section := cfg.Section(project.Kind(r.Kind))
	if section == nil {
		p.Idle = fmt.Sprintf("convex.json has no authKit.%s section, so nothing is configured for %s deployments", r.Kind, r.Kind)
		return nil
	}
	needs, err := section.Needs()
	if err != nil {
		return err
	}
	var unset []*project.MissingError
	for _, n := range needs {
		if v, _ := r.Lookup(n.Ref.Name); n.Ref.Source == project.BuildEnv && v == "" {
			unset = append(unset, &project.MissingError{Path: n.Path, Refs: []project.Ref{n.Ref}})
		}
	}
	if len(unset) > 0 && !r.Attended {
		return unset[0].Fault()
	}
	for _, m := range unset {
		p.Plan.Warnings = append(p.Plan.Warnings, m.Fault().Message+"; the entry is skipped")
	}
	return nil
}

// movedPort plans the move of convex.json to the port that the web server
// really listens on. A port that is only assumed moves nothing.
func (p *Prepared) movedPort(cfg *project.Config) (project.FileChange, bool, error) {
	r := p.Request
	ports := cfg.DevPorts()
	if r.Kind != claim.Dev || r.RealPort.Source != project.PortListening || len(ports) == 0 || slices.Contains(ports, r.RealPort.Number) {
		return project.FileChange{}, false, nil
	}
	change, err := r.App.RetargetPort(ports[0], r.RealPort.Number)
	return change, err == nil && change.Changed(), err
}

// findPlacement reads the claim, if there is one, and decides the placement.
func (p *Prepared) findPlacement(ctx context.Context) error {
	r, c := p.Request, p.conn
	grant, err := c.Ledger.Claim(ctx, r.Deployment())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	p.grant = grant
	if c, err = c.linked(ctx, grant); err != nil {
		return err
	}
	if c, err = c.adopt(ctx, r, grant); err != nil {
		return err
	}
	p.conn = c
	section := p.Config.Section(project.Kind(r.Kind))
	p.claim = claim.Request{Project: r.Project, Deployment: r.Deployment(), Kind: r.Kind, Branch: r.Branch, Repository: r.Repo, Owner: r.Owner,
		Lifetime: r.Lifetime, APIBase: c.APIBase, Production: section.Production()}
	if r.Build != nil {
		p.claim.Host = string(r.Build.Host)
	}
	wish := r.Mode
	if grant != nil && wish == "" {
		p.claim.Mode, p.Reason = grant.Placement.Mode, "as before"
		if c.Given != nil && grant.Placement.Owned && c.Given.ClientID != grant.Placement.ClientID {
			return fault.New(fault.Conflict, "%s has the environment %s (%s), but %s names another one (%s)", r.Title(), grant.Placement.EnvironmentName, grant.Placement.ClientID, c.Given.From, c.Given.ClientID).
				WithFix("remove %s and %s from %s, or release the deployment's own environment first: berth prune --deployment %s", ClientIDVar, APIKeyVar, c.Given.From, r.Deployment()).WithCode("client_id_mismatch")
		}
	} else if p.claim.Mode, p.Reason, err = claim.Choose(wish, c.Platform != nil, c.Given != nil); err != nil {
		return err
	}
	if p.claim.Mode == claim.Shared && c.Given != nil && (grant == nil || !grant.Placement.Owned) {
		p.claim.Given = &claim.Given{ClientID: c.Given.ClientID, APIKey: c.Given.APIKey}
	}
	if grant == nil && p.claim.Mode == claim.Shared {
		p.peer, err = c.peer(ctx, p.claim)
	}
	return err
}

// peer returns a claim of another deployment on the shared environment that a
// new claim will get, nil when nobody has it yet: the plan then shows what is
// there instead of an environment to make.
func (c *Connection) peer(ctx context.Context, r claim.Request) (*claim.Grant, error) {
	all, err := c.Ledger.Claims(ctx, r.Project)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(g claim.Grant) bool {
		return g.Placement.Slot == r.Slot(1) && g.Placement.Bound() && g.Placement.APIBase == r.APIBase && g.Claim.State != claim.Releasing
	})
	if i < 0 {
		return nil, nil
	}
	g, err := c.Ledger.Claim(ctx, all[i].Claim.Deployment) // the list has no keys
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g.Others, g.OtherLive, g.Superseded = claim.Union(g.Others, g.Claim.Entries()), g.OtherLive+1, claim.Entries{}
	return g, nil
}

// credentials returns what is known of the environment's credentials.
func (p *Prepared) credentials() (clientID, environmentID string, key secret.String) {
	switch {
	case p.grant != nil && p.grant.Placement.Bound():
		return p.grant.Placement.ClientID, p.grant.Placement.EnvironmentID, p.grant.APIKey
	case p.claim.Given != nil:
		return p.claim.Given.ClientID, "", p.claim.Given.APIKey
	}
	return "", "", ""
}

// bound reports whether the environment exists already.
func (p *Prepared) bound() bool {
	id, _, _ := p.credentials()
	return id != ""
}

func (p *Prepared) values() project.Values {
	clientID, environmentID, key := p.credentials()
	return project.Values{
		Auth: func(name string) (string, bool) {
			v := map[string]string{ClientIDVar: clientID, EnvironmentIDVar: environmentID, APIKeyVar: key.Reveal()}[name]
			return v, v != ""
		},
		Build: p.Request.Lookup,
	}
}

// want works out what the environment should hold for this deployment.
func (p *Prepared) want() error {
	r := p.Request
	section := p.Config.Section(project.Kind(r.Kind))
	var err error
	if p.resolved, err = section.Resolve(p.values()); err != nil {
		return err
	}
	if section.ConfigureOff {
		p.Plan.Warnings = append(p.Plan.Warnings, fmt.Sprintf("authKit.%s.configure is false: the environment is left as it is", r.Kind))
	} else {
		p.claim.Want, p.claim.HomepageURL = p.expand()
	}
	c, changed := claim.Renew(p.current(), p.claim, p.conn.now())
	p.renewed = changed
	p.claimed(c)
	return nil
}

func (p *Prepared) current() *claim.Claim {
	if p.grant == nil {
		return nil
	}
	return &p.grant.Claim
}

// claimed keeps the merged claim for the diff.
func (p *Prepared) claimed(c claim.Claim) {
	if p.grant == nil && p.peer != nil {
		p.grant = p.peer
	}
	if p.grant == nil {
		p.grant = &claim.Grant{Placement: claim.Placement{State: "wanted", Mode: p.claim.Mode, EnvironmentName: p.claim.EnvironmentName(1), APIBase: p.claim.APIBase}}
		if p.claim.Given != nil {
			p.grant.Placement.ClientID, p.grant.Placement.State, p.grant.APIKey = p.claim.Given.ClientID, "bound", p.claim.Given.APIKey
			p.grant.Placement.EnvironmentName = p.claim.Given.ClientID
		}
	}
	p.grant.Claim = c
}

// expand takes what convex.json names to every host at which a reviewer may
// open the deployment: a sign-in cookie cannot cross hosts, so each needs a
// redirect URI and origin of its own.
func (p *Prepared) expand() (claim.Entries, string) {
	r, fw := p.Request, p.Request.App.Framework
	origins := slices.Clone(r.Extra)
	if r.Build != nil {
		for _, o := range r.Build.CallbackOrigins() {
			if r.Kind != claim.Prod || hasRole(r.Build, o, host.ProductionURL, host.CustomURL) {
				origins = append(origins, o)
			}
		}
	}
	want := claim.Entries{RedirectURIs: slices.Clone(p.resolved.RedirectURIs), CORSOrigins: slices.Clone(p.resolved.CORSOrigins)}
	paths := map[string]bool{}
	for _, uri := range p.resolved.RedirectURIs {
		if o, err := identity.OriginOf(uri); err == nil && slices.Contains(origins, o) {
			paths[strings.TrimPrefix(uri, o)] = true
		}
	}
	if len(paths) == 0 && len(origins) > 0 {
		if len(p.resolved.RedirectURIs) > 0 {
			for _, uri := range p.resolved.RedirectURIs {
				if u, err := url.Parse(uri); err == nil && u.Host != "" {
					paths[u.EscapedPath()] = true
				}
			}
		} else {
			paths[fw.CallbackPath] = true
		}
	}
	for _, o := range origins {
		for path := range paths {
			want.RedirectURIs = append(want.RedirectURIs, o+path)
		}
		if len(p.resolved.CORSOrigins) > 0 || !fw.Server {
			want.CORSOrigins = append(want.CORSOrigins, o)
		}
	}
	home := p.resolved.AppHomepageURL
	if home == "" {
		switch {
		case r.Build != nil && r.Build.StableOrigin() != "":
			home = r.Build.StableOrigin()
		case len(origins) > 0:
			home = origins[0]
		case len(want.RedirectURIs) > 0:
			home, _ = identity.OriginOf(want.RedirectURIs[0])
		}
	}
	return want.Normal(), home
}

func hasRole(b *host.Build, origin string, roles ...host.Role) bool {
	return slices.ContainsFunc(b.URLs, func(u host.URL) bool { return u.Origin == origin && slices.Contains(roles, u.Role) })
}

// diff reads what there is and makes the plan.
func (p *Prepared) diff(ctx context.Context) error {
	r, g := p.Request, p.grant
	entries := g.Claim.Entries()
	ours := g.Owned.Without(g.Removing) // one run removes an entry, not each of many at once
	d := plan.Desired{
		Target: plan.Target{Deployment: r.Title(), Environment: g.Placement.EnvironmentName, Server: p.conn.Title, Placement: plan.Placement(g.Placement.Mode)},
		Ours:   plan.Ours{RedirectURIs: ours.RedirectURIs, Origins: ours.CORSOrigins},
		Others: plan.Others{RedirectURIs: g.Others.RedirectURIs, Origins: g.Others.CORSOrigins},
	}
	section := p.Config.Section(project.Kind(r.Kind))
	if !section.ConfigureOff {
		d.RedirectURIs, d.Origins = entries.RedirectURIs, entries.CORSOrigins
		// On a Berth server the claims themselves decide where sign-out leads.
		if !(p.conn.Embedded && g.Placement.Mode == claim.Shared) {
			d.Homepage = g.Claim.HomepageURL
		}
	}
	if g.Placement.HomepageClaim != "" && g.Placement.HomepageClaim != g.Claim.ID && g.OtherLive > 0 {
		d.Others.Homepage, d.Others.HomepageBy = g.Placement.HomepageURL, "another deployment"
	}
	if p.Problems = plan.Check(d, plan.Kind(r.Kind), p.keys()); p.Refused() != nil {
		p.Plan.Target = d.Target
		return nil // nothing is asked with a key that must not be used here
	}
	actual := plan.Actual{OriginsRemovable: p.conn.Embedded, DefaultRemovable: p.conn.Embedded, Homepage: plan.AppliedHomepage{Value: g.Placement.HomepageURL, Known: g.Placement.HomepageURL != ""}}
	if g.Placement.Bound() {
		found, err := plan.Read(ctx, p.conn.environment(g.Placement.ClientID, g.APIKey), d)
		if err != nil {
			return err
		}
		actual.RedirectURIs, actual.Origins, actual.JWTTemplate = found.RedirectURIs, found.Origins, found.JWTTemplate
		actual.Environment = &plan.EnvironmentState{ID: g.Placement.EnvironmentID, Production: g.Placement.Production, Ours: g.Placement.Owned}
	} else {
		d.Environment = plan.Wish{Name: g.Placement.EnvironmentName, Production: p.claim.Production}
	}
	if err := p.backendState(ctx, &d, &actual); err != nil {
		return err
	}
	if err := p.files(ctx, &d, &actual); err != nil {
		return err
	}
	warnings := p.Plan.Warnings
	p.Plan = plan.Diff(d, actual)
	p.Plan.Warnings = append(warnings, p.Plan.Warnings...)
	for _, problem := range p.Problems {
		if problem.Severity == plan.Warn {
			p.Plan.Warnings = append(p.Plan.Warnings, problem.Message)
		}
	}
	if g.Placement.Mode == claim.Shared && g.OtherLive > 0 {
		p.Plan.Warnings = append(p.Plan.Warnings, "users are shared with "+others(g.OtherLive))
		if r.Kind == claim.Dev {
			return p.otherPeople(ctx)
		}
	}
	return nil
}

// otherPeople warns when somebody else develops on the same environment (R49).
// It can happen only with an environment that a person made and gave to both:
// one that Berth makes belongs to one worktree of one machine.
func (p *Prepared) otherPeople(ctx context.Context) error {
	all, err := p.conn.Ledger.Claims(ctx, "")
	if err != nil {
		return err
	}
	var names []string
	for _, g := range all {
		if g.Placement.ClientID == p.grant.Placement.ClientID && g.Claim.Kind == claim.Dev && g.Claim.State != claim.Releasing && g.Claim.Deployment != p.Request.Deployment() {
			names = append(names, orText(g.Claim.Owner, "somebody")+" ("+g.Claim.Deployment+")")
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		p.Plan.Warnings = append(p.Plan.Warnings, "another checkout develops on the same environment: "+strings.Join(names, ", ")+"; give each developer one of their own")
	}
	return nil
}

func others(n int) string {
	if n == 1 {
		return "1 other deployment"
	}
	return fmt.Sprintf("%d other deployments", n)
}

func (p *Prepared) keys() plan.Keys {
	_, _, key := p.credentials()
	if g := p.conn.Given; key == "" && g != nil {
		key = g.APIKey // before the placement is decided
	}
	k := plan.Keys{EnvironmentType: p.Config.Section(project.Kind(p.Request.Kind)).EnvironmentType}
	if key != "" {
		k.API = workos.KeyKind(key)
	}
	if v, _ := p.Request.Lookup(DeployKeyVar); v != "" {
		k.Deploy = strings.TrimSuffix(host.KeyType(secret.String(v)), "-deployment")
	}
	if b := p.Request.Build; b != nil {
		for _, u := range b.URLs {
			if parsed, err := url.Parse(u.Origin); err == nil {
				if u.Role == host.ProductionURL {
					k.ProdHosts = append(k.ProdHosts, parsed.Hostname())
				} else if p.Request.Kind == claim.Preview {
					k.PreviewHosts = append(k.PreviewHosts, parsed.Hostname())
				}
			}
		}
	}
	return k
}
