package authkit

import (
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// limitGrant bounds what somebody can guess at: passwords and codes of one
// address, codes of one challenge or pending sign-in. Codes and refresh tokens
// of sessions are too long to guess.
func (a *API) limitGrant(e *store.Env, req workos.AuthenticateRequest) error {
	switch req.GrantType {
	case workos.GrantPassword, workos.GrantMagicAuth:
		return a.Limits.Authenticate.Take(e.ID, "email", identity.EmailKey(req.Email))
	case workos.GrantTOTP:
		return a.Limits.Authenticate.Take(e.ID, "challenge", req.AuthenticationChallengeID)
	case workos.GrantEmailVerification, workos.GrantOrganizationSelection:
		return a.Limits.Authenticate.Take(e.ID, "pending", string(req.PendingAuthenticationToken))
	}
	return nil
}

// limitSend bounds the mails that one address can be made to get. The pages
// count with the same keys.
func (a *API) limitSend(e *store.Env, kind identity.MailCodeKind, to string) error {
	return a.Limits.Sends.Take(e.ID, string(kind), identity.EmailKey(to))
}
