package store

import (
	"context"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

func TestDocumentsStayWithTheirDeployment(t *testing.T) {
	ctx, db := t.Context(), open(t)
	team, err := db.CreateTeam(ctx, "Acme", "admin@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	at := func(reference string) (Deployment, *database.Database) {
		d, _, err := team.OpenDeployment(ctx, "shop", claim.Preview, reference, false)
		if err != nil {
			t.Fatal(err)
		}
		data, err := database.Open(ctx, db.Documents(d.ID), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return d, data
	}
	one, a := at("a")
	_, b := at("b")
	if err := insertNote(ctx, a); err != nil {
		t.Fatal(err)
	}
	if n := b.Tables()["notes"]; n != 0 {
		t.Errorf("another deployment has %d notes, want 0", n)
	}
	again, err := database.Open(ctx, db.Documents(one.ID), time.Now)
	if err != nil || again.Tables()["notes"] != 1 || again.Timestamp() != a.Timestamp() {
		t.Errorf("opened again = %v, %v, want one note at the same timestamp", again.Tables(), err)
	}
	if err := team.DeleteDeployment(ctx, "shop", claim.Preview, "a"); err != nil {
		t.Fatal(err)
	}
	if err := insertNote(ctx, a); !fault.Is(err, fault.NotFound) {
		t.Errorf("a write to a deleted deployment = %v, want kind NotFound", err)
	}
	_, fresh := at("a")
	if n := fresh.Tables()["notes"]; n != 0 {
		t.Errorf("the deployment made anew has %d notes, want 0", n)
	}
}

func insertNote(ctx context.Context, db *database.Database) error {
	tx := db.Begin()
	if _, err := tx.Insert("notes", value.Object{"n": 1.0}); err != nil {
		return err
	}
	_, err := db.Commit(ctx, tx)
	return err
}
