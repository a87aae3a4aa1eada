package server_test

import "maps"

func init() { maps.Copy(rows, testUserRows) }

func testUserPath(b *tenant) string {
	return "/berth/v1/environments/" + b.env.ClientID + "/test_users/" + b.user.ID
}

// testUserRows are the rows of test users: every tenant has its user as one.
var testUserRows = map[string]row{
	"GET /berth/v1/environments/{client_id}/test_users": {path: func(b *tenant) string { return "/berth/v1/environments/" + b.env.ClientID + "/test_users" }, own: teamToken},
	"PUT /berth/v1/environments/{client_id}/test_users/{id}": {path: testUserPath, own: teamToken, bodies: func(a, b *tenant) []any {
		return []any{m{"password": password}, m{"password": "wrong password"}}
	}},
	"DELETE /berth/v1/environments/{client_id}/test_users/{id}": {path: testUserPath, own: teamToken},
	// With the user of another environment in TestATestUserIsOfOneEnvironment.
	"POST /sign-in/test-user": {path: fixed("/sign-in/test-user")},
}
