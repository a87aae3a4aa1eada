package instance

import (
	"context"

	"github.com/berthdev/berth/internal/deployment/database"
)

// storage answers the calls of ctx.storage within a transaction.
func (i *Instance) storage(_ context.Context, _ *database.Tx, op string, _ []byte) ([]byte, error) {
	return nil, unsupported(op)
}

// blob answers the calls of an action that move the bytes of files.
func (i *Instance) blob(_ context.Context, op string, _ []byte) ([]byte, error) {
	return nil, unsupported(op)
}
