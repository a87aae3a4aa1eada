package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const userColumns = "id, email, email_verified, first_name, last_name, picture_url, external_id, locale, metadata, password_hash, last_sign_in_at, created_at, updated_at"

func scanUser(s scanner) (identity.User, error) {
	var u identity.User
	var metadata string
	var signIn, created, updated int64
	err := s.Scan(&u.ID, &u.Email, &u.EmailVerified, &u.FirstName, &u.LastName, &u.ProfilePictureURL, &u.ExternalID, &u.Locale,
		&metadata, &u.PasswordHash, &signIn, &created, &updated)
	if err != nil {
		return u, err
	}
	u.LastSignInAt, u.CreatedAt, u.UpdatedAt = fromMillis(signIn), fromMillis(created), fromMillis(updated)
	if metadata != "{}" {
		if err := json.Unmarshal([]byte(metadata), &u.Metadata); err != nil {
			return u, fmt.Errorf("read metadata of %s: %w", u.ID, err)
		}
	}
	return u, nil
}

func metadataText(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic("store: a map of strings cannot fail to encode: " + err.Error())
	}
	return string(b)
}

// CreateUser adds u, whose id and times are set here. An address that is
// taken is a Conflict with code email_not_available.
func (e *Env) CreateUser(ctx context.Context, u identity.User) (identity.User, error) {
	now := e.db.now()
	u.ID, u.CreatedAt, u.UpdatedAt = identity.NewID(identity.PrefixUser), now, now
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.audit(tx, "user.created", u.ID); err != nil {
			return err
		}
		_, err := tx.exec("INSERT INTO users (environment_id, email_key, "+userColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $13)",
			e.ID, identity.EmailKey(u.Email), u.ID, u.Email, u.EmailVerified, u.FirstName, u.LastName, u.ProfilePictureURL, u.ExternalID, u.Locale,
			metadataText(u.Metadata), u.PasswordHash, millis(now))
		if err != nil {
			return userConflict(err)
		}
		return e.record(tx, happened{name: "user.created", about: u})
	})
	return u, err
}

func userConflict(err error) error {
	switch {
	case !isUnique(err):
		return err
	case strings.Contains(err.Error(), "external_id"):
		return fault.New(fault.Conflict, "A user with this external ID already exists.").WithCode("external_id_already_used")
	default:
		return fault.New(fault.Conflict, "A user with this email already exists.").WithCode("email_not_available")
	}
}

// UpdateUser writes all fields of u that a person can change.
func (e *Env) UpdateUser(ctx context.Context, u identity.User) (identity.User, error) {
	u.UpdatedAt = e.db.now()
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.passwordSet(tx, u); err != nil {
			return err
		}
		n, err := tx.exec(`UPDATE users SET email = $3, email_key = $4, email_verified = $5, first_name = $6, last_name = $7, picture_url = $8,
			external_id = $9, locale = $10, metadata = $11, password_hash = $12, updated_at = $13 WHERE environment_id = $1 AND id = $2`,
			e.ID, u.ID, u.Email, identity.EmailKey(u.Email), u.EmailVerified, u.FirstName, u.LastName, u.ProfilePictureURL,
			u.ExternalID, u.Locale, metadataText(u.Metadata), u.PasswordHash, millis(u.UpdatedAt))
		if err == nil && n == 0 {
			return notFound("user", u.ID)
		}
		if err != nil {
			return userConflict(err)
		}
		return e.record(tx, happened{name: "user.updated", about: u})
	})
	return u, err
}

// User returns the user with the given id.
func (e *Env) User(ctx context.Context, id string) (identity.User, error) {
	u, err := scanUser(e.db.row(ctx, "SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return u, notFound("user", id)
	}
	return u, err
}

// UserByEmail returns the user with the given address, case ignored.
func (e *Env) UserByEmail(ctx context.Context, email string) (identity.User, error) {
	u, err := scanUser(e.db.row(ctx, "SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND email_key = $2", e.ID, identity.EmailKey(email)))
	if isNoRows(err) {
		return u, notFound("user", email)
	}
	return u, err
}

// UserByExternalID returns the user whom the application gave an id of its own.
func (e *Env) UserByExternalID(ctx context.Context, externalID string) (identity.User, error) {
	u, err := scanUser(e.db.row(ctx, "SELECT "+userColumns+" FROM users WHERE environment_id = $1 AND external_id = $2 AND external_id <> ''", e.ID, externalID))
	if isNoRows(err) {
		return u, notFound("user", externalID)
	}
	return u, err
}

// DeleteUser removes a user with its sessions and codes.
func (e *Env) DeleteUser(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		tx.sessionsOf(id)
		if err := e.audit(tx, "user.deleted", id); err != nil {
			return err
		}
		u, err := scanUser(tx.row("DELETE FROM users WHERE environment_id = $1 AND id = $2 RETURNING "+userColumns, e.ID, id))
		if isNoRows(err) {
			return notFound("user", id)
		}
		if err != nil {
			return err
		}
		return e.record(tx, happened{name: "user.deleted", about: u})
	})
}

// CountUsers returns how many users the environment has.
func (e *Env) CountUsers(ctx context.Context) (int, error) {
	var n int
	err := e.db.row(ctx, "SELECT count(*) FROM users WHERE environment_id = $1", e.ID).Scan(&n)
	return n, err
}

// Page selects part of a list. Ids sort by creation time.
type Page struct {
	Limit     int    // 1 to 100
	Before    string // only items that come before this id in the list
	After     string // only items that come after this id in the list
	Ascending bool   // oldest first; the default is newest first
}

// where returns the condition and order of a page over an id column, with the
// last argument $n as the limit; cursor ids are arguments n-2 and n-1.
func (p Page) where(first int) (cond, order string, args []any) {
	after, before, dir, back := "<", ">", "DESC", "ASC"
	if p.Ascending {
		after, before, dir, back = ">", "<", "ASC", "DESC"
	}
	next := first
	add := func(op, id string) {
		if id != "" {
			cond += fmt.Sprintf(" AND id %s $%d", op, next)
			args = append(args, id)
			next++
		}
	}
	add(after, p.After)
	add(before, p.Before)
	if p.Before != "" && p.After == "" {
		dir = back // the items just before the cursor, turned round by the caller
	}
	order = fmt.Sprintf(" ORDER BY id %s LIMIT $%d", dir, next)
	return cond, order, append(args, p.Limit+1)
}

// Users returns a page of users, optionally of one address, and the cursors of
// the neighbouring pages ("" for none).
func (e *Env) Users(ctx context.Context, email string, p Page) (users []identity.User, before, after string, err error) {
	query, args := "SELECT "+userColumns+" FROM users WHERE environment_id = $1", []any{e.ID}
	if email != "" {
		query, args = query+" AND email_key = $2", append(args, identity.EmailKey(email))
	}
	return pageOf(ctx, e.db, query, args, p, scanUser, func(u identity.User) string { return u.ID })
}

// pageOf returns one page of what query, whose arguments are args, selects, with
// the cursors of the neighbouring pages ("" for none).
func pageOf[T any](ctx context.Context, db *DB, query string, args []any, p Page, scan func(scanner) (T, error), id func(T) string) (list []T, before, after string, err error) {
	cond, order, more := p.where(len(args) + 1)
	err = db.list(ctx, query+cond+order, func(s scanner) error {
		v, err := scan(s)
		list = append(list, v)
		return err
	}, append(args, more...)...)
	list, before, after = cut(list, p, id)
	return list, before, after, err
}

// cut turns limit+1 fetched items into a page and its cursors.
func cut[T any](items []T, p Page, id func(T) string) (page []T, before, after string) {
	backwards := p.Before != "" && p.After == ""
	more := len(items) > p.Limit
	if more {
		items = items[:p.Limit]
	}
	if backwards {
		for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
			items[i], items[j] = items[j], items[i]
		}
	}
	if len(items) == 0 {
		return items, "", ""
	}
	if backwards && more || !backwards && p.After != "" {
		before = id(items[0])
	}
	if !backwards && more || backwards {
		after = id(items[len(items)-1])
	}
	return items, before, after
}

// CutAll pages through a whole list that is in memory, oldest first.
func CutAll[T any](all []T, p Page, id func(T) string) (page []T, before, after string) {
	reversed := !p.Ascending
	var matching []T
	for i := range all {
		item := all[i]
		if reversed {
			item = all[len(all)-1-i]
		}
		v := id(item)
		newer := func(a, b string) bool { return a > b }
		if p.After != "" && (v == p.After || newer(v, p.After) == reversed) || p.Before != "" && (v == p.Before || newer(v, p.Before) != reversed) {
			continue
		}
		matching = append(matching, item)
	}
	if p.Before != "" && p.After == "" {
		for i, j := 0, len(matching)-1; i < j; i, j = i+1, j-1 {
			matching[i], matching[j] = matching[j], matching[i]
		}
	}
	if len(matching) > p.Limit+1 {
		matching = matching[:p.Limit+1]
	}
	return cut(matching, p, id)
}
