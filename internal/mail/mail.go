// Package mail writes the messages of AuthKit and sends them by SMTP. Messages
// are plain text: short, with the code or link on a line of its own.
package mail

import (
	"fmt"

	"github.com/berthdev/berth/internal/identity"
)

// ForCode returns the message that carries a code or reset token. app names
// the environment; link is the page at which a reset token is used.
func ForCode(c identity.MailCode, app, link string) identity.Message {
	m := identity.Message{To: c.Email, Kind: string(c.Kind)}
	minutes := int(c.Kind.Lifetime().Minutes())
	switch c.Kind {
	case identity.PasswordReset:
		m.Subject = "Reset your password for " + app
		m.Link = link
		m.Text = fmt.Sprintf("Somebody asked to reset the password of %s for %s.\n\nChoose a new one here, within %d minutes:\n\n%s\n\nIf it was not you, ignore this message: your password stays as it is.\n", c.Email, app, minutes, link)
		return m
	case identity.MagicAuth:
		m.Subject = c.Code + " is your sign-in code for " + app
	case identity.EmailChange:
		m.Subject = c.Code + " confirms your new address for " + app
	default:
		m.Subject = c.Code + " verifies your e-mail address for " + app
	}
	m.Code = c.Code
	m.Text = fmt.Sprintf("Your code for %s is:\n\n%s\n\nIt can be used once, within %d minutes. Nobody from %s will ask you for it.\nIf you did not ask for it, ignore this message.\n", app, c.Code, minutes, app)
	return m
}
