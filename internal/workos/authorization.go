package workos

// AuthorizationResource is something that roles are given on. Its id begins with
// "authz_resource_".
type AuthorizationResource struct {
	Object           string  `json:"object"` // "authorization_resource"
	ID               string  `json:"id"`
	ExternalID       string  `json:"external_id"`
	Name             string  `json:"name"`
	Description      *string `json:"description"`
	ResourceType     string  `json:"resource_type_slug"`
	OrganizationID   string  `json:"organization_id"`
	ParentResourceID *string `json:"parent_resource_id"` // null for an organization
	CreatedAt        Time    `json:"created_at"`
	UpdatedAt        Time    `json:"updated_at"`
}

// AssignedResource names the resource of an assignment.
type AssignedResource struct {
	ID           string `json:"id"`
	ExternalID   string `json:"external_id"`
	ResourceType string `json:"resource_type_slug"`
}

// AssignmentSource says where a member has a role from.
type AssignmentSource struct {
	Type              string  `json:"type"` // direct, group
	GroupAssignmentID *string `json:"group_role_assignment_id"`
}

// RoleAssignment is a role that a member has on a resource. Its id begins with
// "role_assignment_".
type RoleAssignment struct {
	Object       string           `json:"object"` // "role_assignment"
	ID           string           `json:"id"`
	MembershipID string           `json:"organization_membership_id"`
	Role         RoleSlug         `json:"role"`
	Resource     AssignedResource `json:"resource"`
	Source       AssignmentSource `json:"source"`
	CreatedAt    Time             `json:"created_at"`
	UpdatedAt    Time             `json:"updated_at"`
}

// GroupRoleAssignment is a role that a group has on a resource. Its id begins
// with "gra_".
type GroupRoleAssignment struct {
	Object    string           `json:"object"` // "group_role_assignment"
	ID        string           `json:"id"`
	GroupID   string           `json:"group_id"`
	Role      RoleSlug         `json:"role"`
	Resource  AssignedResource `json:"resource"`
	CreatedAt Time             `json:"created_at"`
	UpdatedAt Time             `json:"updated_at"`
}

// AuthorizationCheck answers whether a member has a permission on a resource.
type AuthorizationCheck struct {
	Authorized bool `json:"authorized"`
}

// Group is a named set of members of an organization. Its id begins with
// "group_".
type Group struct {
	Object         string  `json:"object"` // "group"
	ID             string  `json:"id"`
	OrganizationID string  `json:"organization_id"`
	Name           string  `json:"name"`
	Description    *string `json:"description"`
	CreatedAt      Time    `json:"created_at"`
	UpdatedAt      Time    `json:"updated_at"`
}

// BaseMembership is an organization membership without its roles, as lists of a
// group and of a resource have it; only the latter have the user.
type BaseMembership struct {
	Object           string         `json:"object"` // "organization_membership"
	ID               string         `json:"id"`
	UserID           string         `json:"user_id"`
	OrganizationID   string         `json:"organization_id"`
	OrganizationName string         `json:"organization_name"`
	Status           string         `json:"status"` // active, inactive, pending
	DirectoryManaged bool           `json:"directory_managed"`
	CustomAttributes map[string]any `json:"custom_attributes"` // never null on the wire
	CreatedAt        Time           `json:"created_at"`
	UpdatedAt        Time           `json:"updated_at"`
	User             *User          `json:"user,omitempty"`
}
