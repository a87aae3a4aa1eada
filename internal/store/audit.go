package store

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/identity"
)

// Actor is who does something administrative.
type Actor struct {
	Kind ActorKind
	ID   string // of the credential, never its value; "" for the server itself
}

// ActorKind says what an actor shows.
type ActorKind string

// The kinds of actors.
const (
	ByTeamToken ActorKind = "team_token" // or a Platform access token
	ByAPIKey    ActorKind = "api_key"    // of an environment
	ByServer    ActorKind = "server"     // clean-up: a lifetime that ended, a branch that was deleted
	ByPerson    ActorKind = "person"     // a member, with an access token
	ByDeployKey ActorKind = "deploy_key" // of a deployment or a project
)

// AuditEvent is one administrative act. It holds no secret.
type AuditEvent struct {
	ID            string
	EnvironmentID string // "" when it was about the team
	Actor         Actor
	Action        string // environment.created, api_key.created, redirect_uri.deleted, ...
	Target        string // id or registered address of what was acted on
	CreatedAt     time.Time
}

// auditKept is how long events stay.
const auditKept = 365 * 24 * time.Hour

// audit appends an event to the log of a team, in the transaction of the act.
// What nobody with a credential does, such as a sign-up, is no event.
func (t *tx) audit(db *DB, by Actor, teamID, environmentID, action, target string) error {
	if by.Kind == "" {
		return nil
	}
	_, err := t.exec("INSERT INTO audit_events (id, team_id, environment_id, actor_kind, actor_id, action, target, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		identity.NewOrderedID(identity.PrefixAuditEvent), teamID, environmentID, string(by.Kind), by.ID, action, target, millis(db.now()))
	return err
}

// sweepAudit removes events that are too old to keep.
func (t *tx) sweepAudit(now time.Time) error {
	_, err := t.exec("DELETE FROM audit_events WHERE created_at < $1", millis(now.Add(-auditKept)))
	return err
}

func (e *Env) audit(tx *tx, action, target string) error {
	return tx.audit(e.db, e.by, e.TeamID, e.ID, action, target)
}

func (t *Team) audit(tx *tx, environmentID, action, target string) error {
	return tx.audit(t.db, t.by, t.ID, environmentID, action, target)
}

// cleaner is who releases claims of this team: whoever opened it, or the server.
func (t *Team) cleaner() Actor {
	if t.by.Kind == "" {
		return Actor{Kind: ByServer}
	}
	return t.by
}

// AuditEvents returns a page of the team's events and the cursors of the
// neighbouring pages ("" for none).
func (t *Team) AuditEvents(ctx context.Context, p Page) (events []AuditEvent, before, after string, err error) {
	cond, order, args := p.where(2)
	err = t.db.list(ctx, "SELECT id, environment_id, actor_kind, actor_id, action, target, created_at FROM audit_events WHERE team_id = $1"+cond+order, func(s scanner) error {
		var e AuditEvent
		var created int64
		err := s.Scan(&e.ID, &e.EnvironmentID, &e.Actor.Kind, &e.Actor.ID, &e.Action, &e.Target, &created)
		e.CreatedAt = fromMillis(created)
		events = append(events, e)
		return err
	}, append([]any{t.ID}, args...)...)
	events, before, after = cut(events, p, func(e AuditEvent) string { return e.ID })
	return events, before, after, err
}
