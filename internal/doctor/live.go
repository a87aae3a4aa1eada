package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/project"
)

// What the servers themselves answer: the chain of the sign-in page, the keys,
// the backend, the clocks.
var (
	authUnreachable = define(Entry{Code: "auth-server-unreachable", Leg: Session, Severity: Broken, Likely: 99, Requirements: []string{"R78", "R99"},
		Title: "the auth server cannot be reached from here",
		Why:   "Nothing of the sign-in works without it: no page, no token, no refresh.",
		Fix:   "For a Berth server: berth serve --detach, or check its address. For WorkOS: check this machine's network and proxy."})
	liveURIRefused = define(Entry{Code: "sign-in-redirect-uri-refused", Leg: Session, Severity: Broken, Likely: 95, Requirements: []string{"R63", "R78", "R110"},
		Title: "the sign-in page refuses the app's redirect URI",
		Why:   "The first answer is a redirect all the same; the refusal shows only at the end of the chain, as a page called Invalid Redirect URI.",
		Fix:   "Run berth apply, which registers it. When it is in the list already: the client ID is that of another environment."})
	liveClientUnknown = define(Entry{Code: "sign-in-client-unknown", Leg: Session, Severity: Broken, Likely: 98, Requirements: []string{"R78", "R112"},
		Title: "the sign-in page does not know the client ID",
		Why:   "The environment was deleted, or the client ID is that of another server or was copied incompletely.",
		Fix:   "Run berth dev or berth deploy: they set the client ID of an environment that is there."})
	livePageOff = define(Entry{Code: "sign-in-page-disabled", Leg: Session, Severity: Broken, Likely: 87, Requirements: []string{"R78"},
		Title: "the hosted sign-in page is switched off",
		Why:   "AuthKit answers that it has no page for this environment: nobody can sign in.",
		Fix:   "Switch AuthKit on for the environment in the WorkOS dashboard, under Authentication."})
	livePageFails = define(Entry{Code: "sign-in-page-fails", Leg: Session, Severity: Broken, Likely: 76, Requirements: []string{"R78", "R99"},
		Title: "the sign-in page answers with an error",
		Why:   "Whoever clicks Sign in sees that error.",
		Fix:   "Open the address in a browser; when it is the server's own fault, look at its log or at https://status.workos.com."})
	clockDiffers = define(Entry{Code: "clock-differs", Leg: Token, Severity: Broken, Likely: 72, Requirements: []string{"R89"},
		Title: "this machine's clock is wrong",
		Why:   "Tokens are good for minutes and the backend allows five seconds: with a wrong clock they are expired, or not valid yet, and refreshes come at the wrong time.",
		Fix:   "Set the clock from the network: on most systems a switch in the date settings, or timedatectl set-ntp true."})
	keysUnreachable = define(Entry{Code: "keys-unreachable", Leg: Backend, Severity: Broken, Likely: 88, Requirements: []string{"R88", "R91"},
		Title: "the keys that verify tokens cannot be read",
		Why:   "The backend fetches them from the address in auth.config. Without them it refuses every token.",
		Fix:   "Open the address. A wrong client ID in it gives 404; an address of this machine cannot be reached by a backend in the cloud."})
	keysContentType = define(Entry{Code: "keys-content-type", Leg: Backend, Severity: Broken, Likely: 70, Requirements: []string{"R91"},
		Title: "the keys are served with a type that the backend refuses",
		Why:   "Convex reads a key set only as application/json or application/jwk-set+json.",
		Fix:   "Serve it with one of these types. When the answer is a page, the address is wrong."})
	keysUnreadable = define(Entry{Code: "keys-unreadable", Leg: Backend, Severity: Broken, Likely: 71, Requirements: []string{"R91"},
		Title: "one key makes the backend refuse the whole set",
		Why:   "Convex reads a key set strictly: a single key of a kind that it does not know, and no token verifies any more.",
		Fix:   "Publish keys of that kind at another address, or take them out of the set."})
	keysEmpty = define(Entry{Code: "keys-empty", Leg: Backend, Severity: Broken, Likely: 74, Requirements: []string{"R91"},
		Title: "the key set has no key that verifies tokens",
		Why:   "The backend refuses every token with such a set.",
		Fix:   "Create a signing key: berth keys rotate. At WorkOS, check the client ID in the address."})
	keysWithoutID = define(Entry{Code: "keys-without-id", Leg: Backend, Severity: Broken, Likely: 69, Requirements: []string{"R91"},
		Title: "the keys have no kid",
		Why:   "A token names its key by kid. The backend looks for that name and takes no key without one, not even the only one.",
		Fix:   "Publish the keys with the kid that the tokens have in their header."})
	discoveryFails = define(Entry{Code: "discovery-fails", Leg: Backend, Severity: Broken, Likely: 81, Requirements: []string{"R91"},
		Title: "the discovery of an OpenID provider fails",
		Why:   "For a provider with a domain the backend reads /.well-known/openid-configuration first; its issuer must be that of the tokens to the letter.",
		Fix:   "Use a provider of type customJwt for AuthKit, which has no such document at its issuer; berth init writes one."})
	backendUnreachable = define(Entry{Code: "deployment-unreachable", Leg: Backend, Severity: Broken, Likely: 90, Requirements: []string{"R65", "R101"},
		Title: "the backend does not answer",
		Why:   "The app shows nothing but its loading state, signed in or not.",
		Fix:   "For a local backend: npx convex dev. Otherwise check the address; a preview's backend is removed after some days."})
	preflightRefused = define(Entry{Code: "token-endpoint-refuses-origin", Leg: Session, Severity: Broken, Likely: 83, Requirements: []string{"R112"},
		Title: "the token endpoint refuses requests from the app's pages",
		Why:   "The browser asks first whether the page may send the code. Without the permission the person comes back and stays signed out.",
		Fix:   "Run berth apply, or add the origin under Authentication, Sessions, CORS in the WorkOS dashboard. A proxy in front of the server must pass on OPTIONS requests."})
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// answer is what a server sent back, after all redirects.
type answer struct {
	status  int
	address *url.URL // of the last request
	header  http.Header
	body    []byte
}

// place is the address without its query, which can hold codes.
func (a *answer) place() string { return a.address.Scheme + "://" + a.address.Host + a.address.Path }

// ask sends one request. stop ends a chain of redirects before an address is asked.
func (s *Subject) ask(ctx context.Context, method, address string, headers map[string]string, stop func(*url.URL) bool) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, errors.New("the address cannot be read")
	}
	for name, v := range headers {
		req.Header.Set(name, v)
	}
	client := *s.HTTP
	// The pages of a chain know each other by cookies.
	client.Jar, _ = cookiejar.New(nil) // it fails only with options
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) > 10:
			return errors.New("it redirects without end")
		case stop != nil && stop(req.URL):
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		// The text of a url.Error holds the query.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Request.URL, resp.Header, body}, nil
}

// redirectURI is the address that the app's sign-in comes back to, or "".
func (s *Subject) redirectURI() string {
	if uri := s.read(s.App.Framework.RedirectURI); s.App.Framework.RedirectURI != "" && uri != "" {
		return uri
	}
	if s.Config == nil {
		return ""
	}
	if section := s.Config.Section(project.Kind(s.Kind)); section != nil && section.Configure != nil && s.Kind == claim.Dev {
		for _, uri := range section.Configure.RedirectURIs {
			if !strings.Contains(uri, "${") && !strings.Contains(uri, "*") {
				return uri
			}
		}
	}
	return ""
}

var _ = register(Check{Name: "sign-in page", Needs: NeedsApp | NeedsEnvironment | NeedsNetwork,
	Codes: []string{authUnreachable, liveURIRefused, liveClientUnknown, livePageOff, livePageFails, clockDiffers}, Run: checkSignInPage})

// checkSignInPage follows the sign-in to the page that people see. The challenge
// is that of RFC 7636 appendix B: no code of this sign-in is ever redeemed.
func checkSignInPage(ctx context.Context, s *Subject) ([]Finding, error) {
	e, uri := s.Environment, s.redirectURI()
	if uri == "" || e.BaseURL == "" || e.ClientID == "" {
		return nil, nil
	}
	callback, err := url.Parse(uri)
	if err != nil {
		return nil, nil //nolint:nilerr // the check of convex.json says so
	}
	q := url.Values{"client_id": {e.ClientID}, "redirect_uri": {uri}, "response_type": {"code"}, "provider": {"authkit"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	base := strings.TrimRight(e.BaseURL, "/")
	a, err := s.ask(ctx, http.MethodGet, base+"/user_management/authorize?"+q.Encode(), nil, func(u *url.URL) bool { return u.Host == callback.Host && u.Path == callback.Path })
	if err != nil {
		return []Finding{{Code: authUnreachable, Where: base, Seen: err.Error()}}, nil
	}
	found := s.clock(a)
	shows := func(page string) bool { return strings.Contains(string(a.body), `data-hak-page="`+page+`"`) }
	switch place := a.address.Path; {
	case strings.HasSuffix(place, "/redirect-uri-invalid"), shows("redirect-uri-invalid"):
		if identity.AllowedRedirectURI(e.RedirectURIs, uri) || s.App.Framework.RedirectURI == "" || s.read(s.App.Framework.RedirectURI) == "" {
			found = append(found, Finding{Code: liveURIRefused, Where: e.ClientID, Seen: "the chain for " + uri + " ends at " + a.place()})
		} // else the comparison of the lists shows it to the character
	case strings.HasSuffix(place, "/client-id-invalid"):
		found = append(found, Finding{Code: liveClientUnknown, Where: e.ClientID, Seen: "the chain for " + e.ClientID + " ends at " + a.place()})
	case strings.HasSuffix(place, "/invalid-connection-selector"), shows("auth-disabled"):
		found = append(found, Finding{Code: livePageOff, Where: e.ClientID, Seen: "the chain ends at " + a.place()})
	case a.status >= 400:
		found = append(found, Finding{Code: livePageFails, Where: a.place(), Seen: fmt.Sprintf("the chain ends with %d at %s", a.status, a.place())})
	}
	return found, nil
}

// skew is how far clocks may be apart before it is said. Dates of answers have
// whole seconds and are compared with the time at which the examination began.
const skew = 60 * time.Second

func (s *Subject) clock(a *answer) []Finding {
	theirs, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return nil
	}
	d := s.Now.Sub(theirs)
	word := "ahead of"
	if d < 0 {
		d, word = -d, "behind"
	}
	if d <= skew {
		return nil
	}
	return []Finding{{Code: clockDiffers, Where: "clock", Seen: fmt.Sprintf("this machine's clock is %s %s that of %s", d.Round(time.Second), word, a.address.Host)}}
}

var _ = register(Check{Name: "keys", Needs: NeedsEnvironment | NeedsNetwork, Codes: []string{keysUnreachable, keysContentType, keysUnreadable, keysEmpty, keysWithoutID}, Run: checkKeys})

func checkKeys(ctx context.Context, s *Subject) ([]Finding, error) {
	var addresses []string
	if s.Deployment != nil {
		for _, p := range s.Deployment.Providers {
			if p.Kind == authconfig.CustomJWT && strings.HasPrefix(p.JWKS, "http") && !slices.Contains(addresses, p.JWKS) {
				addresses = append(addresses, p.JWKS)
			}
		}
	}
	if e := s.Environment; len(addresses) == 0 && e.BaseURL != "" && e.ClientID != "" {
		addresses = []string{strings.TrimRight(e.BaseURL, "/") + "/sso/jwks/" + e.ClientID}
	}
	var found []Finding
	for _, address := range addresses {
		a, err := s.ask(ctx, http.MethodGet, address, nil, nil)
		switch {
		case err != nil:
			found = append(found, Finding{Code: keysUnreachable, Where: address, Seen: err.Error()})
			continue
		case a.status != http.StatusOK:
			found = append(found, Finding{Code: keysUnreachable, Where: address, Seen: fmt.Sprintf("it answers %d", a.status)})
			continue
		case !deployment.IsKeySetType(a.header.Get("Content-Type")):
			found = append(found, Finding{Code: keysContentType, Where: address, Seen: fmt.Sprintf("the Content-Type is %q", a.header.Get("Content-Type"))})
			continue
		}
		set, err := deployment.ReadKeySet(a.body)
		switch {
		case err != nil:
			found = append(found, Finding{Code: keysUnreadable, Where: address, Seen: err.Error()})
		case len(set.KeyIDs) == 0 && set.WithoutID == 0:
			found = append(found, Finding{Code: keysEmpty, Where: address, Seen: "no key in it verifies signatures"})
		case len(set.KeyIDs) == 0:
			found = append(found, Finding{Code: keysWithoutID, Where: address, Seen: fmt.Sprintf("%d keys, none with a kid", set.WithoutID)})
		}
	}
	return found, nil
}

var _ = register(Check{Name: "discovery", Needs: NeedsDeployment | NeedsNetwork, Codes: []string{discoveryFails}, Run: func(ctx context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	for _, p := range s.Deployment.Providers {
		if p.Kind != authconfig.OIDC {
			continue
		}
		address := strings.TrimRight(p.Issuer, "/") + "/.well-known/openid-configuration"
		a, err := s.ask(ctx, http.MethodGet, address, nil, nil)
		var document struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		seen := ""
		switch {
		case err != nil:
			seen = err.Error()
		case a.status != http.StatusOK:
			seen = fmt.Sprintf("it answers %d", a.status)
		case json.Unmarshal(a.body, &document) != nil || document.Keys == "":
			seen = "the answer is no discovery document"
		case strings.TrimRight(document.Issuer, "/") != strings.TrimRight(p.Issuer, "/"):
			seen = "its issuer is " + document.Issuer + ", auth.config has " + p.Issuer
		}
		if seen != "" {
			found = append(found, Finding{Code: discoveryFails, Where: address, Seen: seen})
		}
	}
	return found, nil
}})

var _ = register(Check{Name: "backend answers", Needs: NeedsDeployment | NeedsNetwork, Codes: []string{backendUnreachable}, Run: func(ctx context.Context, s *Subject) ([]Finding, error) {
	if s.Deployment.URL == "" {
		return nil, nil
	}
	a, err := s.ask(ctx, http.MethodGet, strings.TrimRight(s.Deployment.URL, "/")+"/version", nil, nil)
	switch {
	case err != nil:
		return []Finding{{Code: backendUnreachable, Where: s.Deployment.URL, Seen: s.Deployment.Name + ": " + err.Error()}}, nil
	case a.status >= 500:
		return []Finding{{Code: backendUnreachable, Where: s.Deployment.URL, Seen: fmt.Sprintf("%s answers %d", s.Deployment.Name, a.status)}}, nil
	}
	return nil, nil
}})

var _ = register(Check{Name: "token endpoint", Needs: NeedsApp | NeedsEnvironment | NeedsNetwork, Codes: []string{preflightRefused}, Run: checkPreflight})

// checkPreflight asks as a browser does before it sends the code from a page.
func checkPreflight(ctx context.Context, s *Subject) ([]Finding, error) {
	e := s.Environment
	origin, err := identity.OriginOf(s.redirectURI())
	if err != nil || s.App.Framework.Server || e.BaseURL == "" || !slices.Contains(e.CORSOrigins, origin) {
		return nil, nil //nolint:nilerr // an origin that is not in the list is another finding
	}
	address := strings.TrimRight(e.BaseURL, "/") + "/user_management/authenticate"
	a, err := s.ask(ctx, http.MethodOptions, address, map[string]string{"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}, nil)
	if err != nil {
		return nil, nil //nolint:nilerr // the check of the sign-in page says that the server is not there
	}
	allowed := a.header.Get("Access-Control-Allow-Origin")
	headers := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
	seen := ""
	switch {
	case allowed == "":
		seen = fmt.Sprintf("the answer to OPTIONS from %s is %d without Access-Control-Allow-Origin", origin, a.status)
	case allowed != origin && allowed != "*":
		seen = "the answer to OPTIONS from " + origin + " allows " + allowed
	case headers != "*" && !strings.Contains(headers, "content-type"):
		seen = "the answer to OPTIONS does not allow the header Content-Type"
	default:
		return nil, nil
	}
	return []Finding{{Code: preflightRefused, Where: address, Seen: seen}}, nil
}
