package syncws

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/fault"
)

// Times and bounds of a connection.
const (
	silence      = 15 * time.Second // after which a Ping is sent
	pingEvery    = 30 * time.Second // protocol pings, which find out that the client is gone
	pongWithin   = 60 * time.Second
	writeWithin  = 30 * time.Second
	maxMutations = 1000    // that wait
	maxActions   = 64      // at once
	maxQueries   = 4096    // of one client
	chunkSize    = 5 << 20 // bytes; larger transitions are sent in parts
)

// session is one connection. Its fields belong to the goroutine of run, but for
// those that say otherwise.
type session struct {
	h    *Handler
	i    *instance.Instance
	conn *websocket.Conn

	connected bool
	at        version
	skew      float64
	caller    instance.Caller
	queries   map[uint32]*query
	removed   []uint32           // since the last transition
	authSet   bool               // the identity changed since the last transition
	owed      database.Timestamp // a transition up to here is due, for a mutation
	owes      bool

	in        chan fromClient
	done      chan any // responses of mutations and actions
	mutations chan work
	actions   chan struct{}

	writing  sync.Mutex
	lastSent time.Time
}

type query struct {
	path    string
	args    []byte
	journal *string
	sent    *instance.Outcome // what the client has
}

type work struct {
	message fromClient
	caller  instance.Caller
}

func newSession(h *Handler, i *instance.Instance, conn *websocket.Conn) *session {
	return &session{h: h, i: i, conn: conn, caller: instance.Caller{Name: "SyncWorker"}, queries: map[uint32]*query{},
		in: make(chan fromClient, 16), done: make(chan any, 16), mutations: make(chan work, maxMutations), actions: make(chan struct{}, maxActions)}
}

// run serves the connection until it ends, with the error that ended it.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel(nil)
	helpers.Go(func() { cancel(s.read(ctx)) })
	helpers.Go(func() { s.mutate(ctx) })
	helpers.Go(func() { s.probe(ctx, cancel) })
	quiet := time.NewTicker(silence)
	defer quiet.Stop()
	for {
		// Taken before the state is looked at, so that nothing is missed.
		moved := s.i.Moved()
		_, committed, _ := s.i.Data().Since(s.i.Data().Timestamp())
		if err := s.update(ctx); err != nil {
			return s.ended(ctx, err)
		}
		if !s.connected || len(s.queries) == 0 {
			committed = nil
		}
		select {
		case <-ctx.Done():
			return s.ended(ctx, context.Cause(ctx))
		case m := <-s.in:
			if err := s.handle(ctx, m); err != nil {
				return s.ended(ctx, err)
			}
			// What came with it is handled before anything is computed.
			for more := true; more; {
				select {
				case m := <-s.in:
					if err := s.handle(ctx, m); err != nil {
						return s.ended(ctx, err)
					}
				default:
					more = false
				}
			}
		case r := <-s.done:
			if err := s.respond(ctx, r); err != nil {
				return s.ended(ctx, err)
			}
		case <-moved:
		case <-committed:
		case <-quiet.C:
			if time.Since(s.last()) >= silence {
				if err := s.send(ctx, ping{"Ping"}); err != nil {
					return s.ended(ctx, err)
				}
			}
		}
	}
}

// ended turns a refusal of the client's identity into its messages.
func (s *session) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && context.Cause(ctx) != nil {
		if _, ok := err.(*closing); !ok {
			return context.Cause(ctx)
		}
	}
	return err
}

// read hands on what the client sends.
func (s *session) read(ctx context.Context) error {
	for {
		kind, data, err := s.conn.Read(ctx)
		if err != nil {
			return err
		}
		var m fromClient
		if kind != websocket.MessageText || json.Unmarshal(data, &m) != nil {
			return s.fatal(ctx, "Received a message that cannot be read")
		}
		select {
		case s.in <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// probe finds out that the client is gone.
func (s *session) probe(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pingEvery):
		}
		wait, stop := context.WithTimeout(ctx, pongWithin)
		err := s.conn.Ping(wait)
		stop()
		if err != nil {
			cancel(err)
			return
		}
	}
}

func (s *session) last() time.Time {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.lastSent
}

func (s *session) send(ctx context.Context, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(ctx, data)
}

func (s *session) write(ctx context.Context, data []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	s.lastSent = time.Now()
	return s.conn.Write(ctx, websocket.MessageText, data)
}

func (s *session) fatal(ctx context.Context, format string, args ...any) error {
	if err := s.send(ctx, fatalError{"FatalError", fmt.Sprintf(format, args...)}); err != nil {
		return err
	}
	return withoutCode
}

func (s *session) handle(ctx context.Context, m fromClient) error {
	if !s.connected && m.Type != "Connect" {
		return s.fatal(ctx, "The first message must be Connect, got %s", m.Type)
	}
	switch m.Type {
	case "Connect":
		if s.connected {
			return s.fatal(ctx, "Connect was sent twice")
		}
		s.connected = true
		if m.ClientTS != nil {
			s.skew = *m.ClientTS - float64(time.Now().UnixMilli())
		}
		return nil
	case "Authenticate":
		return s.authenticate(ctx, m)
	case "ModifyQuerySet":
		return s.modify(ctx, m)
	case "Mutation", "Action":
		return s.start(ctx, m)
	case "Event":
		return nil
	}
	return s.fatal(ctx, "Unknown message type %q", m.Type)
}

func (s *session) authenticate(ctx context.Context, m fromClient) error {
	if m.BaseVersion != s.at.Identity+pending(s.authSet) {
		return s.fatal(ctx, "Base version %d passed up doesn't match the current version %d", m.BaseVersion, s.at.Identity)
	}
	caller := instance.Caller{Name: "SyncWorker"}
	var refusal *deployment.Refusal
	switch m.TokenType {
	case "None":
	case "Admin":
		caller, refusal = s.h.Admin(ctx, s.i, m.Value)
		caller.Name = "SyncWorker"
	case "User":
		caller.Identity, refusal = s.i.Accept(ctx, m.Value)
	default:
		return s.fatal(ctx, "Unknown token type %q", m.TokenType)
	}
	if refusal != nil {
		return s.refuse(ctx, refusal, m.BaseVersion, true)
	}
	// One transition may carry one step of identity: what came before is sent first.
	if s.authSet {
		if err := s.update(ctx); err != nil {
			return err
		}
	}
	s.caller, s.authSet = caller, true
	for _, q := range s.queries {
		q.sent = nil
	}
	return nil
}

func pending(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}

// refuse ends the connection because of its identity, in the way of each cause.
func (s *session) refuse(ctx context.Context, r *deployment.Refusal, base uint32, attempted bool) error {
	switch {
	case r.Status == 400 || r.Status == 401 || r.Status == 403:
		if err := s.send(ctx, authError{"AuthError", r.Text(s.i.Redacts()), base, attempted}); err != nil {
			return err
		}
		return withoutCode
	case r.Status == 404:
		return &closing{code: websocket.StatusNormalClosure}
	case r.Code == "InternalServerError":
		return &closing{code: websocket.StatusInternalError, reason: "InternalServerError"}
	}
	return &closing{code: websocket.StatusTryAgainLater, reason: r.Code}
}

// expired ends the connection when the token that it was accepted with has run out.
func (s *session) expired(ctx context.Context) error {
	if s.caller.Identity == nil {
		return nil
	}
	if r := s.caller.Identity.Expired(time.Now()); r != nil {
		return s.refuse(ctx, r, s.at.Identity+pending(s.authSet), false)
	}
	return nil
}

func (s *session) modify(ctx context.Context, m fromClient) error {
	if m.BaseVersion != s.at.QuerySet {
		return s.fatal(ctx, "Base version %d passed up doesn't match the current version %d", m.BaseVersion, s.at.QuerySet)
	}
	if m.NewVersion <= m.BaseVersion {
		return s.fatal(ctx, "The new version %d of the query set is not behind %d", m.NewVersion, m.BaseVersion)
	}
	for _, c := range m.Modifications {
		switch c.Type {
		case "Add":
			if _, twice := s.queries[c.QueryID]; twice {
				return s.fatal(ctx, "Duplicate query ID: %d", c.QueryID)
			}
			if len(s.queries) >= maxQueries {
				return s.fatal(ctx, "A client can subscribe to at most %d queries", maxQueries)
			}
			s.queries[c.QueryID] = &query{path: c.UDFPath, args: c.Args, journal: c.Journal}
		case "Remove":
			if _, there := s.queries[c.QueryID]; !there {
				return s.fatal(ctx, "Nonexistent query ID: %d", c.QueryID)
			}
			delete(s.queries, c.QueryID)
			s.removed = append(s.removed, c.QueryID)
		default:
			return s.fatal(ctx, "Unknown modification %q", c.Type)
		}
	}
	return s.transition(ctx, m.NewVersion)
}

// update sends a transition when anything changed for the client.
func (s *session) update(ctx context.Context) error {
	if !s.connected {
		return nil
	}
	return s.transition(ctx, s.at.QuerySet)
}

// transition brings the client to a set of queries, its identity and the latest
// commit, with all results that differ from what it has.
func (s *session) transition(ctx context.Context, querySet uint32) error {
	if len(s.queries) > 0 {
		if err := s.expired(ctx); err != nil {
			return err
		}
	}
	results, ts, err := s.results(ctx)
	if err != nil {
		return err
	}
	end := version{QuerySet: querySet, Identity: s.at.Identity + pending(s.authSet), TS: timestamp(max(ts, database.Timestamp(s.at.TS)))}
	t := transition{Type: "Transition", StartVersion: s.at, EndVersion: end, Modifications: []change{}, ClientClockSkew: s.skew, ServerTS: time.Now().UnixNano()}
	for _, id := range s.removed {
		t.Modifications = append(t.Modifications, change{Type: "QueryRemoved", QueryID: id})
	}
	for id, out := range results {
		q := s.queries[id]
		if q.sent != nil && same(*q.sent, out) {
			q.sent = &out
			continue
		}
		t.Modifications = append(t.Modifications, s.changed(id, out))
		q.sent = &out
		if out.Journal != nil {
			q.journal = out.Journal
		}
	}
	due := s.owes && ts >= s.owed
	if len(t.Modifications) == 0 && end.QuerySet == s.at.QuerySet && end.Identity == s.at.Identity && !due {
		return nil
	}
	s.at, s.removed, s.authSet = end, nil, false
	if due {
		s.owes = false
	}
	return s.sendTransition(ctx, t)
}

func same(a, b instance.Outcome) bool {
	if (a.Failure == nil) != (b.Failure == nil) {
		return false
	}
	if a.Failure != nil {
		return a.Timestamp == b.Timestamp // the message names the request
	}
	return string(a.Value) == string(b.Value)
}

// results returns what each query gives, all at one commit.
func (s *session) results(ctx context.Context) (map[uint32]instance.Outcome, database.Timestamp, error) {
	for attempt := 0; ; attempt++ {
		ts := s.i.Data().Timestamp()
		all := make(map[uint32]instance.Outcome, len(s.queries))
		consistent := true
		for id, q := range s.queries {
			out, upTo, err := s.result(ctx, q)
			if err != nil {
				return nil, 0, err
			}
			// It holds from its own commit to upTo; ts must be among them.
			consistent = consistent && out.Timestamp <= ts && ts <= upTo
			all[id] = out
		}
		if consistent {
			return all, ts, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if attempt > 50 {
			// Writes come faster than this client's queries run: wait for a pause.
			time.Sleep(time.Duration(min(attempt, 100)) * time.Millisecond)
		}
	}
}

func (s *session) result(ctx context.Context, q *query) (instance.Outcome, database.Timestamp, error) {
	if !strings.HasPrefix(q.path, "_system/") {
		return s.i.SharedQuery(ctx, s.caller, q.path, q.args, q.journal)
	}
	const always = ^database.Timestamp(0)
	if !s.caller.Admin {
		return instance.Outcome{Failure: &instance.Failure{Message: "You do not have permission to perform this operation"}}, always, nil
	}
	out, known, err := s.i.System(q.path, q.args)
	if !known {
		return instance.Outcome{Failure: &instance.Failure{Message: fmt.Sprintf("Could not find function for '%s'. It is not supported by Berth.", q.path)}}, always, nil
	}
	if err != nil {
		return instance.Outcome{Failure: &instance.Failure{Message: fault.From(err).Message}}, always, nil
	}
	return instance.Outcome{Value: out}, always, nil
}

func (s *session) changed(id uint32, out instance.Outcome) change {
	c := change{Type: "QueryUpdated", QueryID: id, Value: out.Value, LogLines: s.logs(out), Journal: out.Journal}
	if f := out.Failure; f != nil {
		c.Type, c.Value, c.ErrorMessage, c.ErrorData = "QueryFailed", nil, &f.Message, f.Data
	}
	return c
}

// logs are what clients see of a function's log: nothing in production.
func (s *session) logs(out instance.Outcome) []string {
	if s.i.Redacts() && !s.caller.Admin {
		return []string{}
	}
	return instance.PlainLogs(out.Logs)
}

func (s *session) sendTransition(ctx context.Context, t transition) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if len(data) <= chunkSize {
		return s.write(ctx, data)
	}
	parts := split(string(data), chunkSize)
	id := fmt.Sprintf("%d", time.Now().UnixNano())
	for n, part := range parts {
		if err := s.send(ctx, chunk{"TransitionChunk", part, n, len(parts), id}); err != nil {
			return err
		}
	}
	return nil
}

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
