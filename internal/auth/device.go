package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/store"
)

// Lifetime of a device authorization and how often the device may ask, as
// WorkOS answers them (RFC 8628 section 3.2).
const (
	DeviceLifetime = 5 * time.Minute
	DeviceInterval = 5 * time.Second
)

// DeviceStart is what a device is told to show.
type DeviceStart struct {
	DeviceCode secret.String
	UserCode   string
	URI        string // where the code is entered
	URIWith    string // the same with the code filled in
	Lifetime   time.Duration
	Interval   time.Duration
}

// StartDevice begins a device authorization (RFC 8628 section 3.1): of an
// application, or with the zero Application of the environment itself.
func (s *Service) StartDevice(ctx context.Context, e *store.Env, app identity.Application, scopes []string, resource string) (DeviceStart, error) {
	code := rand.Text() + rand.Text()
	// 20^8 codes are plenty, but two devices must never share one.
	for range 5 {
		userCode, err := newUserCode()
		if err != nil {
			return DeviceStart{}, err
		}
		_, err = e.AddDevice(ctx, identity.Device{ApplicationID: app.ID, Hash: codeHash(code), UserCode: userCode, Scopes: scopes, Resource: resource,
			Interval: DeviceInterval, ExpiresAt: s.db.Now().Add(DeviceLifetime)})
		if fault.Code(err) == "user_code_taken" {
			continue
		}
		if err != nil {
			return DeviceStart{}, err
		}
		page := s.baseURL() + "/device"
		return DeviceStart{DeviceCode: secret.String(code), UserCode: userCode, URI: page, URIWith: page + "?" + url.Values{"user_code": {userCode}}.Encode(),
			Lifetime: DeviceLifetime, Interval: DeviceInterval}, nil
	}
	return DeviceStart{}, fmt.Errorf("no free user code was found")
}

// newUserCode draws eight letters evenly: bytes that would favour some are
// drawn again.
func newUserCode() (string, error) {
	var letters [8]byte
	for i := 0; i < len(letters); {
		if _, err := rand.Read(letters[i : i+1]); err != nil {
			return "", err
		}
		if letters[i] < 240 {
			i++
		}
	}
	return identity.UserCodeFrom(letters), nil
}

// BeginDevice begins the sign-in for a device that waits under a user code, in
// one browser. An unusable code is store.ErrDevice.
func (s *Service) BeginDevice(ctx context.Context, userCode, browser string) (*store.Env, *Flow, error) {
	normal := identity.NormalUserCode(userCode)
	if normal == "" {
		return nil, nil, store.ErrDevice
	}
	e, d, err := s.db.EnvByUserCode(ctx, normal)
	if err != nil {
		return nil, nil, err
	}
	return e, &Flow{EnvironmentID: e.ID, ClientID: e.ClientID, Browser: browserHash(browser), Begun: s.db.Now(),
		Purpose: &Purpose{DeviceID: d.ID, UserCode: d.UserCode, ApplicationID: d.ApplicationID, Scopes: d.Scopes, Resource: d.Resource}}, nil
}

// DenyDevice refuses the device of a flow.
func (s *Service) DenyDevice(ctx context.Context, e *store.Env, f *Flow) error {
	return e.DenyDevice(ctx, f.Purpose.DeviceID)
}

// pollError is the answer to a device that gets no tokens (RFC 8628 section 3.5).
func pollError(p store.Poll) error {
	refuse := func(code, text string) error { return fault.New(fault.Invalid, "%s", text).WithCode(code) }
	switch p {
	case store.PollApproved:
		return nil
	case store.PollPending:
		return refuse("authorization_pending", "The authorization request is still pending.")
	case store.PollTooSoon:
		return refuse("slow_down", "The device asks too often. Wait 5 seconds longer between requests.")
	case store.PollDenied:
		return refuse("access_denied", "The authorization request was denied.")
	case store.PollExpired:
		return refuse("expired_token", "The device code has expired.")
	}
	return refuse("invalid_grant", "The device code is invalid or was used before.")
}

// DeviceGrant asks whether somebody has signed in for a device of the
// environment, and opens its session then. The codes of its errors are those of
// RFC 8628 section 3.5, and invalid_grant.
func (s *Service) DeviceGrant(ctx context.Context, e *store.Env, deviceCode string, from Client) (*Tokens, error) {
	session, u, poll, err := e.RedeemDevice(ctx, codeHash(deviceCode), s.newSession(e, "", "", from))
	if err != nil {
		return nil, membershipRefusal(err)
	}
	if err := pollError(poll); err != nil {
		return nil, err
	}
	return s.tokens(ctx, e, u, session)
}

// NewExternalPending is a sign-in that the environment's own application did,
// all factors of it.
func (s *Service) NewExternalPending(e *store.Env, u identity.User) *Pending {
	p := s.NewPending(e, u, "external_auth")
	p.SecondFactor = true
	return p
}
