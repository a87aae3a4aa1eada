package project

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EnvFile is a parsed .env file that keeps every byte. It reads names and values
// as the dotenv package for JavaScript does, because Vite, Next.js and the
// convex command line all use it: `export`, quotes with several lines, comments,
// and the last of two equal names wins. One oddity is left out: a name and its
// sign on different lines are no assignment here.
type EnvFile struct {
	src     []byte
	entries []envEntry
	marks   map[string]string // name -> fingerprint of the value Berth wrote
	headers []span            // marker lines, without line end
	notes   []span            // lines with the environment's address
}

type span struct{ start, end int }

type envEntry struct {
	name  string
	value string
	line  int  // from 1
	stmt  span // the statement with its line end
	raw   span // the value as written, quotes included, outer space excluded
	quote byte // 0 when bare
}

const (
	markPrefix = "# berth: managed "
	notePrefix = "# berth: environment "
)

// ReadEnvFile reads an env file of the app. A missing file is an empty one.
func (a *App) ReadEnvFile(path string) (*EnvFile, error) {
	src, err := a.readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ParseEnv(nil), nil
	}
	if err != nil {
		return nil, err
	}
	return ParseEnv(src), nil
}

// ParseEnv parses src. Lines that are no assignment are kept and have no name,
// so it cannot fail. src must not be changed afterwards.
func ParseEnv(src []byte) *EnvFile {
	f := &EnvFile{src: src, marks: map[string]string{}}
	pos, line := 0, 1
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		pos = len("\ufeff")
	}
	for pos < len(src) {
		end := lineEnd(src, pos)
		if e, ok := parseAssignment(src, pos, end); ok {
			e.line = line
			f.entries = append(f.entries, e)
			end = e.stmt.end
		} else {
			f.comment(pos, end)
		}
		line += bytes.Count(src[pos:end], []byte("\n"))
		pos = end
	}
	return f
}

// lineEnd is the offset after the line feed of the line at pos.
func lineEnd(src []byte, pos int) int {
	if i := bytes.IndexByte(src[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(src)
}

func (f *EnvFile) comment(start, end int) {
	text := strings.TrimRight(string(f.src[start:end]), "\r\n")
	at := span{start, start + len(text)}
	if list, ok := strings.CutPrefix(text, markPrefix); ok {
		f.headers = append(f.headers, at)
		for word := range strings.FieldsSeq(list) {
			if name, sum, ok := strings.Cut(word, "@"); ok {
				f.marks[name] = sum
			}
		}
	}
	if strings.HasPrefix(text, notePrefix) {
		f.notes = append(f.notes, at)
	}
}

// parseAssignment reads the statement at pos, whose first line ends at end.
func parseAssignment(src []byte, pos, end int) (envEntry, bool) {
	e := envEntry{stmt: span{start: pos}}
	p := skipBlank(src, pos, end)
	if rest, ok := bytes.CutPrefix(src[p:end], []byte("export")); ok && len(rest) > 0 && isBlank(rest[0]) {
		if after := skipBlank(src, p+len("export"), end); after < end && isNameByte(src[after]) {
			p = after // otherwise export is the name itself
		}
	}
	start := p
	for p < end && isNameByte(src[p]) {
		p++
	}
	if p == start {
		return e, false
	}
	e.name = string(src[start:p])
	afterName := p
	p = skipBlank(src, p, end)
	switch {
	case p < end && src[p] == '=':
		p++
	case afterName < end && src[afterName] == ':' && afterName+1 < end && isBlank(src[afterName+1]):
		p = afterName + 2
	default:
		return e, false
	}
	first := p
	p = skipBlank(src, p, end)
	if p < end && (src[p] == '"' || src[p] == '\'' || src[p] == '`') {
		close, next, ok := quoted(src, p, true)
		if !ok {
			close, next, ok = quoted(src, p, false)
		}
		if ok {
			e.quote, e.raw, e.stmt.end = src[p], span{p, close + 1}, next
			e.value = lineFeeds.Replace(string(src[p+1 : close]))
			if e.quote == '"' {
				e.value = escapes.Replace(e.value)
			}
			return e, true
		}
	}
	stop := p
	for stop < end && src[stop] != '#' && src[stop] != '\n' && src[stop] != '\r' {
		stop++
	}
	value := strings.TrimSpace(string(src[p:stop]))
	double := strings.HasPrefix(value, `"`) // counts for dotenv even when it is not closed
	if n := len(value); n > 1 && value[0] == value[n-1] && strings.IndexByte("\"'`", value[0]) >= 0 {
		value = value[1 : n-1] // dotenv strips outer quotes of a value like "a" "b" too
	}
	e.raw = span{p, p + len(strings.TrimRightFunc(string(src[p:stop]), unicode.IsSpace))}
	if double {
		value = escapes.Replace(value)
	}
	if value == "" {
		e.raw = span{first, first} // a value put there stands right after the sign
	}
	e.value, e.stmt.end = value, end
	return e, true
}

// lineFeeds makes every line end a line feed, as dotenv does.
var lineFeeds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// escapes are the two that dotenv expands between double quotes.
var escapes = strings.NewReplacer(`\n`, "\n", `\r`, "\r")

// quoted finds the end of the quoted value that starts at open. It holds only
// when nothing but a comment follows on the last line, as in dotenv; otherwise
// the quote is an ordinary character. A backslash before the closing quote is a
// second choice, as in a Windows path.
func quoted(src []byte, open int, escapes bool) (close, next int, ok bool) {
	for i := open + 1; i < len(src); i++ {
		if escapes && src[i] == '\\' && i+1 < len(src) && src[i+1] == src[open] {
			i++
			continue
		}
		if src[i] != src[open] {
			continue
		}
		end := lineEnd(src, i)
		p := skipBlank(src, i+1, end)
		if p == end || src[p] == '\n' || src[p] == '\r' || src[p] == '#' {
			return i, end, true
		}
		return 0, 0, false
	}
	return 0, 0, false
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\v' || c == '\f' }

func skipBlank(src []byte, p, end int) int {
	for p < end && isBlank(src[p]) {
		p++
	}
	return p
}

func isNameByte(c byte) bool {
	return c == '_' || c == '.' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// last is the entry that counts for name.
func (f *EnvFile) last(name string) *envEntry {
	for i := len(f.entries) - 1; i >= 0; i-- {
		if f.entries[i].name == name {
			return &f.entries[i]
		}
	}
	return nil
}

// Lookup returns the value of the variable with exactly that name. Its
// signature is that of [os.LookupEnv], for [Values].
func (f *EnvFile) Lookup(name string) (string, bool) {
	if e := f.last(name); e != nil {
		return e.value, true
	}
	return "", false
}

// Names lists the variables in file order, each once.
func (f *EnvFile) Names() []string {
	var names []string
	seen := map[string]bool{}
	for _, e := range f.entries {
		if !seen[e.name] {
			seen[e.name] = true
			names = append(names, e.name)
		}
	}
	return names
}

// Managed reports whether Berth wrote the value that name has now. It is false
// once a person has changed it.
func (f *EnvFile) Managed(name string) bool {
	e := f.last(name)
	return e != nil && f.owns(*e)
}

// owns reports whether e holds the value Berth recorded. A marker is the name
// with a fingerprint of the value, so an edit by hand makes the value theirs.
func (f *EnvFile) owns(e envEntry) bool {
	sum, ok := f.marks[e.name]
	return ok && sum == fingerprint(e.name, e.value)
}

// fingerprint is short on purpose: it only tells whether a value was edited.
func fingerprint(name, value string) string {
	sum := sha256.Sum256([]byte(name + "=" + value))
	return hex.EncodeToString(sum[:5])
}

// Bytes returns the file.
func (f *EnvFile) Bytes() []byte { return f.src }

func (f *EnvFile) newline() string {
	if i := bytes.IndexByte(f.src, '\n'); i > 0 && f.src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// encode writes value so that dotenv reads it back, with quote when that is
// possible. ok is false when dotenv has no way to write it.
func encode(value string, quote byte) (text string, ok bool) {
	if !utf8.ValidString(value) || strings.ContainsAny(value, "\r\x00") {
		return "", false
	}
	bare := value == strings.TrimSpace(value) && !strings.ContainsAny(value, "#\n\"'`\\$ \t\v\f") && value != ""
	fits := func(q byte) bool {
		return !strings.ContainsRune(value, rune(q)) && !strings.HasSuffix(value, `\`) &&
			(q != '"' || !strings.ContainsAny(value, `\`))
	}
	if quote == 0 && (bare || value == "") {
		return value, true
	}
	for _, q := range []byte{quote, '"', '\'', '`'} {
		if q != 0 && fits(q) {
			return string(q) + value + string(q), true
		}
	}
	return "", false
}
