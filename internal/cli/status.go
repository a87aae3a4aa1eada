package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/provision"
)

type statusOptions struct {
	env     *Env
	target  targetFlags
	explain bool
	all     bool
}

func newStatusCommand(env *Env) *cobra.Command {
	o := &statusOptions{env: env, target: targetFlags{env: env}}
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
	ConfigFile  string                `json:"config_file"`
	Framework   string                `json:"framework"`
	Deployments []deploymentView      `json:"deployments"`
	Explain     []provision.Explained `json:"explain,omitempty"`
	Supported   map[string]string     `json:"supported_versions"`
}

type deploymentView struct {
	Deployment  string     `json:"deployment"`
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
	req, err := o.target.request(ctx, app)
	if err != nil && !fault.Is(err, fault.NeedsPerson) {
		return err
	}
	conn, done, err := o.target.connect(ctx, app, false)
	if err != nil {
		return err
	}
	defer done()
	project := req.Project
	if o.all {
		project = ""
	}
	grants, err := conn.Ledger.Claims(ctx, project)
	if err != nil {
		return err
	}
	view := statusView{Project: req.Project, Team: conn.TeamSlug, Server: conn.Title, ConfigFile: app.Rel(app.ConfigPath), Framework: app.Framework.Name, Deployments: []deploymentView{}, Supported: supported}
	if !app.HasConfig {
		view.ConfigFile = ""
	}
	for _, g := range grants {
		view.Deployments = append(view.Deployments, describe(g, conn, req.Reference != "" && g.Claim.Deployment == req.Deployment()))
	}
	if o.explain {
		if view.Explain, err = conn.Explain(ctx, req); err != nil {
			return err
		}
	}
	out := o.env.Output()
	for _, n := range conn.Notes {
		out.Warn("%s", n)
	}
	o.versions(app.Dependencies, out)
	return out.Result(view, func(p *Printer) { view.print(p, o.explain) })
}

// describe says of one claim what a person wants to know.
func describe(g claim.Grant, conn *provision.Connection, mine bool) deploymentView {
	d := deploymentView{Deployment: g.Claim.Deployment, Kind: g.Claim.Kind, Branch: g.Claim.Branch, Mine: mine, State: string(g.Claim.State), Placement: g.Placement.Mode,
		Environment: g.Placement.EnvironmentName, ClientID: g.Placement.ClientID, Homepage: g.Claim.HomepageURL, Users: "its own"}
	if g.Placement.Mode == claim.Shared {
		d.Users = "shared"
		if g.OtherLive > 0 {
			d.Users = fmt.Sprintf("shared with %d other%s", g.OtherLive, map[bool]string{true: "s"}[g.OtherLive > 1])
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

func (v statusView) print(p *Printer, explain bool) {
	p.Fact("project", "%s", p.Bold(v.Project))
	p.Fact("server", "%s", v.Server)
	if v.ConfigFile == "" {
		p.Fact("config", "no convex.json yet (berth init writes one)")
	} else {
		p.Fact("config", "%s, section authKit", v.ConfigFile)
	}
	if len(v.Deployments) == 0 {
		p.Line("no deployment yet: berth dev makes this checkout's, berth deploy those of branches")
	} else {
		rows := make([][]string, len(v.Deployments))
		for i, d := range v.Deployments {
			name := strings.TrimPrefix(d.Deployment, v.Project+"/")
			if d.Branch != "" && d.Kind == claim.Preview {
				name = "preview/" + d.Branch
			}
			if d.Mine {
				name += " " + p.Dim("(here)")
			}
			rows[i] = []string{name, d.State, string(d.Placement), d.ClientID, d.Users, d.Homepage, d.Expires}
		}
		p.Table([]string{"DEPLOYMENT", "STATE", "PLACEMENT", "CLIENT ID", "USERS", "HOMEPAGE", "UNTIL"}, rows)
	}
	if !explain {
		return
	}
	p.Line("")
	rows := make([][]string, len(v.Explain))
	for i, e := range v.Explain {
		from, also := e.From, strings.Join(e.Others, ", ")
		if from == "" {
			from = p.Dim("not set anywhere")
		}
		if e.Differ {
			also += " " + p.Yellow("(another value)")
		}
		rows[i] = []string{e.Name, from, e.Value, also}
	}
	p.Table([]string{"VALUE", "COMES FROM", "IS", "ALSO SET IN"}, rows)
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
