package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

func env(t testing.TB, tm *Team, name string) *Env {
	t.Helper()
	e, err := tm.CreateEnvironment(t.Context(), NewEnvironment{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Pages walked forwards and backwards, in both orders, show everything once.
func TestPagesBothWays(t *testing.T) {
	e := env(t, team(t, open(t)), "dev")
	var ids []string
	for i := range 23 {
		u, err := e.CreateUser(t.Context(), identity.User{Email: fmt.Sprintf("u%d@example.com", i)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	slices.Sort(ids)
	users := func(p Page) (page []string, before, after string) {
		list, before, after, err := e.Users(t.Context(), "", p)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range list {
			page = append(page, u.ID)
		}
		return page, before, after
	}
	inMemory := func(p Page) ([]string, string, string) {
		return CutAll(ids, p, func(s string) string { return s })
	}
	for name, list := range map[string]func(Page) ([]string, string, string){"Users": users, "CutAll": inMemory} {
		for _, limit := range []int{1, 2, 7, 22, 23, 24, 100} {
			for _, ascending := range []bool{false, true} {
				want := slices.Clone(ids)
				if !ascending {
					slices.Reverse(want)
				}
				var got []string
				p, last := Page{Limit: limit, Ascending: ascending}, ""
				for range 100 {
					page, before, after := list(p)
					if (before == "") != (len(got) == 0) {
						t.Errorf("%s limit %d: before = %q on page after %d items", name, limit, before, len(got))
					}
					got = append(got, page...)
					if p.After = after; after == "" {
						break
					}
					last = after
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s limit %d ascending %v forwards = %d items, want %d in order", name, limit, ascending, len(got), len(want))
				}
				if last == "" {
					continue
				}
				// Backwards from the last page that had a cursor.
				var back []string
				p = Page{Limit: limit, Ascending: ascending, Before: last}
				for range 100 {
					page, before, _ := list(p)
					back = append(slices.Clone(page), back...)
					if p.Before = before; before == "" {
						break
					}
				}
				if n := slices.Index(want, last); !slices.Equal(back, want[:n]) {
					t.Errorf("%s limit %d ascending %v backwards = %d items, want the %d before the cursor", name, limit, ascending, len(back), n)
				}
			}
		}
	}
}

func TestIdempotencyKeys(t *testing.T) {
	tm := team(t, open(t))
	ctx := t.Context()
	create := func(key string) *Env {
		t.Helper()
		e, err := tm.CreateEnvironment(ctx, NewEnvironment{Name: "dev", IdempotencyKey: key})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	var wg sync.WaitGroup
	made := make([]string, 20)
	for i := range made {
		wg.Go(func() { made[i] = create("k").ID })
	}
	wg.Wait()
	slices.Sort(made)
	if got := slices.Compact(made); len(got) != 1 {
		t.Errorf("20 parallel creations with one key made %d environments, want 1", len(got))
	}
	if a, b := create("").ID, create("").ID; a == b {
		t.Error("two creations without a key gave one environment")
	}
	first := create("k")
	k1, v1, err := first.CreateAPIKey(ctx, "a", time.Time{}, "key")
	if err != nil {
		t.Fatal(err)
	}
	if k2, v2, err := first.CreateAPIKey(ctx, "b", time.Time{}, "key"); err != nil || k2.ID != k1.ID || v2 != v1 || k2.Name != "a" {
		t.Errorf("repeated CreateAPIKey = %v, %v; want the first key with its value", k2, err)
	}
	// Deleted and repeated: a new one.
	if err := tm.DeleteEnvironment(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	second := create("k")
	if second.ID == first.ID || second.ClientID == first.ClientID {
		t.Errorf("creation after the deletion gave the deleted environment")
	}
	if again := create("k"); again.ID != second.ID {
		t.Errorf("repeat after that = %s, want %s", again.ID, second.ID)
	}
	if k3, v3, err := second.CreateAPIKey(ctx, "a", time.Time{}, "key"); err != nil || k3.ID == k1.ID || v3 == v1 {
		t.Errorf("CreateAPIKey after the deletion = %v, %v; want a new key", k3, err)
	}
	// Another team's keys are its own.
	other, err := tm.db.CreateTeam(ctx, "Other", "")
	if err != nil {
		t.Fatal(err)
	}
	if e, err := other.CreateEnvironment(ctx, NewEnvironment{Name: "dev", IdempotencyKey: "k"}); err != nil || e.ID == second.ID {
		t.Errorf("another team's creation with the same key = %v, %v; want its own", e, err)
	}
}

func TestSigningKeyIsTakenOnce(t *testing.T) {
	db := open(t)
	tm := team(t, db)
	ctx := t.Context()
	for i := range 3 {
		if err := db.AddReadyKeys(ctx, identity.SigningKey{KID: fmt.Sprint("kid", i), Algorithm: "RS256", Private: []byte("p"), PublicJWK: "{}"}); err != nil {
			t.Fatal(err)
		}
	}
	taken := map[string]string{}
	for i := range 3 {
		e := env(t, tm, fmt.Sprint(i))
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				k, _, err := e.SigningKey(ctx)
				if err != nil {
					t.Errorf("SigningKey = %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if prior, ok := taken[k.KID]; ok && prior != e.ID {
					t.Errorf("key %s was given to two environments", k.KID)
				}
				taken[k.KID] = e.ID
			})
		}
		wg.Wait()
		if n, err := db.ReadyKeys(ctx); err != nil || n != 2-i {
			t.Errorf("ReadyKeys = %d, %v; want %d", n, err, 2-i)
		}
	}
	e := env(t, tm, "last")
	if k, _, err := e.SigningKey(ctx); err != ErrNoReadyKey || k.Algorithm != "RS256" {
		t.Errorf("SigningKey with an empty pool = %v, %v; want ErrNoReadyKey for RS256", k.Algorithm, err)
	}
	var wg sync.WaitGroup
	kids := make([]string, 8)
	for i := range kids {
		wg.Go(func() {
			k, _, err := e.PutSigningKey(ctx, identity.SigningKey{KID: fmt.Sprint("own", i), Algorithm: "RS256", Private: []byte("p"), PublicJWK: "{}"})
			if err != nil {
				t.Errorf("PutSigningKey = %v", err)
			}
			kids[i] = k.KID
		})
	}
	wg.Wait()
	slices.Sort(kids)
	if got := slices.Compact(kids); len(got) != 1 {
		t.Errorf("parallel PutSigningKey gave %v, want one key for all", got)
	}
}

func TestChangeDeploymentUnderParallelWriters(t *testing.T) {
	db := open(t)
	d, _, err := team(t, db).OpenDeployment(t.Context(), "shop", claim.Prod, "prod", false)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			err := db.ChangeDeployment(t.Context(), d.Name, func(d *Deployment, vars map[string]string) (map[string]string, error) {
				vars[fmt.Sprintf("V%d", i)] = "x"
				d.AuthConfig += "x"
				return vars, nil
			})
			if err != nil {
				t.Errorf("ChangeDeployment = %v", err)
			}
		})
	}
	wg.Wait()
	vars, err := db.Variables(t.Context(), d.ID)
	if err != nil || len(vars) != 24 {
		t.Errorf("Variables = %d, %v; want all 24", len(vars), err)
	}
	if d, err = db.DeploymentByName(t.Context(), d.Name); err != nil || len(d.AuthConfig) != 24 {
		t.Errorf("AuthConfig has %d marks, %v; want 24", len(d.AuthConfig), err)
	}
	err = db.ChangeDeployment(t.Context(), d.Name, func(*Deployment, map[string]string) (map[string]string, error) {
		return nil, fault.New(fault.Invalid, "no")
	})
	if again, _ := db.Variables(t.Context(), d.ID); !fault.Is(err, fault.Invalid) || len(again) != 24 {
		t.Errorf("a refused change = %v and %d variables, want its error and 24", err, len(again))
	}
}

// A row that was read before a change is never kept as the newest.
func TestTheEnvironmentCacheIsNeverStale(t *testing.T) {
	db := open(t)
	e := env(t, team(t, db), "dev")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.EnvByClientID(t.Context(), e.ClientID); err != nil {
					t.Errorf("EnvByClientID = %v", err)
				}
			}
		})
	}
	for i := range 60 {
		want := fmt.Sprintf("https://%d.example.com", i)
		if err := e.SetHomepage(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got, err := db.EnvByClientID(t.Context(), e.ClientID); err != nil || got.HomepageURL != want {
				t.Fatalf("after SetHomepage(%s): %s, %v", want, got.HomepageURL, err)
			}
		}
	}
	stop()
	wg.Wait()
}

// Deleting an environment takes everything of it along, and its client ID,
// keys and sessions select nothing any more.
func TestDeleteEnvironmentTakesEverythingAlong(t *testing.T) {
	db := open(t)
	tm := team(t, db)
	ctx := t.Context()
	e := env(t, tm, "dev")
	_, key, err := e.CreateAPIKey(ctx, "k", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	u, err := e.CreateUser(ctx, identity.User{Email: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := e.OpenSession(ctx, identity.Session{ID: identity.NewID(identity.PrefixSession), UserID: u.ID, ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.AddCode(ctx, identity.Code{Hash: []byte("h"), UserID: u.ID, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddRedirectURI(ctx, "https://a.example.com"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.PutSigningKey(ctx, identity.SigningKey{KID: "k", Algorithm: "RS256", Private: []byte("p")}); err != nil {
		t.Fatal(err)
	}
	if err := tm.DeleteEnvironment(ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"users", "sessions", "codes", "redirect_uris", "api_keys", "signing_keys"} {
		var n int
		if err := db.row(ctx, "SELECT count(*) FROM "+table+" WHERE environment_id = $1", e.ID).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s holds %d rows of the deleted environment, %v", table, n, err)
		}
	}
	if _, err := db.EnvByClientID(ctx, e.ClientID); !fault.Is(err, fault.NotFound) {
		t.Errorf("EnvByClientID = %v, want not found", err)
	}
	if _, err := db.EnvByAPIKey(ctx, key.Reveal()); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("EnvByAPIKey = %v, want unauthenticated", err)
	}
	if _, err := db.EnvBySession(ctx, session.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("EnvBySession = %v, want not found", err)
	}
	if err := e.AddCode(ctx, identity.Code{Hash: []byte("h"), UserID: u.ID}); err == nil {
		t.Error("a deleted environment took a code")
	}
}

func TestCredentialsExpire(t *testing.T) {
	now := time.Now()
	db := openAt(t, func() time.Time { return now })
	tm := team(t, db)
	ctx := t.Context()
	client, err := tm.CreateCredential(ctx, ClientCredential, "c", now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	token, err := tm.CreateCredential(ctx, TokenCredential, "t", now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	check := func(want bool) {
		t.Helper()
		if _, err := db.TeamByClient(ctx, client.ID, client.Secret.Reveal()); (err == nil) != want {
			t.Errorf("TeamByClient = %v, want accepted %v", err, want)
		}
		if _, err := db.TeamByToken(ctx, token.Secret.Reveal()); (err == nil) != want {
			t.Errorf("TeamByToken = %v, want accepted %v", err, want)
		}
	}
	check(true)
	if _, err := db.TeamByToken(ctx, client.Secret.Reveal()); err == nil {
		t.Error("a client secret works as a token")
	}
	now = now.Add(2 * time.Minute)
	check(false)
	if err := db.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestUserConflicts(t *testing.T) {
	tm := team(t, open(t))
	a, b := env(t, tm, "a"), env(t, tm, "b")
	ctx := t.Context()
	if _, err := a.CreateUser(ctx, identity.User{Email: "Ada@Example.com", ExternalID: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateUser(ctx, identity.User{Email: "ada@example.COM"}); fault.Code(err) != "email_not_available" {
		t.Errorf("same address in another case = %v, want email_not_available", err)
	}
	if _, err := a.CreateUser(ctx, identity.User{Email: "bob@example.com", ExternalID: "x"}); fault.Code(err) != "external_id_already_used" {
		t.Errorf("same external id = %v, want external_id_already_used", err)
	}
	if _, err := b.CreateUser(ctx, identity.User{Email: "ada@example.com", ExternalID: "x"}); err != nil {
		t.Errorf("the same user in another environment = %v, want nil", err)
	}
	if _, err := b.UserByEmail(ctx, "bob@example.com"); !fault.Is(err, fault.NotFound) || strings.Contains(err.Error(), "sql") {
		t.Errorf("unknown user = %v, want not found", err)
	}
}
