package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
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
	From     string // sender: an address, or a name and an address (RFC 5322 section 3.4)
	// Implicit begins with TLS (RFC 8314, scheme smtps). Otherwise the
	// connection is upgraded by STARTTLS (RFC 3207), which is required but on
	// this machine, where a relay without it is taken as it is.
	Implicit bool
	Roots    *x509.CertPool // certificate authorities; nil: those of the system
}

// ParseSMTP reads smtp[s]://[user[:password]@]host[:port]. smtp stands for
// STARTTLS, port 587 by default, smtps for TLS from the start, port 465. From
// is not part of it. Messages never hold the URL, because a password may be in it.
func ParseSMTP(raw secret.String) (SMTPConfig, error) {
	bad := func(what string) (SMTPConfig, error) {
		return SMTPConfig{}, fault.New(fault.Invalid, "the address of the SMTP relay %s", what).
			WithFix("write it as smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465, with special characters of the password percent-encoded").WithCode("smtp_url_invalid")
	}
	u, err := url.Parse(strings.TrimSpace(raw.Reveal()))
	switch {
	case err != nil:
		return bad("cannot be read")
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return bad("begins with neither smtp:// nor smtps://")
	case u.Hostname() == "":
		return bad("names no host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return bad("has something after the port")
	}
	c := SMTPConfig{Host: u.Hostname(), Port: 587, Implicit: u.Scheme == "smtps", User: u.User.Username()}
	if c.Implicit {
		c.Port = 465
	}
	if text := u.Port(); text != "" {
		if c.Port, err = strconv.Atoi(text); err != nil || c.Port < 1 || c.Port > 65535 {
			return bad("has no port between 1 and 65535")
		}
	}
	password, _ := u.User.Password()
	c.Password = secret.String(password)
	return c, nil
}

// SMTP sends messages through one relay. It is safe for concurrent use.
type SMTP struct {
	config SMTPConfig
	from   *mail.Address
}

// NewSMTP checks the configuration; it does not connect.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	if c.Host == "" || c.Port < 1 || c.Port > 65535 {
		return nil, fault.New(fault.Invalid, "the SMTP relay needs a host and a port").WithCode("smtp_url_invalid")
	}
	from, err := mail.ParseAddress(c.From)
	if err == nil {
		err = identity.CheckEmail(from.Address)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the sender %q is not an e-mail address", c.From).
			WithFix("set the address from which mail is sent, such as no-reply@example.com or \"Shop <no-reply@example.com>\"").WithCode("mail_from_invalid")
	}
	if c.Password != "" && c.User == "" {
		return nil, fault.New(fault.Invalid, "the SMTP relay has a password and no user").WithFix("name the user in the relay's address: smtp://USER@HOST").WithCode("smtp_url_invalid")
	}
	return &SMTP{config: c, from: from}, nil
}

// Relay names the relay, without credentials.
func (s *SMTP) Relay() string { return net.JoinHostPort(s.config.Host, strconv.Itoa(s.config.Port)) }

// sendTimeout bounds one conversation with the relay.
const sendTimeout = 20 * time.Second

func (s *SMTP) client() (*gomail.Client, error) {
	c := s.config
	policy := gomail.TLSMandatory
	if ip := net.ParseIP(c.Host); c.Host == "localhost" || ip != nil && ip.IsLoopback() {
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{gomail.WithPort(c.Port), gomail.WithTimeout(sendTimeout), gomail.WithTLSPolicy(policy),
		gomail.WithTLSConfig(&tls.Config{ServerName: c.Host, RootCAs: c.Roots, MinVersion: tls.VersionTLS12})}
	if c.Implicit {
		options = append(options, gomail.WithSSL())
	}
	if c.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(c.User), gomail.WithPassword(c.Password.Reveal()))
	}
	client, err := gomail.NewClient(c.Host, options...)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the SMTP relay %s cannot be used", s.Relay()).WithCode("smtp_url_invalid")
	}
	return client, nil
}

// Check connects to the relay, upgrades to TLS and authenticates, and sends
// nothing. A relay that is not there or busy is Unavailable: it may come back.
// One that will not have us as we are configured is Invalid or Denied.
func (s *SMTP) Check(ctx context.Context) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.explain(err)
	}
	_ = client.CloseWithSMTPClient(conversation) // it answered everything that was asked
	return nil
}

// Send delivers a message to the relay. Unavailable says that trying again may
// help (RFC 5321 section 4.2.1: replies 4yz, and connections that failed).
func (s *SMTP) Send(ctx context.Context, m identity.Message) error {
	msg := gomail.NewMsg()
	if err := msg.From(s.from.String()); err != nil {
		return fault.Wrap(err, fault.Invalid, "the sender cannot be used").WithCode("mail_from_invalid")
	}
	if err := msg.To(m.To); err != nil {
		return fault.Wrap(err, fault.Invalid, "the recipient cannot be used").WithCode("mail_not_sent")
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	// Of the sender's domain, not of this machine's name.
	msg.SetMessageIDWithValue(rand.Text() + s.from.Address[strings.LastIndexByte(s.from.Address, '@'):])
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday replies
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.explain(err)
	}
	err = client.SendWithSMTPClient(conversation, msg)
	_ = client.CloseWithSMTPClient(conversation) // what was accepted is accepted
	if err != nil {
		return s.explain(err)
	}
	return nil
}

// explain says what kind of failure an error of the conversation is.
func (s *SMTP) explain(err error) error {
	reply := 0
	if e, ok := errors.AsType[*gomail.SendError](err); ok {
		reply = e.ErrorCode()
	} else if e, ok := errors.AsType[*textproto.Error](err); ok {
		reply = e.Code
	}
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case reply == 535 || reply == 534 || reply == 530:
		return fault.Wrap(err, fault.Denied, "the SMTP relay %s refused the user or password (reply %d)", s.Relay(), reply).
			WithFix("correct the user and the password of BERTH_SMTP_URL or BERTH_SMTP_PASSWORD").WithCode("smtp_auth_refused")
	case reply >= 500:
		return fault.Wrap(err, fault.Denied, "the SMTP relay %s refused with reply %d", s.Relay(), reply).
			WithFix("see the relay's log; often the sender address is not allowed there").WithCode("mail_refused")
	case unverified:
		return fault.Wrap(err, fault.Invalid, "the certificate of the SMTP relay %s is not trusted", s.Relay()).
			WithFix("use the host name that the certificate is for, or add its authority to this system's (SSL_CERT_FILE)").WithCode("smtp_tls_failed")
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return fault.Wrap(err, fault.Invalid, "the SMTP relay %s offers no encryption (STARTTLS)", s.Relay()).
			WithFix("use smtps:// and its TLS port, or another relay; passwords and codes are not sent in the clear").WithCode("smtp_tls_failed")
	case strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return fault.Wrap(err, fault.Invalid, "the SMTP relay %s does not begin with TLS", s.Relay()).WithFix("use smtp:// for STARTTLS").WithCode("smtp_tls_failed")
	case reply >= 400:
		return fault.Wrap(err, fault.Unavailable, "the SMTP relay %s put the mail off with reply %d", s.Relay(), reply).WithCode("mail_not_sent")
	}
	return fault.Wrap(err, fault.Unavailable, "the SMTP relay %s cannot be reached", s.Relay()).
		WithFix("check its host and port, and that this machine may connect to it").WithCode("mail_not_sent")
}
