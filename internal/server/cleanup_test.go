package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

const webhookSecret = "a webhook secret of a test"

// previewFixture is a preview with its own environment and backend.
func previewFixture(t *testing.T, s *server.Server, tm *store.Team, branch string) *store.Env {
	t.Helper()
	ctx := t.Context()
	g, err := tm.PutClaim(ctx, claim.Request{Project: "shop", Deployment: "shop/preview/" + branch, Kind: claim.Preview, Branch: branch, Repository: "acme/shop",
		Mode: claim.Dedicated, APIBase: s.URL(), Want: claim.Entries{RedirectURIs: []string{"https://" + branch + ".example/callback"}}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := tm.CreateEnvironment(ctx, store.NewEnvironment{Name: g.Placement.EnvironmentName, IdempotencyKey: g.Placement.EnvironmentKey()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tm.Bind(ctx, g.Placement.ID, e.ID, e.ClientID, "sk_test_of_a_test"); err != nil {
		t.Fatal(err)
	}
	if err := tm.Confirm(ctx, g.Claim.ID, claim.Entries{}, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tm.OpenDeployment(ctx, "shop", claim.Preview, branch, false); err != nil {
		t.Fatal(err)
	}
	return e
}

func living(t *testing.T, s *server.Server, e *store.Env) bool {
	t.Helper()
	resp, _ := get(t, http.DefaultClient, s.URL()+"/sso/jwks/"+e.ClientID)
	return resp.StatusCode == http.StatusOK
}

// R72: a deleted branch or a closed pull request releases its preview, and
// only it; an event that GitHub did not sign releases nothing.
func TestBranchEventsReleaseTheirPreview(t *testing.T) {
	s := startWith(t, server.Config{GitHubSecret: webhookSecret})
	tm, err := s.Store().FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	send := func(event, body, secret string) int {
		t.Helper()
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/berth/v1/events/github", bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-GitHub-Event", event)
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	a, b, c := previewFixture(t, s, tm, "a"), previewFixture(t, s, tm, "b"), previewFixture(t, s, tm, "c")
	deleted := `{"ref":"a","ref_type":"branch","repository":{"full_name":"acme/shop"}}`
	closed := `{"action":"closed","pull_request":{"head":{"ref":"b","repo":{"full_name":"acme/shop"}}},"repository":{"full_name":"acme/shop"}}`
	if got := send("delete", deleted, "another secret"); got != http.StatusUnauthorized || !living(t, s, a) {
		t.Errorf("event with a wrong signature = %d, environment living %v; want 401, true", got, living(t, s, a))
	}
	for _, harmless := range []struct{ event, body string }{
		{"delete", `{"ref":"a","ref_type":"tag","repository":{"full_name":"acme/shop"}}`},
		{"delete", `{"ref":"a","ref_type":"branch","repository":{"full_name":"acme/other"}}`},
		{"pull_request", `{"action":"opened","pull_request":{"head":{"ref":"b","repo":{"full_name":"acme/shop"}}},"repository":{"full_name":"acme/shop"}}`},
		{"pull_request", `{"action":"closed","pull_request":{"head":{"ref":"b","repo":{"full_name":"stranger/shop"}}},"repository":{"full_name":"acme/shop"}}`},
		{"push", deleted},
	} {
		if got := send(harmless.event, harmless.body, webhookSecret); got != http.StatusOK {
			t.Errorf("%s %s = %d, want 200", harmless.event, harmless.body, got)
		}
	}
	if !living(t, s, a) || !living(t, s, b) || !living(t, s, c) {
		t.Fatal("an event about something else released a preview")
	}
	if got := send("delete", deleted, webhookSecret); got != http.StatusOK || living(t, s, a) {
		t.Errorf("deleted branch = %d, environment living %v; want 200, false", got, living(t, s, a))
	}
	if got := send("pull_request", closed, webhookSecret); got != http.StatusOK || living(t, s, b) {
		t.Errorf("closed pull request = %d, environment living %v; want 200, false", got, living(t, s, b))
	}
	if !living(t, s, c) {
		t.Error("the preview of another branch went too")
	}
	if grants, err := tm.Claims(t.Context(), "shop"); err != nil || len(grants) != 1 || grants[0].Claim.Branch != "c" {
		t.Errorf("claims left = %v, %v; want that of c", grants, err)
	}
}

// R71: deleting a preview's backend takes its auth environment along.
func TestDeletingABackendReleasesItsEnvironment(t *testing.T) {
	s := start(t)
	tm, err := s.Store().FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	a, b := previewFixture(t, s, tm, "a"), previewFixture(t, s, tm, "b")
	token, err := tm.CreateCredential(context.Background(), store.TokenCredential, "test", s.Store().Now().AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := tm.OpenDeployment(t.Context(), "shop", claim.Preview, "a", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := convex.NewControl(s.URL(), token.Secret).DeleteDeployment(t.Context(), d.Name); err != nil {
		t.Fatal(err)
	}
	if living(t, s, a) || !living(t, s, b) {
		t.Errorf("after deleting the backend of a: environment of a living %v, of b %v; want false, true", living(t, s, a), living(t, s, b))
	}
}
