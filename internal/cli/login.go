package cli

import (
	"bufio"
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

type loginOptions struct {
	env        *Env
	issuer     string
	clientID   string
	name       string
	tokenStdin bool
}

func newLoginCommand(env *Env) *cobra.Command {
	o := &loginOptions{env: env}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "sign in to a Berth server, as yourself",
		Long: `Signs you in to a Berth server in the browser and keeps a token of your own in the
data folder (mode 0600). It is used where neither ` + tokenVar + ` nor the server of this
machine gives one. For Convex's cloud the login of the convex command line is used:
npx convex login.`,
		Example: `berth login --server https://berth.example.com
berth login status	who am I, and where
berth login --token-stdin < token	without a browser`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogin(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "what to call the token `NAME` (default: the name of this machine)")
	f.BoolVar(&o.tokenStdin, "token-stdin", false, "keep a token read from standard input instead of signing in")
	f.StringVar(&o.issuer, "issuer", "", "who signs people in `URL` (default: as the server says)")
	f.StringVar(&o.clientID, "client", "", "client ID at the issuer `ID` (default: as the server says)")
	status := &loginOptions{env: env}
	cmd.AddCommand(&cobra.Command{Use: "status", Short: "which logins there are, and whether they still work", Example: "berth login status --json", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLoginStatus(cmd.Context(), status) }})
	return cmd
}

func newLogoutCommand(env *Env) *cobra.Command {
	return &cobra.Command{Use: "logout", Short: "forget the login for a Berth server", Long: `Deletes the token of a Berth server from the data folder. The token itself stays
valid until it is revoked on the server.`, Example: "berth logout --server https://berth.example.com", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogout(cmd.Context(), env) }}
}

// loginView is a login as it is printed.
type loginView struct {
	Server string   `json:"server"`
	From   string   `json:"from"`
	Valid  *bool    `json:"valid,omitempty"` // nil: it could not be asked
	Teams  []string `json:"teams"`
	Name   string   `json:"name,omitempty"`
}

func runLogin(ctx context.Context, o *loginOptions) error {
	access, err := o.env.FindServer(ctx)
	if err != nil {
		return err
	}
	out := o.env.Output()
	out.Fact("server", "%s", access.URL)
	if o.env.DryRun() {
		out.Line("would sign in at %s; nothing was changed", cmp.Or(o.issuer, access.URL))
		return out.Result(loginView{Server: access.URL, Teams: []string{}}, func(*Printer) {})
	}
	if o.name == "" {
		if o.name, err = os.Hostname(); err != nil {
			o.name = "berth"
		}
	}
	var token convex.Token
	switch {
	case o.tokenStdin:
		text, err := bufio.NewReader(o.env.Stdin).ReadString('\n')
		if token = convex.Token(strings.TrimSpace(text)); token == "" {
			return fault.Wrap(err, fault.Invalid, "no token came over standard input").WithFix("for example: berth login --token-stdin < token")
		}
	case !o.env.Interactive:
		return Resume(fault.New(fault.Unauthenticated, "signing in needs a browser and a person, and nobody is at the terminal").
			WithFix("set %s to a token of the server, or pass one with --token-stdin", tokenVar).WithCode("login_needed"), "berth login --server "+shellQuote(access.URL)+" --token-stdin < token")
	default:
		if token, err = o.device(ctx, access.URL); err != nil {
			return err
		}
	}
	control := convex.NewControl(access.URL, token.Secret())
	control.Name = "the Berth server"
	ok, err := control.LoggedIn(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Unauthenticated, "%s does not take this token", access.URL).WithFix("check that it was made for this server, and not revoked").WithCode("token_refused")
	}
	stored, err := o.env.readLogins()
	if err != nil {
		return err
	}
	stored.Servers[access.URL] = login{Token: token, Name: o.name, CreatedAt: o.env.Now().UTC()}
	if err := o.env.writeLogins(stored); err != nil {
		return err
	}
	view := loginView{Server: access.URL, From: "berth login", Valid: &ok, Teams: teamNames(ctx, control), Name: o.name}
	out.OK("logged in%s", teamsText(view.Teams))
	return out.Result(view, func(*Printer) {})
}

// device signs a person in through the browser and makes a token that lasts.
func (o *loginOptions) device(ctx context.Context, server string) (convex.Token, error) {
	out := o.env.Output()
	l := &convex.DeviceLogin{Issuer: o.issuer, ClientID: o.clientID}
	if l.Issuer == "" || l.ClientID == "" {
		at, err := berth.New(server, "").Login(ctx)
		if err != nil {
			return "", err
		}
		l.Issuer, l.ClientID = cmp.Or(l.Issuer, at.Issuer), cmp.Or(l.ClientID, at.ClientID)
	}
	prompt, err := l.Start(ctx)
	if err != nil {
		return "", err
	}
	out.Line("  open %s", out.Bold(printable(prompt.URL)))
	out.Line("  and check that it shows the code %s", out.Bold(printable(prompt.UserCode)))
	token, err := l.Wait(ctx)
	if err != nil {
		return "", err
	}
	control := convex.NewControl(server, token.Secret())
	control.Name = "the Berth server"
	return control.CreatePersonalAccessToken(ctx, o.name)
}

// teamNames lists the teams of a login; none when they cannot be read.
func teamNames(ctx context.Context, c *convex.Control) []string {
	teams, err := c.Teams(ctx)
	names := []string{}
	if err != nil {
		return names
	}
	for _, t := range teams {
		names = append(names, t.Slug)
	}
	slices.Sort(names)
	return names
}

func teamsText(teams []string) string {
	if len(teams) == 0 {
		return ""
	}
	return ", in " + strings.Join(teams, ", ")
}

func runLoginStatus(ctx context.Context, o *loginOptions) error {
	stored, err := o.env.readLogins()
	if err != nil {
		return err
	}
	type credential struct {
		base, from, name string
		token            secret.String
	}
	var all []credential
	for base, l := range stored.Servers {
		all = append(all, credential{base, "berth login", l.Name, l.Token.Secret()})
	}
	slices.SortFunc(all, func(a, b credential) int { return strings.Compare(a.base, b.base) })
	if access, err := o.env.FindServer(ctx); err == nil && access.Token != "" && !slices.ContainsFunc(all, func(c credential) bool { return c.base == access.URL && c.token == access.Token }) {
		from := access.From
		if o.env.get(tokenVar) != "" {
			from = tokenVar
		}
		all = append(all, credential{access.URL, from, "", access.Token})
	}
	if token, err := o.env.convexToken(convex.DefaultControlPlane); err == nil && token != "" {
		all = append(all, credential{convex.DefaultControlPlane, "convex login", "", token})
	}
	views := []loginView{}
	for _, c := range all {
		control := convex.NewControl(c.base, c.token)
		control.Retries = -1
		v := loginView{Server: c.base, From: c.from, Name: c.name, Teams: []string{}}
		if ok, err := control.LoggedIn(ctx); err == nil {
			v.Valid = &ok
			if ok {
				v.Teams = teamNames(ctx, control)
			}
		}
		views = append(views, v)
	}
	if len(views) == 0 {
		return Resume(fault.New(fault.Unauthenticated, "there is no login here").WithFix("log in to a Berth server, or to Convex with npx convex login").WithCode("login_missing"), "berth login --server URL")
	}
	return o.env.Output().Result(views, func(p *Printer) {
		rows := make([][]string, len(views))
		for i, v := range views {
			state := p.Yellow("cannot be reached")
			if v.Valid != nil {
				state = map[bool]string{true: p.Green("valid"), false: p.Red("refused")}[*v.Valid]
			}
			rows[i] = []string{v.Server, v.From, state, strings.Join(v.Teams, ", ")}
		}
		p.Table([]string{"SERVER", "LOGIN", "STATE", "TEAMS"}, rows)
	})
}

func runLogout(ctx context.Context, env *Env) error {
	stored, err := env.readLogins()
	if err != nil {
		return err
	}
	at, _ := env.Server()
	if at == "" {
		switch {
		case len(stored.Servers) == 1:
			for base := range stored.Servers {
				at = base
			}
		case len(stored.Servers) > 1:
			return fault.New(fault.NeedsPerson, "there are logins for %d servers", len(stored.Servers)).WithFix("name one with --server URL; berth login status lists them").WithCode("server_ambiguous")
		}
	}
	out := env.Output()
	if _, ok := stored.Servers[at]; !ok {
		out.OK("there was no login to forget")
		return out.Result(map[string]any{"forgotten": []string{}}, func(*Printer) {})
	}
	if env.DryRun() {
		out.Line("would forget the login for %s", at)
	} else {
		delete(stored.Servers, at)
		if err := env.writeLogins(stored); err != nil {
			return err
		}
		out.OK("forgot the login for %s", at)
	}
	return out.Result(map[string]any{"forgotten": []string{at}}, func(*Printer) {})
}
