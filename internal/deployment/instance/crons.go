package instance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/berthdev/berth/internal/fault"
)

// cronJob is one entry of crons.ts.
type cronJob struct {
	name     string
	function string
	args     json.RawMessage // a list with one object
	next     func(after time.Time) time.Time
}

var weekdays = map[string]time.Weekday{"sunday": 0, "monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6}

// readCrons reads what the default export of crons.js exports: by name
// {name, args, schedule}. Times are UTC.
func readCrons(data []byte) ([]cronJob, error) {
	var raw map[string]struct {
		Name     string          `json:"name"`
		Args     json.RawMessage `json:"args"`
		Schedule struct {
			Type      string   `json:"type"`
			Seconds   *float64 `json:"seconds"`
			Minutes   *float64 `json:"minutes"`
			Hours     *float64 `json:"hours"`
			DayOfWeek string   `json:"dayOfWeek"`
			Day       int      `json:"day"`
			HourUTC   int      `json:"hourUTC"`
			MinuteUTC int      `json:"minuteUTC"`
			Cron      string   `json:"cron"`
		} `json:"schedule"`
	}
	bad := func(name, why string) ([]cronJob, error) {
		return nil, fault.New(fault.Invalid, "crons.ts: the cron %q %s", name, why).WithCode("InvalidCrons")
	}
	// minutesUTC of hourly schedules may be absent while other members are numbers.
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fault.New(fault.Invalid, "crons.ts: the crons cannot be read").WithCode("InvalidCrons")
	}
	var all []cronJob
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		c := raw[name]
		s := c.Schedule
		spec := ""
		switch s.Type {
		case "interval":
			every := time.Duration(0)
			for part, unit := range map[*float64]time.Duration{s.Seconds: time.Second, s.Minutes: time.Minute, s.Hours: time.Hour} {
				if part != nil {
					every += time.Duration(*part * float64(unit))
				}
			}
			if every < time.Second {
				return bad(name, "has an interval below one second")
			}
			all = append(all, cronJob{name, c.Name, c.Args, func(after time.Time) time.Time { return after.Truncate(every).Add(every) }})
			continue
		case "hourly":
			spec = fmt.Sprintf("%d * * * *", s.MinuteUTC)
		case "daily":
			spec = fmt.Sprintf("%d %d * * *", s.MinuteUTC, s.HourUTC)
		case "weekly":
			day, ok := weekdays[s.DayOfWeek]
			if !ok {
				return bad(name, "names no day of the week")
			}
			spec = fmt.Sprintf("%d %d * * %d", s.MinuteUTC, s.HourUTC, day)
		case "monthly":
			spec = fmt.Sprintf("%d %d %d * *", s.MinuteUTC, s.HourUTC, s.Day)
		case "cron":
			spec = s.Cron
		default:
			return bad(name, "has an unknown kind of schedule")
		}
		schedule, err := cron.ParseStandard(spec)
		if err != nil {
			return bad(name, "has no readable schedule: "+err.Error())
		}
		all = append(all, cronJob{name, c.Name, c.Args, func(after time.Time) time.Time { return schedule.Next(after.UTC()) }})
	}
	return all, nil
}

// runCrons runs what is due and returns when the next cron is. next remembers
// when each is due; one that was missed while the deployment slept is not made up for.
func (i *Instance) runCrons(ctx context.Context, next map[string]time.Time) (wake time.Time) {
	now := time.Now()
	known := map[string]bool{}
	for _, c := range i.now().crons {
		known[c.name] = true
		at, there := next[c.name]
		switch {
		case !there:
			at = c.next(now)
		case !at.After(now):
			i.done.Go(func() {
				out, err := i.Call(ctx, Caller{Admin: true, Name: "Cron"}, c.function, c.args)
				if err != nil && ctx.Err() == nil {
					i.cfg.Log.ErrorContext(ctx, "a cron failed", "deployment", i.deployment.Name, "cron", c.name, "err", err)
				}
				_ = out // what it threw is in the deployment's log
			})
			at = c.next(now)
		}
		next[c.name] = at
		if wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	maps.DeleteFunc(next, func(name string, _ time.Time) bool { return !known[name] })
	return wake
}
