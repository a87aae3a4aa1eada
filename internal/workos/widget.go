package workos

// WidgetScopes are the scopes that a widget token can have
// (https://workos.com/docs/widgets/tokens).
var WidgetScopes = []string{"widgets:users-table:manage", "widgets:domain-verification:manage", "widgets:sso:manage", "widgets:api-keys:manage",
	"widgets:dsync:manage", "widgets:audit-log-streaming:manage", "widgets:pipes:manage"}

// WidgetTokenRequest is the body of POST /widgets/token. Scopes need an
// organization.
type WidgetTokenRequest struct {
	OrganizationID string   `json:"organization_id"`
	UserID         string   `json:"user_id"`
	Scopes         []string `json:"scopes"`
}

// ClientTokenRequest is the body of POST /client/token.
type ClientTokenRequest struct {
	OrganizationID string `json:"organization_id"`
	UserID         string `json:"user_id"`
}

// SignedToken is the answer of both.
type SignedToken struct {
	Token Credential `json:"token"`
}
