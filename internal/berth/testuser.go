package berth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// TestUser is a user of a lower environment whose password the server keeps,
// so that the sign-in page can offer the user. The password is never shown.
type TestUser struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// TestUserRequest is the body of making a user a test user. The password is
// compared with the user's own.
type TestUserRequest struct {
	Password string `json:"password"`
}

func testUserPath(clientID, userID string) string {
	path := "/berth/v1/environments/" + url.PathEscape(clientID) + "/test_users"
	if userID != "" {
		path += "/" + url.PathEscape(userID)
	}
	return path
}

// PutTestUser makes an existing user of an embedded environment a test user.
// A password that is not the user's is Invalid with code test_password_wrong.
func (c *Client) PutTestUser(ctx context.Context, clientID, userID string, password secret.String) (TestUser, error) {
	var u TestUser
	err := c.do(ctx, wire.Call{Method: http.MethodPut, Path: testUserPath(clientID, userID), Body: TestUserRequest{Password: password.Reveal()}, Out: &u})
	return u, err
}

// TestUsers lists the test users of an embedded environment by address.
func (c *Client) TestUsers(ctx context.Context, clientID string) ([]TestUser, error) {
	var list []TestUser
	err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: testUserPath(clientID, ""), Out: &list})
	return list, err
}

// DropTestUser makes a test user an ordinary one again.
func (c *Client) DropTestUser(ctx context.Context, clientID, userID string) error {
	return c.do(ctx, wire.Call{Method: http.MethodDelete, Path: testUserPath(clientID, userID)})
}
