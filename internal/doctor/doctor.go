// Package doctor says why sign-in does not work: a catalogue of findings, the
// checks that reach them, and the report in the order of likelihood.
//
// A finding belongs to one of three legs: the AuthKit session, the access token,
// or the backend's acceptance of that token; what is wrong before any of them
// can work belongs to the set-up. The catalogue is the one source of what a
// finding means: `berth doctor --explain`, docs/findings and the playbook are
// made from it.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Leg is the part of sign-in that a finding breaks.
type Leg string

// The legs, in the order in which they come.
const (
	Setup   Leg = "setup"   // files, variables and configuration, before anybody signs in
	Session Leg = "session" // the AuthKit session: pages, callback, cookies
	Token   Leg = "token"   // the access token: claims, times, keys
	Backend Leg = "backend" // the deployment's acceptance of the token
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	Broken  Severity = "error"   // sign-in cannot work
	Risky   Severity = "warning" // it works now and will not always, or for everybody
	Noticed Severity = "note"    // worth knowing
)

// Entry is what the catalogue says of one kind of finding. Texts are whole
// sentences for people; none holds a value of an app.
type Entry struct {
	Code     string   // stable, lower case with dashes: callback-port-differs
	Title    string   // what is wrong, in one line
	Leg      Leg      //
	Severity Severity //
	// Likely orders the report: how often this is the cause when it is there, 0 to 100.
	Likely       int
	Why          string   // why it matters: what people see when it is there
	Fix          string   // how to mend it, a command or an edit
	Fixable      bool     // `berth doctor --fix` does it
	Requirements []string // R12, R87
	Links        []string // pages of vendors, when a step is there
}

// Finding is one thing that a check saw.
type Finding struct {
	Code  string   `json:"code"`
	Where string   `json:"where,omitempty"` // file:line, variable, address
	Seen  string   `json:"seen"`            // the evidence, without secrets
	Fix   string   `json:"fix,omitempty"`   // for this case; empty: the catalogue's
	Proof []string `json:"proof,omitempty"` // further lines: a diff, an answer, a request
	// Repair mends it. It is nil when a person must.
	Repair func(context.Context) (done string, err error) `json:"-"`
}

// Check looks for some kinds of findings.
type Check struct {
	Name  string
	Codes []string // that it can give
	Needs Need
	Run   func(context.Context, *Subject) ([]Finding, error)
}

// Need is what a check cannot do without. A check whose need is not met is
// reported as skipped, with the reason.
type Need int

// The needs.
const (
	NeedsApp         Need = 1 << iota // an app folder
	NeedsEnvironment                  // the auth environment's configuration can be read
	NeedsDeployment                   // the deployment can be asked
	NeedsNetwork                      // calls leave this machine
)

// Skipped is a check that could not run.
type Skipped struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// Report is the outcome of all checks: findings by likelihood, the likeliest first.
type Report struct {
	Findings []Finding     `json:"findings"`
	Skipped  []Skipped     `json:"skipped"`
	Ran      int           `json:"checks"`
	Took     time.Duration `json:"-"`
}

// limit bounds one check.
const limit = 8 * time.Second

// parallel is how many checks run at the same time.
const parallel = 8

// Run runs the checks on a subject. A check that fails is reported as skipped:
// one broken place must not hide the others.
func Run(ctx context.Context, s *Subject, checks []Check) (*Report, error) {
	begun := time.Now()
	type outcome struct {
		findings []Finding
		skipped  string
	}
	outcomes := make([]outcome, len(checks))
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i, c := range checks {
		if why := s.lacks(c.Needs); why != "" {
			outcomes[i].skipped = why
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			found, err := guarded(ctx, s, c)
			outcomes[i].findings = found
			if err != nil {
				outcomes[i].skipped = err.Error()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &Report{Findings: []Finding{}, Skipped: []Skipped{}, Took: time.Since(begun)}
	for i, o := range outcomes {
		r.Findings = append(r.Findings, o.findings...)
		if o.skipped != "" {
			r.Skipped = append(r.Skipped, Skipped{checks[i].Name, o.skipped})
		} else {
			r.Ran++
		}
	}
	order(r.Findings)
	return r, nil
}

// guarded runs a check whose bug must not take the report down.
func guarded(ctx context.Context, s *Subject, c Check) (found []Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check stopped: %v", p)
		}
	}()
	found, err = c.Run(ctx, s)
	for _, f := range found {
		if !slices.Contains(c.Codes, f.Code) {
			return nil, fmt.Errorf("the check gave the finding %s, which is not its own", f.Code)
		}
	}
	return found, err
}

// order puts the likeliest cause first: by severity, then by likelihood, then by
// leg, then by code and place, so that a report is the same every time.
func order(list []Finding) {
	rank := map[Severity]int{Broken: 0, Risky: 1, Noticed: 2}
	leg := map[Leg]int{Setup: 0, Session: 1, Token: 2, Backend: 3}
	slices.SortStableFunc(list, func(a, b Finding) int {
		ea, eb := Explain(a.Code), Explain(b.Code)
		return cmp.Or(cmp.Compare(rank[ea.Severity], rank[eb.Severity]), cmp.Compare(eb.Likely, ea.Likely), cmp.Compare(leg[ea.Leg], leg[eb.Leg]),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Where, b.Where))
	})
}

// Worst returns the highest severity of the findings, or "".
func (r *Report) Worst() Severity {
	worst := Severity("")
	for _, f := range r.Findings {
		switch s := Explain(f.Code).Severity; {
		case s == Broken:
			return Broken
		case s == Risky || worst == "":
			worst = s
		}
	}
	return worst
}
