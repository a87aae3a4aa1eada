package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// letters is what a tenant has by mail: a code of every kind, and a user whose
// sign-in waits for one.
type letters struct {
	unproven     identity.User
	pending      string // pending_authentication_token of unproven
	verification identity.MailCode
	magic        identity.MailCode
	reset        identity.MailCode
	change       identity.MailCode
}

func newLetters(t testing.TB, s *server.Server, v *tenant) letters {
	t.Helper()
	ctx, e := t.Context(), v.env
	address := "unproven-" + v.mark + "@users.example"
	if status, text := call(t, s, "POST", "/user_management/users", v.apiKey, m{"email": address, "password": password}); status != http.StatusCreated {
		t.Fatalf("create user = %d %s", status, text)
	}
	status, text := call(t, s, "POST", "/user_management/authenticate", "", m{"grant_type": "password", "client_id": e.ClientID, "client_secret": v.apiKey, "email": address, "password": password})
	var step struct {
		Token          string `json:"pending_authentication_token"`
		VerificationID string `json:"email_verification_id"`
	}
	if err := json.Unmarshal([]byte(text), &step); err != nil || status != http.StatusForbidden {
		t.Fatalf("password grant of an unproven address = %d %s, want 403", status, text)
	}
	l := letters{pending: step.Token}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	l.unproven, err = e.UserByEmail(ctx, address)
	must(err)
	l.verification, err = e.MailCode(ctx, identity.EmailVerification, step.VerificationID)
	must(err)
	add := func(kind identity.MailCodeKind, to string) identity.MailCode {
		t.Helper()
		c, err := e.AddMailCode(ctx, identity.MailCode{UserID: v.user.ID, Kind: kind, Email: to, Code: v.mark + string(kind)})
		must(err)
		return c
	}
	l.magic, l.reset = add(identity.MagicAuth, v.user.Email), add(identity.PasswordReset, v.user.Email)
	l.change = add(identity.EmailChange, "changed-"+v.mark+"@users.example")
	must(e.PutTestUser(ctx, v.user.ID, password))
	must(e.AddMessage(ctx, identity.Message{To: v.user.Email, Kind: string(identity.MagicAuth), Subject: v.mark, Text: v.mark}))
	return l
}

func (l letters) state(t testing.TB, e *store.Env) []any {
	t.Helper()
	messages, err := e.Messages(t.Context(), "", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	out := []any{messages}
	for _, c := range []identity.MailCode{l.verification, l.magic, l.reset, l.change} {
		now, err := e.MailCode(t.Context(), c.Kind, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, now)
	}
	return out
}

func init() { maps.Copy(rows, mailRows) }

func userPath(of func(b *tenant) identity.User, suffix string) func(*tenant) string {
	return func(b *tenant) string { return "/user_management/users/" + of(b).ID + suffix }
}

func proven(b *tenant) identity.User   { return b.user }
func unproven(b *tenant) identity.User { return b.letters.unproven }

// mailRows are the rows of what travels by mail.
var mailRows = map[string]row{
	"POST /user_management/magic_auth": {path: fixed("/user_management/magic_auth"), own: apiKey, accepts: true, bodies: bodies(func(b *tenant) []any {
		return []any{m{"email": b.user.Email, "client_id": b.env.ClientID}}
	})},
	"GET /user_management/magic_auth/{id}":         {path: func(b *tenant) string { return "/user_management/magic_auth/" + b.magic.ID }, own: apiKey},
	"GET /user_management/email_verification/{id}": {path: func(b *tenant) string { return "/user_management/email_verification/" + b.verification.ID }, own: apiKey},
	"GET /user_management/password_reset/{id}":     {path: func(b *tenant) string { return "/user_management/password_reset/" + b.reset.ID }, own: apiKey},
	"POST /user_management/password_reset": {path: fixed("/user_management/password_reset"), own: apiKey,
		bodies: bodies(func(b *tenant) []any { return []any{m{"email": b.user.Email, "client_id": b.env.ClientID}} })},
	"POST /user_management/password_reset/confirm": {path: fixed("/user_management/password_reset/confirm"), own: apiKey,
		bodies: bodies(func(b *tenant) []any { return []any{m{"token": b.reset.Code, "new_password": "another password"}} })},
	"POST /user_management/users/{id}/email_verification/send": {path: userPath(unproven, "/email_verification/send"), own: apiKey},
	"POST /user_management/users/{id}/email_verification/confirm": {path: userPath(unproven, "/email_verification/confirm"), own: apiKey,
		bodies: bodies(func(b *tenant) []any { return []any{m{"code": b.verification.Code}} })},
	"POST /user_management/users/{id}/email_change/send": {path: userPath(proven, "/email_change/send"), own: apiKey,
		bodies: bodies(func(*tenant) []any { return []any{m{"new_email": "mallory-" + identity.NewULID() + "@example.com"}} })},
	"POST /user_management/users/{id}/email_change/confirm": {path: userPath(proven, "/email_change/confirm"), own: apiKey,
		bodies: bodies(func(b *tenant) []any { return []any{m{"code": b.change.Code}} })},
	"GET /berth/v1/environments/{client_id}/messages": {path: func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID + "/messages" }, own: teamToken},

	"GET /email-verification":       {path: fixed("/email-verification?flow=x")},
	"POST /email-verification":      {path: fixed("/email-verification")},
	"POST /email-verification/send": {path: fixed("/email-verification/send")},
	"GET /reset-password/request":   {path: fixed("/reset-password/request?flow=x")},
	"POST /reset-password/request":  {path: fixed("/reset-password/request")},
	// Links with the right token are tried in TestAResetLinkIsOfOneEnvironment.
	"GET /reset-password":  {path: func(b *tenant) string { return "/reset-password?client_id=" + b.env.ClientID + "&token=wrong" }},
	"POST /reset-password": {path: fixed("/reset-password")},
}

// R61: the token of a reset link changes nothing by way of another client ID.
func TestAResetLinkIsOfOneEnvironment(t *testing.T) {
	s := start(t)
	a, b := newTenant(t, s), newTenant(t, s)
	before := b.state(t, s)
	q := url.Values{"client_id": {a.env.ClientID}, "token": {b.reset.Code}}
	resp, html := get(t, browser(t), s.URL()+"/reset-password?"+q.Encode())
	if resp.StatusCode != http.StatusNotFound || strings.Contains(html, b.user.Email) {
		t.Errorf("reset page of another environment = %d, want 404 without the address", resp.StatusCode)
	}
	q.Set("password", "another password")
	if resp, _ := post(t, browser(t), s.URL()+"/reset-password", q); resp.StatusCode != http.StatusNotFound {
		t.Errorf("reset in another environment = %d, want 404", resp.StatusCode)
	}
	if after := b.state(t, s); after != before {
		t.Errorf("the other environment changed:\n%s\nwas\n%s", after, before)
	}
	q.Set("client_id", b.env.ClientID)
	if resp, html := post(t, browser(t), s.URL()+"/reset-password", q); resp.StatusCode != http.StatusOK {
		t.Errorf("reset in its own environment = %d %s, want 200", resp.StatusCode, html)
	}
}

// R61: a code that was mailed in one environment signs nobody in to another
// one, even where the same person has both.
func TestAMailedCodeIsOfOneEnvironment(t *testing.T) {
	s := start(t)
	a, b := newAccount(t, s, email), newAccount(t, s, email)
	if status, text := call(t, s, "POST", "/user_management/magic_auth", a.key, m{"email": email}); status != http.StatusCreated {
		t.Fatalf("magic auth = %d %s", status, text)
	}
	code, _ := lastMail(t, a.e, email)
	grant := func(a *account) (int, map[string]any) {
		return authenticate(t, s.URL(), url.Values{"grant_type": {workos.GrantMagicAuth}, "client_id": {a.e.ClientID}, "client_secret": {a.key}, "email": {email}, "code": {code}})
	}
	if status, out := grant(b); status != http.StatusBadRequest || out["code"] != "invalid_one_time_code" {
		t.Errorf("code of another environment = %d %v, want invalid_one_time_code", status, out)
	}
	if status, out := grant(a); status != http.StatusOK {
		t.Errorf("code in its own environment = %d %v, want 200", status, out)
	}
}
