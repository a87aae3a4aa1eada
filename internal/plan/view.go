package plan

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Style colours the text view. A nil Style, or a nil member, leaves text plain.
type Style struct {
	Add, Set, Remove, Keep func(string) string // the sign and name of a change
	Note, Warning          func(string) string
	Heading                func(string) string
}

var signs = map[Action]string{Add: "+", Set: "~", Remove: "-", Keep: "="}

// Text returns the plan for people: one line per change, in the order in
// which they happen, signs + ~ - and = (kept), then notes and warnings.
// Without a Style it holds no colour codes.
func (p Plan) Text(s *Style) string {
	var b strings.Builder
	b.WriteString(paint(s, heading, p.Target.summary()) + "\n")
	width := 0
	for _, c := range p.Changes {
		width = max(width, len(c.Resource))
	}
	for _, c := range p.Changes {
		b.WriteString("  " + c.line(width, s) + "\n")
	}
	if p.Empty() {
		b.WriteString("  nothing to change\n")
	}
	for _, n := range p.Notes {
		name := ""
		if n.Name != "" {
			name = " " + clean(n.Name)
		}
		b.WriteString(paint(s, note, "note:") + " " + string(n.Resource) + name + ": " + clean(n.Reason) + "\n")
	}
	for _, w := range p.Warnings {
		b.WriteString(paint(s, warning, "warning:") + " " + clean(w) + "\n")
	}
	return b.String()
}

// summary names the target in one line.
func (t Target) summary() string {
	text := "plan"
	if t.Deployment != "" {
		text += " for " + clean(t.Deployment)
	}
	var in []string
	if t.Environment != "" {
		in = append(in, "environment "+clean(t.Environment))
	}
	if t.Placement != "" {
		in = append(in, string(t.Placement))
	}
	if t.Server != "" {
		in = append(in, "at "+clean(t.Server))
	}
	if len(in) > 0 {
		text += " (" + strings.Join(in, ", ") + ")"
	}
	return text
}

// line is the change in one line; width aligns the resource column.
func (c Change) line(width int, s *Style) string {
	before, after := c.shown()
	head := signs[c.Action] + " " + fmt.Sprintf("%-*s", width, string(c.Resource))
	colon := " "
	if c.Name != string(c.Resource) {
		head += " " + clean(c.Name)
		colon = ": "
	}
	detail := ""
	switch {
	case c.Resource == File || c.Resource == AuthConfig:
		// the reason says which lines change
	case c.Resource == Issuer && c.After == "":
		// the reason says where it goes
	case c.Action == Set && before != "" && before != after:
		detail = colon + clean(before) + " -> " + clean(after)
	case c.Action == Set && c.Secret:
		detail = colon + "a new " + hiddenValue
	case c.Action == Add || c.Action == Set:
		if after != "" && after != c.Name {
			detail = colon + clean(after)
		}
	}
	if c.Reason != "" {
		detail += "  (" + clean(c.Reason) + ")"
	}
	return paint(s, func(s *Style) func(string) string { return s.action(c.Action) }, head) + detail
}

func (s *Style) action(a Action) func(string) string {
	switch a {
	case Add:
		return s.Add
	case Set:
		return s.Set
	case Remove:
		return s.Remove
	default:
		return s.Keep
	}
}

func heading(s *Style) func(string) string { return s.Heading }
func note(s *Style) func(string) string    { return s.Note }
func warning(s *Style) func(string) string { return s.Warning }

func paint(s *Style, pick func(*Style) func(string) string, text string) string {
	if s == nil {
		return text
	}
	if f := pick(s); f != nil {
		return f(text)
	}
	return text
}

// clean makes text from elsewhere safe for one line of a terminal: names come
// from configuration that other people wrote.
func clean(s string) string {
	ok := func(r rune) bool { return r != utf8.RuneError && (unicode.IsPrint(r) || r == ' ') }
	if strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if ok(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "\\u%04x", r)
	}
	return b.String()
}
