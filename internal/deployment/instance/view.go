package instance

import (
	"context"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/runtime"
)

// View is a deployment at one moment: what runs, and the documents after one
// commit. What its queries give belongs together. It costs nothing to make.
type View struct {
	i    *Instance
	live *live
	data database.Moment
}

// View returns the deployment as it is now.
func (i *Instance) View() View { return View{i, i.now(), i.data.Latest()} }

// Timestamp returns the commit that the view shows.
func (v View) Timestamp() database.Timestamp { return v.data.Timestamp() }

// Query runs a query, see [Instance.Query].
func (v View) Query(ctx context.Context, caller Caller, path string, args []byte, journal *string) (Outcome, error) {
	out, err := v.i.callWith(ctx, v.live, v.data.Begin(), caller, path, args, runtime.Query, journal)
	out.Timestamp = v.Timestamp()
	return out, err
}
