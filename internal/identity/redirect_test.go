package identity

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/fault"
)

// The accept and reject cases of the WorkOS documentation (R62).
func TestRedirectVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/redirect-uri-rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Pattern, URI, Register, Environment string
			Match, Accept                       bool
			SetDefault                          string `json:"set_default"`
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 18 {
		t.Fatalf("vector file has %d cases, want at least 18", len(file.Cases))
	}
	for _, c := range file.Cases {
		switch {
		case c.Pattern != "":
			if got := MatchRedirectURI(c.Pattern, c.URI); got != c.Match {
				t.Errorf("MatchRedirectURI(%q, %q) = %v, want %v", c.Pattern, c.URI, got, c.Match)
			}
		case c.SetDefault != "":
			if err := CheckDefaultRedirectURI(c.SetDefault, false); (err == nil) != c.Accept {
				t.Errorf("CheckDefaultRedirectURI(%q) = %v, want accepted %v", c.SetDefault, err, c.Accept)
			}
		default:
			if err := CheckRedirectURI(c.Register, c.Environment == "production"); (err == nil) != c.Accept {
				t.Errorf("CheckRedirectURI(%q, %s) = %v, want accepted %v", c.Register, c.Environment, err, c.Accept)
			}
		}
	}
}

func TestCheckRedirectURI(t *testing.T) {
	const (
		never   = 0
		lower   = 1 // staging and development only
		always  = 2
		longest = "https://app.example.com/"
	)
	cases := []struct {
		uri  string
		want int
	}{
		{"https://app.example.com/callback", always},
		{"https://app.example.com", always},
		{"https://app.example.com/", always},
		{"https://app.example.com?tenant=1", always},
		{"https://app.example.com/callback?tenant=1&next=%2Fhome", always},
		{"https://app.example.com:8443/callback", always},
		{"https://app.example.com:443/callback", always},
		{"https://xn--mnchen-3ya.de/callback", always},
		{"https://a_b.example.com/callback", always},
		{"https://ab--cd.netlify.app/callback", always},
		{"https://203.0.113.7/callback", always},
		{"https://[2001:db8::1]/callback", always},
		{"http://127.0.0.1:3000/callback", always},
		{"http://127.0.0.1:*/callback", always},
		{"http://127.0.0.1/callback", always},
		{"https://127.0.0.1:3000/callback", always},
		{"myapp://callback", always},
		{"com.example.app:/callback", always},
		{"com.example.app://auth/callback", always},
		{"exp://192.168.1.4:8081/--/callback", always},
		{"myapp:///callback", always},
		{"https://*.previews.example.com/callback", always},
		{"https://app-*-team.example.com/callback", always},
		{"https://*.project.pages.dev/callback", always},
		{longest + strings.Repeat("a", MaxRedirectURI-len(longest)), always},

		{"http://app.example.com/callback", lower},
		{"http://*.example.com/callback", lower},
		{"http://localhost:3000/callback", lower},
		{"https://localhost:3000/callback", lower},
		{"http://localhost:*/callback", lower},
		{"http://app.localhost:3000/callback", lower},
		{"https://app.localhost/callback", lower},
		{"http://[::1]:3000/callback", lower},
		{"http://[::1]:*/callback", lower},
		{"https://[::1]/callback", lower},
		{"http://127.0.0.2:3000/callback", lower},
		{"https://127.0.0.2/callback", lower},
		{"http://0.0.0.0:3000/callback", lower},
		{"https://0.0.0.0:3000/callback", lower},
		{"https://[::]/callback", lower},
		{"http://192.168.1.4:3000/callback", lower},

		// Wildcard abuse.
		{"https://*/callback", never},
		{"https://*:*/callback", never},
		{"https://*.com/callback", never},
		{"https://*.co.uk/callback", never},
		{"https://*.vercel.app/callback", never},
		{"https://*.netlify.app/callback", never},
		{"https://*.pages.dev/callback", never},
		{"https://*.workers.dev/callback", never},
		{"https://*.ngrok-free.app/callback", never},
		{"https://*.compute.amazonaws.com/callback", never},
		{"https://app-*-team.vercel.app/callback", never},
		{"https://*.localhost:3000/callback", never},
		{"https://**.example.com/callback", never},
		{"https://a*b*c.example.com/callback", never},
		{"https://*.*.example.com/callback", never},
		{"https://app.*.example.com/callback", never},
		{"https://app.example.*/callback", never},
		{"https://xn--*.example.com/callback", never},
		{"https://*.1.2.3/callback", never},
		{"https://*.0.0.1/callback", never},
		{"https://app.example.com/*", never},
		{"https://app.example.com/callback?x=*", never},
		{"https://app.example.com:*/callback", never},
		{"https://app.example.com:80*/callback", never},
		{"https://127.0.0.1.example.com:*/callback", never},
		{"*://app.example.com/callback", never},
		{"https*://app.example.com/callback", never},
		{"myapp*://callback", never},
		{"myapp://*/callback", never},
		{"myapp://callback:*", never},
		{"*", never},
		{"http://localhost:**/callback", never},
		{"http://*:3000/callback", never},

		// Schemes.
		{"", never},
		{"javascript:alert(1)", never},
		{"javascript://app.example.com/%0aalert(1)", never},
		{"javascript://app.example.com/callback", never},
		{"JavaScript://app.example.com/callback", never},
		{"data:text/html,hello", never},
		{"data://app.example.com/callback", never},
		{"vbscript://callback", never},
		{"file:///etc/passwd", never},
		{"blob:https://app.example.com/1", never},
		{"about:blank", never},
		{"view-source://app.example.com", never},
		{"ftp://app.example.com/callback", never},
		{"wss://app.example.com/callback", never},
		{"intent://callback", never},
		{"app.example.com/callback", never},
		{"app.example.com:443/callback", never},
		{"//app.example.com/callback", never},
		{"/callback", never},
		{"callback", never},
		{":", never},
		{"://", never},
		{"://app.example.com", never},
		{"https:", never},
		{"https:/app.example.com/callback", never},
		{"https:app.example.com/callback", never},
		{"https:///app.example.com/callback", never},
		{"https:////app.example.com/callback", never},
		{"https://", never},
		{"https://?x", never},
		{"HTTPS://app.example.com/callback", never},
		{"Https://app.example.com/callback", never},
		{"myapp:", never},
		{"myapp:callback", never},
		{"myapp://", never},
		{"myapp:/", never},
		{"myapp:////", never},
		{"myapp://user@callback", never},
		{"1app://callback", never},
		{"my app://callback", never},
		{"my_app://callback", never},

		// Hosts.
		{"https://App.example.com/callback", never},
		{"https://app.example.com./callback", never},
		{"https://.example.com/callback", never},
		{"https://app..example.com/callback", never},
		{"https://münchen.de/callback", never},
		{"https://xn--a/callback", never},
		{"https://xn--.example.com/callback", never},
		{"https://xn--example-.com/callback", never},
		{"https://app\u3002example.com/callback", never},
		{"https://app\uff0eexample.com/callback", never},
		{"https://app.ex\u00adample.com/callback", never},
		{"https://app%2Eexample.com/callback", never},
		{"https://%61pp.example.com/callback", never},
		{"https://app.example.com%00.evil.test/callback", never},
		{"https://app.example.com%2f.evil.test/callback", never},
		{"https://user@app.example.com/callback", never},
		{"https://user:hunter2@app.example.com/callback", never},
		{"https://app.example.com@evil.test/callback", never},
		{"https://@app.example.com/callback", never},
		{"https://app.example.com:/callback", never},
		{"https://app.example.com:0/callback", never},
		{"https://app.example.com:65536/callback", never},
		{"https://app.example.com:080/callback", never},
		{"https://app.example.com:+80/callback", never},
		{"https://app.example.com:-1/callback", never},
		{"https://app.example.com:8O/callback", never},
		{"https://app.example.com:80:80/callback", never},
		{"https://:443/callback", never},
		{"https://2130706433/callback", never},
		{"https://0x7f.1/callback", never},
		{"https://0x7f000001/callback", never},
		{"https://127.1/callback", never},
		{"https://0177.0.0.1/callback", never},
		{"https://127.0.0.01/callback", never},
		{"https://app.example.0x/callback", never},
		{"https://1.2.3.4.5/callback", never},
		{"https://256.1.1.1/callback", never},
		{"https://[::1/callback", never},
		{"https://::1/callback", never},
		{"https://[::0001]/callback", never},
		{"https://[::1%25eth0]/callback", never},
		{"https://[::ffff:127.0.0.1]/callback", never},
		{"https://[::ffff:7f00:1]/callback", never},
		{"https://[2001:DB8::1]/callback", never},
		{"https://[127.0.0.1]/callback", never},
		{"https://[::1]x/callback", never},
		{"https://[::1]:80:80/callback", never},
		{"https://a,b.example.com/callback", never},
		{"https://a;b.example.com/callback", never},
		{"https://" + strings.Repeat("a", 64) + ".example.com/callback", never},
		{"https://" + strings.Repeat("a.", 130) + "com/callback", never},

		// Characters and paths.
		{"https://app.example.com/callback#", never},
		{"https://app.example.com/callback#fragment", never},
		{"https://app.example.com\\callback", never},
		{"https:\\\\app.example.com\\callback", never},
		{"https://app.example.com\\@evil.test/callback", never},
		{"https://app.example.com/\\evil.test", never},
		{" https://app.example.com/callback", never},
		{"https://app.example.com/callback ", never},
		{"https://app.example.com/call back", never},
		{"https://app.example.com/call\tback", never},
		{"https://app.exa\tmple.com/callback", never},
		{"https://app.example.com/callback\n", never},
		{"https://app.example.com/callback\r\nSet-Cookie:a=b", never},
		{"https://app.example.com/callback%0d%0aSet-Cookie:a=b", never},
		{"https://app.example.com/call\x00back", never},
		{"https://app.example.com/call%00back", never},
		{"https://app.example.com/call\x7fback", never},
		{"https://app.example.com/call\u200bback", never},
		{"https://app.example.com/call%zzback", never},
		{"https://app.example.com/callback%", never},
		{"https://app.example.com/callback%4", never},
		{"https://app.example.com/<script>", never},
		{"https://app.example.com/\"", never},
		{"https://app.example.com/{id}", never},
		{"https://app.example.com/[id]", never},
		{"https://app.example.com/`", never},
		{"https://${VERCEL_URL}/callback", never},
		{"https://app.example.com/../callback", never},
		{"https://app.example.com/callback/..", never},
		{"https://app.example.com/./callback", never},
		{"https://app.example.com/%2e%2E/callback", never},
		{"https://app.example.com/.%2e/callback", never},
		{"myapp://callback/../other", never},
		{longest + strings.Repeat("a", MaxRedirectURI-len(longest)+1), never},
	}
	for _, c := range cases {
		for _, production := range []bool{false, true} {
			want := c.want == always || c.want == lower && !production
			err := CheckRedirectURI(c.uri, production)
			if (err == nil) != want {
				t.Errorf("CheckRedirectURI(%q, production %v) = %v, want accepted %v", c.uri, production, err, want)
			}
			if err == nil {
				continue
			}
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("CheckRedirectURI(%q) is of kind %v, want invalid", c.uri, fault.From(err).Kind)
			}
			text := err.Error() + fault.From(err).Fix
			if strings.Contains(text, "hunter2") || strings.Contains(text, "%!") || len(text) > 600 {
				t.Errorf("CheckRedirectURI(%q): unfit message %q", c.uri, text)
			}
			for _, r := range text {
				if r < ' ' {
					t.Errorf("CheckRedirectURI(%q): message has a control character: %q", c.uri, text)
				}
			}
		}
	}
}

func TestCheckRedirectURIHidesTheQuery(t *testing.T) {
	err := CheckRedirectURI("https://app.example.com/a b?x-vercel-protection-bypass=hunter2", false)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("CheckRedirectURI with a secret in its query = %v, want an error without the query", err)
	}
}

// Each row holds what is registered, what a request asks for, and the answer
// (R62: exact match).
func TestMatchRedirectURI(t *testing.T) {
	const cb = "https://app.example.com/callback"
	cases := []struct {
		registered, asked string
		want              bool
	}{
		{cb, cb, true},
		{"https://app.example.com", "https://app.example.com/", true},
		{"https://app.example.com/", "https://app.example.com", true},
		{"https://*.example.com", "https://app.example.com/", true},
		{"http://localhost:*", "http://localhost:5173/", true},
		{"myapp://callback", "myapp://callback", true},
		{"com.example.app:/callback", "com.example.app:/callback", true},
		{"https://[2001:db8::1]/callback", "https://[2001:db8::1]/callback", true},
		{"https://app.example.com:443/callback", "https://app.example.com:443/callback", true},

		// Prefix, suffix, path, query.
		{cb, "", false},
		{cb, "https://app.example.com/callbac", false},
		{cb, "https://app.example.com/callback/", false},
		{cb, "https://app.example.com/callback2", false},
		{cb, "https://app.example.com/callback/evil", false},
		{cb, "https://app.example.com/callback?", false},
		{cb, "https://app.example.com/callback?x=1", false},
		{cb + "?x=1", cb, false},
		{cb + "?x=1", cb + "?x=2", false},
		{cb + "?x=1&y=2", cb + "?y=2&x=1", false},
		{cb + "?x=a%20b", cb + "?x=a+b", false},
		{cb, "https://app.example.com//callback", false},
		{cb, "https://app.example.com/./callback", false},
		{cb, "https://app.example.com/x/../callback", false},
		{cb, "https://app.example.com/x/%2e%2e/callback", false},
		{cb, "https://app.example.com/%63allback", false},
		{cb, "https://app.example.com/callback%2f", false},
		{cb, "https://app.example.com/Callback", false},
		{cb, "https://app.example.com/callback;x", false},
		{"https://app.example.com", "https://app.example.com?", false},
		{"https://app.example.com", "https://app.example.com/?", false},
		{"https://app.example.com", "https://app.example.com//", false},
		{"https://app.example.com?x=1", "https://app.example.com/?x=1", false},
		{"https://app.example.com/callback", "https://app.example.com", false},

		// Host.
		{cb, "https://evil.test/callback", false},
		{cb, "https://app.example.com.evil.test/callback", false},
		{cb, "https://evil-app.example.com/callback", false},
		{cb, "https://xapp.example.com/callback", false},
		{cb, "https://example.com/callback", false},
		{cb, "https://APP.example.com/callback", false},
		{cb, "https://app.example.com./callback", false},
		{cb, "https://app.example.com@evil.test/callback", false},
		{cb, "https://evil.test@app.example.com/callback", false},
		{cb, "https://user:pass@app.example.com/callback", false},
		{cb, "https://evil.test\\@app.example.com/callback", false},
		{cb, "https://evil.test#@app.example.com/callback", false},
		{cb, "https://evil.test?@app.example.com/callback", false},
		{cb, "https://evil.test/@app.example.com/callback", false},
		{cb, "https://evil.test/https://app.example.com/callback", false},
		{cb, "https://app.example.com%2f@evil.test/callback", false},
		{cb, "https://app%2eexample.com/callback", false},
		{cb, "https://app\u3002example.com/callback", false},
		{cb, "https://app\uff0eexample.com/callback", false},
		{cb, "https://\u0430pp.example.com/callback", false},
		{cb, "https://app.example.com\u200b/callback", false},
		{cb, "https://app.example.com\x00.evil.test/callback", false},
		{cb, "https://app.exam\tple.com/callback", false},
		{cb, "https://app.example.com\n/callback", false},
		{"https://xn--mnchen-3ya.de/cb", "https://münchen.de/cb", false},
		{"https://xn--mnchen-3ya.de/cb", "https://xn--MNCHEN-3ya.de/cb", false},
		{"https://127.0.0.1/cb", "https://127.1/cb", false},
		{"https://127.0.0.1/cb", "https://2130706433/cb", false},
		{"https://[::1]/cb", "https://[0:0:0:0:0:0:0:1]/cb", false},

		// Scheme and port.
		{cb, "http://app.example.com/callback", false},
		{cb, "HTTPS://app.example.com/callback", false},
		{cb, "https:app.example.com/callback", false},
		{cb, "https:/app.example.com/callback", false},
		{cb, "https:///app.example.com/callback", false},
		{cb, "//app.example.com/callback", false},
		{cb, "javascript://app.example.com/callback", false},
		{cb, "data://app.example.com/callback", false},
		{cb, "https://app.example.com:443/callback", false},
		{cb, "https://app.example.com:8443/callback", false},
		{cb, "https://app.example.com:/callback", false},
		{"https://app.example.com:443/callback", cb, false},
		{"http://localhost:3000/cb", "http://localhost:3001/cb", false},
		{"http://localhost:3000/cb", "http://127.0.0.1:3000/cb", false},
		{"http://localhost:3000/cb", "http://localhost:03000/cb", false},
		{"http://localhost:3000/cb", "http://localhost:3000:3000/cb", false},
		{"myapp://callback", "myapp://callback/", false},
		{"myapp://callback", "MYAPP://callback", false},
		{"myapp://callback", "myapp:/callback", false},
		{"myapp:/callback", "myapp:///callback", false},

		// Other characters.
		{cb, " " + cb, false},
		{cb, cb + " ", false},
		{cb, cb + "\t", false},
		{cb, cb + "\x00", false},
		{cb, cb + "%00", false},
		{cb, cb + "#", false},
		{cb, cb + "#x", false},
		{cb, strings.ReplaceAll(cb, "/", "\\"), false},
		{cb, "https://app.example.com\\callback", false},

		// Wildcards.
		{"https://*.example.com/cb", "https://a.example.com/cb", true},
		{"https://*.example.com/cb", "https://a-b_9.example.com/cb", true},
		{"https://*.example.com/cb", "https://xn--mnchen-3ya.example.com/cb", true},
		{"https://app-*-team.example.com/cb", "https://app-git-x-team.example.com/cb", true},
		{"https://*.example.com:8443/cb", "https://a.example.com:8443/cb", true},
		{"https://*.example.com/cb", "https://.example.com/cb", false},
		{"https://*.example.com/cb", "https://example.com/cb", false},
		{"https://*.example.com/cb", "https://a.b.example.com/cb", false},
		{"https://*.example.com/cb", "https://evil.test/.example.com/cb", false},
		{"https://*.example.com/cb", "https://evil.test?.example.com/cb", false},
		{"https://*.example.com/cb", "https://evil.test#.example.com/cb", false},
		{"https://*.example.com/cb", "https://evil.test%2f.example.com/cb", false},
		{"https://*.example.com/cb", "https://evil.test\\.example.com/cb", false},
		{"https://*.example.com/cb", "https://a@b.example.com/cb", false},
		{"https://*.example.com/cb", "https://A.example.com/cb", false},
		{"https://*.example.com/cb", "https://ä.example.com/cb", false},
		{"https://*.example.com/cb", "https://xn--a.example.com/cb", false},
		{"https://*.example.com/cb", "https://*.example.com/cb", false},
		{"https://*.example.com/cb", "https://a.example.com.evil.test/cb", false},
		{"https://*.example.com/cb", "https://aexample.com/cb", false},
		{"https://*.example.com/cb", "https://a.example.com:8443/cb", false},
		{"https://*.example.com/cb", "https://a.example.com/cb/", false},
		{"https://*.example.com/cb", "http://a.example.com/cb", false},
		{"https://*.example.com/cb", "https://" + strings.Repeat("a", 64) + ".example.com/cb", false},
		{"https://app-*-team.example.com/cb", "https://app--team.example.com/cb", false},
		{"https://app-*-team.example.com/cb", "https://app-team.example.com/cb", false},
		{"https://app-*.example.com/cb", "https://app.example.com/cb", false},
		{"https://a*a.example.com/cb", "https://a.example.com/cb", false},
		{"https://a*a.example.com/cb", "https://aa.example.com/cb", false},
		{"https://*.vercel.app/cb", "https://mine.vercel.app/cb", false},
		{"https://*.com/cb", "https://evil.com/cb", false},
		{"https://*.*.example.com/cb", "https://a.b.example.com/cb", false},
		{"*", cb, false},
		{"https://*", "https://evil.test", false},
		{"http://localhost:*/cb", "http://localhost:1/cb", true},
		{"http://localhost:*/cb", "http://localhost:65535/cb", true},
		{"http://[::1]:*/cb", "http://[::1]:8080/cb", true},
		{"http://localhost:*/cb", "http://localhost/cb", false},
		{"http://localhost:*/cb", "http://localhost:/cb", false},
		{"http://localhost:*/cb", "http://localhost:*/cb", false},
		{"http://localhost:*/cb", "http://localhost:65536/cb", false},
		{"http://localhost:*/cb", "http://localhost:80@evil.test/cb", false},
		{"http://localhost:*/cb", "http://localhost:80.evil.test/cb", false},
		{"http://localhost:*/cb", "http://localhost.evil.test:80/cb", false},
		{"http://localhost:*/cb", "https://localhost:80/cb", false},
		{"https://app.example.com:*/cb", "https://app.example.com:80/cb", false},
	}
	if len(cases) < 100 {
		t.Fatalf("table has %d rows, want at least 100", len(cases))
	}
	for _, c := range cases {
		if got := MatchRedirectURI(c.registered, c.asked); got != c.want {
			t.Errorf("MatchRedirectURI(%q, %q) = %v, want %v", c.registered, c.asked, got, c.want)
		}
		if got := AllowedRedirectURI([]string{"https://other.example.com/", c.registered}, c.asked); got != c.want {
			t.Errorf("AllowedRedirectURI([other, %q], %q) = %v, want %v", c.registered, c.asked, got, c.want)
		}
	}
	if AllowedRedirectURI(nil, cb) {
		t.Errorf("AllowedRedirectURI(nil, %q) = true, want false", cb)
	}
}

func TestCheckDefaultRedirectURI(t *testing.T) {
	cases := []struct {
		uri  string
		want bool
	}{
		{"https://app.example.com/callback", true},
		{"http://127.0.0.1:3000/callback", true},
		{"https://*.example.com/callback", false},
		{"http://127.0.0.1:*/callback", false},
		{"http://localhost:3000/callback", false},
	}
	for _, c := range cases {
		if err := CheckDefaultRedirectURI(c.uri, true); (err == nil) != c.want {
			t.Errorf("CheckDefaultRedirectURI(%q, production) = %v, want accepted %v", c.uri, err, c.want)
		}
	}
}

func TestClosest(t *testing.T) {
	registered := []string{
		"http://localhost:5173/callback",
		"https://app-git-feature-team.vercel.app/callback",
		"https://app-team.vercel.app/callback",
	}
	cases := []struct {
		asked, uri, departs string
	}{
		{"http://localhost:5174/callback", registered[0], "4/callback"},
		{"http://localhost:5173/callback/", registered[0], "/"},
		{"http://localhost:5173/callbac", registered[0], ""},
		{"https://app-x1y2z3-team.vercel.app/callback", registered[2], "x1y2z3-team.vercel.app/callback"},
		{"https://app-git-feature2-team.vercel.app/callback", registered[1], "2-team.vercel.app/callback"},
		{"http://app-team.vercel.app/callback", registered[2], "://app-team.vercel.app/callback"},
	}
	for _, c := range cases {
		uri, at := Closest(registered, c.asked)
		if uri != c.uri || at < 0 || c.asked[at:] != c.departs {
			t.Errorf("Closest(%q) = %q, %d, want %q, departing at %q", c.asked, uri, at, c.uri, c.departs)
		}
	}
	if uri, at := Closest(nil, "https://app.example.com"); uri != "" || at != -1 {
		t.Errorf("Closest(nil) = %q, %d, want none, -1", uri, at)
	}
	// é and è share their first byte; the offset is that of the character.
	if _, at := Closest([]string{"https://a/é"}, "https://a/è"); at != 10 {
		t.Errorf("Closest with two accents departs at %d, want 10", at)
	}
}

func FuzzMatchRedirectURI(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://app.example.com/callback", "https://app.example.com/callback"},
		{"https://app.example.com", "https://app.example.com/"},
		{"https://*.example.com/cb", "https://a.example.com/cb"},
		{"https://app-*-x.example.com/cb?a=b", "https://app-1-x.example.com/cb?a=b"},
		{"http://localhost:*/cb", "http://localhost:5173/cb"},
		{"http://[::1]:*/cb", "http://[::1]:5173/cb"},
		{"myapp://callback", "myapp://callback"},
		{"https://app.example.com/cb", "https://app.example.com\\@evil.test/cb"},
		{"https://127.0.0.1/cb", "https://0x7f.1/cb"},
		{"https://xn--mnchen-3ya.de/cb", "https://m\u00fcnchen.de/cb"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, asked string) {
		if uri, at := Closest([]string{registered}, asked); uri != registered || at < 0 || at > len(asked) {
			t.Fatalf("Closest(%q, %q) = %q, %d", registered, asked, uri, at)
		}
		exact := CheckRedirectURI(registered, false) == nil && !strings.Contains(registered, "*")
		if exact && !MatchRedirectURI(registered, registered) {
			t.Fatalf("MatchRedirectURI(%q, itself) = false, want true", registered)
		}
		if !MatchRedirectURI(registered, asked) {
			return
		}
		if err := CheckRedirectURI(registered, false); err != nil {
			t.Fatalf("MatchRedirectURI(%q, %q) = true for an entry that may not be registered: %v", registered, asked, err)
		}
		if err := CheckRedirectURI(asked, false); err != nil {
			t.Fatalf("MatchRedirectURI(%q, %q) = true for an ill-formed request: %v", registered, asked, err)
		}
		if exact && asked != registered {
			bare := strings.TrimSuffix(registered, "/")
			if strings.TrimSuffix(asked, "/") != bare || strings.ContainsAny(bare[strings.Index(bare, "//")+2:], "/?") {
				t.Fatalf("MatchRedirectURI(%q, %q) = true, want equality", registered, asked)
			}
		}
		a, err := url.Parse(asked)
		if err != nil {
			t.Fatalf("url.Parse(%q), which matched %q: %v", asked, registered, err)
		}
		if a.User != nil || a.Fragment != "" || a.Opaque != "" {
			t.Fatalf("url.Parse(%q), which matched %q, has user, fragment or opaque part", asked, registered)
		}
		// What a browser connects to is what was registered.
		r, err := url.Parse(strings.NewReplacer(":*", ":"+a.Port(), "*", "star").Replace(registered))
		if err != nil {
			t.Fatalf("url.Parse(%q): %v", registered, err)
		}
		if a.Scheme != r.Scheme || a.Port() != r.Port() {
			t.Fatalf("%q, which matched %q, has another scheme or port", asked, registered)
		}
		if _, parent, ok := strings.Cut(r.Hostname(), "."); strings.Contains(r.Hostname(), "star") && strings.Contains(registered, "*") && !strings.Contains(registered, ":*") {
			if _, askedParent, _ := strings.Cut(a.Hostname(), "."); !ok || askedParent != parent {
				t.Fatalf("%q, which matched %q, has another parent domain", asked, registered)
			}
		} else if a.Hostname() != r.Hostname() {
			t.Fatalf("%q, which matched %q, has another host", asked, registered)
		}
	})
}
