package deploy

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
)

type handle = func(pattern string, h func(*call) error)

// routes registers the routes of the origin of a deployment's functions. open
// is for everybody, admin asks for the deployment's admin key.
func (s *Surface) routes(surface route.Surface, mux *http.ServeMux, open, admin handle) {
	open("GET /{$}", func(c *call) error { return c.text("This Convex deployment is running. See https://docs.convex.dev/.") })
	open("GET /instance_name", func(c *call) error { return c.text(c.i.Deployment().Name) })
	open("GET /instance_version", func(c *call) error { return c.text(s.Version) })
	open("GET /version", func(c *call) error { return c.text(s.Version) })
	open("POST /echo", func(c *call) error {
		data, err := body(c.w, c.r, maxBody)
		if err != nil {
			return err
		}
		c.w.Header().Set("Content-Type", "application/octet-stream")
		_, err = c.w.Write(data)
		return err
	})

	open("POST /api/query", func(c *call) error { return c.function(runtime.Query) })
	open("POST /api/mutation", func(c *call) error { return c.function(runtime.Mutation) })
	open("POST /api/action", func(c *call) error { return c.function(runtime.Action) })
	open("GET /api/query", (*call).queryInURL)
	open("POST /api/run/{path...}", (*call).runPath)
	open("POST /api/query_ts", func(c *call) error { return c.json(map[string]string{"ts": encodeTimestamp(c.i.Data().Pin())}) })
	open("POST /api/query_at_ts", (*call).queryAt)
	open("POST /api/query_batch", (*call).queryBatch)
	admin("POST /api/function", (*call).anyFunction)
	admin("POST /api/run_test_function", (*call).inline)

	admin("POST /api/get_config_hashes", (*call).hashes)
	admin("POST /api/deploy2/evaluate_schema", (*call).evaluateSchema)
	admin("POST /api/deploy2/evaluate_push", (*call).evaluatePush)
	admin("POST /api/deploy2/start_push", (*call).startPush)
	admin("POST /api/deploy2/wait_for_schema", (*call).waitForSchema)
	admin("POST /api/deploy2/finish_push", (*call).finishPush)
	admin("POST /api/deploy2/report_push_completed", func(c *call) error {
		var spans json.RawMessage
		if err := c.read(maxBody, &spans); err != nil {
			return err
		}
		return c.json(struct{}{})
	})

	admin("POST /api/update_environment_variables", (*call).updateVariables)
	admin("POST /api/v1/update_environment_variables", (*call).updateVariables)
	admin("GET /api/v1/list_environment_variables", func(c *call) error {
		return c.json(convex.ListVariablesResponse{EnvironmentVariables: c.i.Variables()})
	})
	admin("GET /api/v1/get_canonical_urls", func(c *call) error {
		cloud, site := c.i.URLs()
		return c.json(convex.CanonicalURLs{CloudURL: cloud, SiteURL: site})
	})
	admin("GET /api/stream_function_logs", s.logs)

	open("POST /api/storage/upload", (*call).upload)
	socket := s.socket()
	mux.Handle("GET /api/sync", socket)
	mux.HandleFunc("GET /api/{version}/{name}", s.filesAndSockets(surface, socket))
}

// maxWait is how long a log stream waits for the next entry.
const maxWait = 60 * time.Second

// logs is the long poll of `convex logs`.
func (s *Surface) logs(c *call) error {
	at, err := strconv.ParseFloat(c.r.URL.Query().Get("cursor"), 64)
	if c.r.URL.Query().Get("cursor") != "" && (err != nil || at < 0 || at > 1<<62) {
		return fault.New(fault.Invalid, "The cursor is not a number.").WithCode("InvalidCursor")
	}
	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	for {
		entries, next, more := c.i.Logs(int64(at))
		answer := func() error { return c.json(map[string]any{"entries": entries, "newCursor": next}) }
		if len(entries) > 0 {
			return answer()
		}
		select {
		case <-more:
		case <-timeout.C:
			return answer()
		case <-s.stopped():
			return answer()
		case <-c.r.Context().Done():
			return c.r.Context().Err()
		}
	}
}

func (c *call) updateVariables() error {
	var req convex.UpdateVariablesRequest
	if err := c.read(maxBody, &req); err != nil {
		return err
	}
	changes := make([]deployment.Change, len(req.Changes))
	for i, ch := range req.Changes {
		changes[i] = deployment.Change{Name: ch.Name, Value: ch.Value}
	}
	if err := c.i.ChangeVariables(c.r.Context(), changes); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
