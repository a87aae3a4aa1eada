package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/workos"
)

// accountsFile holds test accounts with their passwords: git-ignored, mode 0600.
const accountsFile = "tmp/authkit_test_accounts.json"

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
		Long: `Makes, lists and deletes real AuthKit users of one deployment's environment.
Production has no test accounts. Without --password-stdin a password is made and
written, with the address, to ` + accountsFile + ` (mode 0600, ignored by Git).`,
		Example: `berth users create ada@example.com	for this checkout
berth users create qa@example.com --kind preview --branch feature-a
berth users list`,
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
	cmd.AddCommand(c, l, d)
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
	if g.Placement.Production || s.req.Kind == claim.Prod {
		return fault.New(fault.Denied, "%s is production: it gets no test accounts", s.req.Title()).WithFix("use a dev or preview deployment").WithCode("production_has_no_test_accounts")
	}
	accounts, err := readAccounts(s.app)
	if err != nil {
		return err
	}
	password, generated := accounts.password(g.Placement.ClientID, email), false
	if o.passwordStdin {
		if password, err = o.readPassword(); err != nil {
			return err
		}
	} else if password == "" {
		password, generated = rand.Text(), true
	}
	if err := identity.CheckPassword(password, email); err != nil {
		return err
	}
	first, last, _ := strings.Cut(strings.TrimSpace(o.name), " ")
	out, view := o.env.Output(), userView{Email: email}
	if o.env.DryRun() {
		out.Line("would make %s in %s; nothing was changed", email, g.Placement.EnvironmentName)
		return out.Result(view, func(*Printer) {})
	}
	if generated {
		// Written first: an account whose password nobody knows helps nobody.
		accounts.put(account{Email: email, Password: password, ClientID: g.Placement.ClientID, Deployment: s.req.Deployment()})
		if err := accounts.write(ctx, s.app); err != nil {
			return err
		}
	}
	u, err := env.CreateUser(ctx, workos.NewUser{Email: email, Password: workos.Credential(password), FirstName: first, LastName: last, EmailVerified: true})
	switch {
	case fault.Code(err) == "user_already_exists" || fault.Code(err) == "email_not_available" || taken(err):
		found, listErr := env.ListUsers(ctx, workos.UserFilter{Email: email})
		if listErr != nil || len(found) == 0 {
			return err
		}
		u = found[0]
		out.OK("%s exists already in %s", email, g.Placement.EnvironmentName)
	case err != nil:
		return err
	default:
		view.Created = true
		out.OK("made %s in %s", email, g.Placement.EnvironmentName)
	}
	view.ID, view.Verified = u.ID, u.EmailVerified
	if !o.passwordStdin {
		view.Accounts = accountsFile
		out.Line("  its password is in %s", accountsFile)
	}
	return out.Result(view, func(*Printer) {})
}

// taken recognises the answer of creating a user whose address is taken.
func taken(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "email_not_available") || strings.Contains(err.Error(), "already exists"))
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

// account is one entry of the accounts file. It holds a password, so the type
// never leaves this file.
type account struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	ClientID   string `json:"client_id"`
	Deployment string `json:"deployment"`
}

type accounts struct {
	before []byte // as read, nil when missing
	list   []account
}

func accountsPath(app *project.App) string {
	return filepath.Join(app.Root, filepath.FromSlash(accountsFile))
}

func readAccounts(app *project.App) (*accounts, error) {
	data, err := os.ReadFile(accountsPath(app))
	if errors.Is(err, fs.ErrNotExist) {
		return &accounts{}, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot read %s", accountsFile)
	}
	a := &accounts{before: data}
	if err := json.Unmarshal(data, &a.list); err != nil {
		return nil, fault.New(fault.Invalid, "%s is not a list of accounts", accountsFile).WithFix("correct or delete the file")
	}
	return a, nil
}

func (a *accounts) password(clientID, email string) string {
	for _, e := range a.list {
		if e.ClientID == clientID && strings.EqualFold(e.Email, email) {
			return e.Password
		}
	}
	return ""
}

func (a *accounts) put(e account) { a.list = append(a.list, e) }

func (a *accounts) drop(clientID, email string) bool {
	n := len(a.list)
	a.list = slices.DeleteFunc(a.list, func(e account) bool { return e.ClientID == clientID && strings.EqualFold(e.Email, email) })
	return len(a.list) != n
}

// write keeps the file private: ignored by Git before it is written, mode 0600.
func (a *accounts) write(ctx context.Context, app *project.App) error {
	path := accountsPath(app)
	ignore, ok, finding, err := app.GitignoreChange(ctx, project.RunGit, path)
	if err != nil {
		return err
	}
	if finding != nil {
		return fault.New(fault.Conflict, "%s", finding.Message).WithFix("%s", finding.Fix)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot make the folder of %s", accountsFile)
	}
	data, err := json.MarshalIndent(a.list, "", "  ")
	if err != nil {
		return err
	}
	changes := []project.FileChange{{Path: path, Before: a.before, After: append(data, '\n'), Mode: 0o600, Secret: true}}
	if ok {
		changes = append([]project.FileChange{ignore}, changes...)
	}
	if _, err = app.Apply(changes); err == nil {
		a.before = changes[len(changes)-1].After
	}
	return err
}
