package runtime

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"
)

// pushed returns the functions of an example as `convex deploy` bundles them,
// and skips the benchmark where the convex package is not installed.
func pushed(b *testing.B) []Module {
	b.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		b.Fatal(err)
	}
	packages := filepath.Join(root, "e2e", "convex", "node_modules")
	if _, err := os.Stat(filepath.Join(packages, "convex", "package.json")); err != nil {
		b.Skip("convex is not installed in e2e/convex")
	}
	functions := filepath.Join(root, "examples", "react-vite-authkit", "convex")
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(functions, "myFunctions.ts")}, NodePaths: []string{packages}, Outdir: "out", Outbase: functions,
		Bundle: true, Splitting: true, Format: api.FormatESModule, Target: api.ESNext, Platform: api.PlatformBrowser, ChunkNames: "_deps/[hash]",
		TreeShaking: api.TreeShakingTrue, MinifySyntax: true, MinifyIdentifiers: true, KeepNames: true, Sourcemap: api.SourceMapExternal,
		Conditions: []string{"convex", "module"}, LogLevel: api.LogLevelSilent, Plugins: []api.Plugin{generatedFiles()},
	})
	for _, m := range result.Errors {
		b.Fatal(m.Text)
	}
	var modules []Module
	for _, f := range result.OutputFiles {
		if name := strings.TrimSuffix(f.Path, ".map"); name == f.Path {
			at := slices.IndexFunc(result.OutputFiles, func(o api.OutputFile) bool { return o.Path == f.Path+".map" })
			out, err := filepath.Abs("out")
			if err != nil {
				b.Fatal(err)
			}
			rel, err := filepath.Rel(out, f.Path)
			if err != nil {
				b.Fatal(err)
			}
			modules = append(modules, Module{Path: filepath.ToSlash(rel), Source: string(f.Contents), SourceMap: string(result.OutputFiles[at].Contents), Environment: "isolate"})
		}
	}
	return modules
}

// generatedFiles stands for the folder _generated, which `convex dev` writes.
func generatedFiles() api.Plugin {
	return api.Plugin{Name: "_generated", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `^\./_generated/`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: a.Path, Namespace: "generated", PluginData: a.ResolveDir}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "generated"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			text := `import { anyApi } from "convex/server"; export const api = anyApi, internal = anyApi;`
			if strings.HasSuffix(a.Path, "server") {
				text = `export { queryGeneric as query, mutationGeneric as mutation, actionGeneric as action } from "convex/server";`
			}
			return api.OnLoadResult{Contents: &text, ResolveDir: a.PluginData.(string)}, nil
		})
	}}
}

// BenchmarkRun is what one call costs: cold, in a context made for it, with one
// that was prepared before (the making and the closing are outside the timer),
// and as callers see it.
func BenchmarkRun(b *testing.B) {
	b.Run("small", func(b *testing.B) {
		p := compile(b, `export const who = query(async (ctx) => ctx.ask("echo", {}));`, nil)
		benchmarkRun(b, p, call(Query, "who", "{}"))
	})
	b.Run("convex", func(b *testing.B) {
		p, err := Compile(b.Context(), pushed(b), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.Close)
		c := call(Query, "listNumbers", `{"count":5}`)
		c.Module, c.Host = "myFunctions.js", convexHost{}
		benchmarkRun(b, p, c)
	})
}

func benchmarkRun(b *testing.B, p *Program, c Call) {
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			m, err := p.newMachine(QueryLimits.Memory)
			if err != nil {
				b.Fatal(err)
			}
			m.call = &running{Call: c, ctx: b.Context(), limits: QueryLimits}
			if _, err := m.run(b.Context(), m.call); err != nil {
				b.Fatal(err)
			}
			m.close()
		}
	})
	b.Run("prepared", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			m, err := p.newMachine(QueryLimits.Memory)
			if err != nil {
				b.Fatal(err)
			}
			m.call = &running{Call: c, ctx: b.Context(), limits: QueryLimits}
			b.StartTimer()
			if _, err := m.run(b.Context(), m.call); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			m.close()
			b.StartTimer()
		}
	})
	b.Run("whole", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			begun := time.Now()
			if _, err := p.Run(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	})
}

// convexHost answers what the example's query asks, with nothing.
type convexHost struct{}

func (convexHost) Syscall(string, []byte) ([]byte, error) {
	return []byte(`{"queryId":0}`), nil
}

func (convexHost) AsyncSyscall(_ context.Context, op string, _ []byte) ([]byte, error) {
	if op == "1.0/queryStreamNext" {
		return []byte(`{"value":null,"done":true}`), nil
	}
	return []byte("null"), nil
}
