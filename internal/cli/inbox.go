package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

type inboxOptions struct {
	env     *Env
	target  targetFlags
	to      string
	wait    bool
	timeout time.Duration
	since   time.Duration
}

func newInboxCommand(env *Env) *cobra.Command {
	list := &inboxOptions{env: env, target: targetFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "mail of dev and preview deployments",
		Long: `Outside production every mail of an embedded environment lands in its inbox:
verification codes, sign-in codes, password resets. Nothing is sent to anybody.`,
		Example: `berth inbox	the newest mail of this checkout
berth inbox wait --to ada@example.com	wait for a code and print it
berth inbox show MESSAGE_ID`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInboxList(cmd.Context(), list) },
	}
	list.target.register(cmd)
	cmd.Flags().StringVar(&list.to, "to", "", "only mail to this address `EMAIL`")

	show := &inboxOptions{env: env, target: targetFlags{env: env}}
	s := &cobra.Command{Use: "show ID", Short: "show one mail", Example: "berth inbox show message_01J…", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runInboxShow(cmd.Context(), show, args) }}
	show.target.register(s)

	wait := &inboxOptions{env: env, target: targetFlags{env: env}, wait: true}
	w := &cobra.Command{Use: "wait", Short: "wait for a mail and print its code or link", Example: "berth inbox wait --to ada@example.com --timeout 30s", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInboxWait(cmd.Context(), wait) }}
	wait.target.register(w)
	w.Flags().StringVar(&wait.to, "to", "", "address `EMAIL`")
	w.Flags().DurationVar(&wait.timeout, "timeout", time.Minute, "how long to wait")
	w.Flags().DurationVar(&wait.since, "since", 10*time.Second, "take mail that is at most this old")
	cmd.AddCommand(s, w)
	return cmd
}

// mailbox opens the inbox of the deployment that the flags name.
func (o *inboxOptions) mailbox(ctx context.Context) (read func(since time.Time) ([]berth.Message, error), done func(), err error) {
	s, err := o.target.open(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	if !s.conn.Embedded {
		s.close()
		return nil, nil, fault.New(fault.Unsupported, "the mail of a WorkOS environment goes to people, not to an inbox of Berth's").
			WithFix("use an environment of a Berth server").WithCode("workos_has_no_inbox")
	}
	g, err := s.conn.Ledger.Claim(ctx, s.req.Deployment())
	if fault.Is(err, fault.NotFound) || err == nil && !g.Placement.Bound() {
		err = errNotReady(s.req)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return func(since time.Time) ([]berth.Message, error) {
		return s.conn.Ledger.Messages(ctx, g.Placement.ClientID, o.to, since)
	}, s.close, nil
}

func runInboxList(ctx context.Context, o *inboxOptions) error {
	read, done, err := o.mailbox(ctx)
	if err != nil {
		return err
	}
	defer done()
	list, err := read(time.Time{})
	if err != nil {
		return err
	}
	return o.env.Output().Result(list, func(p *Printer) {
		if len(list) == 0 {
			p.Line("no mail yet")
			return
		}
		rows := make([][]string, len(list))
		for i, m := range list {
			rows[i] = []string{m.CreatedAt.Local().Format("15:04:05"), m.To, m.Subject, m.ID}
		}
		p.Table([]string{"TIME", "TO", "SUBJECT", "ID"}, rows)
	})
}

func runInboxShow(ctx context.Context, o *inboxOptions, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "berth inbox show takes one message id").WithFix("berth inbox lists them").WithCode("argument_missing")
	}
	read, done, err := o.mailbox(ctx)
	if err != nil {
		return err
	}
	defer done()
	list, err := read(time.Time{})
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.ID == args[0] {
			return o.env.Output().Result(m, func(p *Printer) { p.message(m) })
		}
	}
	return fault.New(fault.NotFound, "there is no message %q in this inbox", args[0]).WithFix("berth inbox lists them")
}

func (p *Printer) message(m berth.Message) {
	p.Fact("to", "%s", m.To)
	p.Fact("subject", "%s", m.Subject)
	p.Fact("time", "%s", m.CreatedAt.Local().Format(time.RFC1123))
	p.Line("")
	p.Block(m.Text)
}

// pollInbox is how often a waiting command looks.
const pollInbox = 300 * time.Millisecond

func runInboxWait(ctx context.Context, o *inboxOptions) error {
	read, done, err := o.mailbox(ctx)
	if err != nil {
		return err
	}
	defer done()
	since, end := o.env.Now().Add(-o.since), o.env.Now().Add(o.timeout)
	for {
		list, err := read(since)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			m := list[0]
			return o.env.Output().Result(m, func(p *Printer) {
				if m.Code != "" {
					p.Line("%s", m.Code)
				} else {
					p.Line("%s", m.Link)
				}
			})
		}
		if !o.env.Now().Before(end) {
			return fault.New(fault.Unavailable, "no mail came within %s", o.timeout).WithCode("no_mail")
		}
		select {
		case <-time.After(pollInbox):
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.Interrupted, "interrupted while waiting for mail")
		}
	}
}
