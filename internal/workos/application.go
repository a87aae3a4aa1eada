package workos

import "encoding/json"

// ConnectApplication is an OAuth client of one environment. Its id begins with
// "conn_app_". Which members it has depends on its kind, as MarshalJSON writes.
type ConnectApplication struct {
	ID              string
	ClientID        string
	Name            string
	Description     *string
	Scopes          []string
	ApplicationType string // oauth, m2m
	OrganizationID  string // of m2m and third-party applications
	RedirectURIs    []ConnectRedirectURI
	UsesPKCE        bool
	IsFirstParty    bool
	CreatedAt       Time
	UpdatedAt       Time
}

// ConnectRedirectURI is a redirect URI of an application.
type ConnectRedirectURI struct {
	URI     string `json:"uri"`
	Default bool   `json:"default"`
}

// MarshalJSON writes the members of the application's kind.
func (a ConnectApplication) MarshalJSON() ([]byte, error) {
	type all struct {
		Object          string                `json:"object"` // "connect_application"
		ID              string                `json:"id"`
		ClientID        string                `json:"client_id"`
		Description     *string               `json:"description"`
		Name            string                `json:"name"`
		Scopes          []string              `json:"scopes"`
		ApplicationType string                `json:"application_type"`
		RedirectURIs    *[]ConnectRedirectURI `json:"redirect_uris,omitempty"`
		UsesPKCE        *bool                 `json:"uses_pkce,omitempty"`
		IsFirstParty    *bool                 `json:"is_first_party,omitempty"`
		Dynamic         *bool                 `json:"was_dynamically_registered,omitempty"`
		OrganizationID  string                `json:"organization_id,omitempty"`
		CreatedAt       Time                  `json:"created_at"`
		UpdatedAt       Time                  `json:"updated_at"`
	}
	out := all{Object: "connect_application", ID: a.ID, ClientID: a.ClientID, Description: a.Description, Name: a.Name, Scopes: a.Scopes,
		ApplicationType: a.ApplicationType, OrganizationID: a.OrganizationID, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	if a.ApplicationType == "oauth" {
		uris := a.RedirectURIs
		if uris == nil {
			uris = []ConnectRedirectURI{}
		}
		out.RedirectURIs, out.UsesPKCE, out.IsFirstParty = &uris, &a.UsesPKCE, &a.IsFirstParty
		if !a.IsFirstParty {
			out.Dynamic = new(bool)
		}
	}
	return json.Marshal(out)
}

// RedirectURIInput is a redirect URI of a request about an application.
type RedirectURIInput struct {
	URI     string `json:"uri"`
	Default *bool  `json:"default"`
}

// ConnectApplicationSecret is a client secret. Secret is in the answer that made
// it and in no other.
type ConnectApplicationSecret struct {
	Object     string     `json:"object"` // "connect_application_secret"
	ID         string     `json:"id"`
	SecretHint string     `json:"secret_hint"`
	Secret     Credential `json:"secret,omitempty"`
	LastUsedAt *Time      `json:"last_used_at"`
	CreatedAt  Time       `json:"created_at"`
	UpdatedAt  Time       `json:"updated_at"`
}

// AuthorizedConnectApplication is what a user allowed an application. UserID is
// in lists of an organization only.
type AuthorizedConnectApplication struct {
	Object        string             `json:"object"` // "authorized_connect_application"
	ID            string             `json:"id"`
	GrantedScopes []string           `json:"granted_scopes"`
	OAuthResource string             `json:"oauth_resource,omitempty"`
	Application   ConnectApplication `json:"application"`
	UserID        string             `json:"user_id,omitempty"`
}

// DeviceAuthorizationRequest is the body of POST /user_management/authorize/device.
type DeviceAuthorizationRequest struct {
	ClientID string `json:"client_id"`
}

// DeviceAuthorization is what a device is told (RFC 8628 section 3.2).
type DeviceAuthorization struct {
	DeviceCode              Credential `json:"device_code"`
	UserCode                string     `json:"user_code"`
	VerificationURI         string     `json:"verification_uri"`
	VerificationURIComplete string     `json:"verification_uri_complete"`
	ExpiresIn               int        `json:"expires_in"` // seconds
	Interval                int        `json:"interval"`   // seconds
}

// ExternalAuthRequest is the body of POST /authkit/oauth2/complete.
type ExternalAuthRequest struct {
	ExternalAuthID     string            `json:"external_auth_id"`
	User               ExternalUser      `json:"user"`
	UserConsentOptions []json.RawMessage `json:"user_consent_options"`
}

// ExternalUser is a user as the environment's own application knows it.
type ExternalUser struct {
	ID        string             `json:"id"`
	Email     string             `json:"email"`
	FirstName *string            `json:"first_name"`
	LastName  *string            `json:"last_name"`
	Name      *string            `json:"name"`
	Metadata  map[string]*string `json:"metadata"`
}

// ExternalAuthResponse tells where the browser goes next.
type ExternalAuthResponse struct {
	RedirectURI string `json:"redirect_uri"`
}

// ConnectToken is the answer of an application's token endpoint (RFC 6749
// section 5.1, OpenID Connect Core 1.0 section 3.1.3.3).
type ConnectToken struct {
	AccessToken  Credential `json:"access_token"`
	TokenType    string     `json:"token_type"` // "bearer"
	ExpiresIn    int        `json:"expires_in"` // seconds
	RefreshToken Credential `json:"refresh_token,omitempty"`
	IDToken      Credential `json:"id_token,omitempty"`
	Scope        string     `json:"scope"`
}
