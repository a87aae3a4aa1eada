package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// What a recording of the browser's network can show. HAR 1.2
// (http://www.softwareishard.com/blog/har-12-spec/), with the members that
// Chromium adds: _initiator, _resourceType, _webSocketMessages.
var (
	harSignOut = define(Entry{Code: "har-background-sign-out", Leg: Session, Severity: Broken, Likely: 95, Requirements: []string{"R97", "R111"},
		Title: "a request in the background signed the person out",
		Why:   "A prefetch or a script loaded the sign-out address; nobody clicked it.",
		Fix:   "Give the link prefetch={false}, or sign out by a POST. The finding names what sent the request."})
	harRateLimited = define(Entry{Code: "har-refresh-rate-limited", Leg: Token, Severity: Broken, Likely: 85, Requirements: []string{"R108"},
		Title: "refreshes of the token were refused for their number",
		Why:   "The environment's rate was used up (429). While that lasts, people lose their session at the next refresh.",
		Fix:   "Look for forced refreshes: getAccessToken() refreshes by itself when it must."})
	harInvalidGrant = define(Entry{Code: "har-refresh-refused", Leg: Session, Severity: Broken, Likely: 80, Requirements: []string{"R108"},
		Title: "the refresh token was refused",
		Why:   "It was used before, its session has ended, or it belongs to another environment. The app signs the person out.",
		Fix:   "Sign in again. If it comes back: two programs share one session, or the client ID was changed."})
	harLoop = define(Entry{Code: "har-redirect-loop", Leg: Session, Severity: Broken, Likely: 88, Requirements: []string{"R94", "R107"},
		Title: "sign-in goes round in circles",
		Why:   "The app sends people to sign in although they come back from it: the callback's cookie is not kept, or a page is protected that the sign-in itself needs.",
		Fix:   "See that the callback sets its cookie on the host that people are on, and that the callback is not protected."})
	harCORS = define(Entry{Code: "har-cors-blocked", Leg: Session, Severity: Broken, Likely: 84, Requirements: []string{"R112"},
		Title: "the browser blocked the answer of the token endpoint",
		Why:   "The environment does not allow the page's origin. The code is spent and the person stays signed out, without an error on the page.",
		Fix:   "Run berth apply, or add the page's origin to corsOrigins in convex.json."})
	harOtherHost = define(Entry{Code: "har-callback-other-host", Leg: Session, Severity: Broken, Likely: 86, Requirements: []string{"R53", "R62", "R100"},
		Title: "the sign-in came back to another host than it began on",
		Why:   "What the sign-in left in the browser, its cookie or its code verifier, is kept for the host where it began: the other one cannot finish it.",
		Fix:   "Send the redirect URI of the host that the visitor is on. berth deploy registers every address of a preview."})
	harCookie = define(Entry{Code: "har-cookie-refused", Leg: Session, Severity: Broken, Likely: 82, Requirements: []string{"R107"},
		Title: "the browser did not keep the session's cookie",
		Why:   "A cookie that is Secure over http, or for another domain, is dropped: the next request has no session.",
		Fix:   "Use https, or localhost, and leave WORKOS_COOKIE_DOMAIN unset unless the domain is the app's."})
	harURIInvalid = define(Entry{Code: "har-redirect-uri-refused", Leg: Session, Severity: Broken, Likely: 94, Requirements: []string{"R63", "R110"},
		Title: "AuthKit refused the redirect URI",
		Why:   "The redirect URI of the request is not registered for the environment, letter by letter.",
		Fix:   "Register the address that the finding names: berth apply does it for those in convex.json."})
	harRefused = define(Entry{Code: "har-backend-refused-token", Leg: Backend, Severity: Broken, Likely: 83, Requirements: []string{"R101", "R109"},
		Title: "the backend refused the token",
		Why:   "The person is signed in and the backend does not accept the token, so queries are anonymous.",
		Fix:   "Run berth token --file with the same file: it says which claim differs."})
)

type har struct {
	Log struct {
		Entries []harEntry `json:"entries"`
	} `json:"log"`
}

type harEntry struct {
	Started time.Time `json:"startedDateTime"`
	Request struct {
		Method  string      `json:"method"`
		URL     string      `json:"url"`
		Headers []harHeader `json:"headers"`
		Post    struct {
			Text string `json:"text"`
		} `json:"postData"`
	} `json:"request"`
	Response struct {
		Status      int         `json:"status"`
		Headers     []harHeader `json:"headers"`
		RedirectURL string      `json:"redirectURL"`
		Content     struct {
			Text string `json:"text"`
		} `json:"content"`
		Error string `json:"_error"`
	} `json:"response"`
	Initiator struct {
		Type string `json:"type"`
		URL  string `json:"url"`
		Line int    `json:"lineNumber"`
	} `json:"_initiator"`
	ResourceType string       `json:"_resourceType"`
	Messages     []harMessage `json:"_webSocketMessages"`
	// BlockedCookies are what Chromium says of cookies that it dropped.
	BlockedCookies []struct {
		Name    string   `json:"name"`
		Reasons []string `json:"blockedReasons"`
	} `json:"_blockedCookies"`
	url *url.URL
}

type harHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harMessage struct {
	Type string `json:"type"` // send, receive
	Data string `json:"data"`
}

func header(list []harHeader, name string) string {
	for _, h := range list {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// MaxHAR bounds the recordings that are read, in bytes.
const MaxHAR = 256 << 20

var recordingChecks = [RecordingChecks]func([]harEntry) []Finding{signOuts, refreshes, loops, blocked, hosts, cookies, refusedURIs, refusedTokens}

// RecordingChecks is how many things ReadHAR looks for.
const RecordingChecks = 8

// ReadHAR finds what a recording of the network shows. The error says why a file
// is no recording. Findings name addresses without their queries: those hold codes.
func ReadHAR(data []byte) ([]Finding, error) {
	var h har
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the file is no HAR file: it is not valid JSON of that form").WithFix("save it in the browser's network tab: Export HAR").WithCode("har_invalid")
	}
	if len(h.Log.Entries) == 0 {
		return nil, fault.New(fault.Invalid, "the HAR file has no requests").WithFix("open the network tab before you sign in, and keep the log while pages change").WithCode("har_empty")
	}
	for i := range h.Log.Entries {
		e := &h.Log.Entries[i]
		if u, err := url.Parse(e.Request.URL); err == nil {
			e.url = u
		} else {
			e.url = &url.URL{}
		}
	}
	slices.SortStableFunc(h.Log.Entries, func(a, b harEntry) int { return a.Started.Compare(b.Started) })
	var found []Finding
	for _, look := range recordingChecks {
		found = append(found, look(h.Log.Entries)...)
	}
	order(found)
	return found, nil
}

// address is a URL as findings name it.
func (e *harEntry) address() string {
	return e.Request.Method + " " + e.url.Scheme + "://" + e.url.Host + e.url.Path
}

func (e *harEntry) at() string {
	if e.Started.IsZero() {
		return ""
	}
	return e.Started.UTC().Format("15:04:05.000")
}

// prefetch says why a request was not made by a person's click, or "".
func (e *harEntry) background() string {
	for _, name := range []string{"Purpose", "Sec-Purpose", "X-Moz"} {
		if v := header(e.Request.Headers, name); strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") {
			return name + ": " + v
		}
	}
	if v := header(e.Request.Headers, "Next-Router-Prefetch"); v != "" {
		return "Next-Router-Prefetch: " + v
	}
	if mode := header(e.Request.Headers, "Sec-Fetch-Mode"); mode != "" && mode != "navigate" && mode != "no-cors" {
		return "Sec-Fetch-Mode: " + mode
	}
	if e.ResourceType == "fetch" || e.ResourceType == "xhr" {
		return "a " + e.ResourceType + " request"
	}
	return ""
}

var signOutWords = []string{"sign-out", "signout", "sign_out", "logout", "log-out"}

func signOuts(entries []harEntry) []Finding {
	var found []Finding
	for i := range entries {
		e := &entries[i]
		last := strings.ToLower(path.Base(e.url.Path))
		if e.Request.Method != http.MethodGet || !slices.ContainsFunc(signOutWords, func(w string) bool { return strings.Contains(last, w) }) {
			continue
		}
		why := e.background()
		if why == "" || strings.HasSuffix(e.url.Path, "/sessions/logout") {
			continue // AuthKit's own address is where the app's sign-out leads
		}
		f := Finding{Code: harSignOut, Where: e.at(), Seen: e.address() + " was loaded in the background (" + why + ")"}
		if e.Initiator.URL != "" {
			f.Proof = append(f.Proof, fmt.Sprintf("sent by %s (%s, line %d)", withoutQuery(e.Initiator.URL), cmp.Or(e.Initiator.Type, "script"), e.Initiator.Line+1))
		} else if r := header(e.Request.Headers, "Referer"); r != "" {
			f.Proof = append(f.Proof, "on the page "+withoutQuery(r))
		}
		found = append(found, f)
	}
	return found
}

func withoutQuery(raw string) string {
	before, _, _ := strings.Cut(raw, "?")
	return before
}

func isTokenEndpoint(e *harEntry) bool {
	return e.Request.Method == http.MethodPost && strings.HasSuffix(e.url.Path, "/user_management/authenticate")
}

func refreshes(entries []harEntry) []Finding {
	limited, refused := 0, 0
	var firstLimited, firstRefused *harEntry
	for i := range entries {
		e := &entries[i]
		if !isTokenEndpoint(e) || strings.Contains(e.Request.Post.Text, "authorization_code") {
			continue
		}
		switch {
		case e.Response.Status == http.StatusTooManyRequests:
			if limited++; firstLimited == nil {
				firstLimited = e
			}
		case e.Response.Status == http.StatusBadRequest && strings.Contains(e.Response.Content.Text, "invalid_grant"):
			if refused++; firstRefused == nil {
				firstRefused = e
			}
		}
	}
	var found []Finding
	if limited > 0 {
		f := Finding{Code: harRateLimited, Where: firstLimited.at(), Seen: fmt.Sprintf("%d of the refreshes got 429", limited)}
		if after := header(firstLimited.Response.Headers, "Retry-After"); after != "" {
			f.Proof = append(f.Proof, "Retry-After: "+after)
		}
		found = append(found, f)
	}
	if refused > 0 {
		found = append(found, Finding{Code: harInvalidGrant, Where: firstRefused.at(), Seen: fmt.Sprintf("%d of the refreshes got invalid_grant", refused)})
	}
	return found
}

// loopLength is how often one address must be passed within loopTime to be a loop.
const (
	loopLength = 4
	loopTime   = 15 * time.Second
)

func loops(entries []harEntry) []Finding {
	seen := map[string][]time.Time{}
	for i := range entries {
		e := &entries[i]
		if e.Response.Status < 300 || e.Response.Status > 399 || !strings.HasSuffix(e.url.Path, "/user_management/authorize") {
			continue
		}
		key := e.url.Host + " " + e.url.Query().Get("redirect_uri")
		times := append(seen[key], e.Started)
		if len(times) >= loopLength && e.Started.Sub(times[len(times)-loopLength]) <= loopTime {
			return []Finding{{Code: harLoop, Where: e.at(), Seen: fmt.Sprintf("the sign-in was begun %d times within %v", loopLength, e.Started.Sub(times[len(times)-loopLength]).Round(time.Second))}}
		}
		seen[key] = times
	}
	return nil
}

func blocked(entries []harEntry) []Finding {
	for i := range entries {
		e := &entries[i]
		origin := header(e.Request.Headers, "Origin")
		if origin == "" || !strings.HasSuffix(e.url.Path, "/user_management/authenticate") {
			continue
		}
		allowed := header(e.Response.Headers, "Access-Control-Allow-Origin")
		failed := e.Response.Status == 0 || strings.Contains(strings.ToUpper(e.Response.Error), "BLOCKED") || strings.Contains(e.Response.Error, "CORS")
		credentials := header(e.Request.Headers, "Cookie") != ""
		switch {
		case e.Response.Status != 0 && allowed == origin, allowed == "*" && !credentials && !failed:
			continue
		case !failed && allowed == "" && e.Response.Status == 0:
			continue
		}
		seen := "the answer has no Access-Control-Allow-Origin"
		if allowed != "" {
			seen = "the answer allows " + allowed
		}
		return []Finding{{Code: harCORS, Where: e.at(), Seen: fmt.Sprintf("%s from %s: %s", e.address(), origin, seen)}}
	}
	return nil
}

// hosts compares where a sign-in began with where its code came back to.
func hosts(entries []harEntry) []Finding {
	for i := range entries {
		e := &entries[i]
		if !strings.HasSuffix(e.url.Path, "/user_management/authorize") {
			continue
		}
		redirect, err := url.Parse(e.url.Query().Get("redirect_uri"))
		if err != nil || redirect.Host == "" {
			continue
		}
		begun := begunOn(entries[:i], e)
		if begun == "" || begun == redirect.Host {
			continue
		}
		return []Finding{{Code: harOtherHost, Where: e.at(), Seen: "the sign-in began on " + begun + " and comes back to " + redirect.Host}}
	}
	return nil
}

// begunOn returns the host of the page that sent the browser to sign in.
func begunOn(before []harEntry, e *harEntry) string {
	if r, err := url.Parse(header(e.Request.Headers, "Referer")); err == nil && r.Host != "" && r.Host != e.url.Host {
		return r.Host
	}
	for i := len(before) - 1; i >= 0; i-- {
		if b := &before[i]; b.Response.RedirectURL != "" && withoutQuery(b.Response.RedirectURL) == withoutQuery(e.Request.URL) {
			return b.url.Host
		}
	}
	return ""
}

func cookies(entries []harEntry) []Finding {
	for i := range entries {
		e := &entries[i]
		for _, b := range e.BlockedCookies {
			if strings.HasPrefix(b.Name, "wos-") || b.Name == "workos-has-session" || strings.Contains(b.Name, "session") {
				return []Finding{{Code: harCookie, Where: e.at(), Seen: fmt.Sprintf("%s set %s, and the browser dropped it: %s", e.address(), b.Name, strings.Join(b.Reasons, ", "))}}
			}
		}
		for _, h := range e.Response.Headers {
			name, rest, ok := strings.Cut(h.Value, "=")
			if !strings.EqualFold(h.Name, "Set-Cookie") || !ok || !strings.HasPrefix(strings.TrimSpace(name), "wos-session") {
				continue
			}
			attributes := strings.ToLower(rest)
			host := e.url.Hostname()
			if strings.Contains(attributes, "; secure") && e.url.Scheme == "http" && host != "localhost" && host != "127.0.0.1" {
				return []Finding{{Code: harCookie, Where: e.at(), Seen: e.address() + " set a Secure cookie over http"}}
			}
			if _, domain, ok := strings.Cut(attributes, "domain="); ok {
				domain, _, _ = strings.Cut(domain, ";")
				domain = strings.TrimPrefix(strings.TrimSpace(domain), ".")
				if domain != host && !strings.HasSuffix(host, "."+domain) {
					return []Finding{{Code: harCookie, Where: e.at(), Seen: fmt.Sprintf("%s set a cookie for the domain %s", e.address(), domain)}}
				}
			}
		}
	}
	return nil
}

func refusedURIs(entries []harEntry) []Finding {
	for i := range entries {
		e := &entries[i]
		if !strings.HasSuffix(e.url.Path, "redirect-uri-invalid") && !strings.Contains(e.Response.Content.Text, `data-hak-page="redirect-uri-invalid"`) {
			continue
		}
		f := Finding{Code: harURIInvalid, Where: e.at(), Seen: "AuthKit showed its page for an invalid redirect URI"}
		for j := i; j >= 0; j-- {
			if uri := entries[j].url.Query().Get("redirect_uri"); uri != "" {
				f.Seen = "AuthKit refused the redirect URI " + withoutQuery(uri)
				break
			}
		}
		return []Finding{f}
	}
	return nil
}

func refusedTokens(entries []harEntry) []Finding {
	for i := range entries {
		e := &entries[i]
		for _, m := range e.Messages {
			var message struct {
				Type  string `json:"type"`
				Error string `json:"error"`
			}
			if m.Type == "receive" && json.Unmarshal([]byte(m.Data), &message) == nil && message.Type == "AuthError" {
				return []Finding{{Code: harRefused, Where: e.at(), Seen: e.url.Host + ": " + message.Error}}
			}
		}
		if e.Response.Status == http.StatusUnauthorized && strings.HasPrefix(e.url.Path, "/api/") && strings.HasPrefix(header(e.Request.Headers, "Authorization"), "Bearer ") {
			var body struct {
				Message string `json:"message"`
			}
			if json.Unmarshal([]byte(e.Response.Content.Text), &body) == nil && body.Message != "" {
				return []Finding{{Code: harRefused, Where: e.at(), Seen: e.url.Host + ": " + body.Message}}
			}
		}
	}
	return nil
}
