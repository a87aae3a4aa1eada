package store_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// TestSessionAnswersAreRememberedOnlyWhileTheyHold asks for a user's sessions
// until the answer is kept, then changes them in each way there is.
func TestSessionAnswersAreRememberedOnlyWhileTheyHold(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Millisecond)
	db, err := store.Open(t.Context(), store.Options{Path: t.TempDir() + "/berth.db", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	team, err := db.FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	allow := func(identity.Code) error { return nil }
	text := func(e *store.Env, userID string, p store.Page) string {
		t.Helper()
		body, err := e.SessionsAnswer(t.Context(), userID, p, func(list []identity.Session, before, after string) ([]byte, error) {
			made++
			return json.Marshal([]any{list, before, after})
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	page := store.Page{Limit: 10}
	for name, change := range map[string]func(e *store.Env, s identity.Session) error{
		"it is refreshed": func(e *store.Env, s identity.Session) error {
			_, _, _, err := e.RotateSession(t.Context(), s.ID, 0, time.Minute, "")
			return err
		},
		"its refresh token is used again": func(e *store.Env, s identity.Session) error {
			for range 2 {
				if _, _, _, err := e.RotateSession(t.Context(), s.ID, 0, -1, ""); err != nil {
					return err
				}
			}
			return nil
		},
		"it is revoked": func(e *store.Env, s identity.Session) error {
			_, err := e.EndSession(t.Context(), s.ID)
			return err
		},
		"another is opened": func(e *store.Env, s identity.Session) error {
			_, _, err := e.OpenSession(t.Context(), identity.Session{ID: identity.NewID(identity.PrefixSession), UserID: s.UserID, AuthMethod: "password", ExpiresAt: now.Add(time.Hour)})
			return err
		},
		"another is opened with a code, and its code is used again": func(e *store.Env, s identity.Session) error {
			hash := sha256.Sum256([]byte(s.ID))
			if err := e.AddCode(t.Context(), identity.Code{Hash: hash[:], UserID: s.UserID, AuthMethod: "password", ExpiresAt: now.Add(time.Hour)}); err != nil {
				return err
			}
			opened := text(e, s.UserID, page)
			if _, _, err := e.RedeemCode(t.Context(), hash[:], identity.Session{ID: identity.NewID(identity.PrefixSession), ExpiresAt: now.Add(time.Hour)}, allow); err != nil {
				return err
			}
			if text(e, s.UserID, page) == opened {
				return fmt.Errorf("the session that a code opened is missing")
			}
			_, _, err := e.RedeemCode(t.Context(), hash[:], identity.Session{ID: identity.NewID(identity.PrefixSession), ExpiresAt: now.Add(time.Hour)}, allow)
			if !fault.Is(err, fault.Invalid) {
				return fmt.Errorf("second RedeemCode = %w, want ErrCode", err)
			}
			return nil
		},
		"its organization changes": func(e *store.Env, s identity.Session) error {
			o, err := e.CreateOrganization(t.Context(), identity.Organization{Name: "Acme"})
			if err != nil {
				return err
			}
			if _, err := e.CreateMembership(t.Context(), o.ID, s.UserID, nil); err != nil {
				return err
			}
			text(e, s.UserID, page)
			_, err = e.EnterOrganization(t.Context(), s, o.ID)
			return err
		},
		"its time comes": func(*store.Env, identity.Session) error { now = now.Add(2 * time.Hour); return nil },
		"it is inactive too long": func(e *store.Env, s identity.Session) error {
			settings := e.Settings
			settings.Sessions.Inactivity = 30 * time.Minute
			if err := e.SetSettings(t.Context(), settings); err != nil {
				return err
			}
			e.Settings = settings
			text(e, s.UserID, page)
			now = now.Add(31 * time.Minute)
			return nil
		},
		"its user is deleted": func(e *store.Env, s identity.Session) error { return e.DeleteUser(t.Context(), s.UserID) },
		"it is swept": func(e *store.Env, s identity.Session) error {
			now = now.Add(40 * 24 * time.Hour)
			text(e, s.UserID, page)
			return db.Sweep(t.Context())
		},
	} {
		t.Run("until "+name, func(t *testing.T) {
			e, s := withSession(t, team, now)
			before, asked := text(e, s.UserID, page), made
			if text(e, s.UserID, page) != before || made != asked {
				t.Error("the second answer was made again, want the first one")
			}
			if text(e, s.UserID, store.Page{Limit: 10, After: "session_0"}) == before {
				t.Error("another page was answered with the first one")
			}
			text(e, s.UserID, page)
			if err := change(e, s); err != nil {
				t.Fatal(err)
			}
			if got := text(e, s.UserID, page); got == before {
				t.Errorf("after the change SessionsAnswer = %s, as before", got)
			}
		})
	}
	t.Run("but for its own environment", func(t *testing.T) {
		e, s := withSession(t, team, now)
		other, _ := withSession(t, team, now)
		mine := text(e, s.UserID, page)
		if got := text(other, s.UserID, page); got == mine {
			t.Errorf("another environment's SessionsAnswer = %s", got)
		}
	})
}

func withSession(t *testing.T, team *store.Team, now time.Time) (*store.Env, identity.Session) {
	t.Helper()
	e, err := team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: identity.NewULID()})
	if err != nil {
		t.Fatal(err)
	}
	u, err := e.CreateUser(t.Context(), identity.User{Email: "ada@example.com", EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := e.OpenSession(t.Context(), identity.Session{ID: identity.NewID(identity.PrefixSession), UserID: u.ID, AuthMethod: "password", ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return e, s
}

// TestSessionAnswersAreNeverOlderThanAWrite ends sessions one by one while
// others ask all the time: who ended one sees it at once.
func TestSessionAnswersAreNeverOlderThanAWrite(t *testing.T) {
	t.Parallel()
	now := time.Now()
	db, err := store.Open(t.Context(), store.Options{Path: t.TempDir() + "/berth.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	team, err := db.FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	e, s := withSession(t, team, now)
	active := func() int {
		body, err := e.SessionsAnswer(t.Context(), s.UserID, store.Page{Limit: 1}, func(list []identity.Session, _, _ string) ([]byte, error) {
			if list[0].Status == identity.SessionActive {
				return []byte{1}, nil
			}
			return []byte{0}, nil
		})
		if err != nil {
			t.Error(err)
			return -1
		}
		return int(body[0])
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					active()
				}
			}
		})
	}
	for range 200 {
		next, _, err := e.OpenSession(t.Context(), identity.Session{ID: identity.NewOrderedID(identity.PrefixSession), UserID: s.UserID, AuthMethod: "password", ExpiresAt: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if got := active(); got != 1 {
			t.Errorf("active sessions after opening one = %d, want 1", got)
		}
		if _, err := e.EndSession(t.Context(), next.ID); err != nil {
			t.Fatal(err)
		}
		if got := active(); got != 0 {
			t.Errorf("active sessions after ending it = %d, want 0", got)
		}
	}
	close(stop)
	wg.Wait()
}
