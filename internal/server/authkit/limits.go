package authkit

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// limited holds the calls of an environment's own servers to its rates.
func (a *API) limited(e *store.Env, r *http.Request) error {
	if r.Pattern == "DELETE /organizations/{id}" {
		return a.Limits.DeleteOrganization.Take(e.ID)
	}
	switch {
	case !strings.HasPrefix(r.URL.Path, "/user_management/"):
		return nil
	case r.Method == http.MethodGet:
		return a.Limits.Reads.Take(e.ID)
	}
	return a.Limits.Writes.Take(e.ID)
}

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

// tooMany is shape C for the token endpoint and shape A elsewhere.
func tooMany(r *http.Request, f *fault.Error) workos.Answer {
	if r.URL.Path == "/user_management/authenticate" {
		return workos.TooManyRequests(route.RetryAfter(f))
	}
	out := workos.MessageAnswer(http.StatusTooManyRequests, f.Message)
	out.RetryAfter = route.RetryAfter(f)
	return out
}

// TooMany answers a request that is over a limit before it reaches a route.
func TooMany(w http.ResponseWriter, r *http.Request, err error) error {
	return tooMany(r, fault.From(err)).Write(w)
}
