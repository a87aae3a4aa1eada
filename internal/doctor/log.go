package doctor

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// What lines of a host's log, of `npx convex logs` or of a build can show.
var (
	logRateLimited = define(Entry{Code: "log-rate-limited", Leg: Token, Severity: Broken, Likely: 85, Requirements: []string{"R108", "R116"},
		Title: "the server's refreshes were refused for their number",
		Why:   "The environment's rate was used up (429). An AuthKit package for servers before its version 4.3 deletes the session then: people are signed out at random.",
		Fix:   "Look for what refreshes so often: forced refreshes, a middleware that runs for static files and prefetches, or a load test."})
	logGrant = define(Entry{Code: "log-refresh-refused", Leg: Session, Severity: Broken, Likely: 84, Requirements: []string{"R108", "R116"},
		Title: "the server's refresh token was refused",
		Why:   "It was used before, its session has ended, or it belongs to another environment. The person is signed out.",
		Fix:   "If it happens to everybody after a deploy: the client ID or the cookie password was changed. If now and then: two requests refresh at the same time."})
	logRedirect = define(Entry{Code: "log-redirect-uri-refused", Leg: Session, Severity: Broken, Likely: 92, Requirements: []string{"R63", "R110"},
		Title: "a redirect URI was refused",
		Why:   "The address that the app sent is not registered for the environment, letter by letter.",
		Fix:   "Run berth apply, or berth deploy in the build: they register the app's addresses."})
	logFunction = define(Entry{Code: "log-function-missing", Leg: Backend, Severity: Broken, Likely: 78, Requirements: []string{"R65", "R80", "R115"},
		Title: "the app calls a function that the backend does not have",
		Why:   "The functions were not pushed to this deployment, or the app talks to another one than it was built with.",
		Fix:   "Push them: npx convex dev --once, or npx convex deploy --cmd in the build, which also gives the app the right address."})
	logVariable = define(Entry{Code: "log-auth-variable-unset", Leg: Backend, Severity: Broken, Likely: 93, Requirements: []string{"R15", "R88", "R115"},
		Title: "a push failed for a variable that auth.config reads",
		Why:   "Convex works out auth.config at the push and refuses it: functions and providers stay as they were.",
		Fix:   "Set the variable on that deployment before the push: berth dev and berth deploy do, or npx convex env set NAME VALUE."})
	logProvider = define(Entry{Code: "log-token-without-provider", Leg: Backend, Severity: Broken, Likely: 82, Requirements: []string{"R89", "R109", "R115"},
		Title: "the backend found no provider for the token",
		Why:   "Issuer or audience of the token fit no entry of the auth.config that was pushed last: the caller stays anonymous.",
		Fix:   "Compare the token with auth.config: berth token --file LOG, or berth token TOKEN. Then push."})
	logKey = define(Entry{Code: "log-token-undecodable", Leg: Backend, Severity: Broken, Likely: 77, Requirements: []string{"R91", "R109", "R115"},
		Title: "the backend could not verify the token with its keys",
		Why:   "The token's key is not in the set at the provider's address: another environment's token, or keys that were cached before a change.",
		Fix:   "Use the same client ID in the app and in auth.config. After a change of keys wait for the old set to expire."})
	logKeys = define(Entry{Code: "log-keys-unreachable", Leg: Backend, Severity: Broken, Likely: 76, Requirements: []string{"R91", "R115"},
		Title: "the backend could not read the keys",
		Why:   "Without the key set at the address in auth.config no token verifies.",
		Fix:   "Open the address that the line names. One of this machine cannot be reached by a backend in the cloud."})
	logExpired = define(Entry{Code: "log-token-time", Leg: Token, Severity: Risky, Likely: 45, Requirements: []string{"R89", "R115"},
		Title: "a token came too late or too early",
		Why:   "It had expired, or was not valid yet by the backend's clock. Once is a sleeping laptop; again and again is a wrong clock or an app that keeps old tokens.",
		Fix:   "Set the clocks of the app's machine and of the auth server from the network, and ask getAccessToken() for each request."})
	logMiddleware = define(Entry{Code: "log-route-without-middleware", Leg: Session, Severity: Broken, Likely: 79, Requirements: []string{"R93"},
		Title: "a page asks for the session where the middleware does not run",
		Why:   "withAuth reads what AuthKit's middleware puts into the request. On a path that its matcher leaves out the page fails.",
		Fix:   "Let the matcher in proxy.ts or middleware.ts take in the page's path."})
)

// logSigns are the words by which a line is known; the first that fits counts.
// The backend's are those of its published messages.
var logSigns = []struct {
	code string
	sign *regexp.Regexp
}{
	{logVariable, regexp.MustCompile(`AuthConfigMissingEnvironmentVariable|is used in auth config file but its value was not set`)},
	{logProvider, regexp.MustCompile(`No auth provider found matching the given token|\bNoAuthProvider\b`)},
	{logKeys, regexp.MustCompile(`Could not fetch JWKS from URL|Invalid Content-Type .{0,80} when fetching JWKS|Invalid JWKS response body|Invalid JWKS data URL|AuthProviderDiscoveryFailed|Auth provider discovery of \S+ failed`)},
	{logKey, regexp.MustCompile(`Could not decode token\.`)},
	{logExpired, regexp.MustCompile(`Could not validate token: Token (expired|will be valid)|Convex token identity expired`)},
	{logFunction, regexp.MustCompile(`Could not find public function for`)},
	{logMiddleware, regexp.MustCompile(`(?i)withAuth.{0,40}on a route that isn.t covered by the AuthKit middleware`)},
	{logRedirect, regexp.MustCompile(`(?i)redirect-uri-invalid|\binvalid[_ -]redirect[_ -]uri\b|redirect[_ ]uri.{0,40}(mismatch|not (registered|allowed|valid))`)},
	{logGrant, regexp.MustCompile(`\binvalid_grant\b|(?i)refresh token (has )?(already )?been (exchanged|used)`)},
	{logRateLimited, regexp.MustCompile(`RateLimitExceededException|(?i)(authenticate|refresh|workos|authkit)[^\n]{0,160}` + limited + `|` + limited + `[^\n]{0,160}(authenticate|refresh|workos|authkit)`)},
}

// limited is a status 429 in a line, or its words: other numbers 429 are none.
const limited = `(?:(?:^|\s|status["']?[:=]\s*)429(?:$|[\s,;"'})\]])|too many requests|rate_?limit_?exceeded)`

// LogChecks is how many things ReadLog looks for.
var LogChecks = len(logSigns)

// longestLine bounds how much of one line is read, in bytes.
const longestLine = 64 << 10

// ReadLog finds what a log shows: of a host, of a build or of Convex. There is one
// finding for each kind, with the number of the first line, how many there are,
// and that line without its secrets.
func ReadLog(text []byte) []Finding {
	first, times := map[string]*Finding{}, map[string]int{}
	var kinds []string
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimRight(line[:min(len(line), longestLine)], "\r\n")
		for _, s := range logSigns {
			if !s.sign.Match(line) {
				continue
			}
			if times[s.code]++; first[s.code] == nil {
				first[s.code] = &Finding{Code: s.code, Where: fmt.Sprintf("line %d", number), Proof: []string{redactLine(string(line))}}
				kinds = append(kinds, s.code)
			}
			break
		}
	}
	found := make([]Finding, 0, len(kinds))
	for _, code := range kinds {
		f := *first[code]
		f.Seen = fmt.Sprintf("line %s says so", strings.TrimPrefix(f.Where, "line "))
		if n := times[code]; n > 1 {
			f.Seen = fmt.Sprintf("%d lines say so, the first is %s", n, f.Where)
		}
		found = append(found, f)
	}
	order(found)
	return found
}

var (
	jwtLike   = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*){0,4}`)
	apiKey    = regexp.MustCompile(`\b(sk|pk)_(test|live)?_?[A-Za-z0-9_]{6,}`)
	deployKey = regexp.MustCompile(`\|[A-Za-z0-9+/=_-]{8,}`)
	named     = regexp.MustCompile(`(?i)\b([a-z_-]*(?:code|token|password|secret|cookie|state|api[_-]?key|authorization|session|verifier|ticket)["']?\s*[:=]\s*["']?(?:bearer\s+|basic\s+)?)([^\s"'&;,}<>]{6,})`)
	longWord  = regexp.MustCompile(`[A-Za-z0-9_+=~-]{32,}`)
	vendorID  = regexp.MustCompile(`^(client|user|org|environment|team|sso_oidc_key_pair|project)_[0-9A-Za-z]{10,32}$`)
)

// shownLine bounds a line in a finding, in bytes.
const shownLine = 300

// redactLine returns a line of text without what could be a secret: tokens, keys,
// passwords, cookies, codes in addresses, and long words that are no public ID.
// It rather takes away too much.
func redactLine(line string) string {
	const gone = "…"
	line = strings.ToValidUTF8(line, "?")
	line = jwtLike.ReplaceAllString(line, gone)
	line = apiKey.ReplaceAllString(line, gone)
	line = deployKey.ReplaceAllString(line, "|"+gone)
	line = named.ReplaceAllString(line, "${1}"+gone)
	line = longWord.ReplaceAllStringFunc(line, func(w string) string {
		if vendorID.MatchString(w) || strings.Trim(w, "-=_~+") == "" {
			return w
		}
		return gone
	})
	if len(line) > shownLine {
		line = strings.ToValidUTF8(line[:shownLine], "") + gone
	}
	return strings.TrimSpace(line)
}
