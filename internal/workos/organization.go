package workos

import "net/http"

// Organization is an organization of one environment. Its id begins with "org_".
type Organization struct {
	Object           string               `json:"object"` // "organization"
	ID               string               `json:"id"`
	Name             string               `json:"name"`
	Domains          []OrganizationDomain `json:"domains"`  // never null on the wire
	Metadata         map[string]string    `json:"metadata"` // never null on the wire
	ExternalID       *string              `json:"external_id"`
	StripeCustomerID string               `json:"stripe_customer_id,omitempty"`
	OutsideProfiles  bool                 `json:"allow_profiles_outside_organization"`
	CreatedAt        Time                 `json:"created_at"`
	UpdatedAt        Time                 `json:"updated_at"`
}

// OrganizationDomain is a domain of an organization. Its id begins with "org_domain_".
type OrganizationDomain struct {
	Object         string     `json:"object"` // "organization_domain"
	ID             string     `json:"id"`
	OrganizationID string     `json:"organization_id"`
	Domain         string     `json:"domain"`
	State          string     `json:"state"`                         // pending, verified, failed
	Prefix         string     `json:"verification_prefix,omitempty"` // name of the TXT record below the domain
	Token          Credential `json:"verification_token,omitempty"`  // its text
	Strategy       string     `json:"verification_strategy"`         // dns, manual
	CreatedAt      Time       `json:"created_at"`
	UpdatedAt      Time       `json:"updated_at"`
}

// RoleSlug names a role.
type RoleSlug struct {
	Slug string `json:"slug"`
}

// OrganizationMembership is a user's place in an organization. Its id begins
// with "om_".
type OrganizationMembership struct {
	Object           string         `json:"object"` // "organization_membership"
	ID               string         `json:"id"`
	UserID           string         `json:"user_id"`
	OrganizationID   string         `json:"organization_id"`
	OrganizationName string         `json:"organization_name"`
	Status           string         `json:"status"` // active, inactive, pending
	Role             RoleSlug       `json:"role"`
	Roles            []RoleSlug     `json:"roles"`
	User             User           `json:"user"`
	DirectoryManaged bool           `json:"directory_managed"`
	CustomAttributes map[string]any `json:"custom_attributes"` // never null on the wire
	CreatedAt        Time           `json:"created_at"`
	UpdatedAt        Time           `json:"updated_at"`
}

// UserInvitation asks an address into the application or an organization. Its id
// begins with "invitation_".
type UserInvitation struct {
	Object         string     `json:"object"` // "invitation"
	ID             string     `json:"id"`
	Email          string     `json:"email"`
	State          string     `json:"state"` // pending, accepted, expired, revoked
	AcceptedAt     *Time      `json:"accepted_at"`
	RevokedAt      *Time      `json:"revoked_at"`
	ExpiresAt      Time       `json:"expires_at"`
	OrganizationID *string    `json:"organization_id"`
	InviterUserID  *string    `json:"inviter_user_id"`
	AcceptedUserID *string    `json:"accepted_user_id"`
	RoleSlug       *string    `json:"role_slug"`
	Token          Credential `json:"token"`
	AcceptURL      Credential `json:"accept_invitation_url"`
	CreatedAt      Time       `json:"created_at"`
	UpdatedAt      Time       `json:"updated_at"`
}

// Role is a named set of permissions. Its id begins with "role_".
type Role struct {
	Object       string   `json:"object"` // "role"
	ID           string   `json:"id"`
	Slug         string   `json:"slug"`
	Name         string   `json:"name"`
	Description  *string  `json:"description"`
	Type         string   `json:"type"` // EnvironmentRole, OrganizationRole
	ResourceType string   `json:"resource_type_slug"`
	Permissions  []string `json:"permissions"` // slugs; never null on the wire
	CreatedAt    Time     `json:"created_at"`
	UpdatedAt    Time     `json:"updated_at"`
}

// RoleList is the answer of listing roles, which are never paged.
type RoleList struct {
	Object string `json:"object"` // "list"
	Data   []Role `json:"data"`
}

// Permission is something that a role allows. Its id begins with "perm_".
type Permission struct {
	Object       string  `json:"object"` // "permission"
	ID           string  `json:"id"`
	Slug         string  `json:"slug"`
	Name         string  `json:"name"`
	Description  *string `json:"description"`
	System       bool    `json:"system"`
	ResourceType string  `json:"resource_type_slug"`
	CreatedAt    Time    `json:"created_at"`
	UpdatedAt    Time    `json:"updated_at"`
}

// OrganizationSelectionRequired asks a member of several organizations for one.
func OrganizationSelectionRequired(pending Credential, u User, organizations []NamedEntry) Answer {
	return Answer{Status: http.StatusForbidden, Body: CodeError{
		Code: "organization_selection_required", Message: "The user must choose an organization to finish their authentication.",
		PendingAuthenticationToken: pending, User: &u, Organizations: organizations,
	}}
}
