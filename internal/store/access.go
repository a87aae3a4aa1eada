package store

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// Caller is who presents a credential to the control plane, with what the
// database says of it at that moment: a member who was removed and a key that
// was deleted may nothing from then on.
//
// A team token and a team's admins may everything in the team. A developer has
// a dev deployment of their own in every project, all previews, and all of the
// projects they administer. A key reaches what it was made for and no more.
type Caller struct {
	db     *DB
	id     string    // of the credential
	Key    AccessKey // zero with a team token
	Person Person    // with a personal key

	team     string                // of a team token or of a key's project
	project  string                // id, of a key
	roles    map[string]MemberRole // of a person, by team id
	projects map[string]bool       // that a person administers, by id
}

var errUnauthorized = fault.New(fault.Unauthenticated, "The credential is unknown, has expired or was revoked.").WithCode("Unauthorized")

// Caller returns who a credential of the control plane belongs to: a personal
// access token, a team token, or a deploy key, preview key or project key,
// whole or only the part after its "|". What is wrong with it is not told.
func (db *DB) Caller(ctx context.Context, token string) (*Caller, error) {
	head, value, isKey := strings.Cut(token, "|")
	if !isKey {
		head, value = "", token
	}
	if value == "" {
		return nil, errUnauthorized
	}
	c, err := db.callerByKey(ctx, "k.hash = $1", keyHash(value))
	if err == nil && isKey {
		if err := c.named(ctx, head); err != nil {
			return nil, err
		}
	}
	if err == nil {
		return c, db.used(ctx, c.Key)
	}
	if isKey || !isNoRows(err) {
		return nil, noCaller(err)
	}
	t, err := db.TeamByToken(ctx, value)
	if fault.Is(err, fault.Unauthenticated) {
		return nil, errUnauthorized
	}
	if err != nil {
		return nil, err
	}
	return &Caller{db: db, id: t.by.ID, team: t.ID}, nil
}

func noCaller(err error) error {
	if isNoRows(err) {
		return errUnauthorized
	}
	return err
}

// callerByID returns the owner of a credential that is known by its id.
func (db *DB) callerByID(ctx context.Context, id string) (*Caller, error) {
	if strings.HasPrefix(id, identity.PrefixAccessKey+"_") {
		c, err := db.callerByKey(ctx, "k.id = $1", id)
		return c, noCaller(err)
	}
	c := &Caller{db: db, id: id}
	err := db.row(ctx, "SELECT team_id FROM team_credentials WHERE id = $1 AND kind <> 'client' AND (expires_at = 0 OR expires_at > $2)", id, millis(db.now())).Scan(&c.team)
	return c, noCaller(err)
}

func (db *DB) callerByKey(ctx context.Context, where string, arg any) (*Caller, error) {
	k, err := scanAccessKey(db.row(ctx, "SELECT "+accessKeyColumns+" FROM access_keys k WHERE "+where+" AND (k.expires_at = 0 OR k.expires_at > $2)", arg, millis(db.now())))
	if err != nil {
		return nil, err
	}
	c := &Caller{db: db, id: k.ID, Key: k, project: k.ProjectID}
	switch k.Kind {
	case PersonalKey:
		return c, c.load(ctx)
	case DeploymentKey:
		err = db.row(ctx, "SELECT p.team_id, p.id FROM deployments d JOIN projects p ON p.id = d.project_id WHERE d.id = $1", k.DeploymentID).Scan(&c.team, &c.project)
	default:
		err = db.row(ctx, "SELECT team_id FROM projects WHERE id = $1", k.ProjectID).Scan(&c.team)
	}
	return c, err
}

// load reads a person's memberships.
func (c *Caller) load(ctx context.Context) error {
	var err error
	if c.Person, err = scanPerson(c.db.row(ctx, "SELECT "+personColumns+" FROM people p WHERE p.id = $1", c.Key.PersonID)); err != nil {
		return err
	}
	c.roles, c.projects = map[string]MemberRole{}, map[string]bool{}
	if err := c.db.list(ctx, "SELECT team_id, role FROM team_members WHERE person_id = $1", func(s scanner) error {
		var team string
		var role MemberRole
		err := s.Scan(&team, &role)
		c.roles[team] = role
		return err
	}, c.Person.ID); err != nil {
		return err
	}
	return c.db.list(ctx, "SELECT project_id FROM project_admins WHERE person_id = $1", func(s scanner) error {
		var project string
		err := s.Scan(&project)
		c.projects[project] = true
		return err
	}, c.Person.ID)
}

// named refuses a key whose text before the "|" names something else than what
// the key is for: somebody who reads that text must not be misled.
func (c *Caller) named(ctx context.Context, head string) error {
	parts := strings.Split(head, ":")
	right := false
	switch c.Key.Kind {
	case DeploymentKey:
		d, err := c.db.DeploymentByID(ctx, c.Key.DeploymentID)
		if err != nil {
			return noCaller(err)
		}
		right = parts[len(parts)-1] == d.Name && (len(parts) == 1 || len(parts) == 2 && parts[0] == string(d.Kind))
	case PreviewKey, ProjectKey:
		p, err := c.db.ProjectByID(ctx, c.project)
		if err != nil {
			return err
		}
		right = slices.Equal(parts, []string{string(c.Key.Kind), p.TeamSlug, p.Slug})
	}
	if !right {
		return errUnauthorized
	}
	return nil
}

// IsKey reports whether the caller is a key of a deployment or project, which
// stands for no person.
func (c *Caller) IsKey() bool { return c.Key.ID != "" && c.Key.Kind != PersonalKey }

// ProjectID returns the project that a key is for, "" for people and teams.
func (c *Caller) ProjectID() string { return c.project }

func (c *Caller) actor() Actor {
	switch {
	case c.Key.ID == "":
		return Actor{Kind: ByTeamToken, ID: c.id}
	case c.IsKey():
		return Actor{Kind: ByDeployKey, ID: c.id}
	}
	return Actor{Kind: ByPerson, ID: c.Person.ID}
}

// in reports whether the caller has anything to do with a team, and admin
// whether all of it is the caller's to rule.
func (c *Caller) in(teamID string) (in, admin bool) {
	if c.Person.ID != "" {
		role := c.roles[teamID]
		return role != "", role == Admin
	}
	return c.team == teamID, c.team == teamID && c.Key.ID == ""
}

// TeamIDs returns the teams that the caller is in.
func (c *Caller) TeamIDs() []string {
	if c.Person.ID == "" {
		return []string{c.team}
	}
	ids := make([]string, 0, len(c.roles))
	for id := range c.roles {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Team returns a team that the caller is in. Others are not there for it.
func (c *Caller) Team(ctx context.Context, id string) (*Team, error) {
	missing := fault.New(fault.NotFound, "The team was not found.").WithCode("TeamNotFound")
	if in, _ := c.in(id); !in {
		return nil, missing
	}
	t, err := c.db.Team(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, missing
	}
	if err == nil {
		t.by = c.actor()
	}
	return t, err
}

// TeamNamed returns a team that the caller is in, by slug or number.
func (c *Caller) TeamNamed(ctx context.Context, slug string, number int64) (*Team, error) {
	var id string
	err := c.db.row(ctx, "SELECT id FROM teams WHERE slug = $1 OR number = $2 AND number > 0", slug, number).Scan(&id)
	if err != nil && !isNoRows(err) {
		return nil, err
	}
	return c.Team(ctx, id)
}

// MayAdministerTeam reports whether the caller rules a whole team: its members
// and its WorkOS team.
func (c *Caller) MayAdministerTeam(teamID string) bool {
	_, admin := c.in(teamID)
	return admin
}

// MaySee reports whether a project is there for the caller.
func (c *Caller) MaySee(p Project) bool {
	in, _ := c.in(p.TeamID)
	return in && (!c.IsKey() || c.project == p.ID)
}

// MayAdminister reports whether the caller rules a project: production, default
// variables, environments of its own, keys. No key makes other keys.
func (c *Caller) MayAdminister(p Project) bool {
	in, admin := c.in(p.TeamID)
	return admin || in && c.projects[p.ID]
}

// MayUse reports whether a deployment is the caller's to use: its functions,
// data, variables and auth environment.
func (c *Caller) MayUse(d Deployment) bool {
	switch in, admin := c.in(d.TeamID); {
	case !in:
		return false
	case admin || c.projects[d.ProjectID]:
		return true
	case c.Key.Kind == DeploymentKey:
		return c.Key.DeploymentID == d.ID
	case c.Key.Kind == PreviewKey:
		return c.project == d.ProjectID && d.Kind == claim.Preview
	case c.Key.Kind == ProjectKey:
		return c.project == d.ProjectID
	}
	return d.Kind == claim.Preview || d.Kind == claim.Dev && d.PersonID == c.Person.ID
}

// MayOpen reports whether the caller may make deployments of a kind in a
// project: a developer an own dev deployment and previews.
func (c *Caller) MayOpen(p Project, kind claim.Kind) bool {
	return c.MayUse(Deployment{TeamID: p.TeamID, ProjectID: p.ID, Kind: kind, PersonID: c.Person.ID})
}

// May reports whether the key that opened the deployment may do something,
// such as deployment:env:view.
func (d Deployment) May(action string) bool {
	return d.Actions == nil || slices.Contains(d.Actions, action)
}

// AdminKey returns the key of a deployment for this caller, in Convex's form
// <kind>:<name>|<secret>. It ends with the credential that the caller showed,
// and with the caller's right to use the deployment.
func (c *Caller) AdminKey(d Deployment) secret.String {
	return secret.String(string(d.Kind) + ":" + d.Name + "|" + c.id + "." + c.db.adminMAC(d.ID, c.id))
}

func (db *DB) adminMAC(deploymentID, credentialID string) string {
	return hex.EncodeToString(db.box.Authenticator("admin key of a caller").Sum([]byte(deploymentID), []byte(credentialID)))
}

// AdminKey returns the server's own admin key of a deployment, in Convex's form
// <kind>:<name>|<secret>. It is derived from the server's key, not stored.
func (db *DB) AdminKey(d Deployment) secret.String {
	mac := db.box.Authenticator("admin key").Sum([]byte(d.ID))
	return secret.String(string(d.Kind) + ":" + d.Name + "|" + hex.EncodeToString(mac))
}

// DeploymentByAdminKey returns the deployment that an admin key or deploy key
// opens, with the actions that the key is for.
func (db *DB) DeploymentByAdminKey(ctx context.Context, key string) (Deployment, error) {
	bad := fault.New(fault.Unauthenticated, "The provided admin key was invalid for this instance").WithCode("BadAdminKey")
	refused := func(err error) (Deployment, error) {
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unauthenticated) {
			err = bad
		}
		return Deployment{}, err
	}
	head, value, ok := strings.Cut(key, "|")
	if !ok {
		return Deployment{}, bad
	}
	d, err := db.DeploymentByName(ctx, head[strings.LastIndexByte(head, ':')+1:])
	if err != nil {
		return refused(err)
	}
	if hmac.Equal([]byte(db.AdminKey(d).Reveal()), []byte(key)) {
		return d, nil
	}
	var c *Caller
	if id, mac, derived := strings.Cut(value, "."); derived {
		if !hmac.Equal([]byte(mac), []byte(db.adminMAC(d.ID, id))) {
			return Deployment{}, bad
		}
		c, err = db.callerByID(ctx, id)
	} else if c, err = db.Caller(ctx, key); err == nil && c.Key.DeploymentID != d.ID {
		return Deployment{}, bad
	}
	if err != nil {
		return refused(err)
	}
	if !c.MayUse(d) {
		return Deployment{}, bad
	}
	d.Actions = c.Key.Actions
	return d, nil
}

// DeploymentByID returns the deployment with the given id.
func (db *DB) DeploymentByID(ctx context.Context, id string) (Deployment, error) {
	d, err := scanDeployment(db.row(ctx, deploymentSelect+" WHERE d.id = $1", id))
	if isNoRows(err) {
		return d, fault.New(fault.NotFound, "The deployment was not found.").WithCode("DeploymentNotFound")
	}
	return d, err
}

// SetExpiry changes when a preview ends; zero: never.
func (t *Team) SetExpiry(ctx context.Context, deploymentID string, at time.Time) error {
	return t.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("UPDATE deployments SET expires_at = $3, updated_at = $4 WHERE id = $2 AND kind = 'preview' AND project_id IN (SELECT id FROM projects WHERE team_id = $1)",
			t.ID, deploymentID, millis(at), millis(t.db.now()))
		return err
	})
}
