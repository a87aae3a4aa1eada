package workos

// Connection is a way to an identity provider. Its id begins with "conn_".
type Connection struct {
	Object         string             `json:"object"` // "connection"
	ID             string             `json:"id"`
	OrganizationID string             `json:"organization_id,omitempty"`
	ConnectionType string             `json:"connection_type"` // GoogleOAuth, OktaSAML, TestIdp, …
	Name           string             `json:"name"`
	State          string             `json:"state"`   // active, inactive, …
	Status         string             `json:"status"`  // linked, unlinked; deprecated
	Domains        []ConnectionDomain `json:"domains"` // never null on the wire
	CreatedAt      Time               `json:"created_at"`
	UpdatedAt      Time               `json:"updated_at"`
}

// ConnectionDomain is a domain of a connection's organization.
type ConnectionDomain struct {
	Object string `json:"object"` // "connection_domain"
	ID     string `json:"id"`
	Domain string `json:"domain"`
}

// ConnectionEvent is the data of events named connection.*.
type ConnectionEvent struct {
	Connection
	ExternalKey string `json:"external_key"`
}

// Identity is an account of a user at a social provider.
type Identity struct {
	IDPID    string `json:"idp_id"`
	Type     string `json:"type"`     // "OAuth"
	Provider string `json:"provider"` // as a connection type, but GithubOAuth
}

// Profile is what an identity provider said of a person. Its id begins with
// "prof_".
type Profile struct {
	Object           string         `json:"object"` // "profile"
	ID               string         `json:"id"`
	OrganizationID   *string        `json:"organization_id"`
	ConnectionID     string         `json:"connection_id"`
	ConnectionType   string         `json:"connection_type"`
	IDPID            string         `json:"idp_id"`
	Email            string         `json:"email"`
	FirstName        *string        `json:"first_name"`
	LastName         *string        `json:"last_name"`
	Name             *string        `json:"name"`
	Role             *RoleSlug      `json:"role"`
	Roles            []RoleSlug     `json:"roles"`
	Groups           []string       `json:"groups"`            // never null on the wire
	CustomAttributes map[string]any `json:"custom_attributes"` // never null on the wire
	RawAttributes    map[string]any `json:"raw_attributes"`    // never null on the wire
}

// ProviderTokens are the tokens that a social provider gave (oauth_tokens).
type ProviderTokens struct {
	Provider     string     `json:"provider"`
	AccessToken  Credential `json:"access_token"`
	RefreshToken Credential `json:"refresh_token"` // empty when it gave none
	ExpiresAt    int64      `json:"expires_at"`    // seconds since 1970
	Scopes       []string   `json:"scopes"`
}

// SSOTokenRequest is the body of POST /sso/token.
type SSOTokenRequest struct {
	ClientID     string     `json:"client_id"`
	ClientSecret Credential `json:"client_secret"` // the API key
	GrantType    string     `json:"grant_type"`    // GrantCode
	Code         Credential `json:"code"`
}

// SSOTokenResponse is the 200 answer of POST /sso/token.
type SSOTokenResponse struct {
	TokenType   string          `json:"token_type"` // "Bearer"
	AccessToken Credential      `json:"access_token"`
	ExpiresIn   int             `json:"expires_in"` // seconds
	Profile     Profile         `json:"profile"`
	OAuthTokens *ProviderTokens `json:"oauth_tokens,omitempty"`
}

// SSOLogoutResponse is the answer of POST /sso/logout/authorize.
type SSOLogoutResponse struct {
	LogoutURL   string     `json:"logout_url"`
	LogoutToken Credential `json:"logout_token"`
}

// SSOEvent says in an AuthenticationEvent by which connection somebody signed in.
type SSOEvent struct {
	OrganizationID *string `json:"organization_id"`
	ConnectionID   *string `json:"connection_id"`
	SessionID      *string `json:"session_id"`
}
