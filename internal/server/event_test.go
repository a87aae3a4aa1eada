package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// signed checks a WorkOS-Signature the way the vectors describe it: hex of
// HMAC-SHA256 over "<t>.<raw body>".
func signed(header, endpointSecret, body string) bool {
	t, rest, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	got, isV1 := strings.CutPrefix(strings.TrimSpace(rest), "v1=")
	mac := hmac.New(sha256.New, []byte(endpointSecret))
	fmt.Fprintf(mac, "%s.%s", t, body)
	return ok && isV1 && hex.EncodeToString(mac.Sum(nil)) == got
}

// The check of this test agrees with the recorded signatures.
func TestTheSignatureCheckAgreesWithTheVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/webhook-signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct{ Name, Secret, Body, Header string }
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) < 4 {
		t.Fatalf("%d vectors, want at least 4", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		if !signed(c.Header, c.Secret, c.Body) {
			t.Errorf("%s: the signature is not accepted", c.Name)
		}
		if signed(c.Header, c.Secret+"x", c.Body) || signed(c.Header, c.Secret, c.Body+" ") {
			t.Errorf("%s: another secret or body is accepted", c.Name)
		}
	}
}

// hook is what a receiver got.
type hook struct {
	Header, Body string
	ID, Event    string
}

// receiver is an application that takes webhooks.
type receiver struct {
	*httptest.Server
	got chan hook

	mu     sync.Mutex
	answer func(h hook) int // nil: 200
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{got: make(chan hook, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		h := hook{Header: req.Header.Get("WorkOS-Signature"), Body: string(data)}
		if err := json.Unmarshal(data, &h); err != nil {
			t.Errorf("body %s: %v", data, err)
		}
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		status := http.StatusOK
		if answer != nil {
			status = answer(h)
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		r.got <- h
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(fn func(h hook) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

func (r *receiver) next(t testing.TB) hook {
	t.Helper()
	select {
	case h := <-r.got:
		return h
	case <-time.After(20 * time.Second):
		t.Fatal("no webhook arrived")
		return hook{}
	}
}

type application struct {
	s    *server.Server
	team *store.Team
	env  *store.Env
	key  string
}

func newApplication(t testing.TB, cfg server.Config) *application {
	t.Helper()
	a := &application{s: startWith(t, cfg)}
	a.team, a.env = environment(t, a.s, "dev")
	_, key, err := a.env.CreateAPIKey(t.Context(), "key", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	a.key = key.Reveal()
	return a
}

// json sends a request with the API key and decodes the answer.
func (a *application) json(t testing.TB, method, path string, send any, want int) map[string]any {
	t.Helper()
	status, text := call(t, a.s, method, path, a.key, send)
	if status != want {
		t.Fatalf("%s %s = %d %s, want %d", method, path, status, text, want)
	}
	out := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s %s = %s: %v", method, path, text, err)
		}
	}
	return out
}

func (a *application) hook(t testing.TB, target string, events ...string) (id, endpointSecret string) {
	t.Helper()
	out := a.json(t, "POST", "/webhook_endpoints", m{"endpoint_url": target, "events": events}, http.StatusCreated)
	return out["id"].(string), out["secret"].(string)
}

func (a *application) user(t testing.TB, email, first string) identity.User {
	t.Helper()
	u, err := a.env.CreateUser(t.Context(), identity.User{Email: email, FirstName: first, EmailVerified: true,
		Metadata: map[string]string{"10": "ten", "2": "two", "a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// events returns the names of the environment's events, oldest first.
func (a *application) events(t testing.TB, query string) (names []string, text string) {
	t.Helper()
	_, text = call(t, a.s, "GET", "/events?limit=100&order=asc"+query, a.key, nil)
	var out struct {
		Data []struct{ Event string }
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("GET /events = %s: %v", text, err)
	}
	for _, v := range out.Data {
		names = append(names, v.Event)
	}
	return names, text
}

func TestAWebhookArrivesSignedAndInOrder(t *testing.T) {
	a, r := newApplication(t, server.Config{}), newReceiver(t)
	id, endpointSecret := a.hook(t, r.URL+"/hook", "user.created", "user.deleted")
	if !strings.HasPrefix(id, "we_") || !strings.HasPrefix(endpointSecret, "whsec_") {
		t.Fatalf("endpoint = %s with secret %s, want we_ and whsec_", id, endpointSecret)
	}
	var want, got []string
	for i := range 20 {
		u := a.user(t, fmt.Sprintf("u%d@example.com", i), "Tom & <Jerry> Ngô \u2028")
		want = append(want, "user.created "+u.ID)
		if i%2 == 0 {
			if err := a.env.DeleteUser(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
			want = append(want, "user.deleted "+u.ID)
		}
	}
	for range want {
		h := r.next(t)
		if !signed(h.Header, endpointSecret, h.Body) {
			t.Fatalf("signature %s of %s is not right", h.Header, h.Body)
		}
		var body struct {
			Event string
			Data  struct{ ID string }
		}
		if err := json.Unmarshal([]byte(h.Body), &body); err != nil {
			t.Fatal(err)
		}
		got = append(got, body.Event+" "+body.Data.ID)
		// As JSON.stringify writes it: nothing escaped, numeric names first and in order.
		for _, part := range []string{"Tom & <Jerry> Ngô \u2028", `"metadata":{"2":"two","10":"ten","a":"b"}`, `{"object":"event","id":"event_`} {
			if !strings.Contains(h.Body, part) {
				t.Fatalf("body %s has no %s", h.Body, part)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

func (a *application) deliveries(t testing.TB) []map[string]any {
	t.Helper()
	token, err := a.team.CreateCredential(t.Context(), store.TokenCredential, "log", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	status, text := call(t, a.s, "GET", "/berth/v1/environments/"+a.env.ClientID+"/deliveries", token.Secret.Reveal(), nil)
	var out []map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil || status != http.StatusOK {
		t.Fatalf("GET deliveries = %d %s: %v", status, text, err)
	}
	return out
}

// settled waits until the log of the only delivery has the given number of tries.
func (a *application) settled(t testing.TB, tries int) map[string]any {
	t.Helper()
	for range 500 {
		if log := a.deliveries(t); len(log) == 1 && log[0]["tries"] == float64(tries) {
			return log[0]
		}
		time.Sleep(10 * time.Millisecond) // another goroutine writes it after its answer
	}
	t.Fatalf("deliveries = %v, want one with %d tries", a.deliveries(t), tries)
	return nil
}

func TestAFailedWebhookIsTriedSixTimes(t *testing.T) {
	var c clock
	a, r := newApplication(t, server.Config{Now: c.now}), newReceiver(t)
	_, endpointSecret := a.hook(t, r.URL, "user.created")
	r.answers(func(hook) int { return http.StatusFound }) // a redirect is a failure and is not followed
	a.user(t, "one@example.com", "One")
	var headers, bodies []string
	for try := 1; try <= 6; try++ {
		h := r.next(t)
		if !signed(h.Header, endpointSecret, h.Body) {
			t.Errorf("try %d: signature %s is not right", try, h.Header)
		}
		headers, bodies = append(headers, h.Header), append(bodies, h.Body)
		log := a.settled(t, try)
		want := "pending"
		if try == 6 {
			want = "failed"
		}
		if log["state"] != want || log["http_status"] != float64(http.StatusFound) {
			t.Errorf("after try %d the log says %v, want %s with status 302", try, log, want)
		}
		pause, again := identity.DeliveryPause(false, try)
		if again != (try < 6) {
			t.Fatalf("DeliveryPause(false, %d) = %v, %v", try, pause, again)
		}
		c.ahead.Add(int64(pause + time.Second))
		// An event nobody asked for makes the sender look at the queue.
		if _, err := a.env.CreateOrganization(t.Context(), identity.Organization{Name: "wake"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(slices.Compact(slices.Clone(bodies))) != 1 {
		t.Errorf("bodies differ between tries: %q", bodies)
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(headers)))); n != 6 {
		t.Errorf("%d different signatures in 6 tries, want each with its own time", n)
	}
	c.ahead.Add(int64(96 * time.Hour))
	if _, err := a.env.CreateOrganization(t.Context(), identity.Organization{Name: "wake"}); err != nil {
		t.Fatal(err)
	}
	select {
	case h := <-r.got:
		t.Errorf("a seventh try came: %s", h.Body)
	case <-time.After(200 * time.Millisecond):
	}
}

// What was queued when a server stopped is sent by the next one.
func TestWebhooksOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	r := newReceiver(t)
	r.answers(func(hook) int { return http.StatusServiceUnavailable })
	var c clock
	cfg := server.Config{DataDir: dir, Hash: fastHash, Addr: "127.0.0.1:0", Version: "test", Now: c.now}
	first, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	a := &application{s: first}
	a.team, a.env = environment(t, first, "dev")
	v, err := a.env.CreateEndpoint(t.Context(), identity.Endpoint{URL: r.URL, Events: []string{"user.created"}})
	if err != nil {
		t.Fatal(err)
	}
	a.user(t, "one@example.com", "One")
	tried := r.next(t)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.answers(nil)
	c.ahead.Add(int64(time.Minute))
	startWith(t, cfg)
	again := r.next(t)
	if again.ID != tried.ID || again.Body != tried.Body || !signed(again.Header, v.Secret, again.Body) {
		t.Errorf("after the restart came %+v, want %s again", again, tried.Body)
	}
}

func TestEventsTellWhatHappenedWithoutSecrets(t *testing.T) {
	a := newApplication(t, server.Config{})
	ctx := t.Context()
	a.json(t, "POST", "/user_management/users", m{"email": "a@example.com", "password": password, "email_verified": true}, http.StatusCreated)
	u, err := a.env.UserByEmail(ctx, "a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	grant := url.Values{"grant_type": {"password"}, "client_id": {a.env.ClientID}, "client_secret": {a.key}, "email": {u.Email}, "password": {"not the password"}}
	if status, out := authenticate(t, a.s.URL(), grant); status != http.StatusBadRequest {
		t.Fatalf("wrong password = %d %v", status, out)
	}
	grant.Set("password", password)
	status, tokens := authenticate(t, a.s.URL(), grant)
	if status != http.StatusOK {
		t.Fatalf("password = %d %v", status, tokens)
	}
	if status, out := authenticate(t, a.s.URL(), url.Values{"grant_type": {"refresh_token"}, "client_id": {a.env.ClientID}, "refresh_token": {tokens["refresh_token"].(string)}}); status != http.StatusOK {
		t.Fatalf("refresh = %d %v", status, out)
	}
	magic := a.json(t, "POST", "/user_management/magic_auth", m{"email": u.Email}, http.StatusCreated)
	reset := a.json(t, "POST", "/user_management/password_reset", m{"email": u.Email}, http.StatusCreated)
	a.json(t, "POST", "/user_management/password_reset/confirm", m{"token": reset["password_reset_token"], "new_password": password + "!"}, http.StatusOK)
	o := a.json(t, "POST", "/organizations", m{"name": "Acme"}, http.StatusCreated)
	invitation := a.json(t, "POST", "/user_management/invitations", m{"email": "b@example.com", "organization_id": o["id"]}, http.StatusCreated)
	member := a.json(t, "POST", "/user_management/organization_memberships", m{"user_id": u.ID, "organization_id": o["id"]}, http.StatusCreated)
	a.json(t, "DELETE", "/user_management/organization_memberships/"+member["id"].(string), nil, http.StatusOK)
	a.json(t, "DELETE", "/user_management/users/"+u.ID, nil, http.StatusOK)

	names, text := a.events(t, "")
	want := []string{"user.created", "authentication.password_failed", "authentication.password_succeeded", "session.created",
		"magic_auth.created", "password_reset.created", "password_reset.succeeded", "user.updated", "session.revoked",
		"organization.created", "invitation.created", "organization_membership.created", "organization_membership.deleted", "user.deleted"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, hidden := range []string{password, "not the password", magic["code"].(string), reset["password_reset_token"].(string), invitation["token"].(string),
		tokens["refresh_token"].(string), "argon2", "password_reset_url", "accept_invitation_url", `"code":"` + magic["code"].(string)} {
		if strings.Contains(text, hidden) {
			t.Errorf("events show %q", hidden)
		}
	}
	// list_metadata has only after.
	if !strings.HasSuffix(strings.TrimSpace(text), `"list_metadata":{"after":null}}`) {
		t.Errorf("list ends %s", text[max(0, len(text)-80):])
	}
	if names, _ := a.events(t, "&organization_id="+o["id"].(string)); len(names) != 4 {
		t.Errorf("events of the organization = %v, want 4", names)
	}
	if names, _ := a.events(t, "&events=user.created&events=user.deleted"); !slices.Equal(names, []string{"user.created", "user.deleted"}) {
		t.Errorf("events by name = %v", names)
	}
	if names, _ := a.events(t, "&range_end=2001-01-01"); len(names) != 0 {
		t.Errorf("events before 2001 = %v, want none", names)
	}
	page := a.json(t, "GET", "/events?limit=3&order=asc", nil, http.StatusOK)
	after := page["list_metadata"].(map[string]any)["after"].(string)
	if names, _ := a.events(t, "&after="+after); !slices.Equal(names, want[3:]) {
		t.Errorf("events after the first page = %v, want %v", names, want[3:])
	}
	for query, status := range map[string]int{"events=nothing.happened": 422, "limit=0": 422, "order=up": 422, "range_start=yesterday": 422, "organization_id=org_01AAAAAAAAAAAAAAAAAAAAAAAA": 400} {
		a.json(t, "GET", "/events?"+query, nil, status)
	}
}

func TestWebhookEndpoints(t *testing.T) {
	a := newApplication(t, server.Config{})
	id, _ := a.hook(t, "https://app.example/hook", "user.created")
	for name, c := range map[string]struct {
		send m
		want int
		code string
	}{
		"the same URL":     {m{"endpoint_url": "https://app.example/hook", "events": []string{"user.created"}}, 409, "duplicate_endpoint"},
		"no URL":           {m{"events": []string{"user.created"}}, 422, "invalid_url"},
		"another scheme":   {m{"endpoint_url": "ftp://app.example", "events": []string{"user.created"}}, 422, "invalid_url"},
		"a user in it":     {m{"endpoint_url": "https://me:pw@app.example", "events": []string{"user.created"}}, 422, "invalid_url"},
		"no events":        {m{"endpoint_url": "https://app.example/2", "events": []string{}}, 422, "invalid_request_parameters"},
		"an unknown event": {m{"endpoint_url": "https://app.example/2", "events": []string{"x.y"}}, 422, "invalid_request_parameters"},
	} {
		if out := a.json(t, "POST", "/webhook_endpoints", c.send, c.want); out["code"] != c.code {
			t.Errorf("%s: code = %v, want %s", name, out["code"], c.code)
		}
	}
	changed := a.json(t, "PATCH", "/webhook_endpoints/"+id, m{"status": "disabled", "events": []string{"user.deleted"}}, http.StatusOK)
	if read := a.json(t, "GET", "/webhook_endpoints/"+id, nil, http.StatusOK); !cmp.Equal(read, changed) || read["status"] != "disabled" {
		t.Errorf("GET = %v, want what PATCH answered: %v", read, changed)
	}
	if list := a.json(t, "GET", "/webhook_endpoints", nil, http.StatusOK); len(list["data"].([]any)) != 1 {
		t.Errorf("list = %v, want one", list)
	}
	a.json(t, "DELETE", "/webhook_endpoints/"+id, nil, http.StatusNoContent)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		if out := a.json(t, method, "/webhook_endpoints/"+id, m{}, http.StatusNotFound); out["code"] != "entity_not_found" {
			t.Errorf("%s of a deleted endpoint = %v, want entity_not_found", method, out)
		}
	}
}
