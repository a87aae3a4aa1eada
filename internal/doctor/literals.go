package doctor

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// What is written into the code although it differs between deployments.
var (
	urlFixed = define(Entry{Code: "convex-url-fixed", Leg: Backend, Severity: Risky, Likely: 46, Requirements: []string{"R47", "R65"},
		Title: "the backend's address is written into the code",
		Why:   "Every build talks to that one deployment: previews and development use its data, and its auth.config decides about their tokens.",
		Fix:   "Read it from the variable that convex sets, such as import.meta.env.VITE_CONVEX_URL or process.env.NEXT_PUBLIC_CONVEX_URL."})
	urlMissing = define(Entry{Code: "convex-url-not-passed", Leg: Backend, Severity: Broken, Likely: 77, Requirements: []string{"R65", "R101"},
		Title: "the Convex client gets no address",
		Why:   "The client throws when it is made, and the page stays empty.",
		Fix:   "Pass the variable that convex sets: new ConvexReactClient(import.meta.env.VITE_CONVEX_URL)."})
	clientFixed = define(Entry{Code: "client-id-fixed", Leg: Token, Severity: Risky, Likely: 44, Requirements: []string{"R38", "R47"},
		Title: "the client ID is written into the code",
		Why:   "Every build signs in with that one environment, while each deployment expects the tokens of its own.",
		Fix:   "Read it from a variable, such as import.meta.env.VITE_WORKOS_CLIENT_ID."})
	redirectFixed = define(Entry{Code: "redirect-uri-fixed", Leg: Session, Severity: Risky, Likely: 47, Requirements: []string{"R39", "R47", "R62"},
		Title: "the redirect URI is written into the code",
		Why:   "A build for another address, a preview or production, sends people to this one after the sign-in.",
		Fix:   "Leave it out of the code: `${window.location.origin}/callback`, or a variable."})
	devModeFixed = define(Entry{Code: "dev-mode-fixed", Leg: Session, Severity: Noticed, Likely: 20, Requirements: []string{"R39", "R47"},
		Title: "development mode is switched on for every build",
		Why:   "The refresh token is then kept where scripts of the page can read it, in production too.",
		Fix:   "Leave devMode out: it is on for localhost by itself. In production a custom auth domain keeps the token in a cookie; without one this is a choice to make knowingly."})
	ensureInComponent = define(Entry{Code: "next-ensure-signed-in-in-page", Leg: Session, Severity: Broken, Likely: 66, Requirements: []string{"R93", "R94"},
		Title: "a page asks withAuth to start the sign-in",
		Why:   "Starting a sign-in sets a cookie, and Next.js lets no server component set one: who is signed out gets an error 500 in place of the sign-in.",
		Fix:   "Ask withAuth() without ensureSignedIn, and redirect to a route that returns getSignInUrl(); or protect the path in the middleware."})
)

var _ = register(Check{Name: "values in the code", Needs: NeedsApp, Codes: []string{urlFixed, urlMissing, clientFixed, redirectFixed, devModeFixed, ensureInComponent}, Run: checkLiterals})

func checkLiterals(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	protected := slices.ContainsFunc(s.Source.Files, func(f *SourceFile) bool {
		return slices.ContainsFunc(f.Calls, func(c *Call) bool {
			return c.Callee.Module == authkitNext && len(c.Args) > 0 && strings.Contains(c.Args[len(c.Args)-1].Source, "middlewareAuth")
		})
	})
	for _, f := range s.Source.Files {
		if isTest(f.Path) {
			continue
		}
		for _, c := range f.Calls {
			switch {
			case c.New && c.Callee == Ref{convexReact, "ConvexReactClient"}:
				switch {
				case len(c.Args) == 0, c.Args[0].IsText && c.Args[0].Text == "":
					found = append(found, Finding{Code: urlMissing, Where: f.At(c.Line), Seen: "new ConvexReactClient() has no address"})
				case c.Args[0].IsText && isAddress(c.Args[0].Text):
					found = append(found, Finding{Code: urlFixed, Where: f.At(c.Line), Seen: "new ConvexReactClient(" + c.Args[0].Text + ")"})
				}
			case c.Callee.Name == "withAuth" && c.Callee.Module == authkitNext && len(c.Args) > 0 && s.major(authkitNext) == 3 && isPage(f) && !protected:
				if asks := strings.ReplaceAll(c.Args[0].Source, " ", ""); strings.Contains(asks, "ensureSignedIn:true") || strings.Contains(asks, "ensureSignedIn:!0") {
					found = append(found, Finding{Code: ensureInComponent, Where: f.At(c.Line), Seen: "withAuth({ ensureSignedIn: true }) in a server component"})
				}
			}
		}
		for _, e := range f.Elements {
			if !isAuthKitProvider(e.Type) || e.Type.Module != authkitReact {
				continue
			}
			if v := e.Props["clientId"]; v.IsText && strings.HasPrefix(v.Text, "client_") {
				found = append(found, Finding{Code: clientFixed, Where: f.At(e.Line), Seen: "clientId is " + v.Text})
			}
			if v := e.Props["redirectUri"]; v.IsText && isAddress(v.Text) {
				found = append(found, Finding{Code: redirectFixed, Where: f.At(e.Line), Seen: "redirectUri is " + v.Text})
			}
			if v, given := e.Props["devMode"]; given && (v.Source == "true" || v.Source == "!0") {
				found = append(found, Finding{Code: devModeFixed, Where: f.At(e.Line), Seen: "devMode is true"})
			}
		}
	}
	return found, nil
}

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func isTest(file string) bool {
	for _, mark := range []string{".test.", ".spec.", ".stories.", "__tests__/", "e2e/"} {
		if strings.Contains(file, mark) {
			return true
		}
	}
	return false
}

// isPage reports whether a file is a page or a layout of Next.js's app folder,
// which are server components unless they say otherwise.
func isPage(f *SourceFile) bool {
	name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	name, _, _ = strings.Cut(name, ".")
	return slices.Contains([]string{"page", "layout", "template"}, name) && strings.Contains("/"+f.Path, "/app/") && !slices.Contains(f.Directives, "use client") && !slices.Contains(f.Directives, "use server")
}

// major is the major version that package.json asks for, or 0 when it names none.
func (s *Subject) major(module string) int {
	n := 0
	for _, r := range strings.TrimLeft(s.App.Dependencies[module], "^~>=v ") {
		if r < '0' || r > '9' {
			break
		}
		n = n*10 + int(r-'0')
	}
	return min(n, 999)
}
