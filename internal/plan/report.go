package plan

import (
	"encoding/json"
	"strings"

	"github.com/berthdev/berth/internal/workos"
)

// State is what became of a change.
type State string

const (
	Done         State = "done"
	AlreadyThere State = "already there" // or already gone: somebody else was faster
	NotRemoved   State = "not removed"   // Detail says why
	Refused      State = "refused"       // the other end does not take the value; Detail says why
	Failed       State = "failed"        // Detail names the call, Next the next step
	NotStarted   State = "not started"   // an earlier failure stopped the run
	Kept         State = "kept"          // the plan meant to keep it
)

// Result is what became of one change.
type Result struct {
	Change Change `json:"change"`
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
	Next   string `json:"next,omitempty"`
}

// outcome takes over what a configuration call turned out to do.
func (r *Result) outcome(o workos.Outcome) {
	r.Detail = o.Reason
	switch o.State {
	case workos.AlreadyThere, workos.AlreadyGone:
		r.State = AlreadyThere
		if o.State == workos.AlreadyGone {
			r.Detail = "already gone"
		}
	case workos.NotRemovable:
		r.State = NotRemoved
	case workos.Refused:
		r.State = Refused
	default:
		r.State = Done
	}
}

// Report is what an Apply did: one result per change of the plan, in its order.
type Report struct {
	Results []Result
	Notes   []Note // the plan's: what could not be done at all
}

func newReport(p Plan) *Report {
	r := &Report{Notes: p.Notes, Results: make([]Result, len(p.Changes))}
	for i, c := range p.Changes {
		r.Results[i] = Result{Change: c, State: NotStarted}
		if c.Action == Keep {
			r.Results[i].State, r.Results[i].Detail = Kept, c.Reason
		}
	}
	return r
}

// Count returns the number of results in state s.
func (r *Report) Count(s State) int {
	n := 0
	for _, result := range r.Results {
		if result.State == s {
			n++
		}
	}
	return n
}

// Warnings returns what was refused or could not be removed, one line each,
// including the plan's notes.
func (r *Report) Warnings() []string {
	var out []string
	for _, result := range r.Results {
		if result.State == Refused || result.State == NotRemoved {
			out = append(out, result.Change.label()+": "+string(result.State)+": "+clean(result.Detail))
		}
	}
	for _, n := range r.Notes {
		out = append(out, strings.TrimSpace(string(n.Resource)+" "+clean(n.Name))+": "+clean(n.Reason))
	}
	return out
}

// Text returns the report for people: one line per change with its outcome.
func (r *Report) Text(s *Style) string {
	var b strings.Builder
	width := 0
	for _, result := range r.Results {
		width = max(width, len(result.Change.Resource))
	}
	for _, result := range r.Results {
		b.WriteString("  " + result.Change.line(width, s) + ": " + string(result.State))
		if result.Detail != "" && result.State != Kept {
			b.WriteString(", " + clean(result.Detail))
		}
		b.WriteString("\n")
		if result.Next != "" {
			b.WriteString("    next: " + clean(result.Next) + "\n")
		}
	}
	for _, n := range r.Notes {
		b.WriteString(paint(s, note, "note:") + " " + strings.TrimSpace(string(n.Resource)+" "+clean(n.Name)) + ": " + clean(n.Reason) + "\n")
	}
	return b.String()
}

// MarshalJSON encodes the report without secrets.
func (r *Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Results []Result `json:"results"`
		Notes   []Note   `json:"notes"`
	}{orEmpty(r.Results), orEmpty(r.Notes)})
}
