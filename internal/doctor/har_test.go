package doctor

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/fault"
)

type m = map[string]any

func headers(pairs ...string) []m {
	var list []m
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, m{"name": pairs[i], "value": pairs[i+1]})
	}
	return list
}

func entry(at, method, url string, more m) m {
	e := m{"startedDateTime": "2026-11-21T10:00:" + at + "Z", "request": m{"method": method, "url": url}, "response": m{"status": 200}}
	for k, v := range more {
		e[k] = v
	}
	return e
}

func recording(t testing.TB, entries ...m) []byte {
	t.Helper()
	data, err := json.Marshal(m{"log": m{"version": "1.2", "entries": entries}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const authenticate = "https://api.workos.com/user_management/authenticate"

func refresh(at string, status int, body string) m {
	return entry(at, "POST", authenticate, m{"request": m{"method": "POST", "url": authenticate, "headers": headers("Origin", "https://app.example"), "postData": m{"text": `{"grant_type":"refresh_token"}`}},
		"response": m{"status": status, "headers": headers("Retry-After", "7", "Access-Control-Allow-Origin", "https://app.example"), "content": m{"text": body}}})
}

func authorize(at, redirect, referer string) m {
	u := "https://api.workos.com/user_management/authorize?client_id=client_01&redirect_uri=" + redirect
	return entry(at, "GET", u, m{"request": m{"method": "GET", "url": u, "headers": headers("Referer", referer)}, "response": m{"status": 302}})
}

// recordings are requests of a browser, each with one thing broken.
var recordings = []struct {
	code    string
	entries []m
	proof   string
}{
	{"har-background-sign-out", []m{entry("01", "GET", "https://app.example/sign-out?_rsc=1", m{"request": m{"method": "GET", "url": "https://app.example/sign-out?_rsc=1", "headers": headers("Next-Router-Prefetch", "1")},
		"_initiator": m{"type": "script", "url": "https://app.example/_next/chunk.js?x=1", "lineNumber": 4}})}, "sent by https://app.example/_next/chunk.js (script, line 5)"},
	{"har-refresh-rate-limited", []m{refresh("01", 429, "{}"), refresh("02", 429, "{}")}, "Retry-After: 7"},
	{"har-refresh-refused", []m{refresh("01", 400, `{"error":"invalid_grant"}`)}, ""},
	{"har-redirect-loop", []m{authorize("01", "https%3A%2F%2Fapp.example%2Fcallback", "https://app.example/"), authorize("02", "https%3A%2F%2Fapp.example%2Fcallback", "https://app.example/"),
		authorize("03", "https%3A%2F%2Fapp.example%2Fcallback", "https://app.example/"), authorize("04", "https%3A%2F%2Fapp.example%2Fcallback", "https://app.example/")}, ""},
	{"har-cors-blocked", []m{entry("01", "POST", authenticate, m{"request": m{"method": "POST", "url": authenticate, "headers": headers("Origin", "https://app.example"), "postData": m{"text": `{"grant_type":"authorization_code"}`}},
		"response": m{"status": 0, "_error": "net::ERR_FAILED"}})}, ""},
	{"har-callback-other-host", []m{authorize("01", "https%3A%2F%2Fapp-git-branch.vercel.app%2Fcallback", "https://app-abc123.vercel.app/")}, ""},
	{"har-cookie-refused", []m{entry("01", "GET", "http://app.example/callback?code=x", m{"response": m{"status": 302, "headers": headers("Set-Cookie", "wos-session=x; Path=/; Secure; HttpOnly")}})}, ""},
	{"har-redirect-uri-refused", []m{authorize("01", "https%3A%2F%2Fapp.example%2Fcallback", "https://app.example/"), entry("02", "GET", "https://error.workos.com/redirect-uri-invalid", nil)}, ""},
	{"har-backend-refused-token", []m{entry("01", "GET", "wss://happy-otter-123.convex.cloud/api/1.48.0/sync", m{"_webSocketMessages": []m{
		{"type": "send", "data": `{"type":"Authenticate","value":"x"}`}, {"type": "receive", "data": `{"type":"AuthError","error":"No auth provider found matching the given token","baseVersion":0,"authUpdateAttempted":true}`}}})}, ""},
}

func TestRecordingsShowWhatBrokeSignIn(t *testing.T) {
	for _, c := range recordings {
		t.Run(c.code, func(t *testing.T) {
			found, err := ReadHAR(recording(t, c.entries...))
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 || found[0].Code != c.code {
				t.Fatalf("findings = %+v, want %s first", found, c.code)
			}
			if c.proof != "" && !strings.Contains(strings.Join(found[0].Proof, "\n"), c.proof) {
				t.Errorf("proof = %q, want %q", found[0].Proof, c.proof)
			}
			if text, err := json.Marshal(found); err != nil || strings.Contains(string(text), "code=") {
				t.Errorf("findings %s hold the query of an address", text)
			}
		})
	}
}

func TestAGoodSignInHasNoFindings(t *testing.T) {
	ok := headers("Access-Control-Allow-Origin", "https://app.example", "Access-Control-Allow-Credentials", "true")
	found, err := ReadHAR(recording(t,
		authorize("01", "https%3A%2F%2Fapp.example%2Fcallback", "https://app.example/"),
		entry("05", "GET", "https://app.example/callback?code=x", m{"response": m{"status": 302, "headers": headers("Set-Cookie", "wos-session=x; Path=/; Secure; HttpOnly; SameSite=Lax")}}),
		entry("06", "OPTIONS", authenticate, m{"request": m{"method": "OPTIONS", "url": authenticate, "headers": headers("Origin", "https://app.example")}, "response": m{"status": 204, "headers": ok}}),
		entry("07", "POST", authenticate, m{"request": m{"method": "POST", "url": authenticate, "headers": headers("Origin", "https://app.example", "Cookie", "x")}, "response": m{"status": 200, "headers": ok}}),
		entry("20", "GET", "https://app.example/sign-out", m{"request": m{"method": "GET", "url": "https://app.example/sign-out", "headers": headers("Sec-Fetch-Mode", "navigate")}, "response": m{"status": 307}}),
		entry("21", "GET", "https://api.workos.com/user_management/sessions/logout?session_id=x", nil)))
	if err != nil || len(found) > 0 {
		t.Errorf("ReadHAR = %+v, %v, want nothing", found, err)
	}
}

func TestWhatIsNoRecordingIsSaid(t *testing.T) {
	for text, code := range map[string]string{"": "har_invalid", "[]": "har_invalid", "{}": "har_empty", `{"log":{"entries":[]}}`: "har_empty"} {
		if _, err := ReadHAR([]byte(text)); fault.Code(err) != code {
			t.Errorf("ReadHAR(%q) = %v, want code %s", text, err, code)
		}
	}
}

func FuzzReadHAR(f *testing.F) {
	for _, c := range recordings {
		f.Add(recording(f, c.entries...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, _ := ReadHAR(data)
		for _, x := range found {
			if x.Seen == "" {
				t.Fatalf("%s without evidence", x.Code)
			}
		}
		TokensIn(data)
	})
}
