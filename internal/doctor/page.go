package doctor

import (
	"fmt"
	"strings"
)

// legTitles head the parts of the playbook, in the order in which a sign-in goes
// through them.
var legTitles = []struct {
	leg   Leg
	title string
	about string
}{
	{Setup, "The set-up", "Files, variables and configuration, before anybody signs in."},
	{Session, "The AuthKit session", "The sign-in page, the way back to the app, cookies, refresh and sign-out."},
	{Token, "The access token", "What the token says, how long it is good, and how it is refreshed."},
	{Backend, "The backend's acceptance", "Whether the Convex deployment takes the token and knows the caller."},
}

// Playbook writes the catalogue as a page for people (Markdown).
func Playbook() string {
	var b strings.Builder
	b.WriteString(`# Findings

What ` + "`berth doctor`" + ` can find, by the part of sign-in that it breaks. Each has a code that stays;
` + "`berth doctor --explain CODE`" + ` shows the same text. This page is made from the code's own catalogue;
a test fails when it is out of date.

Start with the question: which leg is broken? ` + "`berth verify`" + ` answers it in seconds.

- **No session**: the sign-in page does not open, or does not come back. See [the set-up](#the-set-up) and [the session](#the-authkit-session).
- **A session, but the token flaps**: people are signed out at random. See [the token](#the-access-token), and record a HAR file: ` + "`berth doctor --har`" + `.
- **A session and a token, and ` + "`isAuthenticated`" + ` is false**: See [the backend](#the-backends-acceptance), and ` + "`berth token`" + `.
`)
	for _, l := range legTitles {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", l.title, l.about)
		for _, e := range Catalogue() {
			if e.Leg != l.leg {
				continue
			}
			fmt.Fprintf(&b, "\n### %s\n\n`%s`, %s\n\n%s\n\n**Fix.** %s\n", upperFirst(e.Title), e.Code, e.Severity, e.Why, e.Fix)
			if e.Fixable {
				b.WriteString("`berth doctor --fix` does it.\n")
			}
			for _, link := range e.Links {
				fmt.Fprintf(&b, "<%s>\n", link)
			}
		}
	}
	return b.String()
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
