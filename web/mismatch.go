package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// longestShown bounds how much of an address from outside a page shows and compares,
// in characters; firstShown how many registered addresses it lists at once.
const (
	longestShown = 1000
	firstShown   = 6
)

// mismatch explains why an address is not among the registered ones.
type mismatch struct {
	Asked      marked
	Closest    marked
	HasClosest bool
	Wildcard   bool     // the closest one has a *
	Difference string   // where the two part, in words
	First      []string // registered, visible text
	More       []string
	Snippet    string // part of convex.json; empty when the address cannot be registered
	Template   string // entry for every branch's address; empty when there is none
}

// marked is visible text in three parts; the middle one is the first character that
// differs, and empty where the text ends instead.
type marked struct{ Before, Mark, After string }

func newMismatch(asked string, registered []string, kind Kind, key string) mismatch {
	m := mismatch{Asked: marked{Before: visible(asked)}}
	for i, r := range registered {
		if i < firstShown || len(registered) == firstShown+1 {
			m.First = append(m.First, visible(r))
		} else {
			m.More = append(m.More, visible(r))
		}
	}
	if asked == "" {
		return m
	}
	if best := closest(asked, registered); best >= 0 {
		m.HasClosest = true
		m.Wildcard = strings.Contains(registered[best], "*")
		m.Asked, m.Closest, m.Difference = compare(asked, registered[best])
	}
	if !registrable(asked) {
		return m
	}
	m.Snippet = configureSnippet(kind, key, []string{asked})
	if u, err := url.Parse(asked); kind == Preview && err == nil && strings.HasSuffix(u.Hostname(), ".vercel.app") {
		m.Template = u.Scheme + "://${buildEnv.VERCEL_BRANCH_URL}" + u.EscapedPath()
	}
	return m
}

// closest returns the index of the candidate that shares the longest beginning and
// end with asked, or -1 when there is none. It takes time linear in the input, which
// comes from outside.
func closest(asked string, candidates []string) int {
	best, bestScore := -1, 0
	a := runes(asked)
	for i, candidate := range candidates {
		c := runes(candidate)
		start := commonPrefix(a, c)
		end := 0
		for end < min(len(a), len(c))-start && a[len(a)-1-end] == c[len(c)-1-end] {
			end++
		}
		score := 2*(start+end) - max(len(a)-len(c), len(c)-len(a))
		if best < 0 || score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// compare marks the first character in which the two differ.
func compare(asked, registered string) (a, r marked, difference string) {
	ar, rr := runes(asked), runes(registered)
	at := commonPrefix(ar, rr)
	if at == len(ar) && at == len(rr) {
		return marked{Before: visible(asked)}, marked{Before: visible(registered)}, ""
	}
	where := fmt.Sprintf("First difference: the %s, at character %d. ", part(asked, registered), at+1)
	switch {
	case at == len(ar):
		difference = where + "The address asked for ends there; the registered one goes on with " + quoted(rr[at]) + "."
	case at == len(rr):
		difference = where + "The registered address ends there; the one asked for goes on with " + quoted(ar[at]) + "."
	default:
		difference = where + "Asked for: " + quoted(ar[at]) + ", registered: " + quoted(rr[at]) + "."
	}
	return split(ar, at), split(rr, at), difference
}

// part names the first component in which two addresses differ.
func part(a, b string) string {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	switch {
	case errA != nil || errB != nil:
		return "address"
	case ua.Scheme != ub.Scheme:
		return "scheme"
	case ua.User.String() != ub.User.String():
		return "user part"
	case ua.Hostname() != ub.Hostname():
		return "host"
	case ua.Port() != ub.Port():
		return "port"
	case ua.EscapedPath() == ub.EscapedPath()+"/" || ua.EscapedPath()+"/" == ub.EscapedPath():
		return "slash at the end"
	case ua.EscapedPath() != ub.EscapedPath():
		return "path"
	case ua.RawQuery != ub.RawQuery:
		return "query"
	default:
		return "address"
	}
}

func split(text []rune, at int) marked {
	m := marked{Before: visible(string(text[:at]))}
	if at < len(text) {
		m.Mark = visible(string(text[at]))
		m.After = visible(string(text[at+1:]))
	}
	return m
}

// quoted shows a single character; one that may look like another gets its number.
func quoted(r rune) string {
	shown := visible(string(r))
	s := "“" + shown + "”"
	if r > unicode.MaxASCII && shown == string(r) {
		s += fmt.Sprintf(" (%U)", r)
	}
	return s
}

func commonPrefix(a, b []rune) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func runes(s string) []rune {
	r := []rune(s)
	return r[:min(len(r), longestShown)]
}

// visible returns s with every character written out that a reader cannot see or that
// changes how its neighbours look: controls, blanks, format and direction marks,
// combining marks. It cuts s at longestShown characters.
func visible(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > longestShown {
			b.WriteString("…")
			break
		}
		switch {
		case r == ' ':
			b.WriteRune('␣')
		case !unicode.IsPrint(r) || unicode.IsMark(r) || r == unicode.ReplacementChar:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// registrable reports whether an address can stand in convex.json as it is. The rules
// proper belong to whoever registers; this only keeps the page from advising nonsense.
func registrable(asked string) bool {
	u, err := url.Parse(asked)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Path != "" || u.Opaque != "") &&
		u.Fragment == "" && len(asked) <= longestShown && visible(asked) == asked
}

// configureSnippet is the part of convex.json that sets key for deployments of kind.
func configureSnippet(kind Kind, key string, value any) string {
	if !kind.lower() {
		kind = Prod
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	// Strings and lists of strings always encode.
	_ = e.Encode(map[string]any{"authKit": map[string]any{string(kind): map[string]any{"configure": map[string]any{key: value}}}})
	// The outermost braces are those of the file that people already have.
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	lines = lines[1 : len(lines)-1]
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// homepageSnippet sets the homepage to what the kind of deployment usually has.
func homepageSnippet(kind Kind) string {
	switch kind {
	case Dev:
		return configureSnippet(kind, "appHomepageUrl", "http://localhost:3000")
	case Preview:
		return configureSnippet(kind, "appHomepageUrl", "https://${buildEnv.VERCEL_BRANCH_URL}")
	default:
		return configureSnippet(kind, "appHomepageUrl", "https://${buildEnv.VERCEL_PROJECT_PRODUCTION_URL}")
	}
}
