package server_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// lockedHouse is an environment with the password grant and no rate limits.
type lockedHouse struct {
	*account
	clk *stopped
}

func newLockedHouse(t *testing.T) *lockedHouse {
	clk := newStopped()
	return &lockedHouse{newAccount(t, startWith(t, server.Config{Now: clk.now, Limits: noLimits}), email), clk}
}

func (h *lockedHouse) try(t *testing.T, address, secret string) (int, string) {
	t.Helper()
	return call(t, h.s, "POST", "/user_management/authenticate", "", m{"grant_type": "password", "client_id": h.e.ClientID, "client_secret": h.key, "email": address, "password": secret})
}

func (h *lockedHouse) wrong(t *testing.T, address string, times int) {
	t.Helper()
	for range times {
		if status, out := h.try(t, address, "wrong password"); status != http.StatusBadRequest {
			t.Fatalf("wrong password = %d %s, want 400", status, out)
		}
	}
}

func TestWrongPasswordsInARowPauseTheAccount(t *testing.T) {
	h := newLockedHouse(t)
	right := func() int {
		status, _ := h.try(t, email, password)
		return status
	}
	h.wrong(t, email, store.MaxPasswordFailures-1)
	if got := right(); got != http.StatusOK {
		t.Fatalf("right password after 9 wrong ones = %d, want 200", got)
	}
	h.wrong(t, email, store.MaxPasswordFailures)
	_, known := h.try(t, email, "wrong password")
	status, locked := h.try(t, email, password)
	if status != http.StatusBadRequest || locked != known {
		t.Fatalf("right password in the pause = %d %s, want the answer to a wrong one: %s", status, locked, known)
	}
	// What is tried within a pause does not prolong it; each one after it doubles the next.
	for _, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		h.wrong(t, email, 3)
		h.clk.advance(pause - time.Millisecond)
		if got := right(); got != http.StatusBadRequest {
			t.Fatalf("right password just before the end of a pause of %s = %d, want 400", pause, got)
		}
		h.clk.advance(time.Millisecond)
		h.wrong(t, email, 1)
	}
	h.clk.advance(15 * time.Minute)
	if got := right(); got != http.StatusOK {
		t.Fatalf("right password after the pause = %d, want 200", got)
	}
	h.wrong(t, email, store.MaxPasswordFailures-1)
	if got := right(); got != http.StatusOK {
		t.Errorf("right password after a right one and 9 wrong ones = %d, want 200", got)
	}
}

func TestWrongPasswordsThatAreFarApartPauseNothing(t *testing.T) {
	h := newLockedHouse(t)
	for range 3 {
		h.wrong(t, email, store.MaxPasswordFailures-1)
		h.clk.advance(store.PasswordWindow)
	}
	if status, out := h.try(t, email, password); status != http.StatusOK {
		t.Errorf("right password = %d %s, want 200", status, out)
	}
}

// A pause tells nothing about who has an account, and holds for one
// environment.
func TestAPauseOfAnUnknownAddressLooksTheSame(t *testing.T) {
	h := newLockedHouse(t)
	h.wrong(t, "nobody@example.com", store.MaxPasswordFailures+1)
	if status, out := call(t, h.s, "POST", "/user_management/users", h.key, m{"email": "nobody@example.com", "password": password, "email_verified": true}); status != http.StatusCreated {
		t.Fatalf("create user = %d %s", status, out)
	}
	if status, _ := h.try(t, "NOBODY@example.com", password); status != http.StatusBadRequest {
		t.Errorf("right password of an address that was paused before it had an account = %d, want 400", status)
	}
	other := &lockedHouse{newAccount(t, h.s, "nobody@example.com"), h.clk}
	if status, out := other.try(t, "nobody@example.com", password); status != http.StatusOK {
		t.Errorf("same address in another environment = %d %s, want 200", status, out)
	}
}

func TestANewPasswordEndsThePause(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, h *lockedHouse) (int, string){
		"by the link from the mail": func(t *testing.T, h *lockedHouse) (int, string) {
			u, err := h.e.UserByEmail(t.Context(), email)
			if err != nil {
				t.Fatal(err)
			}
			if status, out := call(t, h.s, "POST", "/user_management/password_reset", h.key, m{"email": u.Email}); status != http.StatusCreated {
				t.Fatalf("password reset = %d %s", status, out)
			}
			list, err := h.e.Messages(t.Context(), email, time.Time{}, 1)
			if err != nil || len(list) != 1 {
				t.Fatalf("Messages = %v, %v; want one", list, err)
			}
			return call(t, h.s, "POST", "/user_management/password_reset/confirm", h.key, m{"token": resetToken(t, list[0].Link), "new_password": "another password"})
		},
		"by the application's server": func(t *testing.T, h *lockedHouse) (int, string) {
			u, err := h.e.UserByEmail(t.Context(), email)
			if err != nil {
				t.Fatal(err)
			}
			return call(t, h.s, "PUT", "/user_management/users/"+u.ID, h.key, m{"password": "another password"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLockedHouse(t)
			h.wrong(t, email, store.MaxPasswordFailures)
			if status, out := change(t, h); status != http.StatusOK {
				t.Fatalf("change = %d %s, want 200", status, out)
			}
			if status, out := h.try(t, email, "another password"); status != http.StatusOK {
				t.Errorf("new password = %d %s, want 200", status, out)
			}
		})
	}
}

func TestSweepingKeepsAPause(t *testing.T) {
	h := newLockedHouse(t)
	h.wrong(t, email, store.MaxPasswordFailures)
	if err := h.s.Store().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, wait := range []time.Duration{0, store.FirstPasswordPause} {
		h.clk.advance(wait)
		paused, err := h.e.PasswordPaused(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, paused)
	}
	if diff := cmp.Diff([]bool{true, false}, got); diff != "" {
		t.Errorf("PasswordPaused (-want +got):\n%s", diff)
	}
}

func resetToken(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("token")
}
