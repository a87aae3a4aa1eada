package workos

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/wire"
)

// UserChange is the body of PUT /user_management/users/{id}. Members that are
// nil keep their value.
type UserChange struct {
	FirstName     *string           `json:"first_name,omitempty"`
	LastName      *string           `json:"last_name,omitempty"`
	EmailVerified *bool             `json:"email_verified,omitempty"`
	Password      *Credential       `json:"password,omitempty"`
	ExternalID    *string           `json:"external_id,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"` // merged into the user's
}

// UpdateUser changes a user.
func (e *Environment) UpdateUser(ctx context.Context, id string, c UserChange) (User, error) {
	var u User
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: pathUsers + "/" + url.PathEscape(id), Body: c, Out: &u, Repeatable: true})
	return u, explainKey(err)
}

// ListSessions returns all sessions of a user, ended ones included.
func (e *Environment) ListSessions(ctx context.Context, userID string) ([]Session, error) {
	list, err := all[Session](ctx, e.calls, pathUsers+"/"+url.PathEscape(userID)+"/sessions", nil)
	return list, explainKey(err)
}

// RevokeSession ends a session; one that is gone is AlreadyGone.
func (e *Environment) RevokeSession(ctx context.Context, id string) (Outcome, error) {
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/user_management/sessions/revoke", Body: RevokeSessionRequest{SessionID: id}, Repeatable: true})
	if wire.Status(err) == http.StatusNotFound {
		return Outcome{State: AlreadyGone}, nil
	}
	return done(explainKey(err))
}

// ListFactors returns all second factors of a user.
func (e *Environment) ListFactors(ctx context.Context, userID string) ([]AuthFactor, error) {
	list, err := all[AuthFactor](ctx, e.calls, pathUsers+"/"+url.PathEscape(userID)+"/auth_factors", nil)
	return list, explainKey(err)
}

// DeleteFactor removes a second factor; one that is gone is AlreadyGone.
func (e *Environment) DeleteFactor(ctx context.Context, id string) (Outcome, error) {
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodDelete, Path: "/auth/factors/" + url.PathEscape(id)})
	if wire.Status(err) == http.StatusNotFound {
		return Outcome{State: AlreadyGone}, nil
	}
	return done(explainKey(err))
}
