package project

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
)

// Kind is the kind of deployment a section of authKit speaks of.
type Kind string

const (
	Dev     Kind = "dev"
	Preview Kind = "preview"
	Prod    Kind = "prod"
)

// Kinds are the sections of authKit in the order they are written.
var Kinds = []Kind{Dev, Preview, Prod}

// Config is the part of convex.json that Berth acts on.
type Config struct {
	Path       string // for messages
	HasAuthKit bool
	Functions  string // `functions`, "" when absent
	Findings   []Finding
	sections   map[Kind]*Section
}

// Section returns the section for a kind of deployment, nil when it is absent:
// then nothing is to be done for deployments of that kind.
func (c *Config) Section(k Kind) *Section { return c.sections[k] }

// Section is authKit.dev, authKit.preview or authKit.prod. An empty section
// still asks for an environment with credentials.
type Section struct {
	Kind            Kind
	Line            int // of the section in convex.json
	ConfigureOff    bool
	Configure       *Configure // nil when absent or false
	LocalEnvVarsOff bool
	LocalEnvVars    []Template // in file order; dev only
	EnvironmentType string     // prod only: "development", "staging", "production" or ""
}

// Production reports whether the section asks for a production environment:
// prod, unless environmentType says otherwise (R4).
func (s *Section) Production() bool {
	return s.Kind == Prod && (s.EnvironmentType == "" || s.EnvironmentType == "production")
}

// Configure is what an environment should hold. Strings are templates.
type Configure struct {
	RedirectURIs   []string
	AppHomepageURL string // "" when absent
	CORSOrigins    []string
}

// Problem is one violation of the vendor's schema.
type Problem struct {
	Path   string // such as authKit.prod.environmentType
	Reason string
	Line   int
}

// SchemaError is the cause of the error [ReadConfig] returns for a convex.json
// that the vendor's schema refuses. It lists every problem, in file order.
type SchemaError struct{ Problems []Problem }

func (e *SchemaError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Reason))
	}
	return strings.Join(lines, "\n")
}

// ReadConfig reads convex.json of the app. Without the file the error is that of
// [App.MissingConfig].
func (a *App) ReadConfig() (*Config, error) {
	src, err := a.readFile(a.ConfigPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, a.MissingConfig(0)
	}
	if err != nil {
		return nil, err
	}
	return ParseConfig(a.ConfigPath, src)
}

// ParseConfig reads a convex.json. It accepts and refuses what the vendor's tool
// does; what that tool drops or passes on in silence becomes a finding. The
// path is for messages.
func ParseConfig(path string, src []byte) (*Config, error) {
	doc, err := parseDocument(path, src)
	if err != nil {
		return nil, err
	}
	if doc.root.Value.Kind() != '{' {
		return nil, fault.New(fault.Invalid, "%s: expected an object", path).WithCode("convex-json-schema").
			WithFix("start the file with {")
	}
	r := &configReader{doc: doc, config: &Config{Path: path, sections: map[Kind]*Section{}}}
	r.read()
	if len(r.problems) > 0 {
		cause := &SchemaError{Problems: r.problems}
		return nil, fault.Wrap(cause, fault.Invalid, "%s does not fit the schema\n%s", path, cause).
			WithCode("convex-json-schema").WithFix("change the named entries; see https://docs.convex.dev/production/project-configuration")
	}
	r.lint()
	return r.config, nil
}

type configReader struct {
	doc      *document
	config   *Config
	problems []Problem
	texts    []located
}

// located is a string of authKit with its place, kept for the findings.
type located struct {
	kind    Kind
	path    string
	use     use
	name    string // of the variable, for local variables
	text    string
	line    int
	literal *hujson.Value
}

type use int

const (
	redirectURI use = iota
	homepageURL
	corsOrigin
	localVar
)

func (r *configReader) problem(v *hujson.Value, path, reason string) {
	r.problems = append(r.problems, Problem{Path: path, Reason: reason, Line: r.doc.line(v)})
}

func (r *configReader) read() {
	if v := member(&r.doc.root, "functions"); v != nil {
		s, ok := stringValue(v)
		if !ok {
			r.problem(v, "functions", "expected string, received "+typeName(v))
		}
		r.config.Functions = s
	}
	authKit := member(&r.doc.root, "authKit")
	if authKit == nil {
		return
	}
	if !r.object(authKit, "authKit") {
		return
	}
	r.config.HasAuthKit = true
	for _, k := range Kinds {
		if v := member(authKit, string(k)); v != nil {
			r.config.sections[k] = r.section(k, v)
		}
	}
	r.onlyHere(authKit)
}

func (r *configReader) section(k Kind, v *hujson.Value) *Section {
	s := &Section{Kind: k, Line: r.doc.line(v)}
	path := "authKit." + string(k)
	if !r.object(v, path) {
		return s
	}
	if c := member(v, "configure"); c != nil {
		if isFalse(c) {
			s.ConfigureOff = true
		} else {
			s.Configure = r.configure(k, c, path+".configure")
		}
	}
	if e := member(v, "localEnvVars"); e != nil {
		if isFalse(e) {
			s.LocalEnvVarsOff = true
		} else {
			s.LocalEnvVars = r.localEnvVars(k, e, path+".localEnvVars")
		}
	}
	if t := member(v, "environmentType"); t != nil {
		s.EnvironmentType, _ = stringValue(t)
		switch s.EnvironmentType {
		case "development", "staging", "production":
		default:
			r.problem(t, path+".environmentType", `expected one of "development", "staging", "production"`)
		}
	}
	return s
}

// onlyHere checks what the schema allows in some sections only. The vendor names
// these two paths without the section, so the reason names it.
func (r *configReader) onlyHere(authKit *hujson.Value) {
	if len(r.problems) > 0 {
		return // as in the vendor's tool, which checks this last
	}
	for _, k := range Kinds {
		v := member(authKit, string(k))
		if v == nil {
			continue
		}
		if t := member(v, "environmentType"); t != nil && k != Prod {
			r.problem(t, "authKit.environmentType", fmt.Sprintf("environmentType is only supported in the prod section, not in %s", k))
		}
		if e := member(v, "localEnvVars"); e != nil && k != Dev && !isFalse(e) {
			r.problem(e, "authKit.localEnvVars", fmt.Sprintf("localEnvVars is only supported in the dev section, not in %s (false is)", k))
		}
	}
}

func (r *configReader) configure(k Kind, v *hujson.Value, path string) *Configure {
	c := &Configure{}
	bad := func(at *hujson.Value, what string) { r.problem(at, path, "invalid input: "+what) }
	if v.Value.Kind() != '{' {
		bad(v, "expected false or an object, received "+typeName(v))
		return c
	}
	list := func(key string, u use) []string {
		m := member(v, key)
		if m == nil {
			return nil
		}
		array, ok := m.Value.(*hujson.Array)
		if !ok {
			bad(m, key+" must be an array of strings, received "+typeName(m))
			return nil
		}
		texts := []string{}
		for i := range array.Elements {
			e := &array.Elements[i]
			s, ok := stringValue(e)
			if !ok {
				bad(e, fmt.Sprintf("%s[%d] must be a string, received %s", key, i, typeName(e)))
				continue
			}
			texts = append(texts, s)
			r.keep(located{kind: k, path: fmt.Sprintf("%s.%s[%d]", path, key, i), use: u, text: s, literal: e})
		}
		return texts
	}
	c.RedirectURIs = list("redirectUris", redirectURI)
	if m := member(v, "appHomepageUrl"); m != nil {
		s, ok := stringValue(m)
		if !ok {
			bad(m, "appHomepageUrl must be a string, received "+typeName(m))
		} else {
			c.AppHomepageURL = s
			r.keep(located{kind: k, path: path + ".appHomepageUrl", use: homepageURL, text: s, literal: m})
		}
	}
	c.CORSOrigins = list("corsOrigins", corsOrigin)
	return c
}

func (r *configReader) localEnvVars(k Kind, v *hujson.Value, path string) []Template {
	o, ok := v.Value.(*hujson.Object)
	if !ok {
		r.problem(v, path, "invalid input: expected false or an object, received "+typeName(v))
		return nil
	}
	vars := []Template{}
	for i := range o.Members {
		name := o.Members[i].Name.Value.(hujson.Literal).String()
		value := &o.Members[i].Value
		s, ok := stringValue(value)
		if !ok {
			r.problem(value, path, fmt.Sprintf("invalid input: %s must be a string, received %s", name, typeName(value)))
			continue
		}
		if member(v, name) != value {
			continue // a later member of that name wins
		}
		vars = append(vars, Template{name, s})
		r.keep(located{kind: k, path: path + "." + name, use: localVar, name: name, text: s, literal: value})
	}
	return vars
}

func (r *configReader) keep(l located) {
	l.line = r.doc.line(l.literal)
	r.texts = append(r.texts, l)
}

func (r *configReader) object(v *hujson.Value, path string) bool {
	if v.Value.Kind() == '{' {
		return true
	}
	r.problem(v, path, "expected object, received "+typeName(v))
	return false
}

func isFalse(v *hujson.Value) bool {
	l, ok := v.Value.(hujson.Literal)
	return ok && string(l) == "false"
}

func typeName(v *hujson.Value) string {
	switch v.Value.Kind() {
	case 'n':
		return "null"
	case 't', 'f':
		return "boolean"
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	}
	return "number"
}
