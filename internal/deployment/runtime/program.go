// Package runtime runs the functions of a deployment: it takes the ES modules
// that `convex deploy` and `convex dev` push, says what they export, and runs one
// function at a time in a fresh context of a JavaScript engine (QuickJS, no cgo)
// with limits on time and memory. What the functions ask of their host (documents,
// identity, files) goes through a Host.
package runtime

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
	"modernc.org/quickjs"

	"github.com/berthdev/berth/internal/fault"
)

// Module is one pushed module.
type Module struct {
	Path        string `json:"path"`   // users.js, _deps/HASH.js
	Source      string `json:"source"` // ES module
	SourceMap   string `json:"sourceMap,omitempty"`
	Environment string `json:"environment"` // isolate or node
}

// What is evaluated apart from the functions: neither sees the others.
const (
	authConfigModule = "auth.config.js"
	schemaModule     = "schema.js"
	appModule        = "convex.config.js"
)

//go:embed prelude.js
var prelude string

// preludeCode is the prelude's bytecode. The engine's version is part of the
// binary, so it never is another's.
var preludeCode = sync.OnceValues(func() ([]byte, error) { return compileScript(prelude) })

func compileScript(source string) ([]byte, error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, err
	}
	code, err := vm.Compile(source, quickjs.EvalGlobal)
	return code, errors.Join(err, vm.Close())
}

// programLine is the line before a program's first. The engine calls every
// script <eval>; with this, a place in a program is told from one in the prelude.
const programLine = 100_000

func shifted(script string) string { return strings.Repeat("\n", programLine) + script }

// Program is a set of pushed modules with the variables they see, ready to run.
// It is safe for concurrent use.
type Program struct {
	code  []byte   // all modules as one script that fills the global __modules
	paths []string // of modules that may export functions
	env   map[string]string
	lines sourceLines

	mu      sync.Mutex
	ready   []*machine    // prepared, unused
	waiting []chan<- made // runs that take the next one, with room for it
	filling int
	closed  bool
}

// Compile links the modules. env is what process.env holds, while they load and
// while they run. An error of kind Invalid says what is wrong with them; modules
// for Node.js are refused.
func Compile(ctx context.Context, modules []Module, env map[string]string) (*Program, error) {
	p := &Program{env: env}
	byPath := map[string]Module{}
	for _, m := range modules {
		switch m.Path {
		case authConfigModule, schemaModule, appModule:
			continue
		}
		if m.Environment == "node" {
			return nil, fault.New(fault.Unsupported, "%s uses the Node.js runtime (\"use node\"), which Berth does not have.", m.Path).
				WithFix("keep Node.js actions out of what is tried on Berth, or deploy to Convex").WithCode("NodeActionsNotSupported")
		}
		byPath[m.Path] = m
		if !strings.HasPrefix(m.Path, "_deps/") {
			p.paths = append(p.paths, m.Path)
		}
	}
	slices.Sort(p.paths)
	script, lines, err := link(p.paths, byPath)
	if err != nil {
		return nil, err
	}
	if p.code, err = compileScript(shifted(script)); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the modules cannot be compiled: %s", firstLine(err.Error())).WithCode("InvalidModules")
	}
	p.lines = lines
	return p, ctx.Err()
}

// Close lets go of prepared machines. Runs under way end by themselves.
func (p *Program) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, m := range p.ready {
		m.close()
	}
	p.ready = nil
}

// namespace marks the pushed modules in what the linker says.
const namespace = "pushed"

// link bundles the modules into one script. QuickJS links modules too, but
// compiles them anew in every context; the bytecode of a script is kept.
func link(entries []string, modules map[string]Module) (script string, lines sourceLines, err error) {
	var entry strings.Builder
	entry.WriteString("globalThis.__modules = {\n")
	for i, p := range entries {
		fmt.Fprintf(&entry, "%s: m%d,\n", quote(p), i)
	}
	entry.WriteString("};\n")
	var imports strings.Builder
	for i, p := range entries {
		fmt.Fprintf(&imports, "import * as m%d from %s;\n", i, quote("/"+p))
	}
	result := api.Build(api.BuildOptions{
		Stdin:  &api.StdinOptions{Contents: imports.String() + entry.String(), Sourcefile: "berth:entry"},
		Bundle: true, Format: api.FormatIIFE, Target: api.ES2023, Platform: api.PlatformBrowser, Charset: api.CharsetUTF8,
		TreeShaking: api.TreeShakingFalse, KeepNames: false, Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude,
		Outfile: "program.js", LogLevel: api.LogLevelSilent, Write: false, MinifySyntax: false,
		Plugins: []api.Plugin{{Name: "pushed modules", Setup: func(b api.PluginBuild) {
			b.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
				name := strings.TrimPrefix(a.Path, "/")
				if strings.HasPrefix(a.Path, ".") {
					name = path.Join(path.Dir(a.Importer), a.Path)
				}
				for _, candidate := range []string{name, name + ".js"} {
					if _, ok := modules[candidate]; ok {
						return api.OnResolveResult{Path: candidate, Namespace: namespace}, nil
					}
				}
				return api.OnResolveResult{}, fmt.Errorf("%s imports %s, which was not pushed", a.Importer, a.Path)
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: namespace}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
				m := modules[a.Path]
				source := m.Source
				if m.SourceMap != "" && json.Valid([]byte(m.SourceMap)) {
					source += "\n//# sourceMappingURL=data:application/json," + escapeMap(m.SourceMap)
				}
				return api.OnLoadResult{Contents: &source, Loader: api.LoaderJS}, nil
			})
		}}},
	})
	if len(result.Errors) > 0 {
		m := result.Errors[0]
		text := m.Text
		if m.Location != nil {
			text = fmt.Sprintf("%s:%d: %s", strings.TrimPrefix(m.Location.File, namespace+":"), m.Location.Line, m.Text)
		}
		return "", lines, fault.New(fault.Invalid, "%s", text).WithCode("InvalidModules")
	}
	for _, f := range result.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			lines = readSourceMap(f.Contents)
		} else {
			script = string(f.Contents)
		}
	}
	return script, lines, nil
}

func quote(s string) string {
	text, _ := json.Marshal(s) // strings always encode
	return string(text)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// newSeed returns where Math.random begins.
func newSeed() (seed uint32) {
	var b [4]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
