package web

import (
	"fmt"
	"io"
	"time"
)

// InboxPage lists the mail of an environment outside production, newest first.
type InboxPage struct {
	Frame
	Mails     []Mail
	Now       time.Time // for the age of mails
	ReloadURL string    // this page
	Command   string    // command that reads the inbox; empty: not mentioned
}

// Mail is one mail of an inbox.
type Mail struct {
	URL     string // page of this mail; empty: no link
	To      string
	Subject string
	Text    string // plain text body
	Code    string // one-time code in the body, may be empty
	Link    string // link in the body, may be empty
	SentAt  time.Time
}

// Render implements [Page].
func (p InboxPage) Render(w io.Writer, nonce string) error {
	return view{
		file: "inbox.html", Marker: "inbox", Title: "Inbox", Wide: true, Frame: p.Frame, Page: p,
	}.render(w, nonce)
}

// Age says how long ago a mail was sent, for people.
func (p InboxPage) Age(m Mail) string {
	switch d := p.Now.Sub(m.SentAt); {
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return m.SentAt.UTC().Format("2 Jan 2006")
	}
}

// Time is the machine-readable time of a mail.
func (m Mail) Time() string { return m.SentAt.UTC().Format(time.RFC3339) }

// Clock is the time of a mail for people.
func (m Mail) Clock() string { return m.SentAt.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// InboxMessage shows one mail as plain text.
type InboxMessage struct {
	Frame
	Mail     Mail
	InboxURL string // back to the list
}

// Render implements [Page].
func (p InboxMessage) Render(w io.Writer, nonce string) error {
	title := p.Mail.Subject
	if title == "" {
		title = "Mail without a subject"
	}
	return view{
		file: "inbox_message.html", Marker: "inbox/message", Title: title, Wide: true, Frame: p.Frame, Page: p,
	}.render(w, nonce)
}
