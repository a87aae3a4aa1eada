package syncws

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/deployment/instance"
)

// version is a client's place: which queries it asks, as whom, and up to which
// commit it was told.
type version struct {
	querySet, identity uint32
	ts                 timestamp
}

// transition takes a client from one version to another. It is written by hand
// and not through encoding/json: results are encoded already, and one commit
// may be told to a thousand clients.
type transition struct {
	start, end version
	removed    []uint32
	changed    []change
	skew       float64 // ms, client minus server
	serverTS   int64   // ns since 1970
	logs       bool    // the client gets what functions logged
}

func (v version) append(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, `{"querySet":`...), uint64(v.querySet), 10)
	dst = strconv.AppendUint(append(dst, `,"identity":`...), uint64(v.identity), 10)
	text, _ := v.ts.MarshalText() // never fails
	return append(append(append(dst, `,"ts":"`...), text...), `"}`...)
}

func (t transition) append(dst []byte) []byte {
	dst = t.start.append(append(dst, `{"type":"Transition","startVersion":`...))
	dst = t.end.append(append(dst, `,"endVersion":`...))
	dst = append(dst, `,"modifications":[`...)
	for n, id := range t.removed {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(strconv.AppendUint(append(dst, `{"type":"QueryRemoved","queryId":`...), uint64(id), 10), '}')
	}
	for n, c := range t.changed {
		if n > 0 || len(t.removed) > 0 {
			dst = append(dst, ',')
		}
		dst = c.append(dst, t.logs)
	}
	dst = strconv.AppendFloat(append(dst, `],"clientClockSkew":`...), t.skew, 'f', -1, 64)
	return append(strconv.AppendInt(append(dst, `,"serverTs":`...), t.serverTS, 10), '}')
}

// append writes QueryUpdated or QueryFailed.
func (c change) append(dst []byte, logs bool) []byte {
	r := c.result
	if f := r.Failure; f != nil {
		dst = strconv.AppendUint(append(dst, `{"type":"QueryFailed","queryId":`...), uint64(c.id), 10)
		dst = appendText(append(dst, `,"errorMessage":`...), f.Message)
		if f.Data != nil {
			dst = append(append(dst, `,"errorData":`...), f.Data...)
		}
	} else {
		dst = strconv.AppendUint(append(dst, `{"type":"QueryUpdated","queryId":`...), uint64(c.id), 10)
		dst = append(append(dst, `,"value":`...), r.Value...)
	}
	dst = append(dst, `,"logLines":[`...)
	if logs {
		for n, line := range instance.PlainLogs(r.Logs) {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = appendText(dst, line)
		}
	}
	dst = append(dst, `],"journal":`...)
	if r.Journal == nil {
		return append(dst, `null}`...)
	}
	return append(appendText(dst, *r.Journal), '}')
}

func appendText(dst []byte, s string) []byte {
	text, _ := json.Marshal(s) // strings always encode
	return append(dst, text...)
}

// chunkSize is the size in bytes above which a transition is sent in parts.
const chunkSize = 5 << 20

func (s *session) sendTransition(t transition) error {
	s.buffer = t.append(s.buffer[:0])
	data := s.buffer
	if cap(s.buffer) > keptBuffer {
		s.buffer = nil
	}
	if len(data) <= chunkSize {
		return s.write(data)
	}
	parts := split(string(data), chunkSize)
	id := strconv.FormatInt(t.serverTS, 10)
	for n, part := range parts {
		if err := s.send(chunk{"TransitionChunk", part, n, len(parts), id}); err != nil {
			return err
		}
	}
	return nil
}

// keptBuffer is how many bytes of buffer a connection keeps from one message to the next.
const keptBuffer = 4 << 10

// split cuts a text into parts of at most n bytes, at characters.
func split(text string, n int) []string {
	var parts []string
	for len(text) > n {
		at := n
		for at > n-utf8.UTFMax && !utf8.RuneStart(text[at]) {
			at--
		}
		parts = append(parts, text[:at])
		text = text[at:]
	}
	return append(parts, text)
}
