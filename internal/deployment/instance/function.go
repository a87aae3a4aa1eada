package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// Caller is as whom a function is called.
type Caller struct {
	Identity *deployment.Identity // nil: nobody
	Admin    bool                 // may call internal functions
	// Refused is why the token of an HTTP action's caller was not accepted:
	// asking for the identity throws it.
	Refused *deployment.Refusal
	Name    string // of the caller in logs: HttpApi, SyncWorker, Scheduler, Cron, Action, ...
}

// function is one exported function.
type function struct {
	path    string // mod:fn
	module  string // mod.js
	export  string
	kind    runtime.Kind
	public  bool
	args    *value.Validator
	returns *value.Validator
	// The validators as they were exported; nil accepts everything.
	argsJSON, returnsJSON json.RawMessage
}

// read takes over what the modules export.
func (l *live) read(exports map[string]runtime.ModuleExports) error {
	l.functions = map[string]function{}
	for module, e := range exports {
		for _, f := range e.Functions {
			fn := function{path: strings.TrimSuffix(module, ".js") + ":" + f.Name, module: module, export: f.Name, kind: f.Kind, public: f.Public(), argsJSON: f.Args, returnsJSON: f.Returns}
			for to, data := range map[**value.Validator]json.RawMessage{&fn.args: f.Args, &fn.returns: f.Returns} {
				if data == nil {
					continue
				}
				v, err := value.ParseValidator(data)
				if err != nil {
					return fault.Wrap(err, fault.Invalid, "%s: %s", fn.path, fault.From(err).Message).WithCode("InvalidModules")
				}
				*to = v
			}
			l.functions[fn.path] = fn
		}
		if e.Routes != nil {
			l.routes = e.Routes
		}
		if e.Crons != nil {
			crons, err := readCrons([]byte(*e.Crons))
			if err != nil {
				return err
			}
			l.crons = crons
		}
	}
	return nil
}

// canonical returns a function's path as mod:fn: "mod" is mod:default, and an
// extension of the module goes away.
func canonical(p string) string {
	module, name, ok := strings.Cut(p, ":")
	if !ok {
		name = "default"
	}
	module = strings.TrimSuffix(module, path.Ext(module))
	return module + ":" + name
}

// find returns the function that a caller may call.
func (l *live) find(caller Caller, p string, want runtime.Kind) (function, error) {
	f, ok := l.functions[canonical(p)]
	if !ok || !f.public && !caller.Admin {
		kind := "public function"
		if caller.Admin {
			kind = "function"
		}
		return f, userError("Could not find %s for '%s'. Did you forget to run `npx convex dev` or `npx convex deploy`?", kind, strings.TrimSuffix(canonical(p), ":default"))
	}
	if want != "" && f.kind != want {
		return f, userError("Trying to execute %s as %s, but it is defined as %s.", p, want, f.kind)
	}
	return f, nil
}

// userError is an error that belongs to the function's code or its caller.
func userError(format string, args ...any) error {
	return &runtime.FunctionError{Message: fmt.Sprintf(format, args...)}
}

// Failure is why a function has no value.
type Failure struct {
	Message string // as clients get it
	Data    []byte // of a ConvexError: encoded JSON; nil otherwise
	full    string // as developers get it
}

// Outcome is what a call gave: Value or Failure.
type Outcome struct {
	Kind      runtime.Kind
	Value     []byte // encoded JSON
	Failure   *Failure
	Logs      []runtime.LogLine
	Timestamp database.Timestamp // of queries what they saw, of mutations their commit
	// Reads is what a query depends on; with Identity it depends on the caller too.
	Reads    *database.ReadSet
	Identity bool
	Journal  *string // of a query with pages: where they ended
}

// failure shows err to a client.
func (i *Instance) failure(requestID string, err *runtime.FunctionError) *Failure {
	head := "[Request ID: " + requestID + "] Server Error"
	full := head + "\n" + err.Message
	if err.Stack != "" {
		full += "\n" + err.Stack
	}
	f := &Failure{Message: full, Data: err.Data, full: err.Message}
	if i.Redacts() {
		f.Message = head
	}
	return f
}

// arguments returns the value of a call's arguments: an object, or a list that holds one.
func arguments(args []byte) (value.Object, error) {
	if len(args) == 0 {
		return value.Object{}, nil
	}
	v, err := value.Parse(args)
	if err != nil {
		return nil, userError("ArgumentValidationError: %s", fault.From(err).Message)
	}
	if list, ok := v.(value.Array); ok {
		switch len(list) {
		case 0:
			return value.Object{}, nil
		case 1:
			v = list[0]
		}
	}
	o, ok := v.(value.Object)
	if !ok {
		return nil, userError("ArgumentValidationError: Arguments must be one object.")
	}
	if err := value.Check(o); err != nil {
		return nil, userError("ArgumentValidationError: %s", fault.From(err).Message)
	}
	return o, nil
}

// run runs f once, with its arguments and result held to their validators.
func (l *live) run(ctx context.Context, f function, args value.Object, tableOf func(string) string, call runtime.Call) ([]byte, error) {
	if err := f.args.Check(args, tableOf); err != nil {
		return nil, userError("ArgumentValidationError: %s", fault.From(err).Message)
	}
	call.Module, call.Export, call.Kind = f.module, f.export, f.kind
	call.Args = append(append([]byte{'['}, value.Append(nil, args)...), ']')
	out, err := l.program.Run(ctx, call)
	if err != nil {
		return nil, err
	}
	v, err := value.Parse(out)
	if err == nil {
		err = value.Check(v)
	}
	if err != nil {
		return nil, userError("The return value of %s is not a Convex value: %s", f.path, fault.From(err).Message)
	}
	if err := f.returns.Check(v, tableOf); err != nil {
		return nil, userError("ReturnsValidationError: %s", fault.From(err).Message)
	}
	return value.Append(nil, v), nil
}

// Query runs a query. journal is what an earlier run of it returned, or nil.
func (i *Instance) Query(ctx context.Context, caller Caller, p string, args []byte, journal *string) (Outcome, error) {
	return i.call(ctx, caller, p, args, runtime.Query, journal)
}

// QueryAt is Query at a moment that Data().Pin returned. ok is false when the
// moment is not kept any more.
func (i *Instance) QueryAt(ctx context.Context, caller Caller, p string, args []byte, ts database.Timestamp) (out Outcome, ok bool, err error) {
	tx, ok := i.data.BeginAt(ts)
	if !ok {
		return out, false, nil
	}
	out, err = i.callWith(ctx, i.now(), tx, caller, p, args, runtime.Query, nil)
	return out, true, err
}

// Mutation runs a mutation and commits what it wrote. When others wrote what
// it read it runs again.
func (i *Instance) Mutation(ctx context.Context, caller Caller, p string, args []byte) (Outcome, error) {
	return i.call(ctx, caller, p, args, runtime.Mutation, nil)
}

// Action runs an action.
func (i *Instance) Action(ctx context.Context, caller Caller, p string, args []byte) (Outcome, error) {
	return i.call(ctx, caller, p, args, runtime.Action, nil)
}

// Call runs whichever kind the function is.
func (i *Instance) Call(ctx context.Context, caller Caller, p string, args []byte) (Outcome, error) {
	return i.call(ctx, caller, p, args, "", nil)
}

// maxRetries is how often a mutation runs again after a conflict.
const maxRetries = 16

func (i *Instance) call(ctx context.Context, caller Caller, p string, args []byte, want runtime.Kind, journal *string) (Outcome, error) {
	return i.callWith(ctx, i.now(), nil, caller, p, args, want, journal)
}

// callWith is call of the functions of l; queries read at, or the latest moment.
func (i *Instance) callWith(ctx context.Context, l *live, at *database.Tx, caller Caller, p string, args []byte, want runtime.Kind, journal *string) (Outcome, error) {
	i.used.Store(time.Now().UnixNano())
	requestID, begun := newRequestID(), time.Now()
	out := Outcome{Kind: want, Timestamp: i.data.Timestamp()}
	if l.program == nil {
		l = &live{state: l.state}
	}
	f, err := l.find(caller, p, want)
	var parsed value.Object
	if err == nil {
		parsed, err = arguments(args)
	}
	if err == nil {
		out.Kind = f.kind
		switch f.kind {
		case runtime.Query:
			err = i.query(ctx, l, at, caller, f, parsed, requestID, journal, &out)
		case runtime.Mutation:
			for attempt := range maxRetries {
				if err = i.mutate(ctx, l, caller, f, parsed, requestID, &out); !errors.Is(err, database.ErrConflict) {
					break
				}
				if attempt == maxRetries-1 {
					err = userError("%s", database.ErrConflict.Message)
				}
			}
		default:
			err = i.act(ctx, l, caller, f, parsed, requestID, &out)
		}
	}
	if e, ok := errors.AsType[*runtime.FunctionError](err); ok {
		out.Value, out.Failure = nil, i.failure(requestID, e)
		err = nil
	}
	if err != nil {
		return out, err
	}
	if f.path != "" {
		i.logs.completed(f, caller, requestID, out, begun)
	}
	return out, nil
}

func (i *Instance) query(ctx context.Context, l *live, at *database.Tx, caller Caller, f function, args value.Object, requestID string, journal *string, out *Outcome) error {
	if at == nil {
		at = i.data.Begin()
	}
	h := newTxHost(i, l, caller, at, false)
	h.pages = readJournal(journal)
	err := h.run(ctx, f, args, requestID, out)
	out.Timestamp, out.Reads, out.Identity = h.tx.Timestamp(), h.tx.Reads(), h.askedIdentity
	out.Journal = h.pages.written()
	return err
}

func (i *Instance) mutate(ctx context.Context, l *live, caller Caller, f function, args value.Object, requestID string, out *Outcome) error {
	out.Logs = nil
	h := newTxHost(i, l, caller, i.data.Begin(), true)
	if err := h.run(ctx, f, args, requestID, out); err != nil {
		return err
	}
	ts, err := i.data.Commit(ctx, h.tx)
	out.Timestamp = ts
	if err == nil {
		err = i.dropFiles(ctx, *h.gone)
	}
	return err
}

func (i *Instance) act(ctx context.Context, l *live, caller Caller, f function, args value.Object, requestID string, out *Outcome) error {
	tx := i.data.Begin()
	h := &actionHost{i: i, caller: caller}
	var err error
	out.Value, err = l.run(ctx, f, args, tx.TableOf, runtime.Call{Host: h, RequestID: requestID, Now: i.cfg.DB.Now(), Log: out.log})
	return err
}

// log keeps a line. Lines of one run come one after another.
func (o *Outcome) log(line runtime.LogLine) { o.Logs = append(o.Logs, line) }
