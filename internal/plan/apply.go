package plan

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// defaultParallel bounds the calls under way at once: WorkOS allows 500 writes
// in 10 s per environment, and a branch has a handful of entries.
const defaultParallel = 8

// Configurator makes one change of an environment's configuration: Add, Set
// or Remove of a redirect URI, origin, homepage or JWT template.
type Configurator interface {
	Configure(ctx context.Context, c Change) (workos.Outcome, error)
}

// Provisioner makes and removes environments.
type Provisioner interface {
	// Provision makes the environment c.Name, or adopts the one that an
	// earlier, interrupted run made.
	Provision(ctx context.Context, c Change) (Provisioned, error)
	// Release removes the environment c.ID.
	Release(ctx context.Context, c Change) (workos.Outcome, error)
}

// Provisioned is a new environment and the values that come with it.
type Provisioned struct {
	Environment Configurator
	Values      map[string]secret.String // of the pending variables, by name
	Adopted     bool                     // an earlier run had made it
}

// VariableSetter changes variables of the deployment, all in one call.
type VariableSetter interface {
	SetVariables(ctx context.Context, changes []VariableChange) error
}

// VariableChange sets a variable or removes it.
type VariableChange struct {
	Name   string
	Value  secret.String
	Remove bool
}

// FileWriter replaces a file of the app folder atomically.
type FileWriter interface {
	WriteFile(ctx context.Context, f FileChange) error
}

// FileChange is a file as it was seen and as it shall be. A writer that finds
// something other than Before must refuse: a person's edit is not lost.
type FileChange struct {
	Path   string
	Before []byte // nil when the file was missing
	After  []byte
	Values map[string]secret.String // not nil: After was made without them; make it again with them
}

// AuthConfigPusher gives an embedded deployment its auth configuration.
type AuthConfigPusher interface {
	PushAuthConfig(ctx context.Context, source string) error
}

// Hooks let the caller record what happens. Each may be nil. Outcome and
// Claimed are called from several goroutines at once.
type Hooks struct {
	// Intent is called once, before the first write, with all that will be
	// written. An error stops Apply with nothing done.
	Intent func(ctx context.Context, changes []Change) error
	// Outcome is called after each change that was begun, also when ctx is
	// already cancelled: the context it gets is not.
	Outcome func(ctx context.Context, r Result) error
	// Claimed reports whether a live claim wants the entry that c removes. It
	// is asked right before the removal, which is then left out, and right
	// after it: a claim made in between did not see the entry go, and the entry
	// is put back. A claim is recorded before its plan reads what there is, so
	// one of the two sides always notices.
	Claimed func(ctx context.Context, c Change) (bool, error)
}

// Targets is what a plan is applied to. A target that no change needs may be nil.
type Targets struct {
	Provisioner Provisioner
	Environment Configurator // replaced by the provisioned one when the plan makes an environment
	Variables   VariableSetter
	AuthConfig  AuthConfigPusher
	Files       FileWriter
	Hooks       Hooks
	Parallel    int // configuration calls under way at once; default 8
}

// Apply does what the plan shows, in its order: configuration in parallel,
// then variables in one call, then files, then removals. The first hard
// failure stops new work; calls under way are finished. The report is never
// nil and has every change; the error names the call and the next step.
// Running Diff and Apply again goes on where this run stopped.
func Apply(ctx context.Context, p Plan, t Targets) (*Report, error) {
	a := &applier{Targets: t, report: newReport(p)}
	if p.Empty() {
		return a.report, nil
	}
	if err := a.check(p); err != nil {
		return a.report, err
	}
	if a.Hooks.Intent != nil {
		writes := slices.DeleteFunc(slices.Clone(p.Changes), func(c Change) bool { return c.Action == Keep })
		if err := a.Hooks.Intent(ctx, writes); err != nil {
			return a.report, stopped(err, "record what is about to change")
		}
	}
	for stage := range 8 {
		var now []int
		for i, c := range p.Changes {
			if c.stage() == stage && c.Action != Keep {
				now = append(now, i)
			}
		}
		if len(now) > 0 {
			a.stage(ctx, p.Changes, now)
		}
	}
	return a.report, a.failure
}

type applier struct {
	Targets
	values map[string]secret.String

	mu      sync.Mutex
	report  *Report
	failure error
}

// check refuses a plan that the targets cannot carry out, before any write.
func (a *applier) check(p Plan) error {
	makes := slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Resource == Environment && c.Action == Add })
	for _, c := range p.Changes {
		missing := false
		switch c.Resource {
		case Environment:
			missing = a.Provisioner == nil
		case AuthConfig:
			missing = a.AuthConfig == nil
		case RedirectURI, CORSOrigin, Homepage, JWTTemplate, Issuer:
			missing = a.Environment == nil && !makes
		case Variable:
			missing = a.Variables == nil
		case File:
			missing = a.Files == nil || c.Action == Remove
		default:
			missing = true
		}
		if c.Action == Keep {
			continue
		}
		if missing {
			return fault.New(fault.Internal, "the plan wants to %s, and nothing here can do that", c.label())
		}
		if c.Pending && !makes {
			return fault.New(fault.Internal, "the plan wants to %s with a value that nothing will provide", c.label())
		}
	}
	return nil
}

// stage carries out the changes with the given indexes.
func (a *applier) stage(ctx context.Context, changes []Change, now []int) {
	if last := now[len(now)-1]; changes[last].Resource == AuthConfig {
		// The configuration reads the variables: it goes after them, alone.
		if len(now) > 1 {
			a.variables(ctx, changes, now[:len(now)-1])
		}
		if a.goOn(ctx, last, changes[last]) {
			a.finish(ctx, last, Result{Change: changes[last], State: Done}, a.AuthConfig.PushAuthConfig(ctx, changes[last].After))
		}
		return
	}
	if changes[now[0]].Resource == Variable {
		a.variables(ctx, changes, now)
		return
	}
	limit := a.Parallel
	if limit <= 0 {
		limit = defaultParallel
	}
	slots := make(chan struct{}, limit)
	var wg sync.WaitGroup
	for _, i := range now {
		slots <- struct{}{}
		if !a.goOn(ctx, i, changes[i]) {
			<-slots
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r, err := a.one(ctx, changes[i])
			a.finish(ctx, i, r, err)
		})
	}
	wg.Wait()
}

// goOn reports whether change i may begin.
func (a *applier) goOn(ctx context.Context, i int, c Change) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure == nil && ctx.Err() != nil {
		kind := fault.Interrupted
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			kind = fault.Unavailable
		}
		a.failure = fault.Wrap(ctx.Err(), kind, "stopped before: %s", c.label()).WithFix(nextStep)
	}
	return a.failure == nil
}

// one carries out a single change.
func (a *applier) one(ctx context.Context, c Change) (Result, error) {
	r := Result{Change: c}
	switch c.Resource {
	case Environment:
		if c.Action == Remove {
			return a.remove(ctx, c, a.Provisioner.Release)
		}
		made, err := a.Provisioner.Provision(ctx, c)
		if err != nil {
			return r, err
		}
		a.Environment, a.values = made.Environment, made.Values
		if a.values == nil {
			a.values = map[string]secret.String{}
		}
		if r.State = Done; made.Adopted {
			r.State, r.Detail = AlreadyThere, "made by an earlier run that was interrupted; adopted"
		}
		return r, nil
	case File:
		f := FileChange{Path: c.Name, After: []byte(c.After)}
		if c.Action != Add {
			f.Before = []byte(c.Before)
		}
		if c.Pending {
			f.Values = a.values
		}
		r.State = Done
		return r, a.Files.WriteFile(ctx, f)
	default:
		if c.Action == Remove {
			return a.remove(ctx, c, a.Environment.Configure)
		}
		out, err := a.Environment.Configure(ctx, c)
		r.outcome(out)
		return r, err
	}
}

// remove takes an entry away unless a live claim wants it, and puts it back
// when one turned up meanwhile.
func (a *applier) remove(ctx context.Context, c Change, call func(context.Context, Change) (workos.Outcome, error)) (Result, error) {
	r := Result{Change: c}
	claimed, err := a.claimed(ctx, c)
	if err != nil {
		return r, err
	}
	if claimed {
		r.State, r.Detail = NotRemoved, "another deployment claims it by now"
		return r, nil
	}
	out, err := call(ctx, c)
	r.outcome(out)
	if err != nil || c.Resource == Environment || r.State == NotRemoved {
		return r, err
	}
	// From here the entry is gone: the check must not be lost to a signal.
	ctx = context.WithoutCancel(ctx)
	if claimed, err = a.claimed(ctx, c); err != nil || !claimed {
		return r, err
	}
	back := Change{Action: Add, Resource: c.Resource, Target: c.Target, Name: c.Name, After: c.Name}
	if _, err := a.Environment.Configure(ctx, back); err != nil {
		return r, err
	}
	r.State, r.Detail = NotRemoved, "another deployment claimed it meanwhile; put back"
	return r, nil
}

func (a *applier) claimed(ctx context.Context, c Change) (bool, error) {
	if a.Hooks.Claimed == nil {
		return false, nil
	}
	return a.Hooks.Claimed(ctx, c)
}

// variables changes all variables in one call: the deployment re-evaluates
// its stored auth config on every change, and must not see half of a set.
func (a *applier) variables(ctx context.Context, changes []Change, now []int) {
	if !a.goOn(ctx, now[0], changes[now[0]]) {
		return
	}
	var batch []VariableChange
	for _, i := range now {
		c := changes[i]
		v := VariableChange{Name: c.Name, Value: secret.String(c.After), Remove: c.Action == Remove}
		if c.Pending {
			value, ok := a.values[c.Name]
			if !ok {
				a.finish(ctx, i, Result{Change: c}, fault.New(fault.Internal, "the new environment came without a value for %s", c.Name))
				return
			}
			v.Value = value
		}
		batch = append(batch, v)
	}
	err := a.Variables.SetVariables(ctx, batch)
	for _, i := range now {
		a.finish(ctx, i, Result{Change: changes[i], State: Done}, err)
	}
}

// finish records the result of change i.
func (a *applier) finish(ctx context.Context, i int, r Result, err error) {
	var failure error
	if err != nil {
		f := stopped(err, r.Change.label())
		r.State, r.Detail, r.Next = Failed, f.Message, f.Fix
		failure = f
	}
	if a.Hooks.Outcome != nil {
		if err := a.Hooks.Outcome(context.WithoutCancel(ctx), r); err != nil && failure == nil {
			failure = stopped(err, "record the outcome of: "+r.Change.label())
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Results[i] = r
	if a.failure == nil {
		a.failure = failure
	}
}

const nextStep = "run the same command again: it goes on where it stopped"

// stopped names the change that failed, keeping kind, code and next step.
func stopped(err error, label string) *fault.Error {
	f := fault.From(err)
	out := fault.Wrap(err, f.Kind, "%s: %s", label, f.Message).WithCode(f.Code).WithFix(nextStep)
	if f.Fix != "" {
		out.Fix = f.Fix
	}
	return out
}
