package server_test

import (
	"maps"
	"strings"

	"github.com/berthdev/berth/internal/identity"
)

func endpointPath(b *tenant) string { return "/webhook_endpoints/" + b.circle.endpoint.ID }

func init() {
	maps.Copy(rows, map[string]row{
		"GET /events": {path: fixed("/events?limit=100"), own: apiKey, accepts: true},
		"POST /webhook_endpoints": {path: fixed("/webhook_endpoints"), own: apiKey, accepts: true, bodies: bodies(func(b *tenant) []any {
			return []any{m{"endpoint_url": "http://127.0.0.1:1/" + strings.ToLower(identity.NewULID()), "events": []string{"user.created"}, "client_id": b.env.ClientID}}
		})},
		"GET /webhook_endpoints":      {path: func(b *tenant) string { return "/webhook_endpoints?before=" + b.circle.endpoint.ID }, own: apiKey, accepts: true},
		"GET /webhook_endpoints/{id}": {path: endpointPath, own: apiKey},
		"PATCH /webhook_endpoints/{id}": {path: endpointPath, own: apiKey,
			bodies: bodies(func(*tenant) []any {
				return []any{m{"endpoint_url": "http://127.0.0.1:1/mallory", "status": "disabled"}}
			})},
		"DELETE /webhook_endpoints/{id}":                    {path: endpointPath, own: apiKey},
		"GET /berth/v1/environments/{client_id}/deliveries": {path: func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID + "/deliveries" }, own: teamToken},
	})
}
