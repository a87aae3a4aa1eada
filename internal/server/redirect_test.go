package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/store"
)

// registered is what the environment of the adversarial requests knows.
var registered = []string{
	"https://app.example.com/callback",
	"https://bare.example.com",
	"https://query.example.com/callback?tenant=1",
	"https://*.previews.example.com/callback",
	"https://port.example.com:8443/callback",
	"http://localhost:*/callback",
	"http://127.0.0.1:3000/callback",
	"https://xn--mnchen-3ya.de/callback",
	"myapp://callback",
}

// adversarial are redirect URIs that somebody may ask for; true marks the ones
// that the rules allow (R62, RFC 9700 section 2.1).
var adversarial = []struct {
	asked string
	want  bool
}{
	{"https://app.example.com/callback", true},
	{"https://bare.example.com", true},
	{"https://bare.example.com/", true},
	{"https://query.example.com/callback?tenant=1", true},
	{"https://pr-1.previews.example.com/callback", true},
	{"https://a_b.previews.example.com/callback", true},
	{"https://port.example.com:8443/callback", true},
	{"http://localhost:5173/callback", true},
	{"http://127.0.0.1:3000/callback", true},
	{"https://xn--mnchen-3ya.de/callback", true},
	{"myapp://callback", true},

	// Prefix, suffix, path and query.
	{"https://app.example.com", false},
	{"https://app.example.com/", false},
	{"https://app.example.com/callbac", false},
	{"https://app.example.com/callback/", false},
	{"https://app.example.com/callback2", false},
	{"https://app.example.com/callback/evil", false},
	{"https://app.example.com/callback;x", false},
	{"https://app.example.com/callback?", false},
	{"https://app.example.com/callback?x=1", false},
	{"https://app.example.com/callback&x=1", false},
	{"https://app.example.com//callback", false},
	{"https://app.example.com/Callback", false},
	{"https://query.example.com/callback", false},
	{"https://query.example.com/callback?tenant=2", false},
	{"https://query.example.com/callback?tenant=1&tenant=2", false},
	{"https://bare.example.com//", false},
	{"https://bare.example.com/x", false},
	{"https://bare.example.com?", false},
	// Host.
	{"https://evil.test/callback", false},
	{"https://app.example.com.evil.test/callback", false},
	{"https://app.example.comevil.test/callback", false},
	{"https://evilapp.example.com/callback", false},
	{"https://evil.test/app.example.com/callback", false},
	{"https://evil.test/?https://app.example.com/callback", false},
	{"https://app.example.com./callback", false},
	{"https://.app.example.com/callback", false},
	{"https://APP.example.com/callback", false},
	{"https://app%2eexample%2ecom/callback", false},
	{"https://app.example.com%00.evil.test/callback", false},
	{"https://app。example。com/callback", false},
	{"https://аpp.example.com/callback", false}, // Cyrillic а
	{"https://xn--pp-6kc.example.com/callback", false},
	{"https://münchen.de/callback", false},
	{"https://app.example.com\u200b/callback", false},
	// User name and password.
	{"https://app.example.com@evil.test/callback", false},
	{"https://app.example.com:443@evil.test/callback", false},
	{"https://evil.test@app.example.com/callback", false},
	{"https://user:pass@app.example.com/callback", false},
	{"https://app.example.com%40evil.test/callback", false},
	// Port.
	{"https://app.example.com:443/callback", false},
	{"https://app.example.com:80/callback", false},
	{"https://app.example.com:/callback", false},
	{"https://app.example.com:0443/callback", false},
	{"https://app.example.com:8443/callback", false},
	{"https://port.example.com/callback", false},
	{"https://port.example.com:8444/callback", false},
	{"http://localhost/callback", false},
	{"http://localhost:*/callback", false},
	{"http://localhost:99999/callback", false},
	{"http://localhost:5173@evil.test/callback", false},
	{"http://localhost.evil.test:5173/callback", false},
	{"http://127.0.0.1:3001/callback", false},
	{"http://127.1:3000/callback", false},
	{"http://2130706433:3000/callback", false},
	{"http://0x7f.0.0.1:3000/callback", false},
	{"http://[::1]:3000/callback", false},
	// Scheme.
	{"http://app.example.com/callback", false},
	{"HTTPS://app.example.com/callback", false},
	{"//app.example.com/callback", false},
	{"/callback", false},
	{"app.example.com/callback", false},
	{"https:app.example.com/callback", false},
	{"https:/app.example.com/callback", false},
	{"https:///app.example.com/callback", false},
	{"javascript:alert(1)//app.example.com/callback", false},
	{"data:text/html,<script>alert(1)</script>", false},
	{"ftp://app.example.com/callback", false},
	{"myapp://callback/", false},
	{"myapp://evil", false},
	{"myapp2://callback", false},
	{"myapp:callback", false},
	// Characters.
	{"https://app.example.com\\callback", false},
	{"https://app.example.com\\@evil.test/callback", false},
	{"https://evil.test\\.app.example.com/callback", false},
	{"https:\\\\app.example.com\\callback", false},
	{"https://app.example.com/callback#", false},
	{"https://app.example.com/callback#x", false},
	{"https://evil.test#app.example.com/callback", false},
	{"https://app.example.com/call%62ack", false},
	{"https://app.example.com/%63allback", false},
	{"https://app.example.com/x/../callback", false},
	{"https://app.example.com/./callback", false},
	{"https://app.example.com/%2e%2e/callback", false},
	{" https://app.example.com/callback", false},
	{"https://app.example.com/callback ", false},
	{"https://app.example.com/call\tback", false},
	{"https://app.example.com/callback\r\nSet-Cookie: a=b", false},
	{"https://app.example.com/callback%0d%0aSet-Cookie:%20a=b", false},
	{"https://app.example.com/callback\x00", false},
	{"https://app.example.com/\"><script>alert(1)</script>", false},
	{"https://app.example.com/'onmouseover='alert(1)", false},
	{"https://app.example.com/{{.}}", false},
	// Wildcards.
	{"https://*.previews.example.com/callback", false},
	{"https://previews.example.com/callback", false},
	{"https://.previews.example.com/callback", false},
	{"https://a.b.previews.example.com/callback", false},
	{"https://evil.test/.previews.example.com/callback", false},
	{"https://evil.test?.previews.example.com/callback", false},
	{"https://evil.test#.previews.example.com/callback", false},
	{"https://evil.test%2f.previews.example.com/callback", false},
	{"https://evil.test:443.previews.example.com/callback", false},
	{"https://a@b.previews.example.com/callback", false},
	{"http://pr-1.previews.example.com/callback", false},
	{"https://pr-1.previews.example.com/callback/x", false},
	{"https://pr-1.previews.example.com:444/callback", false},
	{"https://PR-1.previews.example.com/callback", false},
	{"*", false},
	{"https://app.example.com/" + strings.Repeat("a", 3000), false},
}

func authorizeURL(base, clientID, redirectURI string, more url.Values) string {
	q := url.Values{"client_id": {clientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "provider": {"authkit"},
		"state": {"s"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	for k, v := range more {
		q[k] = v
		if v == nil {
			q.Del(k)
		}
	}
	return base + "/user_management/authorize?" + q.Encode()
}

var tags = regexp.MustCompile(`<[^>]*>`)

// text returns what a person reads on a page.
func text(page string) string { return html.UnescapeString(tags.ReplaceAllString(page, "")) }

func TestAuthorizeRedirectsToRegisteredURIsOnly(t *testing.T) {
	if len(adversarial) < 80 {
		t.Fatalf("there are %d adversarial URIs, want at least 80", len(adversarial))
	}
	s := start(t)
	_, e := environment(t, s, "dev")
	for _, uri := range registered {
		if _, err := e.AddRedirectURI(t.Context(), uri); err != nil {
			t.Fatalf("register %s: %v", uri, err)
		}
	}
	c := browser(t)
	for _, try := range adversarial {
		// A request that is fine but for its redirect URI, and ones that would
		// be answered by a redirect.
		for name, more := range map[string]url.Values{"good": nil, "bad response type": {"response_type": {"token"}}, "bad challenge": {"code_challenge_method": {"plain"}},
			"fragment": {"response_mode": {"fragment"}}, "form_post": {"response_mode": {"form_post"}}, "other provider": {"provider": {"NoSuchOAuth"}}} {
			resp, page := get(t, c, authorizeURL(s.URL(), e.ClientID, try.asked, more))
			to := resp.Header.Get("Location")
			switch {
			case try.want && resp.StatusCode != http.StatusFound:
				t.Errorf("authorize (%s) for %q = %d, want 302", name, try.asked, resp.StatusCode)
			case try.want && !strings.HasPrefix(to, "/sign-in?") && !strings.HasPrefix(to, try.asked):
				t.Errorf("authorize (%s) for %q leads to %q", name, try.asked, to)
			case try.want:
			case resp.StatusCode != http.StatusBadRequest || to != "" || !strings.Contains(page, `data-hak-page="redirect-uri-invalid"`):
				t.Errorf("authorize (%s) for %q = %d, Location %q; want the page redirect-uri-invalid", name, try.asked, resp.StatusCode, to)
			}
			if try.want || name != "good" {
				continue
			}
			shown := text(page)
			for _, uri := range registered {
				if !strings.Contains(shown, uri) {
					t.Errorf("the page for %q does not show the registered %s", try.asked, uri)
				}
			}
			if plain := regexp.MustCompile(`^[!-~]{1,200}$`); plain.MatchString(try.asked) && !strings.Contains(shown, try.asked) {
				t.Errorf("the page does not show the URI that was asked for, %q:\n%s", try.asked, shown)
			}
			if strings.Contains(page, "<script>alert") || strings.Contains(page, `href="https://evil`) || strings.Contains(page, "onmouseover='") || resp.Header.Get("Set-Cookie") == "a=b" {
				t.Errorf("the page for %q is not escaped", try.asked)
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "evil") {
				t.Errorf("the page for %q has the policy %q", try.asked, csp)
			}
		}
	}
}

func TestAuthorizeRefusesDoubledAndUnreadableParameters(t *testing.T) {
	s := start(t)
	_, e := environment(t, s, "dev")
	const callback = "https://app.example.com/callback"
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	good := authorizeURL(s.URL(), e.ClientID, callback, nil)
	for _, more := range []string{
		"&redirect_uri=https://evil.test", "&redirect_uri=" + callback, "&client_id=x", "&response_type=token", "&state=other", "&code_challenge=" + challenge(),
		"&code_challenge_method=plain", "&provider=NoSuchOAuth", "&redirect_uri", "&redirect%5furi=https://evil.test", // the name itself may be encoded
	} {
		resp, _ := get(t, browser(t), good+more)
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("authorize with %q added = %d to %q, want 400 and no redirect", more, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	// What cannot be read must not be taken for absent: absent means the default URI.
	for _, broken := range []string{"redirect_uri=%zz", "redirect_uri=https://evil.test;x", "redirect_uri=%"} {
		u := strings.Replace(authorizeURL(s.URL(), e.ClientID, callback, url.Values{"redirect_uri": nil}), "?", "?"+broken+"&", 1)
		resp, _ := get(t, browser(t), u)
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("authorize with %q = %d to %q, want 400 and no redirect", broken, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	// Without redirect_uri the default one is used; without a default there is the page.
	resp, _ := get(t, browser(t), authorizeURL(s.URL(), e.ClientID, "", url.Values{"redirect_uri": nil}))
	if resp.StatusCode != http.StatusFound {
		t.Errorf("authorize without redirect_uri = %d, want 302 for the default one", resp.StatusCode)
	}
	_, none := environment(t, s, "none")
	resp, page := get(t, browser(t), authorizeURL(s.URL(), none.ClientID, "", url.Values{"redirect_uri": nil}))
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "redirect-uri-invalid") {
		t.Errorf("authorize without redirect_uri and without any = %d, want the page", resp.StatusCode)
	}
	resp, page = get(t, browser(t), authorizeURL(s.URL(), "client_unknown<script>", callback, nil))
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(page, `data-hak-page="client-id-invalid"`) || strings.Contains(page, "unknown<script>") {
		t.Errorf("authorize for an unknown client = %d, want the page client-id-invalid, escaped", resp.StatusCode)
	}
}

// Errors return to the registered URI only, with state, and a query stays.
func TestAuthorizeReturnsErrorsToTheApplication(t *testing.T) {
	s := start(t)
	_, e := environment(t, s, "dev")
	const callback = "https://app.example.com/callback?tenant=1"
	if _, err := e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		more url.Values
		want string
	}{
		"response type":       {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"no response type":    {url.Values{"response_type": nil}, "unsupported_response_type"},
		"plain":               {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"no method":           {url.Values{"code_challenge_method": nil}, "invalid_request"},
		"method alone":        {url.Values{"code_challenge": nil}, "invalid_request"},
		"short challenge":     {url.Values{"code_challenge": {"abc"}}, "invalid_request"},
		"padded challenge":    {url.Values{"code_challenge": {challenge() + "="}}, "invalid_request"},
		"challenge of spaces": {url.Values{"code_challenge": {strings.Repeat(" ", 43)}}, "invalid_request"},
		"screen hint":         {url.Values{"screen_hint": {"evil"}}, "invalid_request"},
		"provider":            {url.Values{"provider": {"NoSuchOAuth"}}, "connection_invalid"},
		"connection":          {url.Values{"provider": nil, "connection_id": {"conn_1"}}, "connection_invalid"},
		"organization":        {url.Values{"provider": nil, "organization_id": {"org_1"}}, "organization_invalid"},
	} {
		resp, _ := get(t, browser(t), authorizeURL(s.URL(), e.ClientID, callback, c.more))
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != http.StatusFound || to.Host != "app.example.com" || to.Path != "/callback" {
			t.Errorf("%s: authorize = %d to %v, want 302 to the application", name, resp.StatusCode, to)
			continue
		}
		q := to.Query()
		if q.Get("error") != c.want || q.Get("error_description") == "" || q.Get("state") != "s" || q.Get("tenant") != "1" || q.Has("code") {
			t.Errorf("%s: returned %v, want error %s with description, state and the URI's own query", name, q, c.want)
		}
	}
	resp, page := get(t, browser(t), authorizeURL(s.URL(), e.ClientID, callback, url.Values{"provider": nil}))
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || !strings.Contains(page, "provider") {
		t.Errorf("authorize without a selector = %d to %q, want a page", resp.StatusCode, resp.Header.Get("Location"))
	}
}

func TestARedirectURIThatIsRemovedWhileThePageIsOpenGetsNothing(t *testing.T) {
	s := start(t)
	_, e := environment(t, s, "dev")
	for _, uri := range []string{"https://keep.example.com/callback", "https://app.example.com/callback"} {
		if _, err := e.AddRedirectURI(t.Context(), uri); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/sign-up", "/sign-in"} {
		c := browser(t)
		flow := openFlow(t, c, s.URL(), e, "https://app.example.com/callback", path)
		if err := e.RemoveEntries(t.Context(), []string{"https://app.example.com/callback"}, nil); err != nil {
			t.Fatal(err)
		}
		resp, page := post(t, c, s.URL()+path, url.Values{"flow": {flow}, "email": {"ada@example.com"}, "password": {password}})
		if path == "/sign-up" { // by the last step it is known to be gone
			resp, page = proveAddress(t, c, s.URL(), e, "ada@example.com", resp, page)
		}
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || !strings.Contains(page, `data-hak-page="redirect-uri-invalid"`) {
			t.Errorf("post %s after the removal = %d to %q, want the page redirect-uri-invalid", path, resp.StatusCode, resp.Header.Get("Location"))
		}
		if _, err := e.AddRedirectURI(t.Context(), "https://app.example.com/callback"); err != nil {
			t.Fatal(err)
		}
	}
}

// openFlow begins a sign-in and returns the sealed flow of its page.
func openFlow(t testing.TB, c *http.Client, base string, e *store.Env, redirectURI, path string) string {
	t.Helper()
	more := url.Values{}
	if path == "/sign-up" {
		more.Set("screen_hint", "sign-up")
	}
	resp, _ := get(t, c, authorizeURL(base, e.ClientID, redirectURI, more))
	resp, page := get(t, c, base+resp.Header.Get("Location"))
	found := flowField.FindStringSubmatch(page)
	if resp.StatusCode != http.StatusOK || found == nil {
		t.Fatalf("%s = %d:\n%s", path, resp.StatusCode, page)
	}
	return found[1]
}
