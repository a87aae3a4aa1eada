package instance

import (
	"context"
	_ "embed"
	"errors"

	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

// wrappers is what `convex run --inline-query` imports.
//
//go:embed wrappers.js
var wrappers string

// Paths of the modules of an inline query.
const (
	wrappersModule = "convex:/_system/repl/wrappers.js"
	inlineModule   = "testQuery.js"
)

// Inline runs a query that was not pushed, beside the functions that were. It
// only reads. source is an ES module whose default export is the query.
func (i *Instance) Inline(ctx context.Context, caller Caller, source string, args []byte) (Outcome, error) {
	now := i.now()
	modules := []store.Module{{Path: inlineModule, Environment: "isolate", Source: source}, {Path: wrappersModule, Environment: "isolate", Source: wrappers}}
	for _, m := range now.modules {
		if m.Path != inlineModule {
			modules = append(modules, m)
		}
	}
	l, failure, err := prepare(ctx, now.state, modules)
	if err != nil {
		return Outcome{}, err
	}
	if failure != nil {
		e, ok := errors.AsType[*runtime.FunctionError](failure)
		if !ok {
			e = &runtime.FunctionError{Message: fault.From(failure).Message}
		}
		return Outcome{Kind: runtime.Query, Failure: i.failure(newRequestID(), e)}, nil
	}
	defer l.program.Close()
	return i.callWith(ctx, l, nil, caller, inlineModule+":default", args, runtime.Query, nil)
}
