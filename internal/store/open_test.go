package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

func TestOpenNamesWhatIsInTheWay(t *testing.T) {
	t.Run("a second process on the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "berth.db")
		first, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		db, err := store.Open(t.Context(), store.Options{Path: path})
		if db != nil || fault.Code(err) != "database_in_use" {
			t.Errorf("second Open = %v, %v, want nil and code database_in_use", db, err)
		}
	})
	t.Run("a file that is no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "berth.db")
		if err := os.WriteFile(path, []byte("this is a letter and not a database at all"), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(t.Context(), store.Options{Path: path})
		if db != nil || !fault.Is(err, fault.Invalid) {
			t.Errorf("Open = %v, %v, want nil and kind invalid", db, err)
		}
	})
}
