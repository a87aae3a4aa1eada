package authkit

import (
	"context"
	"net/http"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// userBody is the body of creating and updating a user. Members that are
// absent keep their value.
type userBody struct {
	Email         *string            `json:"email"`
	Password      *workos.Credential `json:"password"`
	FirstName     *string            `json:"first_name"`
	LastName      *string            `json:"last_name"`
	EmailVerified *bool              `json:"email_verified"`
	ExternalID    *string            `json:"external_id"`
	Locale        *string            `json:"locale"`
	Metadata      map[string]*string `json:"metadata"`
}

func (a *API) apply(r *http.Request, b userBody, u *identity.User) error {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&u.Email, b.Email)
	set(&u.FirstName, b.FirstName)
	set(&u.LastName, b.LastName)
	set(&u.ExternalID, b.ExternalID)
	set(&u.Locale, b.Locale)
	if b.EmailVerified != nil {
		u.EmailVerified = *b.EmailVerified
	}
	if err := identity.CheckEmail(u.Email); err != nil {
		return userError("email", fault.From(err).Code, fault.From(err).Message)
	}
	if err := keyed.MergeMetadata(&u.Metadata, b.Metadata); err != nil {
		return err
	}
	if b.Password != nil && *b.Password != "" {
		password := string(*b.Password)
		if err := identity.CheckPassword(password, u.Email); err != nil {
			return &detailed{code: "password_strength_error", message: "Password does not meet strength requirements.",
				detail: workos.ErrorDetail{Code: fault.From(err).Code, Message: fault.From(err).Message}}
		}
		hash, err := a.Auth.HashPassword(r.Context(), password)
		if err != nil {
			return err
		}
		u.PasswordHash = hash
	}
	return nil
}

// detailed is a shape B answer with status 400 and a list of one.
type detailed struct {
	code, message string
	detail        workos.ErrorDetail
}

func (d *detailed) Error() string { return d.message }

func userError(_, code, message string) error {
	return &detailed{code: "user_creation_error", message: "Could not create user.", detail: workos.ErrorDetail{Code: code, Message: message}}
}

// answerUser turns the failures of writing a user into their answer.
func answerUser(w http.ResponseWriter, err error) error {
	if d, ok := err.(*detailed); ok {
		return workos.CodeAnswer(http.StatusBadRequest, d.code, d.message, d.detail).Write(w)
	}
	switch f := fault.From(err); {
	case f.Code == "email_not_available":
		return workos.CodeAnswer(http.StatusBadRequest, "user_creation_error", "Could not create user.",
			workos.ErrorDetail{Code: "email_not_available", Message: "This email is not available."}).Write(w)
	case f.Code == "external_id_already_used":
		return workos.CodeAnswer(http.StatusBadRequest, "user_creation_error", "Could not create user.",
			workos.ErrorDetail{Code: f.Code, Message: f.Message}).Write(w)
	case f.Code == "invalid_metadata":
		return workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message).Write(w)
	}
	return err
}

func (a *API) createUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b userBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	var u identity.User
	if err := a.apply(r, b, &u); err != nil {
		return answerUser(w, err)
	}
	u, err := e.CreateUser(r.Context(), u)
	if err != nil {
		return answerUser(w, err)
	}
	return route.JSON(w, http.StatusCreated, User(u))
}

func (a *API) listUsers(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	email, in := r.URL.Query().Get("email"), r.URL.Query().Get("organization_id")
	list := e.Users
	if in != "" {
		list = func(ctx context.Context, email string, p store.Page) ([]identity.User, string, string, error) {
			return e.OrganizationUsers(ctx, in, email, p)
		}
	}
	users, before, after, err := list(r.Context(), email, p)
	if err != nil {
		return err
	}
	out := make([]workos.User, len(users))
	for i, u := range users {
		out[i] = User(u)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, User(u))
}

func (a *API) getUserByExternalID(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("kind") != "users" || r.PathValue("by") != "external_id" {
		return fault.New(fault.NotFound, "Not Found").WithCode("not_found")
	}
	u, err := e.UserByExternalID(r.Context(), r.PathValue("external_id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, User(u))
}

func (a *API) updateUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b userBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := a.apply(r, b, &u); err != nil {
		return answerUser(w, err)
	}
	if u, err = e.UpdateUser(r.Context(), u); err != nil {
		return answerUser(w, err)
	}
	return route.JSON(w, http.StatusOK, User(u))
}

func (a *API) deleteUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteUser(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func session(s identity.Session) workos.Session {
	return workos.Session{Object: "session", ID: s.ID, UserID: s.UserID, OrganizationID: keyed.OrNull(s.OrganizationID), AuthMethod: s.AuthMethod, Status: string(s.Status), IPAddress: keyed.OrNull(s.IPAddress),
		UserAgent: keyed.OrNull(s.UserAgent), ExpiresAt: workos.At(s.ExpiresAt), EndedAt: workos.AtOrNull(s.EndedAt), CreatedAt: workos.At(s.CreatedAt), UpdatedAt: workos.At(s.UpdatedAt)}
}

func (a *API) listSessions(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	userID := r.PathValue("id")
	body, err := e.SessionsAnswer(r.Context(), userID, p, func(sessions []identity.Session, before, after string) ([]byte, error) {
		if len(sessions) == 0 { // nobody's, or of somebody without any
			if _, err := e.User(r.Context(), userID); err != nil {
				return nil, err
			}
		}
		out := make([]workos.Session, len(sessions))
		for i, s := range sessions {
			out[i] = session(s)
		}
		return route.Encode(workos.NewList(out, before, after))
	})
	if err != nil {
		return err
	}
	return route.Encoded(w, http.StatusOK, body)
}

func (a *API) revokeSession(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.RevokeSessionRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	_, err := e.EndSession(r.Context(), b.SessionID)
	if fault.Is(err, fault.NotFound) { // the document has 400 for it
		return workos.MessageAnswer(http.StatusBadRequest, fault.From(err).Message).Write(w)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
