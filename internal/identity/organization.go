package identity

import (
	"regexp"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Prefixes of ids that belong to organizations.
const (
	PrefixOrganization = "org"
	PrefixDomain       = "org_domain"
	PrefixMembership   = "om"
	PrefixRole         = "role"
	PrefixPermission   = "perm"
	PrefixInvitation   = "invitation"
)

// DefaultRole is the slug of the role that a member without another one has.
const DefaultRole = "member"

// OrganizationResource is the type of the resource that every organization is,
// and of roles and permissions that name no other type.
const OrganizationResource = "organization"

// Organization is a customer of the application: a group of users.
type Organization struct {
	ID               string
	Name             string
	Domains          []OrganizationDomain
	ExternalID       string // the application's own id; empty when not set
	StripeCustomerID string
	OutsideProfiles  bool // allow_profiles_outside_organization
	Metadata         map[string]string
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// DomainState is how far an organization's domain is proven.
type DomainState string

const (
	DomainPending  DomainState = "pending"
	DomainVerified DomainState = "verified"
	DomainFailed   DomainState = "failed"
)

// OrganizationDomain is a DNS domain of an organization.
type OrganizationDomain struct {
	ID             string
	OrganizationID string
	Domain         string // lower case
	State          DomainState
	Manual         bool   // stated by the application; else proven by a DNS record
	Prefix         string // name of the TXT record, below the domain
	Token          string // text of the TXT record
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// MembershipStatus is the state of a membership.
type MembershipStatus string

const (
	MembershipActive   MembershipStatus = "active"
	MembershipInactive MembershipStatus = "inactive"
	MembershipPending  MembershipStatus = "pending" // invited, not accepted
)

// Membership is a user's place in an organization.
type Membership struct {
	ID               string
	UserID           string
	OrganizationID   string
	OrganizationName string
	Status           MembershipStatus
	Roles            []string // slugs, highest priority first; never empty
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// Role is a named set of permissions, of an environment or of one organization.
type Role struct {
	ID             string
	OrganizationID string // empty: a role of the environment
	Slug           string
	Name           string
	Description    string
	ResourceType   string
	Permissions    []string // slugs, sorted
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Permission is something that a role allows.
type Permission struct {
	ID           string
	Slug         string
	Name         string
	Description  string
	ResourceType string
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// InvitationState is the state of an invitation.
type InvitationState string

const (
	InvitationPending  InvitationState = "pending"
	InvitationAccepted InvitationState = "accepted"
	InvitationExpired  InvitationState = "expired"
	InvitationRevoked  InvitationState = "revoked"
)

// Days for which an invitation can be accepted, as WorkOS documents them.
const (
	MinInvitationDays     = 1
	MaxInvitationDays     = 30
	DefaultInvitationDays = 7
)

// Invitation asks the holder of an address to the application and, when it
// names one, into an organization.
type Invitation struct {
	ID             string
	Email          string
	State          InvitationState
	OrganizationID string // empty: to the application alone
	RoleSlug       string // empty: the default role
	InviterUserID  string
	AcceptedUserID string
	Token          string
	Days           int // lifetime after it was sent
	AcceptedAt     time.Time
	RevokedAt      time.Time
	ExpiresAt      time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// StateAt returns the state at a moment: a pending invitation expires.
func (i Invitation) StateAt(now time.Time) InvitationState {
	if i.State == InvitationPending && !i.ExpiresAt.After(now) {
		return InvitationExpired
	}
	return i.State
}

var domainPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`)

// NormalDomain returns the lower-case form of a DNS domain, or an error when
// the text is not the name of one below a top-level domain (RFC 1123 section 2.1).
func NormalDomain(domain string) (string, error) {
	d := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(domain)), ".")
	if len(d) > 253 || !domainPattern.MatchString(d) {
		return "", fault.New(fault.Invalid, "%q is not a domain", domain).WithCode("invalid_domain")
	}
	return d, nil
}

var (
	roleSlug       = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,47}$`)
	permissionSlug = regexp.MustCompile(`^[a-z0-9_:.*-]{1,48}$`)
)

// Limits of names of roles and permissions, in characters.
const (
	MaxRoleName        = 48
	MaxRoleDescription = 150
)

// OrganizationRolePrefix begins the slug of every role that an organization
// adds, so that it cannot be taken for one of the environment.
const OrganizationRolePrefix = "org-"

// CheckRoleSlug refuses what cannot name a role of the environment, or with
// own set one that an organization adds.
func CheckRoleSlug(slug string, own bool) error {
	if !roleSlug.MatchString(slug) {
		return fault.New(fault.Invalid, "a role's slug has 1 to 48 lower-case letters, digits, hyphens and underscores").WithCode("invalid_slug")
	}
	if own != strings.HasPrefix(slug, OrganizationRolePrefix) {
		return fault.New(fault.Invalid, "the slugs of an organization's own roles begin with %q, and no others do", OrganizationRolePrefix).WithCode("invalid_slug")
	}
	return nil
}

// CheckPermissionSlug refuses what cannot name a permission.
func CheckPermissionSlug(slug string) error {
	if !permissionSlug.MatchString(slug) {
		return fault.New(fault.Invalid, "a permission's slug has 1 to 48 lower-case letters, digits, hyphens, underscores, colons, periods and asterisks").WithCode("invalid_slug")
	}
	return nil
}
