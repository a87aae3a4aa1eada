package identity

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Prefixes of ids that belong to events.
const (
	PrefixEvent    = "event"
	PrefixEndpoint = "we"
)

// Event is something that happened in an environment.
type Event struct {
	ID             string
	Name           string // user.created, ...
	OrganizationID string // the organization that it concerns, "" for none
	Data           []byte // JSON of the object that it is about, without secrets
	Context        []byte // JSON of what else is known of it, empty for nothing
	CreatedAt      time.Time
}

// Authentication is what events named authentication.* are about.
type Authentication struct {
	Type      string // password, magic_auth, email_verification, mfa
	Failed    bool
	UserID    string // "" when the address is nobody's
	Email     string
	Client    Client
	ErrorCode string // of a failed one
	Error     string // message of a failed one
	SSO       *SSO   // of single sign-on, nil otherwise
}

// SSO says by which connection somebody signed in.
type SSO struct {
	OrganizationID string
	ConnectionID   string
	SessionID      string // "" when none was opened
}

// Endpoint is an address of an application that events are sent to.
type Endpoint struct {
	ID        string
	URL       string
	Events    []string // names it is sent
	Secret    string   // signs what is sent
	Enabled   bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// DeliveryState is how far the delivery of an event is.
type DeliveryState string

const (
	DeliveryPending DeliveryState = "pending"
	Delivered       DeliveryState = "delivered"
	DeliveryFailed  DeliveryState = "failed" // the last try failed
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	EndpointID string
	URL        string
	Event      Event // without Data once it is over
	State      DeliveryState
	Tries      int
	TriedAt    time.Time // of the last try, zero before it
	NextAt     time.Time // when it is tried next, zero when it is over
	HTTPStatus int       // of the last answer, 0 when there was none
	Error      string    // why the last try failed
}

// deliveryPauses are the waits after a failed try, in production and elsewhere:
// WorkOS documents three days in production and minutes in staging.
var deliveryPauses = map[bool][]time.Duration{
	true:  {5 * time.Minute, 30 * time.Minute, 4 * time.Hour, 19 * time.Hour, 48 * time.Hour},
	false: {10 * time.Second, 30 * time.Second, time.Minute, 3 * time.Minute, 5 * time.Minute},
}

// DeliveryPause returns how long to wait after the failed try of the given
// number, counted from 1; ok is false after the last one, the sixth.
func DeliveryPause(production bool, try int) (pause time.Duration, ok bool) {
	pauses := deliveryPauses[production]
	if try < 1 || try > len(pauses) {
		return 0, false
	}
	return pauses[try-1], true
}

// eventNames are the names of the WorkOS OpenAPI document, and the two failures
// that its reference lists beside them. Berth itself makes fewer.
var eventNames = strings.Fields(`
	authentication.email_verification_failed authentication.email_verification_succeeded authentication.magic_auth_failed
	authentication.magic_auth_succeeded authentication.mfa_failed authentication.mfa_succeeded authentication.oauth_failed
	authentication.oauth_succeeded authentication.password_failed authentication.password_succeeded authentication.passkey_failed
	authentication.passkey_succeeded authentication.sso_failed authentication.sso_started authentication.sso_succeeded
	authentication.sso_timed_out authentication.radar_risk_detected api_key.created api_key.revoked api_key.updated connection.activated
	connection.deactivated connection.saml_certificate_renewal_required connection.saml_certificate_renewed connection.deleted
	dsync.activated dsync.deleted dsync.group.created dsync.group.deleted dsync.group.updated dsync.group.user_added
	dsync.group.user_removed dsync.user.created dsync.user.deleted dsync.user.updated email_verification.created group.created
	group.deleted group.member_added group.member_removed group.updated flag.created flag.deleted flag.updated flag.rule_updated
	invitation.accepted invitation.created invitation.resent invitation.revoked magic_auth.created organization.created
	organization.deleted organization.updated organization_domain.created organization_domain.deleted organization_domain.updated
	organization_domain.verified organization_domain.verification_failed password_reset.created password_reset.succeeded
	user.created user.updated user.deleted organization_membership.created organization_membership.deleted
	organization_membership.updated role.created role.deleted role.updated organization_role.created organization_role.deleted
	organization_role.updated permission.created permission.deleted permission.updated session.created session.revoked
	waitlist_user.approved waitlist_user.created waitlist_user.denied`)

// KnownEvent reports whether the protocol has an event of this name.
func KnownEvent(name string) bool { return slices.Contains(eventNames, name) }

// Client is where a request comes from.
type Client struct {
	IPAddress string
	UserAgent string
}

type clientKey struct{}

// WithClient returns a context that says where its request comes from.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns where the request of a context comes from; empty when it has
// none.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
