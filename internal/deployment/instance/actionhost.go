package instance

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/fault"
)

// actionHost answers an action. Its calls may come at the same time.
type actionHost struct {
	i      *Instance
	caller Caller
}

// Syscall implements [runtime.Host].
func (h *actionHost) Syscall(op string, args []byte) ([]byte, error) {
	return newTxHost(h.i, h.i.now(), h.caller, h.i.data.Begin(), false).Syscall(op, args)
}

// AsyncSyscall implements [runtime.Host].
func (h *actionHost) AsyncSyscall(ctx context.Context, op string, args []byte) ([]byte, error) {
	switch op {
	case "1.0/getUserIdentity":
		return identity(h.caller)
	case "1.0/actions/query", "1.0/actions/mutation", "1.0/actions/action":
		a, err := parsed[target](op, args)
		if err != nil {
			return nil, err
		}
		p, err := a.path()
		if err != nil {
			return nil, err
		}
		caller := h.caller
		caller.Admin, caller.Name, caller.Refused = true, "Action", nil
		kind := map[string]runtime.Kind{"query": runtime.Query, "mutation": runtime.Mutation, "action": runtime.Action}[strings.TrimPrefix(op, "1.0/actions/")]
		out, err := h.i.call(ctx, caller, p, a.Args, kind, nil)
		if err != nil {
			return nil, err
		}
		if out.Failure != nil {
			text := strings.TrimPrefix(strings.TrimPrefix(out.Failure.full, "Uncaught "), "Error: ")
			return nil, &runtime.HostError{Message: text, Data: out.Failure.Data}
		}
		return out.Value, nil
	case "1.0/actions/schedule", "1.0/actions/cancel_job":
		tx := h.i.data.Begin()
		do := func() ([]byte, error) { return scheduleJob(tx, h.i.now(), args) }
		if op == "1.0/actions/cancel_job" {
			do = func() ([]byte, error) { return cancelJob(tx, args) }
		}
		out, err := do()
		if err != nil {
			return nil, err
		}
		_, err = h.i.data.Commit(ctx, tx)
		return out, err
	case "fetch":
		return h.i.fetch(ctx, args)
	case "storeBlob", "getBlob":
		return h.i.blob(ctx, op, args)
	case "1.0/getFunctionMetadata", "1.0/getDeploymentMetadata", "1.0/getRequestMetadata":
		return h.i.metadata(op)
	}
	if strings.HasPrefix(op, "1.0/storage") {
		tx := h.i.data.Begin()
		var gone []string
		out, err := h.i.storage(ctx, tx, &gone, op, args)
		if err != nil {
			return nil, err
		}
		if _, err := h.i.data.Commit(ctx, tx); err != nil {
			return nil, err
		}
		return out, h.i.dropFiles(ctx, gone)
	}
	return nil, unsupported(op)
}

// maxFetch bounds what an action gets by fetch, in bytes.
const maxFetch = 20 << 20

// fetch sends a request of an action.
func (i *Instance) fetch(ctx context.Context, args []byte) ([]byte, error) {
	a, err := parsed[struct {
		URL, Method, Redirect string
		Headers               [][2]string
		Body                  *string
	}]("fetch", args)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if a.Body != nil {
		data, err := hex.DecodeString(*a.Body)
		if err != nil {
			return nil, fault.New(fault.Invalid, "fetch: the body cannot be read")
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, a.Method, a.URL, body)
	if err != nil {
		return nil, fault.New(fault.Invalid, "fetch: %s cannot be requested", a.URL)
	}
	for _, h := range a.Headers {
		req.Header.Add(h[0], h[1])
	}
	client := *httpClient(i.cfg.HTTP)
	if a.Redirect != "follow" {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "fetch %s failed: %v", req.URL.Redacted(), rootCause(err))
	}
	defer resp.Body.Close()
	if a.Redirect == "error" && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, fault.New(fault.Invalid, "fetch %s: redirected", req.URL.Redacted())
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxFetch+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "fetch %s: the answer broke off", req.URL.Redacted())
	}
	if len(data) > maxFetch {
		return nil, fault.New(fault.Invalid, "fetch %s: the answer is larger than %d bytes", req.URL.Redacted(), maxFetch)
	}
	headers := [][2]string{}
	for name, values := range resp.Header {
		for _, v := range values {
			headers = append(headers, [2]string{name, v})
		}
	}
	return json.Marshal(map[string]any{"status": resp.StatusCode, "statusText": http.StatusText(resp.StatusCode), "headers": headers, "url": resp.Request.URL.String(), "body": hex.EncodeToString(data)})
}

// rootCause is the innermost error: the outer ones repeat the address.
func rootCause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
