// Package widgets makes the tokens that an application gives to WorkOS's
// widgets and to its Client API. Berth serves neither: the tokens are signed
// and true, and open nothing here.
package widgets

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// API serves the surface.
type API struct {
	DB     *store.DB
	Auth   *auth.Service
	Log    *slog.Logger
	Limits limit.Set
}

// Mount registers the routes.
func (a *API) Mount(mux *http.ServeMux) {
	on := keyed.On(mux, a.DB, a.Log, a.Limits)
	on.Handle("POST /widgets/token", a.widgetToken)
	on.Handle("POST /client/token", a.clientToken)
}

func (a *API) widgetToken(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.WidgetTokenRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	switch {
	case b.UserID == "":
		return invalid("user_id is required.")
	case len(b.Scopes) > 0 && b.OrganizationID == "":
		return invalid("organization_id is required when scopes are given.")
	}
	for _, s := range b.Scopes {
		if !slices.Contains(workos.WidgetScopes, s) {
			return invalid("scopes must be any of the widget scopes.")
		}
	}
	return a.answer(e, w, r, auth.WidgetClaims{UserID: b.UserID, OrganizationID: b.OrganizationID, Scopes: b.Scopes})
}

func (a *API) clientToken(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b workos.ClientTokenRequest
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.UserID == "" || b.OrganizationID == "" {
		return invalid("organization_id and user_id are required.")
	}
	return a.answer(e, w, r, auth.WidgetClaims{UserID: b.UserID, OrganizationID: b.OrganizationID, Client: true})
}

func invalid(text string) error {
	return fault.New(fault.Invalid, "%s", text).WithCode("invalid_request_parameters")
}

func (a *API) answer(e *store.Env, w http.ResponseWriter, r *http.Request, c auth.WidgetClaims) error {
	token, err := a.Auth.WidgetToken(r.Context(), e, c)
	switch fault.Code(err) {
	case "organization_membership_not_found", "scope_not_permitted":
		return workos.MessageAnswer(http.StatusBadRequest, fault.From(err).Message).Write(w)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusCreated, workos.SignedToken{Token: workos.Credential(token.Reveal())})
}
