package store

import (
	"context"

	"github.com/berthdev/berth/internal/claim"
)

// DefaultVariable is a variable that new deployments of a kind begin with.
type DefaultVariable struct {
	Kind  claim.Kind
	Name  string
	Value string
}

func (db *DB) scanDefault(s scanner, projectID string) (DefaultVariable, error) {
	var v DefaultVariable
	var sealed []byte
	if err := s.Scan(&v.Kind, &v.Name, &sealed); err != nil {
		return v, err
	}
	plain, err := db.box.Open("default variable", projectID+"/"+string(v.Kind)+"/"+v.Name, sealed)
	v.Value = string(plain)
	return v, err
}

const defaultSelect = "SELECT kind, name, value FROM project_variables WHERE project_id = $1"

// DefaultVariables returns the defaults of a project, by name and kind.
func (db *DB) DefaultVariables(ctx context.Context, projectID string) ([]DefaultVariable, error) {
	var all []DefaultVariable
	err := db.list(ctx, defaultSelect+" ORDER BY name, kind", func(s scanner) error {
		v, err := db.scanDefault(s, projectID)
		all = append(all, v)
		return err
	}, projectID)
	return all, err
}

func (db *DB) defaultsOf(tx *tx, projectID string, kind claim.Kind) (map[string]string, error) {
	vars := map[string]string{}
	err := tx.rows(defaultSelect+" AND kind = $2", func(s scanner) error {
		v, err := db.scanDefault(s, projectID)
		vars[v.Name] = v.Value
		return err
	}, projectID, string(kind))
	return vars, err
}

// ChangeDefaultVariables replaces the defaults of each kind by what change
// makes of them. Deployments that are there keep theirs. An error of change
// keeps everything as it was.
func (t *Team) ChangeDefaultVariables(ctx context.Context, projectID string, kinds []claim.Kind, change func(kind claim.Kind, vars map[string]string) (map[string]string, error)) error {
	return t.db.write(ctx, func(tx *tx) error {
		for _, kind := range kinds {
			vars, err := t.db.defaultsOf(tx, projectID, kind)
			if err != nil {
				return err
			}
			if vars, err = change(kind, vars); err != nil {
				return err
			}
			if _, err := tx.exec("DELETE FROM project_variables WHERE project_id = $1 AND kind = $2", projectID, string(kind)); err != nil {
				return err
			}
			for name, value := range vars {
				if _, err := tx.exec("INSERT INTO project_variables (project_id, kind, name, value) VALUES ($1, $2, $3, $4)", projectID, string(kind), name,
					t.db.box.Seal("default variable", projectID+"/"+string(kind)+"/"+name, []byte(value))); err != nil {
					return err
				}
			}
		}
		return t.audit(tx, "", "default_variables.changed", projectID)
	})
}
