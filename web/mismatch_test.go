package web

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// R62: the page names the first character that differs from the closest registered URI.
func TestMismatchMarksTheFirstDifference(t *testing.T) {
	for _, c := range []struct {
		name       string
		asked      string
		registered []string
		want       [2]marked // asked, closest
		difference string
	}{
		{
			"another port", "http://localhost:3001/callback",
			[]string{"https://app.example.com/callback", "http://localhost:3000/callback"},
			[2]marked{{"http://localhost:300", "1", "/callback"}, {"http://localhost:300", "0", "/callback"}},
			"First difference: the port, at character 21. Asked for: “1”, registered: “0”.",
		},
		{
			"a slash too few", "https://a.example/cb", []string{"https://a.example/cb/"},
			[2]marked{{"https://a.example/cb", "", ""}, {"https://a.example/cb", "/", ""}},
			"First difference: the slash at the end, at character 21. The address asked for ends there; the registered one goes on with “/”.",
		},
		{
			"a query too many", "https://a.example/cb?x=1", []string{"https://a.example/cb"},
			[2]marked{{"https://a.example/cb", "?", "x=1"}, {"https://a.example/cb", "", ""}},
			"First difference: the query, at character 21. The registered address ends there; the one asked for goes on with “?”.",
		},
		{
			"another scheme", "http://a.example/cb", []string{"https://a.example/cb", "http://b.example/other/path"},
			[2]marked{{"http", ":", "//a.example/cb"}, {"http", "s", "://a.example/cb"}},
			"First difference: the scheme, at character 5. Asked for: “:”, registered: “s”.",
		},
		{
			"a letter of another alphabet", "https://a.example/c\u0430llback", []string{"https://a.example/callback"},
			[2]marked{{"https://a.example/c", "а", "llback"}, {"https://a.example/c", "a", "llback"}},
			"First difference: the path, at character 20. Asked for: “а” (U+0430), registered: “a”.",
		},
		{
			"a hidden direction mark", "https://a.example/\u202ecb", []string{"https://a.example/cb"},
			[2]marked{{"https://a.example/", `\u202e`, "cb"}, {"https://a.example/", "c", "b"}},
			"First difference: the path, at character 19. Asked for: “\\u202e”, registered: “c”.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMismatch(c.asked, c.registered, Dev, "redirectUris")
			if diff := cmp.Diff(c.want, [2]marked{m.Asked, m.Closest}); diff != "" {
				t.Errorf("marks differ (-want +got):\n%s", diff)
			}
			if m.Difference != c.difference {
				t.Errorf("Difference = %q, want %q", m.Difference, c.difference)
			}
		})
	}
}

func TestRedirectURIPage(t *testing.T) {
	asked := "https://harbour-notes-git-x-acme.vercel.app/auth/callback"
	doc := renderPage(t, RedirectURIInvalid{Frame: previewFrame, Asked: asked, Registered: []string{"https://other.example/cb"}})
	for _, want := range []string{
		`data-hak-page="redirect-uri-invalid"`, "<title>Invalid Redirect URI</title>", "used a redirect URI that is not registered",
		"https://other.example/cb", "${buildEnv.VERCEL_BRANCH_URL}/auth/callback", "berth apply",
		`&#34;redirectUris&#34;: [`,
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("page does not contain %q", want)
		}
	}
	if strings.Contains(doc, "href=\""+asked) || strings.Contains(doc, "<a ") {
		t.Error("page has a link")
	}
}

func TestAddressesThatCannotBeRegisteredGetNoSnippet(t *testing.T) {
	for _, asked := range []string{"callback", "/callback", "https://a.example/cb#top", "https://a.example/a b", "https://a.example/\u202e", "https://a.example/" + strings.Repeat("a", 2000)} {
		if m := newMismatch(asked, nil, Dev, "redirectUris"); m.Snippet != "" {
			t.Errorf("newMismatch(%.40q).Snippet = %q, want none", asked, m.Snippet)
		}
	}
}

func TestConfigureSnippet(t *testing.T) {
	want := `"authKit": {
  "prod": {
    "configure": {
      "redirectUris": [
        "https://a.example/cb?a=1&b=2"
      ]
    }
  }
}`
	if diff := cmp.Diff(want, configureSnippet("", "redirectUris", []string{"https://a.example/cb?a=1&b=2"})); diff != "" {
		t.Errorf("configureSnippet differs (-want +got):\n%s", diff)
	}
}

func TestLongListsFold(t *testing.T) {
	for _, c := range []struct{ total, first, more int }{{0, 0, 0}, {6, 6, 0}, {7, 7, 0}, {8, 6, 2}, {40, 6, 34}} {
		registered := make([]string, c.total)
		for i := range registered {
			registered[i] = fmt.Sprintf("https://a%d.example/cb", i)
		}
		m := newMismatch("https://b.example/cb", registered, Dev, "redirectUris")
		if len(m.First) != c.first || len(m.More) != c.more {
			t.Errorf("%d registered: %d shown and %d folded, want %d and %d", c.total, len(m.First), len(m.More), c.first, c.more)
		}
	}
}

func TestOnlyLowerDeploymentsShowTestUsersInboxAndBadge(t *testing.T) {
	for kind, want := range map[Kind]bool{Dev: true, Preview: true, Prod: false, "": false, "staging": false} {
		frame := Frame{Brand: Brand{Name: "A"}, Kind: kind, Deployment: "the-deployment"}
		in := renderPage(t, SignIn{Frame: frame, TestUsers: sampleUsers(2)})
		if got := strings.Contains(in, `name="test_user"`); got != want {
			t.Errorf("kind %q: test users shown = %t, want %t", kind, got, want)
		}
		if got := strings.Contains(in, "the-deployment"); got != want {
			t.Errorf("kind %q: badge shown = %t, want %t", kind, got, want)
		}
		sent := renderPage(t, ResetSent{Frame: frame, Inbox: Inbox{URL: "/inbox", Command: "berth inbox"}})
		if got := strings.Contains(sent, "berth inbox"); got != want {
			t.Errorf("kind %q: inbox shown = %t, want %t", kind, got, want)
		}
	}
}

func TestFormsCarryHiddenFields(t *testing.T) {
	form := Form{Action: "/post-here", Hidden: []Field{{"csrf", `a"b`}, {"state", "s"}}}
	for _, p := range []Page{SignIn{Form: form}, SignUp{Form: form}, EmailVerification{Form: form}, ResetRequest{Form: form}, ResetNew{Form: form}} {
		doc := renderPage(t, p)
		for _, want := range []string{`action="/post-here"`, `<input type="hidden" name="csrf" value="a&#34;b">`, `<input type="hidden" name="state" value="s">`} {
			if !strings.Contains(doc, want) {
				t.Errorf("%T does not contain %s", p, want)
			}
		}
	}
}

func TestErrorsAreAnnounced(t *testing.T) {
	doc := renderPage(t, SignIn{Error: "No match.", EmailError: "Wrong form."})
	for _, want := range []string{"<title>Error: Sign in</title>", `<div class="alert" role="alert"><p>No match.</p>`, `aria-describedby="email-error" aria-invalid="true" autofocus`} {
		if !strings.Contains(doc, want) {
			t.Errorf("page does not contain %s", want)
		}
	}
}

func TestWaitText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "in a moment", 0: "in a moment", time.Millisecond: "in 1 second", 1500 * time.Millisecond: "in 2 seconds",
		90 * time.Second: "in 90 seconds", 91 * time.Second: "in 2 minutes", 10 * time.Minute: "in 10 minutes", 3 * time.Hour: "in 3 hours",
	} {
		if got := waitText(d); got != want {
			t.Errorf("waitText(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{
		"Harbour Notes": "HN", "acme": "A", "The Society of Long Names": "TN", "": "", "🚀": "", "🚀 élan": "É", "<b>": "B", "مرفأ": "م",
	} {
		if got := (Brand{Name: name}).Initials(); got != want {
			t.Errorf("Initials(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzMismatch(f *testing.F) {
	f.Add("http://localhost:3000/cb", "http://localhost:3001/cb")
	f.Add("\xff\u202e", "*")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, asked, registered string) {
		m := newMismatch(asked, []string{registered}, Preview, "redirectUris")
		for _, s := range []string{m.Asked.Before, m.Asked.Mark, m.Asked.After, m.Closest.Before, m.Closest.Mark, m.Closest.After, m.Difference} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\r\x00\u202e\u200b") {
				t.Errorf("newMismatch(%q, %q) shows %q", asked, registered, s)
			}
		}
	})
}
