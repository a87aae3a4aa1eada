package workos

// User is a user of one environment. Its id begins with "user_".
type User struct {
	Object            string            `json:"object"` // "user"
	ID                string            `json:"id"`
	Email             string            `json:"email"`
	FirstName         *string           `json:"first_name"`
	LastName          *string           `json:"last_name"`
	Name              *string           `json:"name"`
	EmailVerified     bool              `json:"email_verified"`
	ProfilePictureURL *string           `json:"profile_picture_url"`
	ExternalID        *string           `json:"external_id"`
	Metadata          map[string]string `json:"metadata"` // never null on the wire: encode an empty map
	Locale            *string           `json:"locale"`
	LastSignInAt      *Time             `json:"last_sign_in_at"`
	CreatedAt         Time              `json:"created_at"`
	UpdatedAt         Time              `json:"updated_at"`
}

// NewUser is the body of POST /user_management/users. Empty members are left out.
type NewUser struct {
	Email         string            `json:"email"`
	Password      Credential        `json:"password,omitempty"`
	FirstName     string            `json:"first_name,omitempty"`
	LastName      string            `json:"last_name,omitempty"`
	EmailVerified bool              `json:"email_verified,omitempty"`
	ExternalID    string            `json:"external_id,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

// UserFilter narrows a list of users; empty members do not.
type UserFilter struct {
	Email          string // compared without case by the other end
	OrganizationID string
}

// Session is one signed-in browser or device. Its id begins with "session_".
type Session struct {
	Object         string        `json:"object"` // "session"
	ID             string        `json:"id"`
	UserID         string        `json:"user_id"`
	OrganizationID *string       `json:"organization_id,omitempty"`
	AuthMethod     string        `json:"auth_method"` // password, oauth, magic_code, …
	Status         string        `json:"status"`      // active, expired, revoked
	IPAddress      *string       `json:"ip_address"`
	UserAgent      *string       `json:"user_agent"`
	Impersonator   *Impersonator `json:"impersonator,omitempty"`
	ExpiresAt      Time          `json:"expires_at"`
	EndedAt        *Time         `json:"ended_at"`
	CreatedAt      Time          `json:"created_at"`
	UpdatedAt      Time          `json:"updated_at"`
}

// RevokeSessionRequest is the body of POST /user_management/sessions/revoke.
type RevokeSessionRequest struct {
	SessionID string `json:"session_id"`
}

// Impersonator is the member of the WorkOS team behind a session.
type Impersonator struct {
	Email  string `json:"email"`
	Reason string `json:"reason"`
}

// Grant types of POST /user_management/authenticate.
const (
	GrantCode                  = "authorization_code"
	GrantRefresh               = "refresh_token"
	GrantPassword              = "password"
	GrantMagicAuth             = "urn:workos:oauth:grant-type:magic-auth:code"
	GrantEmailVerification     = "urn:workos:oauth:grant-type:email-verification:code"
	GrantTOTP                  = "urn:workos:oauth:grant-type:mfa-totp"
	GrantOrganizationSelection = "urn:workos:oauth:grant-type:organization-selection"
	GrantDeviceCode            = "urn:ietf:params:oauth:grant-type:device_code"
)

// AuthenticateRequest is the body of POST /user_management/authenticate for
// all grants, JSON or form; the form names are the JSON names.
type AuthenticateRequest struct {
	GrantType                  string     `json:"grant_type"`
	ClientID                   string     `json:"client_id"`
	ClientSecret               Credential `json:"client_secret,omitempty"` // the API key
	Code                       Credential `json:"code,omitempty"`
	CodeVerifier               Credential `json:"code_verifier,omitempty"`
	RefreshToken               Credential `json:"refresh_token,omitempty"`
	OrganizationID             string     `json:"organization_id,omitempty"`
	Email                      string     `json:"email,omitempty"`
	Password                   Credential `json:"password,omitempty"`
	InvitationToken            Credential `json:"invitation_token,omitempty"`
	PendingAuthenticationToken Credential `json:"pending_authentication_token,omitempty"`
	AuthenticationChallengeID  string     `json:"authentication_challenge_id,omitempty"`
	DeviceCode                 Credential `json:"device_code,omitempty"`
	LinkAuthorizationCode      Credential `json:"link_authorization_code,omitempty"`
	IPAddress                  string     `json:"ip_address,omitempty"`
	UserAgent                  string     `json:"user_agent,omitempty"`
	DeviceID                   string     `json:"device_id,omitempty"`
	SignalsID                  string     `json:"signals_id,omitempty"`
}

// AuthenticateResponse is the 200 answer of POST /user_management/authenticate.
type AuthenticateResponse struct {
	User                 User            `json:"user"`
	OrganizationID       string          `json:"organization_id,omitempty"` // left out when the session has none
	AccessToken          Credential      `json:"access_token"`              // a JWT
	RefreshToken         Credential      `json:"refresh_token"`             // opaque
	AuthenticationMethod string          `json:"authentication_method,omitempty"`
	OAuthTokens          *ProviderTokens `json:"oauth_tokens,omitempty"`
	Impersonator         *Impersonator   `json:"impersonator,omitempty"`
}
