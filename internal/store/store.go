// Package store keeps everything that Berth remembers in one SQLite file:
// teams, environments, keys, users, sessions, projects, deployments and the
// ledger of claims.
//
// Identity data is reached only through an [Env] and a team's data only
// through a [Team]; both add their id to every statement, so a query across
// environments or teams cannot be written by accident.
//
// Writes of many callers are committed together (see writer.go) and are
// durable when they return. Errors are *fault.Error for what callers can act
// on; everything else is internal.
package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// readers is how many connections serve reads. Two cores gain nothing from
// more, and each holds a page cache.
const readers = 4

// Options say how a database is opened.
type Options struct {
	Path string // file; its folder is made with mode 0700 when missing
	// Shared lets several processes open the file at once. The ledger of a
	// command line is shared; a server's database belongs to one process.
	Shared bool
	Now    func() time.Time // clock; default time.Now
	// Describe returns the JSON of what an event is about: a value of package
	// identity, without its secrets. Nil: no events are kept.
	Describe func(about any) ([]byte, error)
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	path    string
	box     *secret.Box
	now     func() time.Time
	reads   *sql.DB
	writes  *sql.DB
	writer  *writer
	unlock  func()
	stmts   stmtCache
	envs    cache[string, identity.Environment] // by client ID
	keys    cache[[sha256.Size]byte, cachedKey]
	answers *sessionAnswers
	close   func() error

	describe func(about any) ([]byte, error)
	events   *eventLog
	flagged  sync.Map // environments that have feature flags; one too many costs a query
	hooked   chan struct{}
}

// Open opens or makes the database at o.Path with its key file beside it
// (<path>.key, mode 0600), and brings its schema up to date.
func Open(ctx context.Context, o Options) (db *DB, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	dir := filepath.Dir(o.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot make the data folder %s", dir).
			WithFix("choose a folder that can be written with --data DIR")
	}
	db = &DB{path: o.Path, now: o.Now, unlock: func() {}, describe: o.Describe, events: newEventLog(), answers: newSessionAnswers(), hooked: make(chan struct{}, 1)}
	db.close = sync.OnceValue(db.closeAll)
	opened := db // a return of nil has set db to nil when this runs
	defer func() {
		if err != nil {
			opened.Close()
		}
	}()
	if !o.Shared {
		unlock, err := lockFile(o.Path + ".lock")
		if err != nil {
			return nil, err
		}
		db.unlock = unlock
	}
	if err := touchPrivate(o.Path); err != nil {
		return nil, err
	}
	if err := checkOurs(ctx, o.Path); err != nil {
		return nil, err
	}
	if db.writes, err = openPool(ctx, o.Path, 1, false); err != nil {
		return nil, err
	}
	if err := migrate(ctx, db.writes); err != nil {
		return nil, err
	}
	if db.box, err = openBox(ctx, db.writes, o.Path+".key"); err != nil {
		return nil, err
	}
	if db.reads, err = openPool(ctx, o.Path, readers, true); err != nil {
		return nil, err
	}
	if err := db.loadHooked(ctx); err != nil {
		return nil, err
	}
	if err := db.loadFlagged(ctx); err != nil {
		return nil, err
	}
	if db.writer, err = startWriter(ctx, db.writes, db.notifyHooked, db.answers.forget); err != nil {
		return nil, err
	}
	return db, nil
}

// Close lets the running batch of writes finish and closes the file. Later
// writes are refused; closing again changes nothing.
func (db *DB) Close() error { return db.close() }

func (db *DB) closeAll() error {
	if db.writer != nil {
		db.writer.stop()
	}
	var errs []error
	for _, pool := range []*sql.DB{db.reads, db.writes} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	db.unlock()
	return errors.Join(errs...)
}

// Now returns the database's idea of the time.
func (db *DB) Now() time.Time { return db.now() }

// Box returns the sealing key of this database.
func (db *DB) Box() *secret.Box { return db.box }

// touchPrivate makes the file with mode 0600 before SQLite would make it with
// the process's default; the -wal and -shm files take the same mode.
func touchPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot open the database %s", path).
			WithFix("check the permissions of the folder, or choose another with --data DIR")
	}
	return f.Close()
}

func openPool(ctx context.Context, path string, conns int, readOnly bool) (*sql.DB, error) {
	q := url.Values{}
	for _, p := range []string{"busy_timeout(15000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-2000)"} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	pool, err := sql.Open("sqlite", dsn(path, q))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	// Drivers skip options they do not know: read back what matters.
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := pool.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
			pool.Close()
			return nil, notUsable(err, path)
		}
		if got != want {
			pool.Close()
			return nil, fmt.Errorf("open %s: pragma %s is %s, want %s", path, pragma, got, want)
		}
	}
	return pool, nil
}

// migrate applies the migrations that the file does not have yet, each in a
// transaction of its own, forward only.
func migrate(ctx context.Context, pool *sql.DB) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close()
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	sort.Strings(files)
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if version > len(files) {
		return fault.New(fault.Invalid, "the database was written by a newer Berth (schema %d, this one knows %d)", version, len(files)).
			WithFix("run the newer version, or choose another folder with --data DIR")
	}
	for i, file := range files {
		if err := migrateOne(ctx, conn, i+1, file); err != nil {
			return err
		}
	}
	return nil
}

// checkOurs refuses the database of another program before it is changed:
// opening it with our settings already rewrites its header.
func checkOurs(ctx context.Context, path string) error {
	pool, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": {"busy_timeout(15000)"}}))
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer pool.Close()
	all, ours := 0, 0
	err = pool.QueryRowContext(ctx, "SELECT count(*), count(CASE WHEN name = 'owned_entries' THEN 1 END) FROM sqlite_schema").Scan(&all, &ours)
	if err != nil {
		return notUsable(err, path)
	}
	if all > 0 && ours == 0 {
		return fault.New(fault.Invalid, "the database %s belongs to another program", path).WithFix("choose another folder with --data DIR")
	}
	return nil
}

func notUsable(err error, path string) error {
	return fault.Wrap(err, fault.Invalid, "%s cannot be used as a database", path).
		WithFix("if it is not one of Berth's databases, choose another folder with --data DIR")
}

func dsn(path string, options url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
}

func migrateOne(ctx context.Context, conn *sql.Conn, version int, file string) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("migrate %s: %w", file, err)
	}
	var have int
	err = conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have)
	if err == nil && have < version {
		if _, err = conn.ExecContext(ctx, string(text)); err == nil {
			_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
		}
	}
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	if _, endErr := conn.ExecContext(context.WithoutCancel(ctx), end); err == nil {
		err = endErr
	}
	if err != nil {
		return fmt.Errorf("migrate %s: %w", file, err)
	}
	return nil
}

// millis is how times are kept; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// isUnique reports whether err is a violated UNIQUE or PRIMARY KEY constraint.
func isUnique(err error) bool {
	return err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed")
}

func notFound(what, id string) error {
	return fault.New(fault.NotFound, "%s %q was not found", what, id).WithCode("entity_not_found")
}
