package store

import (
	"context"
	"time"
)

// AnswersKept is how long a request can be repeated by its Idempotency-Key. The
// official SDKs repeat within a minute.
const AnswersKept = 24 * time.Hour

// Answer is what a request with an Idempotency-Key was answered.
type Answer struct {
	Status int
	Body   []byte // JSON; may hold what is shown once, so it is sealed at rest
}

// Answered returns the answer kept for a request, which key stands for, within
// that time (AnswersKept at most); ok tells whether there is one.
func (e *Env) Answered(ctx context.Context, key string, within time.Duration) (a Answer, ok bool, err error) {
	var sealed []byte
	err = e.db.row(ctx, "SELECT status, sealed FROM answers WHERE environment_id = $1 AND key = $2 AND created_at > $3",
		e.ID, key, millis(e.db.now().Add(-within))).Scan(&a.Status, &sealed)
	if isNoRows(err) {
		return a, false, nil
	}
	if err == nil {
		a.Body, err = e.db.box.Open("answer", e.ID+"/"+key, sealed)
	}
	return a, err == nil, err
}

// KeepAnswer keeps what a request was answered.
func (e *Env) KeepAnswer(ctx context.Context, key string, a Answer) error {
	return e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO answers (environment_id, key, status, sealed, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (environment_id, key) DO UPDATE SET status = excluded.status, sealed = excluded.sealed, created_at = excluded.created_at`,
			e.ID, key, a.Status, e.db.box.Seal("answer", e.ID+"/"+key, a.Body), millis(e.db.now()))
		return err
	})
}

func (t *tx) sweepAnswers(now time.Time) error {
	_, err := t.exec("DELETE FROM answers WHERE created_at <= $1", millis(now.Add(-AnswersKept)))
	return err
}
