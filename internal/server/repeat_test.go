package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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
