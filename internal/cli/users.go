package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

type usersOptions struct {
	env           *Env
	target        targetFlags
	name          string
	passwordStdin bool
}

func newUsersCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "users",
		Short: "test accounts of dev and preview deployments",
		Long: `Makes, lists, resets and deletes real AuthKit users of one deployment's environment.
Production has no test accounts. Without --password-stdin a password is made and
written, with the address, to ` + accountsFile + ` (mode 0600, ignored by Git).
On a Berth server they also are a one-click list on the sign-in page.`,
		Example: `berth users create ada@example.com	for this checkout
berth users create qa@example.com --kind preview --branch feature-a
berth users seed berth/seed.json	users, organizations and roles from a file
berth users reset	all as they were
berth users storage-state ada@example.com --out playwright/.auth/ada.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { help(env, cmd); return nil },
	}
	create := &usersOptions{env: env, target: targetFlags{env: env, noPort: true}}
	c := &cobra.Command{Use: "create EMAIL", Short: "make a test account", Example: "berth users create ada@example.com", Args: oneEmail,
		RunE: func(cmd *cobra.Command, args []string) error { return runUsersCreate(cmd.Context(), create, args[0]) }}
	create.target.register(c)
	c.Flags().StringVar(&create.name, "name", "", "the person's name `NAME`")
	c.Flags().BoolVar(&create.passwordStdin, "password-stdin", false, "read the password from standard input")

	list := &usersOptions{env: env, target: targetFlags{env: env, noPort: true, readOnly: true}}
	l := &cobra.Command{Use: "list", Short: "list the users of an environment", Example: "berth users list --json", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runUsersList(cmd.Context(), list) }}
	list.target.register(l)

	remove := &usersOptions{env: env, target: targetFlags{env: env, noPort: true}}
	d := &cobra.Command{Use: "delete EMAIL", Short: "delete a user", Example: "berth users delete ada@example.com --yes", Args: oneEmail,
		RunE: func(cmd *cobra.Command, args []string) error { return runUsersDelete(cmd.Context(), remove, args[0]) }}
	remove.target.register(d)
	cmd.AddCommand(c, l, d, newUsersResetCommand(env), newUsersSeedCommand(env), newUsersOneClickCommand(env), newStorageStateCommand(env))
	return cmd
}

func oneEmail(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "%s takes one e-mail address", cmd.CommandPath()).WithFix("for example: %s ada@example.com", cmd.CommandPath()).WithCode("argument_missing")
	}
	return identity.CheckEmail(args[0])
}

// environment opens the environment of the deployment that the flags name.
func (o *usersOptions) environment(ctx context.Context) (*session, *claim.Grant, *workos.Environment, error) {
	s, err := o.target.open(ctx, false)
	if err != nil {
		return nil, nil, nil, err
	}
	g, err := s.conn.Ledger.Claim(ctx, s.req.Deployment())
	if fault.Is(err, fault.NotFound) || err == nil && !g.Placement.Bound() {
		err = errNotReady(s.req)
	}
	if err != nil {
		s.close()
		return nil, nil, nil, err
	}
	return s, g, s.conn.EnvironmentOf(g), nil
}

// noProduction refuses test accounts of production (R123).
func (s *session) noProduction(g *claim.Grant) error {
	if g.Placement.Production || s.req.Kind == claim.Prod {
		return fault.New(fault.Denied, "%s is production: it gets no test accounts", s.req.Title()).WithFix("use a dev or preview deployment").WithCode("production_has_no_test_accounts")
	}
	return nil
}

type userView struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Created  bool   `json:"created,omitempty"`
	Accounts string `json:"accounts_file,omitempty"`
}

func runUsersCreate(ctx context.Context, o *usersOptions, email string) error {
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
	existing, err := userByEmail(ctx, env, email)
	if err != nil {
		return err
	}
	out, view := o.env.Output(), userView{Email: email}
	kept, known := accounts.find(g.Placement.ClientID, email)
	password, generated := kept.Password, false
	switch {
	case o.passwordStdin:
		if password, err = o.readPassword(); err != nil {
			return err
		}
	case existing == nil && !known:
		password, generated = rand.Text(), true
	}
	if existing == nil {
		if err := identity.CheckPassword(password, email); err != nil {
			return err
		}
	}
	if o.env.DryRun() {
		out.Line("would make %s in %s; nothing was changed", email, g.Placement.EnvironmentName)
		return out.Result(view, func(*Printer) {})
	}
	first, last, _ := strings.Cut(strings.TrimSpace(o.name), " ")
	if generated {
		// Written first: an account whose password nobody knows helps nobody.
		if _, err := accounts.put(account{Email: email, Password: password, ClientID: g.Placement.ClientID, Deployment: s.req.Deployment(), FirstName: first, LastName: last}); err != nil {
			return err
		}
		if err := accounts.write(ctx, s.app); err != nil {
			return err
		}
	}
	u, err := env.CreateUser(ctx, workos.NewUser{Email: email, Password: workos.Credential(password), FirstName: first, LastName: last, EmailVerified: true})
	switch {
	case fault.Code(err) == workos.CodeUserAlreadyExists && existing != nil:
		u = *existing
		out.OK("%s exists already in %s", email, g.Placement.EnvironmentName)
	case err != nil:
		return err
	default:
		view.Created = true
		out.OK("made %s in %s", email, g.Placement.EnvironmentName)
	}
	view.ID, view.Verified = u.ID, u.EmailVerified
	switch {
	case !o.passwordStdin && (known || generated):
		view.Accounts = accountsFile
		out.Line("  its password is in %s", accountsFile)
	case !o.passwordStdin:
		out.Warn("its password is not known here: delete it and make it again, or give the password with --password-stdin")
	}
	if password != "" {
		if err := s.offer(ctx, g, u.ID, secret.String(password)); err != nil {
			return err
		}
	}
	return out.Result(view, func(*Printer) {})
}

// offer puts a user on the one-click list of the sign-in page, where there is
// one. A password that is not the user's any more is said, and no failure.
func (s *session) offer(ctx context.Context, g *claim.Grant, userID string, password secret.String) error {
	if !s.conn.Embedded {
		return nil
	}
	_, err := s.conn.Ledger.PutTestUser(ctx, g.Placement.ClientID, userID, password)
	switch {
	case fault.Code(err) == "test_password_wrong":
		s.target.env.Output().Warn("it has another password now; berth users reset gives it back the one of %s", accountsFile)
		return nil
	case fault.Is(err, fault.NotFound) && fault.Code(err) == "":
		return nil // a server of an older version, without the list
	}
	return err
}

// userByEmail returns the user with an address, or nil.
func userByEmail(ctx context.Context, env *workos.Environment, email string) (*workos.User, error) {
	found, err := env.ListUsers(ctx, workos.UserFilter{Email: email})
	if err != nil {
		return nil, err
	}
	for _, u := range found {
		if strings.EqualFold(u.Email, email) {
			return &u, nil
		}
	}
	return nil, nil
}

// readPassword reads one line from standard input.
func (o *usersOptions) readPassword() (string, error) {
	if f, ok := o.env.Stdin.(*os.File); ok && o.env.Interactive && term.IsTerminal(int(f.Fd())) {
		o.env.Output().Line("password:")
		text, err := term.ReadPassword(int(f.Fd()))
		return string(text), err
	}
	text, err := bufio.NewReader(o.env.Stdin).ReadString('\n')
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", fault.Wrap(err, fault.Invalid, "no password came over standard input").WithFix("for example: berth users create EMAIL --password-stdin < file")
	}
	return text, nil
}

func runUsersList(ctx context.Context, o *usersOptions) error {
	s, g, env, err := o.environment(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	users, err := env.ListUsers(ctx, workos.UserFilter{})
	if err != nil {
		return err
	}
	views := make([]userView, len(users))
	rows := make([][]string, len(users))
	for i, u := range users {
		views[i] = userView{ID: u.ID, Email: u.Email, Verified: u.EmailVerified}
		rows[i] = []string{u.Email, u.ID, map[bool]string{true: "yes", false: "no"}[u.EmailVerified]}
	}
	return o.env.Output().Result(views, func(p *Printer) {
		if len(rows) == 0 {
			p.Line("no users in %s yet", g.Placement.EnvironmentName)
			return
		}
		p.Table([]string{"E-MAIL", "ID", "VERIFIED"}, rows)
	})
}

func runUsersDelete(ctx context.Context, o *usersOptions, email string) error {
	s, g, env, err := o.environment(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if g.Placement.Production || s.req.Kind == claim.Prod {
		return fault.New(fault.Denied, "%s is production: its users are not deleted from here", s.req.Title()).WithFix("use the dashboard").WithCode("production_is_kept")
	}
	found, err := env.ListUsers(ctx, workos.UserFilter{Email: email})
	if err != nil {
		return err
	}
	out := o.env.Output()
	if len(found) == 0 {
		return fault.New(fault.NotFound, "there is no user %s in %s", email, g.Placement.EnvironmentName).WithFix("berth users list shows who is there").WithCode("user_not_found")
	}
	if o.env.DryRun() {
		out.Line("would delete %s from %s; nothing was changed", email, g.Placement.EnvironmentName)
		return out.Result(userView{ID: found[0].ID, Email: email, Verified: found[0].EmailVerified}, func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Delete "+email+" from "+g.Placement.EnvironmentName+"?"); err != nil {
		return err
	}
	if _, err := env.DeleteUser(ctx, found[0].ID); err != nil {
		return err
	}
	accounts, err := readAccounts(s.app)
	if err != nil {
		return err
	}
	if accounts.drop(g.Placement.ClientID, email) {
		if err := accounts.write(ctx, s.app); err != nil {
			return err
		}
	}
	out.OK("deleted %s", email)
	return out.Result(userView{ID: found[0].ID, Email: email}, func(*Printer) {})
}
