package doctor

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/tdewolff/parse/v2/js"
)

// walker collects what the checks look at. It is a js.IVisitor.
type walker struct {
	f       *SourceFile
	imports map[string]Ref
	parents []*Element
	within  []string
	loops   int
	naming  string // of the function that comes next
}

func unquote(data []byte) string {
	if len(data) < 2 {
		return string(data)
	}
	if s, err := strconv.Unquote(string(data)); err == nil {
		return s
	}
	return string(data[1 : len(data)-1])
}

// line finds the first place of a text in the file.
func (w *walker) line(text string) int {
	i := bytes.Index(w.f.Text, []byte(text))
	if i < 0 {
		return 0
	}
	return bytes.Count(w.f.Text[:i], []byte{'\n'}) + 1
}

// Enter implements [js.IVisitor].
func (w *walker) Enter(n js.INode) js.IVisitor {
	switch n := n.(type) {
	case *js.DirectivePrologueStmt:
		w.f.Directives = append(w.f.Directives, unquote(n.Value))
	case *js.ExprStmt:
		// The parser tells directives apart only in functions.
		if lit, ok := n.Value.(*js.LiteralExpr); ok && lit.TokenType == js.StringToken && len(w.within) == 0 {
			w.f.Directives = append(w.f.Directives, unquote(lit.Data))
		}
	case *js.ImportStmt:
		w.imported(n)
	case *js.ExportStmt:
		w.exported(n)
	case *js.ForStmt, *js.ForInStmt, *js.ForOfStmt, *js.WhileStmt, *js.DoWhileStmt:
		w.loops++
	case *js.FuncDecl:
		name := w.naming
		if n.Name != nil {
			name = string(n.Name.Name())
		}
		w.enterFunction(name)
	case *js.ArrowFunc:
		w.enterFunction(w.naming)
	case *js.MethodDecl:
		w.enterFunction(n.Name.String())
	case *js.BindingElement:
		w.naming = ""
		if v, ok := n.Binding.(*js.Var); ok {
			w.naming = string(v.Name())
		}
	case *js.NewExpr:
		args := js.Args{}
		if n.Args != nil {
			args = *n.Args
		}
		w.call(n.X, args, true)
	case *js.CallExpr:
		w.call(n.X, n.Args, false)
	case *js.DotExpr:
		w.read(n)
	}
	return w
}

// Exit implements [js.IVisitor].
func (w *walker) Exit(n js.INode) {
	switch n := n.(type) {
	case *js.ForStmt, *js.ForInStmt, *js.ForOfStmt, *js.WhileStmt, *js.DoWhileStmt:
		w.loops--
	case *js.FuncDecl, *js.ArrowFunc, *js.MethodDecl:
		w.within = w.within[:len(w.within)-1]
	case *js.CallExpr:
		if isElement(w.ref(n.X)) {
			w.parents = w.parents[:len(w.parents)-1]
		}
	}
}

func (w *walker) enterFunction(name string) {
	w.within = append(w.within, name)
	w.naming = ""
}

func (w *walker) imported(n *js.ImportStmt) {
	module := unquote(n.Module)
	line := w.line(string(n.Module))
	if line == 0 {
		line = max(w.line("'"+module+"'"), w.line(`"`+module+`"`))
	}
	add := func(name, local string) {
		w.imports[local] = Ref{module, name}
		w.f.Imports = append(w.f.Imports, Import{module, name, local, line})
	}
	if n.Default != nil {
		add("default", string(n.Default))
	}
	for _, a := range n.List {
		name := string(a.Binding)
		if a.Name != nil {
			name = string(a.Name)
		}
		if a.Binding != nil {
			add(name, string(a.Binding))
		}
	}
	if n.Default == nil && len(n.List) == 0 {
		w.f.Imports = append(w.f.Imports, Import{Module: module, Line: line})
	}
}

func (w *walker) exported(n *js.ExportStmt) {
	for _, a := range n.List {
		if a.Binding != nil {
			w.f.Exports = append(w.f.Exports, string(a.Binding))
		}
	}
	switch d := n.Decl.(type) {
	case nil:
	case *js.FuncDecl:
		if !n.Default && d.Name != nil {
			w.f.Exports = append(w.f.Exports, string(d.Name.Name()))
		}
	case *js.VarDecl:
		for _, item := range d.List {
			w.f.Exports = append(w.f.Exports, bound(item.Binding)...)
		}
	case *js.ClassDecl:
		if !n.Default && d.Name != nil {
			w.f.Exports = append(w.f.Exports, string(d.Name.Name()))
		}
	}
	if n.Default {
		w.f.Exports = append(w.f.Exports, "default")
	}
}

// bound returns the names of a binding: of `const { GET, POST } = …` both.
func bound(b js.IBinding) []string {
	switch b := b.(type) {
	case *js.Var:
		return []string{string(b.Name())}
	case *js.BindingObject:
		var all []string
		for _, item := range b.List {
			all = append(all, bound(item.Value.Binding)...)
		}
		return all
	}
	return nil
}

// ref names an expression.
func (w *walker) ref(x js.IExpr) Ref {
	switch x := x.(type) {
	case *js.Var:
		name := string(x.Name())
		if r, ok := w.imports[name]; ok {
			return r
		}
		return Ref{Name: name}
	case *js.GroupExpr:
		return w.ref(x.X)
	case *js.DotExpr:
		inner := w.ref(x.X)
		member := ""
		if lit, ok := x.Y.(*js.LiteralExpr); ok {
			member = string(lit.Data)
		}
		if member == "" {
			member = x.Y.String()
		}
		if inner.Name == "*" {
			return Ref{inner.Module, member}
		}
		return Ref{inner.Module, inner.Name + "." + member}
	case *js.CallExpr:
		inner := w.ref(x.X)
		return Ref{inner.Module, inner.Name + "()"}
	case *js.ImportMetaExpr:
		return Ref{Name: "import.meta"}
	case *js.LiteralExpr:
		if x.TokenType == js.StringToken {
			return Ref{Name: unquote(x.Data)}
		}
	}
	return Ref{}
}

func (w *walker) value(x js.IExpr) Expression {
	v := Expression{Source: written(x)}
	switch x := x.(type) {
	case *js.LiteralExpr:
		if x.TokenType == js.StringToken {
			v.Text, v.IsText = unquote(x.Data), true
		}
	case *js.TemplateExpr:
		if len(x.List) == 0 && x.Tag == nil {
			v.Text, v.IsText = strings.Trim(string(x.Tail), "`"), true
		}
	default:
		v.Ref = w.ref(x)
	}
	return v
}

// written writes an expression back as text.
func written(x js.IExpr) string {
	var b strings.Builder
	x.JS(&b)
	return b.String()
}

// isElement recognises the calls that JSX becomes.
func isElement(r Ref) bool {
	return strings.HasPrefix(r.Module, "react/jsx-") && strings.HasPrefix(r.Name, "jsx")
}

func (w *walker) call(callee js.IExpr, args js.Args, isNew bool) {
	r := w.ref(callee)
	if isElement(r) && !isNew {
		w.parents = append(w.parents, w.element(args))
		return
	}
	c := &Call{Callee: r, New: isNew, InLoop: w.loops > 0 || slices.Contains(w.within, "setInterval"), Within: slices.Clone(w.within)}
	for _, a := range args.List {
		c.Args = append(c.Args, w.value(a.Value))
	}
	name := r.Name[strings.LastIndexByte(r.Name, '.')+1:]
	for local, i := range w.imports {
		if i == r {
			name = local
		}
	}
	c.Line = w.line(name + "(")
	w.f.Calls = append(w.f.Calls, c)
	if r.Name == "setInterval" {
		w.naming = "setInterval"
	}
}

// element reads jsxDEV(type, props, key, static, {fileName, lineNumber, …}, this).
func (w *walker) element(args js.Args) *Element {
	e := &Element{Props: map[string]Expression{}}
	if n := len(w.parents); n > 0 {
		e.Parent = w.parents[n-1]
	}
	for i, a := range args.List {
		switch {
		case i == 0:
			e.Type = w.ref(a.Value)
		case i == 1:
			if o, ok := a.Value.(*js.ObjectExpr); ok {
				w.properties(e, o)
			} else {
				e.Spread = true
			}
		case i == 4:
			if o, ok := a.Value.(*js.ObjectExpr); ok {
				e.Line = lineNumber(o)
			}
		}
	}
	w.f.Elements = append(w.f.Elements, e)
	return e
}

func (w *walker) properties(e *Element, o *js.ObjectExpr) {
	for _, p := range o.List {
		if p.Spread || p.Name == nil {
			e.Spread = true
			continue
		}
		name := string(p.Name.Literal.Data)
		if p.Name.Literal.TokenType == js.StringToken {
			name = unquote(p.Name.Literal.Data)
		}
		if p.Value != nil && name != "children" {
			e.Props[name] = w.value(p.Value)
		}
	}
}

func lineNumber(o *js.ObjectExpr) int {
	for _, p := range o.List {
		if p.Name != nil && string(p.Name.Literal.Data) == "lineNumber" {
			if lit, ok := p.Value.(*js.LiteralExpr); ok {
				n, err := strconv.Atoi(string(lit.Data))
				if err == nil {
					return n
				}
			}
		}
	}
	return 0
}

// read notes process.env.X and import.meta.env.X.
func (w *walker) read(n *js.DotExpr) {
	r := w.ref(n)
	for prefix, meta := range map[string]bool{"process.env.": false, "import.meta.env.": true} {
		name, ok := strings.CutPrefix(r.Name, prefix)
		if !ok || r.Module != "" || strings.ContainsAny(name, ".(") {
			continue
		}
		w.f.Reads = append(w.f.Reads, VariableRead{Name: name, Meta: meta, Line: w.line("env." + name)})
	}
}
