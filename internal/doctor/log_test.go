package doctor

import (
	"encoding/json"
	"strings"
	"testing"
)

// logs are lines as hosts and Convex write them, each with what it shows.
var logs = []struct{ code, line string }{
	{"log-rate-limited", `[cause]: RateLimitExceededException: Rate limit exceeded. status: 429, requestID: 01`},
	{"log-rate-limited", `POST https://api.workos.com/user_management/authenticate 429 in 31ms`},
	{"log-rate-limited", `{"level":"error","msg":"token refresh failed","status":429}`},
	{"log-rate-limited", `Too many requests (workos)`},
	{"log-refresh-refused", `Failed to refresh. Error: invalid_grant Error Description: The refresh token has already been used.`},
	{"log-redirect-uri-refused", `GET https://error.workos.com/redirect-uri-invalid?code=abcdefgh12345 200`},
	{"log-function-missing", "Error: Could not find public function for 'users:me'. Did you forget to run `npx convex dev`?"},
	{"log-auth-variable-unset", `✖ Error fetching POST https://happy-otter-123.convex.cloud/api/deploy2/start_push 400 Bad Request: AuthConfigMissingEnvironmentVariable: Environment variable WORKOS_CLIENT_ID is used in auth config file but its value was not set`},
	{"log-token-without-provider", `{"code":"NoAuthProvider","message":"No auth provider found matching the given token. Check convex/auth.config.ts."}`},
	{"log-token-undecodable", `Could not decode token. The JWT's 'kid' (key ID) header is 'K', does this key match any key in the provider's JWKS?`},
	{"log-keys-unreachable", `Could not fetch JWKS from URL 'http://127.0.0.1:4747/sso/jwks/client_01': connection refused. Check that the URL is correct and accessible.`},
	{"log-token-time", `Could not validate token: Token expired 70 seconds ago`},
	{"log-route-without-middleware", `Error: You are calling 'withAuth' on a route that isn't covered by the AuthKit middleware. Make sure it is running on all paths you are calling 'withAuth' from`},
}

func TestLogsShowWhatBrokeSignIn(t *testing.T) {
	for _, c := range logs {
		t.Run(c.code, func(t *testing.T) {
			found := ReadLog([]byte("12:00:00 ready\n" + c.line + "\n" + c.line + "\r\n12:00:09 GET / 200\n"))
			if len(found) != 1 || found[0].Code != c.code {
				t.Fatalf("ReadLog = %+v, want only %s", found, c.code)
			}
			if f := found[0]; f.Where != "line 2" || !strings.HasPrefix(f.Seen, "2 lines") || len(f.Proof) != 1 {
				t.Errorf("ReadLog = %+v, want the first of two lines", f)
			}
		})
	}
}

func TestAGoodLogHasNoFindings(t *testing.T) {
	text := ` GET /callback?code=01ABC 307 in 429ms
 GET /api/orders/429 200 in 12ms
 GET /api/refresh?id=429 200 in 12ms
 openai: rate_limit_exceeded, too many requests, 429
 POST https://api.workos.com/user_management/authenticate 200 in 99ms
 convex: [CONVEX Q(users:me)] ready
 Deployed Convex functions to https://happy-otter-123.convex.cloud
`
	if found := ReadLog([]byte(text)); len(found) > 0 {
		t.Errorf("ReadLog = %+v, want nothing", found)
	}
}

func TestSecretsAreTakenOutOfLines(t *testing.T) {
	const long = "Fe26abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
	for _, c := range [][2]string{
		{"Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2ln", "eyJ"},
		{"key sk_test_a2V5XzAx and more", "a2V5"},
		{"CONVEX_DEPLOY_KEY=prod:happy-otter-123|eyJ2MiI6IjEyMyJ9", "eyJ2"},
		{`{"refresh_token":"abcDEF123"}`, "abcDEF123"},
		{"GET /callback?code=01ABCDEF&state=xyzxyz", "01ABCDEF"},
		{"cookie " + long, long},
		{"WORKOS_COOKIE_PASSWORD=correct-horse-battery", "correct-horse"},
	} {
		if got := redactLine(c[0]); strings.Contains(got, c[1]) || !strings.Contains(got, "…") {
			t.Errorf("redactLine(%q) = %q, want it without %q", c[0], got, c[1])
		}
	}
	if got := redactLine("client_01KAB2C3D4E5F6G7H8J9K0MNPQ is unknown"); !strings.HasPrefix(got, "client_01KAB2C3D4E5F6G7H8J9K0MNPQ") {
		t.Errorf("redactLine = %q, want the client ID kept", got)
	}
}

func FuzzReadLog(f *testing.F) {
	for _, c := range logs {
		f.Add(c.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"
		found := ReadLog([]byte(line + " " + token))
		for _, x := range found {
			if x.Seen == "" || x.Where == "" {
				t.Fatalf("%s without evidence", x.Code)
			}
		}
		if text, err := json.Marshal(found); err != nil || strings.Contains(string(text), "eyJzdWIi") {
			t.Fatalf("findings %s hold a token", text)
		}
	})
}
