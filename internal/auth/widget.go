package auth

import (
	"context"
	"slices"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/store"
)

// Lifetimes of the tokens of widgets, as WorkOS documents it, and of its Client
// API, which it calls short.
const (
	WidgetTokenLifetime = time.Hour
	ClientTokenLifetime = 5 * time.Minute
)

// WidgetClaims is what a token of a widget, or with Client of the Client API,
// is to say.
type WidgetClaims struct {
	UserID         string
	OrganizationID string   // "" only without scopes
	Scopes         []string // each a permission that the user has in the organization
	Client         bool
}

// WidgetToken signs a short-lived token with the environment's key. Its issuer
// and audience are its own and it has no sid, so that nothing that takes access
// tokens takes it for one. Errors are NotFound for a user or organization that
// is not there, organization_membership_not_found, and scope_not_permitted.
func (s *Service) WidgetToken(ctx context.Context, e *store.Env, c WidgetClaims) (secret.String, error) {
	u, err := e.User(ctx, c.UserID)
	if err != nil {
		return "", err
	}
	kind, lifetime := "widgets", WidgetTokenLifetime
	if c.Client {
		kind, lifetime = "client", ClientTokenLifetime
	}
	now := s.db.Now()
	claims := map[string]any{"iss": s.baseURL() + "/" + kind + "/" + e.ClientID, "aud": kind, "sub": u.ID, "client_id": e.ClientID, "jti": identity.NewULID(),
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix()}
	if c.OrganizationID != "" {
		in, err := e.MemberAccess(ctx, c.OrganizationID, u.ID)
		if err != nil {
			return "", err
		}
		for _, scope := range c.Scopes {
			if !slices.Contains(in.Permissions, scope) {
				return "", fault.New(fault.Denied, "The user does not have the permission '%s' in the organization '%s'.", scope, c.OrganizationID).WithCode("scope_not_permitted")
			}
		}
		claims["org_id"] = in.Organization.ID
	}
	if len(c.Scopes) > 0 {
		claims["scopes"] = slices.Compact(slices.Sorted(slices.Values(c.Scopes)))
	}
	signer, err := s.keys.Signer(ctx, e)
	if err != nil {
		return "", err
	}
	jwt, err := signer.Sign(claims)
	return secret.String(jwt), err
}
