package identity

import (
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Prefixes of ids that belong to authorization.
const (
	PrefixResource            = "authz_resource"
	PrefixRoleAssignment      = "role_assignment"
	PrefixGroup               = "group"
	PrefixGroupRoleAssignment = "gra"
)

// Bounds of resources and groups. Names of resources are bounded as those of
// roles are. The depth is the five levels that WorkOS documents, counted below
// the organization.
const (
	MaxExternalID       = 128
	MaxResourceDepth    = 5
	MaxGroupName        = 256
	MaxGroupDescription = 150
	MaxGroupMembers     = 10_000
	MaxGroupAssignments = 100 // in one replacement of a group's roles
)

// Resource is something of the application that roles are given on. Every
// organization is one, the root of all others in it.
type Resource struct {
	ID             string
	OrganizationID string
	ParentID       string // empty: the organization itself
	Type           string // slug of its resource type
	ExternalID     string // the application's own id, unique by organization and type
	Name           string
	Description    string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// OrganizationResourceID returns the id of the resource that stands for a whole
// organization.
func OrganizationResourceID(organizationID string) string {
	return PrefixResource + strings.TrimPrefix(organizationID, PrefixOrganization)
}

// ResourceRef names a resource by its id, or by type and external id within an
// organization. The zero value is the organization itself.
type ResourceRef struct {
	ID         string
	Type       string
	ExternalID string
}

// RoleAssignment is a role that a member has on a resource.
type RoleAssignment struct {
	ID           string
	MembershipID string
	RoleSlug     string
	Resource     Resource // id, type and external id
	// GroupAssignmentID is the assignment of a group that gives the role; empty
	// when the member has it directly.
	GroupAssignmentID string
	CreatedAt         time.Time
}

// Group is a named set of members of an organization.
type Group struct {
	ID             string
	OrganizationID string
	Name           string
	Description    string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// GroupMember is a member's place in a group.
type GroupMember struct {
	GroupID      string
	MembershipID string
}

// GroupRoleAssignment is a role that all members of a group have on a resource.
type GroupRoleAssignment struct {
	ID        string
	GroupID   string
	RoleSlug  string
	Resource  Resource // id, type and external id
	CreatedAt time.Time
}

// CheckResourceType refuses what cannot name a resource type.
func CheckResourceType(slug string) error {
	if !roleSlug.MatchString(slug) {
		return fault.New(fault.Invalid, "a resource type's slug has 1 to 48 lower-case letters, digits, hyphens and underscores").WithCode("invalid_slug")
	}
	return nil
}

// CheckExternalID refuses what cannot be an application's own id of a resource:
// 1 to 128 ASCII characters.
func CheckExternalID(id string) error {
	if id == "" || len(id) > MaxExternalID || strings.ContainsFunc(id, func(r rune) bool { return r > 0x7f }) {
		return fault.New(fault.Invalid, "external_id has 1 to %d ASCII characters", MaxExternalID).WithCode("invalid_external_id")
	}
	return nil
}
