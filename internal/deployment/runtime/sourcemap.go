package runtime

import (
	"encoding/json"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// sourceLines leads from places of the linked script back to the files that
// people wrote (Source Map revision 3).
type sourceLines struct {
	sources []string
	lines   [][]mapping // by line of the script, ordered by column
}

type mapping struct{ column, source, line, sourceColumn int }

func escapeMap(text string) string { return url.PathEscape(text) }

func readSourceMap(data []byte) sourceLines {
	var raw struct {
		Sources  []string `json:"sources"`
		Mappings string   `json:"mappings"`
	}
	if json.Unmarshal(data, &raw) != nil {
		return sourceLines{}
	}
	s := sourceLines{sources: raw.Sources}
	var source, line, column int
	for text := range strings.SplitSeq(raw.Mappings, ";") {
		var list []mapping
		at := 0
		for segment := range strings.SplitSeq(text, ",") {
			n, ok := readVLQ(segment)
			if !ok || len(n) == 0 {
				continue
			}
			at += n[0]
			if len(n) < 4 {
				continue
			}
			source, line, column = source+n[1], line+n[2], column+n[3]
			list = append(list, mapping{at, source, line, column})
		}
		s.lines = append(s.lines, list)
	}
	return s
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// readVLQ reads the numbers of one segment: base64 digits of 5 bits, lowest
// first, the sign in the lowest bit.
func readVLQ(segment string) (numbers []int, ok bool) {
	n, shift := 0, 0
	for i := range len(segment) {
		d := strings.IndexByte(base64Digits, segment[i])
		if d < 0 || shift > 30 {
			return nil, false
		}
		n |= (d & 31) << shift
		if d&32 != 0 {
			shift += 5
			continue
		}
		if n&1 == 1 {
			numbers = append(numbers, -(n >> 1))
		} else {
			numbers = append(numbers, n>>1)
		}
		n, shift = 0, 0
	}
	return numbers, shift == 0
}

// find returns where a place of the script (lines and columns from 1) was written.
func (s sourceLines) find(line, column int) (file string, atLine, atColumn int, ok bool) {
	if line < 1 || line > len(s.lines) {
		return "", 0, 0, false
	}
	list := s.lines[line-1]
	i := sort.Search(len(list), func(i int) bool { return list[i].column > column-1 }) - 1
	if i < 0 || list[i].source < 0 || list[i].source >= len(s.sources) {
		return "", 0, 0, false
	}
	m := list[i]
	return strings.TrimPrefix(s.sources[m.source], namespace+":"), m.line + 1, m.sourceColumn + 1, true
}

var frame = regexp.MustCompile(`^\s*at (.*?) ?\(?<eval>:(\d+)(?::(\d+))?\)?$`)

// stack rewrites the engine's stack to the files that people wrote, one line
// "    at name (../convex/file.ts:line:column)" each. Frames of the host are left out.
func (s sourceLines) stack(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		m := frame.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at, _ := strconv.Atoi(m[2])
		column, _ := strconv.Atoi(m[3])
		file, sourceLine, sourceColumn, ok := s.find(at-programLine, max(column, 1))
		if !ok {
			continue
		}
		name := m[1]
		if name == "" || name == "<anonymous>" {
			name = "<anonymous>"
		}
		b.WriteString("    at " + name + " (" + file + ":" + strconv.Itoa(sourceLine) + ":" + strconv.Itoa(sourceColumn) + ")\n")
	}
	return b.String()
}
