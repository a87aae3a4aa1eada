package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

type keysOptions struct {
	env    *Env
	target targetFlags

	now       bool
	algorithm string
}

func newKeysCommand(env *Env) *cobra.Command {
	sub := func(use, short, example string, flags func(*cobra.Command, *keysOptions), run func(context.Context, *keysOptions) error) *cobra.Command {
		o := &keysOptions{env: env, target: targetFlags{env: env}}
		cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) }}
		o.target.register(cmd)
		flags(cmd, o)
		return cmd
	}
	none := func(*cobra.Command, *keysOptions) {}
	const list = "the keys that sign access tokens, and when they change"
	cmd := sub("keys", "signing keys of an environment", `berth keys	the keys, and when they change
berth keys rotate	a new key: published now, signing in 15 minutes
berth keys rotate --now	a key may be known to others: replace it at once`, none, runKeysList)
	cmd.Long = `Each environment of a Berth server signs its access tokens with a key of its own.
A new key is published before it signs, and an old one stays published until the last token
that it signed is over, so that nobody is signed out.`
	cmd.AddCommand(
		sub("list", list, "berth keys list --kind prod", none, runKeysList),
		sub("rotate", "replace the signing key", `berth keys rotate	publish a new key, which signs in 15 minutes
berth keys rotate --now	sign with it at once and drop every other key
berth keys rotate --algorithm ES256	change to ES256`, func(cmd *cobra.Command, o *keysOptions) {
			cmd.Flags().BoolVar(&o.now, "now", false, "sign with the new key at once; tokens of every other key are refused from then on")
			o.algorithmFlag(cmd)
		}, runKeysRotate),
	)
	return cmd
}

func (o *keysOptions) algorithmFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.algorithm, "algorithm", "", "RS256 or ES256 `NAME` (default: what the environment has)")
	_ = cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions([]string{"RS256", "ES256"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
}

// keyTarget is an environment of a Berth server, opened.
type keyTarget struct {
	ledger   *berth.Client
	clientID string
	title    string
	close    func()
}

func (o *keysOptions) open(ctx context.Context) (*keyTarget, error) {
	s, err := o.target.open(ctx, false)
	if err != nil {
		return nil, err
	}
	if !s.conn.Embedded {
		s.close()
		return nil, fault.New(fault.Unsupported, "WorkOS keeps the signing keys of its environments itself").
			WithFix("use an environment of a Berth server").WithCode("workos_keeps_its_keys")
	}
	g, err := s.conn.Ledger.Claim(ctx, s.req.Deployment())
	if fault.Is(err, fault.NotFound) || err == nil && !g.Placement.Bound() {
		err = errNotReady(s.req)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return &keyTarget{ledger: s.conn.Ledger, clientID: g.Placement.ClientID, title: g.Placement.EnvironmentName, close: s.close}, nil
}

func runKeysList(ctx context.Context, o *keysOptions) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	keys, err := t.ledger.SigningKeys(ctx, t.clientID)
	if err != nil {
		return err
	}
	return o.env.Output().Result(keys, func(p *Printer) { p.signingKeys(keys) })
}

func (p *Printer) signingKeys(keys []berth.SigningKey) {
	at := func(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
	rows := make([][]string, len(keys))
	for i, k := range keys {
		then := "signs since " + at(k.SignsAt)
		switch k.State {
		case "next":
			then = "signs from " + at(k.SignsAt)
		case "retired":
			then = "published until " + at(k.RemoveAt)
		}
		rows[i] = []string{k.State, k.Algorithm, then, k.KID}
	}
	p.Table([]string{"STATE", "ALGORITHM", "WHEN", "KID"}, rows)
}

func runKeysRotate(ctx context.Context, o *keysOptions) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	out := o.env.Output()
	if o.env.DryRun() {
		keys, err := t.ledger.SigningKeys(ctx, t.clientID)
		if err != nil {
			return err
		}
		out.Line("would make a new signing key for %s; nothing was changed", t.title)
		return out.Result(keys, func(p *Printer) { p.signingKeys(keys) })
	}
	if o.now {
		if err := out.Confirm(ctx, "Replace every key of "+t.title+" at once? Its access tokens are refused until they are refreshed."); err != nil {
			return err
		}
	}
	keys, err := t.ledger.RotateSigningKey(ctx, t.clientID, berth.KeyRotation{Now: o.now, Algorithm: o.algorithm})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.State == "next" {
			out.OK("%s is published and signs from %s on", k.KID, k.SignsAt.Local().Format("15:04"))
		}
	}
	if o.now {
		out.OK("%s signs; no other key is left", keys[0].KID)
	}
	if o.algorithm != "" {
		out.Line("  access tokens are signed with %s; berth dev or berth deploy tells the app's auth.config", keys[0].Algorithm)
	}
	return out.Result(keys, func(p *Printer) { p.signingKeys(keys) })
}
