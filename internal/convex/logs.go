package convex

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/wire"
)

// PathStreamLogs is the route of a deployment's log stream.
const PathStreamLogs = "/api/stream_function_logs"

// logPoll bounds one poll: deployments answer an idle one after 60 seconds.
const logPoll = 75 * time.Second

// LogEntry is one entry of the log stream: what a function did (Completion),
// or what an action says while it runs (Progress).
type LogEntry struct {
	Kind          string          `json:"kind"`
	UDFType       string          `json:"udfType"`                 // Query, Mutation, Action, HttpAction
	Identifier    string          `json:"identifier"`              // module:function, or method and path
	Timestamp     float64         `json:"timestamp"`               // seconds since 1970
	ExecutionTime float64         `json:"executionTime,omitempty"` // seconds
	CachedResult  bool            `json:"cachedResult,omitempty"`
	Error         *string         `json:"error"`
	LogLines      []LogLine       `json:"logLines"`
	RequestID     string          `json:"requestId,omitempty"`
	Raw           json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the entry as it came beside what is read of it.
func (e *LogEntry) UnmarshalJSON(data []byte) error {
	type plain LogEntry
	if err := json.Unmarshal(data, (*plain)(e)); err != nil {
		return err
	}
	e.Raw = append(json.RawMessage(nil), data...)
	return nil
}

// LogLine is one line that a function printed.
type LogLine struct {
	Level     string // DEBUG, INFO, LOG, WARN, ERROR
	Text      string
	Timestamp float64 // milliseconds since 1970; 0 when the line does not say
	Truncated bool
}

// UnmarshalJSON reads both forms: an object, and the string "[LEVEL] text".
func (l *LogLine) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		l.Level, l.Text = "LOG", text
		if rest, ok := strings.CutPrefix(text, "["); ok {
			if level, message, ok := strings.Cut(rest, "] "); ok && !strings.ContainsAny(level, " [") {
				l.Level, l.Text = level, message
			}
		}
		return nil
	}
	var line struct {
		Messages    []string `json:"messages"`
		Level       string   `json:"level"`
		Timestamp   float64  `json:"timestamp"`
		IsTruncated bool     `json:"isTruncated"`
	}
	if err := json.Unmarshal(data, &line); err != nil {
		return err
	}
	*l = LogLine{line.Level, strings.Join(line.Messages, " "), line.Timestamp, line.IsTruncated}
	return nil
}

// Logs answers one poll of the log stream.
type Logs struct {
	Entries   []LogEntry `json:"entries"`
	NewCursor float64    `json:"newCursor"` // milliseconds
}

// Logs reads the entries after a cursor, 0 for all that are kept. It waits up
// to about a minute when there are none; a wait that ends without an answer
// within the deadline is an error of kind Unavailable. 403 (kind Denied) means
// that the key may not read logs: asking again is no use.
func (d *Deployment) Logs(ctx context.Context, cursor float64) (Logs, error) {
	client := d.Client
	client.Timeout, client.Retries = logPoll, -1 // the caller polls again
	out := Logs{NewCursor: cursor}
	err := client.Do(ctx, wire.Call{Method: http.MethodGet, Path: PathStreamLogs, Query: url.Values{"cursor": {strconv.FormatFloat(cursor, 'f', -1, 64)}}, Out: &out})
	return out, err
}
