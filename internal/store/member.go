package store

import (
	"context"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// MemberRole is what a person is in a team.
type MemberRole string

// The roles of members, as Convex has them.
const (
	Admin     MemberRole = "admin"     // everything in the team
	Developer MemberRole = "developer" // own dev deployments, previews, and projects of one's own
)

// Person is somebody who can be a member of teams. Whoever proves the address
// in the members' environment is that person.
type Person struct {
	ID        string
	Number    int64 // what Convex's tools call it
	Email     string
	CreatedAt time.Time
}

// Member is a person in a team.
type Member struct {
	Person
	Role     MemberRole
	Projects []string // slugs of projects that a developer administers
	JoinedAt time.Time
}

const personColumns = "p.id, p.number, p.email, p.created_at"

func scanPerson(s scanner) (Person, error) {
	var p Person
	var created int64
	err := s.Scan(&p.ID, &p.Number, &p.Email, &created)
	p.CreatedAt = fromMillis(created)
	return p, err
}

// PersonByEmail returns the person with an address that has been proven, and
// makes one.
func (db *DB) PersonByEmail(ctx context.Context, email string) (Person, error) {
	var p Person
	err := db.write(ctx, func(tx *tx) (err error) {
		p, err = db.person(tx, email)
		return err
	})
	return p, err
}

func (db *DB) person(tx *tx, email string) (Person, error) {
	if err := identity.CheckEmail(email); err != nil {
		return Person{}, err
	}
	key := identity.EmailKey(email)
	if _, err := tx.exec(`INSERT INTO people (id, number, email, email_key, created_at) VALUES ($1, (SELECT coalesce(max(number), 0) + 1 FROM people), $2, $3, $4)
		ON CONFLICT (email_key) DO NOTHING`,
		identity.NewID(identity.PrefixPerson), email, key, millis(db.now())); err != nil {
		return Person{}, err
	}
	return scanPerson(tx.row("SELECT "+personColumns+" FROM people p WHERE p.email_key = $1", key))
}

// PutMember makes a person a member of the team, or changes the role. projects
// are slugs of projects that a developer administers; others of the team are
// taken away. The last admin cannot be made a developer.
func (t *Team) PutMember(ctx context.Context, email string, role MemberRole, projects []string) (Member, error) {
	m := Member{Role: role}
	if role != Admin && role != Developer {
		return m, fault.New(fault.Invalid, "unknown role %q", role).WithFix("use admin or developer").WithCode("invalid_role")
	}
	err := t.db.write(ctx, func(tx *tx) (err error) {
		if m.Person, err = t.db.person(tx, email); err != nil {
			return err
		}
		if role == Developer {
			if err := t.keepAnAdmin(tx, m.ID); err != nil {
				return err
			}
		}
		now := millis(t.db.now())
		if _, err := tx.exec(`INSERT INTO team_members (team_id, person_id, role, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (team_id, person_id) DO UPDATE SET role = excluded.role`, t.ID, m.ID, string(role), now); err != nil {
			return err
		}
		if err := t.setProjectAdmin(tx, m.ID, projects); err != nil {
			return err
		}
		if err := t.audit(tx, "", "member.set", m.ID+" "+string(role)); err != nil {
			return err
		}
		m, err = t.member(tx, m.ID)
		return err
	})
	return m, err
}

// keepAnAdmin refuses to take the role of the only admin away. A team without
// any admin, such as one that only has tokens, is not touched by that.
func (t *Team) keepAnAdmin(tx *tx, personID string) error {
	var others, is int
	err := tx.row(`SELECT count(CASE WHEN person_id <> $2 THEN 1 END), count(CASE WHEN person_id = $2 THEN 1 END)
		FROM team_members WHERE team_id = $1 AND role = 'admin'`, t.ID, personID).Scan(&others, &is)
	if err == nil && is > 0 && others == 0 {
		return fault.New(fault.Conflict, "the team's last admin stays one").WithFix("make another member an admin first").WithCode("last_admin")
	}
	return err
}

func (t *Team) setProjectAdmin(tx *tx, personID string, projects []string) error {
	if _, err := tx.exec("DELETE FROM project_admins WHERE person_id = $2 AND project_id IN (SELECT id FROM projects WHERE team_id = $1)", t.ID, personID); err != nil {
		return err
	}
	for _, slug := range projects {
		n, err := tx.exec("INSERT INTO project_admins (project_id, person_id) SELECT id, $3 FROM projects WHERE team_id = $1 AND slug = $2 ON CONFLICT DO NOTHING", t.ID, slug, personID)
		if err != nil {
			return err
		}
		if n == 0 {
			var there int
			if err := tx.row("SELECT count(*) FROM projects WHERE team_id = $1 AND slug = $2", t.ID, slug).Scan(&there); err != nil {
				return err
			}
			if there == 0 {
				return fault.New(fault.NotFound, "the team has no project %q", slug).WithCode("project_not_found")
			}
		}
	}
	return nil
}

const memberSelect = "SELECT " + personColumns + `, m.role, m.created_at, coalesce((SELECT group_concat(j.slug, ' ') FROM project_admins a JOIN projects j ON j.id = a.project_id
	WHERE a.person_id = p.id AND j.team_id = m.team_id), '') FROM team_members m JOIN people p ON p.id = m.person_id WHERE m.team_id = $1`

func scanMember(s scanner) (Member, error) {
	var m Member
	var created, joined int64
	var projects string
	err := s.Scan(&m.ID, &m.Number, &m.Email, &created, &m.Role, &joined, &projects)
	m.CreatedAt, m.JoinedAt, m.Projects = fromMillis(created), fromMillis(joined), strings.Fields(projects)
	return m, err
}

func (t *Team) member(tx *tx, personID string) (Member, error) {
	m, err := scanMember(tx.row(memberSelect+" AND m.person_id = $2", t.ID, personID))
	if isNoRows(err) {
		return m, fault.New(fault.NotFound, "the team has no such member").WithCode("member_not_found")
	}
	return m, err
}

// Members returns the members of the team, by address.
func (t *Team) Members(ctx context.Context) ([]Member, error) {
	var all []Member
	err := t.db.list(ctx, memberSelect+" ORDER BY p.email_key", func(s scanner) error {
		m, err := scanMember(s)
		all = append(all, m)
		return err
	}, t.ID)
	return all, err
}

// RemoveMember ends a membership. What the person's credentials opened in the
// team is closed at once. The last admin stays.
func (t *Team) RemoveMember(ctx context.Context, email string) error {
	return t.db.write(ctx, func(tx *tx) error {
		var id string
		err := tx.row("SELECT m.person_id FROM team_members m JOIN people p ON p.id = m.person_id WHERE m.team_id = $1 AND p.email_key = $2", t.ID, identity.EmailKey(email)).Scan(&id)
		if isNoRows(err) {
			return fault.New(fault.NotFound, "%s is no member of this team", email).WithCode("member_not_found")
		}
		if err != nil {
			return err
		}
		if err := t.keepAnAdmin(tx, id); err != nil {
			return err
		}
		if err := t.setProjectAdmin(tx, id, nil); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM team_members WHERE team_id = $1 AND person_id = $2", t.ID, id); err != nil {
			return err
		}
		return t.audit(tx, "", "member.removed", id)
	})
}

// membersTeam is the name of the server's own team.
const membersTeam = "Berth members"

// MembersEnvironment returns the environment that members of teams sign in to,
// and the client ID of the application that command lines do so with. The
// first call makes both. production says that its mail can be sent: without,
// codes go to the inbox of the server's own machine.
func (db *DB) MembersEnvironment(ctx context.Context, production bool) (*Env, string, error) {
	var environmentID, clientID string
	const current = "SELECT environment_id, client_id FROM members_environment WHERE id = 1"
	err := db.row(ctx, current).Scan(&environmentID, &clientID)
	if isNoRows(err) {
		if err := db.makeMembersEnvironment(ctx, production); err != nil {
			return nil, "", err
		}
		err = db.row(ctx, current).Scan(&environmentID, &clientID)
	}
	if err != nil {
		return nil, "", err
	}
	var envClientID string
	if err := db.row(ctx, "SELECT client_id FROM environments WHERE id = $1", environmentID).Scan(&envClientID); err != nil {
		return nil, "", err
	}
	e, err := db.EnvByClientID(ctx, envClientID)
	if err == nil && e.Production != production {
		err = e.update(ctx, "production.set", "", "UPDATE environments SET production = $3, updated_at = $2 WHERE id = $1", production)
		e.Production = production
	}
	return e, clientID, err
}

// makeMembersEnvironment makes what is not there yet. Of two that do so at once
// the first one's stays; the other's is taken away again.
func (db *DB) makeMembersEnvironment(ctx context.Context, production bool) error {
	t := &Team{db: db}
	err := db.write(ctx, func(tx *tx) (err error) {
		t.Team, err = scanTeam(tx.row("SELECT " + teamColumns + " FROM teams t WHERE t.internal = 1 ORDER BY t.id LIMIT 1"))
		if !isNoRows(err) {
			return err
		}
		t.Team = identity.Team{Name: membersTeam}
		return insertTeam(tx, &t.Team, db.now(), true)
	})
	if err != nil {
		return err
	}
	e, err := t.CreateEnvironment(ctx, NewEnvironment{Name: membersTeam, Production: production, IdempotencyKey: "members"})
	if err != nil {
		return err
	}
	app, err := e.CreateApplication(ctx, identity.Application{Kind: identity.OAuthApplication, Name: "Command line", UsesPKCE: true, FirstParty: true})
	if err != nil {
		return err
	}
	kept := false
	err = db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("INSERT INTO members_environment (id, environment_id, client_id) VALUES (1, $1, $2) ON CONFLICT DO NOTHING", e.ID, app.ClientID)
		kept = n == 1
		return err
	})
	if err == nil && !kept {
		err = e.DeleteApplication(ctx, app.ID)
	}
	return err
}
