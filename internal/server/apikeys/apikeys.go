// Package apikeys serves the API keys that an application gives to its own
// customers: keys of organizations, and of users for one organization. The keys
// with which the application itself calls are package platform's.
package apikeys

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// API serves the surface.
type API struct {
	DB     *store.DB
	Log    *slog.Logger
	Limits limit.Set
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	on := keyed.On(mux, a.DB, a.Log, a.Limits)
	on.Handle("POST /organizations/{organization}/api_keys", a.createForOrganization)
	on.Handle("GET /organizations/{organization}/api_keys", a.listOfOrganization)
	on.Handle("POST /user_management/users/{user}/api_keys", a.createForUser)
	on.Handle("GET /user_management/users/{user}/api_keys", a.listOfUser)
	on.Handle("POST /api_keys/validations", a.validate)
	on.Handle("POST /api_keys/{id}/expire", a.expire)
	on.Handle("DELETE /api_keys/{id}", a.delete)
}

// EventData returns the JSON of what an event about a key is about.
func EventData(about any) ([]byte, error) {
	switch v := about.(type) {
	case identity.OwnedKey:
		return workos.EventJSON(key(v))
	case identity.OwnedKeyChange:
		out := key(v.OwnedKey)
		out.Previous = &workos.KeyUntil{ExpiresAt: workos.AtOrNull(v.ExpiredBefore)}
		return workos.EventJSON(out)
	}
	return nil, fmt.Errorf("no event of a key is about a %T", about)
}

func key(k identity.OwnedKey) workos.OwnedKey {
	out := workos.OwnedKey{Object: "api_key", ID: k.ID, Owner: workos.KeyOwner{Type: "organization", ID: k.OrganizationID}, Name: k.Name, Obfuscated: k.Obfuscated,
		LastUsedAt: workos.AtOrNull(k.LastUsedAt), ExpiresAt: workos.AtOrNull(k.ExpiresAt), Permissions: k.Permissions, CreatedAt: workos.At(k.CreatedAt), UpdatedAt: workos.At(k.UpdatedAt)}
	if k.UserID != "" {
		out.Owner = workos.KeyOwner{Type: "user", ID: k.UserID, OrganizationID: k.OrganizationID}
	}
	if out.Permissions == nil {
		out.Permissions = []string{}
	}
	return out
}

// body is the body of making a key.
type body struct {
	Name           string   `json:"name"`
	OrganizationID string   `json:"organization_id"` // of a user's key
	Permissions    []string `json:"permissions"`
	ExpiresAt      string   `json:"expires_at"`
}

// field is a member of a body that cannot be followed.
type field struct{ name, code string }

// maxPermissions bounds the permissions of one key.
const maxPermissions = 100

// key reads what the body says, or names the member that is wrong.
func (b body) key(now time.Time) (k identity.OwnedKey, wrong []workos.ErrorDetail) {
	add := func(f field) { wrong = append(wrong, workos.ErrorDetail{Field: f.name, Code: f.code}) }
	k.Name, k.Permissions = strings.TrimSpace(b.Name), b.Permissions
	if identity.CheckOwnedKeyName(k.Name) != nil {
		add(field{"name", "name_required"})
		if k.Name != "" {
			wrong[0].Code = "name_too_long"
		}
	}
	if len(b.Permissions) > maxPermissions {
		add(field{"permissions", "too_many_permissions"})
	}
	if b.ExpiresAt != "" {
		at, err := time.Parse(time.RFC3339Nano, b.ExpiresAt)
		switch {
		case err != nil:
			add(field{"expires_at", "expires_at_invalid"})
		case !at.After(now):
			add(field{"expires_at", "expires_at_not_in_future"})
		}
		k.ExpiresAt = at
	}
	return k, wrong
}

func refused(status int, wrong ...workos.ErrorDetail) workos.Answer {
	return workos.Answer{Status: status, Body: workos.CodeError{Message: "Validation failed.", Errors: wrong}}
}

// create makes a key; status is what a body that cannot be followed answers.
func (a *API) create(e *store.Env, w http.ResponseWriter, r *http.Request, b body, k identity.OwnedKey, wrong []workos.ErrorDetail, status int) error {
	if len(wrong) > 0 {
		return refused(status, wrong...).Write(w)
	}
	k, value, err := e.CreateOwnedKey(r.Context(), k)
	switch fault.Code(err) {
	case "permission_not_found":
		return refused(status, workos.ErrorDetail{Field: "permissions", Code: "permission_not_found", Message: fault.From(err).Message}).Write(w)
	case "organization_membership_not_found":
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "organization_membership_not_found", fault.From(err).Message).Write(w)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusCreated, workos.NewOwnedKey{OwnedKey: key(k), Value: workos.Credential(value.Reveal())})
}

func (a *API) createForOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b body
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if _, err := e.Organization(r.Context(), r.PathValue("organization")); err != nil {
		return err
	}
	k, wrong := b.key(a.DB.Now())
	k.OrganizationID = r.PathValue("organization")
	return a.create(e, w, r, b, k, wrong, http.StatusUnprocessableEntity)
}

func (a *API) createForUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b body
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if _, err := e.User(r.Context(), r.PathValue("user")); err != nil {
		return err
	}
	k, wrong := b.key(a.DB.Now())
	if b.OrganizationID == "" {
		wrong = append(wrong, workos.ErrorDetail{Field: "organization_id", Code: "organization_id_required"})
	}
	k.OrganizationID, k.UserID = b.OrganizationID, r.PathValue("user")
	return a.create(e, w, r, b, k, wrong, http.StatusBadRequest)
}

func (a *API) listOfOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if _, err := e.Organization(r.Context(), r.PathValue("organization")); err != nil {
		return err
	}
	return a.list(e, w, r, store.OwnedKeyFilter{OrganizationID: r.PathValue("organization")})
}

func (a *API) listOfUser(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if _, err := e.User(r.Context(), r.PathValue("user")); err != nil {
		return err
	}
	return a.list(e, w, r, store.OwnedKeyFilter{UserID: r.PathValue("user"), OrganizationID: r.URL.Query().Get("organization_id")})
}

func (a *API) list(e *store.Env, w http.ResponseWriter, r *http.Request, f store.OwnedKeyFilter) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	list, before, after, err := e.OwnedKeys(r.Context(), f, p)
	if err != nil {
		return err
	}
	out := make([]workos.OwnedKey, len(list))
	for i, k := range list {
		out[i] = key(k)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) validate(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Value *string `json:"value"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.Value == nil {
		return fault.New(fault.Invalid, "value is required.").WithCode("invalid_request_parameters")
	}
	w.Header().Set("Cache-Control", "no-store")
	k, ok, err := e.ValidateOwnedKey(r.Context(), *b.Value)
	if err != nil {
		return err
	}
	var out workos.KeyValidation
	if ok {
		out.Key = new(key(k))
	}
	return route.JSON(w, http.StatusOK, out)
}

// expire ends a key: now, or at expires_at; null takes a planned end back.
func (a *API) expire(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		ExpiresAt keyed.Nullable[string] `json:"expires_at"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	at := a.DB.Now()
	switch {
	case b.ExpiresAt.Null:
		at = time.Time{}
	case b.ExpiresAt.Set:
		var err error
		if at, err = time.Parse(time.RFC3339Nano, b.ExpiresAt.Value); err != nil || at.IsZero() {
			return fault.New(fault.Invalid, "expires_at must be an ISO 8601 time.").WithCode("invalid_request_parameters")
		}
	}
	k, err := e.ExpireOwnedKey(r.Context(), r.PathValue("id"), at)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, key(k))
}

func (a *API) delete(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteOwnedKey(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
