package mail_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/mail"
	"github.com/berthdev/berth/internal/mail/mailtest"
	"github.com/berthdev/berth/internal/secret"
)

const relayPassword = "s3cret of the relay"

func config(t testing.TB, r *mailtest.Relay) mail.SMTPConfig {
	t.Helper()
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return mail.SMTPConfig{Host: host, Port: n, User: "mailer", Password: relayPassword, From: "Shop <no-reply@shop.example>", Roots: r.Roots}
}

func sender(t testing.TB, c mail.SMTPConfig) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var letter = identity.Message{To: "ada+shop@example.com", Kind: "magic_auth", Subject: "123456 is your sign-in code for Größe", Text: "Your code is:\n\n123456\n", Code: "123456"}

func TestSMTPSendsEncryptedAndAuthenticated(t *testing.T) {
	for name, implicit := range map[string]bool{"STARTTLS": false, "TLS from the start": true} {
		t.Run(name, func(t *testing.T) {
			r := mailtest.New(t, implicit)
			r.Password = relayPassword
			c := config(t, r)
			c.Implicit = implicit
			s := sender(t, c)
			if err := s.Check(t.Context()); err != nil {
				t.Fatalf("Check = %v, want nil", err)
			}
			if err := s.Send(t.Context(), letter); err != nil {
				t.Fatalf("Send = %v, want nil", err)
			}
			got := r.Mails()
			if len(got) != 1 {
				t.Fatalf("mails = %d, want 1", len(got))
			}
			m := got[0]
			data := m.Data
			m.Data = ""
			if diff := cmp.Diff(mailtest.Mail{From: "no-reply@shop.example", To: "ada+shop@example.com", TLS: true, User: "mailer"}, m); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
			for _, want := range []string{"From: \"Shop\" <no-reply@shop.example>", "To: <ada+shop@example.com>", "Auto-Submitted: auto-generated", "Date: ", "@shop.example>", "123456"} {
				if !strings.Contains(data, want) {
					t.Errorf("message holds no %q:\n%s", want, data)
				}
			}
		})
	}
}

func TestSMTPSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name   string
		relay  func(*mailtest.Relay)
		config func(*mail.SMTPConfig)
		kind   fault.Kind
		code   string
	}{
		{"a wrong password", nil, func(c *mail.SMTPConfig) { c.Password = "another" }, fault.Denied, "smtp_auth_refused"},
		{"a certificate of nobody we trust", nil, func(c *mail.SMTPConfig) { c.Roots = nil }, fault.Invalid, "smtp_tls_failed"},
		{"TLS from the start where there is none", nil, func(c *mail.SMTPConfig) { c.Implicit = true }, fault.Invalid, "smtp_tls_failed"},
		{"nobody listens", nil, func(c *mail.SMTPConfig) { c.Port = closedPort(t) }, fault.Unavailable, "mail_not_sent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := mailtest.New(t, false)
			r.Password = relayPassword
			if tt.relay != nil {
				tt.relay(r)
			}
			c := config(t, r)
			tt.config(&c)
			err := sender(t, c).Check(t.Context())
			if f := fault.From(err); err == nil || f.Kind != tt.kind || f.Code != tt.code {
				t.Fatalf("Check = %v, want %s %s", err, tt.kind, tt.code)
			}
			if text := err.Error() + fault.From(err).Fix; strings.Contains(text, relayPassword) || strings.Contains(text, "another") {
				t.Errorf("Check = %q, which holds the password", text)
			}
		})
	}
}

func closedPort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A relay on this machine, as people run for development, needs no TLS.
func TestSMTPTakesAPlainRelayOnLoopbackOnly(t *testing.T) {
	r := mailtest.New(t, false)
	r.NoTLS = true
	c := config(t, r)
	c.User, c.Password = "", ""
	if err := sender(t, c).Send(t.Context(), letter); err != nil {
		t.Fatalf("Send = %v, want nil", err)
	}
	if got := r.Mails(); len(got) != 1 || got[0].TLS {
		t.Errorf("mails = %+v, want one in the clear", got)
	}
}

func TestRepliesOfTheRelay(t *testing.T) {
	r := mailtest.New(t, false)
	r.Password = relayPassword
	s := sender(t, config(t, r))
	r.Refuse("451 4.7.1 greylisted", "550 5.1.1 nobody here")
	if err := s.Send(t.Context(), letter); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Send after 451 = %v, want Unavailable", err)
	}
	if err := s.Send(t.Context(), letter); !fault.Is(err, fault.Denied) {
		t.Errorf("Send after 550 = %v, want Denied", err)
	}
	if err := s.Send(t.Context(), letter); err != nil {
		t.Errorf("Send = %v, want nil", err)
	}
}

// pauses counts waiting and takes no time.
type pauses struct {
	mu  sync.Mutex
	all []time.Duration
}

func (p *pauses) wait(_ context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, d)
	return nil
}

func (p *pauses) taken() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Duration(nil), p.all...)
}

func runOutbox(t *testing.T, s mail.Sender, p *pauses) (*mail.Outbox, *bytes.Buffer, func()) {
	t.Helper()
	var log bytes.Buffer
	o := mail.NewOutbox(s, slog.New(slog.NewTextHandler(&log, nil)), p.wait)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return o, &log, stop
}

func TestTheOutboxTriesAgainWhatWasPutOff(t *testing.T) {
	r := mailtest.New(t, false)
	r.Password = relayPassword
	p := &pauses{}
	o, log, stop := runOutbox(t, sender(t, config(t, r)), p)
	r.Refuse("451 4.7.1 greylisted", "421 4.3.2 too busy")
	if err := o.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if m := r.Next(t); m.To != letter.To {
		t.Errorf("mail to %q, want %q", m.To, letter.To)
	}
	stop()
	if diff := cmp.Diff([]time.Duration{time.Second, 5 * time.Second}, p.taken()); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if text := log.String(); strings.Contains(text, "123456") || strings.Contains(text, relayPassword) || strings.Contains(text, "ada+shop") {
		t.Errorf("the log holds a secret or an address:\n%s", text)
	}
	if err := o.Send(t.Context(), letter); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Send after the end = %v, want Unavailable", err)
	}
}

func TestTheOutboxGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name    string
		replies []string
		tries   int
		logged  string
	}{
		{"at once when refused for good", []string{"550 5.1.1 nobody here"}, 1, "mail refused"},
		{"after the last pause", []string{"451 a", "451 b", "451 c", "451 d", "451 e", "451 f"}, 6, "mail given up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := mailtest.New(t, false)
			r.Password = relayPassword
			o, log, stop := runOutbox(t, sender(t, config(t, r)), &pauses{})
			r.Refuse(tt.replies...)
			if err := o.Send(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(10 * time.Second); r.Tries() < tt.tries && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			stop()
			if got := r.Tries(); got != tt.tries || len(r.Mails()) != 0 {
				t.Errorf("tries = %d with %d mails, want %d and none", got, len(r.Mails()), tt.tries)
			}
			if !strings.Contains(log.String(), tt.logged) {
				t.Errorf("the log says no %q:\n%s", tt.logged, log)
			}
		})
	}
}

// absent is a relay that is never there.
type absent struct{ tries chan struct{} }

func (a absent) Send(context.Context, identity.Message) error {
	a.tries <- struct{}{}
	return fault.New(fault.Unavailable, "away")
}

func TestTheOutboxTriesOnceMoreWhenItEnds(t *testing.T) {
	a := absent{make(chan struct{}, 100)}
	o := mail.NewOutbox(a, slog.New(slog.DiscardHandler), func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	if err := o.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	<-a.tries
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if got := len(a.tries); got != 1 {
		t.Errorf("tries at the end = %d, want 1", got)
	}
}

func TestParseSMTP(t *testing.T) {
	for _, tt := range []struct {
		raw  secret.String
		want mail.SMTPConfig
	}{
		{"smtp://mail.example.com", mail.SMTPConfig{Host: "mail.example.com", Port: 587}},
		{"smtps://mail.example.com/", mail.SMTPConfig{Host: "mail.example.com", Port: 465, Implicit: true}},
		{"smtp://ada:p%40ss%3A1@[::1]:2525", mail.SMTPConfig{Host: "::1", Port: 2525, User: "ada", Password: "p@ss:1"}},
		{" smtps://apikey:SG.x-y@smtp.example.net:443\n", mail.SMTPConfig{Host: "smtp.example.net", Port: 443, User: "apikey", Password: "SG.x-y", Implicit: true}},
	} {
		got, err := mail.ParseSMTP(tt.raw)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("ParseSMTP(%s) = %v (-want +got):\n%s", tt.raw.Reveal(), err, diff)
		}
	}
	for _, raw := range []secret.String{"", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://user:pa ss@h", "smtp://u:topsecret@h:0", "smtp://u:topsecret@h:99999", "smtp://u:topsecret@h/x", "smtp://u:topsecret@h?x=1", "smtp://u:topsecret%zz@h"} {
		_, err := mail.ParseSMTP(raw)
		if fault.Code(err) != "smtp_url_invalid" || strings.Contains(err.Error(), "topsecret") || strings.Contains(fault.From(err).Fix, "topsecret") {
			t.Errorf("ParseSMTP(%s) = %v, want smtp_url_invalid without the password", raw.Reveal(), err)
		}
	}
}

func TestNewSMTPRefusesWhatCannotSend(t *testing.T) {
	for name, c := range map[string]mail.SMTPConfig{
		"no host":        {Port: 25, From: "a@b.example"},
		"no port":        {Host: "h", From: "a@b.example"},
		"no sender":      {Host: "h", Port: 25},
		"two senders":    {Host: "h", Port: 25, From: "a@b.example, c@d.example"},
		"password alone": {Host: "h", Port: 25, From: "a@b.example", Password: "x"},
	} {
		if _, err := mail.NewSMTP(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("NewSMTP with %s = %v, want Invalid", name, err)
		}
	}
}

func FuzzParseSMTP(f *testing.F) {
	for _, s := range []string{"smtp://u:p@h:1", "smtps://h", "smtp://[::1]:25", "x", "smtp://%41@h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := mail.ParseSMTP(secret.String(raw))
		if err == nil && (c.Host == "" || c.Port < 1 || c.Port > 65535) {
			t.Errorf("ParseSMTP(%q) = %s:%d, want host and port or an error", raw, c.Host, c.Port)
		}
	})
}
