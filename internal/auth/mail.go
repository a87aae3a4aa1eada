package auth

import (
	"context"
	"crypto/rand"
	"net/url"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/mail"
	"github.com/berthdev/berth/internal/store"
)

// ErrNoMail says that an environment cannot send mail: codes that nobody could
// receive are not made.
var ErrNoMail = fault.New(fault.Denied, "This production environment cannot send mail: its server has no SMTP relay (BERTH_SMTP_URL and BERTH_MAIL_FROM).").
	WithCode("mail_not_configured")

// MailOpen reports whether mail of the environment reaches somebody: its
// recipient, or outside production the inbox.
func (s *Service) MailOpen(e *store.Env) bool { return !e.Production || s.mailer != nil }

// SendCode makes a one-time code of the given kind for a user and mails it to
// the user's address.
func (s *Service) SendCode(ctx context.Context, e *store.Env, u identity.User, kind identity.MailCodeKind) (identity.MailCode, error) {
	return s.sendTo(ctx, e, u, u.Email, kind)
}

func (s *Service) sendTo(ctx context.Context, e *store.Env, u identity.User, to string, kind identity.MailCodeKind) (identity.MailCode, error) {
	if !s.MailOpen(e) {
		return identity.MailCode{}, ErrNoMail
	}
	code, err := newCode()
	if kind == identity.PasswordReset {
		code, err = rand.Text()+rand.Text(), nil
	}
	if err != nil {
		return identity.MailCode{}, err
	}
	c, err := e.AddMailCode(ctx, identity.MailCode{UserID: u.ID, Kind: kind, Email: to, Code: code})
	if err != nil {
		return c, err
	}
	m := mail.ForCode(c, e.Name, s.ResetURL(e, c.Code))
	return c, s.deliver(ctx, e, m)
}

// ResetURL is the page at which a reset token is used.
func (s *Service) ResetURL(e *store.Env, token string) string {
	return s.baseURL() + "/reset-password?" + url.Values{"client_id": {e.ClientID}, "token": {token}}.Encode()
}

// deliver sends a mail, or puts it into the inbox: outside production always,
// so that no test ever mails a stranger.
func (s *Service) deliver(ctx context.Context, e *store.Env, m identity.Message) error {
	switch {
	case !e.Production:
		return e.AddMessage(ctx, m)
	case s.mailer == nil:
		return ErrNoMail
	}
	return s.mailer.Send(ctx, m)
}

// MagicAuth mails a sign-in code. An unknown address gets a new, unverified
// user, unless sign-up is closed.
func (s *Service) MagicAuth(ctx context.Context, e *store.Env, email string) (identity.MailCode, error) {
	if err := s.methodOpen(e, "magic_code"); err != nil {
		return identity.MailCode{}, err
	}
	if !s.MailOpen(e) {
		return identity.MailCode{}, ErrNoMail // for known and unknown addresses alike
	}
	u, err := e.UserByEmail(ctx, email)
	if fault.Is(err, fault.NotFound) {
		if err := identity.CheckEmail(email); err != nil {
			return identity.MailCode{}, err
		}
		if e.Settings.Methods.NoSignUp {
			return identity.MailCode{}, ErrSignUpClosed
		}
		u, err = e.CreateUser(ctx, identity.User{Email: email})
	}
	if err != nil {
		return identity.MailCode{}, err
	}
	return s.SendCode(ctx, e, u, identity.MagicAuth)
}

// RequestReset mails a password reset. Whether the address is known is not
// told: an unknown one returns NotFound for the API, which pages do not show.
func (s *Service) RequestReset(ctx context.Context, e *store.Env, email string) (identity.MailCode, error) {
	if !s.MailOpen(e) {
		return identity.MailCode{}, ErrNoMail
	}
	u, err := e.UserByEmail(ctx, email)
	if err != nil {
		return identity.MailCode{}, err
	}
	return s.SendCode(ctx, e, u, identity.PasswordReset)
}

// ResetPassword spends a reset token.
func (s *Service) ResetPassword(ctx context.Context, e *store.Env, token, password string) (identity.User, error) {
	c, err := e.ResetToken(ctx, token)
	if err != nil {
		return identity.User{}, err
	}
	if err := identity.CheckPassword(password, c.Email); err != nil {
		return identity.User{}, err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return identity.User{}, err
	}
	return e.ResetPassword(ctx, token, hash)
}

// ConfirmEmail checks the code of a verification that was sent through the API.
func (s *Service) ConfirmEmail(ctx context.Context, e *store.Env, userID, code string) (identity.User, error) {
	c, err := e.UseMailCode(ctx, identity.EmailVerification, userID, normalCode(code))
	if err != nil {
		return identity.User{}, err
	}
	return e.VerifyEmail(ctx, userID, c.Email)
}

// RequestEmailChange mails a code to a new address of a user.
func (s *Service) RequestEmailChange(ctx context.Context, e *store.Env, u identity.User, to string) (identity.MailCode, error) {
	if !s.MailOpen(e) {
		return identity.MailCode{}, ErrNoMail
	}
	if err := identity.CheckEmail(to); err != nil {
		return identity.MailCode{}, err
	}
	other, err := e.UserByEmail(ctx, to)
	if err == nil && other.ID != u.ID {
		return identity.MailCode{}, fault.New(fault.Conflict, "This email is not available.").WithCode("email_not_available")
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return identity.MailCode{}, err
	}
	return s.sendTo(ctx, e, u, to, identity.EmailChange)
}

// ConfirmEmailChange gives a user the address that the code was sent to.
func (s *Service) ConfirmEmailChange(ctx context.Context, e *store.Env, u identity.User, code string) (identity.User, error) {
	c, err := e.UseMailCode(ctx, identity.EmailChange, u.ID, normalCode(code))
	if err != nil {
		return u, err
	}
	u.Email, u.EmailVerified = c.Email, true
	return e.UpdateUser(ctx, u)
}
