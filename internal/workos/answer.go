package workos

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Error codes of the protocol that callers branch on.
const (
	CodeDuplicateCORSOrigin  = "duplicate_cors_origin"
	CodeUserAlreadyExists    = "user_already_exists"
	CodePlatformUnauthorized = "platform_not_authorized"
	CodeTeamNotFound         = "team_not_found"
	CodeEnvironmentNotFound  = "environment_not_found"
	CodeBillingRequired      = "production_environment_requires_billing"
	CodeInvalidGrant         = "invalid_grant"
	CodeInvalidRequest       = "invalid_request"
	CodeInvalidCredentials   = "invalid_credentials"
	CodeNotSupported         = "not_supported_by_berth"
)

// MessageError is error shape A: a message and nothing else.
type MessageError struct {
	Message string `json:"message"`
}

// CodeError is error shape B. The members after Errors belong to the step-up
// codes and are left out elsewhere.
type CodeError struct {
	Code    string        `json:"code,omitempty"`
	Message string        `json:"message"`
	Errors  []ErrorDetail `json:"errors,omitempty"`

	PendingAuthenticationToken Credential   `json:"pending_authentication_token,omitempty"`
	Email                      string       `json:"email,omitempty"`
	EmailVerificationID        string       `json:"email_verification_id,omitempty"`
	AuthenticationFactors      []NamedEntry `json:"authentication_factors,omitempty"`
	User                       *User        `json:"user,omitempty"`
	Organizations              []NamedEntry `json:"organizations,omitempty"`
}

// NamedEntry is a factor ({id, type}) or an organization ({id, name}) of a step-up.
type NamedEntry struct {
	ID   string `json:"id"`
	Type string `json:"type,omitempty"`
	Name string `json:"name,omitempty"`
}

// ErrorDetail is one entry of a shape B error list: {code, message} of
// business rules, or {property, constraints} of body validation.
type ErrorDetail struct {
	Code        string             `json:"code,omitempty"`
	Message     string             `json:"message,omitempty"`
	Field       string             `json:"field,omitempty"`
	Property    string             `json:"property,omitempty"`
	Constraints *map[string]string `json:"constraints,omitempty"`
}

// OAuthError is error shape C (RFC 6749 section 5.2).
type OAuthError struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
}

// SSORequiredError is the shape C answer of the code sso_required.
type SSORequiredError struct {
	OAuthError
	Email                      string      `json:"email"`
	ConnectionIDs              []string    `json:"connection_ids"`
	PendingAuthenticationToken *Credential `json:"pending_authentication_token"`
}

// OrganizationMethodsError is the shape C answer of the code
// organization_authentication_methods_required.
type OrganizationMethodsError struct {
	OAuthError
	Email            string          `json:"email"`
	SSOConnectionIDs []string        `json:"sso_connection_ids"`
	AuthMethods      map[string]bool `json:"auth_methods"`
}

// Answer is an answer outside 2xx: what a server of the protocol sends.
type Answer struct {
	Status     int
	Body       any           // one of the error shapes
	RetryAfter time.Duration // rounded up to whole seconds; zero sends no header
}

// Write sends the answer. The official SDKs want JSON in every error.
func (a Answer) Write(w http.ResponseWriter) error {
	data, err := json.Marshal(a.Body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if a.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((a.RetryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(a.Status)
	_, err = w.Write(data)
	return err
}

// MessageAnswer is an answer of shape A.
func MessageAnswer(status int, message string) Answer {
	return Answer{Status: status, Body: MessageError{Message: message}}
}

// CodeAnswer is an answer of shape B.
func CodeAnswer(status int, code, message string, details ...ErrorDetail) Answer {
	return Answer{Status: status, Body: CodeError{Code: code, Message: message, Errors: details}}
}

// OAuthAnswer is an answer of shape C with status 400.
func OAuthAnswer(code, description string) Answer {
	return Answer{Status: http.StatusBadRequest, Body: OAuthError{Error: code, ErrorDescription: description}}
}

// UnauthorizedAnswer is the answer to an unusable API key.
func UnauthorizedAnswer() Answer { return MessageAnswer(http.StatusUnauthorized, "Unauthorized") }

// RedirectURIExists is the answer to a repeated registration. It carries no
// errors list: workos-node would show that instead of the message.
func RedirectURIExists(uri string) Answer {
	return MessageAnswer(http.StatusUnprocessableEntity, "Redirect URI '"+uri+"' already exists.")
}

// DefaultRedirectURI is the answer to deleting the default redirect URI.
func DefaultRedirectURI() Answer {
	return MessageAnswer(http.StatusConflict, "The default redirect URI cannot be deleted.")
}

// CORSOriginExists is the answer to a repeated registration.
func CORSOriginExists() Answer {
	return CodeAnswer(http.StatusConflict, CodeDuplicateCORSOrigin, "CORS origin already exists.")
}

// CORSOriginInvalid is the answer to a value that is not an origin.
func CORSOriginInvalid(constraints map[string]string) Answer {
	if constraints == nil {
		constraints = map[string]string{}
	}
	return Answer{Status: http.StatusUnprocessableEntity, Body: CodeError{
		Message: "Validation failed.", Errors: []ErrorDetail{{Property: "origin", Constraints: &constraints}},
	}}
}

// NotSupportedError is error shape B with the next step.
type NotSupportedError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// NotSupported is the answer to a call of WorkOS that Berth does not have. The
// official SDKs show its message and do not repeat the call.
func NotSupported(method, path string) Answer {
	return Answer{Status: http.StatusNotImplemented, Body: NotSupportedError{Code: CodeNotSupported,
		Message: method + " " + path + " is not supported by Berth.", Fix: "docs/compatibility.md of Berth lists the calls that are"}}
}

// TooManyRequests is the answer of a rate limit.
func TooManyRequests(after time.Duration) Answer {
	return Answer{Status: http.StatusTooManyRequests, RetryAfter: after, Body: OAuthError{
		Error: "too_many_requests", ErrorDescription: "Too many requests. Try again later.",
	}}
}

// InvalidCredentials is the answer to a wrong password or an unknown user.
func InvalidCredentials(email string) Answer {
	return CodeAnswer(http.StatusBadRequest, CodeInvalidCredentials, "Invalid credentials for '"+email+"'.")
}

// EmailVerificationRequired asks for the code sent to the e-mail address.
func EmailVerificationRequired(pending Credential, email, verificationID string) Answer {
	return Answer{Status: http.StatusForbidden, Body: CodeError{
		Code: "email_verification_required", Message: "Email ownership must be verified before authentication.",
		PendingAuthenticationToken: pending, Email: email, EmailVerificationID: verificationID,
	}}
}
