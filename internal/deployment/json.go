package deployment

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// value is one strictly parsed JSON value. encoding/json is laxer than the
// reader Convex uses: it repairs bad UTF-8 and lone surrogates, hides doubled
// members and ignores the case of names.
type value struct {
	kind    byte   // n t f for null, true, false; # number; " string; [ array; { object
	raw     string // the value as written
	text    string // decoded string
	items   []value
	members []member // in order, doubled ones included
}

type member struct {
	name  string
	value value
}

// maxDepth is the number of nested arrays and objects that Convex's reader takes.
const maxDepth = 127

var errJSON = errors.New("not valid JSON")

// parseJSON reads exactly one JSON value (RFC 8259) in well-formed UTF-8.
func parseJSON(data []byte) (value, error) {
	p := jsonParser{text: string(data)}
	v, err := p.value(0)
	if err != nil {
		return value{}, fmt.Errorf("%w at byte %d", err, p.pos)
	}
	p.blanks()
	if p.pos != len(p.text) {
		return value{}, fmt.Errorf("%w: trailing characters at byte %d", errJSON, p.pos)
	}
	return v, nil
}

// find returns the member of that name and how often it is there; the last
// one counts.
func (v value) find(name string) (value, int) {
	var found value
	n := 0
	for _, m := range v.members {
		if m.name == name {
			found = m.value
			n++
		}
	}
	return found, n
}

type jsonParser struct {
	text string
	pos  int
}

func (p *jsonParser) blanks() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *jsonParser) value(depth int) (value, error) {
	p.blanks()
	start := p.pos
	var v value
	var err error
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth == maxDepth {
			return v, fmt.Errorf("%w: nested too deeply", errJSON)
		}
		v, err = p.container(c, depth+1)
	case c == '"':
		v.kind = c
		v.text, err = p.str()
	case c == '-' || c >= '0' && c <= '9':
		v.kind = '#'
		err = p.number()
	default:
		v.kind, err = p.word()
	}
	v.raw = p.text[start:p.pos]
	return v, err
}

func (p *jsonParser) word() (byte, error) {
	for _, w := range []string{"null", "true", "false"} {
		if len(p.text)-p.pos >= len(w) && p.text[p.pos:p.pos+len(w)] == w {
			p.pos += len(w)
			return w[0], nil
		}
	}
	return 0, errJSON
}

func (p *jsonParser) container(open byte, depth int) (value, error) {
	v := value{kind: open}
	closing := open + 2 // ']' and '}' both follow by two
	p.pos++
	p.blanks()
	if p.peek() == closing {
		p.pos++
		return v, nil
	}
	for {
		var name string
		var err error
		if open == '{' {
			p.blanks()
			if p.peek() != '"' {
				return v, errJSON
			}
			if name, err = p.str(); err != nil {
				return v, err
			}
			p.blanks()
			if p.peek() != ':' {
				return v, errJSON
			}
			p.pos++
		}
		item, err := p.value(depth)
		if err != nil {
			return v, err
		}
		if open == '{' {
			v.members = append(v.members, member{name, item})
		} else {
			v.items = append(v.items, item)
		}
		p.blanks()
		switch p.peek() {
		case ',':
			p.pos++
		case closing:
			p.pos++
			return v, nil
		default:
			return v, errJSON
		}
	}
}

func (p *jsonParser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

func (p *jsonParser) number() error {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return errJSON
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return errJSON
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return errJSON
		}
	}
	if _, err := strconv.ParseFloat(p.text[start:p.pos], 64); err != nil {
		return fmt.Errorf("%w: number out of range", errJSON)
	}
	return nil
}

func (p *jsonParser) str() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '"':
			s := p.text[start:p.pos]
			if !utf8.ValidString(s) {
				return "", fmt.Errorf("%w: not UTF-8", errJSON)
			}
			p.pos++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", errJSON
		default:
			p.pos++
		}
	}
	return "", errJSON
}

// escaped goes on with a string that holds a backslash.
func (p *jsonParser) escaped(start int) (string, error) {
	out := []byte(p.text[start:p.pos])
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", fmt.Errorf("%w: not UTF-8", errJSON)
			}
			return string(out), nil
		case c < 0x20:
			return "", errJSON
		case c != '\\':
			out = append(out, c)
			continue
		}
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		out = utf8.AppendRune(out, r)
	}
	return "", errJSON
}

func (p *jsonParser) escape() (rune, error) {
	if p.pos == len(p.text) {
		return 0, errJSON
	}
	c := p.text[p.pos]
	p.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if p.peek() != '\\' || p.pos+1 >= len(p.text) || p.text[p.pos+1] != 'u' {
			return 0, fmt.Errorf("%w: lone surrogate", errJSON)
		}
		p.pos += 2
		low, err := p.hex()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, fmt.Errorf("%w: lone surrogate", errJSON)
		}
		return r, nil
	default:
		return 0, errJSON
	}
}

func (p *jsonParser) hex() (rune, error) {
	if len(p.text)-p.pos < 4 {
		return 0, errJSON
	}
	var r rune
	for range 4 {
		c := p.text[p.pos]
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, errJSON
		}
		p.pos++
	}
	return r, nil
}
