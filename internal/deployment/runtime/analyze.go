package runtime

import (
	"context"
	"encoding/json"

	"github.com/berthdev/berth/internal/fault"
)

// Function is one exported function. Args and Returns are the JSON of their
// validators; nil accepts everything.
type Function struct {
	Name       string          `json:"name"`
	Kind       Kind            `json:"udfType"`
	Visibility *string         `json:"visibility"` // public, internal; nil in old code, callable as public
	Args       json.RawMessage `json:"args"`
	Returns    json.RawMessage `json:"returns"`
}

// Public reports whether clients may call the function.
func (f Function) Public() bool { return f.Visibility == nil || *f.Visibility == "public" }

// UnmarshalJSON reads what the prelude says: validators as JSON texts.
func (f *Function) UnmarshalJSON(data []byte) error {
	var raw struct {
		Name       string  `json:"name"`
		Kind       Kind    `json:"udfType"`
		Visibility *string `json:"visibility"`
		Args       *string `json:"args"`
		Returns    *string `json:"returns"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*f = Function{Name: raw.Name, Kind: raw.Kind, Visibility: raw.Visibility}
	for text, to := range map[*string]*json.RawMessage{raw.Args: &f.Args, raw.Returns: &f.Returns} {
		if text != nil && json.Valid([]byte(*text)) && *text != "null" {
			*to = json.RawMessage(*text)
		}
	}
	return nil
}

// Route is one route of http.js.
type Route struct {
	Path   string `json:"path"`
	Method string `json:"method"`
}

// ModuleExports is what one module exports.
type ModuleExports struct {
	Functions []Function `json:"functions"`
	Routes    []Route    `json:"routes"` // of http.js
	Crons     *string    `json:"crons"`  // of crons.js: JSON
}

// Analyze returns what each module exports. What a module throws while it is
// loaded is a *FunctionError.
func (p *Program) Analyze(ctx context.Context) (map[string]ModuleExports, error) {
	m, err := p.newMachine(QueryLimits.Memory)
	if err != nil {
		return nil, err
	}
	defer m.close()
	m.call = &running{ctx: ctx, limits: Limits{Time: loadTime}}
	stop := context.AfterFunc(ctx, m.vm.Interrupt)
	defer stop()
	if err := m.step(ctx, func() error { _, err := m.vm.Call("__analyze"); return err }); err != nil {
		return nil, err
	}
	text, err := m.outcome()
	if err != nil || text == "" {
		return nil, fault.Wrap(err, fault.Internal, "the modules could not be analysed")
	}
	all := map[string]ModuleExports{}
	return all, json.Unmarshal([]byte(text[1:]), &all)
}

// Export evaluates one module alone and returns what the export() of its default
// export says: JSON text, as schema.js gives it; "null" without one.
func Export(ctx context.Context, module Module, modules []Module, env map[string]string) ([]byte, error) {
	byPath := map[string]Module{}
	for _, m := range modules {
		byPath[m.Path] = m
	}
	byPath[module.Path] = module
	script, lines, err := link([]string{module.Path}, byPath)
	if err != nil {
		return nil, err
	}
	p := &Program{env: env, lines: lines}
	if p.code, err = compileScript(shifted(script)); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s cannot be compiled: %s", module.Path, firstLine(err.Error())).WithCode("InvalidModules")
	}
	m, err := p.newMachine(QueryLimits.Memory)
	if err != nil {
		return nil, err
	}
	defer m.close()
	m.call = &running{ctx: ctx, limits: Limits{Time: loadTime}}
	for _, f := range []func() error{
		func() error { _, err := m.vm.Call("__default", module.Path); return err },
		func() error { _, err := m.vm.ExecutePendingJobs(); return err },
	} {
		if err := m.step(ctx, f); err != nil {
			return nil, err
		}
	}
	text, err := m.outcome()
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, &FunctionError{Message: "Returned promise will never resolve"}
	}
	return p.result(text)
}
