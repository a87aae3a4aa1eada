package auth

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// StepOrganizationSelection asks a member of several organizations for one.
const StepOrganizationSelection Step = "organization_selection_required"

// organization is the last step of a sign-in. An invitation decides before
// anything else, then the organization that was asked for or chosen; a member
// of exactly one is in it, and a member of none signs in without.
func (s *Service) organization(ctx context.Context, e *store.Env, u identity.User, p *Pending) error {
	if p.InvitationToken != "" {
		i, err := s.redeemInvitation(ctx, e, u, p.InvitationToken)
		if err != nil {
			return err
		}
		if i.OrganizationID != "" {
			p.OrganizationID = i.OrganizationID
		}
	}
	if p.OrganizationID != "" {
		_, err := e.MemberAccess(ctx, p.OrganizationID, u.ID)
		return membershipRefusal(err)
	}
	memberships, err := e.ActiveMemberships(ctx, u.ID)
	if err != nil {
		return err
	}
	switch len(memberships) {
	case 0:
		return nil
	case 1:
		p.OrganizationID = memberships[0].OrganizationID
		return nil
	}
	err = s.stepUp(StepOrganizationSelection, u, p)
	if step, ok := err.(*StepUp); ok {
		step.Memberships = memberships
	}
	return err
}

// membershipRefusal turns what the store did not find into the refusal of a
// grant: it is not the requested resource that is missing.
func membershipRefusal(err error) error {
	if code := fault.Code(err); fault.Is(err, fault.NotFound) && (code == "organization_not_found" || code == "organization_membership_not_found") {
		return fault.New(fault.Invalid, "%s", fault.From(err).Message).WithCode(code)
	}
	return err
}

// OrganizationSelectionGrant continues a sign-in with the chosen organization.
// Any other step that is missing is still asked for.
func (s *Service) OrganizationSelectionGrant(ctx context.Context, e *store.Env, pendingToken, organizationID string, from Client) (*Tokens, error) {
	p, u, err := s.OpenPending(ctx, e, pendingToken)
	if err != nil {
		return nil, err
	}
	if err := s.ChooseOrganization(ctx, e, p, organizationID); err != nil {
		return nil, err
	}
	return s.complete(ctx, e, u, p, from)
}

// ChooseOrganization sets the organization of a pending sign-in. One that the
// user is no active member of is refused with the code invalid_organization_id,
// whether it exists or not.
func (s *Service) ChooseOrganization(ctx context.Context, e *store.Env, p *Pending, organizationID string) error {
	_, err := e.MemberAccess(ctx, organizationID, p.UserID)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "The organization ID is invalid or the user is not an active member of it.").WithCode("invalid_organization_id")
	}
	if err != nil {
		return err
	}
	p.OrganizationID = organizationID
	return nil
}

// templateOrganization returns the organization object that JWT templates see.
func templateOrganization(o identity.Organization) map[string]any {
	domains := make([]any, len(o.Domains))
	for i, d := range o.Domains {
		domains[i] = map[string]any{"id": d.ID, "domain": d.Domain, "state": string(d.State)}
	}
	return map[string]any{"id": o.ID, "name": o.Name, "external_id": orNil(o.ExternalID), "stripe_customer_id": orNil(o.StripeCustomerID),
		"domains": domains, "metadata": anyValues(o.Metadata)}
}

// templateMembership returns the organization_membership object that JWT
// templates see.
func templateMembership(m identity.Membership) map[string]any {
	roles := make([]any, len(m.Roles))
	for i, slug := range m.Roles {
		roles[i] = map[string]any{"slug": slug}
	}
	return map[string]any{"id": m.ID, "status": string(m.Status), "organization_id": m.OrganizationID, "user_id": m.UserID,
		"role": map[string]any{"slug": m.Roles[0]}, "roles": roles, "directory_managed": false, "custom_attributes": map[string]any{}}
}

func anyValues(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
