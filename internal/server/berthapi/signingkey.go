package berthapi

import (
	"encoding/json"
	"net/http"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountKeys(team func(string, teamHandler)) {
	team("GET /berth/v1/environments/{client_id}/signing_keys", a.ofEnvironment(a.signingKeys))
	team("POST /berth/v1/environments/{client_id}/signing_keys", a.ofEnvironment(a.rotateKey))
}

func (a *API) signingKeys(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	keys, err := a.Auth.Keys(r.Context(), e)
	if err != nil {
		return err
	}
	out := make([]berth.SigningKey, len(keys))
	for i, k := range keys {
		out[i] = berth.SigningKey{KID: k.KID, Algorithm: k.Algorithm, State: string(k.State), PublishedAt: k.PublishedAt, SignsAt: k.SignsAt,
			RetiredAt: k.RetiredAt, RemoveAt: k.RemoveAt, PublicJWK: json.RawMessage(k.PublicJWK)}
	}
	return route.JSON(w, http.StatusOK, out)
}

// rotateKey asks for a new key. A change of algorithm is a new key by itself.
func (a *API) rotateKey(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.KeyRotation
	if err := route.Read(r, &req); err != nil {
		return err
	}
	changed := req.Algorithm != "" && req.Algorithm != e.Settings.Tokens.SigningAlgorithm()
	if req.Algorithm != "" {
		err := e.ChangeSettings(r.Context(), func(v *identity.Settings) error {
			v.Tokens.Algorithm = req.Algorithm
			return v.Tokens.Check()
		})
		if err != nil {
			return err
		}
	}
	if req.Now || !changed {
		if err := a.Auth.RotateKey(r.Context(), e, req.Now); err != nil {
			return err
		}
	}
	return a.signingKeys(e, w, r)
}
