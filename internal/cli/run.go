package cli

import (
	"context"
	"strings"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
)

// planStyle colours a plan as the printer's colors are.
func planStyle(p *Printer) *plan.Style {
	if !p.color {
		return nil
	}
	return &plan.Style{Add: p.Green, Set: p.Yellow, Remove: p.Red, Keep: p.Dim, Note: p.Dim, Warning: p.Yellow, Heading: p.Bold}
}

// session is a connection with the app and request it is for.
type session struct {
	target *targetFlags
	app    *project.App
	conn   *provision.Connection
	req    provision.Request
	close  func()
}

// open finds the app, decides the deployment, says which it is, and connects.
func (t *targetFlags) open(ctx context.Context, start bool) (*session, error) {
	app, err := t.app()
	if err != nil {
		return nil, err
	}
	req, err := t.request(ctx, app)
	if err != nil {
		return nil, err
	}
	if t.accept != nil {
		if err := t.accept(req); err != nil {
			return nil, err
		}
	}
	out := t.env.Output()
	t.announce(out, req)
	if err := checkDeployKey(t.env, req); err != nil {
		return nil, err
	}
	if t.configured {
		// A broken file is said before a server is started or asked.
		if _, err := app.ReadConfig(); err != nil {
			return nil, err
		}
	}
	conn, done, err := t.connect(ctx, app, req, start)
	if err != nil {
		return nil, err
	}
	out.Fact("server", "%s", conn.Title)
	for _, n := range conn.Notes {
		out.Warn("%s", n)
	}
	return &session{target: t, app: app, conn: conn, req: req, close: done}, nil
}

// applyView is the result of dev, deploy and apply as JSON.
type applyView struct {
	Deployment  string          `json:"deployment"`
	Kind        claim.Kind      `json:"kind"`
	Branch      string          `json:"branch,omitempty"`
	Placement   claim.Mode      `json:"placement,omitempty"`
	Environment environmentView `json:"environment,omitzero"`
	Backend     string          `json:"backend,omitempty"`
	Redirects   []string        `json:"redirect_uris"`
	Changed     bool            `json:"changed"`
	Plan        plan.Plan       `json:"plan"`
	Warnings    []string        `json:"warnings"`
	Idle        string          `json:"idle,omitempty"` // why there is nothing to do for this kind of deployment
	HandOver    string          `json:"hand_over,omitempty"`
	Build       *buildView      `json:"build,omitempty"`  // the build command, when one was run
	Verify      *verifyView     `json:"verify,omitempty"` // with deploy --verify
	DryRun      bool            `json:"dry_run,omitempty"`
	Calls       callsView       `json:"calls"`
}

type environmentView struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	ClientID string `json:"client_id"`
	Server   string `json:"server"`
}

type buildView struct {
	ExitCode int `json:"exit_code"`
}

type callsView struct {
	Reads  int64 `json:"reads"`
	Writes int64 `json:"writes"`
}

func (s *session) view(p *provision.Prepared, out *provision.Outcome) applyView {
	v := applyView{Deployment: s.req.Deployment(), Kind: s.req.Kind, Branch: s.req.Branch, Plan: p.Plan, Redirects: []string{}, Warnings: append([]string{}, p.Plan.Warnings...),
		Idle: p.Idle, DryRun: s.target.env.DryRun(), Calls: callsView{s.target.reads.Load(), s.target.writes.Load()}}
	if out != nil {
		pl := out.Environment.Placement
		v.Placement, v.Changed, v.Plan, v.Backend = pl.Mode, out.Changed, out.Plan, out.BackendName
		v.Environment = environmentView{ID: pl.EnvironmentID, Name: pl.EnvironmentName, ClientID: pl.ClientID, Server: s.conn.Title}
		v.Redirects = append(v.Redirects, p.RedirectURIs()...)
		v.Warnings = append(append([]string{}, out.Plan.Warnings...), out.Report.Warnings()...)
	}
	return v
}

// prepare makes the plan and tells about what is odd in convex.json. What
// stops the run says so itself.
func (s *session) prepare(ctx context.Context) (*provision.Prepared, error) {
	p, err := s.conn.Prepare(ctx, s.req)
	if err != nil {
		return nil, err
	}
	if p.Refused() == nil {
		s.target.findings(s.target.env.Output(), p.Findings)
	}
	return p, nil
}

// apply carries out a plan that was shown, and says what came of it.
func (s *session) apply(ctx context.Context, p *provision.Prepared) (*provision.Outcome, error) {
	o := s.target.env.Output()
	if err := p.Refused(); err != nil {
		return nil, err
	}
	out, err := s.conn.Apply(ctx, p)
	if out != nil && out.Replanned {
		o.Warn("the environment changed since the plan was made; this was applied instead:")
		s.show(out.Plan)
	}
	if err != nil {
		if out != nil && out.Report != nil {
			s.partly(out.Report, err)
		}
		return out, err
	}
	return out, nil
}

// partly says how far a run came that failed with err.
func (s *session) partly(r *plan.Report, err error) {
	o, total, made, message := s.target.env.Output(), 0, 0, fault.From(err).Message
	for _, result := range r.Results {
		switch result.State {
		case plan.Kept:
			continue
		case plan.Failed, plan.NotStarted:
			if result.State == plan.Failed && result.Detail != message {
				o.Fail("%s", result.Detail)
			}
		default:
			made++
		}
		total++
	}
	if made > 0 {
		o.Step("%d of %s made before this", made, counted(total, "change"))
	}
}

// show prints the changes of a plan, for a command that named its target
// already. Without changes only warnings are news.
func (s *session) show(p plan.Plan) {
	o := s.target.env.Output()
	warnings := p.Warnings
	p.Warnings = nil
	_, text, _ := strings.Cut(p.Text(planStyle(o.Printer)), "\n") // without its heading
	if !p.Empty() {
		o.Block(text)
	}
	for _, w := range warnings {
		o.Warn("%s", w)
	}
}

// Block prints text of several lines as it is.
func (p *Printer) Block(text string) {
	if text = strings.TrimRight(text, "\n"); text != "" {
		p.Line("%s", text)
	}
}

// summary is the last lines of dev, deploy and apply: what there is now, and
// what the other end refused or kept. The plan's notes were shown before.
func (s *session) summary(p *provision.Prepared, out *provision.Outcome) {
	o := s.target.env.Output()
	pl := out.Environment.Placement
	if pl.ClientID == "" {
		return
	}
	state := "already as it should be"
	if out.Changed {
		state = "ready"
	}
	name := strings.TrimSuffix(pl.EnvironmentName, " (shared)") // the placement says it
	o.OK("%s: environment %s (%s, %s)", state, o.Bold(name), pl.Mode, pl.ClientID)
	for _, uri := range p.RedirectURIs() {
		o.Fact("callback", "%s", uri)
	}
	for _, w := range (&plan.Report{Results: out.Report.Results}).Warnings() {
		o.Warn("%s", w)
	}
}

// dryRun ends a command that only showed its plan.
func (s *session) dryRun(p *provision.Prepared) error {
	o := s.target.env.Output()
	switch {
	case p.Idle != "":
	case p.Plan.Empty():
		o.OK("nothing to change")
	default:
		o.Line("dry run: nothing was changed")
	}
	return o.Result(s.view(p, nil), func(*Printer) {})
}

// idle says that there is nothing to do for this kind of deployment.
func (s *session) idle(p *provision.Prepared) {
	add := "berth init --add-missing"
	if s.req.Kind == claim.Prod {
		add += " --prod-url URL"
	}
	s.target.env.Output().Warn("%s (add one with: %s)", p.Idle, add)
}

// errNotReady is for commands that need an environment which is not there yet.
func errNotReady(r provision.Request) error {
	return fault.New(fault.NotFound, "%s has no environment yet", r.Title()).WithFix("make it with: berth %s", map[claim.Kind]string{claim.Dev: "dev --once", claim.Preview: "deploy", claim.Prod: "deploy"}[r.Kind]).WithCode("no_environment")
}
