package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/browser"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

type storageStateOptions struct {
	usersOptions
	out          string
	appURL       string
	start        string
	session      string
	organization string
}

// Where an app keeps a session.
const (
	sessionAuto    = "auto"
	sessionCookies = "cookies" // of the app's own server
	sessionStorage = "storage" // localStorage of the browser, authkit-js in devMode
)

func newStorageStateCommand(env *Env) *cobra.Command {
	o := &storageStateOptions{usersOptions: usersOptions{env: env, target: targetFlags{env: env, noPort: true}}}
	cmd := &cobra.Command{
		Use:   "storage-state EMAIL",
		Short: "sign a test account in and write a storage state for browser tests",
		Long: `Signs a test account in through the real sign-in page and the app's callback, and writes what a browser
would hold then as a storage state of Playwright. Every check of a sign-in runs; nothing is bypassed.
An app with a server part (Next.js, TanStack Start, ...) has to be running: its callback sets the cookies.
For an app in the browser alone it is the refresh token in localStorage that authkit-js keeps on localhost;
it works once, so write one file per test worker.
The file has mode 0600 and is ignored by Git.`,
		Example: `berth users storage-state ada@example.com --out playwright/.auth/ada.json
berth users storage-state ada@example.com --organization Acme --out playwright/.auth/acme.json
berth users storage-state ada@example.com --start /login --out playwright/.auth/ada.json`,
		Args: oneEmail,
		RunE: func(cmd *cobra.Command, args []string) error { return runStorageState(cmd.Context(), o, args[0]) },
	}
	o.target.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "`FILE` to write")
	f.StringVar(&o.appURL, "app-url", "", "where the app is open `URL` (default: the deployment's homepage)")
	f.StringVar(&o.start, "start", "", "`PATH` of the app that begins a sign-in (default: it is looked for)")
	f.StringVar(&o.session, "session", sessionAuto, "where the app keeps its session: cookies, storage or auto `WHERE`")
	f.StringVar(&o.organization, "organization", "", "organization to sign in to, where the account is in several `NAME`")
	return cmd
}

// storageView tells what was written; the file itself holds secrets.
type storageView struct {
	File    string   `json:"file"`
	Email   string   `json:"email"`
	AppURL  string   `json:"app_url"`
	Session string   `json:"session"`
	Cookies []string `json:"cookies"` // names
}

func runStorageState(ctx context.Context, o *storageStateOptions, email string) error {
	if o.out == "" {
		return fault.New(fault.Invalid, "--out is missing").WithFix("for example: berth users storage-state %s --out playwright/.auth/user.json", email).WithCode("argument_missing")
	}
	if o.session != sessionAuto && o.session != sessionCookies && o.session != sessionStorage {
		return fault.New(fault.Invalid, "--session %q is not known", o.session).WithFix("use cookies, storage or auto").WithCode("session_unknown")
	}
	s, g, env, err := o.environment(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.noProduction(g); err != nil {
		return err
	}
	if !s.conn.Embedded {
		return fault.New(fault.Unsupported, "WorkOS's own sign-in page needs a real browser").
			WithFix("sign in with Playwright once and save its storageState, with the password from %s", accountsFile).WithCode("workos_needs_browser")
	}
	file, err := readAccounts(s.app)
	if err != nil {
		return err
	}
	kept, ok := file.find(g.Placement.ClientID, email)
	if !ok || kept.Password == "" {
		return fault.New(fault.NotFound, "%s has no password for %s in %s", accountsFile, email, g.Placement.EnvironmentName).
			WithFix("make the account with: berth users create %s", email).WithCode("account_unknown")
	}
	if err := insideApp(s.app, o.path()); err != nil {
		return err // before a session is opened that nobody would end
	}
	app, err := o.app(g)
	if err != nil {
		return err
	}
	view := storageView{File: o.out, Email: email, AppURL: app.String(), Session: o.session, Cookies: []string{}}
	if view.Session == sessionAuto {
		view.Session = map[bool]string{true: sessionCookies, false: sessionStorage}[s.app.Framework.Server]
	}
	out := o.env.Output()
	out.Fact("app", "%s", app)
	if o.env.DryRun() {
		out.Line("would sign %s in and write %s; nothing was changed", email, o.out)
		return out.Result(view, func(*Printer) {})
	}
	b := browser.New(o.env.Now)
	who := browser.Person{Email: kept.Email, Password: secret.String(kept.Password), Organization: o.organization, Code: s.mailedCode(g, kept.Email, o.env.Now())}
	var state browser.State
	if view.Session == sessionCookies {
		state, err = o.signInToServer(ctx, b, app, g, who)
	} else {
		state, err = o.signInToBrowser(ctx, b, app, g, env, who)
	}
	if err != nil {
		return err
	}
	if err := o.write(ctx, s, state); err != nil {
		return err
	}
	for _, c := range state.Cookies {
		view.Cookies = append(view.Cookies, c.Name)
	}
	out.OK("%s is signed in; the storage state is in %s", email, o.out)
	return out.Result(view, func(*Printer) {})
}

// app is the address at which the app is open.
func (o *storageStateOptions) app(g *claim.Grant) (*url.URL, error) {
	address := o.appURL
	if address == "" {
		address = g.Claim.HomepageURL
	}
	if redirects := g.Claim.Current().RedirectURIs; address == "" && len(redirects) > 0 {
		address = redirects[0]
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "the address of the app is not known").WithFix("give it with --app-url http://localhost:3000").WithCode("app_url_missing")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// mailedCode reads the code that a verification asks for from the inbox.
func (s *session) mailedCode(g *claim.Grant, email string, since time.Time) func(context.Context) (secret.String, error) {
	return func(ctx context.Context) (secret.String, error) {
		list, err := s.conn.Ledger.Messages(ctx, g.Placement.ClientID, email, since.Add(-time.Second))
		if err != nil {
			return "", err
		}
		for _, m := range list {
			if m.Code != "" {
				return secret.String(m.Code), nil
			}
		}
		return "", fault.New(fault.NotFound, "the inbox has no code for %s", email).WithCode("no_mail")
	}
}

// isAuthorize recognises the address at which a sign-in of this environment begins.
func isAuthorize(u *url.URL, g *claim.Grant) bool {
	return strings.HasSuffix(u.Path, "/user_management/authorize") && u.Query().Get("client_id") == g.Placement.ClientID
}

// signInToServer lets the app begin the sign-in and set its cookies.
func (o *storageStateOptions) signInToServer(ctx context.Context, b *browser.Browser, app *url.URL, g *claim.Grant, who browser.Person) (browser.State, error) {
	page, err := o.begin(ctx, b, app, g)
	if err != nil {
		return browser.State{}, err
	}
	if page, err = b.SignIn(ctx, page, who); err != nil {
		return browser.State{}, o.explain(err, app)
	}
	if page.Status >= 400 {
		return browser.State{}, fault.New(fault.Unavailable, "the app answered the sign-in with %d at %s", page.Status, page.URL.Path).
			WithFix("see the app's own log; berth status tells whether its variables are those of this deployment").WithCode("callback_failed")
	}
	if len(b.Cookies(app)) == 0 {
		return browser.State{}, fault.New(fault.Unavailable, "the app set no cookie at %s after the sign-in", app).
			WithFix("give the address that the app redirects to with --app-url, or --session storage for an app in the browser alone").WithCode("callback_failed")
	}
	return b.State(), nil
}

// usualStarts are paths at which apps begin a sign-in.
var usualStarts = []string{"/sign-in", "/login", "/signin", "/auth/sign-in", "/auth/login", "/api/auth/sign-in", "/api/auth/login"}

var looksLikeSignIn = regexp.MustCompile(`(?i)(sign-?in|log-?in|/auth\b)`)

// begin finds the page of the app that begins a sign-in, and returns the
// sign-in page it leads to.
func (o *storageStateOptions) begin(ctx context.Context, b *browser.Browser, app *url.URL, g *claim.Grant) (*browser.Page, error) {
	reached := func(p *browser.Page) bool {
		return slices.ContainsFunc(p.Hops, func(u *url.URL) bool { return isAuthorize(u, g) })
	}
	if o.start != "" {
		to, err := app.Parse(o.start)
		if err != nil {
			return nil, fault.New(fault.Invalid, "--start %q is no path", o.start).WithFix("for example: --start /login")
		}
		page, err := b.Get(ctx, to.String())
		if err != nil {
			return nil, o.explain(err, app)
		}
		if !reached(page) {
			return nil, fault.New(fault.NotFound, "%s does not lead to the sign-in of %s", to, g.Placement.EnvironmentName).
				WithFix("give the path that redirects to it; when the app was started with other variables, start it again with berth dev").WithCode("no_sign_in")
		}
		return page, nil
	}
	home, err := b.Get(ctx, app.String()+"/")
	if err != nil {
		return nil, o.explain(err, app)
	}
	if reached(home) {
		return home, nil
	}
	var candidates []string
	for _, l := range home.Links {
		if isAuthorize(l, g) || l.Host == app.Host && looksLikeSignIn.MatchString(l.Path) {
			candidates = append(candidates, l.String())
		}
	}
	for _, path := range usualStarts {
		candidates = append(candidates, app.String()+path)
	}
	for _, c := range candidates {
		page, err := b.Get(ctx, c)
		if err == nil && reached(page) {
			return page, nil
		}
		if err != nil && fault.Is(err, fault.Interrupted) {
			return nil, err
		}
	}
	return nil, fault.New(fault.NotFound, "no page of %s was found that leads to the sign-in of %s", app, g.Placement.EnvironmentName).
		WithFix("name it with --start /path; when the app was started with other variables, start it again with berth dev").WithCode("no_sign_in")
}

// explain names the app where nothing answers.
func (o *storageStateOptions) explain(err error, app *url.URL) error {
	if fault.Code(err) != "no_answer" {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "%s", fault.From(err).Message).
		WithFix("the app has to be running at %s: start it with berth dev, or give its address with --app-url", app).WithCode("app_not_running")
}

// signInToBrowser does what authkit-js does: an authorization request with PKCE
// (RFC 7636), and its code for tokens. The app need not run.
func (o *storageStateOptions) signInToBrowser(ctx context.Context, b *browser.Browser, app *url.URL, g *claim.Grant, env *workos.Environment, who browser.Person) (browser.State, error) {
	redirect := ""
	for _, uri := range g.Claim.Current().RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Scheme == app.Scheme && u.Host == app.Host && !strings.Contains(uri, "*") {
			redirect = uri
			break
		}
	}
	if redirect == "" {
		return browser.State{}, fault.New(fault.NotFound, "the deployment has no redirect URI at %s", app).
			WithFix("berth status shows them; give the app's address with --app-url").WithCode("no_redirect_uri")
	}
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {g.Placement.ClientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "provider": {"authkit"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	b.Stop = func(u *url.URL) bool { return u.Host == app.Host && u.Scheme == app.Scheme }
	page, err := b.Get(ctx, strings.TrimRight(g.Placement.APIBase, "/")+"/user_management/authorize?"+q.Encode())
	if err == nil {
		page, err = b.SignIn(ctx, page, who)
	}
	if err != nil {
		return browser.State{}, err
	}
	if page.Next == nil || page.Next.Query().Get("code") == "" {
		why := "the sign-in page did not lead back to the app"
		if page.Next != nil {
			why = page.Next.Query().Get("error_description")
		}
		return browser.State{}, fault.New(fault.Denied, "%s could not sign in: %s", who.Email, why).WithCode("sign_in_failed")
	}
	tokens, err := env.AuthenticateWithCode(ctx, secret.String(page.Next.Query().Get("code")), secret.String(verifier))
	if err != nil {
		return browser.State{}, err
	}
	return b.State(browser.Origin{Origin: app.String(), LocalStorage: []browser.Item{{Name: "workos:refresh-token:" + g.Placement.ClientID, Value: string(tokens.RefreshToken)}}}), nil
}

func (o *storageStateOptions) path() string {
	if filepath.IsAbs(o.out) {
		return o.out
	}
	return filepath.Join(o.env.Dir, o.out)
}

// write replaces the file, which has to be inside the app: there Git is told to
// ignore it.
func (o *storageStateOptions) write(ctx context.Context, s *session, state browser.State) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	path := o.path()
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		before, err = nil, nil
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot read %s", o.out)
	}
	return writeSecretFile(ctx, s.app, path, before, append(data, '\n'))
}
