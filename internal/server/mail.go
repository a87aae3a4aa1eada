package server

import (
	"context"
	"log/slog"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/mail"
	"github.com/berthdev/berth/internal/secret"
)

// SMTP says through which relay production environments send their mail. The
// zero value is none.
type SMTP struct {
	URL      secret.String // smtp[s]://[user[:password]@]host[:port]
	Password secret.String // where it is not in the URL
	From     string        // sender: an address, or a name and an address
}

// open returns the relay, or nil where none is named.
func (c SMTP) open() (*mail.SMTP, error) {
	switch {
	case c == (SMTP{}):
		return nil, nil
	case c.URL == "":
		return nil, fault.New(fault.Invalid, "a sender or a password for mail was given, and no SMTP relay").
			WithFix("name the relay with BERTH_SMTP_URL or --smtp-url").WithCode("smtp_url_invalid")
	case c.From == "":
		return nil, fault.New(fault.Invalid, "the SMTP relay has no sender address").
			WithFix("set BERTH_MAIL_FROM or --mail-from, such as no-reply@example.com").WithCode("mail_from_invalid")
	}
	parsed, err := mail.ParseSMTP(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Password != "" {
		if parsed.Password != "" && parsed.Password != c.Password {
			return nil, fault.New(fault.Invalid, "two different passwords for the SMTP relay were given").
				WithFix("keep the one in the address or the one beside it").WithCode("smtp_url_invalid")
		}
		parsed.Password = c.Password
	}
	parsed.From = c.From
	return mail.NewSMTP(parsed)
}

// mailer returns what production environments send their mail with, and its
// background work: the configured Mailer, a relay behind an outbox, or neither.
// A relay that will not have us ends the start. One that is only away does not:
// sign-in with a password needs no mail, and the relay may come back.
func (c *Config) mailer(ctx context.Context) (auth.Mailer, func(context.Context) error, error) {
	idle := func(context.Context) error { return nil }
	if c.Mailer != nil {
		return c.Mailer, idle, nil
	}
	relay, err := c.SMTP.open()
	if err != nil || relay == nil {
		return nil, idle, err
	}
	switch err := relay.Check(ctx); {
	case fault.Is(err, fault.Unavailable):
		c.Log.WarnContext(ctx, "the SMTP relay does not answer now; mail will wait for it", "relay", relay.Relay(), "reason", fault.From(err).Message)
	case err != nil:
		return nil, nil, err
	default:
		c.Log.InfoContext(ctx, "production mail is sent", "relay", relay.Relay(), slog.String("from", c.SMTP.From))
	}
	outbox := mail.NewOutbox(relay, c.Log, nil)
	return outbox, outbox.Run, nil
}
