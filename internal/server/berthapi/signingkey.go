package berthapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountKeys(team func(string, teamHandler)) {
	team("GET /berth/v1/environments/{client_id}/signing_keys", a.ofEnvironment(a.signingKeys))
	team("POST /berth/v1/environments/{client_id}/signing_keys", a.ofEnvironment(a.rotateKey))
	team("GET /berth/v1/environments/{client_id}/tokens", a.ofEnvironment(a.tokenSettings))
	team("PATCH /berth/v1/environments/{client_id}/tokens", a.ofEnvironment(a.setTokenSettings))
}

// ofEnvironment finds the team's environment that the path names.
func (a *API) ofEnvironment(h func(e *store.Env, w http.ResponseWriter, r *http.Request) error) teamHandler {
	return func(t *store.Team, w http.ResponseWriter, r *http.Request) error {
		e, err := t.EnvironmentByClientID(r.Context(), r.PathValue("client_id"))
		if err != nil {
			return err
		}
		return h(e, w, r)
	}
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

func (a *API) tokenSettings(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	t, s := e.Settings.Tokens, e.Settings.Sessions
	seconds := func(d time.Duration) *int64 { return new(int64(d / time.Second)) }
	return route.JSON(w, http.StatusOK, berth.TokenSettings{Algorithm: new(t.SigningAlgorithm()), Audience: new(t.Audience), LifetimeSeconds: seconds(t.AccessLifetime()),
		SessionSeconds: seconds(s.MaxLifetime()), InactivitySeconds: seconds(s.Inactivity)})
}

// maxSeconds bounds durations before they are multiplied into nanoseconds.
const maxSeconds = int64(10 * 365 * 24 * time.Hour / time.Second)

func (a *API) setTokenSettings(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.TokenSettings
	if err := route.Read(r, &req); err != nil {
		return err
	}
	err := e.ChangeSettings(r.Context(), func(v *identity.Settings) error {
		for _, m := range []struct {
			from *int64
			to   *time.Duration
		}{{req.LifetimeSeconds, &v.Tokens.Lifetime}, {req.SessionSeconds, &v.Sessions.Lifetime}, {req.InactivitySeconds, &v.Sessions.Inactivity}} {
			if m.from == nil {
				continue
			}
			if *m.from < 0 || *m.from > maxSeconds {
				return fault.New(fault.Invalid, "a duration of %d seconds is out of range", *m.from).WithCode("invalid_settings")
			}
			*m.to = time.Duration(*m.from) * time.Second
		}
		if req.Algorithm != nil {
			v.Tokens.Algorithm = *req.Algorithm
		}
		if req.Audience != nil {
			v.Tokens.Audience = *req.Audience
		}
		if err := v.Tokens.Check(); err != nil {
			return err
		}
		return v.Sessions.Check()
	})
	if err != nil {
		return err
	}
	return a.tokenSettings(e, w, r)
}
