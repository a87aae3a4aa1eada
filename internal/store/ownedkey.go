package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// usedEvery is how exact the last use of a key is kept: a key that is checked
// all the time does not make a write each time.
const usedEvery = time.Minute

const ownedKeyColumns = `id, organization_id, COALESCE(user_id, ''), name, obfuscated, last_used_at, expires_at, created_at, updated_at,
	(SELECT json_group_array(slug) FROM (SELECT p.slug FROM owned_key_permissions kp JOIN permissions p ON p.id = kp.permission_id WHERE kp.key_id = owned_keys.id ORDER BY p.slug))`

func scanOwnedKey(s scanner) (identity.OwnedKey, error) {
	var k identity.OwnedKey
	var used, expires, created, updated int64
	var permissions string
	if err := s.Scan(&k.ID, &k.OrganizationID, &k.UserID, &k.Name, &k.Obfuscated, &used, &expires, &created, &updated, &permissions); err != nil {
		return k, err
	}
	k.LastUsedAt, k.ExpiresAt, k.CreatedAt, k.UpdatedAt = fromMillis(used), fromMillis(expires), fromMillis(created), fromMillis(updated)
	return k, json.Unmarshal([]byte(permissions), &k.Permissions)
}

// newOwnedKeyValue returns a value that no key of an environment can have:
// those go on with test_ or live_.
func newOwnedKeyValue() secret.String {
	return secret.String("sk_" + strings.ToLower(rand.Text()+rand.Text()[:14]))
}

func noOwnedKey(id string) error {
	return fault.New(fault.NotFound, "API Key not found: '%s'.", id).WithCode("entity_not_found")
}

// CreateOwnedKey makes an API key of k.OrganizationID, or of k.UserID there,
// and returns its value, which is kept only as a hash. Errors are NotFound for
// an organization, user, active membership (organization_membership_not_found)
// or permission (permission_not_found) that is not there.
func (e *Env) CreateOwnedKey(ctx context.Context, k identity.OwnedKey) (identity.OwnedKey, secret.String, error) {
	now := e.db.now()
	value := newOwnedKeyValue()
	text := value.Reveal()
	hash := sha256.Sum256([]byte(text))
	k.ID, k.Obfuscated, k.CreatedAt, k.UpdatedAt, k.LastUsedAt = identity.NewID(identity.PrefixAPIKey), "sk_..."+text[len(text)-4:], now, now, time.Time{}
	err := e.db.write(ctx, func(tx *tx) error {
		var user any
		if k.UserID != "" {
			user = k.UserID
			if err := e.hasUser(tx, k.UserID); err != nil {
				return err
			}
			if err := e.memberIn(tx, k.OrganizationID, k.UserID); err != nil {
				return err
			}
		} else if err := e.organizationExists(tx, k.OrganizationID); err != nil {
			return err
		}
		if _, err := tx.exec(`INSERT INTO owned_keys (id, environment_id, organization_id, user_id, name, hash, obfuscated, expires_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`, k.ID, e.ID, k.OrganizationID, user, k.Name, hash[:], k.Obfuscated, millis(k.ExpiresAt), millis(now)); err != nil {
			return err
		}
		for _, slug := range k.Permissions {
			id, err := e.permissionID(tx, slug)
			if err != nil {
				return err
			}
			if _, err := tx.exec("INSERT INTO owned_key_permissions (key_id, permission_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", k.ID, id); err != nil {
				return err
			}
		}
		var err error
		if k, err = e.ownedKey(tx, k.ID); err != nil {
			return err
		}
		if err := e.audit(tx, "customer_key.created", k.ID); err != nil {
			return err
		}
		return e.record(tx, happened{name: "api_key.created", organization: k.OrganizationID, about: k})
	})
	return k, value, err
}

func (e *Env) hasUser(tx *tx, id string) error {
	var one int
	err := tx.row("SELECT 1 FROM users WHERE environment_id = $1 AND id = $2", e.ID, id).Scan(&one)
	if isNoRows(err) {
		return fault.New(fault.NotFound, "User not found: '%s'.", id).WithCode("user_not_found")
	}
	return err
}

func (e *Env) ownedKey(tx *tx, id string) (identity.OwnedKey, error) {
	k, err := scanOwnedKey(tx.row("SELECT "+ownedKeyColumns+" FROM owned_keys WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return k, noOwnedKey(id)
	}
	return k, err
}

// OwnedKeyFilter selects the keys of one owner: the organization's own, or with
// UserID those of a user, in all organizations when OrganizationID is empty.
type OwnedKeyFilter struct {
	OrganizationID string
	UserID         string
}

// OwnedKeys returns a page of keys and the cursors of the neighbouring pages
// ("" for none).
func (e *Env) OwnedKeys(ctx context.Context, f OwnedKeyFilter, p Page) (list []identity.OwnedKey, before, after string, err error) {
	query, args := "SELECT "+ownedKeyColumns+" FROM owned_keys WHERE environment_id = $1", []any{e.ID}
	add := func(cond string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(cond, len(args))
	}
	if f.UserID != "" {
		add(" AND user_id = $%d", f.UserID)
	} else {
		query += " AND user_id IS NULL"
	}
	if f.OrganizationID != "" {
		add(" AND organization_id = $%d", f.OrganizationID)
	}
	return pageOf(ctx, e.db, query, args, p, scanOwnedKey, func(k identity.OwnedKey) string { return k.ID })
}

// DeleteOwnedKey removes a key.
func (e *Env) DeleteOwnedKey(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		k, err := e.ownedKey(tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM owned_keys WHERE environment_id = $1 AND id = $2", e.ID, id); err != nil {
			return err
		}
		if err := e.audit(tx, "customer_key.deleted", id); err != nil {
			return err
		}
		return e.record(tx, happened{name: "api_key.revoked", organization: k.OrganizationID, about: k})
	})
}

// ExpireOwnedKey ends a key at the given time; one that is not in the future is
// now, and the zero time takes a planned end back. A key whose end has come is
// a Conflict with the code api_key_already_expired.
func (e *Env) ExpireOwnedKey(ctx context.Context, id string, at time.Time) (identity.OwnedKey, error) {
	var k identity.OwnedKey
	err := e.db.write(ctx, func(tx *tx) (err error) {
		if k, err = e.ownedKey(tx, id); err != nil {
			return err
		}
		now := e.db.now()
		if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
			return fault.New(fault.Conflict, "API key is already expired").WithCode("api_key_already_expired")
		}
		if !at.IsZero() && at.Before(now) {
			at = now
		}
		change := identity.OwnedKeyChange{ExpiredBefore: k.ExpiresAt}
		if _, err := tx.exec("UPDATE owned_keys SET expires_at = $3, updated_at = $4 WHERE environment_id = $1 AND id = $2", e.ID, id, millis(at), millis(now)); err != nil {
			return err
		}
		if k, err = e.ownedKey(tx, id); err != nil {
			return err
		}
		change.OwnedKey = k
		if err := e.audit(tx, "customer_key.expired", id); err != nil {
			return err
		}
		return e.record(tx, happened{name: "api_key.updated", organization: k.OrganizationID, about: change})
	})
	return k, err
}

// ValidateOwnedKey returns the key with the given value and keeps that it was
// used, to the minute. ok is false for a value that is no key's, an expired
// key, and the key of a user who is no active member of its organization any
// more. The value is found by its SHA-256, so the time of the answer says
// nothing about values that are nearly right.
func (e *Env) ValidateOwnedKey(ctx context.Context, value string) (k identity.OwnedKey, ok bool, err error) {
	hash, now := sha256.Sum256([]byte(value)), e.db.now()
	var found []byte
	k, err = scanOwnedKey(prefixed{e.db.row(ctx, "SELECT hash, "+ownedKeyColumns+` FROM owned_keys WHERE environment_id = $1 AND hash = $2 AND (expires_at = 0 OR expires_at > $3)
		AND (user_id IS NULL OR EXISTS (SELECT 1 FROM organization_memberships m WHERE m.organization_id = owned_keys.organization_id AND m.user_id = owned_keys.user_id AND m.status = 'active'))`,
		e.ID, hash[:], millis(now)), &found})
	if isNoRows(err) || err == nil && subtle.ConstantTimeCompare(found, hash[:]) != 1 {
		return identity.OwnedKey{}, false, nil
	}
	if err != nil {
		return identity.OwnedKey{}, false, err
	}
	if now.Sub(k.LastUsedAt) < usedEvery {
		return k, true, nil
	}
	k.LastUsedAt = now
	err = e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("UPDATE owned_keys SET last_used_at = max(last_used_at, $3) WHERE environment_id = $1 AND id = $2", e.ID, k.ID, millis(now))
		return err
	})
	return k, err == nil, err
}
