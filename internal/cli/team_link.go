package cli

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
)

type linkOptions struct {
	env      *Env
	target   targetFlags
	clientID string
}

func newTeamLinkCommand(env *Env) *cobra.Command {
	o := &linkOptions{env: env, target: targetFlags{env: env, configured: true}}
	cmd := &cobra.Command{
		Use:   "link",
		Short: "use a WorkOS environment that exists",
		Long: `Gives a deployment a WorkOS environment that you have already. Its API key is read
from standard input, tried with a call that changes nothing, and kept sealed in the
ledger, so that later runs need no variables. Everything else stays automatic:
Berth adds the redirect URIs and origins that the deployment needs, and takes back
only what it added. Users and settings of the environment are not touched.`,
		Example: `berth team link --client-id client_123 < key.txt	for this checkout
berth team link --client-id client_123 --kind prod --url https://app.example.com < key.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTeamLink(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.clientID, "client-id", "", "client ID of the environment `ID`")
	o.target.register(cmd)
	return cmd
}

var clientIDShape = regexp.MustCompile(`^client_[0-9A-Za-z]+$`)

// maxKey bounds what is read for an API key.
const maxKey = 4 << 10

func runTeamLink(ctx context.Context, o *linkOptions) error {
	switch {
	case o.clientID == "":
		return Resume(fault.New(fault.NeedsPerson, "it is not said which environment to use").WithFix("pass --client-id, as https://dashboard.workos.com shows it under API Keys").WithCode("client_id_missing"), o.env.again("--client-id ID"))
	case !clientIDShape.MatchString(o.clientID):
		return fault.New(fault.Invalid, "%q is no client ID", o.clientID).WithFix("it looks like client_01…; https://dashboard.workos.com shows it under API Keys").WithCode("client_id_invalid")
	}
	key, err := o.key()
	if err != nil {
		return err
	}
	base := apiBase(o.env)
	if err := checkGiven(ctx, base, o.clientID, key, o.target.observe); err != nil {
		return err
	}
	o.target.given = &provision.Given{ClientID: o.clientID, APIKey: key, From: "--client-id"}
	s, err := o.target.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	s.req.Mode = "shared"
	p, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	out := o.env.Output()
	if p.Idle != "" {
		s.idle(p)
		return out.Result(s.view(p, nil), func(*Printer) {})
	}
	if err := p.Refused(); err != nil {
		return err
	}
	s.show(p.Plan)
	if o.env.DryRun() {
		return s.dryRun(p)
	}
	if err := out.Confirm(ctx, "Use "+o.clientID+" for "+s.req.Title()+"?"); err != nil {
		return err
	}
	return s.finish(ctx, p)
}

// key reads the API key from standard input.
func (o *linkOptions) key() (secret.String, error) {
	if o.env.Interactive {
		o.env.Output().Step("paste the API key of the environment and end with Ctrl-D; it is not kept in the shell's history")
	}
	text, err := io.ReadAll(io.LimitReader(o.env.Stdin, maxKey))
	key := strings.TrimSpace(string(text))
	switch {
	case key == "":
		return "", fault.Wrap(err, fault.Invalid, "no API key came over standard input").WithFix("for example: berth team link --client-id ID < key.txt").WithCode("api_key_missing")
	case !strings.HasPrefix(key, "sk_") || strings.ContainsAny(key, " \t\r\n"):
		return "", fault.New(fault.Invalid, "what came over standard input is no WorkOS API key").WithFix("it looks like sk_test_… or sk_live_…, alone on one line").WithCode("api_key_invalid")
	}
	return secret.String(key), nil
}

// checkGiven tries a key and a client ID with calls that change nothing.
func checkGiven(ctx context.Context, base, clientID string, key secret.String, observe func(string, string, int)) error {
	env := workos.NewEnvironment(wire.Client{Base: base, Observe: observe}, clientID, key)
	_, err := env.ListRedirectURIs(ctx)
	if fault.Is(err, fault.NotFound) {
		// An older server has no list; users have always had one.
		_, err = env.ListUsers(ctx, workos.UserFilter{Email: "nobody@example.invalid"})
	}
	switch {
	case fault.Is(err, fault.Unauthenticated), fault.Is(err, fault.Denied):
		return fault.Wrap(err, fault.Unauthenticated, "WorkOS does not take this API key").WithFix("copy the key again from https://dashboard.workos.com; it may have been revoked").WithCode("api_key_refused")
	case err != nil:
		return err
	}
	public := wire.Client{Base: base, Name: "WorkOS", Observe: observe}
	if base == "" {
		public.Base = workos.DefaultBase
	}
	err = public.Do(ctx, wire.Call{Method: http.MethodGet, Path: "/sso/jwks/" + url.PathEscape(clientID)})
	if fault.Is(err, fault.NotFound) {
		return fault.Wrap(err, fault.NotFound, "there is no environment with the client ID %s", clientID).WithFix("copy the client ID again; it stands next to the API key").WithCode("client_id_unknown")
	}
	return err
}
