package mail

import (
	"fmt"
	"time"

	"github.com/berthdev/berth/internal/identity"
)

// ForInvitation returns the message that carries an invitation. to is the
// organization or application; inviter may be empty; link is where it is accepted.
func ForInvitation(i identity.Invitation, to, inviter, link string) identity.Message {
	who := "You have been"
	if inviter != "" {
		who = inviter + " has"
	}
	line := who + " invited to join " + to + "."
	if inviter != "" {
		line = who + " invited you to join " + to + "."
	}
	return identity.Message{To: i.Email, Kind: "invitation", Subject: "You are invited to join " + to, Link: link,
		Text: fmt.Sprintf("%s\n\nAccept the invitation here, until %s:\n\n%s\n\nIf you do not want to, ignore this message.\n", line, i.ExpiresAt.UTC().Format(time.DateOnly), link)}
}
