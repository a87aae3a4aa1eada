package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// MaxTestUsers bounds the test users of one environment: they are shown as a
// list on the sign-in page.
const MaxTestUsers = 100

// errProductionTestUsers is the answer to every attempt to give production
// test users (R123).
var errProductionTestUsers = fault.New(fault.Denied, "a production environment has no test users").
	WithFix("use a dev or preview deployment").WithCode("production_has_no_test_accounts")

// PutTestUser makes a user a test user, whose password is kept, sealed, so that
// the sign-in page can offer the user. It changes nothing about the user, and
// a second call replaces the password. Production environments have none.
func (e *Env) PutTestUser(ctx context.Context, userID string, password secret.String) error {
	if e.Production {
		return errProductionTestUsers
	}
	return e.db.write(ctx, func(tx *tx) error {
		// The environment may have become another kind since e was read.
		var production bool
		if err := tx.row("SELECT production FROM environments WHERE id = $1", e.ID).Scan(&production); err != nil {
			return err
		}
		if production {
			return errProductionTestUsers
		}
		var n int
		if err := tx.row("SELECT count(*) FROM test_users WHERE environment_id = $1 AND user_id <> $2", e.ID, userID).Scan(&n); err != nil {
			return err
		}
		if n >= MaxTestUsers {
			return fault.New(fault.Conflict, "the environment has %d test users, which is the most it can have", n).
				WithFix("delete some with berth users delete").WithCode("too_many_test_users")
		}
		if err := e.audit(tx, "test_user.kept", userID); err != nil {
			return err
		}
		n64, err := tx.exec(`INSERT INTO test_users (user_id, environment_id, sealed, created_at)
			SELECT id, environment_id, $3, $4 FROM users WHERE environment_id = $1 AND id = $2
			ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed`,
			e.ID, userID, e.db.box.Seal("test user", userID, []byte(password.Reveal())), millis(e.db.now()))
		if err == nil && n64 == 0 {
			return notFound("user", userID)
		}
		return err
	})
}

// DropTestUser makes a test user an ordinary one again. The user stays.
func (e *Env) DropTestUser(ctx context.Context, userID string) error {
	return e.db.write(ctx, func(tx *tx) error {
		if err := e.audit(tx, "test_user.dropped", userID); err != nil {
			return err
		}
		n, err := tx.exec("DELETE FROM test_users WHERE environment_id = $1 AND user_id = $2", e.ID, userID)
		if err == nil && n == 0 {
			return notFound("test user", userID)
		}
		return err
	})
}

// TestUsers returns the test users by address. Production environments have none.
func (e *Env) TestUsers(ctx context.Context) ([]identity.User, error) {
	if e.Production {
		return nil, nil
	}
	var all []identity.User
	err := e.db.list(ctx, "SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND id IN (SELECT user_id FROM test_users WHERE environment_id = $1) ORDER BY email_key",
		func(s scanner) error {
			u, err := scanUser(s)
			all = append(all, u)
			return err
		}, e.ID)
	return all, err
}

// TestPassword returns the password that is kept of a test user, with the user.
// Whether it still is the user's password is for the password check to say.
func (e *Env) TestPassword(ctx context.Context, userID string) (identity.User, secret.String, error) {
	if e.Production {
		return identity.User{}, "", errProductionTestUsers
	}
	var sealed []byte
	err := e.db.row(ctx, "SELECT sealed FROM test_users WHERE environment_id = $1 AND user_id = $2", e.ID, userID).Scan(&sealed)
	if isNoRows(err) {
		return identity.User{}, "", notFound("test user", userID)
	}
	if err != nil {
		return identity.User{}, "", err
	}
	plain, err := e.db.box.Open("test user", userID, sealed)
	if err != nil {
		return identity.User{}, "", err
	}
	u, err := e.User(ctx, userID)
	return u, secret.String(plain), err
}
