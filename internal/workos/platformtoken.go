package workos

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// tokenMargin is how long before its end a token counts as expired: a call
// that starts with it must also finish with it.
const tokenMargin = time.Minute

// tokenSource gets and keeps one token. lock is a mutex that a cancelled
// caller does not have to wait for.
type tokenSource struct {
	static secret.String
	calls  *wire.Client
	path   string
	body   any
	now    func() time.Time

	lock    chan struct{}
	token   secret.String
	expires time.Time
}

func newTokenSource(o PlatformOptions) (*tokenSource, error) {
	s := &tokenSource{static: o.Bearer, now: o.Now, lock: make(chan struct{}, 1)}
	if s.now == nil {
		s.now = time.Now
	}
	if o.TokenURL == "" {
		o.TokenURL = DefaultTokenURL
	}
	u, err := url.Parse(o.TokenURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "%q is not a usable token URL", o.TokenURL).WithFix("give an absolute http or https URL")
	}
	calls := o.Wire
	calls.Base, s.path = u.Scheme+"://"+u.Host, u.RequestURI()
	s.calls = &calls
	req := TokenRequest{ClientID: o.ClientID, ClientSecret: Credential(o.ClientSecret), GrantType: "client_credentials"}
	s.body = req
	if !o.TokenAsJSON {
		s.body = url.Values{"client_id": {req.ClientID}, "client_secret": {o.ClientSecret.Reveal()}, "grant_type": {req.GrantType}}
	}
	return s, nil
}

// get returns a token that is good for another minute.
func (s *tokenSource) get(ctx context.Context) (secret.String, error) {
	if s.static != "" {
		return s.static, nil
	}
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return "", fault.Wrap(ctx.Err(), fault.Interrupted, "interrupted while getting a Platform token")
	}
	defer func() { <-s.lock }()
	if s.token != "" && s.now().Before(s.expires) {
		return s.token, nil
	}
	var t Token
	err := s.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: s.path, Body: s.body, Out: &t, Repeatable: true})
	switch status := wire.Status(err); {
	case status == http.StatusUnauthorized || status == http.StatusBadRequest:
		return "", fault.Wrap(err, fault.Unauthenticated, "the Platform credentials were refused").WithCode(fault.Code(err)).
			WithFix("check the platform's client ID and client secret")
	case err != nil:
		return "", err
	case t.AccessToken == "":
		return "", fault.New(fault.Unavailable, "the token endpoint answered without an access token")
	}
	life := time.Duration(t.ExpiresIn) * time.Second
	// A token shorter than twice the margin is still worth half its life.
	s.token, s.expires = t.AccessToken.Secret(), s.now().Add(max(life-tokenMargin, life/2))
	return s.token, nil
}

// drop forgets a refused token and reports whether asking again makes sense.
func (s *tokenSource) drop(refused secret.String) bool {
	if s.static != "" {
		return false
	}
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	if s.token == refused { // else another caller has renewed it already
		s.token = ""
	}
	return true
}
