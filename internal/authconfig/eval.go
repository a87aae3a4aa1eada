package authconfig

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"modernc.org/quickjs"

	"github.com/berthdev/berth/internal/fault"
)

const (
	moduleName  = "auth.config.js"
	timeLimit   = time.Second // of user code, as Convex allows
	memoryLimit = 32 << 20    // bytes of one evaluation's heap
	maxSource   = 4 << 20     // bytes of a bundle
	maxParallel = 8           // evaluations at once, so that their heaps stay bounded too
)

//go:embed prelude.js
var prelude string

// slots bounds the evaluations that run at the same time in this process.
var slots = make(chan struct{}, maxParallel)

// Result is what evaluating auth.config gave.
type Result struct {
	JSON      json.RawMessage // JSON.stringify of the default export; nil when there is none
	Providers []Provider      // checked, see Parse
	Reads     []string        // names of the variables read, set or not, each once, in order of first reading
}

// Eval runs source, the bundled ES module of auth.config, as a Convex
// deployment does and checks its default export. env holds the deployment's
// variables; the caller adds CONVEX_CLOUD_URL and CONVEX_SITE_URL, which every
// deployment has.
//
// As in Convex, reading an unset process.env member throws inside the module,
// and there is no clock, randomness, network or import. The module gets one
// second, 32 MiB and a bounded stack; whatever it does ends with an error and
// leaves nothing behind. Eval may be called concurrently: each call has a
// JavaScript engine of its own.
//
// An unusable config gives an *Error; the Result is then still there, with
// Reads and as much of the rest as was reached. Any other error is a
// *fault.Error and comes without a Result.
func Eval(ctx context.Context, source string, env map[string]string) (*Result, error) {
	if len(source) > maxSource {
		return &Result{}, invalid("the bundle is larger than %d bytes", maxSource)
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, interrupted(ctx)
	}
	result := &Result{}
	status, text, err := run(ctx, source, env, result)
	if err != nil {
		if ctx.Err() != nil {
			return nil, interrupted(ctx)
		}
		return result, err
	}
	switch status {
	case "json":
	case "missing":
		return result, missingExport()
	case "unserializable":
		return result, unserializable()
	case "thrown":
		return result, thrown(text)
	default:
		return result, invalid("the module waits for something that never happens")
	}
	result.JSON = json.RawMessage(text)
	result.Providers, err = Parse(result.JSON)
	return result, err
}

func interrupted(ctx context.Context) error {
	return fault.Wrap(ctx.Err(), fault.Interrupted, "interrupted while auth.config was evaluated")
}

func invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Message: "auth config file: " + fmt.Sprintf(format, args...)}
}

var unsetVariable = regexp.MustCompile(`^Error: (Environment variable (\S+) is used in auth config file but its value was not set)`)

// thrown turns what the module threw into an error.
func thrown(text string) *Error {
	if m := unsetVariable.FindStringSubmatch(text); m != nil {
		return &Error{Code: CodeMissingVariable, Message: m[1], Variable: m[2]}
	}
	switch {
	case strings.HasPrefix(text, "InternalError: out of memory"):
		return invalid("evaluation needs more than %d MiB of memory", memoryLimit>>20)
	case strings.HasPrefix(text, "InternalError: stack overflow"), strings.HasPrefix(text, "RangeError: Maximum call stack"):
		return invalid("evaluation recurses too deeply")
	case strings.HasPrefix(text, "InternalError: interrupted"):
		return invalid("evaluation takes longer than %v", timeLimit)
	}
	// The engine puts this before what the module loader says.
	text = strings.TrimPrefix(text, "TypeError: module load failed: ")
	return &Error{Code: CodeInvalid, Message: "Uncaught " + text}
}

// run evaluates source in an engine of its own and returns the outcome that
// the prelude noted.
func run(ctx context.Context, source string, env map[string]string, result *Result) (status, text string, err error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return "", "", fault.Wrap(err, fault.Internal, "start a JavaScript engine")
	}
	defer func() {
		if closeErr := vm.Close(); err == nil && closeErr != nil {
			err = fault.Wrap(closeErr, fault.Internal, "stop a JavaScript engine")
		}
	}()
	if err := prepare(vm, source, env, result); err != nil {
		return "", "", err
	}
	stop := context.AfterFunc(ctx, vm.Interrupt)
	defer stop()
	deadline := time.Now().Add(timeLimit)
	steps := []func() error{
		func() error { _, err := vm.Eval("__start()", quickjs.EvalGlobal); return err },
		func() error { _, err := vm.ExecutePendingJobs(); return err },
	}
	for _, step := range steps {
		left := time.Until(deadline)
		if left <= 0 {
			return "", "", invalid("evaluation takes longer than %v", timeLimit)
		}
		if err := vm.SetEvalTimeout(left); err != nil {
			return "", "", fault.Wrap(err, fault.Internal, "limit a JavaScript engine")
		}
		if err := step(); err != nil {
			return "", "", stopped(err)
		}
	}
	if status, err = outcome(vm, 0); err == nil {
		text, err = outcome(vm, 1)
	}
	return status, text, err
}

// stopped explains an error that reached the host instead of the module's own
// promise: the limits, and what no JavaScript could catch.
func stopped(err error) *Error {
	var e *quickjs.Error
	if errors.As(err, &e) && e.Name != "" {
		return thrown(e.Name + ": " + e.Message)
	}
	return thrown(err.Error())
}

func outcome(vm *quickjs.VM, part int) (string, error) {
	v, err := vm.Eval(fmt.Sprintf("__outcome(%d)", part), quickjs.EvalGlobal)
	if err != nil {
		return "", stopped(err)
	}
	s, ok := v.(string)
	if !ok {
		return "", invalid("evaluation left no result")
	}
	return s, nil
}

func prepare(vm *quickjs.VM, source string, env map[string]string, result *Result) error {
	vm.SetMemoryLimit(memoryLimit)
	vm.SetCanBlock(false) // Atomics.wait would sleep beyond every limit
	lookup := func(args []any) (any, error) {
		name, ok := args[0].(string)
		if !ok {
			return nil, nil
		}
		if !slices.Contains(result.Reads, name) {
			result.Reads = append(result.Reads, name)
		}
		if value, set := env[name]; set {
			return value, nil
		}
		return nil, nil
	}
	for name, fn := range map[string]quickjs.HostFunc{"__lookup": lookup, "__atob": atob, "__btoa": btoa} {
		if err := vm.RegisterHostFunc(name, fn); err != nil {
			return fault.Wrap(err, fault.Internal, "set up a JavaScript engine")
		}
	}
	vm.SetModuleLoader(
		func(_ *quickjs.VM, name string) (string, error) {
			if name != moduleName {
				text := "Can't import " + name + " while evaluating auth config file" // the vendor's
				return "", errors.New(text)
			}
			return source, nil
		},
		func(_ *quickjs.VM, _, name string) (string, error) { return name, nil },
	)
	if _, err := vm.Eval(prelude, quickjs.EvalGlobal); err != nil {
		return fault.Wrap(err, fault.Internal, "set up a JavaScript engine")
	}
	return nil
}

// atob and btoa are the browser's: base64 of a text whose characters stand for
// bytes. nil says that the text has not the right form.
func atob(args []any) (any, error) {
	s, _ := args[0].(string)
	s = strings.TrimRight(strings.NewReplacer(" ", "", "\t", "", "\n", "", "\f", "", "\r", "").Replace(s), "=")
	data, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, nil
	}
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes), nil
}

func btoa(args []any) (any, error) {
	s, _ := args[0].(string)
	data := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return nil, nil
		}
		data = append(data, byte(r))
	}
	return base64.StdEncoding.EncodeToString(data), nil
}
