package runtime

import (
	"context"
	"encoding/json"
	"errors"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Kind is what a function is.
type Kind string

// The kinds, in Convex's spelling.
const (
	Query      Kind = "Query"
	Mutation   Kind = "Mutation"
	Action     Kind = "Action"
	HTTPAction Kind = "HttpAction"
)

// Host answers what functions ask. Calls of queries and mutations come one at a
// time from the goroutine of Run; AsyncSyscall of actions comes from several at
// once. An error of kind Invalid or another that is made to be read is thrown in
// the function with its message; others end the run.
type Host interface {
	Syscall(op string, args []byte) ([]byte, error)
	AsyncSyscall(ctx context.Context, op string, args []byte) ([]byte, error)
}

// HostError is an error of a Host that the function may catch with its data:
// what a function that was called threw as a ConvexError.
type HostError struct {
	Message string
	Data    []byte // encoded JSON
}

func (e *HostError) Error() string { return e.Message }

// Limits bound one run.
type Limits struct {
	Time   time.Duration // in JavaScript; waiting for the host is not counted
	Memory uintptr       // bytes
}

// Default limits, as Convex documents them.
var (
	QueryLimits  = Limits{Time: time.Second, Memory: 64 << 20}
	ActionLimits = Limits{Time: 10 * time.Minute, Memory: 64 << 20}
)

// LogLine is one call of console.
type LogLine struct {
	Level     string // DEBUG, INFO, LOG, WARN, ERROR
	Messages  []string
	Time      time.Time
	Truncated bool
}

// Bounds of the log of one run.
const (
	maxLogLines = 256
	maxLogLine  = 32768
)

// Call says what to run.
type Call struct {
	Module    string // users.js
	Export    string // name of the export; of HTTP actions the router's, "default"
	Kind      Kind
	Args      []byte // JSON text: an array with the encoded arguments; of HTTP actions the request
	Route     string // of HTTP actions: the path to route, "" to take it from the request
	RequestID string
	Host      Host
	Now       time.Time // what Date.now says in queries and mutations
	Log       func(LogLine)
	Limits    Limits // zero: those of the kind
	// Nested says that another run waits for this one: it does not queue.
	Nested bool
}

// FunctionError is what user code threw, or the limit that stopped it. Message
// and Stack are for the developer; Data is a ConvexError's, encoded.
type FunctionError struct {
	Message string // "Uncaught Error: …"
	Stack   string // "    at handler (../convex/users.ts:3:5)\n"…
	Data    []byte
}

func (e *FunctionError) Error() string { return e.Message }

// running is one run of a function.
type running struct {
	Call
	ctx      context.Context
	limits   Limits
	used     time.Duration
	hostTime time.Duration
	lines    int

	fatal   error // an error of the host that ends the run
	pending int
	nextID  int
	done    chan settled
	wg      sync.WaitGroup
}

type settled struct {
	id   int
	text string
	err  error
}

// slots bounds how many contexts run at once in this process: queries and
// mutations do nothing but compute, and more of them than processors would only
// use up each other's time. Actions wait most
// of their time and have slots of their own, so that a query which an action
// calls never waits for the action.
var (
	slots       = make(chan struct{}, max(4, 2*goruntime.GOMAXPROCS(0)))
	actionSlots = make(chan struct{}, 128)
)

// Run runs one function and returns its encoded result. What the function threw
// is a *FunctionError; other errors are the host's or the context's.
func (p *Program) Run(ctx context.Context, call Call) ([]byte, error) {
	limits := call.Limits
	queue := slots
	if call.Kind == Action || call.Kind == HTTPAction {
		queue = actionSlots
		if limits == (Limits{}) {
			limits = ActionLimits
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limits.Time)
		defer cancel()
	} else if limits == (Limits{}) {
		limits = QueryLimits
	}
	if err := ctx.Err(); err != nil {
		return nil, err // or a free place could win over it below
	}
	if !call.Nested {
		select {
		case queue <- struct{}{}:
			defer func() { <-queue }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m, err := p.machine(limits.Memory)
	if err != nil {
		return nil, err
	}
	defer m.retire()
	ctx, cancel := context.WithCancel(ctx)
	c := &running{Call: call, ctx: ctx, limits: limits, done: make(chan settled, 1)}
	m.call = c
	stop := context.AfterFunc(ctx, m.vm.Interrupt)
	defer func() {
		stop()
		cancel()
		c.wait()
	}()
	text, err := m.run(ctx, c)
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, timedOut(limits.Time)
	}
	if err != nil {
		return nil, err
	}
	return p.result(text)
}

// wait lets go of host calls that nobody waits for any more.
func (c *running) wait() {
	gone := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(gone)
	}()
	for {
		select {
		case <-c.done:
		case <-gone:
			return
		}
	}
}

// result reads an outcome.
func (p *Program) result(text string) ([]byte, error) {
	if text[0] == 'v' {
		return []byte(text[1:]), nil
	}
	var thrown struct {
		Message string `json:"message"`
		Stack   string `json:"stack"`
		Data    string `json:"data"`
	}
	if err := json.Unmarshal([]byte(text[1:]), &thrown); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "read what a function threw")
	}
	switch thrown.Message {
	case "Uncaught InternalError: out of memory":
		return nil, outOfMemory()
	case "Uncaught InternalError: stack overflow":
		thrown.Message = "Uncaught RangeError: Maximum call stack size exceeded"
	}
	e := &FunctionError{Message: thrown.Message, Stack: p.lines.stack(thrown.Stack)}
	if thrown.Data != "" && json.Valid([]byte(thrown.Data)) {
		e.Data = []byte(thrown.Data)
	}
	return nil, e
}

func (m *machine) run(ctx context.Context, c *running) (string, error) {
	begin, err := json.Marshal(map[string]any{"module": c.Module, "export": c.Export, "kind": c.Kind, "args": string(c.Args), "route": c.Route,
		"requestId": c.RequestID, "now": c.Now.UnixMilli(), "seed": newSeed()})
	if err != nil {
		return "", err
	}
	if err := m.step(ctx, func() error { _, err := m.vm.Call("__begin", string(begin)); return err }); err != nil {
		return "", err
	}
	for {
		if err := m.step(ctx, func() error { _, err := m.vm.ExecutePendingJobs(); return err }); err != nil {
			return "", err
		}
		if c.fatal != nil {
			return "", c.fatal
		}
		text, err := m.outcome()
		if err != nil {
			return "", fault.Wrap(err, fault.Internal, "read a result")
		}
		if text != "" {
			return text, nil
		}
		if c.pending == 0 {
			return "", &FunctionError{Message: "Returned promise will never resolve"}
		}
		select {
		case s := <-c.done:
			c.pending--
			if s.err != nil {
				return "", s.err
			}
			if err := m.step(ctx, func() error { return m.settle(s.id, s.text) }); err != nil {
				return "", err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// reply is the text with which an answer of the host goes to the function. An
// error that is not made to be read ends the run.
func reply(out []byte, err error) (string, error) {
	if err == nil {
		return ok(string(out)), nil
	}
	if h, isHost := errors.AsType[*HostError](err); isHost {
		return failed(h.Message, h.Data), nil
	}
	if f, isFault := errors.AsType[*fault.Error](err); isFault && f.Kind != fault.Internal && f.Kind != fault.Conflict {
		return failed(f.Message, nil), nil
	}
	return "", err
}

func (c *running) sync(op string, args []byte) string {
	begun := time.Now()
	out, err := c.Host.Syscall(op, args)
	c.hostTime += time.Since(begun)
	return c.answer(out, err)
}

// answer keeps an error that ends the run: the function gets one that it should
// not see the end of.
func (c *running) answer(out []byte, err error) string {
	text, err := reply(out, err)
	if err != nil {
		c.fatal = err
		return failed("the host failed", nil)
	}
	return text
}

func (c *running) async(op string, args []byte) string {
	if c.Kind != Action && c.Kind != HTTPAction {
		begun := time.Now()
		out, err := c.Host.AsyncSyscall(c.ctx, op, args)
		c.hostTime += time.Since(begun)
		return c.answer(out, err)
	}
	c.nextID++
	c.pending++
	id := c.nextID
	c.wg.Go(func() {
		s := settled{id: id}
		if op == "timer" {
			s.text, s.err = c.timer(args)
		} else {
			s.text, s.err = reply(c.Host.AsyncSyscall(c.ctx, op, args))
		}
		select {
		case c.done <- s:
		case <-c.ctx.Done():
		}
	})
	return "w" + itoa(id)
}

func (c *running) timer(args []byte) (string, error) {
	var t struct {
		Ms float64 `json:"ms"`
	}
	if err := json.Unmarshal(args, &t); err != nil {
		return "", err
	}
	select {
	case <-time.After(time.Duration(min(t.Ms, float64(ActionLimits.Time/time.Millisecond)) * float64(time.Millisecond))):
		return ok("null"), nil
	case <-c.ctx.Done():
		return "", c.ctx.Err()
	}
}

func (c *running) log(level, text string) {
	if c.lines++; c.lines > maxLogLines || c.Log == nil {
		return
	}
	line := LogLine{Level: level, Time: time.Now()}
	if json.Unmarshal([]byte(text), &line.Messages) != nil {
		return
	}
	left := maxLogLine
	for i, m := range line.Messages {
		if len(m) > left {
			line.Messages[i], line.Truncated = clip(m, left), true
		}
		left -= len(line.Messages[i])
	}
	if c.lines == maxLogLines {
		line = LogLine{Level: "ERROR", Time: line.Time, Messages: []string{"Log overflow (maximum 256). Remaining log lines omitted."}}
	}
	c.Log(line)
}
