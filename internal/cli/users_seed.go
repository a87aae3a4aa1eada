package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/seed"
)

func newUsersSeedCommand(env *Env) *cobra.Command {
	o := &usersOptions{env: env, target: targetFlags{env: env, noPort: true}}
	cmd := &cobra.Command{
		Use:   "seed FILE",
		Short: "make users, organizations and roles as a file says",
		Long: `Makes the permissions, roles, organizations, users and memberships of a file (JSON, comments allowed).
It adds and changes, removes nothing, and a second run changes nothing. Users without a
password get one, which is written to ` + accountsFile + `.
It uses the calls that WorkOS has too, so that it works on a WorkOS staging environment.
WorkOS has no call for the one-click list of the sign-in page and none that makes connections or feature flags.`,
		Example: `berth users seed berth/seed.json
berth users seed berth/seed.json --dry-run
berth users seed berth/seed.json --kind preview --branch feature-a`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.New(fault.Invalid, "berth users seed takes one file").WithFix("for example: berth users seed berth/seed.json").WithCode("argument_missing")
			}
			return runUsersSeed(cmd.Context(), o, args[0])
		},
	}
	o.target.register(cmd)
	return cmd
}

// seedView is the result of seeding.
type seedView struct {
	Changed  bool        `json:"changed"`
	Steps    []seed.Step `json:"steps"`
	Accounts string      `json:"accounts_file,omitempty"`
}

func runUsersSeed(ctx context.Context, o *usersOptions, path string) error {
	// A broken file is said before anything is asked or started.
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(o.env.Dir, path)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot read %s", path).WithCode("seed_unreadable")
	}
	file, err := seed.Parse(path, data)
	if err != nil {
		return err
	}
	s, g, env, err := o.environment(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.noProduction(g); err != nil {
		return err
	}
	accounts, err := readAccounts(s.app)
	if err != nil {
		return err
	}
	keeper := &passwords{accounts: accounts, s: s, clientID: g.Placement.ClientID}
	out := o.env.Output()
	steps, err := file.Apply(ctx, env, seed.Options{
		DryRun: o.env.DryRun(), Password: keeper.of,
		User: func(ctx context.Context, _ seed.User, id string, password secret.String) error {
			if password == "" {
				return nil
			}
			return s.offer(ctx, g, id, password)
		},
	})
	view := seedView{Steps: append([]seed.Step{}, steps...)}
	for _, step := range steps {
		if step.Action != seed.Unchanged {
			view.Changed = true
			out.OK("%s%s %s %s", map[bool]string{true: "would be ", false: ""}[o.env.DryRun()], step.Action, step.Kind, step.Name)
		}
	}
	if err != nil {
		return err
	}
	switch {
	case !view.Changed:
		out.OK("%s is as %s says; nothing was changed", g.Placement.EnvironmentName, path)
	case o.env.DryRun():
		out.Line("nothing was changed")
	}
	if keeper.wrote {
		view.Accounts = accountsFile
		out.Line("  the passwords are in %s", accountsFile)
	}
	return out.Result(view, func(*Printer) {})
}

// passwords decides which password a seeded user gets: the file's own, else the
// one of the accounts file, else a new one. Each is written down before it is used.
type passwords struct {
	accounts *accounts
	s        *session
	clientID string
	wrote    bool
}

// of returns the password, and whether the user's own is known to be another:
// the seed file's was changed since it was last applied from this folder.
func (p *passwords) of(ctx context.Context, u seed.User, exists bool) (secret.String, bool, error) {
	kept, known := p.accounts.find(p.clientID, u.Email)
	if exists && !known && u.Password == "" {
		return "", false, nil // somebody else's, and unknown here
	}
	first, last := u.Names()
	entry := kept
	entry.Email, entry.ClientID, entry.Deployment = cmp.Or(kept.Email, u.Email), p.clientID, p.s.req.Deployment()
	entry.FirstName, entry.LastName = cmp.Or(first, kept.FirstName), cmp.Or(last, kept.LastName)
	entry.Password = cmp.Or(u.Password, kept.Password)
	if entry.Password == "" {
		entry.Password = rand.Text()
	}
	if entry.EmailVerified = nil; !u.IsVerified() {
		entry.EmailVerified = new(false)
	}
	differs := exists && u.Password != "" && kept.Password != u.Password
	if p.s.target.env.DryRun() {
		return secret.String(entry.Password), differs, nil
	}
	changed, err := p.accounts.put(entry)
	if err == nil && changed {
		p.wrote = true
		err = p.accounts.write(ctx, p.s.app)
	}
	return secret.String(entry.Password), differs, err
}

type oneClickOptions struct{ usersOptions }

func newUsersOneClickCommand(env *Env) *cobra.Command {
	o := &oneClickOptions{usersOptions{env: env, target: targetFlags{env: env, noPort: true}}}
	cmd := &cobra.Command{
		Use:   "one-click on|off",
		Short: "offer the test users on the sign-in page to everybody who can open it",
		Long: `On the machine of the Berth server the sign-in page of a dev or preview deployment always has
buttons for its test users. Others see them only after "on": everybody who can open the page can then sign in
as a test user without a password. Never in production. The password check and every further step run as usual.`,
		Example: `berth users one-click on --kind preview --branch feature-a	for reviewers
berth users one-click off --kind preview --branch feature-a`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != "on" && args[0] != "off" {
				return fault.New(fault.Invalid, "berth users one-click takes on or off").WithFix("for example: berth users one-click off").WithCode("argument_missing")
			}
			return runUsersOneClick(cmd.Context(), o, args[0] == "on")
		},
	}
	o.target.register(cmd)
	return cmd
}

func runUsersOneClick(ctx context.Context, o *oneClickOptions, on bool) error {
	s, g, _, err := o.environment(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.noProduction(g); err != nil {
		return err
	}
	if !s.conn.Embedded {
		return fault.New(fault.Unsupported, "WorkOS's sign-in page has no list of test users").WithFix("use an environment of a Berth server").WithCode("workos_has_no_one_click")
	}
	view := struct {
		Environment string `json:"environment"`
		On          bool   `json:"on"`
	}{g.Placement.EnvironmentName, on}
	out := o.env.Output()
	if o.env.DryRun() {
		out.Line("would turn the list %s; nothing was changed", map[bool]string{true: "on", false: "off"}[on])
		return out.Result(view, func(*Printer) {})
	}
	if on {
		if err := out.Confirm(ctx, "Let everybody who can open the sign-in page of "+s.req.Title()+" sign in as its test users?"); err != nil {
			return err
		}
	}
	if _, err := s.conn.Ledger.PatchSettings(ctx, g.Placement.ClientID, berth.Settings{Pages: &berth.Pages{ListTestUsers: &on}}); err != nil {
		return err
	}
	if on {
		out.OK("the sign-in page offers the test users of %s to everybody", g.Placement.EnvironmentName)
	} else {
		out.OK("the sign-in page offers the test users of %s on the server's own machine only", g.Placement.EnvironmentName)
	}
	return out.Result(view, func(*Printer) {})
}
