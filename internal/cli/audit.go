package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

type auditOptions struct {
	env   *Env
	since time.Duration
	limit int
}

func newAuditCommand(env *Env) *cobra.Command {
	o := &auditOptions{env: env}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "who did what on the server, newest first",
		Long: `Lists the administrative acts in the team of a Berth server: environments, keys, tokens, addresses, settings, flags, releases.
Who signs in is no administrative act: GET /events of an environment has that.`,
		Example: `berth audit	the newest 50
berth audit --since 24h --json	all of a day, for scripts`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAudit(cmd.Context(), o) },
	}
	cmd.Flags().DurationVar(&o.since, "since", 0, "all that happened in the last `TIME`, such as 24h")
	cmd.Flags().IntVar(&o.limit, "limit", 0, "at most so many `N` (default: 50, with --since all)")
	return cmd
}

// usualAudit is how many events are shown when nothing is asked.
const usualAudit = 50

func runAudit(ctx context.Context, o *auditOptions) error {
	if o.since < 0 || o.limit < 0 {
		return fault.New(fault.Invalid, "--since and --limit cannot be negative").WithCode("flag_value_invalid")
	}
	client, _, err := o.env.teamClient(ctx)
	if err != nil {
		return err
	}
	limit := o.limit
	if limit == 0 && o.since == 0 {
		limit = usualAudit
	}
	list, err := readAudit(ctx, client, limit, o.env.Now().Add(-o.since), o.since > 0)
	if err != nil {
		return err
	}
	return o.env.Output().Result(list, func(p *Printer) {
		if len(list) == 0 {
			p.Line("nothing was done in that time")
			return
		}
		rows := make([][]string, len(list))
		for i, e := range list {
			who := e.ActorKind
			if e.ActorID != "" {
				who = e.ActorID
			}
			rows[i] = []string{e.CreatedAt.Local().Format(time.DateTime), e.Action, shorten(e.Target), who, e.EnvironmentID}
		}
		p.Table([]string{"TIME", "ACT", "ON", "BY", "ENVIRONMENT"}, rows)
	})
}

// readAudit pages through the log, newest first; limit 0 is no limit.
func readAudit(ctx context.Context, client *berth.Client, limit int, since time.Time, bounded bool) ([]berth.AuditEvent, error) {
	list := []berth.AuditEvent{}
	for after := ""; ; {
		page, err := client.Audit(ctx, after)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			if bounded && e.CreatedAt.Before(since) || limit > 0 && len(list) == limit {
				return list, nil
			}
			list = append(list, e)
		}
		if after = page.After; after == "" {
			return list, nil
		}
	}
}
