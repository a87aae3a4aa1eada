package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/store"
)

// PendingLifetime is how long a sign-in may wait for its next step.
const PendingLifetime = 30 * time.Minute

// Pending is a sign-in whose first factor was right and that is not done yet.
// It travels sealed, as pending_authentication_token or inside a flow.
//
// A sign-in moves first factor -> proven address -> second factor ->
// organization -> session. Next says which of these is missing.
type Pending struct {
	EnvironmentID string    `json:"e"`
	UserID        string    `json:"u"`
	Method        string    `json:"m"`           // how the first factor was shown: password, magic_code, ...
	MailCodeID    string    `json:"c,omitempty"` // the verification that was sent
	Begun         time.Time `json:"t"`
	SecondFactor  bool      `json:"f,omitempty"` // a second factor was shown
	NewSecret     string    `json:"q,omitempty"` // of the factor that a page is enrolling

	OrganizationID  string `json:"o,omitempty"` // where the session will be
	InvitationToken string `json:"i,omitempty"` // accepted when everything else is done

	// Of a sign-in at an identity provider.
	ConnectionID string `json:"n,omitempty"`
	Provider     string `json:"y,omitempty"` // its connection type
	ProfileID    string `json:"l,omitempty"` // becomes the user's once the address is proven
	Prove        bool   `json:"v,omitempty"` // the address is proven in this sign-in, whatever was before
	Join         string `json:"j,omitempty"` // organization that the user is a member of, then
	Tokens       []byte `json:"k,omitempty"` // of the provider, sealed
}

// Step is what a sign-in needs next.
type Step string

// StepEmailVerification asks for the code that was sent to the address.
const StepEmailVerification Step = "email_verification_required"

// StepUp says that a sign-in needs a further step. It is an error so that no
// caller takes an unfinished sign-in for a finished one.
type StepUp struct {
	Step       Step
	User       identity.User
	Pending    *Pending
	Token      string            // pending_authentication_token
	MailCodeID string            // email_verification_id
	Factors    []identity.Factor // those that can be asked for

	Memberships []identity.Membership // the organizations to choose from
}

func (s *StepUp) Error() string { return string(s.Step) }

// Next returns nil when the sign-in may become a session, or a *StepUp. It
// sends the mail that a step needs, unless one was sent for this sign-in.
func (s *Service) Next(ctx context.Context, e *store.Env, u identity.User, p *Pending) error {
	if err := s.allowed(ctx, e, u, p); err != nil {
		return err
	}
	if !u.EmailVerified || p.Prove {
		if p.MailCodeID == "" {
			c, err := s.SendCode(ctx, e, u, identity.EmailVerification)
			if err != nil {
				return err
			}
			p.MailCodeID = c.ID
		}
		return s.stepUp(StepEmailVerification, u, p)
	}
	if err := s.settle(ctx, e, u, p); err != nil {
		return err
	}
	if err := s.secondFactor(ctx, e, u, p); err != nil {
		return err
	}
	if err := s.organization(ctx, e, u, p); err != nil {
		return err
	}
	return s.organizationTakes(ctx, e, u.Email, p.OrganizationID, p.Method, p.Provider, p.ConnectionID)
}

func (s *Service) stepUp(step Step, u identity.User, p *Pending) error {
	token, err := s.sealPending(p)
	if err != nil {
		return err
	}
	return &StepUp{Step: step, User: u, Pending: p, Token: token, MailCodeID: p.MailCodeID}
}

func (s *Service) sealPending(p *Pending) (string, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.db.Box().Seal("pending sign-in", p.EnvironmentID, plain)), nil
}

// NewPending begins a pending sign-in of a user.
func (s *Service) NewPending(e *store.Env, u identity.User, method string) *Pending {
	return &Pending{EnvironmentID: e.ID, UserID: u.ID, Method: method, Begun: s.db.Now()}
}

// OpenPending reads a pending_authentication_token of this environment.
func (s *Service) OpenPending(ctx context.Context, e *store.Env, token string) (*Pending, identity.User, error) {
	bad := fault.New(fault.Invalid, "The pending authentication token is invalid or has expired.").WithCode("invalid_pending_authentication_token")
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, identity.User{}, bad
	}
	plain, err := s.db.Box().Open("pending sign-in", e.ID, data)
	if err != nil {
		return nil, identity.User{}, bad
	}
	var p Pending
	if err := json.Unmarshal(plain, &p); err != nil || p.EnvironmentID != e.ID || s.db.Now().Sub(p.Begun) > PendingLifetime {
		return nil, identity.User{}, bad
	}
	u, err := e.User(ctx, p.UserID)
	if fault.Is(err, fault.NotFound) {
		return nil, u, bad
	}
	return &p, u, err
}

// begin is a sign-in whose first factor was right, with an invitation or "".
func (s *Service) begin(ctx context.Context, e *store.Env, u identity.User, method, invitation string, from Client) (*Tokens, error) {
	p := s.NewPending(e, u, method)
	if p.InvitationToken = invitation; invitation != "" {
		// Said before any further step is asked for.
		if _, err := s.invitationFor(ctx, e, u, invitation); err != nil {
			return nil, err
		}
	}
	return s.complete(ctx, e, u, p, from)
}

// complete turns a pending sign-in into a session, or returns the step that is
// missing.
func (s *Service) complete(ctx context.Context, e *store.Env, u identity.User, p *Pending, from Client) (*Tokens, error) {
	if err := s.Next(ctx, e, u, p); err != nil {
		return nil, err
	}
	session := s.newSession(e, u.ID, p.Method, from)
	session.OrganizationID, session.ConnectionID, session.Provider = p.OrganizationID, p.ConnectionID, p.Provider
	session, u, err := e.OpenSession(ctx, session)
	if err != nil {
		return nil, membershipRefusal(err)
	}
	return s.tokens(ctx, e, u, session)
}

// VerifyPending checks the code of an e-mail verification step.
func (s *Service) VerifyPending(ctx context.Context, e *store.Env, p *Pending, code string) (identity.User, error) {
	c, err := e.UseMailCode(ctx, identity.EmailVerification, p.UserID, normalCode(code))
	if err != nil {
		return identity.User{}, err
	}
	if p.ConnectionID == "" {
		return e.VerifyEmail(ctx, p.UserID, c.Email)
	}
	u, err := e.ProveEmail(ctx, p.UserID, c.Email)
	if err == nil {
		p.Prove = false
	}
	return u, err
}

// EmailVerificationGrant continues a sign-in with the code from the mail.
func (s *Service) EmailVerificationGrant(ctx context.Context, e *store.Env, pendingToken, code string, from Client) (*Tokens, error) {
	p, _, err := s.OpenPending(ctx, e, pendingToken)
	if err != nil {
		return nil, err
	}
	u, err := s.VerifyPending(ctx, e, p, code)
	if err != nil {
		return nil, err
	}
	return s.complete(ctx, e, u, p, from)
}

// CheckMagicCode spends a magic code and returns its user, whose address it
// proves. An unknown address is answered like a wrong code.
func (s *Service) CheckMagicCode(ctx context.Context, e *store.Env, email, code string) (identity.User, error) {
	if err := s.methodOpen(e, "magic_code"); err != nil {
		return identity.User{}, err
	}
	u, err := e.UserByEmail(ctx, email)
	if fault.Is(err, fault.NotFound) {
		return u, s.failed(ctx, e, "magic_auth", "", email, fault.New(fault.Invalid, "The code is not right.").WithCode("invalid_one_time_code"))
	}
	if err != nil {
		return u, err
	}
	c, err := e.UseMailCode(ctx, identity.MagicAuth, u.ID, normalCode(code))
	if err != nil {
		return u, err
	}
	return e.ProveEmail(ctx, u.ID, c.Email)
}

// MagicAuthGrant signs a user in with a code sent to the address, which is
// thereby proven.
func (s *Service) MagicAuthGrant(ctx context.Context, e *store.Env, email, code, invitation string, from Client) (*Tokens, error) {
	u, err := s.CheckMagicCode(ctx, e, email, code)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, e, u, "magic_code", invitation, from)
}

// normalCode drops the blanks and dashes with which people paste codes.
func normalCode(code string) string {
	out := make([]byte, 0, len(code))
	for i := range len(code) {
		if c := code[i]; c != ' ' && c != '-' && c != '\t' {
			out = append(out, c)
		}
	}
	return string(out)
}

// newCode returns six random digits.
func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%06d", n), nil
}
