package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// mountIntegration registers the WorkOS integration. The WorkOS team of a team
// is that team itself, and environments are those of this server.
func (a *API) mountIntegration(on func(string, func(*call) error)) {
	on("POST /api/workos/has_associated_workos_team", func(c *call) error { return c.onNamed((*call).associated) })
	on("GET /api/deployments/{name}/has_associated_workos_team", func(c *call) error { return c.onPath((*call).associated) })
	on("POST /api/workos/get_or_provision_workos_environment", (*call).provisionEnvironment)
	on("GET /api/deployments/{name}/workos_environment_health", func(c *call) error { return c.onPath((*call).environmentHealth) })
	on("GET /api/deployments/{name}/workos_environment", (*call).environment)
	on("POST /api/workos/delete_environment", func(c *call) error { return c.onNamed((*call).deleteEnvironment) })
	on("GET /api/workos/available_workos_team_emails", (*call).availableEmails)
	on("POST /api/workos/provision_associated_workos_team", (*call).provisionTeam)
	on("POST /api/workos/disconnect_workos_team", (*call).disconnectTeam)
	on("POST /api/workos/invite_team_member", (*call).inviteToWorkOS)
	on("GET /api/teams/{team}/workos_invitation_eligible_emails", (*call).eligibleEmails)
	on("GET /api/teams/{team}/workos_team_health", (*call).teamHealth)
	on("GET /api/teams/{team}/workos_integration", (*call).integration)
	on("GET /api/projects/{id}/workos_environments", (*call).projectEnvironments)
	on("POST /api/projects/{id}/workos_environments", (*call).createProjectEnvironment)
	on("GET /api/projects/{id}/workos_environments/{client_id}", (*call).projectEnvironment)
	on("POST /api/workos/delete_project_environment", (*call).deleteProjectEnvironment)
	on("POST /api/workos/check_project_environment_health", (*call).projectEnvironmentHealth)
}

// onNamed runs h on the deployment that the body names, if the caller sees it.
func (c *call) onNamed(h func(*call, *store.Team, store.Deployment) error) error {
	var req struct {
		DeploymentName string `json:"deploymentName"`
	}
	if err := c.read(&req); err != nil {
		return err
	}
	return c.on(req.DeploymentName, h)
}

// onPath is onNamed for the deployment in the path.
func (c *call) onPath(h func(*call, *store.Team, store.Deployment) error) error {
	return c.on(c.r.PathValue("name"), h)
}

func (c *call) on(name string, h func(*call, *store.Team, store.Deployment) error) error {
	d, err := c.named(name)
	if err != nil {
		return err
	}
	t, _, err := c.projectOf(d)
	if err != nil {
		return err
	}
	return h(c, t, d)
}

func (c *call) associated(t *store.Team, _ store.Deployment) error {
	return c.ok(convex.AssociatedTeam{HasAssociatedWorkosTeam: !t.Disconnected, TeamID: t.Number, AdminEmail: t.AdminEmail})
}

// claimKey is the key of a deployment in the ledger, the same that `berth dev`
// and `berth deploy` use for it: both find one environment.
func claimKey(d store.Deployment) string {
	ref := d.Reference
	if d.Kind == claim.Preview {
		ref = host.Slug(ref)
	}
	return claim.DeploymentKey(d.Project, d.Kind, ref)
}

// grant returns the claim of a deployment, or nil.
func (c *call) grant(t *store.Team, d store.Deployment) (*claim.Grant, error) {
	g, err := t.Claim(c.ctx(), claimKey(d))
	if !fault.Is(err, fault.NotFound) {
		return g, err
	}
	if d.Kind != claim.Preview {
		return nil, nil
	}
	all, err := t.Claims(c.ctx(), d.Project) // a claim may have been made under another key
	for _, other := range all {
		if other.Claim.Kind == claim.Preview && other.Claim.Branch == d.Reference && other.Claim.State != claim.Releasing {
			return t.Claim(c.ctx(), other.Claim.Deployment)
		}
	}
	return nil, err
}

func (c *call) provisionEnvironment() error {
	var req struct {
		DeploymentName  string `json:"deploymentName"`
		EnvironmentType string `json:"environmentType"`
		IsProduction    bool   `json:"isProduction"` // what the published schema names instead
	}
	if err := c.read(&req); err != nil {
		return err
	}
	d, err := c.usable(req.DeploymentName, "deployment:env:write")
	if err != nil {
		return err
	}
	switch req.EnvironmentType {
	case "", convex.EnvironmentProduction, convex.EnvironmentNonproduction:
	default:
		return invalid("InvalidArguments", "environmentType must be production or nonproduction.")
	}
	t, _, err := c.projectOf(d)
	if err != nil {
		return err
	}
	if t.Disconnected {
		return invalid(convex.CodeTeamNotProvisioned, "The team %s has no WorkOS team. Make one with `npx convex integration workos provision-team`.", t.Slug)
	}
	g, made, err := c.environmentFor(t, d, req.EnvironmentType == convex.EnvironmentProduction || req.IsProduction)
	if err != nil {
		return err
	}
	return c.ok(convex.WorkOSEnvironment{EnvironmentID: g.Placement.EnvironmentID, EnvironmentName: g.Placement.EnvironmentName, ClientID: g.Placement.ClientID,
		APIKey: convex.Token(g.APIKey.Reveal()), NewlyProvisioned: made})
}

// environmentFor returns the environment of a deployment, made when there is none. It
// can be repeated, and many may do it at once: every step finds what another
// one's made.
func (c *call) environmentFor(t *store.Team, d store.Deployment, production bool) (g *claim.Grant, made bool, err error) {
	if g, err = c.grant(t, d); err != nil {
		return nil, false, err
	}
	if g == nil {
		req := claim.Request{Project: d.Project, Deployment: claimKey(d), Kind: d.Kind, Mode: claim.Dedicated, Production: production, APIBase: c.BaseURL()}
		switch d.Kind {
		case claim.Preview:
			req.Branch, req.Lifetime = d.Reference, cmp.Or(c.PreviewLifetime, PreviewLifetime)
		case claim.Dev:
			req.Owner = d.Reference
		}
		if g, err = t.PutClaim(c.ctx(), req); err != nil {
			return nil, false, err
		}
	}
	if !g.Placement.Bound() {
		if g.Placement.APIBase != c.BaseURL() {
			return nil, false, invalid(convex.CodePlatformNotAuthorized, "The environment of %s is to be made at %s, not on this server.", d.Name, g.Placement.APIBase)
		}
		e, err := t.CreateEnvironment(c.ctx(), store.NewEnvironment{Name: g.Placement.EnvironmentName, Production: g.Placement.Production, IdempotencyKey: g.Placement.EnvironmentKey()})
		if err != nil {
			return nil, false, err
		}
		_, value, err := e.CreateAPIKey(c.ctx(), "convex", time.Time{}, g.Placement.APIKeyKey())
		if err != nil {
			return nil, false, err
		}
		if _, err := t.Bind(c.ctx(), g.Placement.ID, e.ID, e.ClientID, value); err != nil {
			return nil, false, err
		}
		// Nothing else is to be done for the claim: it is live.
		if err := t.Confirm(c.ctx(), g.Claim.ID, claim.Entries{}, ""); err != nil {
			return nil, false, err
		}
		if g, err = t.Claim(c.ctx(), g.Claim.Deployment); err != nil {
			return nil, false, err
		}
		made = true
	}
	if g.Placement.ClientID == "" || g.APIKey == "" {
		return nil, false, fault.New(fault.Unavailable, "The environment of %s is not ready. Try again in a moment.", d.Name).WithCode("WorkOSEnvironmentNotReady")
	}
	return g, made, nil
}

// bound returns the environment of a deployment that is there.
func (c *call) bound(t *store.Team, d store.Deployment) (*claim.Grant, error) {
	g, err := c.grant(t, d)
	if err == nil && (g == nil || !g.Placement.Bound()) {
		err = fault.New(fault.NotFound, "The deployment %s has no WorkOS environment.", d.Name).WithCode(convex.CodeEnvironmentNotProvisioned)
	}
	return g, err
}

func (c *call) environmentHealth(t *store.Team, d store.Deployment) error {
	if err := c.may(d, ""); err != nil {
		return err
	}
	g, err := c.bound(t, d)
	if err != nil {
		return err
	}
	return c.ok(convex.EnvironmentHealth{ID: g.Placement.EnvironmentID, Name: g.Placement.EnvironmentName, ClientID: g.Placement.ClientID})
}

func (c *call) environment() error {
	return c.onPath(func(c *call, t *store.Team, d store.Deployment) error {
		if err := c.may(d, "deployment:env:view"); err != nil {
			return err
		}
		g, err := c.bound(t, d)
		if err != nil {
			return err
		}
		return c.ok(map[string]any{"environmentId": g.Placement.EnvironmentID, "environmentName": g.Placement.EnvironmentName, "clientId": g.Placement.ClientID,
			"apiKey": convex.Token(g.APIKey.Reveal()), "isProduction": g.Placement.Production})
	})
}

// removed answers the calls that take an environment away.
func (c *call) removed(t *store.Team, id, name string) error {
	return c.ok(map[string]string{"workosEnvironmentId": id, "workosEnvironmentName": name, "workosTeamId": t.ID})
}

// deleteEnvironment releases the claim of a deployment: an environment of its
// own goes with its users. Production's is kept.
func (c *call) deleteEnvironment(t *store.Team, d store.Deployment) error {
	if err := c.may(d, "deployment:env:write"); err != nil {
		return err
	}
	g, err := c.bound(t, d)
	if err != nil {
		return err
	}
	if _, err := t.Release(c.ctx(), g.Claim.ID); err != nil {
		return err
	}
	if err := t.ReleasedEnvironment(c.ctx(), g.Claim.ID); err != nil {
		return err
	}
	return c.removed(t, g.Placement.EnvironmentID, g.Placement.EnvironmentName)
}

// emails returns the addresses that a caller may name as its own: a person's,
// and with a team token those of the team's admins.
func (c *call) emails() ([]string, error) {
	if c.Person.ID != "" {
		return []string{c.Person.Email}, nil
	}
	var out []string
	all, err := c.allTeams()
	for _, t := range all {
		members, err := t.Members(c.ctx())
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if m.Role == store.Admin {
				out = append(out, m.Email)
			}
		}
		if t.AdminEmail != "" && !slices.Contains(out, t.AdminEmail) {
			out = append(out, t.AdminEmail)
		}
	}
	return out, err
}

func (c *call) availableEmails() error {
	if c.IsKey() {
		return forbidden("see addresses of people")
	}
	all, err := c.emails()
	if err != nil {
		return err
	}
	used, err := c.DB.Administers(c.ctx(), all)
	if err != nil {
		return err
	}
	out := convex.TeamEmails{AvailableEmails: []string{}, UsedEmails: append([]string{}, used...)}
	for _, email := range all {
		if !slices.Contains(used, email) {
			out.AvailableEmails = append(out.AvailableEmails, email)
		}
	}
	return c.ok(out)
}

// teamRequest is the body of calls about a team.
type teamRequest struct {
	TeamID int64  `json:"teamId"`
	Email  string `json:"email"`
}

// teamInBody returns the team of the body, which takes an admin.
func (c *call) teamInBody() (*store.Team, teamRequest, error) {
	var req teamRequest
	if err := c.read(&req); err != nil {
		return nil, req, err
	}
	t, err := c.TeamNamed(c.ctx(), "", req.TeamID)
	if err == nil {
		err = c.mustAdminister(t)
	}
	return t, req, err
}

func (c *call) provisionTeam() error {
	t, req, err := c.teamInBody()
	if err != nil {
		return err
	}
	if err := identity.CheckEmail(req.Email); err != nil {
		return err
	}
	if c.Person.ID != "" && identity.EmailKey(req.Email) != identity.EmailKey(c.Person.Email) {
		return invalid("EmailNotVerified", "%s is none of your verified addresses.", req.Email)
	}
	err = t.Associate(c.ctx(), req.Email)
	if fault.Code(err) == "user_already_exists" {
		return invalid(convex.CodeEmailUsed, "A WorkOS account already exists with the email: %s", req.Email)
	}
	if err != nil {
		return err
	}
	return c.ok(convex.WorkOSTeam{WorkosTeamID: t.ID, WorkosTeamName: t.Name, AdminEmail: t.AdminEmail})
}

func (c *call) disconnectTeam() error {
	t, _, err := c.teamInBody()
	if err != nil {
		return err
	}
	if t.Disconnected {
		return invalid(convex.CodeTeamNotAssociated, "The team %s has no WorkOS team.", t.Slug)
	}
	if err := t.Disconnect(c.ctx()); err != nil {
		return err
	}
	return c.ok(convex.WorkOSTeam{WorkosTeamID: t.ID, WorkosTeamName: t.Name})
}

// invitedRole is the role of people who are invited through Convex.
const invitedRole = "admin"

func (c *call) inviteToWorkOS() error {
	t, req, err := c.teamInBody()
	if err != nil {
		return err
	}
	if t.Disconnected {
		return invalid(convex.CodeTeamNotProvisioned, "The team %s has no WorkOS team.", t.Slug)
	}
	if err := identity.CheckEmail(req.Email); err != nil {
		return err
	}
	invited, err := t.Invited(c.ctx())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(invited, func(s string) bool { return identity.EmailKey(s) == identity.EmailKey(req.Email) }) {
		return invalid(convex.CodeInvited, "%s has been invited already.", req.Email)
	}
	err = t.Invite(c.ctx(), req.Email, invitedRole)
	switch fault.Code(err) {
	case "already_member":
		return invalid(convex.CodeInThisTeam, "%s", fault.From(err).Message)
	case "member_of_another_team":
		return invalid(convex.CodeInWorkspace, "%s", fault.From(err).Message)
	}
	if err == nil {
		err = c.tellInvited(t, req.Email)
	}
	if err != nil {
		return err
	}
	return c.ok(convex.Invitation{Email: req.Email, RoleSlug: invitedRole})
}

// tellInvited mails a person who was taken into a team how to sign in.
func (c *call) tellInvited(t *store.Team, email string) error {
	e, _, err := c.DB.MembersEnvironment(c.ctx(), c.MailIsSent)
	if err != nil {
		return err
	}
	return c.Auth.TellMember(c.ctx(), e, email, t.Name)
}

func (c *call) eligibleEmails() error {
	t, err := c.administered()
	if err != nil {
		return err
	}
	members, err := t.Members(c.ctx())
	if err != nil {
		return err
	}
	invited, err := t.Invited(c.ctx())
	if err != nil {
		return err
	}
	out := convex.EligibleEmails{EligibleEmails: []string{}, AdminEmail: t.AdminEmail}
	for _, m := range members {
		if !slices.Contains(invited, m.Email) && !strings.EqualFold(m.Email, t.AdminEmail) {
			out.EligibleEmails = append(out.EligibleEmails, m.Email)
		}
	}
	return c.ok(out)
}

func (c *call) teamHealth() error {
	t, err := c.team()
	if err != nil {
		return err
	}
	out := convex.TeamHealth{TeamProvisioned: !t.Disconnected}
	if out.TeamProvisioned {
		out.TeamInfo = &convex.TeamHealthInfo{ID: t.ID, Name: t.Name, ProductionState: "active"}
	}
	return c.ok(out)
}

// integration lists the environments of the team's deployments.
func (c *call) integration() error {
	t, err := c.administered()
	if err != nil {
		return err
	}
	all, err := t.Claims(c.ctx(), "")
	if err != nil {
		return err
	}
	environments := []map[string]any{}
	for _, g := range all {
		if g.Placement.Bound() && g.Claim.State != claim.Releasing {
			environments = append(environments, map[string]any{"workosEnvironmentId": g.Placement.EnvironmentID, "workosEnvironmentName": g.Placement.EnvironmentName,
				"workosClientId": g.Placement.ClientID, "isProduction": g.Placement.Production})
		}
	}
	out := map[string]any{"workosTeam": nil, "environments": environments}
	if !t.Disconnected {
		out["workosTeam"] = convex.WorkOSTeam{WorkosTeamID: t.ID, WorkosTeamName: t.Name, AdminEmail: t.AdminEmail}
	}
	return c.ok(out)
}
