package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/doctor"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/provision"
)

type tokenOptions struct {
	env       *Env
	file      string
	providers []string
	set       []string
	online    bool
	jwt       string
}

func newTokenCommand(env *Env) *cobra.Command {
	o := &tokenOptions{env: env}
	cmd := &cobra.Command{
		Use:   "token [JWT | -]",
		Short: "what an access token says, and whether the backend takes it",
		Long: `Decodes an access token on this machine and decides about it as a Convex deployment
does: provider by provider, with the first thing that differs. Nothing is sent
anywhere; only --online fetches key sets, to verify the signature too.

The token comes from the argument, from standard input with -, or from a file
that holds one: a HAR file, a .env file, a log. The providers come from the app's
convex/auth.config.ts with the variables of .env.local, or from --provider.`,
		Example: `pbpaste | berth token -
berth token --file sign-in.har
berth token - --online < token.txt
berth token - --provider issuer=https://api.workos.com/,applicationID=client_01,jwks=https://api.workos.com/sso/jwks/client_01`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fault.New(fault.Invalid, "%s takes one token, got %d arguments", cmd.CommandPath(), len(args)).WithFix("quote the token, or pass it by standard input: berth token -").WithCode("argument_many")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.jwt = args[0]
			}
			return runToken(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "take the newest token in a HAR file, .env file or log `FILE`")
	f.StringArrayVar(&o.providers, "provider", nil, "decide about this provider instead of the app's: issuer=…,jwks=…[,applicationID=…][,algorithm=…] `PROVIDER` (repeatable)")
	f.StringArrayVar(&o.set, "set", nil, "a variable that auth.config reads `NAME=VALUE` (repeatable)")
	f.BoolVar(&o.online, "online", false, "fetch the providers' key sets, and verify the signature")
	return cmd
}

// maxTokenFile bounds the files that tokens are looked for in, in bytes.
const maxTokenFile = 256 << 20

type tokenView struct {
	Token   deployment.Reading  `json:"token"`
	Others  []doctor.FoundToken `json:"others,omitempty"` // of the file, older
	Verdict *deployment.Verdict `json:"verdict,omitempty"`
	From    string              `json:"providers_from,omitempty"`
	Note    string              `json:"note,omitempty"` // why there is no verdict
	Advice  string              `json:"fix,omitempty"`
	now     time.Time
}

func runToken(ctx context.Context, o *tokenOptions) error {
	token, others, err := o.token()
	if err != nil {
		return err
	}
	view := tokenView{Token: deployment.Read(token), Others: others, now: time.Now()}
	providers, from, err := o.from(ctx)
	switch {
	case err != nil && (len(o.providers) > 0 || fault.Is(err, fault.Interrupted)):
		return err
	case err != nil:
		view.Note = fault.From(err).Message
	default:
		verdict := deployment.Explain(ctx, providers, token, view.now, nil, !o.online)
		view.Verdict, view.From = &verdict, from
		view.Advice = advice(view.Token, verdict)
	}
	if err := o.env.Output().Result(view, func(p *Printer) { view.print(p) }); err != nil {
		return err
	}
	if view.Token.Problem != "" || view.Verdict != nil && !view.Verdict.Accepted {
		return &Exit{exitPending}
	}
	return nil
}

// token returns the token that is meant and, of a file, the others.
func (o *tokenOptions) token() (string, []doctor.FoundToken, error) {
	none := fault.New(fault.Invalid, "no token was given").WithFix("pass it by standard input: berth token - < FILE").WithCode("token_missing")
	switch {
	case o.file != "" && o.jwt != "":
		return "", nil, fault.New(fault.Invalid, "a token and --file were given").WithFix("give one of them").WithCode("token_twice")
	case o.file != "":
		text, err := readBounded(o.file)
		if err != nil {
			return "", nil, err
		}
		found := doctor.TokensIn(text)
		if len(found) == 0 {
			return "", nil, fault.New(fault.NotFound, "there is no access token in %s", o.file).
				WithFix("record the HAR file with the page's content, from before the sign-in on").WithCode("token_not_found")
		}
		return found[0].Token, found[1:], nil
	case o.jwt == "-":
		data, err := io.ReadAll(io.LimitReader(o.env.Stdin, 1<<20))
		if err != nil {
			return "", nil, fault.Wrap(err, fault.Invalid, "standard input cannot be read").WithCode("stdin_unreadable")
		}
		if o.jwt = strings.TrimSpace(string(data)); o.jwt == "" {
			return "", nil, none
		}
	case o.jwt == "":
		return "", nil, none
	}
	t := strings.Trim(strings.TrimSpace(o.jwt), `"'`)
	return strings.TrimSpace(strings.TrimPrefix(t, "Bearer ")), nil, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "cannot read %s", path).WithFix("check the path").WithCode("file_unreadable")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err == nil && len(data) > maxTokenFile {
		err = errors.New("too large")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot read %s: it is larger than %d MiB or broken", path, maxTokenFile>>20).WithCode("file_unreadable")
	}
	return data, nil
}

// from returns the providers to decide by and where they come from.
func (o *tokenOptions) from(ctx context.Context) ([]authconfig.Provider, string, error) {
	if len(o.providers) > 0 {
		list := make([]map[string]string, len(o.providers))
		for i, text := range o.providers {
			p := map[string]string{"type": string(authconfig.CustomJWT), "algorithm": "RS256"}
			for part := range strings.SplitSeq(text, ",") {
				name, value, ok := strings.Cut(part, "=")
				if !ok {
					return nil, "", fault.New(fault.Invalid, "--provider %q: %q is not NAME=VALUE", text, part).WithFix("give issuer=…,jwks=… and, if the provider has one, applicationID=…").WithCode("provider_invalid")
				}
				p[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
			list[i] = p
		}
		data, err := json.Marshal(map[string]any{"providers": list})
		if err != nil {
			return nil, "", err
		}
		providers, err := authconfig.Parse(data)
		if err != nil {
			return nil, "", fault.Wrap(err, fault.Invalid, "--provider: %v", err).WithFix("give issuer=…,jwks=… and, if the provider has one, applicationID=…").WithCode("provider_invalid")
		}
		return providers, "--provider", nil
	}
	app, err := project.Find(o.env.App())
	if err != nil {
		return nil, "", err
	}
	source, err := app.ReadAuthConfig()
	if err != nil {
		return nil, "", err
	}
	vars, err := o.variables(app)
	if err != nil {
		return nil, "", err
	}
	result, err := authconfig.Eval(ctx, source.Source, vars)
	if e, ok := errors.AsType[*authconfig.Error](err); ok && e.Variable != "" {
		return nil, "", fault.New(fault.Invalid, "%s reads %s, which is not set here", app.Rel(source.Path), e.Variable).WithFix("pass it: --set %s=VALUE", e.Variable).WithCode("variable_missing")
	}
	if err != nil {
		return nil, "", err
	}
	return authconfig.Merge(nil, result.Providers), app.Rel(source.Path), nil
}

// variables are what auth.config may read: .env.local, then the process, then --set.
func (o *tokenOptions) variables(app *project.App) (map[string]string, error) {
	vars := map[string]string{"CONVEX_CLOUD_URL": "https://deployment.invalid", "CONVEX_SITE_URL": "https://deployment.invalid"}
	file, err := app.ReadEnvFile(app.BackendEnvPath())
	if err != nil {
		return nil, err
	}
	web, err := app.ReadEnvFile(app.EnvPath())
	if err != nil {
		return nil, err
	}
	for _, f := range []*project.EnvFile{web, file} {
		for _, name := range f.Names() {
			vars[name], _ = f.Lookup(name)
		}
	}
	if id := vars[app.Framework.ClientID]; id != "" && vars[provision.ClientIDVar] == "" {
		vars[provision.ClientIDVar] = id // the web app's name for the same value
	}
	for name := range maps.Clone(vars) {
		if v, set := o.env.Lookup(name); set && v != "" {
			vars[name] = v
		}
	}
	if v, set := o.env.Lookup(provision.ClientIDVar); set && v != "" {
		vars[provision.ClientIDVar] = v
	}
	for _, s := range o.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fault.New(fault.Invalid, "--set %q is not NAME=VALUE", s).WithCode("set_invalid")
		}
		vars[name] = value
	}
	return vars, nil
}

// advice is the next step for what a verdict found.
func advice(r deployment.Reading, v deployment.Verdict) string {
	if v.Accepted {
		return ""
	}
	for _, d := range v.Decisions {
		if !strings.HasPrefix(d.Differs, "the token has no aud") || d.Provider.ApplicationID == nil {
			continue
		}
		template, err := json.Marshal(map[string]string{"aud": *d.Provider.ApplicationID})
		if err != nil {
			return ""
		}
		return "give the token this audience with the environment's JWT template: " + string(template) + ", or add the provider without applicationID that has the issuer " + r.Issuer
	}
	return ""
}

func (v tokenView) print(p *Printer) {
	t := v.Token
	if t.Problem != "" {
		p.Fail("this is no token that a backend can read: %s", t.Problem)
	}
	fact := func(label, value string) {
		if value != "" {
			p.Fact(label, "%s", value)
		}
	}
	fact("Issuer", t.Issuer)
	fact("Subject", t.Subject)
	fact("Audience", strings.Join(t.Audience, ", "))
	if t.Problem == "" && len(t.Audience) == 0 {
		fact("Audience", "none")
	}
	fact("Key", strings.TrimSpace(t.Algorithm+" "+t.KeyID))
	fact("Issued", v.when(t.IssuedAt))
	fact("Not before", v.when(t.NotBefore))
	fact("Expires", v.when(t.ExpiresAt))
	var claims map[string]any
	if json.Unmarshal(t.Claims, &claims) == nil {
		for _, name := range slices.Sorted(maps.Keys(claims)) {
			if slices.Contains([]string{"iss", "sub", "aud", "iat", "nbf", "exp"}, name) {
				continue
			}
			if data, err := json.Marshal(claims[name]); err == nil {
				fact(name, strings.Trim(string(data), `"`))
			}
		}
	}
	for _, o := range v.Others {
		fact("Also there", "line "+strconv.Itoa(o.Line)+": "+o.Reading.Issuer+", issued "+v.when(o.Reading.IssuedAt))
	}
	p.Line("")
	switch {
	case v.Verdict == nil:
		p.Warn("no decision: %s", v.Note)
		return
	case v.Verdict.Accepted && v.Verdict.Unchecked != "":
		p.OK("%s would accept it, as far as can be told offline", v.From)
		p.Fact("Not checked", "%s", v.Verdict.Unchecked)
	case v.Verdict.Accepted:
		p.OK("%s accepts it", v.From)
	default:
		p.Fail("%s does not accept it", v.From)
		p.Fact("Clients get", "%s", v.Verdict.Refusal)
	}
	for _, d := range v.Verdict.Decisions {
		why := d.Differs
		if why == "" {
			why = "fits"
		}
		p.Fact("Provider", "%s: %s", d.Provider, why)
	}
	if v.Advice != "" {
		p.Fact("Fix", "%s", v.Advice)
	}
}

// when writes a time of a token with how far away it is.
func (v tokenView) when(seconds *int64) string {
	if seconds == nil {
		return ""
	}
	at := time.Unix(*seconds, 0).UTC()
	distance := at.Sub(v.now).Round(time.Second)
	text := at.Format("2006-01-02 15:04:05 UTC")
	if distance < 0 {
		return text + ", " + (-distance).String() + " ago"
	}
	return text + ", in " + distance.String()
}
