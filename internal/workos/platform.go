package workos

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// deleteTimeout is the deadline of one attempt to delete an environment,
// which takes WorkOS about 18 s.
const deleteTimeout = 60 * time.Second

// PlatformOptions says how to reach the Platform API and as whom: with client
// credentials, or with a static bearer token that the server accepts as is.
type PlatformOptions struct {
	Wire          wire.Client   // empty Base is api.workos.com; Authorize is ignored
	TokenURL      string        // default signin.workos.com/oauth2/token
	ClientID      string        // client credentials …
	ClientSecret  secret.String // … of the platform
	Bearer        secret.String // used instead of client credentials
	TokenAsJSON   bool          // send the token request as JSON instead of as a form
	DeleteTimeout time.Duration // per attempt; default 60 s
	// RepeatCreates says that the other end honours Idempotency-Key, so that a
	// create with a key may be repeated after a lost answer. No document says
	// that WorkOS does; berth serve does.
	RepeatCreates bool
	Now           func() time.Time // default time.Now
}

// Platform provisions teams, environments and keys. It is safe for concurrent use.
type Platform struct {
	calls, deletes *wire.Client
	repeatCreates  bool
	tokens         *tokenSource
}

// NewPlatform returns a client of the Platform API. A missing credential is an Invalid error.
func NewPlatform(o PlatformOptions) (*Platform, error) {
	if o.Bearer == "" && (o.ClientID == "" || o.ClientSecret == "") {
		return nil, fault.New(fault.Invalid, "the Platform API needs a client ID and a client secret, or a team token").
			WithFix("set both WORKOS_PLATFORM_CLIENT_ID and WORKOS_PLATFORM_CLIENT_SECRET, or log in to a Berth server with `berth login`")
	}
	named(&o.Wire)
	o.Wire.Authorize = nil
	tokens, err := newTokenSource(o)
	if err != nil {
		return nil, err
	}
	deletes := o.Wire
	deletes.Timeout = o.DeleteTimeout
	if deletes.Timeout == 0 {
		deletes.Timeout = deleteTimeout
	}
	return &Platform{calls: &o.Wire, deletes: &deletes, repeatCreates: o.RepeatCreates, tokens: tokens}, nil
}

// CreateTeam makes a team and invites its administrator. idempotencyKey may be empty.
func (p *Platform) CreateTeam(ctx context.Context, t NewTeam, idempotencyKey string) (Team, error) {
	var out Team
	err := p.create(ctx, "/platform/teams", t, &out, idempotencyKey, "team "+t.Name)
	if fault.Code(err) == CodeUserAlreadyExists || wire.Status(err) == http.StatusConflict && mentions(err, "already exists") {
		return Team{}, teamExists(err, t.AdminEmail)
	}
	return out, err
}

// GetTeam returns a team. NotFound with code team_not_found also means that
// the platform's access to it was revoked.
func (p *Platform) GetTeam(ctx context.Context, team string) (Team, error) {
	var out Team
	err := p.do(ctx, p.calls, wire.Call{Method: http.MethodGet, Path: teamPath(team), Out: &out})
	return out, explainPlatform(err, team)
}

// CreateEnvironment makes an environment in a team. idempotencyKey may be empty.
func (p *Platform) CreateEnvironment(ctx context.Context, team, name string, production bool, idempotencyKey string) (PlatformEnvironment, error) {
	var out PlatformEnvironment
	err := p.create(ctx, teamPath(team)+"/environments", NewEnvironmentRequest{Name: name, Production: production}, &out, idempotencyKey, "environment "+name)
	return out, explainPlatform(err, team)
}

// GetEnvironment returns an environment, or a NotFound error.
func (p *Platform) GetEnvironment(ctx context.Context, team, environment string) (PlatformEnvironment, error) {
	var out PlatformEnvironment
	err := p.do(ctx, p.calls, wire.Call{Method: http.MethodGet, Path: environmentPath(team, environment), Out: &out})
	return out, explainPlatform(err, team)
}

// ListEnvironments returns all environments of a team. WorkOS has no such
// call: the error is then of kind Unsupported.
func (p *Platform) ListEnvironments(ctx context.Context, team string) ([]PlatformEnvironment, error) {
	var list []PlatformEnvironment
	err := p.withToken(ctx, func(auth http.Header) error {
		c := *p.calls
		c.Header = merged(c.Header, auth)
		var err error
		list, err = all[PlatformEnvironment](ctx, &c, teamPath(team)+"/environments", nil)
		return err
	})
	switch status := wire.Status(err); {
	case status == http.StatusMethodNotAllowed, status == http.StatusNotFound && fault.Code(err) != CodeTeamNotFound:
		return nil, fault.Wrap(err, fault.Unsupported, "this server cannot list the environments of a team (WorkOS has no such call)").
			WithFix("see them in the dashboard")
	}
	return list, explainPlatform(err, team)
}

// DeleteEnvironment removes an environment and all that is in it. It can take
// 18 s. An environment that is gone is AlreadyGone; a team that is gone, or
// that revoked the platform, is an error.
func (p *Platform) DeleteEnvironment(ctx context.Context, team, environment string) (Outcome, error) {
	err := p.do(ctx, p.deletes, wire.Call{Method: http.MethodDelete, Path: environmentPath(team, environment)})
	if wire.Status(err) == http.StatusNotFound && fault.Code(err) != CodeTeamNotFound {
		return Outcome{State: AlreadyGone}, nil
	}
	return done(explainPlatform(err, team))
}

// CreateAPIKey makes an API key. expires zero means never. The value is only
// in this answer. idempotencyKey may be empty.
func (p *Platform) CreateAPIKey(ctx context.Context, team, environment, name string, expires time.Time, idempotencyKey string) (APIKey, error) {
	var out APIKey
	body := NewAPIKey{Name: name, ExpiresAt: AtOrNull(expires)}
	err := p.create(ctx, environmentPath(team, environment)+"/api_keys", body, &out, idempotencyKey, "API key "+name)
	return out, explainPlatform(err, team)
}

// ExpireAPIKey ends a key at the given time; zero ends it at once. A key that
// is gone is AlreadyGone. The path ".../expire" follows the title of WorkOS's
// reference page; no transcript confirms it.
func (p *Platform) ExpireAPIKey(ctx context.Context, team, environment, id string, at time.Time) (Outcome, error) {
	err := p.do(ctx, p.calls, wire.Call{
		Method: http.MethodPost, Path: environmentPath(team, environment) + "/api_keys/" + url.PathEscape(id) + "/expire",
		Body: ExpireAPIKeyRequest{ExpiresAt: AtOrNull(at)}, Repeatable: true,
	})
	if wire.Status(err) == http.StatusNotFound && fault.Code(err) != CodeTeamNotFound {
		return Outcome{State: AlreadyGone}, nil
	}
	return done(explainPlatform(err, team))
}

// Invite asks a person into the team. A member of this team is AlreadyThere;
// a member of another team is a Conflict. It is not repeated after a lost
// answer: every repetition sends an e-mail.
func (p *Platform) Invite(ctx context.Context, team, email, roleSlug string) (Outcome, error) {
	err := p.do(ctx, p.calls, wire.Call{Method: http.MethodPost, Path: teamPath(team) + "/invitations", Body: Invitation{Email: email, RoleSlug: roleSlug}})
	if wire.Status(err) == http.StatusBadRequest {
		switch {
		case mentions(err, "already a member of this team"):
			return Outcome{State: AlreadyThere}, nil
		case mentions(err, "another team"):
			return Outcome{}, teamExists(err, email)
		}
	}
	if wire.Status(err) == http.StatusInternalServerError {
		// WorkOS has answered a pending invitation this way.
		err = fault.Wrap(err, fault.Unavailable, "the invitation of %s failed; it may already be pending", email).
			WithFix("look at the team's pending invitations in the dashboard before inviting again")
	}
	return done(explainPlatform(err, team))
}

func teamPath(team string) string { return "/platform/teams/" + url.PathEscape(team) }

func environmentPath(team, environment string) string {
	return teamPath(team) + "/environments/" + url.PathEscape(environment)
}

// create posts body. Unless the other end honours the key it is sent once,
// and an answer that never came is said to be an open question.
func (p *Platform) create(ctx context.Context, path string, body, out any, idempotencyKey, what string) error {
	var doubt bool
	call := wire.Call{Method: http.MethodPost, Path: path, Body: body, Out: out, Doubt: &doubt, Repeatable: p.repeatCreates && idempotencyKey != ""}
	if idempotencyKey != "" {
		call.Header = http.Header{"Idempotency-Key": {idempotencyKey}}
	}
	err := p.do(ctx, p.calls, call)
	if err == nil || !doubt {
		return err
	}
	kind := fault.From(err).Kind
	if kind != fault.Interrupted {
		kind = fault.Unavailable
	}
	return fault.Wrap(err, kind, "it is not known whether %s was made: %s", what, fault.From(err).Message).WithCode(CodeCreateUnknown).
		WithFix("run the command again: it adopts what was made where it can be found; otherwise look for %s in the dashboard", what)
}

// CodeCreateUnknown marks a create whose answer never came.
const CodeCreateUnknown = "create_outcome_unknown"

// do makes a call with the platform's token.
func (p *Platform) do(ctx context.Context, c *wire.Client, call wire.Call) error {
	return p.withToken(ctx, func(auth http.Header) error {
		call := call
		call.Header = merged(call.Header, auth)
		return c.Do(ctx, call)
	})
}

// withToken runs f with the Authorization header and, when the token turns
// out to be refused, once more with a new one.
func (p *Platform) withToken(ctx context.Context, f func(auth http.Header) error) error {
	token, err := p.tokens.get(ctx)
	if err != nil {
		return err
	}
	err = f(authorization(token))
	if wire.Status(err) != http.StatusUnauthorized || !p.tokens.drop(token) {
		return err
	}
	if token, err = p.tokens.get(ctx); err != nil {
		return err
	}
	return f(authorization(token))
}

func authorization(token secret.String) http.Header {
	return http.Header{"Authorization": {"Bearer " + token.Reveal()}}
}

func merged(a, b http.Header) http.Header {
	out := a.Clone()
	if out == nil {
		out = http.Header{}
	}
	for k, v := range b {
		out[k] = v
	}
	return out
}

func mentions(err error, text string) bool {
	e, ok := errors.AsType[*wire.StatusError](err)
	return ok && strings.Contains(string(e.Body), text)
}
