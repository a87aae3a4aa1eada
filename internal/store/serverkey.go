package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// keyCheck is sealed in every database with its own key, so that a database
// and a key that do not belong together are told apart when it is opened and
// not when the first secret is needed.
const keyCheck = "this database belongs to this key"

// openBox returns the box over the key file at path. A database that has never
// been opened gets a key; one that has needs its own.
func openBox(ctx context.Context, pool *sql.DB, path string) (*secret.Box, error) {
	var sealed []byte
	err := pool.QueryRowContext(ctx, "SELECT key_check FROM server WHERE id = 1").Scan(&sealed)
	if err != nil && !isNoRows(err) {
		return nil, fmt.Errorf("read the key check: %w", err)
	}
	fresh := isNoRows(err)
	if fresh {
		if err := makeKey(path); err != nil {
			return nil, err
		}
	}
	const fix = "restore the key file that belongs to this database; without it its secrets cannot be opened"
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Invalid, "the server key %s is missing", path).WithFix(fix).WithCode("server_key_missing")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot read the server key %s", path)
	}
	box, err := secret.NewBox(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s is not a server key", path).WithFix(fix).WithCode("server_key_wrong")
	}
	if fresh {
		// Of several processes that open a fresh file at once the first one's row stays.
		if _, err := pool.ExecContext(ctx, "INSERT INTO server (id, key_check) VALUES (1, $1) ON CONFLICT DO NOTHING",
			box.Seal("key check", "", []byte(keyCheck))); err != nil {
			return nil, fmt.Errorf("keep the key check: %w", err)
		}
		if err := pool.QueryRowContext(ctx, "SELECT key_check FROM server WHERE id = 1").Scan(&sealed); err != nil {
			return nil, fmt.Errorf("read the key check: %w", err)
		}
	}
	if plain, err := box.Open("key check", "", sealed); err != nil || string(plain) != keyCheck {
		return nil, fault.New(fault.Invalid, "%s is the key of another database", path).WithFix(fix).WithCode("server_key_wrong")
	}
	return box, nil
}

// makeKey makes the key file (mode 0600) unless there is one.
func makeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // there, or unreadable: reading it says which
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return fmt.Errorf("make the server key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(secret.NewKey())
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write the server key: %w", err)
	}
	// Several processes may start at once: the first link wins, all read it.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the server key: %w", err)
	}
	return nil
}
