package berthapi

import (
	"net/http"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// mountFlags registers what is an act in the dashboard at WorkOS: making,
// changing and deleting feature flags.
func (a *API) mountFlags(team func(string, teamHandler)) {
	team("POST /berth/v1/environments/{client_id}/feature_flags", a.ofEnvironment(a.createFlag))
	team("PATCH /berth/v1/environments/{client_id}/feature_flags/{slug}", a.ofEnvironment(a.patchFlag))
	team("DELETE /berth/v1/environments/{client_id}/feature_flags/{slug}", a.ofEnvironment(a.deleteFlag))
}

func flag(f identity.Flag) berth.Flag {
	out := berth.Flag{ID: f.ID, Slug: f.Slug, Name: f.Name, Description: f.Description, Tags: f.Tags, Enabled: f.Enabled, Default: f.Default,
		CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	return out
}

func (a *API) createFlag(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.NewFlag
	if err := readStrict(r, &req); err != nil {
		return err
	}
	f := identity.Flag{Slug: req.Slug, Name: req.Name, Description: req.Description, Tags: req.Tags, Enabled: req.Enabled, Default: req.Default}
	if f.Name == "" {
		f.Name = f.Slug
	}
	if err := f.Check(); err != nil {
		return err
	}
	made, err := e.CreateFlag(r.Context(), f)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, flag(made))
}

func (a *API) patchFlag(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.FlagPatch
	if err := readStrict(r, &req); err != nil {
		return err
	}
	f, err := e.ChangeFlag(r.Context(), r.PathValue("slug"), func(f *identity.Flag) error {
		put(&f.Name, req.Name)
		put(&f.Description, req.Description)
		put(&f.Tags, req.Tags)
		put(&f.Enabled, req.Enabled)
		put(&f.Default, req.Default)
		return f.Check()
	})
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, flag(f))
}

// put writes a member of a patch where it belongs, when it is there.
func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (a *API) deleteFlag(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteFlag(r.Context(), r.PathValue("slug")); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}
