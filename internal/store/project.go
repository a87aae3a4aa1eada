package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
)

// Deployment is the record of one backend.
type Deployment struct {
	ID         string
	ProjectID  string
	Project    string // slug
	TeamID     string
	TeamSlug   string
	Name       string // such as happy-otter-123, unique on the server
	Kind       claim.Kind
	Reference  string          // developer, branch or "prod"
	AuthConfig string          // bundled source of auth.config, "" when none was pushed
	Providers  json.RawMessage // evaluated providers, JSON array
	UDFVersion string          // npm version of convex that pushed last
	PersonID   string          // whose dev deployment it is, "" for nobody's
	ExpiresAt  time.Time       // when a preview ends, zero for never
	CreatedAt  time.Time
	UpdatedAt  time.Time

	// Actions are what the key that opened it may do, such as deployment:deploy;
	// nil for everything. See May.
	Actions []string `json:",omitempty"`
}

const deploymentSelect = `SELECT d.id, d.project_id, p.slug, p.team_id, t.slug, d.name, d.kind, d.reference, d.auth_config, d.providers, d.udf_version, coalesce(d.person_id, ''), d.expires_at, d.created_at, d.updated_at
	FROM deployments d JOIN projects p ON p.id = d.project_id JOIN teams t ON t.id = p.team_id`

func scanDeployment(s scanner) (Deployment, error) {
	var d Deployment
	var providers string
	var created, updated, expires int64
	err := s.Scan(&d.ID, &d.ProjectID, &d.Project, &d.TeamID, &d.TeamSlug, &d.Name, &d.Kind, &d.Reference, &d.AuthConfig, &providers, &d.UDFVersion, &d.PersonID, &expires, &created, &updated)
	d.Providers, d.CreatedAt, d.UpdatedAt, d.ExpiresAt = json.RawMessage(providers), fromMillis(created), fromMillis(updated), fromMillis(expires)
	return d, err
}

// OpenDeployment returns the deployment of a project, kind and reference, and
// makes project and deployment when they do not exist. created says that the
// deployment is new. With fresh an existing one is emptied first.
func (t *Team) OpenDeployment(ctx context.Context, project string, kind claim.Kind, reference string, fresh bool) (d Deployment, created bool, err error) {
	return t.Open(ctx, Opening{Project: project, Kind: kind, Reference: reference, Fresh: fresh})
}

// deploymentName returns a name of the shape that Convex's tools expect:
// word-word-number.
func deploymentName() string {
	pick := func(n int) int {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
		if err != nil {
			panic("store: the system's random source cannot fail: " + err.Error())
		}
		return int(i.Int64())
	}
	return fmt.Sprintf("%s-%s-%d", adjectives[pick(len(adjectives))], animals[pick(len(animals))], 100+pick(900))
}

var adjectives = []string{"amber", "brave", "calm", "clever", "cosmic", "eager", "fancy", "gentle", "happy", "honest", "jolly", "keen", "lively", "lucky", "mellow",
	"merry", "modest", "noble", "patient", "polished", "proud", "quick", "quiet", "rapid", "shiny", "silent", "smooth", "sunny", "swift", "tidy", "upbeat", "vivid", "warm", "wise"}

var animals = []string{"albatross", "badger", "beaver", "bison", "buzzard", "camel", "cobra", "condor", "crane", "dolphin", "egret", "falcon", "ferret", "finch", "gazelle",
	"gecko", "heron", "ibex", "jackal", "kiwi", "lemur", "lynx", "marten", "narwhal", "ocelot", "otter", "panda", "pelican", "puffin", "raven", "seal", "stork", "tapir", "walrus", "wombat", "yak"}

// DeploymentByName returns the deployment with the given name.
func (db *DB) DeploymentByName(ctx context.Context, name string) (Deployment, error) {
	d, err := scanDeployment(db.row(ctx, deploymentSelect+" WHERE d.name = $1", name))
	if isNoRows(err) {
		return d, fault.New(fault.NotFound, "deployment %q was not found", name).WithCode("DeploymentNotFound")
	}
	return d, err
}

// Deployments returns the team's deployments, ordered by project, kind and reference.
func (t *Team) Deployments(ctx context.Context) ([]Deployment, error) {
	var all []Deployment
	err := t.db.list(ctx, deploymentSelect+" WHERE p.team_id = $1 ORDER BY p.slug, d.kind, d.reference", func(s scanner) error {
		d, err := scanDeployment(s)
		all = append(all, d)
		return err
	}, t.ID)
	return all, err
}

// DeleteDeployment removes a deployment with its variables. Deleting a missing
// one changes nothing.
func (t *Team) DeleteDeployment(ctx context.Context, project string, kind claim.Kind, reference string) error {
	return t.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec(`DELETE FROM deployments WHERE kind = $3 AND reference = $4
			AND project_id IN (SELECT id FROM projects WHERE team_id = $1 AND slug = $2)`, t.ID, project, string(kind), reference)
		return err
	})
}

// deleteUnclaimed is DeleteDeployment for the deployment of a claim that was
// released, unless a new claim holds it by now.
func (t *Team) deleteUnclaimed(tx *tx, c claim.Claim) error {
	reference := strings.TrimPrefix(c.Deployment, claim.DeploymentKey(c.Project, c.Kind, ""))
	if c.Kind == claim.Preview && c.Branch != "" {
		reference = c.Branch
	}
	_, err := tx.exec(`DELETE FROM deployments WHERE kind = $3 AND reference = $4
		AND project_id IN (SELECT id FROM projects WHERE team_id = $1 AND slug = $2)
		AND NOT EXISTS (SELECT 1 FROM claims WHERE team_id = $1 AND deployment = $5 AND state <> 'releasing')`,
		t.ID, c.Project, string(c.Kind), reference, c.Deployment)
	return err
}

// Variables returns the environment variables of a deployment.
func (db *DB) Variables(ctx context.Context, deploymentID string) (map[string]string, error) {
	vars := map[string]string{}
	err := db.list(ctx, "SELECT name, value FROM deployment_variables WHERE deployment_id = $1", func(s scanner) error {
		var name string
		var sealed []byte
		if err := s.Scan(&name, &sealed); err != nil {
			return err
		}
		plain, err := db.box.Open("variable", deploymentID+"/"+name, sealed)
		vars[name] = string(plain)
		return err
	}, deploymentID)
	return vars, err
}

// ChangeDeployment reads a deployment and its variables, runs change on them,
// and keeps variables, source and providers that it returns, unless somebody
// else changed the deployment meanwhile: then it starts again. An error of
// change keeps everything as it was. change runs outside the transaction and
// may be called several times.
func (db *DB) ChangeDeployment(ctx context.Context, name string, change func(d *Deployment, vars map[string]string) (map[string]string, error)) error {
	return db.changeDeployment(ctx, name, change, func(*tx, string) error { return nil })
}

// changeDeployment is ChangeDeployment; also writes in the same transaction.
func (db *DB) changeDeployment(ctx context.Context, name string, change func(d *Deployment, vars map[string]string) (map[string]string, error), also func(tx *tx, deploymentID string) error) error {
	for {
		var version int64
		err := db.row(ctx, "SELECT version FROM deployments WHERE name = $1", name).Scan(&version)
		if err != nil && !isNoRows(err) {
			return err
		}
		d, err := db.DeploymentByName(ctx, name)
		if err != nil {
			return err
		}
		vars, err := db.Variables(ctx, d.ID)
		if err != nil {
			return err
		}
		newVars, err := change(&d, vars)
		if err != nil {
			return err
		}
		kept := false
		err = db.write(ctx, func(tx *tx) error {
			n, err := tx.exec("UPDATE deployments SET auth_config = $3, providers = $4, updated_at = $5, udf_version = $6, version = version + 1 WHERE id = $1 AND version = $2",
				d.ID, version, d.AuthConfig, string(d.Providers), millis(db.now()), d.UDFVersion)
			if err != nil || n == 0 {
				return err
			}
			kept = true
			if err := also(tx, d.ID); err != nil {
				return err
			}
			return db.replaceVariables(tx, d.ID, newVars)
		})
		if err != nil || kept {
			return err
		}
	}
}

func (db *DB) replaceVariables(tx *tx, deploymentID string, vars map[string]string) error {
	if _, err := tx.exec("DELETE FROM deployment_variables WHERE deployment_id = $1", deploymentID); err != nil {
		return err
	}
	for name, value := range vars {
		if _, err := tx.exec("INSERT INTO deployment_variables (deployment_id, name, value) VALUES ($1, $2, $3)",
			deploymentID, name, db.box.Seal("variable", deploymentID+"/"+name, []byte(value))); err != nil {
			return err
		}
	}
	return nil
}
