// Package authorization serves who may do what: permissions, roles of the
// environment and of organizations, resources, the roles that members and groups
// have on them, and the questions that follow from those. It serves groups too.
//
// Resource types are made in the dashboard at WorkOS and have no API. Here a type
// exists as soon as a role, a permission or a resource names it.
package authorization

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

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
	on := routes{keyed.On(mux, a.DB, a.Log, a.Limits)}
	mountRoles(on)
	mountPermissions(on)
	mountResources(on)
	mountAssignments(on)
	mountAccess(on)
	mountGroups(on)
}

// routes registers calls whose refusals of a body have a message and no code, as
// all 422 of these operations have in the OpenAPI document.
type routes struct{ keyed *keyed.Routes }

func (o routes) handle(pattern string, h keyed.Handler) {
	o.keyed.Handle(pattern, func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		err := h(e, w, r)
		if err == nil {
			return nil
		}
		switch f := fault.From(err); {
		case f.Kind == fault.Invalid && badRequests[f.Code]:
			return workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message).Write(w)
		case f.Code == "invalid_request_parameters": // list parameters, as everywhere
			return err
		case f.Kind == fault.Invalid:
			return workos.MessageAnswer(http.StatusUnprocessableEntity, f.Message).Write(w)
		case f.Kind == fault.Denied:
			return workos.MessageAnswer(http.StatusForbidden, f.Message).Write(w)
		}
		return err
	})
}

// badRequests are the codes that answer 400.
var badRequests = map[string]bool{"bad_request": true, "group_membership_limit_exceeded": true, "missing_organization_id_or_resource_type_slug": true}

func unprocessable(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode("unprocessable")
}

func badRequest(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode("bad_request")
}

// badSlug is the 400 of a slug that cannot be one.
func badSlug(err error) error { return badRequest("%s", fault.From(err).Message) }

// answer writes what a store call returned.
func answer[T, W any](w http.ResponseWriter, status int, v T, err error, shape func(T) W) error {
	if err != nil {
		return err
	}
	return route.JSON(w, status, shape(v))
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// answerPage writes the page that list returns for the request's list parameters.
func answerPage[T, W any](w http.ResponseWriter, r *http.Request, shape func(T) W, list func(context.Context, store.Page) ([]T, string, string, error)) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	items, before, after, err := list(r.Context(), p)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.NewList(shapes(items, shape), before, after))
}

func shapes[T, W any](items []T, shape func(T) W) []W {
	out := make([]W, len(items))
	for i, v := range items {
		out[i] = shape(v)
	}
	return out
}

// EventData returns the JSON of what an event of this surface is about.
func EventData(about any) ([]byte, error) {
	switch v := about.(type) {
	case identity.Role:
		return workos.EventJSON(roleEvent(v))
	case identity.Permission:
		return workos.EventJSON(permission(v))
	case identity.Group:
		return workos.EventJSON(group(v))
	case identity.GroupMember:
		return workos.EventJSON(groupMemberEvent(v))
	}
	return nil, fmt.Errorf("no event of authorization is about a %T", about)
}
