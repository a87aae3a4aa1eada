package workos

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

const (
	pathUsers        = "/user_management/users"
	pathAuthenticate = "/user_management/authenticate"
)

// CreateUser makes a user. An existing address is a Conflict with the code
// user_already_exists, except when the answer of an earlier attempt was lost:
// then the user found under the address is returned.
func (e *Environment) CreateUser(ctx context.Context, u NewUser) (User, error) {
	var made User
	var doubt bool
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathUsers, Body: u, Out: &made, Repeatable: true, Doubt: &doubt})
	if err == nil || !userExists(err) {
		return made, explainKey(err)
	}
	if doubt {
		found, listErr := e.ListUsers(ctx, UserFilter{Email: u.Email})
		if listErr != nil {
			return User{}, listErr
		}
		for _, f := range found {
			if strings.EqualFold(f.Email, u.Email) {
				return f, nil
			}
		}
	}
	return User{}, fault.Wrap(err, fault.Conflict, "the environment already has a user %s", u.Email).WithCode(CodeUserAlreadyExists).
		WithFix("use that user, or delete it first")
}

// userExists recognises the ways of saying that an address is taken: the
// emulator's 409, and the 400 or 422 with an error list of the specification.
func userExists(err error) bool {
	e, ok := errors.AsType[*wire.StatusError](err)
	if !ok || e.Status < 400 || e.Status > 499 {
		return false
	}
	body := string(e.Body)
	return e.Code == CodeUserAlreadyExists || strings.Contains(body, "email_not_available") || strings.Contains(body, "already exists")
}

// ListUsers returns all users that match the filter.
func (e *Environment) ListUsers(ctx context.Context, f UserFilter) ([]User, error) {
	q := url.Values{}
	if f.Email != "" {
		q.Set("email", f.Email)
	}
	if f.OrganizationID != "" {
		q.Set("organization_id", f.OrganizationID)
	}
	list, err := all[User](ctx, e.calls, pathUsers, q)
	return list, explainKey(err)
}

// GetUser returns the user with the given id, or a NotFound error.
func (e *Environment) GetUser(ctx context.Context, id string) (User, error) {
	var u User
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodGet, Path: pathUsers + "/" + url.PathEscape(id), Out: &u})
	return u, explainKey(err)
}

// DeleteUser removes a user; one that is gone is AlreadyGone.
func (e *Environment) DeleteUser(ctx context.Context, id string) (Outcome, error) {
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodDelete, Path: pathUsers + "/" + url.PathEscape(id)})
	if wire.Status(err) == http.StatusNotFound {
		return Outcome{State: AlreadyGone}, nil
	}
	return done(explainKey(err))
}

// AuthenticateWithPassword signs a user in with e-mail and password. It is
// repeated when the answer is lost: the price is a session nobody uses.
func (e *Environment) AuthenticateWithPassword(ctx context.Context, email string, password secret.String) (AuthenticateResponse, error) {
	return e.authenticate(ctx, AuthenticateRequest{GrantType: GrantPassword, Email: email, Password: Credential(password)}, true)
}

// AuthenticateWithCode spends an authorization code. verifier is the PKCE
// verifier of the request (RFC 7636 section 4.5), "" when there was none. It is
// never repeated: a code works once.
func (e *Environment) AuthenticateWithCode(ctx context.Context, code, verifier secret.String) (AuthenticateResponse, error) {
	return e.authenticate(ctx, AuthenticateRequest{GrantType: GrantCode, Code: Credential(code), CodeVerifier: Credential(verifier)}, false)
}

// AuthenticateWithRefresh rotates a refresh token. organizationID switches
// the organization, "" keeps it. A lost answer is asked for again: for about
// 30 s the old token returns the pair it was rotated to.
func (e *Environment) AuthenticateWithRefresh(ctx context.Context, token secret.String, organizationID string) (AuthenticateResponse, error) {
	return e.authenticate(ctx, AuthenticateRequest{GrantType: GrantRefresh, RefreshToken: Credential(token), OrganizationID: organizationID}, true)
}

func (e *Environment) authenticate(ctx context.Context, req AuthenticateRequest, repeatable bool) (AuthenticateResponse, error) {
	req.ClientID, req.ClientSecret = e.ClientID, Credential(e.key)
	var out AuthenticateResponse
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathAuthenticate, Body: req, Out: &out, Repeatable: repeatable})
	if err == nil && (out.AccessToken == "" || out.User.ID == "") {
		return AuthenticateResponse{}, fault.New(fault.Unavailable, "the answer to a sign-in has no user or no access token")
	}
	return out, explainKey(err)
}
