package store

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// childDir makes the test binary a process that writes until it is killed.
const childDir = "BERTH_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childDir); path != "" {
		writeForever(path)
		return
	}
	os.Exit(m.Run())
}

// writeForever makes teams from many goroutines and prints the slug of each
// one after its write was acknowledged.
func writeForever(path string) {
	db, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var mu sync.Mutex
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				t, err := db.CreateTeam(context.Background(), fmt.Sprintf("t%d-%d-%d", os.Getpid(), g, i), "")
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("kept", t.Slug)
				}
				mu.Unlock()
			}
		}()
	}
	select {}
}

// What was acknowledged is there after kill -9 at any moment.
func TestAcknowledgedWritesSurviveAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	var kept []string
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			slug, ok := strings.CutPrefix(lines.Text(), "kept ")
			if !ok {
				t.Fatalf("the child says %q", lines.Text())
			}
			kept = append(kept, slug)
			if n == 20+37*round {
				// SIGKILL; what is still in the pipe was acknowledged too.
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	db, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	teams, err := db.Teams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, tm := range teams {
		have[tm.Slug] = true
	}
	for _, slug := range kept {
		if !have[slug] {
			t.Errorf("team %s was acknowledged and is gone", slug)
		}
	}
	var check string
	if err := db.row(t.Context(), "PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity_check = %q, %v; want ok", check, err)
	}
}

// Writes of many callers share commits; one that fails, panics or is given up
// takes no other with it.
func TestWritesShareCommitsButNotFailures(t *testing.T) {
	db := open(t)
	const n = 400
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			ctx := t.Context()
			if i%5 == 4 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				cancel()
			}
			errs[i] = db.write(ctx, func(tx *tx) error {
				if _, err := tx.exec("INSERT INTO teams (id, name, slug, admin_email, created_at, updated_at) VALUES ($1, $2, $2, '', 0, 0)", fmt.Sprintf("team_%03d", i), fmt.Sprint(i)); err != nil {
					return err
				}
				switch i % 5 {
				case 1:
					return errors.New("no")
				case 2:
					panic("no")
				case 3:
					_, err := tx.exec("INSERT INTO teams (id) VALUES ('x')") // breaks NOT NULL
					return err
				}
				return nil
			})
		})
	}
	wg.Wait()
	teams, err := db.Teams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, tm := range teams {
		have[tm.ID] = true
	}
	for i, err := range errs {
		id := fmt.Sprintf("team_%03d", i)
		if i%5 == 4 {
			// Given up: kept and acknowledged, or neither.
			if (err == nil) != have[id] {
				t.Errorf("write %d = %v, kept %v; want both or neither", i, err, have[id])
			}
			continue
		}
		if want := i%5 == 0; (err == nil) != want || have[id] != want {
			t.Errorf("write %d = %v, kept %v; want kept %v", i, err, have[id], want)
		}
		if i%5 == 2 && (err == nil || !strings.Contains(err.Error(), "panicked")) {
			t.Errorf("write %d = %v, want its panic", i, err)
		}
	}
}

func TestAClosedDatabaseRefusesWrites(t *testing.T) {
	db := open(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for {
				_, err := db.CreateTeam(t.Context(), fmt.Sprintf("t%d", i), "")
				if err != nil {
					if !fault.Is(err, fault.Unavailable) {
						t.Errorf("CreateTeam while closing = %v, want unavailable", err)
					}
					return
				}
			}
		})
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Errorf("second Close = %v, want nil", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	fresh := func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "berth.db")
		db, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := func(t *testing.T, path string, statements ...string) {
		t.Helper()
		pool, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		for _, s := range statements {
			if _, err := pool.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T) string
		want    string
	}{
		"a second server": {func(t *testing.T) string {
			path := fresh(t)
			db, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return path
		}, fmt.Sprintf("in use by another server (process %d)", os.Getpid())},
		"the key of another database": {func(t *testing.T) string {
			path := fresh(t)
			if err := os.WriteFile(path+".key", secret.NewKey(), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, "is the key of another database"},
		"a key that is none": {func(t *testing.T) string {
			path := fresh(t)
			if err := os.WriteFile(path+".key", []byte("short"), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, "is not a server key"},
		"a key that is gone": {func(t *testing.T) string {
			path := fresh(t)
			if err := os.Remove(path + ".key"); err != nil {
				t.Fatal(err)
			}
			return path
		}, "is missing"},
		"a newer schema": {func(t *testing.T) string {
			path := fresh(t)
			plain(t, path, "PRAGMA user_version = 99")
			return path
		}, "written by a newer Berth (schema 99"},
		"a file that is no database": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "berth.db")
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database\n"), 500), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, "cannot be used as a database"},
		"the database of another program": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "berth.db")
			plain(t, path, "CREATE TABLE theirs (id)")
			return path
		}, "belongs to another program"},
		"a folder that cannot be made": {func(t *testing.T) string {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(file, "data", "berth.db")
		}, "cannot make the data folder"},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.prepare(t)
			before, _ := os.ReadFile(path) // compared below; absent is fine
			db, err := Open(t.Context(), Options{Path: path})
			if err == nil {
				db.Close()
				t.Fatalf("Open = nil, want an error with %q", c.want)
			}
			f := fault.From(err)
			if !strings.Contains(f.Message, c.want) || f.Fix == "" || f.Kind == fault.Internal {
				t.Errorf("Open = %q (%s, fix %q), want %q with a fix", err, f.Kind, f.Fix, c.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) && len(before) > 0 && name != "a newer schema" {
				t.Errorf("Open changed the file that it refused")
			}
		})
	}
}

func TestSharedDatabaseOpensTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	var wg sync.WaitGroup
	teams := make([]string, 6)
	for i := range teams {
		wg.Go(func() {
			db, err := Open(t.Context(), Options{Path: path, Shared: true})
			if err != nil {
				t.Errorf("Open %d = %v", i, err)
				return
			}
			defer db.Close()
			tm, err := db.FirstTeam(t.Context(), "local")
			if err != nil {
				t.Errorf("FirstTeam %d = %v", i, err)
				return
			}
			teams[i] = tm.ID
		})
	}
	wg.Wait()
	for _, id := range teams {
		if id != teams[0] {
			t.Errorf("teams = %v, want one for all", teams)
			break
		}
	}
}

// The schema is a golden file, so that a migration shows its effect in the diff.
// BERTH_UPDATE_GOLDEN=1 writes it.
func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	for range 2 { // the second time there is nothing to migrate
		db, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		err = db.list(t.Context(), "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name", func(s scanner) error {
			var text string
			err := s.Scan(&text)
			got.WriteString(text + ";\n")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		const golden = "testdata/schema.sqlite.sql"
		if os.Getenv("BERTH_UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("schema (-want +got), BERTH_UPDATE_GOLDEN=1 keeps it:\n%s", diff)
		}
	}
}

// Nothing that was given as a secret stands in the files of the database.
func TestSecretsAreSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	db, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tm := team(t, db)
	e := env(t, tm, "dev")
	secrets := map[string]string{}
	_, key, err := e.CreateAPIKey(t.Context(), "k", time.Time{}, "repeatable")
	if err != nil {
		t.Fatal(err)
	}
	secrets["API key"] = key.Reveal()
	for _, kind := range []CredentialKind{ClientCredential, AccessCredential, TokenCredential} {
		c, err := tm.CreateCredential(t.Context(), kind, "c", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		secrets[string(kind)] = c.Secret.Reveal()
	}
	d, _, err := tm.OpenDeployment(t.Context(), "shop", claim.Prod, "prod", false)
	if err != nil {
		t.Fatal(err)
	}
	secrets["variable"], secrets["admin key"] = "value-of-a-variable", strings.SplitN(db.AdminKey(d).Reveal(), "|", 2)[1]
	if err := db.ChangeDeployment(t.Context(), d.Name, func(_ *Deployment, vars map[string]string) (map[string]string, error) {
		return map[string]string{"X": secrets["variable"]}, nil
	}); err != nil {
		t.Fatal(err)
	}
	secrets["given key"] = "sk_test_given_by_a_person"
	if _, err := tm.PutClaim(t.Context(), claim.Request{Project: "shop", Deployment: "shop/dev/ada", Kind: claim.Dev, Mode: claim.Shared, APIBase: "http://x",
		Given: &claim.Given{ClientID: "client_x", APIKey: secret.String(secrets["given key"])}}); err != nil {
		t.Fatal(err)
	}
	secrets["bound key"] = "sk_test_of_a_new_environment"
	g, err := tm.PutClaim(t.Context(), claim.Request{Project: "shop", Deployment: "shop/dev/bob", Kind: claim.Dev, Mode: claim.Dedicated, APIBase: "http://x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tm.Bind(t.Context(), g.Placement.ID, "environment_x", "client_y", secret.String(secrets["bound key"])); err != nil {
		t.Fatal(err)
	}
	secrets["private key"] = "private key in PKCS #8"
	if err := db.AddReadyKeys(t.Context(), identity.SigningKey{KID: "kid", Algorithm: "RS256", Private: []byte(secrets["private key"]), PublicJWK: "{}"}); err != nil {
		t.Fatal(err)
	}
	keyFile, err := os.ReadFile(path + ".key")
	if err != nil {
		t.Fatal(err)
	}
	secrets["server key"] = string(keyFile)
	var all []byte
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	if !bytes.Contains(all, []byte("environment_x")) {
		t.Fatal("the files do not hold what was written: the test looks in the wrong place")
	}
	for name, value := range secrets {
		if bytes.Contains(all, []byte(value)) {
			t.Errorf("the database holds the %s in the open", name)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".key", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", "berth.db"+suffix, info.Mode(), err)
		}
	}
}
