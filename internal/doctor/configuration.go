package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/identity"
)

var (
	uriNotRegistered = define(Entry{Code: "redirect-uri-not-registered", Leg: Session, Severity: Broken, Likely: 96, Fixable: true, Requirements: []string{"R62", "R63", "R110", "R112"},
		Title: "the app's redirect URI is not registered",
		Why:   "AuthKit compares redirect URIs letter by letter and shows an error page in place of the sign-in.",
		Fix:   "Run berth apply: it registers the redirect URIs of convex.json. Or change the app's to one that is registered."})
	portDiffers = define(Entry{Code: "redirect-uri-port-differs", Leg: Session, Severity: Broken, Likely: 97, Requirements: []string{"R52", "R53", "R100"},
		Title: "the web server runs on another port than the redirect URI",
		Why:   "Vite and Next.js take the next port when theirs is taken. After the sign-in the browser comes back to a port where nothing, or another app, answers.",
		Fix:   "Run berth dev: it follows the port. Or free the port and start the web server again."})
	originNotAllowed = define(Entry{Code: "cors-origin-not-allowed", Leg: Session, Severity: Broken, Likely: 82, Fixable: true, Requirements: []string{"R112"},
		Title: "the app's origin is not allowed to ask for tokens",
		Why:   "A browser app gets its tokens by a request from the page. The browser blocks the answer when the environment does not allow the page's origin: the code is spent and the person stays signed out.",
		Fix:   "Run berth apply, or add the origin to corsOrigins in convex.json."})
	homepageMissing = define(Entry{Code: "homepage-missing", Leg: Session, Severity: Risky, Likely: 25, Fixable: true, Requirements: []string{"R33"},
		Title: "the environment has no homepage",
		Why:   "After sign-out AuthKit sends people to the homepage; without one they end on an error page.",
		Fix:   "Set appHomepageUrl in convex.json and run berth apply."})
	wildcardBroad = define(Entry{Code: "redirect-uri-too-broad", Leg: Session, Severity: Risky, Likely: 15, Requirements: []string{"R62"},
		Title: "a redirect URI with a wildcard takes in hosts of strangers",
		Why:   "On a shared domain of a host everybody can have a name that fits the pattern, and gets the codes of your sign-ins.",
		Fix:   "Register the exact addresses: berth deploy does it for every preview."})
	liveKeyInDev = define(Entry{Code: "production-key-in-development", Leg: Setup, Severity: Broken, Likely: 65, Requirements: []string{"R39"},
		Title: "development uses a production API key",
		Why:   "What is tried here changes production: users, redirect URIs, sessions.",
		Fix:   "Remove the key from this machine and run berth dev, which gives the checkout an environment of its own."})
	testKeyInProd = define(Entry{Code: "test-key-in-production", Leg: Setup, Severity: Broken, Likely: 75, Requirements: []string{"R39"},
		Title: "production uses a test API key",
		Why:   "People sign in to a staging environment: other users, a badge on the page, no guarantees.",
		Fix:   "Set the production environment's key on the production deployment."})
	localURIInProd = define(Entry{Code: "local-redirect-uri-in-production", Leg: Session, Severity: Risky, Likely: 30, Requirements: []string{"R39"},
		Title: "a production environment allows a redirect URI of this machine",
		Why:   "Codes of production sign-ins can be sent to whatever listens on that port.",
		Fix:   "Remove it from the environment, and use another environment for development."})
	clientDiffers = define(Entry{Code: "client-id-differs", Leg: Token, Severity: Broken, Likely: 91, Requirements: []string{"R38", "R112"},
		Title: "the client ID is not the same everywhere",
		Why:   "The app signs people in with one environment and the backend expects the tokens of another: it refuses all of them.",
		Fix:   "Set the same client ID in all places. berth status --explain says which one counts; berth dev and berth deploy set them."})
	clientMissing = define(Entry{Code: "client-id-missing", Leg: Session, Severity: Broken, Likely: 93, Fixable: true, Requirements: []string{"R37", "R112"},
		Title: "the app has no client ID",
		Why:   "The sign-in page is asked for by client ID; without one AuthKit shows an error page.",
		Fix:   "Run berth dev, which writes it to .env.local."})
	halfCredentials = define(Entry{Code: "credentials-incomplete", Leg: Setup, Severity: Broken, Likely: 70, Requirements: []string{"R37"},
		Title: "only one of client ID and API key is set",
		Why:   "Both belong together; with one of them nothing can be configured and a server cannot redeem codes.",
		Fix:   "Set both in the same place, or neither."})
	cookiePassword = define(Entry{Code: "cookie-password-missing", Leg: Session, Severity: Broken, Likely: 83, Fixable: true, Requirements: []string{"R44", "R107"},
		Title: "the session cookie has no password, or a short one",
		Why:   "The server seals the session with it and refuses to start a session with fewer than 32 characters.",
		Fix:   "Run berth dev, which writes a random WORKOS_COOKIE_PASSWORD to .env.local; on the host, set one of at least 32 characters."})
	redirectVariable = define(Entry{Code: "redirect-uri-variable-missing", Leg: Session, Severity: Broken, Likely: 81, Fixable: true, Requirements: []string{"R107", "R112"},
		Title: "the app does not know its redirect URI",
		Why:   "The server's AuthKit package reads it from a variable and stops without it.",
		Fix:   "Run berth dev, which writes it to .env.local; on the host, berth deploy hands it to the build."})
	backendURLDiffers = define(Entry{Code: "convex-url-differs", Leg: Backend, Severity: Broken, Likely: 79, Requirements: []string{"R65"},
		Title: "the app talks to another backend than the one that is examined",
		Why:   "Queries go to a deployment that knows other providers and has other data.",
		Fix:   "Run npx convex dev or berth dev, which write the deployment's address to .env.local; in builds use npx convex deploy --cmd."})
	deployKeyKind = define(Entry{Code: "deploy-key-of-another-kind", Leg: Setup, Severity: Broken, Likely: 85, Requirements: []string{"R82"},
		Title: "the deploy key is for another kind of deployment",
		Why:   "A production key in a preview build deploys the branch to production; a preview key cannot deploy to production.",
		Fix:   "Set the production key in the host's Production scope only, and the preview key in its Preview scope."})
	cannotRead = define(Entry{Code: "deployment-variables-unreadable", Leg: Setup, Severity: Noticed, Likely: 5, Requirements: []string{"R84"},
		Title: "the key may deploy but not read variables",
		Why:   "What the deployment has cannot be compared, so some findings cannot be told.",
		Fix:   "Use a key that may read variables, or run npx convex env list with your login."})
)

// read returns a variable as the app here sees it.
func (s *Subject) read(name string) string {
	if v, set := s.Lookup(name); set && v != "" {
		return v
	}
	if s.Env != nil {
		if v, set := s.Env.Lookup(name); set {
			return v
		}
	}
	return ""
}

var _ = register(Check{Name: "redirect URIs and origins", Needs: NeedsApp | NeedsEnvironment,
	Codes: []string{uriNotRegistered, originNotAllowed, homepageMissing, wildcardBroad, localURIInProd}, Run: checkAddresses})

func checkAddresses(_ context.Context, s *Subject) ([]Finding, error) {
	e := s.Environment
	var found []Finding
	if uri := s.read(s.App.Framework.RedirectURI); s.App.Framework.RedirectURI != "" && uri != "" && !identity.AllowedRedirectURI(e.RedirectURIs, uri) {
		f := Finding{Code: uriNotRegistered, Where: s.App.Framework.RedirectURI, Seen: uri + " is not registered for " + e.ClientID}
		if near := nearest(uri, e.RedirectURIs); near != "" {
			f.Seen += "; the nearest that is: " + near
			f.Proof = pointer(near, uri)
		}
		found = append(found, f)
		if origin, err := identity.OriginOf(uri); err == nil && !s.App.Framework.Server && !slices.Contains(e.CORSOrigins, origin) {
			found = append(found, Finding{Code: originNotAllowed, Where: e.ClientID, Seen: origin + " is not among the allowed origins"})
		}
	} else if origin, err := identity.OriginOf(uri); uri != "" && err == nil && !s.App.Framework.Server && !slices.Contains(e.CORSOrigins, origin) {
		found = append(found, Finding{Code: originNotAllowed, Where: e.ClientID, Seen: origin + " is not among the allowed origins: " + strings.Join(e.CORSOrigins, ", ")})
	}
	if e.HomepageURL == "" {
		found = append(found, Finding{Code: homepageMissing, Where: e.ClientID, Seen: "no homepage is set"})
	}
	for _, uri := range e.RedirectURIs {
		if strings.Contains(uri, "*") && identity.CheckRedirectURI(uri, true) != nil && identity.CheckRedirectURI(strings.Replace(uri, "*", "x", 1), true) == nil {
			found = append(found, Finding{Code: wildcardBroad, Where: e.ClientID, Seen: uri + " is registered"})
		}
		if host := hostOf(uri); e.Production && (host == "localhost" || host == "127.0.0.1" || host == "::1") {
			found = append(found, Finding{Code: localURIInProd, Where: e.ClientID, Seen: uri + " is registered in a production environment"})
		}
	}
	return found, nil
}

func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// nearest returns the registered URI that has the most in common with uri.
func nearest(uri string, registered []string) string {
	best, score := "", -1
	for _, r := range registered {
		n := commonPrefix(uri, r) + commonPrefix(reversed(uri), reversed(r))
		if n > score {
			best, score = r, n
		}
	}
	return best
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// pointer shows the first character that differs (R63).
func pointer(registered, asked string) []string {
	at := commonPrefix(registered, asked)
	return []string{"registered  " + registered, "asked for   " + asked, strings.Repeat(" ", 12+at) + "^"}
}

var _ = register(Check{Name: "port of the web server", Needs: NeedsApp, Codes: []string{portDiffers}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	uri := s.read(s.App.Framework.RedirectURI)
	if s.Port == 0 || s.Kind != claim.Dev || uri == "" {
		return nil, nil
	}
	u, err := url.Parse(uri)
	if err != nil || !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) || u.Port() == fmt.Sprint(s.Port) {
		return nil, nil
	}
	want := *u
	want.Host = net.JoinHostPort(u.Hostname(), fmt.Sprint(s.Port))
	return []Finding{{Code: portDiffers, Where: s.App.Framework.RedirectURI, Seen: fmt.Sprintf("the web server listens on port %d, the redirect URI names %s", s.Port, u.Port()), Proof: pointer(uri, want.String())}}, nil
}})

var _ = register(Check{Name: "credentials", Needs: NeedsApp, Codes: []string{clientDiffers, clientMissing, halfCredentials, liveKeyInDev, testKeyInProd, cookiePassword, redirectVariable}, Run: checkCredentials})

func checkCredentials(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	ids := map[string][]string{} // value -> places
	var order []string
	add := func(v, place string) {
		if v == "" {
			return
		}
		if _, known := ids[v]; !known {
			order = append(order, v)
		}
		ids[v] = append(ids[v], place)
	}
	for _, v := range s.Values {
		if strings.HasSuffix(v.Name, "CLIENT_ID") {
			add(v.Text, v.Name+" in "+v.Place)
		}
	}
	if s.Environment != nil {
		add(s.Environment.ClientID, "the deployment's environment")
	}
	if len(order) > 1 {
		f := Finding{Code: clientDiffers, Where: "client ID", Seen: fmt.Sprintf("%d different client IDs are in use", len(order))}
		for _, id := range order {
			f.Proof = append(f.Proof, id+": "+strings.Join(ids[id], ", "))
		}
		found = append(found, f)
	}
	started := s.Env != nil && len(s.Env.Names()) > 0
	if name := s.App.Framework.ClientID; name != "" && started && s.read(name) == "" && s.Kind == claim.Dev {
		found = append(found, Finding{Code: clientMissing, Where: name, Seen: name + " is not set in .env.local or in the shell"})
	}
	for _, v := range s.Values {
		if !strings.HasSuffix(v.Name, "API_KEY") {
			continue
		}
		switch {
		case v.Prefix == "sk_live" && s.Kind == claim.Dev:
			found = append(found, Finding{Code: liveKeyInDev, Where: v.Name + " in " + v.Place, Seen: "the key begins with sk_live_"})
		case v.Prefix == "sk_test" && s.Kind == claim.Prod:
			found = append(found, Finding{Code: testKeyInProd, Where: v.Name + " in " + v.Place, Seen: "the key begins with sk_test_"})
		}
	}
	if s.App.Framework.Server && s.Kind == claim.Dev && started && s.read(clientIDVar) != "" {
		if s.read("WORKOS_API_KEY") == "" {
			found = append(found, Finding{Code: halfCredentials, Where: "WORKOS_API_KEY", Seen: clientIDVar + " is set here and WORKOS_API_KEY is not"})
		}
		if n := len(s.read("WORKOS_COOKIE_PASSWORD")); n < 32 {
			found = append(found, Finding{Code: cookiePassword, Where: "WORKOS_COOKIE_PASSWORD", Seen: fmt.Sprintf("it has %d characters, at least 32 are needed", n)})
		}
		if name := s.App.Framework.RedirectURI; name != "" && s.read(name) == "" {
			found = append(found, Finding{Code: redirectVariable, Where: name, Seen: name + " is not set in .env.local or in the shell"})
		}
	}
	return found, nil
}

var _ = register(Check{Name: "backend of the app", Needs: NeedsApp | NeedsDeployment, Codes: []string{backendURLDiffers, cannotRead}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	if name := s.App.Framework.ConvexURL; name != "" && s.Deployment.URL != "" {
		if have := strings.TrimRight(s.read(name), "/"); have != "" && have != strings.TrimRight(s.Deployment.URL, "/") {
			found = append(found, Finding{Code: backendURLDiffers, Where: name, Seen: "the app uses " + have + ", " + s.Deployment.Name + " is at " + s.Deployment.URL})
		}
	}
	if !s.Deployment.CanRead {
		found = append(found, Finding{Code: cannotRead, Where: s.Deployment.Name, Seen: "the deployment refused to list its variables"})
	}
	return found, nil
}})

var _ = register(Check{Name: "deploy key", Codes: []string{deployKeyKind}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	if s.Host == nil || s.Host.KeyType == "" || s.Host.KeyType == string(s.Host.Kind) {
		return nil, nil
	}
	return []Finding{{Code: deployKeyKind, Where: "CONVEX_DEPLOY_KEY", Seen: fmt.Sprintf("the key is for %s, this is a %s build on %s", s.Host.KeyType, s.Host.Kind, s.Host.Name)}}, nil
}})
