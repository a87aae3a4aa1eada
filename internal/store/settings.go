package store

import (
	"context"
	"encoding/json"

	"github.com/berthdev/berth/internal/identity"
)

// ChangeSettings changes the settings as they are when the change is written,
// so that two callers who change different members do not undo each other.
// An error of change is returned and nothing is written; a change that changes
// nothing writes nothing either.
func (e *Env) ChangeSettings(ctx context.Context, change func(*identity.Settings) error) error {
	var v identity.Settings
	err := e.db.write(ctx, func(tx *tx) error {
		var before []byte
		v = identity.Settings{}
		err := tx.row(settingsOf, e.ID).Scan(&before)
		if isNoRows(err) {
			return notFound("environment", e.ID)
		}
		if err == nil {
			err = json.Unmarshal(before, &v)
		}
		if err == nil {
			err = change(&v)
		}
		if err != nil {
			return err
		}
		after, err := json.Marshal(v)
		if err != nil || string(after) == string(before) {
			return err
		}
		if _, err := tx.exec("UPDATE environments SET settings = $3, updated_at = $2 WHERE id = $1", e.ID, millis(e.db.now()), after); err != nil {
			return err
		}
		return e.audit(tx, "settings.set", "")
	})
	e.db.envs.forget(e.ClientID)
	if err == nil {
		e.Settings = v
	}
	return err
}
