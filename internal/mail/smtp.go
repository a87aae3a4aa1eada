package mail

import (
	"context"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// SMTPConfig says how mail of production environments is sent (RFC 5321).
type SMTPConfig struct {
	Host     string
	Port     int
	User     string // "" for no authentication
	Password secret.String
	From     string // sender address
	Plain    bool   // no TLS; only for a relay on this machine
}

// SMTP sends messages through one relay. It is safe for concurrent use.
type SMTP struct{ config SMTPConfig }

// NewSMTP checks the configuration; it does not connect.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	if c.Host == "" || c.Port < 1 || c.Port > 65535 {
		return nil, fault.New(fault.Invalid, "the SMTP relay needs a host and a port")
	}
	if err := identity.CheckEmail(c.From); err != nil {
		return nil, fault.New(fault.Invalid, "the sender %q is not an e-mail address", c.From).WithFix("set the address from which mail is sent")
	}
	return &SMTP{config: c}, nil
}

// sendTimeout bounds one delivery.
const sendTimeout = 20 * time.Second

// Send delivers a message to the relay.
func (s *SMTP) Send(ctx context.Context, m identity.Message) error {
	msg := gomail.NewMsg()
	if err := msg.From(s.config.From); err != nil {
		return fault.Wrap(err, fault.Invalid, "the sender cannot be used")
	}
	if err := msg.To(m.To); err != nil {
		return fault.Wrap(err, fault.Invalid, "the recipient cannot be used")
	}
	msg.Subject(m.Subject)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	options := []gomail.Option{gomail.WithPort(s.config.Port), gomail.WithTimeout(sendTimeout)}
	if s.config.Plain {
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	} else {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.config.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.config.User), gomail.WithPassword(s.config.Password.Reveal()))
	}
	client, err := gomail.NewClient(s.config.Host, options...)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the SMTP relay %s cannot be used", s.config.Host)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the mail could not be sent through %s", s.config.Host).WithCode("mail_not_sent")
	}
	return nil
}
