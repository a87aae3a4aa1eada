package cli

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/doctor"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/workos"
)

type doctorOptions struct {
	env     *Env
	target  targetFlags
	explain string
	offline bool
	fix     bool
	list    bool
	har     string
	log     string

	bundle     string
	keepEmails bool
	subject    *doctor.Subject // as it was examined last
}

func newDoctorCommand(env *Env) *cobra.Command {
	o := &doctorOptions{env: env, target: targetFlags{env: env, readOnly: true, anyKey: true}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "why sign-in does not work, and how to mend it",
		Long: `Looks at the app's files, its variables, the auth environment and the backend, and
reports what breaks sign-in: the likeliest cause first, with evidence and fix.
Exit code 0 when nothing is wrong, 2 when something is.`,
		Example: `berth doctor	everything that can be looked at from here
berth doctor --offline	files and variables only; no call leaves this machine
berth doctor --har sign-in.har	what a recording of the browser's network shows
berth doctor --log build.log	what a log of the host or of Convex shows
berth doctor --fix	mend what can be mended safely, asking before each
berth doctor --explain forced-refresh-loop	what a finding means`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), o) },
	}
	o.target.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.explain, "explain", "", "say what a finding means `CODE`")
	f.BoolVar(&o.list, "list", false, "list all findings that there are")
	f.StringVar(&o.har, "har", "", "look at a recording of the browser's network `FILE`")
	f.StringVar(&o.log, "log", "", "look at a log of the host or of Convex `FILE`")
	f.BoolVar(&o.offline, "offline", false, "look at files and variables only")
	f.StringVar(&o.bundle, "bundle", "", "write what somebody who helps wants to see, without secrets `FILE.zip`")
	f.BoolVar(&o.keepEmails, "keep-emails", false, "with --bundle, leave e-mail addresses in")
	f.BoolVar(&o.fix, "fix", false, "mend what can be mended safely, after asking")
	return cmd
}

type doctorView struct {
	App        string           `json:"app"`
	Framework  string           `json:"framework"`
	Deployment string           `json:"deployment,omitempty"`
	Findings   []diagnosis      `json:"findings"`
	Skipped    []doctor.Skipped `json:"skipped"`
	Checks     int              `json:"checks"`
	Fixed      []string         `json:"fixed,omitempty"`
}

type diagnosis struct {
	doctor.Finding
	Title    string          `json:"title"`
	Leg      doctor.Leg      `json:"leg"`
	Severity doctor.Severity `json:"severity"`
	Why      string          `json:"why"`
	Fixable  bool            `json:"fixable"`
	Needs    []string        `json:"requirements"`
}

func newDiagnosis(f doctor.Finding) diagnosis {
	e := doctor.Explain(f.Code)
	if f.Fix == "" {
		f.Fix = e.Fix
	}
	return diagnosis{Finding: f, Title: e.Title, Leg: e.Leg, Severity: e.Severity, Why: e.Why, Fixable: e.Fixable && f.Repair != nil, Needs: e.Requirements}
}

// examination bounds everything that doctor asks for, whatever hangs.
const examination = 10 * time.Second

func runDoctor(ctx context.Context, o *doctorOptions) error {
	switch {
	case o.explain != "":
		return explainFinding(o.env, o.explain)
	case o.list:
		return listFindings(o.env)
	case o.har != "" && o.log != "":
		return fault.New(fault.Invalid, "--har and --log were both given").WithFix("look at one after the other")
	case o.har != "":
		return o.file(o.har, "recording", doctor.RecordingChecks, doctor.ReadHAR)
	case o.log != "":
		return o.file(o.log, "log", doctor.LogChecks, func(data []byte) ([]doctor.Finding, error) { return doctor.ReadLog(data), nil })
	}
	app, err := o.target.app()
	if err != nil {
		return err
	}
	view, found, err := o.examine(ctx, app)
	if err != nil {
		return err
	}
	o.attach(app, found)
	if o.fix {
		if view.Fixed, found, err = o.repair(ctx, app, found); err != nil {
			return err
		}
	}
	for _, f := range found {
		view.Findings = append(view.Findings, newDiagnosis(f))
	}
	if o.bundle != "" {
		return o.writeBundle(ctx, app, view)
	}
	return o.conclude(view)
}

// examine runs all checks that can be run. The findings are not in the view yet:
// some may be mended before.
func (o *doctorOptions) examine(ctx context.Context, app *project.App) (view doctorView, found []doctor.Finding, err error) {
	s, err := doctor.Files(app, o.env.Lookup)
	if err != nil {
		return view, nil, err
	}
	s.Git, o.subject = project.RunGit, s
	view = doctorView{App: app.Name, Framework: app.Framework.Name, Findings: []diagnosis{}}
	if o.offline {
		for _, n := range []doctor.Need{doctor.NeedsEnvironment, doctor.NeedsDeployment, doctor.NeedsNetwork} {
			s.Unreachable[n] = "--offline was given"
		}
	} else {
		asked, cancel := context.WithTimeout(ctx, examination)
		defer cancel()
		view.Deployment = o.gather(asked, app, s)
		if err := ctx.Err(); err != nil {
			return view, nil, err
		}
	}
	report, err := doctor.Run(ctx, s, doctor.Checks())
	if err != nil {
		return view, nil, err
	}
	view.Skipped, view.Checks = report.Skipped, report.Ran
	return view, report.Findings, nil
}

// file reports what a file shows that was recorded elsewhere.
func (o *doctorOptions) file(name, what string, checks int, read func([]byte) ([]doctor.Finding, error)) error {
	data, err := readBounded(name)
	if err != nil {
		return err
	}
	found, err := read(data)
	if err != nil {
		return fault.From(err)
	}
	view := doctorView{App: name, Framework: what, Skipped: []doctor.Skipped{}, Findings: []diagnosis{}, Checks: checks}
	for _, f := range found {
		view.Findings = append(view.Findings, newDiagnosis(f))
	}
	return o.conclude(view)
}

// conclude prints a report and gives the exit code.
func (o *doctorOptions) conclude(view doctorView) error {
	if err := o.env.Output().Result(view, func(p *Printer) { view.print(p) }); err != nil {
		return err
	}
	for _, f := range view.Findings {
		if f.Severity != doctor.Noticed {
			return &Exit{exitPending}
		}
	}
	return nil
}

// gather asks what surrounds the app. Whatever cannot be asked is noted with
// the reason, and the checks that need it are skipped.
func (o *doctorOptions) gather(ctx context.Context, app *project.App, s *doctor.Subject) (title string) {
	s.HTTP = &http.Client{Timeout: 5 * time.Second}
	unknown := func(n doctor.Need, err error) {
		s.Unreachable[n] = fault.From(err).Message
		s.Problems = append(s.Problems, err)
	}
	req, err := o.target.request(ctx, app)
	if err != nil {
		unknown(doctor.NeedsEnvironment, err)
		unknown(doctor.NeedsDeployment, err)
		return ""
	}
	s.Kind, s.Branch = req.Kind, req.Branch
	conn, done, err := o.target.connect(ctx, app, req, false)
	if err != nil {
		unknown(doctor.NeedsEnvironment, err)
		unknown(doctor.NeedsDeployment, err)
		return req.Title()
	}
	defer done()
	x, err := conn.Examine(ctx, req)
	if err != nil {
		unknown(doctor.NeedsEnvironment, err)
		unknown(doctor.NeedsDeployment, err)
		return req.Title()
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // crypto/rand never fails
	s.Values = localValues(app, s, key)
	if err := environmentOf(ctx, x, s); err != nil {
		unknown(doctor.NeedsEnvironment, err)
	}
	if err := deploymentOf(ctx, x, s, key); err != nil {
		unknown(doctor.NeedsDeployment, err)
	}
	return req.Title()
}

func environmentOf(ctx context.Context, x *provision.Examined, s *doctor.Subject) error {
	switch {
	case x.Grant == nil:
		return fault.New(fault.NotFound, "this deployment has no auth environment yet: run berth dev or berth deploy")
	case x.EnvironmentProblem != nil:
		return x.EnvironmentProblem
	}
	p := x.Grant.Placement
	e := &doctor.Environment{ClientID: p.ClientID, Production: p.Production, BaseURL: p.APIBase, HomepageURL: p.HomepageURL}
	if b := x.Embedded; b != nil {
		e.Embedded, e.Issuer, e.RedirectURIs, e.CORSOrigins, e.HomepageURL = true, b.Issuer, b.RedirectURIs, b.CORSOrigins, b.HomepageURL
		s.Environment = e
		return nil
	}
	e.Issuer = workos.DefaultBase + "/user_management/" + p.ClientID
	uris, err := x.Credentials.ListRedirectURIs(ctx)
	if err != nil {
		return err
	}
	for _, u := range uris {
		if e.RedirectURIs = append(e.RedirectURIs, u.URI); u.Default {
			e.DefaultURI = u.URI
		}
	}
	origins, err := x.Credentials.ListCORSOrigins(ctx)
	if err != nil {
		return err
	}
	for _, origin := range origins {
		e.CORSOrigins = append(e.CORSOrigins, origin.Origin)
	}
	s.Environment = e
	return nil
}

func deploymentOf(ctx context.Context, x *provision.Examined, s *doctor.Subject, key []byte) error {
	switch {
	case x.BackendProblem != nil:
		return x.BackendProblem
	case x.Backend.Deployment == nil:
		return fault.New(fault.NotFound, "%s", x.Backend.Why)
	}
	d := &doctor.Deployment{Name: x.Backend.Name, URL: x.Backend.Deployment.URL(), Type: string(s.Kind), CanRead: true}
	vars, err := x.Backend.Deployment.ListVariables(ctx)
	switch {
	case fault.Is(err, fault.Denied):
		d.CanRead = false
	case err != nil:
		return err
	default:
		d.Variables = vars
		for _, name := range []string{provision.ClientIDVar, provision.APIKeyVar} {
			if v := vars[name]; v != "" {
				s.Values = append(s.Values, valueAt(name, provision.FromDeployment, v, key))
			}
		}
	}
	s.Deployment = d
	return nil
}

// localValues names the places on this machine that have the credentials.
func localValues(app *project.App, s *doctor.Subject, key []byte) []doctor.Value {
	var all []doctor.Value
	names := []string{provision.ClientIDVar, provision.APIKeyVar}
	if n := app.Framework.ClientID; n != "" && n != provision.ClientIDVar {
		names = append(names, n)
	}
	for _, name := range names {
		if v, set := s.Lookup(name); set && v != "" {
			all = append(all, valueAt(name, provision.FromProcess, v, key))
		}
		if s.Env == nil {
			continue
		}
		if v, set := s.Env.Lookup(name); set && v != "" {
			all = append(all, valueAt(name, provision.FromEnvLocal, v, key))
		}
	}
	return all
}

// valueAt keeps of a secret only its public prefix and a fingerprint that is
// different in every run: it tells equal values from others, and no more.
func valueAt(name, place, text string, key []byte) doctor.Value {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	v := doctor.Value{Name: name, Place: place, Fingerprint: hex.EncodeToString(mac.Sum(nil))[:8]}
	if strings.HasSuffix(name, provision.APIKeyVar) {
		for _, prefix := range []string{"sk_test", "sk_live"} {
			if strings.HasPrefix(text, prefix+"_") {
				v.Prefix = prefix
			}
		}
		return v
	}
	v.Text = text
	return v
}

func (v doctorView) print(p *Printer) {
	head := v.App + ", " + v.Framework
	if v.Deployment != "" {
		head += ": " + v.Deployment
	}
	p.Line("%s", p.Bold(head))
	for i, f := range v.Findings {
		p.Line("")
		f.print(p, i+1)
	}
	p.Line("")
	if len(v.Findings) == 0 {
		p.OK("nothing is wrong in what was looked at (%s)", counted(v.Checks, "check"))
	} else {
		p.Line("%s, %s. The first is the likeliest cause.", counted(len(v.Findings), "finding"), counted(v.Checks, "check"))
	}
	for _, s := range v.Skipped {
		p.Line("%s", p.Dim("not looked at: "+s.Check+" ("+s.Reason+")"))
	}
}

func (f diagnosis) print(p *Printer, number int) {
	mark := p.Red("✗")
	switch f.Severity {
	case doctor.Risky:
		mark = p.Yellow("!")
	case doctor.Noticed:
		mark = "·"
	}
	title := f.Title
	if number > 0 {
		title = fmt.Sprintf("%d. %s", number, title)
	}
	p.Line("%s %s  %s", mark, p.Bold(title), p.Dim(f.Code))
	if f.Where != "" {
		p.Fact("  Where", "%s", f.Where)
	}
	p.Fact("  Seen", "%s", f.Seen)
	for _, line := range f.Proof {
		p.Fact("", "%s", line)
	}
	p.Fact("  Why", "%s", f.Why)
	p.Fact("  Fix", "%s", f.Fix)
}

func explainFinding(env *Env, code string) error {
	e := doctor.Explain(code)
	if e.Code == "" {
		return fault.New(fault.NotFound, "there is no finding %q", code).WithFix("berth doctor --list shows all of them").WithCode("finding_unknown")
	}
	return env.Output().Result(e, func(p *Printer) {
		p.Line("%s  %s", p.Bold(e.Title), p.Dim(e.Code))
		p.Fact("Leg", "%s", e.Leg)
		p.Fact("Severity", "%s", e.Severity)
		p.Fact("Why", "%s", e.Why)
		p.Fact("Fix", "%s", e.Fix)
		for _, link := range e.Links {
			p.Fact("See", "%s", link)
		}
	})
}

func listFindings(env *Env) error {
	all := doctor.Catalogue()
	return env.Output().Result(all, func(p *Printer) {
		rows := make([][]string, len(all))
		for i, e := range all {
			rows[i] = []string{e.Code, string(e.Leg), string(e.Severity), e.Title}
		}
		p.Table([]string{"CODE", "LEG", "SEVERITY", "MEANS"}, rows)
	})
}
