package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

type usersResetOptions struct {
	usersOptions
	all bool
}

func newUsersResetCommand(env *Env) *cobra.Command {
	o := &usersResetOptions{usersOptions: usersOptions{env: env, target: targetFlags{env: env, noPort: true}}}
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "make the test accounts as the accounts file says",
		Long: `Makes the accounts of ` + accountsFile + ` that are of this environment as they were:
the same addresses and passwords, proven addresses, no second factors, no open sessions.
Missing ones are made again. Their organizations and metadata stay.
With --all every other user of the environment is deleted, after a question.`,
		Example: `berth users reset	after a test run
berth users reset --all --yes	and nobody else is left`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runUsersReset(cmd.Context(), o) },
	}
	o.target.register(cmd)
	cmd.Flags().BoolVar(&o.all, "all", false, "delete users that are not in the accounts file")
	return cmd
}

// resetView says what became of one account.
type resetView struct {
	ID       string `json:"id,omitempty"`
	Email    string `json:"email"`
	Created  bool   `json:"created,omitempty"`
	Deleted  bool   `json:"deleted,omitempty"`
	Sessions int    `json:"sessions_ended"`
	Factors  int    `json:"factors_removed"`
}

func runUsersReset(ctx context.Context, o *usersResetOptions) error {
	s, g, env, err := o.environment(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.noProduction(g); err != nil {
		return err
	}
	file, err := readAccounts(s.app)
	if err != nil {
		return err
	}
	list := file.of(g.Placement.ClientID)
	if len(list) == 0 {
		return fault.New(fault.NotFound, "%s has no account of %s", accountsFile, g.Placement.EnvironmentName).
			WithFix("make one with: berth users create ada@example.com").WithCode("no_accounts")
	}
	users, err := env.ListUsers(ctx, workos.UserFilter{})
	if err != nil {
		return err
	}
	there := map[string]workos.User{}
	for _, u := range users {
		there[strings.ToLower(u.Email)] = u
	}
	var others []workos.User
	if o.all {
		for _, u := range users {
			if _, ours := file.find(g.Placement.ClientID, u.Email); !ours {
				others = append(others, u)
			}
		}
	}
	out := o.env.Output()
	if o.env.DryRun() {
		return o.dryReset(out, list, there, others)
	}
	if len(others) > 0 {
		for _, u := range others {
			out.Line("  %s", u.Email)
		}
		if err := out.Confirm(ctx, fmt.Sprintf("Delete %s of %s that %s not in the accounts file?", counted(len(others), "user"), g.Placement.EnvironmentName, map[bool]string{true: "is", false: "are"}[len(others) == 1])); err != nil {
			return err
		}
	}
	views := []resetView{}
	for _, a := range list {
		v, err := s.reset(ctx, env, a, there[strings.ToLower(a.Email)])
		if err != nil {
			return err
		}
		if err := s.offer(ctx, g, v.ID, secret.String(a.Password)); err != nil {
			return err
		}
		switch {
		case v.Created:
			out.OK("made %s again", a.Email)
		default:
			out.OK("reset %s (%s ended, %s removed)", a.Email, counted(v.Sessions, "session"), counted(v.Factors, "second factor"))
		}
		views = append(views, v)
	}
	for _, u := range others {
		if _, err := env.DeleteUser(ctx, u.ID); err != nil {
			return err
		}
		out.OK("deleted %s", u.Email)
		views = append(views, resetView{ID: u.ID, Email: u.Email, Deleted: true})
	}
	return out.Result(views, func(*Printer) {})
}

func (o *usersResetOptions) dryReset(out *Output, list []account, there map[string]workos.User, others []workos.User) error {
	views := []resetView{}
	for _, a := range list {
		u, ok := there[strings.ToLower(a.Email)]
		out.Line("would %s %s", map[bool]string{true: "reset", false: "make"}[ok], a.Email)
		views = append(views, resetView{ID: u.ID, Email: a.Email, Created: !ok})
	}
	for _, u := range others {
		out.Line("would delete %s", u.Email)
		views = append(views, resetView{ID: u.ID, Email: u.Email, Deleted: true})
	}
	out.Line("nothing was changed")
	return out.Result(views, func(*Printer) {})
}

// reset makes one user as its account says. Sessions end last: until then
// somebody with the old password could open another.
func (s *session) reset(ctx context.Context, env *workos.Environment, a account, u workos.User) (resetView, error) {
	v := resetView{ID: u.ID, Email: a.Email}
	verified, password := a.verified(), workos.Credential(a.Password)
	if u.ID == "" {
		made, err := env.CreateUser(ctx, workos.NewUser{Email: a.Email, Password: password, FirstName: a.FirstName, LastName: a.LastName, EmailVerified: verified})
		v.ID, v.Created = made.ID, true
		return v, err
	}
	if _, err := env.UpdateUser(ctx, u.ID, workos.UserChange{Password: &password, EmailVerified: &verified}); err != nil {
		return v, err
	}
	factors, err := env.ListFactors(ctx, u.ID)
	if err != nil {
		return v, err
	}
	for _, f := range factors {
		if _, err := env.DeleteFactor(ctx, f.ID); err != nil {
			return v, err
		}
		v.Factors++
	}
	sessions, err := env.ListSessions(ctx, u.ID)
	if err != nil {
		return v, err
	}
	for _, open := range sessions {
		if open.Status != "active" {
			continue
		}
		if _, err := env.RevokeSession(ctx, open.ID); err != nil {
			return v, err
		}
		v.Sessions++
	}
	return v, nil
}
