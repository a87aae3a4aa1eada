package project

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/berthdev/berth/internal/fault"
)

// AuthSource is auth.config as one module, ready to be evaluated.
type AuthSource struct {
	Path    string   // auth.config.ts or auth.config.js
	Source  string   // ES module; still reads process.env
	Reads   []string // names of variables that the source reads, sorted
	Dynamic bool     // process.env is also used in a way that hides names
}

// ReadAuthConfig bundles auth.config.ts or .js of the functions folder with the
// settings of the convex command line. Without either file the error has kind
// NotFound and code auth-config-missing; with both, code auth-config-twice.
func (a *App) ReadAuthConfig() (*AuthSource, error) {
	root, err := a.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []string
	for _, name := range []string{"auth.config.ts", "auth.config.js"} {
		path := filepath.Join(a.FunctionsDir, name)
		rel, err := a.local(path)
		if err != nil {
			return nil, err
		}
		_, err = root.Stat(rel)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, readError(err, root, rel)
		}
		found = append(found, path)
	}
	switch len(found) {
	case 0:
		return nil, fault.New(fault.NotFound, "no auth.config.ts in %s", a.FunctionsDir).
			WithCode("auth-config-missing").WithFix("run berth init; without it the backend accepts no token")
	case 2:
		return nil, fault.New(fault.Conflict, "both auth.config.ts and auth.config.js are in %s", a.FunctionsDir).
			WithCode("auth-config-twice").WithFix("delete one of them")
	}
	source, err := bundle(found[0], a.ConfigDir)
	if err != nil {
		return nil, err
	}
	reads, dynamic := environmentReads(source)
	return &AuthSource{Path: found[0], Source: source, Reads: reads, Dynamic: dynamic}, nil
}

// bundle follows the convex command line: one ES module for the browser platform
// with the conditions convex and module, syntax and identifiers minified, names
// kept, and only NODE_ENV fixed.
func bundle(path, dir string) (string, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       []string{path},
		AbsWorkingDir:     dir,
		Bundle:            true,
		Write:             false,
		Format:            api.FormatESModule,
		Target:            api.ESNext,
		Platform:          api.PlatformBrowser,
		Conditions:        []string{"convex", "module"},
		MinifySyntax:      true,
		MinifyIdentifiers: true,
		KeepNames:         true,
		Define:            map[string]string{"process.env.NODE_ENV": `"production"`},
		Outdir:            "out",
		LogLevel:          api.LogLevelSilent,
	})
	if len(result.Errors) > 0 {
		m := result.Errors[0]
		err := fault.New(fault.Invalid, "%s: %s", path, abbreviate(m.Text))
		if m.Location != nil {
			err = fault.New(fault.Invalid, "%s:%d:%d: %s", filepath.Join(dir, m.Location.File), m.Location.Line, m.Location.Column+1, abbreviate(m.Text))
		}
		return "", err.WithCode("auth-config-syntax").WithFix("repair the file; the convex command line cannot bundle it either")
	}
	for _, f := range result.OutputFiles {
		if strings.HasSuffix(f.Path, ".js") {
			return string(f.Contents), nil
		}
	}
	return "", fault.New(fault.Internal, "%s: the bundler gave no module", path)
}

var (
	envMember      = regexp.MustCompile(`\bprocess\.env\??\.([A-Za-z_$][\w$]*)`)
	envDestructure = regexp.MustCompile(`\{([^{}]*)\}\s*=\s*process\.env\b`)
	envOther       = regexp.MustCompile(`\bprocess\.env\b`)
	envKey         = regexp.MustCompile(`^\s*([A-Za-z_$][\w$]*)\s*(?:[:=]|$)`)
)

// environmentReads lists the variables that bundled source reads. The bundler
// has removed comments and turned process.env["X"] into process.env.X.
func environmentReads(source string) (names []string, dynamic bool) {
	code := blankStrings(source)
	total, understood := len(envOther.FindAllString(code, -1)), 0
	for _, m := range envMember.FindAllStringSubmatch(code, -1) {
		names = append(names, m[1])
		understood++
	}
	for _, m := range envDestructure.FindAllStringSubmatch(code, -1) {
		complete := true
		for part := range strings.SplitSeq(m[1], ",") {
			if strings.TrimSpace(part) == "" {
				continue
			}
			key := envKey.FindStringSubmatch(part)
			if key == nil {
				complete = false
				continue
			}
			names = append(names, key[1])
		}
		if complete {
			understood++
		}
	}
	slices.Sort(names)
	return slices.Compact(names), understood < total
}

// blankStrings replaces the text of string and template literals by spaces, but
// keeps the expressions inside templates.
func blankStrings(source string) string {
	out := []byte(source)
	var templates []int // depth of braces at each open `${`
	depth := 0
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"' || c == '\'':
			i = blankUntil(out, i+1, c)
		case c == '`':
			i = blankTemplate(out, i+1, &templates, depth)
		case c == '{':
			depth++
		case c == '}':
			if n := len(templates); n > 0 && templates[n-1] == depth {
				templates = templates[:n-1]
				i = blankTemplate(out, i+1, &templates, depth)
				continue
			}
			depth--
		}
	}
	return string(out)
}

// blankUntil blanks up to the closing quote and returns its index. A quote that
// is not closed on its line is none (it stood in a regular expression).
func blankUntil(out []byte, start int, quote byte) int {
	for i := start; i < len(out) && out[i] != '\n'; i++ {
		if out[i] == '\\' {
			i++
			continue
		}
		if out[i] == quote {
			for j := start; j < i; j++ {
				out[j] = ' '
			}
			return i
		}
	}
	return start - 1
}

// blankTemplate blanks up to the closing backquote or the next expression.
func blankTemplate(out []byte, start int, templates *[]int, depth int) int {
	for i := start; i < len(out); i++ {
		switch {
		case out[i] == '\\' && i+1 < len(out):
			out[i], out[i+1] = ' ', ' '
			i++
		case out[i] == '`':
			return i
		case out[i] == '$' && i+1 < len(out) && out[i+1] == '{':
			*templates = append(*templates, depth)
			return i + 1
		default:
			out[i] = ' '
		}
	}
	return len(out)
}

// NeedsProvisioning reports whether the source reads WORKOS_CLIENT_ID while the
// deployment has no value for it: then a push would be refused, and an
// environment has to be made first (R15). isSet tells whether the deployment has
// a value for a name.
func (s *AuthSource) NeedsProvisioning(isSet func(name string) bool) bool {
	return slices.Contains(s.Reads, clientIDVar) && !isSet(clientIDVar)
}
