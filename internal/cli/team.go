package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/provision"
)

type teamOptions struct {
	env     *Env
	backend backendFlags
	team    string
	email   string
	role    string
}

func newTeamCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "team",
		Short: "the team, its members, and its WorkOS account",
		Long: `Connects a Convex team, or a team of a Berth server, with a WorkOS team, and tells
how they stand. It needs a person's token: ` + tokenVar + ` or berth login on a Berth
server, the login of the convex command line on Convex's cloud.`,
		Example: `berth team status
berth team provision --email ada@example.com
berth team invite bob@example.com
berth team link --client-id client_123 < key.txt	use a WorkOS environment that exists
berth team members list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil },
	}
	add := func(parent *cobra.Command, use, short, long, example string, args cobra.PositionalArgs, run func(context.Context, *teamOptions, []string) error, more func(*teamOptions, *cobra.Command)) {
		o := &teamOptions{env: env, backend: newBackendFlags(env)}
		c := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: args,
			RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), o, args) }}
		c.Flags().StringVar(&o.team, "team", "", "the team, where there are several `SLUG`")
		if more != nil {
			more(o, c)
		}
		parent.AddCommand(c)
	}
	add(cmd, "status", "how the team and its WorkOS team stand", "", "berth team status --json", noArgs, runTeamStatus, nil)
	add(cmd, "provision", "make a WorkOS team for the team", `Makes a WorkOS team whose administrator is one of your verified addresses, and
connects it. After that deployments get their environments without further ado.`, "berth team provision --email ada@example.com", noArgs, runTeamProvision,
		func(o *teamOptions, c *cobra.Command) {
			c.Flags().StringVar(&o.email, "email", "", "administrator of the WorkOS team `ADDRESS`")
		})
	add(cmd, "disconnect", "forget the WorkOS team", `Disconnects the WorkOS team. Deployments keep the environments and keys they have,
but nothing new can be provisioned, and this connection cannot be made again for the
same WorkOS team.`, "berth team disconnect", noArgs, runTeamDisconnect, nil)
	add(cmd, "invite EMAIL", "invite a person into the WorkOS team", "", "berth team invite bob@example.com", oneEmail, runTeamInvite, nil)
	cmd.AddCommand(newTeamLinkCommand(env))

	members := &cobra.Command{Use: "members", Short: "people in the team", Example: "berth team members list\nberth team members add bob@example.com --role developer", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil }}
	add(members, "list", "list members and invitations", "", "berth team members list --json", noArgs, runMembersList, nil)
	add(members, "add EMAIL", "invite a person into the team", "", "berth team members add bob@example.com --role developer", oneEmail, runMembersAdd, func(o *teamOptions, c *cobra.Command) {
		c.Flags().StringVar(&o.role, "role", convex.RoleDeveloper, "admin or developer `ROLE`")
	})
	add(members, "remove EMAIL", "take a person out of the team, or an invitation back", "", "berth team members remove bob@example.com", oneEmail, runMembersRemove, nil)
	cmd.AddCommand(members)
	return cmd
}

// team is what the team commands talk to.
type team struct {
	control    *convex.Control
	id         int64
	title      string
	deployment string // of this checkout; "" when there is none
	project    int64
}

// open finds the team: of the deployment that is named here, else the one of
// the token.
func (o *teamOptions) open(ctx context.Context) (*team, error) {
	app, appErr := o.backend.target.app()
	get := o.env.get
	base := strings.TrimRight(get(provision.ControlVar), "/")
	ref := convex.ParseDeployment(get(provision.DeploymentVar))
	if base == "" && ref.Name == "" && get(provision.AccessTokenVar) == "" {
		access, err := o.env.FindServer(ctx)
		if err == nil {
			return o.onServer(ctx, access)
		}
		if fault.Code(err) != "no_server" {
			return nil, err
		}
		if appErr == nil {
			value, err := fileVariable(app, provision.DeploymentVar)
			if err != nil {
				return nil, err
			}
			ref = convex.ParseDeployment(value)
		}
	}
	base = cmp.Or(base, convex.DefaultControlPlane)
	token, err := o.env.convexToken(base)
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, errNoLogin(o.env, base)
	}
	t := &team{control: convex.NewControl(base, token), deployment: ref.Name}
	if ref.Name == "" || o.team != "" {
		return t, o.choose(ctx, t)
	}
	return t, o.ofDeployment(ctx, t)
}

func (o *teamOptions) ofDeployment(ctx context.Context, t *team) error {
	project, err := t.control.TeamAndProject(ctx, t.deployment)
	if err != nil {
		return notThere(err, t.deployment)
	}
	t.id, t.project, t.title = project.TeamID, project.ProjectID, project.Team
	o.env.Output().Fact("team", "%s", o.env.Output().Bold(t.title))
	return nil
}

func (o *teamOptions) onServer(ctx context.Context, access Access) (*team, error) {
	if access.Token == "" {
		return nil, Resume(fault.New(fault.Unauthenticated, "there is no token for the server %s", access.URL).
			WithFix("set %s, or run berth login", tokenVar).WithCode("token_missing"), "berth login --server "+shellQuote(access.URL))
	}
	t := &team{control: convex.NewControl(access.URL, access.Token)}
	t.control.Name = "the Berth server"
	return t, o.choose(ctx, t)
}

// choose finds the team by --team, or takes the only one.
func (o *teamOptions) choose(ctx context.Context, t *team) error {
	teams, err := t.control.Teams(ctx)
	if err != nil {
		return err
	}
	var slugs []string
	for _, found := range teams {
		if found.Slug == o.team || o.team == "" && len(teams) == 1 {
			t.id, t.title = found.ID, found.Slug
			o.env.Output().Fact("team", "%s", o.env.Output().Bold(t.title))
			return nil
		}
		slugs = append(slugs, found.Slug)
	}
	switch {
	case len(teams) == 0:
		return fault.New(fault.NotFound, "this login belongs to no team").WithFix("log in as somebody who is in one").WithCode("team_not_found")
	case o.team != "":
		return fault.New(fault.NotFound, "this login belongs to no team %s", o.team).WithFix("use one of %s", strings.Join(slugs, ", ")).WithCode("team_not_found")
	}
	return Resume(fault.New(fault.NeedsPerson, "this login belongs to several teams: %s", strings.Join(slugs, ", ")).WithFix("pass --team SLUG").WithCode("team_ambiguous"), o.env.again("--team SLUG"))
}

// associated reports whether the team has a WorkOS team, and its name.
func (t *team) associated(ctx context.Context) (convex.TeamHealth, error) {
	return t.control.TeamHealth(ctx, t.id)
}

type teamView struct {
	Team         string                      `json:"team"`
	WorkOSTeam   *convex.TeamHealthInfo      `json:"workos_team"`
	Environment  *convex.EnvironmentHealth   `json:"environment"`
	Deployment   string                      `json:"deployment,omitempty"`
	Environments []convex.ProjectEnvironment `json:"project_environments"`
	Emails       []string                    `json:"available_emails"`
}

func runTeamStatus(ctx context.Context, o *teamOptions, _ []string) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	health, err := t.associated(ctx)
	if err != nil {
		return err
	}
	v := teamView{Team: t.title, Deployment: t.deployment, Environments: []convex.ProjectEnvironment{}, Emails: []string{}}
	if health.TeamProvisioned {
		v.WorkOSTeam = health.TeamInfo
	} else {
		emails, err := t.control.TeamEmails(ctx)
		if err != nil {
			return err
		}
		v.Emails = append(v.Emails, emails.AvailableEmails...)
	}
	if t.deployment != "" {
		if v.Environment, err = t.control.EnvironmentHealth(ctx, t.deployment); err != nil {
			return err
		}
	}
	return o.env.Output().Result(v, func(p *Printer) {
		switch {
		case v.WorkOSTeam != nil:
			p.Line("WorkOS team %s (%s), production %s", printable(v.WorkOSTeam.Name), v.WorkOSTeam.ID, v.WorkOSTeam.ProductionState)
			if v.WorkOSTeam.ProductionState == "inactive" {
				p.Warn("production needs a payment card: add one at https://dashboard.workos.com")
			}
		case health.TeamProvisioned:
			p.Line("a WorkOS team is connected, but WorkOS does not tell about it")
		case len(v.Emails) > 0:
			p.Line("no WorkOS team; make one with: berth team provision --email %s", v.Emails[0])
		default:
			p.Line("no WorkOS team, and no verified address with which to make one")
		}
		switch {
		case v.Environment != nil:
			p.Line("environment %s (%s) for %s", printable(v.Environment.Name), v.Environment.ClientID, t.deployment)
		case t.deployment != "":
			p.Line("no environment for %s", t.deployment)
		}
	})
}

func runTeamProvision(ctx context.Context, o *teamOptions, _ []string) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	out := o.env.Output()
	health, err := t.associated(ctx)
	if err != nil {
		return err
	}
	if health.TeamProvisioned {
		name := ""
		if health.TeamInfo != nil {
			name = health.TeamInfo.Name
		}
		out.OK("%s has a WorkOS team already: %s", t.title, printable(name))
		return out.Result(map[string]any{"team": t.title, "created": false, "name": name}, func(*Printer) {})
	}
	emails, err := t.control.TeamEmails(ctx)
	if err != nil {
		return err
	}
	email, err := o.address(emails)
	if err != nil {
		return err
	}
	out.Line("  makes a WorkOS team for %s with the administrator %s, who gets mail from WorkOS", t.title, email)
	if o.env.DryRun() {
		out.Line("dry run: nothing was changed")
		return out.Result(map[string]any{"team": t.title, "created": false, "email": email}, func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Make it?"); err != nil {
		return err
	}
	made, err := t.control.ProvisionTeam(ctx, t.id, email)
	if fault.Code(err) == convex.CodeEmailUsed {
		return Resume(fault.Wrap(err, fault.NeedsPerson, "WorkOS has an account with %s already", email).WithCode(convex.CodeEmailUsed).
			WithFix("use another verified address, or use that account's environment: berth team link"), o.env.again("--email ADDRESS"))
	}
	if err != nil {
		return err
	}
	out.OK("made the WorkOS team %s (%s)", printable(made.WorkosTeamName), made.WorkosTeamID)
	return out.Result(map[string]any{"team": t.title, "created": true, "id": made.WorkosTeamID, "name": made.WorkosTeamName, "email": cmp.Or(made.AdminEmail, email)}, func(*Printer) {})
}

// address is the administrator: --email, or the only one there is.
func (o *teamOptions) address(e convex.TeamEmails) (string, error) {
	switch {
	case o.email != "" && slices.Contains(e.UsedEmails, o.email):
		return "", fault.New(fault.NeedsPerson, "WorkOS has an account with %s already", o.email).WithFix("use another verified address, or use that account's environment: berth team link").WithCode(convex.CodeEmailUsed)
	case o.email != "" && !slices.Contains(e.AvailableEmails, o.email):
		return "", fault.New(fault.Invalid, "%s is none of your verified addresses", o.email).WithFix("use one of: %s", cmp.Or(strings.Join(e.AvailableEmails, ", "), "(none)")).WithCode("email_not_available")
	case o.email != "":
		return o.email, nil
	case len(e.AvailableEmails) == 1:
		return e.AvailableEmails[0], nil
	case len(e.AvailableEmails) == 0:
		return "", fault.New(fault.NeedsPerson, "you have no verified address that WorkOS does not know yet").
			WithFix("add and verify one in your account, or use an environment that exists: berth team link").WithCode("email_missing")
	}
	return "", Resume(fault.New(fault.NeedsPerson, "you have several verified addresses: %s", strings.Join(e.AvailableEmails, ", ")).WithFix("pass --email ADDRESS").WithCode("email_ambiguous"), o.env.again("--email ADDRESS"))
}

func runTeamDisconnect(ctx context.Context, o *teamOptions, _ []string) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	out := o.env.Output()
	health, err := t.associated(ctx)
	if err != nil {
		return err
	}
	none := func() error {
		out.OK("%s has no WorkOS team", t.title)
		return out.Result(map[string]any{"team": t.title, "disconnected": false}, func(*Printer) {})
	}
	if !health.TeamProvisioned {
		return none()
	}
	name := "its WorkOS team"
	if health.TeamInfo != nil {
		name = printable(health.TeamInfo.Name)
	}
	out.Line("  disconnects %s from %s", name, t.title)
	out.Line("  lost: provisioning of new environments, and the connection to this WorkOS team, which cannot be made again")
	out.Line("  kept: the WorkOS team itself, its environments, users and keys, and what deployments were given")
	if o.env.DryRun() {
		out.Line("dry run: nothing was changed")
		return out.Result(map[string]any{"team": t.title, "disconnected": false}, func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Disconnect it?"); err != nil {
		return err
	}
	gone, err := t.control.DisconnectTeam(ctx, t.id)
	if fault.Code(err) == convex.CodeTeamNotAssociated {
		return none()
	}
	if err != nil {
		return err
	}
	out.OK("disconnected %s", printable(cmp.Or(gone.WorkosTeamName, name)))
	return out.Result(map[string]any{"team": t.title, "disconnected": true, "id": gone.WorkosTeamID}, func(*Printer) {})
}

func runTeamInvite(ctx context.Context, o *teamOptions, args []string) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	out, email := o.env.Output(), args[0]
	out.Line("  invites %s into the WorkOS team of %s as an administrator", email, t.title)
	if o.env.DryRun() {
		out.Line("dry run: nothing was changed")
		return out.Result(map[string]any{"email": email, "invited": false}, func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Invite?"); err != nil {
		return err
	}
	invited, err := t.control.InviteToTeam(ctx, t.id, email)
	switch {
	case convex.AlreadyMember(err):
		out.OK("%s", printable(serverText(err)))
		return out.Result(map[string]any{"email": email, "invited": false, "code": fault.Code(err)}, func(*Printer) {})
	case fault.Code(err) == convex.CodeTeamNotProvisioned:
		return fault.Wrap(err, fault.NeedsPerson, "%s has no WorkOS team yet", t.title).WithCode(fault.Code(err)).WithFix("make one first: berth team provision")
	case err != nil:
		return err
	}
	out.OK("invited %s (%s)", printable(cmp.Or(invited.Email, email)), printable(cmp.Or(invited.RoleSlug, "member")))
	return out.Result(map[string]any{"email": cmp.Or(invited.Email, email), "invited": true, "role": invited.RoleSlug}, func(*Printer) {})
}

// checkRole refuses roles that no team has.
func checkRole(role string) error {
	if role != convex.RoleAdmin && role != convex.RoleDeveloper {
		return fault.New(fault.Invalid, "--role %q is no role in a team", role).WithFix("use admin or developer").WithCode("flag_value_invalid")
	}
	return nil
}

func sameEmail(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}
