// Package token makes the keys and access tokens of environments: RSA and EC
// key pairs and their public JWKs (RFC 7517, 7518), RS256 and ES256 signed JWTs
// (RFC 7515, 7519) and the claims that a JWT template adds. It does no I/O.
package token

import (
	"time"

	"github.com/berthdev/berth/internal/identity"
)

// Access is what an access token says.
type Access struct {
	Issuer   string
	ClientID string
	UserID   string
	Session  string
	AuthTime time.Time
	IssuedAt time.Time
	Lifetime time.Duration
	// Audience is aud; "" leaves it out. An aud of the template wins, because
	// it can say more: a list, or a value per user.
	Audience string
	// OrganizationID is the organization of the session; the next two hold
	// there and are left out without one.
	OrganizationID string
	Roles          []string       // slugs, highest priority first
	Permissions    []string       // slugs
	FeatureFlags   []string       // slugs of the flags that the session has; the claim is left out without any
	Extra          map[string]any // claims of the JWT template; reserved names are ignored
}

// Claims returns the claims of an access token. jti is fresh on every call, so
// two tokens of one session always differ.
func (a Access) Claims() map[string]any {
	claims := map[string]any{}
	if a.Audience != "" {
		claims["aud"] = a.Audience
	}
	for k, v := range a.Extra {
		if !Reserved(k) {
			claims[k] = v
		}
	}
	claims["iss"] = a.Issuer
	claims["sub"] = a.UserID
	claims["sid"] = a.Session
	claims["jti"] = identity.NewULID()
	claims["client_id"] = a.ClientID
	claims["iat"] = a.IssuedAt.Unix()
	claims["exp"] = a.IssuedAt.Add(a.Lifetime).Unix()
	if !a.AuthTime.IsZero() {
		claims["auth_time"] = a.AuthTime.Unix()
	}
	if len(a.FeatureFlags) > 0 {
		claims["feature_flags"] = a.FeatureFlags
	}
	if a.OrganizationID != "" {
		claims["org_id"] = a.OrganizationID
		claims["roles"] = a.Roles
		claims["permissions"] = a.Permissions
		if len(a.Roles) > 0 {
			claims["role"] = a.Roles[0]
		}
	}
	return claims
}
