package server_test

import "maps"

func init() { maps.Copy(rows, keyRows) }

// keyRows are the rows of signing keys.
var keyRows = map[string]row{
	"GET /berth/v1/environments/{client_id}/signing_keys": {path: keysPath("/signing_keys"), own: teamToken},
	"POST /berth/v1/environments/{client_id}/signing_keys": {path: keysPath("/signing_keys"), own: teamToken,
		bodies: bodies(func(*tenant) []any { return []any{m{}, m{"now": true}, m{"algorithm": "ES256"}} })},
}

func keysPath(rest string) func(*tenant) string {
	return func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID + rest }
}
