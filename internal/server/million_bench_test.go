//go:build unix

package server_test

import (
	"crypto/sha256"
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
// The first run builds it, in a minute or two, in the system's temporary folder;
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
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < manyEnvironments && !b.Failed(); i += workers {
				e, err := team.CreateEnvironment(b.Context(), store.NewEnvironment{Name: fmt.Sprint(i)})
				if err != nil {
					b.Error(err)
					return
				}
				for n := range usersPerEnvironment {
					u := identity.User{Email: fmt.Sprintf("user%d@env%d.example.com", n, i), FirstName: "User", LastName: fmt.Sprint(n), PasswordHash: hash, EmailVerified: true}
					if _, err := e.CreateUser(b.Context(), u); err != nil {
						b.Error(err)
						return
					}
				}
				if i == manyEnvironments/2 {
					_, value, err := e.CreateAPIKey(b.Context(), "k", time.Time{}, "")
					if err != nil {
						b.Error(err)
						return
					}
					c.ClientID, c.Key, c.Email = e.ClientID, value.Reveal(), fmt.Sprintf("user7@env%d.example.com", i)
				}
			}
		})
	}
	wg.Wait()
	data, err := json.Marshal(c)
	if err == nil && !b.Failed() {
		err = os.WriteFile(note, data, 0o600)
	}
	if err != nil || b.Failed() {
		b.Fatal("the folder was not built", err)
	}
	b.Logf("built %s in %.0f s", c.Dir, time.Since(begun).Seconds())
	return c
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
