package server_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/mail/mailtest"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// What differs from one page to the next, and a code in a mail.
var (
	nonces    = regexp.MustCompile(`nonce="[^"]*"`)
	requestID = regexp.MustCompile(`req_[0-9A-Za-z]+|[0-9a-f]{16,}`)
	sixDigits = regexp.MustCompile(`[0-9]{6}`)
)

func closedAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// production is an environment of the production type with its API key.
func production(t testing.TB, s *server.Server) (*store.Env, string) {
	t.Helper()
	team, _ := environment(t, s, "dev")
	e, err := team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: "prod", Production: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	_, key, err := e.CreateAPIKey(t.Context(), "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return e, key.Reveal()
}

// lockedLog is a log that a server may write while a test reads it.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Mail of production goes out by SMTP and is kept nowhere; that of lower
// environments lands in the inbox and is sent to nobody (R122).
func TestProductionMailGoesThroughTheRelay(t *testing.T) {
	relay := mailtest.New(t, false)
	relay.NoTLS = true // a relay on this machine
	log := &lockedLog{}
	s := startWith(t, server.Config{SMTP: server.SMTP{URL: secret.String("smtp://" + relay.Addr), From: "no-reply@shop.example"}, Log: slog.New(slog.NewTextHandler(log, nil))})
	e, key := production(t, s)
	c := browser(t)
	to := beginSignUp(t, c, s.URL(), e, "ada@example.com")
	sent := relay.Next(t)
	if sent.To != "ada@example.com" || sent.From != "no-reply@shop.example" {
		t.Fatalf("mail from %q to %q, want the verification", sent.From, sent.To)
	}
	_, code, _ := strings.Cut(sent.Data, "\n\n")
	code = sixDigits.FindString(code)
	resp, html := submit(t, c, s.URL(), to, "/email-verification", url.Values{"code": {code}})
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the code that was mailed = %d, want 303:\n%s", resp.StatusCode, html)
	}
	if list, err := e.Messages(t.Context(), "", time.Time{}, 10); err != nil || len(list) != 0 {
		t.Errorf("inbox of production = %v, %v; want nothing", list, err)
	}
	if status, text := call(t, s, "POST", "/user_management/password_reset", key, m{"email": "ada@example.com"}); status != http.StatusCreated {
		t.Fatalf("password reset = %d %s, want 201", status, text)
	}
	if sent = relay.Next(t); !strings.Contains(sent.Data, "/reset-password?") {
		t.Errorf("mail holds no link:\n%s", sent.Data)
	}

	lower := mailEnvironment(t, s)
	beginSignUp(t, browser(t), s.URL(), lower, "bob@example.com")
	if code, _ := lastMail(t, lower, "bob@example.com"); code == "" {
		t.Error("no code in the inbox of a lower environment")
	}
	if got := len(relay.Mails()); got != 2 {
		t.Errorf("mails that were sent = %d, want the 2 of production", got)
	}
	if strings.Contains(log.String(), code) || strings.Contains(log.String(), "ada@example.com") {
		t.Errorf("the log holds a code or an address:\n%s", log)
	}
}

// refusedMail posts past the check of answers against the OpenAPI document:
// WorkOS always can send mail, so it lists no 403 for these calls.
func refusedMail(t testing.TB, s *server.Server, path, key string, send m) (int, string) {
	t.Helper()
	data, err := json.Marshal(send)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body(t, resp)
}

// Without a relay no code is made that nobody could receive, and the answer is
// the same whether or not the address has an account.
func TestProductionWithoutMailMakesNoCodes(t *testing.T) {
	s := start(t)
	e, key := production(t, s)
	u, err := e.CreateUser(t.Context(), identity.User{Email: "ada@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/user_management/magic_auth", "/user_management/password_reset", "/user_management/invitations",
		"/user_management/users/" + u.ID + "/email_verification/send", "/user_management/users/" + u.ID + "/email_change/send"} {
		for _, address := range []string{"ada@example.com", "eve@example.com"} {
			status, text := refusedMail(t, s, path, key, m{"email": address, "new_email": "new-" + address})
			var out struct{ Code, Message string }
			if err := json.Unmarshal([]byte(text), &out); err != nil || status != http.StatusForbidden || out.Code != "mail_not_configured" || !strings.Contains(out.Message, "BERTH_SMTP_URL") {
				t.Errorf("POST %s for %s = %d %s, want 403 mail_not_configured with the fix", path, address, status, text)
			}
		}
	}
	c := browser(t)
	flow := openFlow(t, c, s.URL(), e, callback, "/sign-in")
	for _, path := range []string{"/magic-code/send", "/reset-password/request"} {
		var pages []string
		for _, address := range []string{"ada@example.com", "eve@example.com"} {
			resp, html := post(t, c, s.URL()+path, url.Values{"flow": {flow}, "email": {address}})
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s for %s = %d, want 403", path, address, resp.StatusCode)
			}
			pages = append(pages, requestID.ReplaceAllString(nonces.ReplaceAllString(html, ""), ""))
		}
		if pages[0] != pages[1] {
			t.Errorf("POST %s tells who has an account:\n%s\n%s", path, pages[0], pages[1])
		}
	}
	if n, err := e.CountUsers(t.Context()); n != 1 || err != nil {
		t.Errorf("users = %d, %v; want the one", n, err)
	}
	if list, err := e.Messages(t.Context(), "", time.Time{}, 10); err != nil || len(list) != 0 {
		t.Errorf("inbox = %v, %v; want nothing", list, err)
	}
}

func TestTheRelayIsCheckedAtTheStart(t *testing.T) {
	relay := mailtest.New(t, false)
	relay.Password = "right"
	away := closedAddr(t)
	for _, tt := range []struct {
		name string
		smtp server.SMTP
		code string
	}{
		{"no sender", server.SMTP{URL: "smtp://127.0.0.1"}, "mail_from_invalid"},
		{"no relay", server.SMTP{From: "a@b.example"}, "smtp_url_invalid"},
		{"two passwords", server.SMTP{URL: "smtp://u:one@127.0.0.1", Password: "two", From: "a@b.example"}, "smtp_url_invalid"},
		{"a certificate that is not trusted", server.SMTP{URL: secret.String("smtp://u@" + relay.Addr), Password: "topsecret", From: "a@b.example"}, "smtp_tls_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := server.New(t.Context(), server.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", SMTP: tt.smtp})
			if err == nil {
				t.Fatalf("New = a server, want %s; closing it: %v", tt.code, s.Close())
			}
			if fault.Code(err) != tt.code || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("New = %v, want %s", err, tt.code)
			}
		})
	}
	t.Run("a relay that is away only warns", func(t *testing.T) {
		log := &lockedLog{}
		startWith(t, server.Config{SMTP: server.SMTP{URL: secret.String("smtp://" + away), From: "a@b.example"}, Log: slog.New(slog.NewTextHandler(log, nil))})
		if !strings.Contains(log.String(), "does not answer now") {
			t.Errorf("the log says nothing of the relay:\n%s", log)
		}
	})
}
