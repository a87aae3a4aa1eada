package auth

import (
	"context"
	"crypto/rand"
	"net/url"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/mail"
	"github.com/berthdev/berth/internal/store"
)

// Invite makes an invitation and mails it. Days of 0 stand for the default.
func (s *Service) Invite(ctx context.Context, e *store.Env, i identity.Invitation) (identity.Invitation, error) {
	if !s.MailOpen(e) {
		return i, ErrNoMail
	}
	if err := identity.CheckEmail(i.Email); err != nil {
		return i, err
	}
	if i.Days == 0 {
		i.Days = identity.DefaultInvitationDays
	}
	i.Token = rand.Text()
	i, err := e.CreateInvitation(ctx, i)
	if err != nil {
		return i, err
	}
	return i, s.mailInvitation(ctx, e, i)
}

// ResendInvitation mails a pending invitation again; it lives as long again as
// at first.
func (s *Service) ResendInvitation(ctx context.Context, e *store.Env, id string) (identity.Invitation, error) {
	if !s.MailOpen(e) {
		return identity.Invitation{}, ErrNoMail
	}
	i, err := e.RenewInvitation(ctx, id)
	if err != nil {
		return i, err
	}
	return i, s.mailInvitation(ctx, e, i)
}

func (s *Service) mailInvitation(ctx context.Context, e *store.Env, i identity.Invitation) error {
	inviter, to := "", e.Name
	if i.InviterUserID != "" {
		u, err := e.User(ctx, i.InviterUserID)
		if err != nil {
			return err
		}
		if inviter = u.FirstName; inviter == "" {
			inviter = u.Email
		}
	}
	if i.OrganizationID != "" {
		o, err := e.Organization(ctx, i.OrganizationID)
		if err != nil {
			return err
		}
		to = o.Name
	}
	return s.deliver(ctx, e, mail.ForInvitation(i, to, inviter, s.InvitationURL(e, i.Token)))
}

// InvitationURL is the page at which an invitation is accepted.
func (s *Service) InvitationURL(e *store.Env, token string) string {
	return s.baseURL() + "/invite?" + url.Values{"client_id": {e.ClientID}, "invitation_token": {token}}.Encode()
}

// AcceptInvitation accepts an invitation for the user who has its address.
func (s *Service) AcceptInvitation(ctx context.Context, e *store.Env, id string) (identity.Invitation, error) {
	i, err := e.Invitation(ctx, id)
	if err != nil {
		return i, err
	}
	u, err := e.UserByEmail(ctx, i.Email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return i, err
	}
	return e.AcceptInvitation(ctx, i.ID, u.ID) // refuses a user without an id
}

var errInvitation = fault.New(fault.Invalid, "The invitation is invalid, was used already or has expired.").WithCode("invitation_invalid")

// UsableInvitation returns the invitation of a token that can still be
// accepted. One that was accepted is returned too: its user may repeat a
// sign-in whose answer was lost.
func (s *Service) UsableInvitation(ctx context.Context, e *store.Env, token string) (identity.Invitation, error) {
	i, err := e.InvitationByToken(ctx, token)
	if fault.Is(err, fault.NotFound) {
		return i, errInvitation
	}
	if state := i.StateAt(s.db.Now()); err == nil && state != identity.InvitationPending && state != identity.InvitationAccepted {
		return i, errInvitation
	}
	return i, err
}

// invitationFor returns the invitation of a token when this user may use it.
func (s *Service) invitationFor(ctx context.Context, e *store.Env, u identity.User, token string) (identity.Invitation, error) {
	i, err := s.UsableInvitation(ctx, e, token)
	switch {
	case err != nil:
		return i, err
	case identity.EmailKey(i.Email) != identity.EmailKey(u.Email):
		return i, fault.New(fault.Invalid, "The invitation cannot be used by '%s'.", u.Email).
			WithFix("Sign in with the address that was invited.").WithCode("invitation_cannot_be_used_for_email")
	case i.State == identity.InvitationAccepted && i.AcceptedUserID != u.ID:
		return i, errInvitation
	}
	return i, nil
}

// redeemInvitation accepts an invitation for a user who has signed in.
func (s *Service) redeemInvitation(ctx context.Context, e *store.Env, u identity.User, token string) (identity.Invitation, error) {
	i, err := s.invitationFor(ctx, e, u, token)
	if err != nil || i.State == identity.InvitationAccepted {
		return i, err
	}
	accepted, err := e.AcceptInvitation(ctx, i.ID, u.ID)
	if fault.Code(err) == "invite_has_accepted_user_id" {
		return s.invitationFor(ctx, e, u, token) // somebody was faster: perhaps this user
	}
	if fault.Is(err, fault.Invalid) {
		return accepted, errInvitation
	}
	return accepted, err
}
