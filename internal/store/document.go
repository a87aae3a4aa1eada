package store

import (
	"context"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/fault"
)

// Documents is one deployment's part of the database where its documents are
// kept (database.Backing).
type Documents struct {
	db           *DB
	deploymentID string
}

// Documents returns where a deployment's documents are kept.
func (db *DB) Documents(deploymentID string) *Documents {
	return &Documents{db: db, deploymentID: deploymentID}
}

// Load reads everything (database.Backing).
func (d *Documents) Load(ctx context.Context, row func(database.Row) error) (database.Meta, error) {
	meta := database.Meta{Tables: map[string]uint32{}}
	var schema string
	err := d.db.row(ctx, "SELECT timestamp, schema FROM deployment_data WHERE deployment_id = $1", d.deploymentID).Scan(&meta.Timestamp, &schema)
	if isNoRows(err) {
		return meta, nil
	}
	if err != nil {
		return meta, err
	}
	if schema != "" {
		meta.Schema = []byte(schema)
	}
	err = d.db.list(ctx, "SELECT name, number FROM deployment_tables WHERE deployment_id = $1", func(s scanner) error {
		var name string
		var number uint32
		err := s.Scan(&name, &number)
		meta.Tables[name] = number
		return err
	}, d.deploymentID)
	if err != nil {
		return meta, err
	}
	err = d.db.list(ctx, "SELECT id, table_name, value FROM deployment_documents WHERE deployment_id = $1", func(s scanner) error {
		var r database.Row
		if err := s.Scan(&r.ID, &r.Table, &r.Value); err != nil {
			return err
		}
		return row(r)
	}, d.deploymentID)
	return meta, err
}

// Write keeps one commit; it is durable when this returns (database.Backing).
// A deployment that was deleted meanwhile gives NotFound.
func (d *Documents) Write(ctx context.Context, b database.Batch) error {
	return d.db.write(ctx, func(tx *tx) error {
		query := `INSERT INTO deployment_data (deployment_id, timestamp, schema) SELECT id, $2, $3 FROM deployments WHERE id = $1
			ON CONFLICT (deployment_id) DO UPDATE SET timestamp = excluded.timestamp`
		if b.Schema != nil {
			query += ", schema = excluded.schema"
		}
		n, err := tx.exec(query, d.deploymentID, int64(b.Timestamp), string(b.Schema)) //nolint:gosec // nanoseconds since 1970 fit
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "the deployment is gone").WithCode("DeploymentNotFound")
		}
		for name, number := range b.Tables {
			if _, err := tx.exec("INSERT INTO deployment_tables (deployment_id, name, number) VALUES ($1, $2, $3)", d.deploymentID, name, number); err != nil {
				return err
			}
		}
		for _, r := range b.Put {
			if _, err := tx.exec(`INSERT INTO deployment_documents (deployment_id, id, table_name, value) VALUES ($1, $2, $3, $4)
				ON CONFLICT (deployment_id, id) DO UPDATE SET value = excluded.value`, d.deploymentID, r.ID, r.Table, r.Value); err != nil {
				return err
			}
		}
		for _, id := range b.Delete {
			if _, err := tx.exec("DELETE FROM deployment_documents WHERE deployment_id = $1 AND id = $2", d.deploymentID, id); err != nil {
				return err
			}
		}
		return nil
	})
}
