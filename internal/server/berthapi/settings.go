package berthapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// mountSettings registers the settings of an environment, which WorkOS has in
// its dashboard alone.
func (a *API) mountSettings(team func(string, teamHandler)) {
	team("GET /berth/v1/environments/{client_id}/settings", a.ofEnvironment(a.settings))
	team("PATCH /berth/v1/environments/{client_id}/settings", a.ofEnvironment(a.patchSettings))
}

// readStrict is route.Read for a body whose members are all known: a
// misspelt setting must not pass for one that was made.
func readStrict(r *http.Request, v any) error {
	var raw json.RawMessage
	if err := route.Read(r, &raw); err != nil {
		return err
	}
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, format, args...).WithCode("invalid_request")
	}
	if len(raw) == 0 {
		return bad("the request has no body")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`); ok {
		return bad("there is no member %q here", strings.TrimSuffix(name, `"`))
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return bad("member %s must be a %s", t.Field, t.Type)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("the request body broke off")
	}
	return bad("the request body is not the expected JSON")
}

func (a *API) settings(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return route.JSON(w, http.StatusOK, effective(e))
}

// effective shows settings as they take effect, defaults included.
func effective(e *store.Env) berth.Settings {
	s := e.Settings
	seconds := func(d time.Duration) *int64 { return new(int64(d / time.Second)) }
	return berth.Settings{
		Brand:               &berth.Brand{Name: &s.Brand.Name, LogoURL: &s.Brand.LogoURL, Accent: &s.Brand.Accent},
		Algorithm:           new(s.Tokens.SigningAlgorithm()),
		Audience:            &s.Tokens.Audience,
		AccessTokenLifetime: seconds(s.Tokens.AccessLifetime()),
		SessionLifetime:     seconds(s.Sessions.MaxLifetime()),
		SessionInactivity:   seconds(s.Sessions.Inactivity),
		Methods: &berth.Methods{Password: new(!s.Methods.NoPassword), MagicCode: new(!s.Methods.NoMagicCode), SSO: new(!s.Methods.NoSSO),
			SignUp: new(!s.Methods.NoSignUp)},
		MFARequired: new(e.MFARequired),
		Pages:       &berth.Pages{ListTestUsers: &s.Pages.ListTestUsers},
		Connect:     &berth.Connect{LoginURI: &s.Connect.LoginURI},
	}
}

func (a *API) patchSettings(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req berth.Settings
	if err := readStrict(r, &req); err != nil {
		return err
	}
	err := e.ChangeSettings(r.Context(), func(s *identity.Settings) error {
		if err := merge(s, req); err != nil {
			return err
		}
		return s.Check(e.Production)
	})
	if err != nil {
		return err
	}
	if req.MFARequired != nil && *req.MFARequired != e.MFARequired {
		if err := e.SetMFARequired(r.Context(), *req.MFARequired); err != nil {
			return err
		}
		e.MFARequired = *req.MFARequired
	}
	return route.JSON(w, http.StatusOK, effective(e))
}

// longest bounds a number of seconds before it becomes nanoseconds. What may
// be set is less: see identity.Settings.Check.
const longest = int64(10 * 365 * 24 * time.Hour / time.Second)

// merge writes a patch into settings.
func merge(s *identity.Settings, p berth.Settings) error {
	put(&s.Tokens.Algorithm, p.Algorithm)
	put(&s.Tokens.Audience, p.Audience)
	for _, m := range []struct {
		name string
		from *int64
		to   *time.Duration
	}{{"access_token_lifetime", p.AccessTokenLifetime, &s.Tokens.Lifetime}, {"session_lifetime", p.SessionLifetime, &s.Sessions.Lifetime},
		{"session_inactivity", p.SessionInactivity, &s.Sessions.Inactivity}} {
		if m.from == nil {
			continue
		}
		if *m.from < 0 || *m.from > longest {
			return fault.New(fault.Invalid, "%s is a number of seconds, and %d is out of range", m.name, *m.from).WithCode("invalid_settings")
		}
		*m.to = time.Duration(*m.from) * time.Second
	}
	if b := p.Brand; b != nil {
		put(&s.Brand.Name, b.Name)
		put(&s.Brand.LogoURL, b.LogoURL)
		put(&s.Brand.Accent, b.Accent)
	}
	if m := p.Methods; m != nil {
		off(&s.Methods.NoPassword, m.Password)
		off(&s.Methods.NoMagicCode, m.MagicCode)
		off(&s.Methods.NoSSO, m.SSO)
		off(&s.Methods.NoSignUp, m.SignUp)
	}
	if p.Pages != nil {
		put(&s.Pages.ListTestUsers, p.Pages.ListTestUsers)
	}
	if p.Connect != nil {
		put(&s.Connect.LoginURI, p.Connect.LoginURI)
	}
	return nil
}

// off writes a switch that is kept the other way round.
func off(to, on *bool) {
	if on != nil {
		*to = !*on
	}
}
