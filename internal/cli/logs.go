package cli

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
)

type logsOptions struct {
	env     *Env
	backend backendFlags
	follow  bool
	history int
	success bool
}

func newLogsCommand(env *Env) *cobra.Command {
	o := &logsOptions{env: env, backend: newBackendFlags(env)}
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "what a deployment's functions printed, and their errors",
		Long: `Shows the log of a deployment's functions: what they printed and how they failed.
With --json every entry is one line of JSON, as the deployment sends it.`,
		Example: `berth logs	the last entries of this checkout's deployment
berth logs --follow	go on until interrupted
berth logs --prod --history 200 --success	also functions that printed nothing`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogs(cmd.Context(), o) },
	}
	o.backend.register(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes")
	f.IntVar(&o.history, "history", 100, "how many entries of the past to show `N`")
	f.BoolVar(&o.success, "success", false, "also show that functions ended well")
	return cmd
}

// How long to wait after a poll that failed, doubling.
const (
	logsRetryFirst = time.Second
	logsRetryMax   = 30 * time.Second
)

// firstLogs bounds the wait for the past: a deployment without any entry
// answers only after a minute.
const firstLogs = 3 * time.Second

func runLogs(ctx context.Context, o *logsOptions) error {
	if o.history < 0 {
		return fault.New(fault.Invalid, "--history %d is no number of entries", o.history).WithFix("use 0 or more").WithCode("flag_value_invalid")
	}
	b, err := o.backend.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	o.env.Output().Fact("logs", "%s", b.Title)
	past, err := o.past(ctx, b.Deployment)
	if err != nil {
		return err
	}
	if err := o.print(past.Entries[max(0, len(past.Entries)-o.history):]); err != nil || !o.follow {
		return err
	}
	return o.tail(ctx, b.Deployment, past.NewCursor)
}

// past reads what is kept. An answer that does not come soon means that there
// is nothing.
func (o *logsOptions) past(ctx context.Context, d *convex.Deployment) (convex.Logs, error) {
	soon, cancel := context.WithTimeout(ctx, firstLogs)
	defer cancel()
	logs, err := d.Logs(soon, 0)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		return convex.Logs{}, nil
	}
	return logs, explainLogs(err)
}

// explainLogs says what a key that may not read logs needs.
func explainLogs(err error) error {
	if fault.Is(err, fault.Denied) {
		return fault.Wrap(err, fault.Denied, "%s", fault.From(err).Message).WithCode(fault.Code(err)).WithFix("use a key or a login that may view logs")
	}
	return err
}

// tail polls until ctx ends. 403 and 401 end it; what else fails is tried again.
func (o *logsOptions) tail(ctx context.Context, d *convex.Deployment, cursor float64) error {
	wait := logsRetryFirst
	for {
		logs, err := d.Logs(ctx, cursor)
		switch {
		case ctx.Err() != nil:
			return &Exit{exitInterrupted} // that is how it ends
		case fault.Is(err, fault.Denied), fault.Is(err, fault.Unauthenticated), fault.Is(err, fault.NotFound):
			return explainLogs(err)
		case err != nil:
			if err := pause(ctx, wait); err != nil {
				return &Exit{exitInterrupted}
			}
			wait = min(2*wait, logsRetryMax)
			continue
		}
		wait = logsRetryFirst
		if err := o.print(logs.Entries); err != nil {
			return err
		}
		if len(logs.Entries) == 0 && logs.NewCursor <= cursor {
			if err := pause(ctx, logsRetryFirst); err != nil { // a server that answers at once is not asked without end
				return &Exit{exitInterrupted}
			}
		}
		cursor = max(cursor, logs.NewCursor)
	}
}

// print writes entries on stdout.
func (o *logsOptions) print(entries []convex.LogEntry) error {
	p := o.env.answer()
	for _, e := range entries {
		if o.env.JSON() {
			if o.shown(e) {
				if _, err := fmt.Fprintf(o.env.Stdout, "%s\n", e.Raw); err != nil {
					return err
				}
			}
			continue
		}
		o.entry(p, e)
	}
	return nil
}

func (o *logsOptions) shown(e convex.LogEntry) bool {
	return o.success || e.Error != nil || len(e.LogLines) > 0
}

var functionLetters = map[string]string{"Query": "Q", "Mutation": "M", "Action": "A", "HttpAction": "H"}

// entry writes one entry: its lines, then how it ended.
func (o *logsOptions) entry(p *Printer, e convex.LogEntry) {
	letter := functionLetters[e.UDFType]
	if letter == "" {
		letter = "?"
	}
	name := fmt.Sprintf("%s(%s)", letter, printable(e.Identifier))
	for _, line := range e.LogLines {
		at := e.Timestamp
		if line.Timestamp > 0 {
			at = line.Timestamp / 1000
		}
		text, level := printable(line.Text), line.Level
		if line.Truncated {
			text += p.Dim(" (cut short)")
		}
		switch level {
		case "ERROR":
			level = p.Red(level)
		case "WARN":
			level = p.Yellow(level)
		default:
			level = p.Dim(level)
		}
		p.Line("%s %s %s %s", p.Dim(clock(at)), name, level, text)
	}
	switch {
	case e.Error != nil:
		p.Line("%s %s %s", p.Dim(clock(e.Timestamp)), name, p.Red(printable(*e.Error)))
	case o.success && e.Kind != "Progress":
		how := fmt.Sprintf("done in %s", time.Duration(e.ExecutionTime*float64(time.Second)).Round(100*time.Microsecond))
		if e.CachedResult {
			how = "answered from the cache"
		}
		p.Line("%s %s %s", p.Dim(clock(e.Timestamp)), name, p.Dim(how))
	}
}

// clock is a time of the log in the local zone.
func clock(seconds float64) string {
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).Format("2006-01-02 15:04:05.000")
}

// printable takes control characters out of what others wrote, so that it
// cannot act on the terminal. Line ends and tabs stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
