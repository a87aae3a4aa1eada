package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// AccessKeyKind says what an access key opens.
type AccessKeyKind string

// The kinds of access keys.
const (
	PersonalKey   AccessKeyKind = "personal"   // what its person may do
	DeploymentKey AccessKeyKind = "deployment" // one deployment: prod:NAME|… or dev:NAME|…
	PreviewKey    AccessKeyKind = "preview"    // the previews of a project: preview:TEAM:PROJECT|…
	ProjectKey    AccessKeyKind = "project"    // every deployment of a project: project:TEAM:PROJECT|…
)

// AccessKey is a credential of a person or a build, without its secret.
type AccessKey struct {
	ID           string
	Kind         AccessKeyKind
	Name         string
	PersonID     string   // whose it is, or who made it; "" for a team token
	ProjectID    string   // with PreviewKey and ProjectKey
	DeploymentID string   // with DeploymentKey
	Actions      []string // what it may do on its deployments, such as deployment:deploy; nil for all
	ExpiresAt    time.Time
	LastUsedAt   time.Time // to the minute
	CreatedAt    time.Time
}

const accessKeyColumns = "k.id, k.kind, k.name, coalesce(k.person_id, ''), coalesce(k.project_id, ''), coalesce(k.deployment_id, ''), k.actions, k.expires_at, k.last_used_at, k.created_at"

func scanAccessKey(s scanner) (AccessKey, error) {
	var k AccessKey
	var actions string
	var expires, used, created int64
	err := s.Scan(&k.ID, &k.Kind, &k.Name, &k.PersonID, &k.ProjectID, &k.DeploymentID, &actions, &expires, &used, &created)
	if err == nil && actions != "" {
		err = json.Unmarshal([]byte(actions), &k.Actions)
	}
	k.ExpiresAt, k.LastUsedAt, k.CreatedAt = fromMillis(expires), fromMillis(used), fromMillis(created)
	return k, err
}

func keyHash(value string) []byte {
	hash := sha256.Sum256([]byte(value))
	return hash[:]
}

// CreateAccessKey keeps a new key and returns it with its secret: the whole of
// a personal key, for the others the part after the "|". A name that another
// key of the same deployment or project has is a Conflict.
func (t *Team) CreateAccessKey(ctx context.Context, k AccessKey) (AccessKey, secret.String, error) {
	return t.db.createAccessKey(ctx, k, func(tx *tx, id string) error { return t.audit(tx, "", "access_key.created", id) })
}

// CreatePersonalKey makes an access key of a person.
func (db *DB) CreatePersonalKey(ctx context.Context, p Person, name string, expires time.Time) (AccessKey, secret.String, error) {
	return db.createAccessKey(ctx, AccessKey{Kind: PersonalKey, Name: name, PersonID: p.ID, ExpiresAt: expires}, func(*tx, string) error { return nil })
}

func (db *DB) createAccessKey(ctx context.Context, k AccessKey, audit func(*tx, string) error) (AccessKey, secret.String, error) {
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > 256 {
		return k, "", fault.New(fault.Invalid, "a key needs a name of at most 256 bytes").WithCode("InvalidKeyName")
	}
	value := secret.String(rand.Text() + rand.Text())
	if k.Kind == PersonalKey {
		value = "berth_pat_" + value
	}
	actions := ""
	if k.Actions != nil {
		data, err := json.Marshal(k.Actions)
		if err != nil {
			return k, "", err
		}
		actions = string(data)
	}
	k.ID, k.CreatedAt = identity.NewID(identity.PrefixAccessKey), db.now()
	err := db.write(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO access_keys (id, hash, kind, name, person_id, project_id, deployment_id, actions, expires_at, last_used_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)`, k.ID, keyHash(value.Reveal()), string(k.Kind), k.Name, orNull(k.PersonID), orNull(k.ProjectID),
			orNull(k.DeploymentID), actions, millis(k.ExpiresAt), millis(k.CreatedAt))
		if isUnique(err) {
			return fault.New(fault.Conflict, "A key with the name %s already exists.", k.Name).WithCode("KeyNameInUse")
		}
		if err != nil {
			return err
		}
		return audit(tx, k.ID)
	})
	return k, value, err
}

// AccessKeys returns keys of one kind, newest first: those of the person, the
// project or the deployment that like names.
func (db *DB) AccessKeys(ctx context.Context, like AccessKey) ([]AccessKey, error) {
	var all []AccessKey
	err := db.list(ctx, "SELECT "+accessKeyColumns+" FROM access_keys k WHERE k.kind = $1 AND "+like.whose()+" = $2 AND (k.expires_at = 0 OR k.expires_at > $3) ORDER BY k.created_at DESC, k.id DESC",
		func(s scanner) error {
			k, err := scanAccessKey(s)
			all = append(all, k)
			return err
		}, string(like.Kind), like.owner(), millis(db.now()))
	return all, err
}

func (k AccessKey) whose() string {
	return map[AccessKeyKind]string{PersonalKey: "k.person_id", DeploymentKey: "k.deployment_id", PreviewKey: "k.project_id", ProjectKey: "k.project_id"}[k.Kind]
}

func (k AccessKey) owner() string {
	return map[AccessKeyKind]string{PersonalKey: k.PersonID, DeploymentKey: k.DeploymentID, PreviewKey: k.ProjectID, ProjectKey: k.ProjectID}[k.Kind]
}

// DeleteAccessKey ends a key of a deployment or project at once, with what it
// opened. id is its id, its name, or its secret: Convex's tools give either of
// the latter.
func (t *Team) DeleteAccessKey(ctx context.Context, like AccessKey, id string) error {
	return t.db.deleteAccessKey(ctx, like, id, func(tx *tx, id string) error { return t.audit(tx, "", "access_key.deleted", id) })
}

// DeletePersonalKey is DeleteAccessKey for a key of a person.
func (db *DB) DeletePersonalKey(ctx context.Context, p Person, id string) error {
	return db.deleteAccessKey(ctx, AccessKey{Kind: PersonalKey, PersonID: p.ID}, id, func(*tx, string) error { return nil })
}

func (db *DB) deleteAccessKey(ctx context.Context, like AccessKey, id string, audit func(*tx, string) error) error {
	return db.write(ctx, func(tx *tx) error {
		var gone string
		err := tx.row(`DELETE FROM access_keys WHERE id = (SELECT k.id FROM access_keys k WHERE k.kind = $1 AND `+like.whose()+` = $2
			AND (k.id = $3 OR k.name = $3 OR k.hash = $4) ORDER BY k.created_at DESC LIMIT 1) RETURNING id`, string(like.Kind), like.owner(), id, keyHash(id)).Scan(&gone)
		if isNoRows(err) {
			return fault.New(fault.NotFound, "No key of that name or id was found.").WithCode("KeyNotFound")
		}
		if err != nil {
			return err
		}
		return audit(tx, gone)
	})
}

// used notes that a key was used, at most once a minute: a write for every
// request would cost more than the request.
func (db *DB) used(ctx context.Context, k AccessKey) error {
	now := db.now()
	if now.Sub(k.LastUsedAt) < time.Minute {
		return nil
	}
	return db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("UPDATE access_keys SET last_used_at = $2 WHERE id = $1", k.ID, millis(now))
		return err
	})
}
