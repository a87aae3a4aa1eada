package convex

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// LoggedIn reports whether the control plane takes the client's credential.
func (c *Control) LoggedIn(ctx context.Context) (bool, error) {
	err := c.Do(ctx, wire.Call{Method: http.MethodHead, Path: "/api/authorize"})
	switch status := wire.Status(err); {
	case err == nil:
		return true, nil
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests:
		return false, nil
	}
	return false, err
}

// OptIn is something that an account has to agree to, such as new terms.
type OptIn struct {
	OptIn   json.RawMessage `json:"optIn"` // opaque
	Message string          `json:"message"`
}

// OptIns lists what the account has not agreed to yet. For user tokens only.
func (c *Control) OptIns(ctx context.Context) ([]OptIn, error) {
	var out struct {
		OptInsToAccept []OptIn `json:"optInsToAccept"`
	}
	err := c.ask(ctx, "/api/check_opt_ins", struct{}{}, &out)
	return out.OptInsToAccept, err
}

// DeviceLogin is a sign-in by the device flow (RFC 8628) at an issuer.
type DeviceLogin struct {
	Issuer   string // address of the issuer
	ClientID string
	Sleep    func(ctx context.Context, d time.Duration) error // waits between polls; default a timer

	calls    wire.Client
	token    string
	code     secret.String
	interval time.Duration
	expires  time.Duration
}

// Prompt is what a person needs to sign in elsewhere.
type Prompt struct {
	UserCode string
	URL      string // with the code in it where the issuer gives one
	Expires  time.Duration
}

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	minInterval = time.Second
	maxInterval = time.Minute
	maxLogin    = 30 * time.Minute
)

// Start asks the issuer for a code.
func (l *DeviceLogin) Start(ctx context.Context) (Prompt, error) {
	issuer := strings.TrimRight(l.Issuer, "/")
	l.calls = wire.Client{Base: issuer, Name: "the sign-in at " + issuer, Retries: 2, Sleep: l.Sleep}
	var found struct {
		TokenEndpoint  string `json:"token_endpoint"`
		DeviceEndpoint string `json:"device_authorization_endpoint"`
	}
	if err := l.calls.Do(ctx, wire.Call{Method: http.MethodGet, Path: "/.well-known/openid-configuration", Out: &found}); err != nil {
		return Prompt{}, err
	}
	if found.TokenEndpoint == "" || found.DeviceEndpoint == "" {
		return Prompt{}, fault.New(fault.Unsupported, "%s offers no sign-in by code", issuer).WithFix("give a token instead: berth login --token-stdin")
	}
	if err := l.sameHost(found.TokenEndpoint, found.DeviceEndpoint); err != nil {
		return Prompt{}, err
	}
	var answer struct {
		DeviceCode Token  `json:"device_code"`
		UserCode   string `json:"user_code"`
		URI        string `json:"verification_uri"`
		Complete   string `json:"verification_uri_complete"`
		ExpiresIn  int64  `json:"expires_in"` // seconds
		Interval   int64  `json:"interval"`   // seconds
	}
	form := url.Values{"client_id": {l.ClientID}, "scope": {"openid"}}
	device := l.at(found.DeviceEndpoint)
	if err := device.Do(ctx, wire.Call{Method: http.MethodPost, Body: form, Out: &answer}); err != nil {
		return Prompt{}, err
	}
	if answer.DeviceCode == "" || answer.UserCode == "" {
		return Prompt{}, fault.New(fault.Unavailable, "%s answered without a code", issuer)
	}
	l.token, l.code = found.TokenEndpoint, answer.DeviceCode.Secret()
	l.interval = min(max(time.Duration(answer.Interval)*time.Second, minInterval), maxInterval)
	if answer.Interval == 0 {
		l.interval = 5 * time.Second // RFC 8628 section 3.2
	}
	l.expires = maxLogin
	if s := time.Duration(answer.ExpiresIn) * time.Second; s > 0 && s < maxLogin {
		l.expires = s
	}
	p := Prompt{UserCode: answer.UserCode, URL: answer.Complete, Expires: l.expires}
	if p.URL == "" {
		p.URL = answer.URI
	}
	return p, nil
}

// sameHost refuses endpoints that would carry the code in the clear although
// the issuer is https.
func (l *DeviceLogin) sameHost(endpoints ...string) error {
	for _, endpoint := range endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || strings.HasPrefix(l.Issuer, "https:") && u.Scheme != "https" {
			return fault.New(fault.Unavailable, "%s names an unusable address for its sign-in", l.Issuer)
		}
	}
	return nil
}

func (l *DeviceLogin) at(endpoint string) *wire.Client {
	c := l.calls
	c.Base = endpoint
	return &c
}

// Wait polls until the person has signed in, refused, or the code expired.
func (l *DeviceLogin) Wait(ctx context.Context) (Token, error) {
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {l.code.Reveal()}, "client_id": {l.ClientID}}
	interval, calls := l.interval, l.at(l.token)
	for waited := time.Duration(0); waited < l.expires; waited += interval {
		if err := l.sleep(ctx, interval); err != nil {
			return "", fault.Wrap(err, fault.Interrupted, "interrupted before the sign-in was finished")
		}
		var answer struct {
			AccessToken Token `json:"access_token"`
		}
		err := calls.Do(ctx, wire.Call{Method: http.MethodPost, Body: form, Out: &answer})
		switch fault.Code(err) {
		case "authorization_pending":
			continue
		case "slow_down": // RFC 8628 section 3.5: five seconds more
			interval = min(interval+5*time.Second, maxInterval)
			continue
		case "access_denied":
			return "", fault.New(fault.Denied, "the sign-in was refused in the browser").WithFix("run berth login again")
		case "expired_token":
			return "", expired()
		}
		if err == nil && answer.AccessToken == "" {
			err = fault.New(fault.Unavailable, "%s answered without a token", l.Issuer)
		}
		return answer.AccessToken, err
	}
	return "", expired()
}

func expired() error {
	return fault.New(fault.Unauthenticated, "the code expired before anybody signed in with it").WithFix("run berth login again")
}

func (l *DeviceLogin) sleep(ctx context.Context, d time.Duration) error {
	if l.Sleep != nil {
		return l.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
