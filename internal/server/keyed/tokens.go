package keyed

import (
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/workos"
)

// ProviderTokens returns the oauth_tokens of an answer, nil when there are none.
func ProviderTokens(t *identity.ProviderTokens) *workos.ProviderTokens {
	if t == nil {
		return nil
	}
	out := &workos.ProviderTokens{Provider: t.Provider, AccessToken: workos.Credential(t.AccessToken), RefreshToken: workos.Credential(t.RefreshToken), Scopes: t.Scopes}
	if t.ExpiresAt.After(time.Unix(0, 0)) {
		out.ExpiresAt = t.ExpiresAt.Unix()
	}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	return out
}
