package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
)

type statusOptions struct {
	env     *Env
	target  targetFlags
	explain bool
	all     bool
}

func newStatusCommand(env *Env) *cobra.Command {
	o := &statusOptions{env: env, target: targetFlags{env: env, readOnly: true, noPort: true, anyKey: true}}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "which deployment has which environment, and where values come from",
		Example: `berth status	deployments of this project
berth status --explain	the effective source of each value, never the value of a secret`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), o) },
	}
	o.target.register(cmd)
	cmd.Flags().BoolVar(&o.explain, "explain", false, "show where each value comes from")
	cmd.Flags().BoolVar(&o.all, "all", false, "deployments of all projects of the team")
	return cmd
}

type statusView struct {
	Project     string                `json:"project"`
	Team        string                `json:"team,omitempty"`
	Server      string                `json:"server"`
	ServerFrom  string                `json:"server_from,omitempty"`
	ConfigFile  string                `json:"config_file"`
	Sections    []project.Kind        `json:"sections"` // of authKit, those that there are
	Framework   string                `json:"framework"`
	Deployments []deploymentView      `json:"deployments"`
	Explain     []provision.Explained `json:"explain,omitempty"`
	Supported   map[string]string     `json:"supported_versions"`
}

type deploymentView struct {
	Deployment  string     `json:"deployment"` // key
	Name        string     `json:"name"`       // as people see it
	Kind        claim.Kind `json:"kind"`
	Branch      string     `json:"branch,omitempty"`
	Mine        bool       `json:"this,omitempty"`
	State       string     `json:"state"`
	Placement   claim.Mode `json:"placement"`
	Environment string     `json:"environment"`
	ClientID    string     `json:"client_id,omitempty"`
	Homepage    string     `json:"homepage,omitempty"`
	Users       string     `json:"users"`
	Expires     string     `json:"expires,omitempty"`
	Console     string     `json:"console,omitempty"`
}

// supported are the vendor versions against which the contract was established.
var supported = map[string]string{"convex": "1.48", "@workos-inc/authkit-react": "0.16", "@workos-inc/authkit-nextjs": "3.0", "@convex-dev/workos": "0.0.3"}

func runStatus(ctx context.Context, o *statusOptions) error {
	app, err := o.target.app()
	if err != nil {
		return err
	}
	// In a build that does not tell its kind the other deployments still can be listed.
	req, err := o.target.request(ctx, app)
	if err != nil && (o.explain || !fault.Is(err, fault.NeedsPerson)) {
		return err
	}
	conn, done, err := o.target.connect(ctx, app, req, false)
	if err != nil {
		return err
	}
	defer done()
	of := req.Project
	if o.all {
		of = ""
	}
	grants, err := conn.Ledger.Claims(ctx, of)
	if err != nil {
		return err
	}
	out := o.env.Output()
	view := statusView{Project: req.Project, Team: conn.TeamSlug, Server: conn.Title, ServerFrom: conn.From, Framework: app.Framework.Name,
		Sections: []project.Kind{}, Deployments: []deploymentView{}, Supported: supported}
	if app.HasConfig {
		view.ConfigFile = app.Rel(app.ConfigPath)
		view.Sections = o.sections(app, out)
	}
	for _, g := range grants {
		view.Deployments = append(view.Deployments, describe(g, conn, req.Reference != "" && g.Claim.Deployment == req.Deployment()))
	}
	if o.explain {
		if view.Explain, err = conn.Explain(ctx, req); err != nil {
			return err
		}
	}
	for _, n := range conn.Notes {
		out.Warn("%s", n)
	}
	o.versions(app.Dependencies, out)
	return out.Result(view, func(p *Printer) { view.print(p, o.explain) })
}

// describe says of one claim what a person wants to know.
func describe(g claim.Grant, conn *provision.Connection, mine bool) deploymentView {
	d := deploymentView{Deployment: g.Claim.Deployment, Name: deploymentName(g.Claim), Kind: g.Claim.Kind, Branch: g.Claim.Branch, Mine: mine, State: string(g.Claim.State), Placement: g.Placement.Mode,
		Environment: g.Placement.EnvironmentName, ClientID: g.Placement.ClientID, Homepage: g.Claim.HomepageURL, Users: "its own"}
	if g.Placement.Mode == claim.Shared {
		d.Users = "shared"
		if g.OtherLive > 0 {
			d.Users = "shared with " + counted(g.OtherLive, "other")
		}
	}
	if !g.Claim.ExpiresAt.IsZero() {
		d.Expires = g.Claim.ExpiresAt.UTC().Format("2006-01-02")
	}
	switch {
	case conn.Embedded:
		d.Console = g.Placement.APIBase + "/"
	case g.Placement.EnvironmentID != "":
		d.Console = "https://dashboard.workos.com/" + g.Placement.EnvironmentID + "/authentication"
	}
	return d
}

// deploymentName names a deployment within its project, for people and for
// prune --deployment. Two worktrees of one developer differ in the last part,
// as their environments do.
func deploymentName(c claim.Claim) string {
	switch {
	case c.Kind == claim.Prod:
		return "prod"
	case c.Kind == claim.Preview && c.Branch != "":
		return "preview/" + c.Branch
	case c.Kind == claim.Dev && c.Owner != "":
		return "dev/" + c.Owner + "-" + c.Deployment[max(0, len(c.Deployment)-4):]
	}
	_, name, _ := strings.Cut(c.Deployment, "/")
	return name
}

// sections lists the sections of authKit; a file that cannot be read is told
// about and stops nothing.
func (o *statusOptions) sections(app *project.App, out *Output) []project.Kind {
	found := []project.Kind{}
	cfg, err := app.ReadConfig()
	if err != nil {
		out.Warn("%s", fault.From(err).Message)
		return found
	}
	for _, k := range []project.Kind{project.Dev, project.Preview, project.Prod} {
		if cfg.Section(k) != nil {
			found = append(found, k)
		}
	}
	return found
}

func (v statusView) print(p *Printer, explain bool) {
	p.Fact("project", "%s", p.Bold(v.Project))
	server := v.Server
	if v.ServerFrom != "" {
		server += ", from " + v.ServerFrom
	}
	p.Fact("server", "%s", server)
	switch {
	case v.ConfigFile == "":
		p.Fact("config", "no convex.json yet (berth init writes one)")
	case len(v.Sections) == 0:
		p.Fact("config", "%s, without an authKit section (berth init adds one)", v.ConfigFile)
	default:
		p.Fact("config", "%s, authKit for %s", v.ConfigFile, strings.Join(words(v.Sections), ", "))
	}
	for _, d := range v.Deployments {
		if d.Mine && d.Console != "" {
			p.Fact("console", "%s", d.Console)
		}
	}
	p.Line("")
	if len(v.Deployments) == 0 {
		p.Line("no deployment yet: berth dev makes this checkout's, berth deploy those of branches")
	} else {
		rows := make([][]string, len(v.Deployments))
		for i, d := range v.Deployments {
			name := d.Name
			if of, _, _ := strings.Cut(d.Deployment, "/"); of != v.Project {
				name = of + " " + name
			}
			if d.Mine {
				name += " " + p.Dim("(here)")
			}
			rows[i] = []string{name, d.State, string(d.Placement), d.Users, d.Expires, d.ClientID, d.Homepage}
		}
		p.Table([]string{"DEPLOYMENT", "STATE", "PLACEMENT", "USERS", "UNTIL", "CLIENT ID", "HOMEPAGE"}, rows)
	}
	if explain {
		v.printExplained(p)
	}
}

func (v statusView) printExplained(p *Printer) {
	rows := make([][]string, len(v.Explain))
	for i, e := range v.Explain {
		from, value := e.From, e.Value
		switch {
		case from == "":
			from = p.Dim("not set anywhere")
		case value == "":
			value = p.Dim("(secret)")
		}
		rows[i] = []string{e.Name, from, value, strings.Join(e.Others, ", ")}
	}
	p.Line("")
	p.Table([]string{"VALUE", "COMES FROM", "IS", "ALSO IN"}, rows)
	for _, e := range v.Explain {
		if text := e.Mismatch(); text != "" {
			p.Warn("%s", text)
		}
	}
}

// versions warns about a vendor's package that is newer than what was checked.
func (o *statusOptions) versions(deps map[string]string, out *Output) {
	for _, name := range []string{"convex", "@workos-inc/authkit-react", "@workos-inc/authkit-nextjs", "@convex-dev/workos"} {
		if have := strings.TrimLeft(deps[name], "^~>=v "); have != "" && newer(have, supported[name]) {
			out.Warn("%s %s is newer than the version Berth was checked with (%s)", name, have, supported[name])
		}
	}
}

// newer compares the leading numbers of two versions.
func newer(have, checked string) bool {
	var a, b [3]int
	_, _ = fmt.Sscanf(have, "%d.%d.%d", &a[0], &a[1], &a[2]) // what is no number counts as 0
	_, _ = fmt.Sscanf(checked, "%d.%d.%d", &b[0], &b[1], &b[2])
	if a[0] != b[0] {
		return a[0] > b[0]
	}
	return a[1] > b[1]
}
