package store

import (
	"context"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// Associate lets deployments of the team have auth environments, with an
// address as the one of the team's administrator there. An address that
// another team has is refused with code user_already_exists.
func (t *Team) Associate(ctx context.Context, email string) error {
	return t.db.write(ctx, func(tx *tx) error {
		var n int
		if err := tx.row("SELECT count(*) FROM teams WHERE lower(admin_email) = $1 AND id <> $2", identity.EmailKey(email), t.ID).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "A WorkOS account already exists with the email: %s", email).WithCode("user_already_exists")
		}
		if _, err := tx.exec("UPDATE teams SET disconnected = 0, admin_email = $2, updated_at = $3 WHERE id = $1", t.ID, email, millis(t.db.now())); err != nil {
			return err
		}
		t.Disconnected, t.AdminEmail = false, email
		return t.audit(tx, "", "team.associated", t.ID)
	})
}

// Disconnect ends that: no deployment gets an environment any more until
// Associate is called. Environments that are there stay and go on to work.
func (t *Team) Disconnect(ctx context.Context) error {
	return t.db.write(ctx, func(tx *tx) error {
		if _, err := tx.exec("UPDATE teams SET disconnected = 1, updated_at = $2 WHERE id = $1", t.ID, millis(t.db.now())); err != nil {
			return err
		}
		t.Disconnected = true
		return t.audit(tx, "", "team.disconnected", t.ID)
	})
}

// Administers returns which of the addresses administer some associated team.
func (db *DB) Administers(ctx context.Context, emails []string) ([]string, error) {
	var used []string
	for _, email := range emails {
		var n int
		if err := db.row(ctx, "SELECT count(*) FROM teams WHERE lower(admin_email) = $1 AND disconnected = 0", identity.EmailKey(email)).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			used = append(used, email)
		}
	}
	return used, nil
}

// Invited returns the addresses that were invited to the team, by address.
func (t *Team) Invited(ctx context.Context) ([]string, error) {
	var all []string
	err := t.db.list(ctx, "SELECT email FROM team_invitations WHERE team_id = $1 ORDER BY email_key", func(s scanner) error {
		var email string
		err := s.Scan(&email)
		all = append(all, email)
		return err
	}, t.ID)
	return all, err
}

// ProjectEnvironments is how many auth environments a project may have besides
// those of its deployments, as Convex documents it.
const ProjectEnvironments = 10

// ProjectEnvironment is an auth environment of a project.
type ProjectEnvironment struct {
	Name        string // that people gave it, unique in the project
	Environment *Env
	APIKey      secret.String
	CreatedAt   time.Time
}

// ProjectEnvironments returns the environments of a project, oldest first.
func (t *Team) ProjectEnvironments(ctx context.Context, p Project) ([]ProjectEnvironment, error) {
	var all []ProjectEnvironment
	var ids []string
	err := t.db.list(ctx, "SELECT environment_id, name, api_key, created_at FROM project_environments WHERE project_id = $1 ORDER BY created_at, environment_id", func(s scanner) error {
		var e ProjectEnvironment
		var id string
		var sealed []byte
		var created int64
		if err := s.Scan(&id, &e.Name, &sealed, &created); err != nil {
			return err
		}
		plain, err := t.db.box.Open("project environment key", id, sealed)
		e.APIKey, e.CreatedAt = secret.String(plain), fromMillis(created)
		all, ids = append(all, e), append(ids, id)
		return err
	}, p.ID)
	for i := range all {
		if err == nil {
			all[i].Environment, err = t.Environment(ctx, ids[i])
		}
	}
	return all, err
}

// AddProjectEnvironment makes an environment with a key for a project. A name
// that the project has is a Conflict with code DuplicateEnvironmentName.
func (t *Team) AddProjectEnvironment(ctx context.Context, p Project, name string, production bool) (ProjectEnvironment, error) {
	out := ProjectEnvironment{Name: name}
	refuse := func(tx *tx) error {
		var n, same int
		if err := tx.row("SELECT count(*), count(CASE WHEN name = $2 THEN 1 END) FROM project_environments WHERE project_id = $1", p.ID, name).Scan(&n, &same); err != nil {
			return err
		}
		switch {
		case same > 0:
			return fault.New(fault.Conflict, "An environment named %s already exists in this project.", name).WithCode("DuplicateEnvironmentName")
		case n >= ProjectEnvironments:
			return fault.New(fault.Invalid, "This project has %d environments already, which is the limit.", n).WithCode("TooManyEnvironments")
		}
		return nil
	}
	if err := t.db.write(ctx, refuse); err != nil {
		return out, err
	}
	e, err := t.CreateEnvironment(ctx, NewEnvironment{Name: p.Slug + " " + name, Production: production})
	if err != nil {
		return out, err
	}
	_, value, err := e.CreateAPIKey(ctx, name, time.Time{}, "")
	if err == nil {
		out.Environment, out.APIKey, out.CreatedAt = e, value, t.db.now()
		err = t.db.write(ctx, func(tx *tx) error {
			if err := refuse(tx); err != nil { // another call may have been faster
				return err
			}
			_, err := tx.exec("INSERT INTO project_environments (environment_id, project_id, name, api_key, created_at) VALUES ($1, $2, $3, $4, $5)",
				e.ID, p.ID, name, t.db.box.Seal("project environment key", e.ID, []byte(value.Reveal())), millis(out.CreatedAt))
			return err
		})
	}
	if err != nil {
		if gone := t.DeleteEnvironment(context.WithoutCancel(ctx), e.ID); gone != nil {
			return out, gone
		}
	}
	return out, err
}
