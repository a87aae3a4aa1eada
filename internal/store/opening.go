package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// Opening says which deployment is wanted.
type Opening struct {
	Project   string // slug; made when it is not there
	Kind      claim.Kind
	Reference string // developer, branch or "prod"; with a person "" for the person's own
	Fresh     bool   // an existing one goes first, with its data
	// PersonID is who asks, "" for nobody in particular. A dev deployment that is
	// made belongs to that person, who administers a project that is made.
	PersonID string
	Lifetime time.Duration // of a preview that is made; 0: no end
}

// Open returns a deployment, made with the project's default variables when it
// is not there. created says that it was. Of many callers exactly one makes it.
func (t *Team) Open(ctx context.Context, o Opening) (d Deployment, created bool, err error) {
	own := o.Kind == claim.Dev && o.PersonID != "" && o.Reference == ""
	if o.Project == "" || o.Reference == "" && !own {
		return d, false, fault.New(fault.Invalid, "a deployment needs a project and a reference")
	}
	find := func(row func(string, ...any) scanner) (Deployment, error) {
		if own {
			return scanDeployment(row(deploymentSelect+" WHERE p.team_id = $1 AND p.slug = $2 AND d.kind = 'dev' AND d.person_id = $3 ORDER BY d.created_at, d.id LIMIT 1", t.ID, o.Project, o.PersonID))
		}
		return scanDeployment(row(deploymentSelect+" WHERE p.team_id = $1 AND p.slug = $2 AND d.kind = $3 AND d.reference = $4", t.ID, o.Project, string(o.Kind), o.Reference))
	}
	if !o.Fresh {
		d, err = find(func(q string, args ...any) scanner { return t.db.row(ctx, q, args...) })
		if !isNoRows(err) {
			return d, false, err
		}
	}
	err = t.db.write(ctx, func(tx *tx) error {
		created = false
		d, err = find(tx.row)
		if err == nil && !o.Fresh {
			return nil
		}
		if err == nil {
			if _, err := tx.exec("DELETE FROM deployments WHERE id = $1", d.ID); err != nil {
				return err
			}
		} else if !isNoRows(err) {
			return err
		}
		p, err := t.openProject(tx, o.Project, o.PersonID)
		if err != nil {
			return err
		}
		created = true
		d, err = t.insertDeployment(tx, p, o)
		return err
	})
	return d, created, err
}

func (t *Team) insertDeployment(tx *tx, p Project, o Opening) (Deployment, error) {
	now := t.db.now()
	reference := o.Reference
	if reference == "" {
		var err error
		if reference, err = freeReference(tx, p.ID, o.PersonID); err != nil {
			return Deployment{}, err
		}
	}
	owner, expires := "", time.Time{}
	if o.Kind == claim.Dev {
		owner = o.PersonID
	}
	if o.Kind == claim.Preview && o.Lifetime > 0 {
		expires = now.Add(o.Lifetime)
	}
	id := identity.NewID(identity.PrefixDeployment)
	for {
		n, err := tx.exec(`INSERT INTO deployments (id, project_id, name, kind, reference, person_id, expires_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (name) DO NOTHING`,
			id, p.ID, deploymentName(), string(o.Kind), reference, orNull(owner), millis(expires), millis(now))
		if err != nil {
			return Deployment{}, err
		}
		if n == 1 {
			break
		}
	}
	defaults, err := t.db.defaultsOf(tx, p.ID, o.Kind)
	if err != nil {
		return Deployment{}, err
	}
	if err := t.db.replaceVariables(tx, id, defaults); err != nil {
		return Deployment{}, err
	}
	return scanDeployment(tx.row(deploymentSelect+" WHERE d.id = $1", id))
}

// freeReference names a person's dev deployment after the person's address,
// with a number where somebody else has that name.
func freeReference(tx *tx, projectID, personID string) (string, error) {
	var email string
	if err := tx.row("SELECT email FROM people WHERE id = $1", personID).Scan(&email); err != nil {
		return "", err
	}
	base, _, _ := strings.Cut(email, "@")
	base = Slug(base)
	reference := base
	for i := 2; ; i++ {
		var n int
		if err := tx.row("SELECT count(*) FROM deployments WHERE project_id = $1 AND kind = 'dev' AND reference = $2", projectID, reference).Scan(&n); err != nil || n == 0 {
			return reference, err
		}
		reference = fmt.Sprintf("%s-%d", base, i)
	}
}

// Project is one app of a team.
type Project struct {
	ID        string
	Number    int64 // what Convex's tools call it
	TeamID    string
	TeamSlug  string
	Name      string
	Slug      string // unique in the team
	CreatedAt time.Time
}

const projectSelect = "SELECT p.id, p.number, p.team_id, t.slug, CASE p.name WHEN '' THEN p.slug ELSE p.name END, p.slug, p.created_at FROM projects p JOIN teams t ON t.id = p.team_id"

func scanProject(s scanner) (Project, error) {
	var p Project
	var created int64
	err := s.Scan(&p.ID, &p.Number, &p.TeamID, &p.TeamSlug, &p.Name, &p.Slug, &created)
	p.CreatedAt = fromMillis(created)
	return p, err
}

// openProject returns a project, and makes it when it is not there. Who made it
// administers it.
func (t *Team) openProject(tx *tx, slug, personID string) (Project, error) {
	find := func() (Project, error) {
		return scanProject(tx.row(projectSelect+" WHERE p.team_id = $1 AND p.slug = $2", t.ID, slug))
	}
	p, err := find()
	if !isNoRows(err) {
		return p, err
	}
	return t.insertProject(tx, slug, "", personID)
}

func (t *Team) insertProject(tx *tx, slug, name, personID string) (Project, error) {
	id := identity.NewID(identity.PrefixProject)
	if _, err := tx.exec("INSERT INTO projects (id, number, team_id, slug, name, created_at) VALUES ($1, (SELECT coalesce(max(number), 0) + 1 FROM projects), $2, $3, $4, $5)",
		id, t.ID, slug, name, millis(t.db.now())); err != nil {
		return Project{}, err
	}
	if personID != "" {
		if _, err := tx.exec("INSERT INTO project_admins (project_id, person_id) VALUES ($1, $2)", id, personID); err != nil {
			return Project{}, err
		}
	}
	return scanProject(tx.row(projectSelect+" WHERE p.id = $1", id))
}

// CreateProject makes a project. Its slug comes from the name and is made
// unique in the team by a number.
func (t *Team) CreateProject(ctx context.Context, name, personID string) (Project, error) {
	var p Project
	if strings.TrimSpace(name) == "" || len(name) > 100 {
		return p, fault.New(fault.Invalid, "A project needs a name of at most 100 bytes.").WithCode("InvalidProjectName")
	}
	err := t.db.write(ctx, func(tx *tx) error {
		slug := Slug(name)
		for i := 2; ; i++ {
			var n int
			if err := tx.row("SELECT count(*) FROM projects WHERE team_id = $1 AND slug = $2", t.ID, slug).Scan(&n); err != nil {
				return err
			}
			if n == 0 {
				break
			}
			slug = fmt.Sprintf("%s-%d", Slug(name), i)
		}
		var err error
		p, err = t.insertProject(tx, slug, name, personID)
		return err
	})
	return p, err
}

func (db *DB) project(ctx context.Context, where string, args ...any) (Project, error) {
	p, err := scanProject(db.row(ctx, projectSelect+where, args...))
	if isNoRows(err) {
		return p, fault.New(fault.NotFound, "The project was not found.").WithCode("ProjectNotFound")
	}
	return p, err
}

// ProjectBySlug returns the project of a team with the given slug.
func (t *Team) ProjectBySlug(ctx context.Context, slug string) (Project, error) {
	return t.db.project(ctx, " WHERE p.team_id = $1 AND p.slug = $2", t.ID, slug)
}

// ProjectByNumber returns the project with the given number.
func (db *DB) ProjectByNumber(ctx context.Context, number int64) (Project, error) {
	return db.project(ctx, " WHERE p.number = $1", number)
}

// ProjectByID returns the project with the given id.
func (db *DB) ProjectByID(ctx context.Context, id string) (Project, error) {
	return db.project(ctx, " WHERE p.id = $1", id)
}

// Projects returns projects of the team after the one with the number after,
// oldest first and at most limit.
func (t *Team) Projects(ctx context.Context, after int64, limit int) ([]Project, error) {
	var all []Project
	err := t.db.list(ctx, projectSelect+" WHERE p.team_id = $1 AND p.number > $2 ORDER BY p.number LIMIT $3", func(s scanner) error {
		p, err := scanProject(s)
		all = append(all, p)
		return err
	}, t.ID, after, limit)
	return all, err
}

// DeploymentsOf returns the deployments of a project, by kind and age.
func (db *DB) DeploymentsOf(ctx context.Context, projectID string) ([]Deployment, error) {
	var all []Deployment
	err := db.list(ctx, deploymentSelect+" WHERE d.project_id = $1 ORDER BY d.kind, d.created_at, d.id", func(s scanner) error {
		d, err := scanDeployment(s)
		all = append(all, d)
		return err
	}, projectID)
	return all, err
}

// ExpiredPreviews returns previews whose time is over. One that a claim of its
// branch still needs is left to that claim: its deploys renew it.
func (db *DB) ExpiredPreviews(ctx context.Context) ([]Deployment, error) {
	var all []Deployment
	err := db.list(ctx, deploymentSelect+` WHERE d.kind = 'preview' AND d.expires_at > 0 AND d.expires_at <= $1 AND NOT EXISTS (
		SELECT 1 FROM claims c WHERE c.team_id = p.team_id AND c.project = p.slug AND c.kind = 'preview' AND c.branch = d.reference AND c.state <> 'releasing'
		AND (c.expires_at = 0 OR c.expires_at > $1)) ORDER BY d.id`, func(s scanner) error {
		d, err := scanDeployment(s)
		all = append(all, d)
		return err
	}, millis(db.now()))
	return all, err
}
