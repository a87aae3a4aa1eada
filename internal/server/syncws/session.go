package syncws

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/instance"
)

// Times and bounds of a connection.
const (
	silence      = 15 * time.Second  // after which a Ping is sent
	pingEvery    = 30 * time.Second  // protocol pings, which find out that the client is gone
	pongWithin   = 120 * time.Second // or the client is taken for gone
	writeWithin  = 30 * time.Second  // a client that takes longer to receive a message is cut off
	maxMutations = 1000              // that wait
	maxWaiting   = 32 << 20          // bytes of the arguments of those
	maxActions   = 64                // at once
	maxQueries   = 4096              // of one client
)

// session is one connection. Its fields belong to the goroutine of run, but for
// those that say otherwise. What a client has not received yet is not kept: a
// slow one gets the latest results when it is ready for more.
type session struct {
	h    *Handler
	i    *instance.Instance
	conn *websocket.Conn

	base    context.Context // of the server: what was begun is finished when the client is gone
	ctx     context.Context // of the connection
	cancel  context.CancelCauseFunc
	helpers sync.WaitGroup

	connected bool
	id        string // of the client, the same when it connects again
	at        version
	skew      float64
	caller    instance.Caller
	queries   map[uint32]*query
	removed   []uint32           // since the last transition
	authSet   bool               // the identity changed since the last transition
	owed      database.Timestamp // a transition up to here is due, for a mutation
	owes      bool
	quiet     *time.Timer
	buffer    []byte

	in        chan fromClient
	done      chan finished
	mutations mutationQueue
	actions   chan struct{}
}

func newSession(ctx context.Context, h *Handler, i *instance.Instance, conn *websocket.Conn) *session {
	s := &session{h: h, i: i, conn: conn, base: ctx, caller: instance.Caller{Name: caller}, queries: map[uint32]*query{},
		quiet: time.NewTimer(silence), in: make(chan fromClient, 2), done: make(chan finished, 2), actions: make(chan struct{}, maxActions)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// caller names this surface in the log of a deployment.
const caller = "SyncWorker"

// run serves the connection until it ends, with the error that ended it. The
// connection is still open then.
func (s *session) run() error {
	defer s.cancel(nil)
	defer s.quiet.Stop()
	s.helpers.Go(s.read)
	s.helpers.Go(s.probe)
	for {
		// Taken before the state is looked at, so that nothing is missed.
		moved := s.i.Moved()
		_, committed, _ := s.i.Data().Since(s.i.Data().Timestamp())
		if err := s.update(); err != nil {
			return s.cause(err)
		}
		if len(s.queries) == 0 {
			moved, committed = nil, nil
		}
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case m := <-s.in:
			if err := s.handle(m); err != nil {
				return s.cause(err)
			}
			// What came with it is handled before anything is computed.
			for range cap(s.in) {
				select {
				case m := <-s.in:
					if err := s.handle(m); err != nil {
						return s.cause(err)
					}
				default:
				}
			}
		case f := <-s.done:
			if err := s.respond(f); err != nil {
				return s.cause(err)
			}
		case <-s.i.Closed():
			return &closing{code: websocket.StatusTryAgainLater, reason: "DeploymentClosed"}
		case <-moved:
		case <-committed:
		case <-s.quiet.C:
			if err := s.send(ping{"Ping"}); err != nil {
				return s.cause(err)
			}
		}
	}
}

// end waits for what the connection has under way. It is closed by now.
func (s *session) end() {
	s.helpers.Wait()
	for _, q := range s.queries {
		q.close()
	}
}

// cause is why the connection ended, where err may only follow from that.
func (s *session) cause(err error) error {
	if _, closes := err.(*closing); !closes && s.ctx.Err() != nil { //nolint:errorlint // never wrapped
		return context.Cause(s.ctx)
	}
	return err
}

// read hands on what the client sends. It ends with the connection, not with
// the session: reading is what answers the client's close frame.
func (s *session) read() {
	for {
		kind, data, err := s.conn.Read(context.WithoutCancel(s.ctx))
		if err != nil {
			s.cancel(errGone)
			return
		}
		var m fromClient
		if kind != websocket.MessageText || json.Unmarshal(data, &m) != nil {
			m = fromClient{Type: unreadable}
		}
		select {
		case s.in <- m:
		case <-s.ctx.Done():
			return
		}
	}
}

// unreadable is the type of messages that are none.
const unreadable = "\x00"

// probe finds out that the client is gone.
func (s *session) probe() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		// Not of s.ctx: its end would cut the connection off before its close frame.
		wait, stop := context.WithTimeout(context.WithoutCancel(s.ctx), pongWithin)
		err := s.conn.Ping(wait)
		stop()
		if err != nil {
			s.cancel(errGone)
			return
		}
	}
}

func (s *session) send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(data)
}

func (s *session) write(data []byte) error {
	// Not of s.ctx: what is written while that ends is the reason.
	ctx, cancel := context.WithTimeout(s.base, writeWithin)
	defer cancel()
	s.quiet.Reset(silence)
	if err := s.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return errGone
	}
	return nil
}

func (s *session) fatal(format string, args ...any) error {
	if err := s.send(fatalError{"FatalError", fmt.Sprintf(format, args...)}); err != nil {
		return err
	}
	return withoutCode
}

func (s *session) handle(m fromClient) error {
	switch {
	case m.Type == unreadable:
		return s.fatal("Received a message that cannot be read")
	case m.Type == "Connect":
		if s.connected {
			return s.fatal("Connect was sent twice")
		}
		s.connected, s.id = true, m.SessionID
		if m.ClientTS != nil {
			s.skew = *m.ClientTS - float64(s.i.Now().UnixMilli())
		}
		return nil
	case !s.connected:
		return s.fatal("The first message must be Connect, got %q", m.Type)
	}
	switch m.Type {
	case "Authenticate":
		return s.authenticate(m)
	case "ModifyQuerySet":
		return s.modify(m)
	case "Mutation", "Action":
		return s.start(m)
	case "Event":
		return nil
	}
	return s.fatal("Unknown message type %q", m.Type)
}
