package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// ProfileTokenLifetime is how long the access token of the SSO API shows a profile.
const ProfileTokenLifetime = 10 * time.Minute

// FinishProfile makes a code of the SSO API for what an identity provider said,
// and returns the address that the browser goes to.
func (s *Service) FinishProfile(ctx context.Context, e *store.Env, f *Flow, c identity.Connection, said identity.Profile, tokens *identity.ProviderTokens) (string, error) {
	kept, err := s.keepProfile(ctx, e, c, said)
	if err != nil {
		return "", err
	}
	if err := s.returnable(ctx, e, f); err != nil {
		return "", err
	}
	var sealed []byte
	if tokens != nil && c.ReturnTokens {
		plain, err := json.Marshal(tokens)
		if err != nil {
			return "", err
		}
		sealed = s.db.Box().Seal("provider tokens", e.ID, plain)
	}
	code := identity.NewULID() + rand.Text()[:16]
	if err := e.AddProfileCode(ctx, codeHash(code), kept.ID, sealed, s.db.Now().Add(CodeLifetime)); err != nil {
		return "", err
	}
	return ReturnURL(f, url.Values{"code": {code}}), nil
}

// RedeemProfile spends a code of the SSO API.
func (s *Service) RedeemProfile(ctx context.Context, e *store.Env, code string) (identity.Profile, identity.Connection, *identity.ProviderTokens, error) {
	id, sealed, err := e.RedeemProfileCode(ctx, codeHash(code))
	if err != nil {
		return identity.Profile{}, identity.Connection{}, nil, err
	}
	p, c, err := s.profile(ctx, e, id)
	if err != nil {
		return p, c, nil, err
	}
	tokens, err := s.openTokens(e, sealed)
	return p, c, tokens, err
}

func (s *Service) profile(ctx context.Context, e *store.Env, id string) (identity.Profile, identity.Connection, error) {
	p, err := e.Profile(ctx, id)
	if err != nil {
		return p, identity.Connection{}, err
	}
	c, err := e.Connection(ctx, p.ConnectionID)
	return p, c, err
}

// profileToken is what the access token of the SSO API holds, sealed.
type profileToken struct {
	ClientID string    `json:"c"`
	Profile  string    `json:"p"`
	Until    time.Time `json:"t"`
}

// SealProfile returns a token that stands for a profile: for reading it
// ("profile") or for signing out ("logout").
func (s *Service) SealProfile(e *store.Env, purpose, profileID string) (string, error) {
	plain, err := json.Marshal(profileToken{ClientID: e.ClientID, Profile: profileID, Until: s.db.Now().Add(ProfileTokenLifetime)})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.db.Box().Seal("sso "+purpose+" token", "", plain)), nil
}

// OpenProfile reads what SealProfile returned. A token that is damaged, too old
// or for another purpose is Unauthenticated.
func (s *Service) OpenProfile(ctx context.Context, purpose, token string) (*store.Env, identity.Profile, identity.Connection, error) {
	bad := fault.New(fault.Unauthenticated, "Unauthorized")
	var t profileToken
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		data, err = s.db.Box().Open("sso "+purpose+" token", "", data)
	}
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil || !s.db.Now().Before(t.Until) {
		return nil, identity.Profile{}, identity.Connection{}, bad
	}
	e, err := s.db.EnvByClientID(ctx, t.ClientID)
	if fault.Is(err, fault.NotFound) {
		err = bad
	}
	if err != nil {
		return nil, identity.Profile{}, identity.Connection{}, err
	}
	p, c, err := s.profile(ctx, e, t.Profile)
	return e, p, c, err
}
