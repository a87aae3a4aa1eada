package instance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/fault"
)

// HTTPRequest is a request to the deployment's HTTP actions.
type HTTPRequest struct {
	Method, URL string
	Header      [][2]string
	Body        []byte
}

// HTTPResponse is what an HTTP action answered.
type HTTPResponse struct {
	Status int
	Header [][2]string
	Body   []byte
}

// httpModule is where the router of HTTP actions is the default export.
const httpModule = "http.js"

// ErrNoHTTPActions says that no convex/http.ts was pushed.
var ErrNoHTTPActions = fault.New(fault.NotFound, "This Convex deployment does not have HTTP actions enabled.").WithCode("HttpActionsNotEnabled")

// HTTP runs the HTTP action that the router has for a request. What it threw is
// the Failure; path is how the log names the request.
func (i *Instance) HTTP(ctx context.Context, caller Caller, path string, r HTTPRequest) (*HTTPResponse, *Failure, error) {
	l := i.now()
	if l.program == nil || l.routes == nil {
		return nil, nil, ErrNoHTTPActions
	}
	var body *string
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		text := hex.EncodeToString(r.Body)
		body = &text
	}
	request, err := json.Marshal(map[string]any{"url": r.URL, "method": r.Method, "headers": r.Header, "body": body})
	if err != nil {
		return nil, nil, err
	}
	requestID, begun := newRequestID(), time.Now()
	out := Outcome{Kind: runtime.HTTPAction}
	out.Value, err = l.program.Run(ctx, runtime.Call{Module: httpModule, Export: "default", Kind: runtime.HTTPAction, Args: request, RequestID: requestID,
		Host: &actionHost{i: i, caller: caller}, Now: i.cfg.DB.Now(), Log: out.log})
	if e, ok := errors.AsType[*runtime.FunctionError](err); ok {
		out.Failure = i.failure(requestID, e)
		err = nil
	}
	if err != nil {
		return nil, nil, err
	}
	i.logs.completed(function{path: r.Method + " " + path, kind: runtime.HTTPAction}, caller, requestID, out, begun)
	if out.Failure != nil {
		return nil, out.Failure, nil
	}
	answer, err := readResponse(out.Value)
	return answer, nil, err
}

func readResponse(text []byte) (*HTTPResponse, error) {
	var raw struct {
		Status  int         `json:"status"`
		Headers [][2]string `json:"headers"`
		Body    *string     `json:"body"`
	}
	if err := json.Unmarshal(text, &raw); err != nil || raw.Status < 100 || raw.Status > 999 {
		return nil, fault.New(fault.Internal, "the answer of an HTTP action cannot be read")
	}
	answer := &HTTPResponse{Status: raw.Status, Header: raw.Headers}
	if raw.Body != nil {
		var err error
		if answer.Body, err = hex.DecodeString(*raw.Body); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the answer of an HTTP action cannot be read")
		}
	}
	return answer, nil
}
