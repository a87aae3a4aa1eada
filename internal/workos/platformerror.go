package workos

import (
	"errors"
	"net/http"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/wire"
)

// teamExists explains that one e-mail address belongs to one WorkOS team, with
// the three ways out.
func teamExists(err error, email string) error {
	return fault.Wrap(err, fault.Conflict, "A WorkOS team already exists with %s: one e-mail address belongs to one WorkOS team", email).
		WithCode(CodeUserAlreadyExists).
		WithFix(`three ways on:
  1. use the environment that exists: berth link --client-id client_… (it asks for the API key)
  2. use a plus-address of the same mailbox: berth team create --email %s
  3. use another verified address: berth team create --email OTHER@ADDRESS`, plusAddress(email))
}

func plusAddress(email string) string {
	for i := len(email) - 1; i > 0; i-- {
		if email[i] == '@' {
			return email[:i] + "+berth" + email[i:]
		}
	}
	return "you+berth@example.com"
}

// explainPlatform recognises the errors of the Platform API and says what to
// do. The words are the API's codes; older answers carry them only in the text.
func explainPlatform(err error, team string) error {
	if err == nil {
		return nil
	}
	is := func(status int, code string) bool {
		return wire.Status(err) == status && (fault.Code(err) == code || mentions(err, code))
	}
	switch {
	case fault.Code(err) == CodeUserAlreadyExists || fault.Code(err) == CodeCreateUnknown:
		return err
	case is(http.StatusForbidden, CodePlatformUnauthorized):
		return fault.Wrap(err, fault.Denied, "the platform is no longer authorized on the WorkOS team %s", team).WithCode(CodePlatformUnauthorized).
			WithFix(`two ways on:
  1. restore it: an administrator of the WorkOS team allows the platform again; environments, users and keys stay as they are
  2. disconnect and provision anew: berth team disconnect, then berth team create; the environments stay with WorkOS but Berth no longer manages them, and new ones start without users`)
	case is(http.StatusNotFound, CodeTeamNotFound):
		return fault.Wrap(err, fault.NotFound, "the WorkOS team %s does not exist, or the platform's access to it was revoked", team).WithCode(CodeTeamNotFound).
			WithFix("check the team ID with `berth team`; when the team is gone, disconnect it and create or link another")
	case wire.Status(err) >= 400 && wire.Status(err) < 500 && (fault.Code(err) == CodeBillingRequired || mentions(err, CodeBillingRequired)):
		return fault.Wrap(err, fault.NeedsPerson, "WorkOS makes a production environment only for a team with billing details").WithCode(CodeBillingRequired).
			WithFix("add a payment method to the WorkOS team at https://dashboard.workos.com/settings/billing, or set authKit.prod.environmentType to \"development\" or \"staging\" in convex.json")
	case wire.Status(err) == http.StatusUnauthorized:
		if f, ok := errors.AsType[*fault.Error](err); ok && f.Fix == "" {
			f.WithFix("the token was refused: check that the credentials are those of a platform (scope \"platform\") or a valid team token")
		}
	}
	return err
}
