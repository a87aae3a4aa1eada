package store

import "context"

// Module is one module as it was pushed.
type Module struct {
	Path        string
	Environment string // isolate or node
	Source      string
	SourceMap   string
	Hash        string // hex SHA-256 of source and source map
}

// Modules returns what was pushed to a deployment last, by path.
func (db *DB) Modules(ctx context.Context, deploymentID string) ([]Module, error) {
	var all []Module
	err := db.list(ctx, "SELECT path, environment, source, source_map, hash FROM deployment_modules WHERE deployment_id = $1 ORDER BY path", func(s scanner) error {
		var m Module
		err := s.Scan(&m.Path, &m.Environment, &m.Source, &m.SourceMap, &m.Hash)
		all = append(all, m)
		return err
	}, deploymentID)
	return all, err
}

// PushDeployment is ChangeDeployment, and puts modules in the place of those
// that were pushed before.
func (db *DB) PushDeployment(ctx context.Context, name string, modules []Module, change func(d *Deployment, vars map[string]string) (map[string]string, error)) error {
	return db.changeDeployment(ctx, name, change, func(tx *tx, deploymentID string) error {
		if _, err := tx.exec("DELETE FROM deployment_modules WHERE deployment_id = $1", deploymentID); err != nil {
			return err
		}
		for _, m := range modules {
			if _, err := tx.exec("INSERT INTO deployment_modules (deployment_id, path, environment, source, source_map, hash) VALUES ($1, $2, $3, $4, $5, $6)",
				deploymentID, m.Path, m.Environment, m.Source, m.SourceMap, m.Hash); err != nil {
				return err
			}
		}
		return nil
	})
}

// Ports returns the ports that a deployment answered on last, or 0, 0.
func (db *DB) Ports(ctx context.Context, deploymentID string) (port, sitePort int, err error) {
	err = db.row(ctx, "SELECT port, site_port FROM deployments WHERE id = $1", deploymentID).Scan(&port, &sitePort)
	return port, sitePort, err
}

// SetPorts keeps the ports that a deployment answers on.
func (db *DB) SetPorts(ctx context.Context, deploymentID string, port, sitePort int) error {
	return db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("UPDATE deployments SET port = $2, site_port = $3 WHERE id = $1", deploymentID, port, sitePort)
		return err
	})
}
