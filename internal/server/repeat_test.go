package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// workos-go sends every POST with an Idempotency-Key and repeats it with the
// same one: the same request is done once and answered alike.
func TestARequestIsRepeatedByItsIdempotencyKey(t *testing.T) {
	c := &clock{}
	s := startWith(t, server.Config{Now: c.now, Limits: noLimits})
	a, b := newAccount(t, s, email), newAccount(t, s, email)
	send := func(by *account, path, key, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + by.key}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	for path, body := range map[string]string{
		"/user_management/users":         `{"email":"once@example.com"}`,
		"/organizations":                 `{"name":"Once"}`,
		"/user_management/redirect_uris": `{"uri":"https://once.example.com/callback"}`,
		"/webhook_endpoints":             `{"endpoint_url":"https://once.example.com/hook","events":["user.created"]}`,
	} {
		t.Run(path, func(t *testing.T) {
			status, first := send(a, path, "key-1", body)
			if status != http.StatusCreated {
				t.Fatalf("POST %s = %d %s, want 201", path, status, first)
			}
			if status, again := send(a, path, "key-1", body); status != http.StatusCreated || again != first {
				t.Errorf("the same again = %d %s, want %s", status, again, first)
			}
			if status, other := send(b, path, "key-1", body); status != http.StatusCreated || other == first {
				t.Errorf("the same in another environment = %d %s, want one of its own", status, other)
			}
		})
	}
	t.Run("once is once", func(t *testing.T) {
		list, _, _, err := a.e.Users(t.Context(), "once@example.com", store.Page{Limit: 10})
		if err != nil || len(list) != 1 {
			t.Errorf("users = %d, %v, want 1", len(list), err)
		}
	})
	t.Run("another key or another body is another request", func(t *testing.T) {
		_, first := send(a, "/organizations", "key-1", `{"name":"Once"}`)
		for key, body := range map[string]string{"key-2": `{"name":"Once"}`, "key-1": `{"name":"Twice"}`} {
			if status, out := send(a, "/organizations", key, body); status != http.StatusCreated || out == first {
				t.Errorf("POST with %s, %s = %d %s, want another organization", key, body, status, out)
			}
		}
	})
	t.Run("a failure is tried again", func(t *testing.T) {
		const body = `{"email":"late@example.com","organization_id":"ORG"}`
		if status, out := send(a, "/user_management/organization_memberships", "key-3", body); status < 400 {
			t.Fatalf("POST = %d %s, want a failure", status, out)
		}
		if status, out := send(a, "/user_management/organization_memberships", "key-3", body); status < 400 {
			t.Errorf("POST again = %d %s, want a failure", status, out)
		}
	})
	t.Run("a day later it is forgotten", func(t *testing.T) {
		_, first := send(a, "/organizations", "key-1", `{"name":"Once"}`)
		c.advance(25 * time.Hour)
		if err := s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if status, out := send(a, "/organizations", "key-1", `{"name":"Once"}`); status != http.StatusCreated || out == first {
			t.Errorf("POST = %d %s, want another organization", status, out)
		}
	})
}

// contract 2.6: workos-go sends an exchange again, with the same key, when its
// answer was lost. That is not the replay of a code, which ends the session.
func TestAnExchangeWhoseAnswerWasLostIsRepeated(t *testing.T) {
	clk := newStopped()
	a := newAccount(t, startWith(t, server.Config{Now: clk.now, Limits: noLimits}), email)
	send := func(key, code string, change m) (int, map[string]any) {
		t.Helper()
		form := m{"grant_type": "authorization_code", "client_id": a.e.ClientID, "client_secret": a.key, "code": code, "code_verifier": verifier}
		maps.Copy(form, change)
		data, err := json.Marshal(form)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", a.s.URL()+"/user_management/authenticate", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]any{}
		if err := json.Unmarshal([]byte(body(t, resp)), &out); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, out
	}
	lives := func(out map[string]any) bool {
		t.Helper()
		status, _ := a.refresh(t, out["refresh_token"])
		return status == http.StatusOK
	}
	t.Run("the same request gets the same tokens", func(t *testing.T) {
		code := a.code(t, nil)
		status, first := send("key-1", code, nil)
		clk.advance(29 * time.Second)
		again, second := send("key-1", code, nil)
		if status != http.StatusOK || again != http.StatusOK {
			t.Fatalf("exchanges = %d %v, %d %v; want 200 twice", status, first, again, second)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("tokens (-first +second):\n%s", diff)
		}
		if !lives(second) {
			t.Error("the session has ended, want it alive")
		}
	})
	t.Run("many at once open one session", func(t *testing.T) {
		code := a.code(t, nil)
		var wg sync.WaitGroup
		tokens := make([]any, 8)
		for i := range tokens {
			wg.Go(func() {
				_, out := send("key-2", code, nil)
				tokens[i] = out["refresh_token"]
			})
		}
		wg.Wait()
		for _, token := range tokens {
			if token == nil || token != tokens[0] {
				t.Fatalf("refresh tokens = %v, want one and the same", tokens)
			}
		}
	})
	for name, c := range map[string]struct {
		key   string
		later time.Duration
		with  m
	}{
		"without a key":               {key: ""},
		"with another key":            {key: "key-4"},
		"half a minute later":         {key: "key-3", later: 31 * time.Second},
		"with another body":           {key: "key-3", with: m{"user_agent": "another"}},
		"without the verifier it had": {key: "key-3", with: m{"code_verifier": ""}},
	} {
		t.Run(name+" it is a replay", func(t *testing.T) {
			code := a.code(t, nil)
			status, first := send("key-3", code, nil)
			if status != http.StatusOK {
				t.Fatalf("exchange = %d %v, want 200", status, first)
			}
			clk.advance(c.later)
			if status, out := send(c.key, code, c.with); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				t.Errorf("exchange again = %d %v, want 400 invalid_grant", status, out)
			}
			if lives(first) {
				t.Error("the session lives on, want it ended")
			}
		})
	}
}
