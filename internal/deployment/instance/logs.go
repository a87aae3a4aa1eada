package instance

import (
	"sync"
	"time"

	"github.com/berthdev/berth/internal/deployment/runtime"
)

// LogEntry is one entry of the log stream (stream_function_logs).
type LogEntry struct {
	Kind          string    `json:"kind"` // Completion
	UDFType       string    `json:"udfType"`
	Identifier    string    `json:"identifier"`
	ComponentPath *string   `json:"componentPath"`
	LogLines      []LogLine `json:"logLines"`
	Timestamp     float64   `json:"timestamp"`     // seconds since 1970
	ExecutionTime float64   `json:"executionTime"` // seconds
	Success       any       `json:"success"`
	Error         *string   `json:"error"`
	CachedResult  bool      `json:"cachedResult"`
	RequestID     string    `json:"requestId"`
	ExecutionID   string    `json:"executionId"`
	Caller        string    `json:"caller"`
	Environment   string    `json:"environment"`
	IdentityType  string    `json:"identityType"`
	UsageStats    struct{}  `json:"usageStats"`
	ReturnBytes   *int      `json:"returnBytes"`
	WillRetry     bool      `json:"willRetry"`
	cursor        int64
}

// LogLine is one line of console in the log stream.
type LogLine struct {
	Messages    []string `json:"messages"`
	Level       string   `json:"level"`
	Timestamp   int64    `json:"timestamp"` // milliseconds since 1970
	IsTruncated bool     `json:"isTruncated"`
}

// keptLogs is how many entries a deployment remembers.
const keptLogs = 1000

// logRing holds the last entries. Cursors grow with every entry and begin at
// the time, so that one from before a restart is behind all new ones.
type logRing struct {
	mu      sync.Mutex
	entries []LogEntry
	last    int64
	more    chan struct{}
}

func newLogRing() *logRing { return &logRing{last: time.Now().UnixMilli(), more: make(chan struct{})} }

func (r *logRing) completed(f function, caller Caller, requestID string, out Outcome, begun time.Time) {
	e := LogEntry{Kind: "Completion", UDFType: string(f.kind), Identifier: f.path, LogLines: []LogLine{}, Timestamp: float64(time.Now().UnixMilli()) / 1000,
		ExecutionTime: time.Since(begun).Seconds(), RequestID: requestID, ExecutionID: newRequestID(), Caller: caller.Name, Environment: "isolate", IdentityType: identityType(caller)}
	for _, l := range out.Logs {
		e.LogLines = append(e.LogLines, LogLine{Messages: l.Messages, Level: l.Level, Timestamp: l.Time.UnixMilli(), IsTruncated: l.Truncated})
	}
	if out.Failure != nil {
		e.Error = &out.Failure.full
	} else {
		n := len(out.Value)
		e.ReturnBytes = &n
	}
	r.add(e)
}

func identityType(c Caller) string {
	switch {
	case c.Identity != nil && c.Admin && c.Name == "HttpApi":
		return "member_acting_user"
	case c.Identity != nil:
		return "user"
	case c.Name == "Scheduler" || c.Name == "Cron":
		return "system"
	case c.Admin && c.Name != "Action":
		return "instance_admin"
	}
	return "unknown"
}

func (r *logRing) add(e LogEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.cursor = r.last
	if len(r.entries) >= 2*keptLogs {
		r.entries = append([]LogEntry(nil), r.entries[keptLogs:]...)
	}
	r.entries = append(r.entries, e)
	close(r.more)
	r.more = make(chan struct{})
}

// Logs returns the entries after a cursor (0: all that are kept), the next
// cursor, and a channel that is closed when there are more.
func (i *Instance) Logs(cursor int64) (entries []LogEntry, next int64, more <-chan struct{}) {
	r := i.logs
	r.mu.Lock()
	defer r.mu.Unlock()
	entries = []LogEntry{}
	for _, e := range r.entries {
		if e.cursor > cursor {
			entries = append(entries, e)
		}
	}
	if len(entries) > keptLogs {
		entries = entries[len(entries)-keptLogs:]
	}
	return entries, max(cursor, r.last), r.more
}

// PlainLogs writes log lines as clients other than the command line get them.
func PlainLogs(lines []runtime.LogLine) []string {
	out := make([]string, len(lines))
	for n, l := range lines {
		out[n] = "[" + l.Level + "]"
		for _, m := range l.Messages {
			out[n] += " " + m
		}
	}
	return out
}
