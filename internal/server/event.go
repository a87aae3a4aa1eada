package server

import (
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/apikeys"
	"github.com/berthdev/berth/internal/server/authkit"
	"github.com/berthdev/berth/internal/server/authorization"
	"github.com/berthdev/berth/internal/server/flags"
)

// describe returns the JSON of what an event is about.
func describe(about any) ([]byte, error) {
	switch about.(type) {
	case identity.OwnedKey, identity.OwnedKeyChange:
		return apikeys.EventData(about)
	case identity.Flag, identity.FlagContext:
		return flags.EventData(about)
	case identity.Role, identity.Permission, identity.Group, identity.GroupMember:
		return authorization.EventData(about)
	}
	return authkit.EventData(about)
}
