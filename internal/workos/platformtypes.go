package workos

// Team is a WorkOS team as the Platform API shows it. Its id begins with "team_".
type Team struct {
	Object              string `json:"object"` // "team"
	ID                  string `json:"id"`
	Name                string `json:"name"`
	ProductionState     string `json:"production_state,omitempty"` // Active, Inactive, Suspended, Deleting
	ProductionEnabledAt *Time  `json:"production_enabled_at"`
	CreatedAt           Time   `json:"created_at"`
	UpdatedAt           Time   `json:"updated_at"`
}

// NewTeam is the body of POST /platform/teams.
type NewTeam struct {
	AdminEmail string `json:"admin_email"`
	Name       string `json:"name"`
}

// PlatformEnvironment is an AuthKit environment of a team. Its id begins with
// "environment_", its client ID with "client_".
type PlatformEnvironment struct {
	Object   string `json:"object"` // "environment"
	ID       string `json:"id"`
	Name     string `json:"name"`
	ClientID string `json:"client_id"`
}

// NewEnvironmentRequest is the body of POST /platform/teams/{team}/environments.
type NewEnvironmentRequest struct {
	Name       string `json:"name"`
	Production bool   `json:"production,omitempty"`
}

// APIKey is an API key of an environment. Value is only in the answer that
// created it. Its id begins with "api_key_" ("key_" in older documents).
type APIKey struct {
	Object    string     `json:"object"` // "key"
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	ExpiresAt *Time      `json:"expires_at"`
	Value     Credential `json:"value,omitempty"`
	CreatedAt Time       `json:"created_at"`
	UpdatedAt Time       `json:"updated_at"`
}

// NewAPIKey is the body of POST …/api_keys. Null ExpiresAt means never.
type NewAPIKey struct {
	Name      string `json:"name"`
	ExpiresAt *Time  `json:"expires_at"`
}

// ExpireAPIKeyRequest is the body of POST …/api_keys/{id}/expire. No time
// means at once; a future time is a rotation.
type ExpireAPIKeyRequest struct {
	ExpiresAt *Time `json:"expires_at,omitempty"`
}

// Invitation asks a person into a team of the Platform API.
type Invitation struct {
	Object   string `json:"object,omitempty"` // "workos_team_invitation" in answers
	Email    string `json:"email"`
	RoleSlug string `json:"role_slug"` // admin, member, member-sandbox, support, support-viewer
}

// TokenRequest is the client-credentials request of the Platform API
// (RFC 6749 section 4.4), as a form or as JSON.
type TokenRequest struct {
	ClientID     string     `json:"client_id"`
	ClientSecret Credential `json:"client_secret"`
	GrantType    string     `json:"grant_type"` // "client_credentials"
}

// Token is the answer to a TokenRequest.
type Token struct {
	AccessToken Credential `json:"access_token"`
	ExpiresIn   int        `json:"expires_in"` // seconds
	TokenType   string     `json:"token_type"` // "bearer"
}
