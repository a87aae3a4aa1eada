package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
)

// PutFile keeps the bytes of a file of a deployment under the id of its
// document. It is written before the document: what has none is swept.
func (db *DB) PutFile(ctx context.Context, deploymentID, id string, data []byte) error {
	if data == nil {
		data = []byte{}
	}
	return db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("INSERT INTO deployment_files (deployment_id, id, bytes) SELECT id, $2, $3 FROM deployments WHERE id = $1", deploymentID, id, data)
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "the deployment is gone").WithCode("DeploymentNotFound")
		}
		return err
	})
}

// File returns the bytes of a file, or NotFound.
func (db *DB) File(ctx context.Context, deploymentID, id string) ([]byte, error) {
	var data []byte
	err := db.row(ctx, "SELECT bytes FROM deployment_files WHERE deployment_id = $1 AND id = $2", deploymentID, id).Scan(&data)
	if isNoRows(err) {
		return nil, fault.New(fault.NotFound, "file %s was not found", id).WithCode("FileNotFound")
	}
	return data, err
}

// DeleteFiles removes the bytes of files. Those of missing ones change nothing.
func (db *DB) DeleteFiles(ctx context.Context, deploymentID string, ids []string) error {
	return db.write(ctx, func(tx *tx) error {
		for _, id := range ids {
			if _, err := tx.exec("DELETE FROM deployment_files WHERE deployment_id = $1 AND id = $2", deploymentID, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// SweepFiles removes bytes whose document was never written or is gone. Nobody
// may be writing files of the deployment meanwhile.
func (db *DB) SweepFiles(ctx context.Context, deploymentID string) error {
	const orphans = " FROM deployment_files WHERE deployment_id = $1 AND id NOT IN (SELECT id FROM deployment_documents WHERE deployment_id = $1)"
	var n int
	if err := db.row(ctx, "SELECT count(*)"+orphans, deploymentID).Scan(&n); err != nil || n == 0 {
		return err
	}
	return db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("DELETE"+orphans, deploymentID)
		return err
	})
}
