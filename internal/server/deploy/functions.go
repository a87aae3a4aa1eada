package deploy

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// functionCall is the body of a call.
type functionCall struct {
	Path      string          `json:"path"`
	Args      json.RawMessage `json:"args"`
	Format    *string         `json:"format"`
	Component *string         `json:"componentPath"`
	Timestamp string          `json:"ts"`
}

// functionResult is R of the function API: a value or an error.
type functionResult struct {
	Status       string          `json:"status"`
	Value        json.RawMessage `json:"value,omitempty"`
	ErrorMessage string          `json:"errorMessage,omitempty"`
	ErrorData    json.RawMessage `json:"errorData,omitempty"`
	LogLines     []string        `json:"logLines,omitempty"`
}

// statusFailed is the status of calls by an admin whose function threw.
const statusFailed = 560

// functionPath is module path and name of an export: "dir/mod:fn" or "mod".
var functionPath = regexp.MustCompile(`^[A-Za-z0-9_.]+(/[A-Za-z0-9_.]+)*(:[A-Za-z_$][A-Za-z0-9_$]*)?$`)

func (f *functionCall) check() (value.Format, error) {
	name := ""
	if f.Format != nil {
		name = *f.Format
	}
	format, err := value.ParseFormat(name)
	if err != nil {
		return format, err
	}
	if len(f.Path) > 1024 || !functionPath.MatchString(f.Path) {
		return format, fault.New(fault.Invalid, "%q is not a valid path to a Convex function.", f.Path).WithCode("BadConvexFunctionIdentifier")
	}
	if f.Component != nil && *f.Component != "" {
		return format, fault.New(fault.Invalid, "Components are not supported by Berth.").WithCode("ComponentsNotSupported")
	}
	if string(f.Args) == "null" {
		f.Args = nil
	}
	return format, nil
}

// function answers a call of a function of one kind.
func (c *call) function(kind runtime.Kind) error {
	var f functionCall
	if err := c.read(maxBody, &f); err != nil {
		return err
	}
	return c.run(f, kind, http.StatusOK)
}

// queryInURL is a query whose parts are parameters of the URL.
func (c *call) queryInURL() error {
	q := c.r.URL.Query()
	f := functionCall{Path: q.Get("path")}
	if args := q.Get("args"); args != "" {
		if !json.Valid([]byte(args)) {
			return fault.New(fault.Invalid, "The args parameter is not JSON.").WithCode("BadArgs")
		}
		f.Args = json.RawMessage(args)
	}
	if q.Has("format") {
		format := q.Get("format")
		f.Format = &format
	}
	return c.run(f, runtime.Query, http.StatusOK)
}

// runPath is a call whose function is named by the URL: mod/fn.
func (c *call) runPath() error {
	p := c.r.PathValue("path")
	at := strings.LastIndexByte(p, '/')
	if at <= 0 || at == len(p)-1 {
		return fault.New(fault.Invalid, "The URL must name a function: /api/run/<module>/<function>.").WithCode("MissingIdentifier")
	}
	var f functionCall
	if err := c.read(maxBody, &f); err != nil {
		return err
	}
	f.Path = p[:at] + ":" + p[at+1:]
	return c.run(f, "", http.StatusOK)
}

// anyFunction is a call by an admin: any kind, internal functions too.
func (c *call) anyFunction() error {
	var f functionCall
	if err := c.read(maxBody, &f); err != nil {
		return err
	}
	return c.run(f, "", statusFailed)
}

// run runs a function and answers; failed is the status when it threw.
func (c *call) run(f functionCall, kind runtime.Kind, failed int) error {
	format, err := f.check()
	if err != nil {
		return err
	}
	if kind == "" || kind == runtime.Query {
		// What the command line's own queries read is there for admins.
		if c.caller.Admin && strings.HasPrefix(f.Path, "_system/") {
			out, known, err := c.i.System(f.Path, f.Args)
			if err != nil {
				return err
			}
			if known {
				return c.result(format, instance.Outcome{Value: out}, failed)
			}
		}
	}
	ctx := c.r.Context()
	var out instance.Outcome
	switch kind {
	case runtime.Query:
		out, err = c.i.Query(ctx, c.caller, f.Path, f.Args, nil)
	case runtime.Mutation:
		out, err = c.i.Mutation(ctx, c.caller, f.Path, f.Args)
	case runtime.Action:
		out, err = c.i.Action(ctx, c.caller, f.Path, f.Args)
	default:
		out, err = c.i.Call(ctx, c.caller, f.Path, f.Args)
	}
	if err != nil {
		return err
	}
	return c.result(format, out, failed)
}

func (c *call) result(format value.Format, out instance.Outcome, failed int) error {
	r, err := c.describe(format, out)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if r.Status == "error" {
		status = failed
	}
	return c.encoded(status, r)
}

func (c *call) encoded(status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, err = c.w.Write(data)
	return err
}

func (c *call) describe(format value.Format, out instance.Outcome) (functionResult, error) {
	r := functionResult{Status: "success"}
	// In production clients get neither what was thrown nor what was logged.
	if !c.i.Redacts() || c.caller.Admin {
		r.LogLines = instance.PlainLogs(out.Logs)
	}
	var err error
	if out.Failure == nil {
		r.Value, err = formatted(format, out.Value)
		return r, err
	}
	r.Status, r.ErrorMessage = "error", out.Failure.Message
	if out.Failure.Data != nil {
		r.ErrorData, err = formatted(format, out.Failure.Data)
	}
	return r, err
}

// formatted writes encoded JSON in the format that was asked for.
func formatted(format value.Format, encoded []byte) (json.RawMessage, error) {
	if format == value.Encoded {
		return encoded, nil
	}
	v, err := value.Parse(encoded)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "read a result")
	}
	return format.Write(nil, v), nil
}

func encodeTimestamp(ts database.Timestamp) string {
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, uint64(ts)))
}

func decodeTimestamp(text string) (database.Timestamp, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) != 8 {
		return 0, fault.New(fault.Invalid, "The timestamp is not base64 of 8 bytes.").WithCode("BadTimestamp")
	}
	return database.Timestamp(binary.LittleEndian.Uint64(data)), nil
}

// queryAt is a query at a moment that query_ts gave.
func (c *call) queryAt() error {
	var f functionCall
	if err := c.read(maxBody, &f); err != nil {
		return err
	}
	ts, err := decodeTimestamp(f.Timestamp)
	if err != nil {
		return err
	}
	return c.at(f, ts, func(r functionResult) error { return c.encoded(http.StatusOK, r) })
}

func (c *call) at(f functionCall, ts database.Timestamp, done func(functionResult) error) error {
	format, err := f.check()
	if err != nil {
		return err
	}
	out, ok, err := c.i.QueryAt(c.r.Context(), c.caller, f.Path, f.Args, ts)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Invalid, "The timestamp is not one of the last 30 seconds. Ask for another one.").WithCode("TimestampOutOfRange")
	}
	r, err := c.describe(format, out)
	if err != nil {
		return err
	}
	return done(r)
}

// maxBatch bounds the queries of a batch.
const maxBatch = 100

// queryBatch runs queries that all see the same moment.
func (c *call) queryBatch() error {
	var req struct {
		Queries []functionCall `json:"queries"`
	}
	if err := c.read(maxBody, &req); err != nil {
		return err
	}
	if len(req.Queries) > maxBatch {
		return fault.New(fault.Invalid, "A batch has at most %d queries.", maxBatch).WithCode("TooManyQueries")
	}
	ts := c.i.Data().Pin()
	results := []functionResult{}
	for _, f := range req.Queries {
		err := c.at(f, ts, func(r functionResult) error {
			results = append(results, r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.encoded(http.StatusOK, map[string]any{"results": results})
}

// inline runs the query of `convex run --inline-query`.
func (c *call) inline() error {
	var req struct {
		Args        json.RawMessage `json:"args"`
		Format      *string         `json:"format"`
		ComponentID *string         `json:"componentId"`
		Bundle      struct {
			Path   string `json:"path"`
			Source string `json:"source"`
		} `json:"bundle"`
	}
	if err := c.read(maxBody, &req); err != nil {
		return err
	}
	f := functionCall{Path: "testQuery", Args: req.Args, Format: req.Format, Component: req.ComponentID}
	format, err := f.check()
	if err != nil {
		return err
	}
	if req.Bundle.Source == "" {
		return fault.New(fault.Invalid, "The bundle has no source.").WithCode("BadJsonBody")
	}
	out, err := c.i.Inline(c.r.Context(), c.caller, req.Bundle.Source, f.Args)
	if err != nil {
		return err
	}
	return c.result(format, out, statusFailed)
}
