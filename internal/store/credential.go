package store

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// KeptCredential is a credential as it is kept: without its secret.
type KeptCredential struct {
	ID        string
	Name      string
	Kind      CredentialKind
	ExpiresAt time.Time // zero: never
	CreatedAt time.Time
	Current   bool // the team was opened with it
}

// Credentials returns the team's credentials that have not expired, newest first.
func (t *Team) Credentials(ctx context.Context) ([]KeptCredential, error) {
	var list []KeptCredential
	err := t.db.list(ctx, `SELECT id, name, kind, expires_at, created_at FROM team_credentials WHERE team_id = $1 AND (expires_at = 0 OR expires_at > $2)
		ORDER BY created_at DESC, id DESC`, func(s scanner) error {
		var c KeptCredential
		var expires, created int64
		err := s.Scan(&c.ID, &c.Name, &c.Kind, &expires, &created)
		c.ExpiresAt, c.CreatedAt = fromMillis(expires), fromMillis(created)
		c.Current = t.by.Kind == ByTeamToken && t.by.ID == c.ID
		list = append(list, c)
		return err
	}, t.ID, millis(t.db.now()))
	return list, err
}

// RevokeCredential ends a credential of the team at once.
func (t *Team) RevokeCredential(ctx context.Context, id string) error {
	return t.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM team_credentials WHERE team_id = $1 AND id = $2", t.ID, id)
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "the team has no credential %q", id).WithFix("berth serve token list shows them").WithCode("credential_not_found")
		}
		if err != nil {
			return err
		}
		return t.audit(tx, "", "credential.revoked", id)
	})
}
