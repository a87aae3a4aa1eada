package project

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/berthdev/berth/internal/fault"
)

// Ref is one `${…}` of a template.
type Ref struct {
	Source string // "authEnv" or "buildEnv"
	Name   string
}

func (r Ref) String() string { return r.Source + "." + r.Name }

// Expression sources.
const (
	AuthEnv  = "authEnv"  // credentials of the environment
	BuildEnv = "buildEnv" // variables of the build or shell
)

const allowedExpressions = "${buildEnv.NAME}, ${authEnv.WORKOS_CLIENT_ID}, ${authEnv.WORKOS_API_KEY} and ${authEnv.WORKOS_ENVIRONMENT_ID}"

// piece is a literal text or, when ref is set, an expression.
type piece struct {
	text string
	ref  *Ref
}

// parseTemplate splits s at its expressions. An expression reaches from `${` to
// the next `}`; anything but the four allowed forms is an error (R7).
func parseTemplate(s string) ([]piece, error) {
	var pieces []piece
	for {
		before, rest, found := strings.Cut(s, "${")
		if before != "" {
			pieces = append(pieces, piece{text: before})
		}
		if !found {
			return pieces, nil
		}
		expr, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fault.New(fault.Invalid, "template expression without closing brace").
				WithCode("template-unknown").WithFix("close it; allowed are %s", allowedExpressions)
		}
		ref, ok := parseExpression(expr)
		if !ok {
			return nil, fault.New(fault.Invalid, "unknown template expression ${%s}", abbreviate(expr)).
				WithCode("template-unknown").WithFix("allowed are %s", allowedExpressions)
		}
		pieces = append(pieces, piece{ref: &ref})
		s = after
	}
}

func parseExpression(expr string) (Ref, bool) {
	source, name, ok := strings.Cut(expr, ".")
	if !ok {
		return Ref{}, false
	}
	switch source {
	case BuildEnv:
		return Ref{source, name}, name != "" && !strings.ContainsAny(name, " \t\r\n${")
	case AuthEnv:
		return Ref{source, name}, name == clientIDVar || name == apiKeyVar || name == environmentIDVar
	}
	return Ref{}, false
}

func isEnvName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

var keyPattern = regexp.MustCompile(`sk_[A-Za-z0-9_\-]+`)

// abbreviate makes a text of a file fit for a message: short, printable and
// without an API key that somebody pasted.
func abbreviate(s string) string {
	s = keyPattern.ReplaceAllString(s, "[secret]")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return s
}

// Values gives the values of template expressions. Auth may be nil before the
// environment exists. An empty value counts as missing.
type Values struct {
	Auth  func(name string) (string, bool)
	Build func(name string) (string, bool)
}

func (v Values) lookup(r Ref) (string, bool) {
	from := v.Build
	if r.Source == AuthEnv {
		from = v.Auth
	}
	if from == nil {
		return "", false
	}
	s, ok := from(r.Name)
	return s, ok && s != ""
}

// MissingError says which expressions of a template have no value.
type MissingError struct {
	Path string // of the entry in convex.json, may be ""
	Refs []Ref
}

func (e *MissingError) Error() string {
	var names []string
	for _, r := range e.Refs {
		names = append(names, r.Name)
	}
	if e.Path == "" {
		return "no value for " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s: no value for %s", e.Path, strings.Join(names, ", "))
}

// Fault turns e into an error for people: what is not set and how to set it.
func (e *MissingError) Fault() *fault.Error {
	code, fix := "build-variable-missing", "set it in the environment of the build, or change the entry"
	if slices.ContainsFunc(e.Refs, func(r Ref) bool { return r.Source == AuthEnv }) {
		code, fix = "auth-variable-missing", "it is known once the environment exists: run berth dev or berth deploy"
	}
	return fault.Wrap(e, fault.Invalid, "%s", e.Error()).WithCode(code).WithFix("%s", fix)
}

// Expand replaces the expressions of template. used lists what it read, without
// repeats. A missing value gives a [*MissingError], so that the caller can
// choose between stopping and skipping the entry; an unknown expression gives an
// error that lists what is allowed.
func Expand(template string, v Values) (text string, used []Ref, err error) {
	pieces, err := parseTemplate(template)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	var missing []Ref
	for _, p := range pieces {
		if p.ref == nil {
			b.WriteString(p.text)
			continue
		}
		if !slices.Contains(used, *p.ref) {
			used = append(used, *p.ref)
		}
		value, ok := v.lookup(*p.ref)
		if !ok && !slices.Contains(missing, *p.ref) {
			missing = append(missing, *p.ref)
		}
		b.WriteString(value)
	}
	if len(missing) > 0 {
		return "", used, &MissingError{Refs: missing}
	}
	return b.String(), used, nil
}

// Need is an expression that an entry of a section reads.
type Need struct {
	Path string // such as authKit.preview.configure.redirectUris[0]
	Ref  Ref
}

// Needs lists what the templates of s read, in the order they
// are applied, so that everything is known to be there before anything is
// written. An unknown expression is an error that names the entry.
func (s *Section) Needs() ([]Need, error) {
	var needs []Need
	err := s.each(func(_ use, _, path, template string) error {
		pieces, err := parseTemplate(template)
		if err != nil {
			return err
		}
		for _, p := range pieces {
			if p.ref != nil {
				needs = append(needs, Need{path, *p.ref})
			}
		}
		return nil
	})
	return needs, err
}

// Resolved is a section with its templates expanded. Entries with a missing
// value are left out and listed.
type Resolved struct {
	RedirectURIs   []string
	AppHomepageURL string
	CORSOrigins    []string
	LocalEnvVars   []Template // Value is the text; it can be a secret
	Missing        []*MissingError
}

// Resolve expands all templates of s. It fails only for an unknown expression;
// the caller decides whether Missing is an error (unattended) or a warning (R6).
func (s *Section) Resolve(v Values) (*Resolved, error) {
	r := &Resolved{}
	expand := func(path, template string, put func(string)) error {
		text, _, err := Expand(template, v)
		if missing, ok := errors.AsType[*MissingError](err); ok {
			missing.Path = path
			r.Missing = append(r.Missing, missing)
			return nil
		}
		if err == nil {
			put(text)
		}
		return err
	}
	err := s.each(func(u use, name, path, template string) error {
		return expand(path, template, func(text string) {
			switch u {
			case redirectURI:
				r.RedirectURIs = append(r.RedirectURIs, text)
			case homepageURL:
				r.AppHomepageURL = text
			case corsOrigin:
				r.CORSOrigins = append(r.CORSOrigins, text)
			case localVar:
				r.LocalEnvVars = append(r.LocalEnvVars, Template{name, text})
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// each calls f for every template, redirect URIs first as they are applied, and
// names the path in errors.
func (s *Section) each(f func(u use, name, path, template string) error) error {
	base := "authKit." + string(s.Kind)
	var first error
	call := func(u use, name, path, template string) {
		if first != nil {
			return
		}
		path = base + path
		if first = f(u, name, path, template); first != nil {
			if e, ok := errors.AsType[*fault.Error](first); ok {
				e.Message = path + ": " + e.Message
			}
		}
	}
	if c := s.Configure; c != nil {
		for i, uri := range c.RedirectURIs {
			call(redirectURI, "", fmt.Sprintf(".configure.redirectUris[%d]", i), uri)
		}
		if c.AppHomepageURL != "" {
			call(homepageURL, "", ".configure.appHomepageUrl", c.AppHomepageURL)
		}
		for i, o := range c.CORSOrigins {
			call(corsOrigin, "", fmt.Sprintf(".configure.corsOrigins[%d]", i), o)
		}
	}
	for _, e := range s.LocalEnvVars {
		call(localVar, e.Name, ".localEnvVars."+e.Name, e.Value)
	}
	return first
}
