package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

func service(t testing.TB) (*Service, *store.Env, *store.Env) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "berth.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	team, err := db.FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	var envs [2]*store.Env
	for i := range envs {
		if envs[i], err = team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: "dev"}); err != nil {
			t.Fatal(err)
		}
	}
	s := New(db, NewKeyring(db, slog.New(slog.DiscardHandler)), NewHasher(HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1}), func() string { return "http://x" })
	return s, envs[0], envs[1]
}

// Only what was made here for this environment reads back, byte for byte.
func FuzzReadRefreshToken(f *testing.F) {
	s, e, other := service(f)
	session := identity.Session{ID: identity.NewID(identity.PrefixSession), Generation: 7}
	real := s.refreshToken(e, session).Reveal()
	for _, seed := range []string{real, "", "A", real[1:], real + "A", strings.Repeat("A", 64), s.refreshToken(other, session).Reveal()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, generation, ok := s.readRefreshToken(e, token)
		if ok != (token == real) {
			t.Fatalf("readRefreshToken(%q) = %v, want %v", token, ok, token == real)
		}
		if ok && (id != session.ID || generation != session.Generation) {
			t.Fatalf("readRefreshToken = %s %d, want %s %d", id, generation, session.ID, session.Generation)
		}
		if _, _, ok := s.readRefreshToken(other, real); ok {
			t.Fatal("a token of one environment reads in another")
		}
	})
}

// Every single changed bit of a refresh token is noticed.
func TestRefreshTokenBits(t *testing.T) {
	s, e, _ := service(t)
	raw, err := base64.RawURLEncoding.DecodeString(s.refreshToken(e, identity.Session{ID: identity.NewID(identity.PrefixSession), Generation: 1}).Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, _, ok := s.readRefreshToken(e, base64.RawURLEncoding.EncodeToString(changed)); ok {
			t.Errorf("a token with bit %d changed is read", bit)
		}
	}
}

func FuzzOpenFlow(f *testing.F) {
	s, e, _ := service(f)
	flow := Flow{EnvironmentID: e.ID, ClientID: e.ClientID, RedirectURI: "https://app.example.com/callback", State: "s", Browser: browserHash("browser"), Begun: s.db.Now().UTC()}
	real, err := s.SealFlow(&flow)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{real, "", "A", real[1:], real + "A", real + "=", real + "\n"} {
		f.Add(seed, "browser")
	}
	f.Add(real, "other")
	f.Add(real, "")
	f.Fuzz(func(t *testing.T, sealed, browser string) {
		_, got, err := s.OpenFlow(t.Context(), sealed, browser)
		if err != nil {
			if sealed == real && browser == "browser" {
				t.Fatalf("OpenFlow of a sealed flow = %v", err)
			}
			return
		}
		data, decodeErr := base64.RawURLEncoding.DecodeString(sealed)
		want, _ := base64.RawURLEncoding.DecodeString(real) // ours
		if decodeErr != nil || !bytes.Equal(data, want) || browser != "browser" {
			t.Fatalf("OpenFlow(%q, %q) = nil, want an error", sealed, browser)
		}
		if diff := cmp.Diff(&flow, got); diff != "" {
			t.Fatalf("OpenFlow (-want +got):\n%s", diff)
		}
	})
}

// A flow of an environment that is gone, or that was sealed for another
// purpose, does not open.
func TestFlowsOfOtherThingsDoNotOpen(t *testing.T) {
	s, e, other := service(t)
	good := Flow{EnvironmentID: e.ID, ClientID: e.ClientID, Browser: browserHash("b"), Begun: s.db.Now()}
	plain, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	mixed, future := good, good
	mixed.ClientID = other.ClientID
	future.Begun = future.Begun.Add(time.Hour)
	for name, sealed := range map[string]string{
		"another purpose":     base64.RawURLEncoding.EncodeToString(s.db.Box().Seal("variable", "", plain)),
		"another place":       base64.RawURLEncoding.EncodeToString(s.db.Box().Seal("sign-in flow", "x", plain)),
		"no JSON":             base64.RawURLEncoding.EncodeToString(s.db.Box().Seal("sign-in flow", "", []byte("x"))),
		"a mixed environment": seal(t, s, &mixed),
		"the future":          seal(t, s, &future),
	} {
		if _, _, err := s.OpenFlow(t.Context(), sealed, "b"); err != ErrFlow {
			t.Errorf("%s: OpenFlow = %v, want ErrFlow", name, err)
		}
	}
	if _, _, err := s.OpenFlow(t.Context(), seal(t, s, &good), "b"); err != nil {
		t.Errorf("the good flow: OpenFlow = %v, want nil", err)
	}
}

func seal(t testing.TB, s *Service, f *Flow) string {
	t.Helper()
	sealed, err := s.SealFlow(f)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestPasswordHashes(t *testing.T) {
	h := NewHasher(HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1})
	ctx := t.Context()
	phc, err := h.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := h.Hash(ctx, "correct horse"); again == phc {
		t.Error("two hashes of one password are equal: the salt is not fresh")
	}
	later := NewHasher(HashParams{MemoryKiB: 128, Iterations: 2, Parallelism: 1})
	for _, c := range []struct {
		phc, password string
		want          bool
	}{
		{phc, "correct horse", true}, {phc, "Correct horse", false}, {phc, "", false}, {"", "correct horse", false}, {"", "", false}, {"x", "x", false},
		{strings.Replace(phc, "argon2id", "argon2i", 1), "correct horse", false},
		{strings.Replace(phc, "m=64", "m=4000000000", 1), "correct horse", false},
		{strings.Replace(phc, "t=1", "t=0", 1), "correct horse", false},
		{strings.Replace(phc, "p=1", "p=0", 1), "correct horse", false},
		{phc[:len(phc)-4], "correct horse", false},
		{h.decoy(), "", false},
	} {
		for _, hasher := range []*Hasher{h, later} {
			if got, err := hasher.Verify(ctx, c.phc, c.password); err != nil || got != c.want {
				t.Errorf("Verify(%q, %q) = %v, %v; want %v", c.phc, c.password, got, err, c.want)
			}
		}
	}
}
