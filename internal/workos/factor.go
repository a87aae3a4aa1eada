package workos

import "net/http"

// AuthFactor is an authentication_factor object. SMS and generic factors are
// not made by this server.
type AuthFactor struct {
	Object    string `json:"object"` // "authentication_factor"
	ID        string `json:"id"`
	Type      string `json:"type"` // "totp"
	UserID    string `json:"user_id,omitempty"`
	TOTP      TOTP   `json:"totp"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// TOTP describes a time-based factor. The members after User are in the answer
// of its creation only.
type TOTP struct {
	Issuer string     `json:"issuer"`
	User   string     `json:"user"`
	Secret Credential `json:"secret,omitempty"`  // base32
	QRCode Credential `json:"qr_code,omitempty"` // data URL of a PNG
	URI    Credential `json:"uri,omitempty"`     // otpauth://totp/…
}

// AuthChallenge is an authentication_challenge object.
type AuthChallenge struct {
	Object    string `json:"object"` // "authentication_challenge"
	ID        string `json:"id"`
	FactorID  string `json:"authentication_factor_id"`
	ExpiresAt Time   `json:"expires_at"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// FactorEnrollment is the answer of POST /user_management/users/{id}/auth_factors.
type FactorEnrollment struct {
	Factor    AuthFactor    `json:"authentication_factor"`
	Challenge AuthChallenge `json:"authentication_challenge"`
}

// EnrollFactorRequest is the body of the two calls that make a factor.
type EnrollFactorRequest struct {
	Type       string     `json:"type"` // "totp"
	TOTPIssuer string     `json:"totp_issuer,omitempty"`
	TOTPUser   string     `json:"totp_user,omitempty"`
	TOTPSecret Credential `json:"totp_secret,omitempty"` // base32
	UserID     string     `json:"user_id,omitempty"`     // POST /auth/factors/enroll only
}

// VerifyChallengeResponse is the answer of POST /auth/challenges/{id}/verify.
type VerifyChallengeResponse struct {
	Challenge AuthChallenge `json:"challenge"`
	Valid     bool          `json:"valid"`
}

// MFAEnrollmentRequired asks for the enrollment of a second factor.
func MFAEnrollmentRequired(pending Credential, u User) Answer {
	return Answer{Status: http.StatusForbidden, Body: CodeError{
		Code: "mfa_enrollment", Message: "The user must enroll in MFA to finish authenticating.", PendingAuthenticationToken: pending, User: &u,
	}}
}

// MFAChallengeRequired asks for a code of one of the factors.
func MFAChallengeRequired(pending Credential, u User, factors []NamedEntry) Answer {
	return Answer{Status: http.StatusForbidden, Body: CodeError{
		Code: "mfa_challenge", Message: "The user must complete an MFA challenge to finish authenticating.", PendingAuthenticationToken: pending,
		User: &u, AuthenticationFactors: factors,
	}}
}
