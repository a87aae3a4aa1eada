//go:build unix

package server_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// conn is a kept connection that sends requests as they are given and reads no
// more of an answer than it must. The clients run on the processors of the
// server, so what they cost would be counted as the server's.
type conn struct {
	b    testing.TB
	net  net.Conn
	in   *bufio.Reader
	host string
	out  []byte
	body []byte
}

func dial(b testing.TB, base string) *conn {
	b.Helper()
	host := strings.TrimPrefix(base, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return &conn{b: b, net: c, in: bufio.NewReader(c), host: host}
}

func dialAll(b testing.TB, base string, n int) []*conn {
	all := make([]*conn, n)
	for i := range all {
		all[i] = dial(b, base)
	}
	return all
}

// do sends a request and returns the body of the answer, which is good until
// the next one. Any status but 200 fails the benchmark.
func (c *conn) do(method, path, key, form string) []byte {
	c.out = fmt.Appendf(c.out[:0], "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n", method, path, c.host)
	if key != "" {
		c.out = append(append(append(c.out, "Authorization: Bearer "...), key...), "\r\n"...)
	}
	if form != "" {
		c.out = fmt.Appendf(c.out, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(form))
	}
	c.out = append(append(c.out, "\r\n"...), form...)
	if _, err := c.net.Write(c.out); err != nil {
		c.b.Error(err)
		return nil
	}
	status, err := c.answer()
	if err != nil || status != http.StatusOK {
		c.b.Errorf("%s %s = %d %s, %v; want 200", method, path, status, c.body, err)
		return nil
	}
	return c.body
}

// answer reads an answer with a Content-Length, or in chunks.
func (c *conn) answer() (status int, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return status, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case first:
			status, err = strconv.Atoi(string(line[9:12])) // HTTP/1.1 200 OK
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
		if err != nil {
			return status, err
		}
	}
	c.body = c.body[:0]
	if length >= 0 {
		return status, c.read(length)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return status, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return status, err
		}
		if err := c.read(int(n)); err != nil {
			return status, err
		}
		if _, err := c.in.Discard(len("\r\n")); err != nil || n == 0 {
			return status, err
		}
	}
}

func (c *conn) read(n int) error {
	have := len(c.body)
	c.body = slices.Grow(c.body, n)[:have+n]
	_, err := io.ReadFull(c.in, c.body[have:])
	return err
}

func (c *conn) authenticate(form string) []byte {
	return c.do("POST", "/user_management/authenticate", "", form)
}

// load is work that many clients do at once for a while.
type load struct {
	clients int
	op      func(client int)
	before  func(second int) // prepares what one round needs; not measured
	took    []time.Duration
	rates   []float64       // per second, by round
	cpu     []time.Duration // processor time of one, by round
}

// processorTime is what this process has used: clients, server and bare work.
func processorTime(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (l *load) run(b testing.TB, round int) {
	if l.before != nil {
		l.before(round)
	}
	took := make([][]time.Duration, l.clients)
	var wg sync.WaitGroup
	used, start := processorTime(b), time.Now()
	for c := range l.clients {
		wg.Go(func() {
			for begun := time.Now(); begun.Sub(start) < roundTime; {
				l.op(c)
				now := time.Now()
				took[c] = append(took[c], now.Sub(begun))
				begun = now
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start).Seconds()
	n := 0
	for _, t := range took {
		n += len(t)
		l.took = append(l.took, t...)
	}
	l.rates = append(l.rates, float64(n)/elapsed)
	l.cpu = append(l.cpu, (processorTime(b)-used)/time.Duration(max(n, 1)))
}

// quantile returns the q-th part of sorted durations in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	return milliseconds(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)])
}

func (l *load) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // one iteration is the whole measurement
	b.ReportMetric(middle(l.rates), "per_second")
	slices.Sort(l.took)
	b.ReportMetric(quantile(l.took, 0.5), "p50_ms")
	b.ReportMetric(quantile(l.took, 0.99), "p99_ms")
}

// The rounds of beside are short and many, so that most meet a calm machine.
const (
	rounds    = 21
	roundTime = 400 * time.Millisecond
)

// beside measures work next to the least that it could cost. Their rounds take
// turns, so that whatever else the machine does meets both alike.
func beside(b *testing.B, bare, work *load) {
	for round := range rounds {
		bare.run(b, round)
		work.run(b, round)
	}
	work.report(b)
	b.ReportMetric(middle(bare.rates), "bare_per_second")
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = work.rates[i] / bare.rates[i]
	}
	slices.Sort(ratios)
	b.ReportMetric(middle(ratios), "of_bare")
	b.ReportMetric(ratios[rounds/4], "of_bare_low")
	b.ReportMetric(ratios[rounds-1-rounds/4], "of_bare_high")
	// What other programs take away does not count here; waiting does not either.
	b.ReportMetric(float64(middle(bare.cpu))/float64(middle(work.cpu)), "of_bare_cpu")
}

// bench is a server with one user, for benchmarks.
type bench struct{ *account }

func newBench(b *testing.B) *bench {
	b.Helper()
	s := startWith(b, server.Config{Hash: auth.DefaultHashParams, Limits: noLimits})
	return &bench{newAccount(b, s, email)}
}

func (x *bench) form(kv ...string) string {
	v := url.Values{"client_id": {x.e.ClientID}}
	for i := 0; i < len(kv); i += 2 {
		v.Set(kv[i], kv[i+1])
	}
	return v.Encode()
}

func (x *bench) passwordForm() string {
	return x.form("grant_type", "password", "client_secret", x.key, "email", email, "password", password)
}

func bareRSA(b *testing.B) *load {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("claims"))
	return &load{clients: runtime.GOMAXPROCS(0), op: func(int) {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Error(err)
		}
	}}
}

func bareECDSA(b *testing.B) *load {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("claims"))
	return &load{clients: runtime.GOMAXPROCS(0), op: func(int) {
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			b.Error(err)
		}
	}}
}

// BenchmarkLoad measures what applications ask of the server most, over HTTP
// with a durable database, each next to the least that it could cost: the bare
// signature, the bare password hash, or a handler that only writes the answer.
func BenchmarkLoad(b *testing.B) {
	b.Run("refresh-RS256", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			beside(b, bareRSA(b), x.refreshes(b))
		}
	})
	b.Run("refresh-organization", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			x.joinOrganization(b)
			beside(b, bareRSA(b), x.refreshes(b))
		}
	})
	b.Run("refresh-ES256", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			settings := x.e.Settings
			settings.Tokens.Algorithm = "ES256"
			if err := x.e.SetSettings(b.Context(), settings); err != nil {
				b.Fatal(err)
			}
			beside(b, bareECDSA(b), x.refreshes(b))
		}
	})
	b.Run("exchange-RS256", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			beside(b, bareRSA(b), x.exchanges(b))
		}
	})
	b.Run("password", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			n, p, salt := runtime.GOMAXPROCS(0), auth.DefaultHashParams, make([]byte, 16)
			http, form := dialAll(b, x.s.URL(), 2*n), x.passwordForm()
			beside(b, &load{clients: n, op: func(int) {
				argon2.IDKey([]byte(password), salt, p.Iterations, p.MemoryKiB, p.Parallelism, 32)
			}}, &load{clients: 2 * n, op: func(c int) { http[c].authenticate(form) }})
		}
	})
	b.Run("jwks", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			x.besideHandler(b, "/sso/jwks/"+x.e.ClientID)
		}
	})
	b.Run("session-check", func(b *testing.B) {
		for b.Loop() {
			x := newBench(b)
			dial(b, x.s.URL()).authenticate(x.passwordForm())
			u, err := x.e.UserByEmail(b.Context(), email)
			if err != nil {
				b.Fatal(err)
			}
			x.besideHandler(b, "/user_management/users/"+u.ID+"/sessions?limit=1")
		}
	})
}

// joinOrganization makes the user a member of the only organization that it can
// sign in to, with a role by membership and one by group, five permissions each.
func (x *bench) joinOrganization(b *testing.B) {
	b.Helper()
	ctx := b.Context()
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, slug := range []string{"editor", "auditor"} {
		_, err := x.e.CreateRole(ctx, identity.Role{Slug: slug, Name: slug})
		check(err)
		var permissions []string
		for _, verb := range []string{"read", "write", "list", "share", "export"} {
			p, err := x.e.CreatePermission(ctx, identity.Permission{Slug: slug + ":" + verb, Name: verb})
			check(err)
			permissions = append(permissions, p.Slug)
		}
		_, err = x.e.SetRolePermissions(ctx, "", slug, permissions)
		check(err)
	}
	u, err := x.e.UserByEmail(ctx, email)
	check(err)
	o, err := x.e.CreateOrganization(ctx, identity.Organization{Name: "Acme"})
	check(err)
	m, err := x.e.CreateMembership(ctx, o.ID, u.ID, []string{"editor"})
	check(err)
	g, err := x.e.CreateGroup(ctx, identity.Group{OrganizationID: o.ID, Name: "Auditors"})
	check(err)
	_, err = x.e.AddGroupMember(ctx, o.ID, g.ID, m.ID)
	check(err)
	_, err = x.e.AssignGroupRole(ctx, g.ID, store.RoleOn{RoleSlug: "auditor", Resource: identity.ResourceRef{ID: identity.OrganizationResourceID(o.ID)}})
	check(err)
	in, err := x.e.MemberAccess(ctx, o.ID, u.ID)
	check(err)
	if len(in.Permissions) != 10 || len(in.Membership.Roles) != 2 {
		b.Fatalf("MemberAccess = %+v, want 2 roles and 10 permissions", in)
	}
}

// refreshes rotates a session per client.
func (x *bench) refreshes(b *testing.B) *load {
	http, refresh := dialAll(b, x.s.URL(), clients), make([]string, clients)
	for i := range http {
		refresh[i] = member(http[i].authenticate(x.passwordForm()), "refresh_token")
	}
	return &load{clients: clients, op: func(c int) {
		refresh[c] = member(http[c].authenticate(x.form("grant_type", "refresh_token", "refresh_token", refresh[c])), "refresh_token")
	}}
}

// exchanges redeems codes. The pages that give them out are not measured.
func (x *bench) exchanges(b *testing.B) *load {
	u, err := x.e.UserByEmail(b.Context(), email)
	if err != nil {
		b.Fatal(err)
	}
	http, codes := dialAll(b, x.s.URL(), clients), make(chan string, 100_000)
	enough := 4000 * runtime.GOMAXPROCS(0)
	return &load{clients: clients,
		before: func(int) {
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for len(codes) < enough {
						code := identity.NewULID()
						hash := sha256.Sum256([]byte(code))
						if err := x.e.AddCode(b.Context(), identity.Code{Hash: hash[:], UserID: u.ID, RedirectURI: callback, CodeChallenge: challenge(),
							AuthMethod: "password", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
							b.Error(err)
							return
						}
						codes <- code
					}
				})
			}
			wg.Wait()
		},
		op: func(c int) {
			http[c].authenticate(x.form("grant_type", "authorization_code", "code", <-codes, "code_verifier", verifier))
		}}
}

// besideHandler measures GET path with the API key next to a handler that
// writes the same answer.
func (x *bench) besideHandler(b *testing.B, path string) {
	answer := string(dial(b, x.s.URL()).do("GET", path, x.key, ""))
	handler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer) // the client counts answers
	}))
	defer handler.Close()
	get := func(base string) *load {
		http := dialAll(b, base, clients)
		return &load{clients: clients, op: func(c int) { http[c].do("GET", path, x.key, "") }}
	}
	beside(b, get(handler.URL), get(x.s.URL()))
}
