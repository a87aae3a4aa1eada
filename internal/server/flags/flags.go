// Package flags serves feature flags: whether an environment has a feature on,
// and for which organizations and users. Flags are made by package berthapi, as
// they are in the dashboard at WorkOS.
package flags

import (
	"context"
	"errors"
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
	on := keyed.On(mux, a.DB, a.Log, a.Limits)
	on.Handle("GET /feature-flags", func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		return list(e, w, r, store.FlagsFor{})
	})
	on.Handle("GET /feature-flags/{slug}", get)
	on.Handle("PUT /feature-flags/{slug}/enable", switched(true))
	on.Handle("PUT /feature-flags/{slug}/disable", switched(false))
	on.Handle("POST /feature-flags/{slug}/targets/{resource}", target((*store.Env).AddFlagTarget))
	on.Handle("DELETE /feature-flags/{slug}/targets/{resource}", target((*store.Env).RemoveFlagTarget))
	on.Handle("GET /organizations/{organization}/feature-flags", func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		return list(e, w, r, store.FlagsFor{OrganizationID: r.PathValue("organization")})
	})
	on.Handle("GET /user_management/users/{user}/feature-flags", func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		return list(e, w, r, store.FlagsFor{UserID: r.PathValue("user")})
	})
}

// EventData returns the JSON of what an event about a flag is about, and of its
// context.
func EventData(about any) ([]byte, error) {
	switch v := about.(type) {
	case identity.Flag:
		out := flag(v)
		out.EnvironmentID = v.EnvironmentID
		return workos.EventJSON(out)
	case identity.FlagContext:
		return workos.EventJSON(eventContext(v))
	}
	return nil, fmt.Errorf("no event of a flag is about a %T", about)
}

func flag(f identity.Flag) workos.Flag {
	out := workos.Flag{Object: "feature_flag", ID: f.ID, Slug: f.Slug, Name: f.Name, Description: keyed.OrNull(f.Description), Tags: f.Tags,
		Enabled: f.Enabled, Default: f.Default, CreatedAt: workos.At(f.CreatedAt), UpdatedAt: workos.At(f.UpdatedAt)}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	return out
}

func eventContext(v identity.FlagContext) workos.FlagContext {
	out := workos.FlagContext{ClientID: v.ClientID, Actor: workos.FlagActor{ID: v.ActorID, Source: v.ActorSource}}
	if v.Before == nil {
		return out
	}
	before := workos.FlagPrevious{Data: changed(*v.Before, v.After, v.Rule)}
	if v.Rule {
		out.Access, out.Targets = identity.FlagAccess(v.After, v.Targets), targets(v.Targets)
		before.Context = &workos.FlagRuleContext{Access: identity.FlagAccess(*v.Before, v.TargetsBefore), Targets: targets(v.TargetsBefore)}
	}
	out.Previous = &before
	return out
}

// changed returns the values that a change has replaced; of a rule, those that
// decide whom the flag reaches.
func changed(before, after identity.Flag, rule bool) map[string]any {
	out := map[string]any{}
	if before.Enabled != after.Enabled {
		out["enabled"] = before.Enabled
	}
	if before.Default != after.Default {
		out["default_value"] = before.Default
	}
	if rule {
		return out
	}
	if before.Name != after.Name {
		out["name"] = before.Name
	}
	if before.Description != after.Description {
		out["description"] = keyed.OrNull(before.Description)
	}
	if fmt.Sprint(before.Tags) != fmt.Sprint(after.Tags) {
		out["tags"] = before.Tags
	}
	return out
}

func targets(t identity.FlagTargets) *workos.FlagTargets {
	out := &workos.FlagTargets{Organizations: []workos.NamedTarget{}, Users: []workos.UserTarget{}}
	for _, o := range t.Organizations {
		out.Organizations = append(out.Organizations, workos.NamedTarget{ID: o.ID, Name: o.Name})
	}
	for _, u := range t.Users {
		out.Users = append(out.Users, workos.UserTarget{ID: u.ID, Email: u.Email})
	}
	return out
}

func list(e *store.Env, w http.ResponseWriter, r *http.Request, f store.FlagsFor) error {
	p, err := keyed.Page(r)
	if err != nil {
		return workos.CodeAnswer(http.StatusBadRequest, "invalid_request_parameters", fault.From(err).Message).Write(w)
	}
	all, before, after, err := e.Flags(r.Context(), f, p)
	if err != nil {
		return err
	}
	out := make([]workos.Flag, len(all))
	for i, v := range all {
		out[i] = flag(v)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func get(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	f, err := e.Flag(r.Context(), r.PathValue("slug"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, flag(f))
}

func switched(on bool) keyed.Handler {
	return func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		f, err := e.ChangeFlag(r.Context(), r.PathValue("slug"), func(f *identity.Flag) error {
			f.Enabled = on
			return nil
		})
		if err != nil {
			return err
		}
		return route.JSON(w, http.StatusOK, flag(f))
	}
}

func target(change func(e *store.Env, ctx context.Context, slug, id string) error) keyed.Handler {
	return func(e *store.Env, w http.ResponseWriter, r *http.Request) error {
		err := change(e, r.Context(), r.PathValue("slug"), r.PathValue("resource"))
		if errors.Is(err, store.ErrFlagTarget) {
			f := fault.From(err)
			return workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message).Write(w)
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}
