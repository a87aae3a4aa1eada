package authkit_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/authkit"
	"github.com/berthdev/berth/internal/store"
)

// A domain counts as verified when its TXT record holds the token, and not before.
func TestADomainIsProvenByItsRecord(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "berth.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	team, err := db.CreateTeam(t.Context(), "Acme", "admin@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	e, err := team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := e.CreateAPIKey(t.Context(), "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.CreateOrganization(t.Context(), identity.Organization{Name: "Acme", Domains: []identity.OrganizationDomain{{Domain: "acme.example", State: identity.DomainPending}}})
	if err != nil {
		t.Fatal(err)
	}
	d := o.Domains[0]
	records := map[string][]string{}
	mux := http.NewServeMux()
	(&authkit.API{DB: db, Log: slog.New(slog.DiscardHandler), BaseURL: func() string { return "" },
		LookupTXT: func(_ context.Context, name string) ([]string, error) {
			if r, ok := records[name]; ok {
				return r, nil
			}
			return nil, errors.New("no such host")
		}}).Mount(mux)
	verify := func() (int, map[string]any) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/organization_domains/"+d.ID+"/verify", nil)
		r.Header.Set("Authorization", "Bearer "+key.Reveal())
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return w.Code, out
	}
	for _, step := range []struct {
		record, state string
	}{{"", "pending"}, {"something else", "pending"}, {d.Token, "verified"}} {
		if step.record != "" {
			records[d.Prefix+".acme.example"] = []string{"v=spf1 -all", step.record}
		}
		if status, out := verify(); status != http.StatusCreated || out["state"] != step.state || out["verification_token"] != d.Token || out["verification_strategy"] != "dns" {
			t.Errorf("verify with the record %q = %d %v, want 201 %s", step.record, status, out, step.state)
		}
	}
	if status, out := verify(); status != http.StatusBadRequest || out["code"] != "domain_already_verified" {
		t.Errorf("verify once more = %d %v, want 400 domain_already_verified", status, out)
	}
}
