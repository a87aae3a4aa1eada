package berthapi

import (
	"net/http"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// credentials lists the credentials of the team, without their secrets.
func (a *API) credentials(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	list, err := t.Credentials(r.Context())
	if err != nil {
		return err
	}
	out := make([]berth.Credential, len(list))
	for i, c := range list {
		out[i] = berth.Credential{ID: c.ID, Name: c.Name, Kind: string(c.Kind), ExpiresAt: c.ExpiresAt, CreatedAt: c.CreatedAt, Current: c.Current}
	}
	return route.JSON(w, http.StatusOK, out)
}

func (a *API) revokeCredential(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	if err := t.RevokeCredential(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}
