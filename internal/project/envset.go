package project

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// EnvVar is a variable that an env file should hold.
type EnvVar struct {
	Name  string
	Value secret.String

	// Once keeps any value that is there and at least MinLength bytes long, and
	// writes Value only when there is none, or a shorter one that Berth wrote.
	Once      bool
	MinLength int
}

// EnvAction is what Set did with a variable.
type EnvAction string

const (
	EnvAdded     EnvAction = "added"     // a new line
	EnvFilled    EnvAction = "filled"    // an empty value was there
	EnvUpdated   EnvAction = "updated"   // a value Berth wrote before
	EnvUnchanged EnvAction = "unchanged" // Berth's value, already right
	EnvKept      EnvAction = "kept"      // a person's value
)

// EnvChange reports one variable of Set, without its value.
type EnvChange struct {
	Name   string
	Action EnvAction
	Stale  bool // kept, and not the value that this deployment needs (R45)
	Line   int  // of the variable before the edit; 0 when added
}

// CookiePassword is the variable that seals the session cookie of a server
// framework: 32 random bytes in base64url, made once (R44). A value that is
// there stays; one of fewer than 32 characters is reported as stale.
func CookiePassword() EnvVar {
	var b [32]byte
	rand.Read(b[:]) // never fails; see the package documentation
	return EnvVar{
		Name:  cookiePasswordVar,
		Value: secret.String(base64.RawURLEncoding.EncodeToString(b[:])),
		Once:  true, MinLength: 32,
	}
}

// Set returns the file with vars set, and what became of each, in order. Values
// that a person set stay; values that Berth wrote and nobody edited follow. With
// note not empty a comment line above Berth's block holds it, such as the address
// of the environment's page. Every other byte stays, and setting the same again
// gives the same bytes.
func (f *EnvFile) Set(vars []EnvVar, note string) (*EnvFile, []EnvChange, error) {
	next, changes := f, make([]EnvChange, 0, len(vars))
	for _, v := range vars {
		if !isEnvName(v.Name) {
			return nil, nil, fault.New(fault.Invalid, "%q cannot be a variable in an env file", abbreviate(v.Name)).WithCode(CodeEnvName)
		}
		file, change, err := next.set(v)
		if err != nil {
			return nil, nil, err
		}
		if e := f.last(v.Name); e != nil {
			change.Line = e.line
		}
		next = file
		changes = append(changes, change)
	}
	if note != "" && len(next.headers) > 0 {
		next = next.setNote(abbreviateNote(note))
	}
	return next, changes, nil
}

// abbreviateNote keeps a note on its line.
func abbreviateNote(s string) string { return strings.Join(strings.Fields(s), " ") }

func (f *EnvFile) set(v EnvVar) (*EnvFile, EnvChange, error) {
	want := v.Value.Reveal()
	change := EnvChange{Name: v.Name}
	fail := func() (*EnvFile, EnvChange, error) {
		return nil, change, fault.New(fault.Invalid, "the value for %s cannot be written into an env file", v.Name).WithCode("env-value")
	}
	theirs := slices.IndexFunc(f.entries, func(e envEntry) bool {
		return e.name == v.Name && e.value != "" && !f.owns(e)
	})
	if theirs >= 0 {
		kept := f.withoutOwn(v.Name) // a person's value beats a later one of Berth
		have, _ := kept.Lookup(v.Name)
		change.Action = EnvKept
		change.Stale = have != want
		if v.Once {
			change.Stale = len(have) < v.MinLength
		}
		return kept, change, nil
	}
	e := f.last(v.Name)
	if e == nil {
		text, ok := encode(want, 0)
		if !ok && want != "" {
			return fail()
		}
		change.Action = EnvAdded
		return f.add(v.Name, text, want), change, nil
	}
	if e.value == want && f.owns(*e) || v.Once && e.value != "" && len(e.value) >= v.MinLength {
		change.Action = EnvUnchanged
		return f, change, nil
	}
	if e.value == "" && want == "" {
		change.Action = EnvUnchanged
		return f, change, nil
	}
	change.Action = EnvUpdated
	if e.value == "" {
		change.Action = EnvFilled
	}
	text, ok := encode(want, e.quote)
	if !ok && want != "" {
		return fail()
	}
	if e.raw.end < len(f.src) && f.src[e.raw.end] == '#' {
		text += " " // a comment that touched the empty value
	}
	src := slices.Concat(f.src[:e.raw.start], []byte(text), f.src[e.raw.end:])
	return ParseEnv(src).mark(v.Name, want), change, nil
}

// withoutOwn removes the lines of name that Berth wrote.
func (f *EnvFile) withoutOwn(name string) *EnvFile {
	src := slices.Clone(f.src)
	removed := false
	for i := len(f.entries) - 1; i >= 0; i-- {
		if e := f.entries[i]; e.name == name && e.value != "" && f.owns(e) {
			src = slices.Delete(src, e.stmt.start, e.stmt.end)
			removed = true
		}
	}
	if !removed {
		return f
	}
	return ParseEnv(src).unmark(name)
}

// add writes a new line after the last one that Berth owns, or a new block at
// the end of the file.
func (f *EnvFile) add(name, text, value string) *EnvFile {
	nl := f.newline()
	line := name + "=" + text + nl
	for i := len(f.entries) - 1; i >= 0; i-- {
		if e := f.entries[i]; f.owns(e) {
			src := f.src[:e.stmt.end]
			if !bytes.HasSuffix(src, []byte("\n")) {
				line = nl + name + "=" + text // the file goes on without a last line feed
			}
			return ParseEnv(slices.Concat(src, []byte(line), f.src[e.stmt.end:])).mark(name, value)
		}
	}
	src := slices.Clone(f.src)
	if len(src) > 0 {
		if !bytes.HasSuffix(src, []byte("\n")) {
			src = append(src, nl...)
		}
		src = append(src, nl...)
	}
	return ParseEnv(append(src, line...)).mark(name, value)
}

// mark records that Berth wrote value under name, in the marker line above its
// block.
func (f *EnvFile) mark(name, value string) *EnvFile {
	word := name + "@" + fingerprint(name, value)
	if len(f.headers) == 0 {
		e := f.last(name)
		line := markPrefix + word + f.newline()
		return ParseEnv(slices.Concat(f.src[:e.stmt.start], []byte(line), f.src[e.stmt.start:]))
	}
	return f.rewriteMarks(name, word)
}

func (f *EnvFile) unmark(name string) *EnvFile { return f.rewriteMarks(name, "") }

// rewriteMarks replaces the mark of name by word in the marker lines, or adds it
// to the last one. A marker line that is left empty goes.
func (f *EnvFile) rewriteMarks(name, word string) *EnvFile {
	src := slices.Clone(f.src)
	for i := len(f.headers) - 1; i >= 0; i-- {
		h := f.headers[i]
		words := strings.Fields(string(f.src[h.start+len(markPrefix) : h.end]))
		at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, name+"@") })
		words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, name+"@") })
		if word != "" && i == len(f.headers)-1 {
			if at < 0 {
				at = len(words)
			}
			words = slices.Insert(words, min(at, len(words)), word)
		}
		if len(words) == 0 {
			src = slices.Delete(src, h.start, lineEnd(src, h.start))
			continue
		}
		src = slices.Replace(src, h.start, h.end, []byte(markPrefix+strings.Join(words, " "))...)
	}
	return ParseEnv(src)
}

// setNote writes the note line below the last marker line, or updates it.
func (f *EnvFile) setNote(note string) *EnvFile {
	line := notePrefix + note
	if len(f.notes) > 0 {
		n := f.notes[len(f.notes)-1]
		if string(f.src[n.start:n.end]) == line {
			return f
		}
		return ParseEnv(slices.Concat(f.src[:n.start], []byte(line), f.src[n.end:]))
	}
	end := lineEnd(f.src, f.headers[len(f.headers)-1].start)
	return ParseEnv(slices.Concat(f.src[:end], []byte(line+f.newline()), f.src[end:]))
}

// Change is the difference between f and edited as a file of the app.
func (f *EnvFile) Change(path string, edited *EnvFile) FileChange {
	return FileChange{Path: path, Before: f.src, After: edited.src, Mode: 0o600, Secret: true}
}

// WriteEnv sets vars in an env file of the app and writes it when something
// changed. It starts again when another process wrote the file meanwhile, so that
// parallel runs lose nothing. wrote is false when the file was right already.
func (a *App) WriteEnv(path string, vars []EnvVar, note string) (changes []EnvChange, wrote bool, err error) {
	for range 50 {
		f, err := a.ReadEnvFile(path)
		if err != nil {
			return nil, false, err
		}
		next, changes, err := f.Set(vars, note)
		if err != nil {
			return nil, false, err
		}
		written, err := a.Apply([]FileChange{f.Change(path, next)})
		if fault.Code(err) == "file-changed" {
			continue
		}
		return changes, len(written) > 0, err
	}
	return nil, false, fault.New(fault.Conflict, "%s keeps changing", path).
		WithCode("file-changed").WithFix("stop what writes it, then run the command again")
}

// GoString is String, so that no debugging output holds a secret.
func (f *EnvFile) GoString() string { return f.String() }

// String names the number of variables and never the values.
func (f *EnvFile) String() string { return fmt.Sprintf("env file with %d variables", len(f.Names())) }
