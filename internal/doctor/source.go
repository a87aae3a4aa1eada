package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"
)

// Source is the syntax of an app's own code: TypeScript and JSX are taken away
// by esbuild, what is left is read as a tree.
type Source struct {
	Files []*SourceFile
	// Unread names files that have a syntax error, with what it is.
	Unread []string
}

// SourceFile is one file as the checks see it.
type SourceFile struct {
	Path       string // relative to the app's root, with slashes
	Text       []byte
	Directives []string // "use client", "use server"
	Imports    []Import
	Exports    []string // names; "default" for the default export
	Elements   []*Element
	Calls      []*Call
	Reads      []VariableRead
}

// Import is one imported name.
type Import struct {
	Module string
	Name   string // as exported; "default", or "*" for the namespace
	Local  string
	Line   int
}

// Ref names what is called or rendered.
type Ref struct {
	Module string // of an import, "" for the file's own
	Name   string // as exported by the module, else as written: convex.query
}

// Element is one JSX element.
type Element struct {
	Type   Ref // of <div> the name alone
	Props  map[string]Expression
	Spread bool // {...props}: there may be more
	Parent *Element
	Line   int
}

// Expression is what an expression is, as far as can be told without running it.
type Expression struct {
	Text   string // of a string literal, or of a template without expressions
	IsText bool
	Ref    Ref    // of a name
	Source string // as written, after TypeScript was taken away
}

// Call is one call or construction.
type Call struct {
	Callee Ref
	Args   []Expression
	New    bool
	InLoop bool // within for, while or a callback of setInterval
	Line   int
	// Within are the functions around it, the innermost last; "" for one without name.
	Within []string
}

// VariableRead is a read of process.env.X or import.meta.env.X.
type VariableRead struct {
	Name string
	Meta bool // import.meta.env
	Line int
}

// Bounds of what is read of an app.
const (
	maxSourceFiles = 5000
	maxSourceFile  = 1 << 20 // bytes
)

// notSource are folders that hold no code of the app.
var notSource = []string{"node_modules", "dist", "build", "out", "coverage", "_generated", "vendor", "public"}

// ReadSource reads the code under the folders of root, each once. Files that
// cannot be parsed are named and left out.
func ReadSource(root string, folders ...string) (*Source, error) {
	s := &Source{}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	seen := map[string]bool{}
	for _, folder := range folders {
		err := fs.WalkDir(dir.FS(), path.Clean(folder), func(p string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return fs.SkipDir
			case d.IsDir():
				if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || slices.Contains(notSource, name)) {
					return fs.SkipDir
				}
				return nil
			case seen[p] || loader(p) == api.LoaderNone || !d.Type().IsRegular():
				return nil
			case len(s.Files) >= maxSourceFiles:
				return fs.SkipAll
			}
			seen[p] = true
			if info, err := d.Info(); err != nil || info.Size() > maxSourceFile {
				return nil
			}
			text, err := fs.ReadFile(dir.FS(), p)
			if err != nil {
				return nil
			}
			f, err := ParseSource(p, text)
			if err != nil {
				s.Unread = append(s.Unread, p+": "+err.Error())
				return nil
			}
			s.Files = append(s.Files, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func loader(name string) api.Loader {
	switch {
	case strings.HasSuffix(name, ".d.ts"):
		return api.LoaderNone
	case strings.HasSuffix(name, ".tsx"):
		return api.LoaderTSX
	case strings.HasSuffix(name, ".ts"), strings.HasSuffix(name, ".mts"), strings.HasSuffix(name, ".cts"):
		return api.LoaderTS
	case strings.HasSuffix(name, ".jsx"), strings.HasSuffix(name, ".js"), strings.HasSuffix(name, ".mjs"), strings.HasSuffix(name, ".cjs"):
		return api.LoaderJSX
	}
	return api.LoaderNone
}

// ParseSource reads one file. The error says where its syntax is wrong.
func ParseSource(name string, text []byte) (*SourceFile, error) {
	// jsxDEV calls carry the line of each element.
	r := api.Transform(string(text), api.TransformOptions{Loader: loader(name), Format: api.FormatESModule, Target: api.ESNext, JSX: api.JSXAutomatic, JSXDev: true,
		Sourcefile: name, LogLevel: api.LogLevelSilent, TreeShaking: api.TreeShakingFalse,
		TsconfigRaw: `{"compilerOptions":{"verbatimModuleSyntax":false,"jsx":"react-jsxdev"}}`})
	if len(r.Errors) > 0 {
		m := r.Errors[0]
		if m.Location != nil {
			return nil, errors.New("line " + strconv.Itoa(m.Location.Line) + ": " + m.Text)
		}
		return nil, errors.New(m.Text)
	}
	ast, err := js.Parse(parse.NewInputBytes(r.Code), js.Options{})
	if err != nil {
		return nil, errors.New("it uses syntax that is not read here")
	}
	f := &SourceFile{Path: name, Text: text}
	w := &walker{f: f, imports: map[string]Ref{}}
	js.Walk(w, ast)
	return f, nil
}

// Imported returns the local names of what a file imports from a module.
func (f *SourceFile) Imported(module, name string) (local string, line int) {
	for _, i := range f.Imports {
		if i.Module == module && i.Name == name {
			return i.Local, i.Line
		}
	}
	return "", 0
}

// Uses returns the elements of a module's component in all files.
func (s *Source) Uses(module, name string) (files []*SourceFile, elements []*Element) {
	for _, f := range s.Files {
		for _, e := range f.Elements {
			if e.Type == (Ref{module, name}) {
				files, elements = append(files, f), append(elements, e)
			}
		}
	}
	return files, elements
}

// At is a place in a file for findings.
func (f *SourceFile) At(line int) string {
	if line == 0 {
		return f.Path
	}
	return f.Path + ":" + strconv.Itoa(line)
}
