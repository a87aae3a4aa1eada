package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/store"
)

// A refresh token is the session's ULID, its generation and a MAC over both
// and the environment, made with the server's key. Nothing of it is stored: the
// session row holds only the generation, so a stolen database gives no token,
// and a repeated refresh within the window finds the same successor again.
const (
	refreshIDLength  = 16
	refreshGenLength = 8
	refreshMACLength = 24
	refreshLength    = refreshIDLength + refreshGenLength + refreshMACLength
)

func (s *Service) refreshToken(e *store.Env, session identity.Session) secret.String {
	return makeRefreshToken(s.refresh, e, identity.PrefixSession, session.ID, session.Generation)
}

// readRefreshToken returns the session and generation that a token was made
// for, or ok false when it was not made here for this environment.
func (s *Service) readRefreshToken(e *store.Env, token string) (sessionID string, generation int64, ok bool) {
	return openRefreshToken(s.refresh, e, identity.PrefixSession, token)
}

// makeRefreshToken makes the token of one generation of a session whose id is
// prefix, "_" and a ULID.
func makeRefreshToken(mac *secret.Authenticator, e *store.Env, prefix, sessionID string, generation int64) secret.String {
	id, err := ulid.ParseStrict(strings.TrimPrefix(sessionID, prefix+"_"))
	if err != nil {
		panic("auth: a session id of our own does not parse: " + err.Error())
	}
	buf := make([]byte, 0, refreshLength)
	buf = append(buf, id[:]...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(generation))
	buf = append(buf, mac.Sum([]byte(e.ID), buf)[:refreshMACLength]...)
	return secret.String(base64.RawURLEncoding.EncodeToString(buf))
}

// openRefreshToken reads what makeRefreshToken returned.
func openRefreshToken(mac *secret.Authenticator, e *store.Env, prefix, token string) (sessionID string, generation int64, ok bool) {
	buf, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(buf) != refreshLength {
		return "", 0, false
	}
	body := buf[:refreshIDLength+refreshGenLength]
	if subtle.ConstantTimeCompare(mac.Sum([]byte(e.ID), body)[:refreshMACLength], buf[len(body):]) != 1 {
		return "", 0, false
	}
	var id ulid.ULID
	copy(id[:], body)
	return prefix + "_" + id.String(), int64(binary.BigEndian.Uint64(body[refreshIDLength:])), true
}

// Refresh rotates a refresh token and returns new tokens. A token presented
// again within ReplayWindow gives the same successor and a fresh access token;
// later it ends the session, because somebody else may hold it.
//
// organizationID moves the session to that organization; "" keeps the last one.
// Either way the user must be an active member there, else the token stays
// unspent and the error has the code organization_not_found or
// organization_membership_not_found.
func (s *Service) Refresh(ctx context.Context, e *store.Env, refreshToken, organizationID string) (*Tokens, error) {
	grant := func(text string) error { return fault.New(fault.Invalid, "%s", text).WithCode("invalid_grant") }
	id, generation, ok := s.readRefreshToken(e, refreshToken)
	if !ok {
		return nil, grant("Invalid refresh token.")
	}
	if organizationID != "" {
		if err := s.mayEnter(ctx, e, id, organizationID); err != nil {
			return nil, err
		}
	}
	session, u, outcome, err := e.RotateSession(ctx, id, generation, ReplayWindow, organizationID)
	if err != nil {
		return nil, membershipRefusal(err)
	}
	switch outcome {
	case store.Reused:
		return nil, grant("Refresh token already exchanged.")
	case store.Ended:
		return nil, grant("Session has already ended.")
	}
	return s.tokens(ctx, e, u, session)
}
