package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/berthdev/berth/internal/fault"
)

// maxBatch bounds how many writes share one commit, so that no caller waits
// behind an unbounded batch.
const maxBatch = 256

// writer runs all writes on one connection. Writes that arrive while a commit
// is being synced to disk share the next one: durability costs one sync per
// batch, not per write. A write that fails is rolled back to its savepoint and
// takes no other with it.
type writer struct {
	queue    chan *write
	stopping chan struct{}          // closed by stop: no write is taken any more
	done     chan struct{}          // closed when the queue is done
	hooked   func()                 // called after a commit with events that an endpoint may want
	changed  func(*changedSessions) // called after a commit, before its writes return
}

type write struct {
	ctx    context.Context
	run    func(*tx) error
	result chan error
}

// tx is a running write transaction with its prepared statements.
type tx struct {
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// hooked: the batch has events that an endpoint may want.
	hooked bool
	// changed: whose sessions the batch changed.
	changed changedSessions
}

func startWriter(ctx context.Context, pool *sql.DB, hooked func(), changed func(*changedSessions)) (*writer, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the writer: %w", err)
	}
	w := &writer{queue: make(chan *write), stopping: make(chan struct{}), done: make(chan struct{}), hooked: hooked, changed: changed}
	go w.loop(&tx{ctx: context.Background(), conn: conn, stmts: map[string]*sql.Stmt{}})
	return w, nil
}

func (w *writer) stop() {
	close(w.stopping)
	<-w.done
}

// write runs fn in a transaction and returns when it is durable, or not at
// all. fn may run on another goroutine and must not keep its *tx.
func (db *DB) write(ctx context.Context, fn func(*tx) error) error {
	w := &write{ctx: ctx, run: fn, result: make(chan error, 1)}
	select {
	case db.writer.queue <- w:
	case <-db.writer.done:
		return fault.New(fault.Unavailable, "the database is closed")
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.Unavailable, "the request ended before its write began")
	}
	// Once queued the write may commit: wait for the truth, not for ctx.
	return <-w.result
}

func (w *writer) loop(t *tx) {
	defer close(w.done)
	defer t.conn.Close()
	batch := make([]*write, 0, maxBatch)
	results := make([]error, 0, maxBatch)
	for {
		select {
		case first := <-w.queue:
			batch = append(batch[:0], first)
			results = w.collectAndRun(t, batch, results[:0])
		case <-w.stopping:
			return
		}
	}
}

func (w *writer) collectAndRun(t *tx, batch []*write, results []error) []error {
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		batch[0].result <- fmt.Errorf("begin: %w", err)
		return results
	}
	for i := 0; i < len(batch); i++ {
		results = append(results, t.runOne(batch[i]))
		if len(batch) < maxBatch {
			if next := w.next(); next != nil {
				batch = append(batch, next)
			}
		}
	}
	if _, err := t.exec("COMMIT"); err != nil {
		_, _ = t.exec("ROLLBACK")
		for i := range results {
			if results[i] == nil {
				results[i] = fmt.Errorf("commit: %w", err)
			}
		}
	}
	w.changed(&t.changed)
	t.changed.reset()
	if t.hooked {
		t.hooked = false
		w.hooked()
	}
	for i, b := range batch {
		b.result <- results[i]
	}
	return results
}

// next returns a write that waits, or nil. Before the batch is closed, whoever
// is about to write gets the chance to: on a busy machine several more do, which
// saves them a sync of their own, and on an idle one the call returns at once.
func (w *writer) next() *write {
	for range 2 {
		select {
		case next := <-w.queue:
			return next
		default:
			runtime.Gosched()
		}
	}
	return nil
}

func (t *tx) runOne(w *write) (err error) {
	if w.ctx.Err() != nil {
		return fault.Wrap(w.ctx.Err(), fault.Unavailable, "the request ended before its write began")
	}
	if _, err := t.exec("SAVEPOINT w"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write panicked: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			_, _ = t.exec("ROLLBACK TO w")
		}
		if _, relErr := t.exec("RELEASE w"); err == nil && relErr != nil {
			err = fmt.Errorf("release: %w", relErr)
		}
	}()
	return w.run(t)
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.stmts[query] = s
	return s, nil
}

// exec runs a statement that returns no rows and says how many it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row runs a statement that returns at most one row.
func (t *tx) row(query string, args ...any) scanner {
	s, err := t.prepare(query)
	if err != nil {
		return failedScan{err}
	}
	return s.QueryRowContext(t.ctx, args...)
}

// rows runs a statement that returns many rows and calls scan for each.
func (t *tx) rows(query string, scan func(scanner) error, args ...any) error {
	s, err := t.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, scan)
}

type scanner interface{ Scan(dest ...any) error }

func eachRow(rows *sql.Rows, scan func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// prepared returns the cached statement for a read. The set of texts is the
// set of constants in this package, so the cache is bounded.
func (db *DB) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	c := &db.stmts
	c.mu.RLock()
	s := c.stmts[query]
	c.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := db.reads.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if prior := c.stmts[query]; prior != nil {
		_ = s.Close() // another caller was first
		return prior, nil
	}
	if c.stmts == nil {
		c.stmts = map[string]*sql.Stmt{}
	}
	c.stmts[query] = s
	return s, nil
}

// stmtCache keeps the prepared statements of the read pool by their text.
type stmtCache struct {
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

// list runs a read that returns many rows and calls scan for each.
func (db *DB) list(ctx context.Context, query string, scan func(scanner) error, args ...any) error {
	s, err := db.prepared(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, scan)
}

// row runs a read that returns at most one row.
func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	s, err := db.prepared(ctx, query)
	if err != nil {
		return failedScan{err}
	}
	return s.QueryRowContext(ctx, args...)
}

type failedScan struct{ err error }

func (f failedScan) Scan(...any) error { return f.err }

func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
