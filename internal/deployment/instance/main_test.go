package instance

import (
	"os"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/deployment/runtime"
)

func TestMain(m *testing.M) {
	// The limit is in time that passes, and the race detector makes JavaScript
	// many times slower.
	runtime.QueryLimits.Time = time.Minute
	os.Exit(m.Run())
}
