package berthapi

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// mountTestUsers registers what WorkOS has no word for: users of lower
// environments that the sign-in page offers.
func (a *API) mountTestUsers(team func(pattern string, h teamHandler)) {
	team("GET /berth/v1/environments/{client_id}/test_users", a.ofEnvironment(a.testUsers))
	team("PUT /berth/v1/environments/{client_id}/test_users/{id}", a.ofEnvironment(a.putTestUser))
	team("DELETE /berth/v1/environments/{client_id}/test_users/{id}", a.ofEnvironment(a.dropTestUser))
}

func testUser(u identity.User) berth.TestUser {
	return berth.TestUser{ID: u.ID, Email: u.Email, Name: strings.TrimSpace(u.FirstName + " " + u.LastName)}
}

func (a *API) testUsers(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	list, err := e.TestUsers(r.Context())
	if err != nil {
		return err
	}
	out := make([]berth.TestUser, len(list))
	for i, u := range list {
		out[i] = testUser(u)
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) putTestUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.TestUserRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if !e.Production { // the store refuses that, before a password is looked at
		right, err := a.Auth.IsPassword(r.Context(), u, req.Password)
		if err != nil {
			return err
		}
		if !right {
			return fault.New(fault.Invalid, "this is not the password of %s", u.Email).
				WithFix("berth users reset gives it the password of the accounts file").WithCode("test_password_wrong")
		}
	}
	if err := e.PutTestUser(r.Context(), u.ID, secret.String(req.Password)); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, testUser(u))
}

func (a *API) dropTestUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DropTestUser(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}
