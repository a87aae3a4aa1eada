package auth

import (
	"context"

	"github.com/berthdev/berth/internal/mail"
	"github.com/berthdev/berth/internal/store"
)

// TellMember mails a person who was made a member of a team. members is the
// environment that members sign in to.
func (s *Service) TellMember(ctx context.Context, members *store.Env, to, team string) error {
	return s.deliver(ctx, members, mail.ForMember(to, team, s.baseURL()))
}
