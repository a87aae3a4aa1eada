package mail

import (
	"fmt"

	"github.com/berthdev/berth/internal/identity"
)

// ForMember returns the message to somebody who was taken into a team of the
// server at an address.
func ForMember(to, team, server string) identity.Message {
	return identity.Message{To: to, Kind: "member", Subject: "You are a member of " + team, Link: server,
		Text: fmt.Sprintf("You have been made a member of the team %s on the Berth server\n\n%s\n\nSign in to it with this address: berth login. If you do not want to, ignore this message.\n", team, server)}
}
