//go:build unix

package server_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

const (
	manyEnvironments    = 1000
	usersPerEnvironment = 1000
)

// crowd is a data folder with a million users, and how to reach one of its
// environments.
type crowd struct {
	Dir, ClientID, Key, Email string
}

// million returns the folder with a million users in a thousand environments.
// The first run builds it, in a minute at most, in the system's temporary folder;
// it is used again until the schema changes. It takes about a gigabyte.
func million(b *testing.B) crowd {
	b.Helper()
	schema, err := os.ReadFile(filepath.Join("..", "store", "testdata", "schema.sqlite.sql"))
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(schema)
	c := crowd{Dir: filepath.Join(os.TempDir(), fmt.Sprintf("berth-bench-%d-%x", manyEnvironments*usersPerEnvironment, sum[:6]))}
	note := filepath.Join(c.Dir, "bench.json") // written last
	if data, err := os.ReadFile(note); err == nil && json.Unmarshal(data, &c) == nil {
		return c
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(c.Dir, "berth.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	team, err := db.FirstTeam(b.Context(), "Acme")
	if err != nil {
		b.Fatal(err)
	}
	hash, err := auth.NewHasher(auth.DefaultHashParams).Hash(b.Context(), password)
	if err != nil {
		b.Fatal(err)
	}
	const workers = 64
	templates := make([]identity.User, manyEnvironments) // the first user of each
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < manyEnvironments && !b.Failed(); i += workers {
				e, err := team.CreateEnvironment(b.Context(), store.NewEnvironment{Name: fmt.Sprint(i)})
				if err != nil {
					b.Error(err)
					return
				}
				u := identity.User{Email: address(0, i), FirstName: "User", LastName: "Many", PasswordHash: hash, EmailVerified: true}
				if templates[i], err = e.CreateUser(b.Context(), u); err != nil {
					b.Error(err)
					return
				}
				if i == manyEnvironments/2 {
					_, value, err := e.CreateAPIKey(b.Context(), "k", time.Time{}, "")
					if err != nil {
						b.Error(err)
						return
					}
					c.ClientID, c.Key, c.Email = e.ClientID, value.Reveal(), address(7, i)
				}
			}
		})
	}
	wg.Wait()
	if err := db.Close(); err != nil || b.Failed() {
		b.Fatal("the environments were not built", err)
	}
	multiply(b, filepath.Join(c.Dir, "berth.db"), templates)
	data, err := json.Marshal(c)
	if err == nil && !b.Failed() {
		err = os.WriteFile(note, data, 0o600)
	}
	if err != nil || b.Failed() {
		b.Fatal("the folder was not built", err)
	}
	fmt.Fprintf(os.Stderr, "built %s in %.0f s\n", c.Dir, time.Since(begun).Seconds())
	return c
}

func address(user, environment int) string {
	return fmt.Sprintf("user%d@env%d.example.com", user, environment)
}

// multiply copies the one user of each environment until it has
// usersPerEnvironment of them. Nothing else has the file open, and what a crash
// leaves is built again, so the copies wait for no disk.
func multiply(b *testing.B, path string, templates []identity.User) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-64000)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var columns string
	if err := db.QueryRowContext(b.Context(), "SELECT group_concat(name) FROM pragma_table_info('users') WHERE name NOT IN ('id', 'email', 'email_key')").Scan(&columns); err != nil {
		b.Fatal(err)
	}
	tx, err := db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	insert, err := tx.PrepareContext(b.Context(), "INSERT INTO users (id, email, email_key, "+columns+") SELECT $1, $2, $3, "+columns+" FROM users WHERE id = $4")
	if err != nil {
		b.Fatal(err)
	}
	for i, u := range templates {
		for n := 1; n < usersPerEnvironment; n++ {
			email := address(n, i)
			if _, err := insert.ExecContext(b.Context(), identity.NewID(identity.PrefixUser), email, identity.EmailKey(email), u.ID); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMillion asks the real binary, opened on a million users, for lists
// of them, and measures what memory it has then and after a hundred sign-ins.
func BenchmarkMillion(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("resident memory is read from /proc")
	}
	c := million(b)
	base, server := serve(b, build(b), c.Dir)
	http := dial(b, base)
	deep := "/user_management/users?limit=100"
	for range 5 { // the cursor of the middle
		after := member(http.do("GET", deep, c.Key, ""), "after")
		if after == "" {
			b.Fatal("the list has no next page")
		}
		deep = "/user_management/users?limit=100&after=" + after
	}
	for name, path := range map[string]string{"users-first-page": "/user_management/users?limit=100", "users-deep-page": deep,
		"users-by-email": "/user_management/users?email=" + c.Email} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l := &load{clients: 1, op: func(int) { http.do("GET", path, c.Key, "") }}
				for round := range 5 {
					l.run(b, round)
				}
				l.report(b)
			}
		})
	}
	b.Run("memory", func(b *testing.B) {
		opened := residentMB(b, server.Process.Pid)
		conns := dialAll(b, base, 8)
		form := "client_id=" + c.ClientID + "&client_secret=" + c.Key + "&grant_type=password&password=" + strings.ReplaceAll(password, " ", "+") + "&email=" + c.Email
		peaks := make([]float64, len(conns))
		var wg sync.WaitGroup
		for i, conn := range conns {
			wg.Go(func() {
				for range 100 / len(conns) {
					conn.authenticate(form)
					peaks[i] = max(peaks[i], residentMB(b, server.Process.Pid))
				}
			})
		}
		wg.Wait()
		for b.Loop() {
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(opened, "opened_MB")
		b.ReportMetric(slices.Max(peaks), "burst_MB")
	})
}
