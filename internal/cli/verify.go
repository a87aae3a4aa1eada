package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/browser"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/doctor"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

type verifyOptions struct {
	env    *Env
	target targetFlags
	signIn bool
	email  string
	list   bool
}

func newVerifyCommand(env *Env) *cobra.Command {
	o := &verifyOptions{env: env, target: targetFlags{env: env, noPort: true}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "prove that a deployment signs people in",
		Long: `Signs a test user in through the real sign-in page, back to the app's redirect URI,
and presents the token to the backend: three legs, three verdicts. The user is made
for the purpose and deleted afterwards, unless --email names one of the accounts file.

In production nothing is written: it only looks whether the sign-in page opens,
unless --sign-in and --email are given.
Exit code 0 when all legs hold, 2 when one is broken.`,
		Example: `berth verify	this checkout
berth verify --kind preview --branch feature-a
berth verify --checklist	the eight boxes of a finished set-up
berth verify --email ada@example.com	with a test account of the accounts file`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), o) },
	}
	o.target.register(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.signIn, "sign-in", false, "in production too, sign the account of --email in")
	f.BoolVar(&o.list, "checklist", false, "the eight boxes of a finished set-up, each with a verdict")
	f.StringVar(&o.email, "email", "", "a test account of the accounts file `EMAIL`")
	return cmd
}

type verifyView struct {
	Deployment  string           `json:"deployment"`
	Environment string           `json:"environment"`
	RedirectURI string           `json:"redirect_uri"`
	Legs        []doctor.Verdict `json:"legs"`
	// Boxes are there with --checklist.
	Boxes []doctor.BoxVerdict `json:"checklist,omitempty"`
}

func runVerify(ctx context.Context, o *verifyOptions) error {
	if o.list {
		return o.checklist(ctx)
	}
	view, err := o.verify(ctx)
	if err != nil {
		return err
	}
	if err := o.env.Output().Result(view, func(p *Printer) { view.print(p) }); err != nil {
		return err
	}
	return view.verdict()
}

// verdict is the exit code of a proof: 2 when a leg is broken.
func (v verifyView) verdict() error {
	for _, l := range v.Legs {
		if l.State == doctor.Breaks {
			return &Exit{exitPending}
		}
	}
	return nil
}

// checklist fills the eight boxes. That something is missing is a verdict, not
// an error.
func (o *verifyOptions) checklist(ctx context.Context) error {
	app, err := o.target.app()
	if err != nil {
		return err
	}
	subject, err := doctor.Files(app, o.env.Lookup)
	if err != nil {
		return err
	}
	view, notReady := o.verify(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	d := &doctorOptions{env: o.env, target: targetFlags{env: o.env, kind: o.target.kind, branch: o.target.branch, urls: o.target.urls, project: o.target.project, readOnly: true, anyKey: true}}
	asked, cancel := context.WithTimeout(ctx, examination)
	defer cancel()
	d.gather(asked, app, subject)
	report, err := doctor.Run(ctx, subject, doctor.Checks())
	if err != nil {
		return err
	}
	known := doctor.Known{HasConfig: subject.Config != nil && subject.Config.HasAuthKit}
	if subject.Config != nil {
		known.WantsProd = subject.Config.Section(project.Prod) != nil
	}
	if e := subject.Environment; e != nil {
		known.Path, known.HasProduction = "environments come from "+e.BaseURL, e.Production
	}
	if view.Legs == nil {
		view.Legs = []doctor.Verdict{}
	}
	if notReady != nil {
		view.Legs = append(view.Legs, doctor.Verdict{Leg: doctor.Session, State: doctor.Breaks, Seen: fault.From(notReady).Message, Fix: fault.From(notReady).Fix})
	}
	view.Boxes = doctor.Boxes(known, report, view.Legs)
	if err := o.env.Output().Result(view, func(p *Printer) { view.printBoxes(p) }); err != nil {
		return err
	}
	for _, b := range view.Boxes {
		if !b.OK {
			return &Exit{exitPending}
		}
	}
	return nil
}

func (v verifyView) printBoxes(p *Printer) {
	for i, b := range v.Boxes {
		text := fmt.Sprintf("%d. %s", i+1, b.Title)
		switch {
		case !b.OK:
			p.Fail("%s  %s", text, p.Dim(b.ID))
		case !b.Asked:
			p.Line("%s %s  %s", p.Dim("·"), text, p.Dim(b.ID))
		default:
			p.OK("%s  %s", text, p.Dim(b.ID))
		}
		p.Fact("", "%s", b.Seen)
		if b.Fix != "" {
			p.Fact("", "fix: %s", b.Fix)
		}
	}
}

// verify opens the deployment and proves it.
func (o *verifyOptions) verify(ctx context.Context) (view verifyView, err error) {
	s, err := o.target.open(ctx, false)
	if err != nil {
		return view, err
	}
	defer s.close()
	return o.prove(ctx, s)
}

// prove signs in and returns the verdicts.
func (o *verifyOptions) prove(ctx context.Context, s *session) (view verifyView, err error) {
	x, err := s.conn.Examine(ctx, s.req)
	if err != nil {
		return view, err
	}
	if x.Grant == nil {
		return view, errNotReady(s.req)
	}
	p := x.Grant.Placement
	v := doctor.SignIn{Environment: x.Credentials, ClientID: p.ClientID, APIBase: strings.TrimRight(p.APIBase, "/"), Now: o.env.Now, ByAPI: !s.conn.Embedded}
	for _, uri := range x.Grant.Claim.Current().RedirectURIs {
		if v.RedirectURI == "" && !strings.Contains(uri, "*") {
			v.RedirectURI = uri
		}
	}
	if v.RedirectURI == "" {
		return view, fault.New(fault.NotFound, "%s has no redirect URI to come back to", s.req.Title()).WithFix("give it one in convex.json and run berth apply").WithCode("no_redirect_uri")
	}
	if x.Embedded != nil {
		v.Issuer = x.Embedded.Issuer
	}
	v.Deployment = o.backend(s, x)
	forget, err := o.person(ctx, s, x, &v)
	if err != nil {
		return view, err
	}
	legs, err := doctor.Verify(ctx, v)
	if forgetErr := forget(context.WithoutCancel(ctx)); err == nil {
		err = forgetErr
	}
	if err != nil {
		return view, err
	}
	return verifyView{Deployment: s.req.Title(), Environment: p.EnvironmentName, RedirectURI: v.RedirectURI, Legs: legs}, nil
}

// person finds or makes who signs in. forget deletes who was made.
func (o *verifyOptions) person(ctx context.Context, s *session, x *provision.Examined, v *doctor.SignIn) (forget func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	production := x.Grant.Placement.Production || s.req.Kind == claim.Prod
	if o.email != "" && (!production || o.signIn) {
		accounts, err := readAccounts(s.app)
		if err != nil {
			return nothing, err
		}
		kept, known := accounts.find(x.Grant.Placement.ClientID, o.email)
		if !known {
			return nothing, fault.New(fault.NotFound, "%s has no account for %s of this environment", accountsFile, o.email).WithFix("berth users create %s", o.email).WithCode("account_unknown")
		}
		v.Person = &browser.Person{Email: o.email, Password: secret.String(kept.Password)}
		return nothing, nil
	}
	if production || o.env.DryRun() {
		return nothing, nil
	}
	email := "berth-verify-" + strings.ToLower(rand.Text()[:10]) + "@example.com"
	password := rand.Text()
	u, err := x.Credentials.CreateUser(ctx, workos.NewUser{Email: email, Password: workos.Credential(password), FirstName: "Berth", LastName: "Verify", EmailVerified: true})
	if err != nil {
		return nothing, err
	}
	v.Person = &browser.Person{Email: email, Password: secret.String(password)}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := x.Credentials.DeleteUser(ctx, u.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return fault.Wrap(err, fault.From(err).Kind, "the test user %s was not deleted: %s", email, fault.From(err).Message).WithFix("berth users delete %s --yes", email)
		}
		return nil
	}, nil
}

// backend asks the deployment about a token. nil when it is not known.
func (o *verifyOptions) backend(s *session, x *provision.Examined) func(context.Context, string) (*doctor.Acceptance, error) {
	if x.BackendProblem != nil || x.Backend == nil || x.Backend.Name == "" || !x.Backend.Embedded {
		return nil
	}
	return func(ctx context.Context, token string) (*doctor.Acceptance, error) {
		d, err := s.conn.Ledger.Check(ctx, x.Backend.Name, secret.String(token))
		if err != nil {
			return nil, err
		}
		return &doctor.Acceptance{Accepted: d.Accepted, Code: d.Code, Text: d.Message, Subject: strings.Trim(string(d.Identity["subject"]), `"`)}, nil
	}
}

func (v verifyView) print(p *Printer) {
	p.Line("%s", p.Bold(v.Deployment+": "+v.Environment))
	for _, l := range v.Legs {
		name := map[doctor.Leg]string{doctor.Session: "session", doctor.Token: "token", doctor.Backend: "backend"}[l.Leg]
		switch l.State {
		case doctor.Holds:
			p.OK("%s  %s  %s", pad(name, 8), l.Seen, p.Dim(fmt.Sprintf("%.0f ms", l.Seconds*1000)))
		case doctor.Breaks:
			p.Fail("%s  %s", pad(name, 8), l.Seen)
			if l.Fix != "" {
				p.Fact("Fix", "%s", l.Fix)
			}
		default:
			p.Line("%s %s  %s", p.Dim("·"), pad(name, 8), p.Dim("not checked: "+l.Seen))
		}
	}
}
