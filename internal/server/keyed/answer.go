package keyed

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/workos"
)

// oauthCodes are the failures that answer in shape C (RFC 6749 section 5.2).
var oauthCodes = map[string]bool{"invalid_grant": true, "invalid_request": true, "invalid_client": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "sign_up_not_allowed": true, "token_too_big": true,
	"authorization_pending": true, "slow_down": true, "access_denied": true, "expired_token": true}

// oneTimeCodes answer 400 in shape B.
var oneTimeCodes = map[string]bool{"invalid_one_time_code": true, "one_time_code_expired": true, "one_time_code_previously_used": true,
	"one_time_code_too_many_attempts": true, "invalid_pending_authentication_token": true, "user_mismatch": true}

// connectRules answer 400 in shape B: refusals of a sign-in that an application did.
var connectRules = map[string]bool{"external_auth_session_already_completed": true,
	"email_change_not_allowed": true, "invalid_email": true}

// Answer writes a failure in the shape that the official SDKs expect for it.
func Answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	out, known := organizationAnswer(f)
	switch {
	case f.Kind == fault.RateLimited:
		out = tooMany(r, f)
	case known:
	case f.Kind == fault.Unauthenticated && f.Code != "invalid_client":
		out = workos.UnauthorizedAnswer()
	case f.Code == "invalid_request" && !oauthCall(r):
		out = workos.CodeAnswer(http.StatusUnprocessableEntity, "invalid_request_parameters", f.Message)
	case oauthCodes[f.Code]:
		out = workos.OAuthAnswer(f.Code, f.Message)
	case f.Code == "duplicate_redirect_uri":
		out = workos.MessageAnswer(http.StatusUnprocessableEntity, f.Message)
	case f.Code == "duplicate_cors_origin":
		out = workos.CORSOriginExists()
	case f.Code == "default_redirect_uri":
		out = workos.DefaultRedirectURI()
	case f.Code == "invalid_credentials":
		out = workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message)
	case oneTimeCodes[f.Code] || connectRules[f.Code]:
		out = workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message)
	case f.Kind == fault.NotFound && f.Code == "password_reset_token_invalid":
		out = workos.CodeAnswer(http.StatusNotFound, f.Code, f.Message)
	case f.Kind == fault.NotFound:
		out = workos.MessageAnswer(http.StatusNotFound, f.Message)
	case f.Kind == fault.Invalid:
		out = workos.CodeAnswer(http.StatusUnprocessableEntity, f.Code, f.Message)
	default:
		out = workos.CodeAnswer(route.Status(f.Kind), f.Code, f.Message)
	}
	_ = out.Write(w) // the client is gone; there is nobody to tell
}

// oauthCall tells whether a request is to a call whose failures have OAuth's
// shape. Elsewhere a body that cannot be read is one more wrong parameter.
func oauthCall(r *http.Request) bool {
	switch r.URL.Path {
	case "/user_management/authenticate", "/user_management/authorize/device": // not /sso/token: the document has 422 there
		return true
	}
	return strings.HasPrefix(r.URL.Path, "/oauth2/")
}

// organizationRefusals answer 400 in shape C: refusals of a grant.
var organizationRefusals = map[string]bool{"organization_not_found": true, "organization_membership_not_found": true,
	"invitation_invalid": true, "invitation_cannot_be_used_for_email": true}

// organizationRules answer 400 in shape B.
var organizationRules = map[string]bool{"invalid_organization_id": true, "external_id_already_used": true, "stripe_customer_id_already_used": true,
	"domain_already_verified": true, "missing_user_id_or_organization_id": true, "user_already_organization_member": true,
	"cannot_reactivate_pending_organization_membership": true, "cannot_deactivate_pending_organization_membership": true,
	"email_already_invited": true, "email_already_invited_to_organization": true, "user_already_exists": true,
	"expires_in_days_too_short": true, "expires_in_days_too_long": true, "invite_not_pending": true, "invalid_invite": true,
	"invite_has_accepted_user_id": true, "invite_expired": true, "invite_revoked": true, "invite_accepted": true, "bad_request": true}

// organizationAnswer is the answer to a failure about organizations.
func organizationAnswer(f *fault.Error) (workos.Answer, bool) {
	switch {
	case f.Kind == fault.Invalid && organizationRefusals[f.Code]:
		return workos.OAuthAnswer(f.Code, f.Message), true
	case organizationRules[f.Code]:
		return workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message), true
	}
	return workos.Answer{}, false
}
