package runtime

import (
	_ "embed"
	"sync"

	"modernc.org/quickjs"
)

//go:embed inspect.js
var inspectPart string

//go:embed standard.js
var standardPart string

//go:embed web.js
var webPart string

// parts are scripts whose value is a function that makes interfaces. Most runs
// touch none of them, so a context reads one when its code first does: reading
// and running all cost as much as the rest of the prelude.
var parts = map[string]func() ([]byte, error){
	"inspect":  sync.OnceValues(func() ([]byte, error) { return compileScript(inspectPart) }),
	"standard": sync.OnceValues(func() ([]byte, error) { return compileScript(standardPart) }),
	"web":      sync.OnceValues(func() ([]byte, error) { return compileScript(webPart) }),
}

// part gives a part to the prelude, undefined when the context has no memory
// left for it or was interrupted. It runs within the limits of the run.
func (m *machine) part(name string) quickjs.Value {
	code, err := parts[name]()
	if err != nil {
		return quickjs.UndefinedValue
	}
	v, err := m.vm.EvalBytecodeValue(code)
	if err != nil {
		return quickjs.UndefinedValue
	}
	return v
}
