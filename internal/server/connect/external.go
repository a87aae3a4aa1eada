package connect

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// completeExternal ends a sign-in that the environment's own application did
// (WorkOS Standalone Connect). The application vouches for the address.
func (a *API) completeExternal(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req workos.ExternalAuthRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	switch {
	case req.ExternalAuthID == "":
		return invalid("external_auth_id is required")
	case req.User.ID == "" || len(req.User.ID) > 255:
		return invalid("user.id must have 1 to 255 bytes")
	case len(req.UserConsentOptions) > 0:
		return fault.New(fault.Invalid, "User consent options are not supported.").WithCode("user_consent_options_not_supported")
	case identity.CheckEmail(req.User.Email) != nil:
		return fault.New(fault.Invalid, "The e-mail address is not valid.").WithCode("invalid_email")
	}
	x, err := e.External(r.Context(), req.ExternalAuthID)
	if err != nil {
		return err
	}
	if x.UserID != "" {
		return fault.New(fault.Conflict, "The sign-in was completed before.").WithCode("external_auth_session_already_completed")
	}
	u, err := a.externalUser(e, r, req.User)
	if code := fault.Code(err); code == "email_not_available" {
		return workos.CodeAnswer(http.StatusBadRequest, code, fault.From(err).Message).Write(w)
	}
	if err != nil {
		return err
	}
	if err := e.CompleteExternal(r.Context(), x.ID, u.ID); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.ExternalAuthResponse{
		RedirectURI: a.Auth.ConnectIssuer(e) + "/external-auth?" + url.Values{"external_auth_id": {x.ID}}.Encode()})
}

// externalUser makes or updates the user with the application's own id.
func (a *API) externalUser(e *store.Env, r *http.Request, v workos.ExternalUser) (identity.User, error) {
	u, err := e.UserByExternalID(r.Context(), v.ID)
	known := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return u, err
	}
	before := u
	u.Metadata = maps.Clone(before.Metadata)
	if v.Name != nil && v.FirstName == nil && v.LastName == nil {
		u.FirstName, u.LastName, _ = strings.Cut(strings.TrimSpace(*v.Name), " ")
	}
	if v.FirstName != nil {
		u.FirstName = *v.FirstName
	}
	if v.LastName != nil {
		u.LastName = *v.LastName
	}
	if err := keyed.MergeMetadata(&u.Metadata, v.Metadata); err != nil {
		return u, err
	}
	if known && identity.EmailKey(u.Email) == identity.EmailKey(v.Email) && !u.EmailVerified {
		// Whoever set a password without proving the address loses it.
		if _, err := e.ProveEmail(r.Context(), u.ID, u.Email); err != nil {
			return u, err
		}
		u.PasswordHash = ""
	}
	u.ExternalID, u.Email, u.EmailVerified = v.ID, v.Email, true
	if !known {
		return e.CreateUser(r.Context(), u)
	}
	return e.UpdateUser(r.Context(), u)
}
