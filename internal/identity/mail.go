package identity

import "time"

// Prefixes of ids that belong to mail.
const (
	PrefixEmailVerification = "email_verification"
	PrefixMagicAuth         = "magic_auth"
	PrefixPasswordReset     = "password_reset"
	PrefixEmailChange       = "email_change"
	PrefixMessage           = "message"
)

// MailCodeKind says what a code that travels by mail is for.
type MailCodeKind string

const (
	EmailVerification MailCodeKind = "email_verification"
	MagicAuth         MailCodeKind = "magic_auth"
	PasswordReset     MailCodeKind = "password_reset"
	EmailChange       MailCodeKind = "email_change"
)

// Lifetime is how long a code of this kind can be used, as WorkOS documents.
func (k MailCodeKind) Lifetime() time.Duration {
	if k == PasswordReset {
		return time.Hour
	}
	return 10 * time.Minute
}

// MaxCodeAttempts is how many wrong codes end a six-digit code.
const MaxCodeAttempts = 5

// MailCode is a one-time code or token sent by mail.
type MailCode struct {
	ID        string
	UserID    string
	Kind      MailCodeKind
	Email     string // where it was sent
	Code      string // six digits, or the token of a password reset
	ExpiresAt time.Time
	CreatedAt time.Time
}

// Message is a mail as the inbox keeps it.
type Message struct {
	ID        string
	To        string
	Kind      string // email_verification, magic_auth, password_reset, ...
	Subject   string
	Text      string // plain text body
	Code      string // one-time code in the body, "" when there is none
	Link      string // link in the body, "" when there is none
	CreatedAt time.Time
}
