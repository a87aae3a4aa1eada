package auth

import (
	"context"

	"github.com/berthdev/berth/internal/identity"
)

// IsPassword reports whether password is a user's, for callers with a right to
// ask: nothing is counted and nobody is signed in.
func (s *Service) IsPassword(ctx context.Context, u identity.User, password string) (bool, error) {
	return s.hasher.Verify(ctx, u.PasswordHash, password)
}
