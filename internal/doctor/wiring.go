package doctor

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/project"
)

// The modules of the sign-in.
const (
	authkitReact = "@workos-inc/authkit-react"
	authkitNext  = "@workos-inc/authkit-nextjs"
	convexWorkOS = "@convex-dev/workos"
	convexReact  = "convex/react"
)

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

var (
	providerMissing = define(Entry{Code: "authkit-provider-missing", Leg: Session, Severity: Broken, Likely: 90, Requirements: []string{"R92"},
		Title: "nothing renders AuthKitProvider",
		Why:   "useAuth has no session to read without it: nobody is ever signed in.",
		Fix:   "Render AuthKitProvider around the app, outside ConvexProviderWithAuthKit."})
	providerOrder = define(Entry{Code: "convex-provider-outside-authkit", Leg: Backend, Severity: Broken, Likely: 90, Requirements: []string{"R92"},
		Title: "Convex's provider is not inside AuthKitProvider",
		Why:   "Convex asks AuthKit for the token. Outside its provider there is none: the user is signed in, and every query is anonymous.",
		Fix:   "Put AuthKitProvider outside and the Convex provider inside."})
	providerPlain = define(Entry{Code: "convex-provider-without-auth", Leg: Backend, Severity: Broken, Likely: 88, Requirements: []string{"R92", "R101"},
		Title: "Convex's provider sends no token",
		Why:   "ConvexProvider knows nothing of the sign-in: every query is anonymous, and no error says so.",
		Fix:   "Use ConvexProviderWithAuthKit from @convex-dev/workos with useAuth, in its place."})
	useAuthMissing = define(Entry{Code: "convex-use-auth-missing", Leg: Backend, Severity: Broken, Likely: 85, Requirements: []string{"R92"},
		Title: "Convex's provider gets no useAuth",
		Why:   "It calls the hook to learn who is signed in; without it the app stops, or stays anonymous.",
		Fix:   "Pass useAuth of the AuthKit package: <ConvexProviderWithAuthKit client={convex} useAuth={useAuth}>."})
	clientIDMissing = define(Entry{Code: "client-id-not-passed", Leg: Session, Severity: Broken, Likely: 80, Requirements: []string{"R92", "R112"},
		Title: "AuthKitProvider gets no client ID",
		Why:   "The sign-in page is asked for by client ID; without one there is an error page.",
		Fix:   "Pass clientId={import.meta.env.VITE_WORKOS_CLIENT_ID}, or the name that your framework reads."})
	authStateIgnored = define(Entry{Code: "convex-auth-state-ignored", Leg: Backend, Severity: Risky, Likely: 30, Requirements: []string{"R95"},
		Title: "queries do not wait until the backend knows the user",
		Why:   "Right after the page loads the session is there and the backend's acceptance is not: queries run once anonymously, and show nothing or an error until they run again.",
		Fix:   "Render what needs a user inside <Authenticated>, or ask useConvexAuth().isAuthenticated."})
	forcedRefresh = define(Entry{Code: "forced-refresh-loop", Leg: Token, Severity: Broken, Likely: 70, Requirements: []string{"R96"},
		Title: "tokens are refreshed by force again and again",
		Why:   "Each forced refresh spends the refresh token. Within seconds the environment's rate is used up (429), and sign-in fails for everybody.",
		Fix:   "Call getAccessToken(): it refreshes by itself shortly before the token expires."})
	signOutPrefetched = define(Entry{Code: "sign-out-prefetched", Leg: Session, Severity: Broken, Likely: 92, Requirements: []string{"R97", "R111"},
		Title: "a link to sign-out is prefetched",
		Why:   "In production builds a <Link> loads its target when it comes into view or the pointer passes: people are signed out without having clicked.",
		Fix:   "Give the link prefetch={false}, or sign out by a POST: a form with a server action."})
	signOutOnGet = define(Entry{Code: "sign-out-on-get", Leg: Session, Severity: Risky, Likely: 25, Requirements: []string{"R97"},
		Title: "a GET request signs people out",
		Why:   "Whatever loads the address signs the person out: a prefetch, a link preview, an image of another site.",
		Fix:   "Sign out in a server action or in a POST handler."})
	middlewareMissing = define(Entry{Code: "next-middleware-missing", Leg: Session, Severity: Broken, Likely: 87, Requirements: []string{"R93"},
		Title: "AuthKit's middleware is missing",
		Why:   "withAuth and the token endpoints read what the middleware puts into the request; without it they throw.",
		Fix:   "Add proxy.ts (middleware.ts before Next.js 16) beside app/ with: export default authkitMiddleware();"})
	middlewareMisplaced = define(Entry{Code: "next-middleware-misplaced", Leg: Session, Severity: Broken, Likely: 87, Requirements: []string{"R93"},
		Title: "the middleware is where Next.js does not look",
		Why:   "Next.js runs proxy.ts or middleware.ts beside the app folder only; in another place it is silently ignored.",
		Fix:   "Move it beside the app or pages folder: into src/ when that holds them, else into the project's root."})
	callbackWithoutHandler = define(Entry{Code: "next-callback-without-handleauth", Leg: Session, Severity: Broken, Likely: 86, Requirements: []string{"R93"},
		Title: "the callback route does not finish the sign-in",
		Why:   "The code in the address must be redeemed by handleAuth(); otherwise people come back and are not signed in.",
		Fix:   "Write in the callback's route.ts: export const GET = handleAuth();"})
	secretInBrowser = define(Entry{Code: "secret-in-browser-code", Leg: Setup, Severity: Broken, Likely: 55, Requirements: []string{"R12", "R93"},
		Title: "browser code reads a secret",
		Why:   "Code of the browser gets it as undefined, or, with a public name, everybody does.",
		Fix:   "Read it in server code only: route handlers, server actions, middleware."})
	notPublic = define(Entry{Code: "env-not-public", Leg: Setup, Severity: Broken, Likely: 84, Requirements: []string{"R12", "R112"},
		Title: "browser code reads a variable that browsers do not get",
		Why:   "Builds put only variables with the framework's public prefix into the pages; the others are undefined there.",
		Fix:   "Use the public name, such as VITE_WORKOS_CLIENT_ID or NEXT_PUBLIC_WORKOS_REDIRECT_URI."})
	otherAdapter = define(Entry{Code: "adapter-of-another-framework", Leg: Session, Severity: Broken, Likely: 78, Requirements: []string{"R54"},
		Title: "the app uses the AuthKit package of another framework",
		Why:   "The packages keep the session in different places: the browser package knows nothing of the server's cookie, and the other way round.",
		Fix:   "Use @workos-inc/authkit-react in a browser app and @workos-inc/authkit-nextjs in Next.js."})
)

var _ = register(Check{Name: "providers", Needs: NeedsApp, Codes: []string{providerMissing, providerOrder, providerPlain, useAuthMissing, clientIDMissing, authStateIgnored}, Run: checkProviders})

func isAuthKitProvider(r Ref) bool {
	return r.Name == "AuthKitProvider" && (r.Module == authkitReact || strings.HasPrefix(r.Module, authkitNext))
}

func isConvexAuthProvider(r Ref) bool {
	return r == Ref{convexWorkOS, "ConvexProviderWithAuthKit"} || r == Ref{convexReact, "ConvexProviderWithAuth"}
}

func checkProviders(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	type use struct {
		f *SourceFile
		e *Element
	}
	var kits, auths, plains []use
	asksState, queries := false, use{}
	var queryLine int
	for _, f := range s.Source.Files {
		for _, e := range f.Elements {
			switch {
			case isAuthKitProvider(e.Type):
				kits = append(kits, use{f, e})
			case isConvexAuthProvider(e.Type):
				auths = append(auths, use{f, e})
			case e.Type == Ref{convexReact, "ConvexProvider"}:
				plains = append(plains, use{f, e})
			case e.Type.Module == convexReact && slices.Contains([]string{"Authenticated", "Unauthenticated", "AuthLoading"}, e.Type.Name):
				asksState = true
			}
		}
		for _, c := range f.Calls {
			switch c.Callee {
			case Ref{convexReact, "useConvexAuth"}:
				asksState = true
			case Ref{convexReact, "useQuery"}, Ref{convexReact, "usePaginatedQuery"}:
				if queries.f == nil {
					queries, queryLine = use{f: f}, c.Line
				}
			}
		}
	}
	usesKit := s.imports(authkitReact) || s.imports(authkitNext)
	if !usesKit {
		return nil, nil // not wired yet, or wired by another library: the packages check says so
	}
	browserApp := s.imports(authkitReact)
	if len(kits) == 0 && (browserApp || len(auths) > 0) {
		where := ""
		if len(auths) > 0 {
			where = auths[0].f.At(auths[0].e.Line)
		}
		found = append(found, Finding{Code: providerMissing, Where: where, Seen: "no file renders AuthKitProvider"})
	}
	for _, a := range auths {
		inside, here := false, false
		for p := a.e.Parent; p != nil; p = p.Parent {
			inside = inside || isAuthKitProvider(p.Type)
		}
		for _, k := range kits {
			here = here || k.f == a.f
		}
		if here && !inside {
			found = append(found, Finding{Code: providerOrder, Where: a.f.At(a.e.Line), Seen: a.e.Type.Name + " is rendered outside AuthKitProvider"})
		}
		if _, passed := a.e.Props["useAuth"]; !passed && !a.e.Spread {
			found = append(found, Finding{Code: useAuthMissing, Where: a.f.At(a.e.Line), Seen: "<" + a.e.Type.Name + "> has no useAuth"})
		}
	}
	if len(auths) == 0 && len(kits) > 0 {
		for _, p := range plains {
			found = append(found, Finding{Code: providerPlain, Where: p.f.At(p.e.Line), Seen: "<ConvexProvider> is rendered, and no provider with auth"})
		}
	}
	for _, k := range kits {
		if _, passed := k.e.Props["clientId"]; k.e.Type.Module == authkitReact && !passed && !k.e.Spread {
			found = append(found, Finding{Code: clientIDMissing, Where: k.f.At(k.e.Line), Seen: "<AuthKitProvider> has no clientId"})
		}
	}
	if queries.f != nil && !asksState && len(auths) > 0 {
		found = append(found, Finding{Code: authStateIgnored, Where: queries.f.At(queryLine), Seen: "useQuery is used, and nothing asks useConvexAuth or renders <Authenticated>"})
	}
	return found, nil
}

// imports reports whether the app's code imports a module or one beneath it.
func (s *Subject) imports(module string) bool {
	for _, f := range s.Source.Files {
		for _, i := range f.Imports {
			if i.Module == module || strings.HasPrefix(i.Module, module+"/") {
				return true
			}
		}
	}
	return false
}

var _ = register(Check{Name: "refreshes and sign-out", Needs: NeedsApp, Codes: []string{forcedRefresh, signOutPrefetched, signOutOnGet}, Run: checkSignOut})

func checkSignOut(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	routes := map[string]string{} // path of a GET route that signs out -> file:line
	for _, f := range s.Source.Files {
		for _, c := range f.Calls {
			name := c.Callee.Name[strings.LastIndexByte(c.Callee.Name, '.')+1:]
			force := len(c.Args) > 0 && strings.Contains(c.Args[0].Source, "forceRefresh") && !strings.Contains(c.Args[0].Source, "false")
			if c.InLoop && (name == "getAccessToken" && force || name == "refreshSession" && c.Callee.Module == authkitNext) {
				found = append(found, Finding{Code: forcedRefresh, Where: f.At(c.Line), Seen: c.Callee.Name + " is forced within a loop or a timer"})
			}
			if c.Callee.Name == "signOut" && strings.HasPrefix(c.Callee.Module, authkitNext) && slices.Contains(c.Within, "GET") {
				if p, ok := routePath(f.Path); ok {
					routes[p] = f.At(c.Line)
				}
			}
		}
	}
	for p, where := range routes {
		found = append(found, Finding{Code: signOutOnGet, Where: where, Seen: "GET " + p + " signs people out"})
	}
	for _, f := range s.Source.Files {
		for _, e := range f.Elements {
			if (e.Type != Ref{"next/link", "default"}) || !e.Props["href"].IsText {
				continue
			}
			target := strings.TrimRight(strings.SplitN(e.Props["href"].Text, "?", 2)[0], "/")
			if _, signsOut := routes[target]; !signsOut || e.Props["prefetch"].Source == "false" || e.Spread {
				continue
			}
			found = append(found, Finding{Code: signOutPrefetched, Where: f.At(e.Line), Seen: fmt.Sprintf("<Link href=%q> has no prefetch={false}, and GET %s signs out", e.Props["href"].Text, target),
				Proof: []string{"the route: " + routes[target]}})
		}
	}
	return found, nil
}

// routePath returns the path of a route.ts of Next.js's app folder.
func routePath(file string) (string, bool) {
	dir, name := path.Split(file)
	if !strings.HasPrefix(name, "route.") {
		return "", false
	}
	_, rest, ok := strings.Cut("/"+dir, "/app/")
	if !ok {
		return "", false
	}
	var parts []string
	for part := range strings.SplitSeq(strings.Trim(rest, "/"), "/") {
		if part != "" && !strings.HasPrefix(part, "(") {
			parts = append(parts, part)
		}
	}
	return "/" + strings.Join(parts, "/"), true
}

var _ = register(Check{Name: "Next.js", Needs: NeedsApp, Codes: []string{middlewareMissing, middlewareMisplaced, callbackWithoutHandler}, Run: checkNext})

func checkNext(_ context.Context, s *Subject) ([]Finding, error) {
	if s.App.Framework.ID != "nextjs" || !s.imports(authkitNext) {
		return nil, nil
	}
	web := s.App.Rel(s.App.WebDir)
	right := func(file string) bool {
		dir := path.Dir(file)
		return dir == web || dir == path.Join(web, "src")
	}
	var found []Finding
	placed, misplaced := false, ""
	for _, f := range s.Source.Files {
		base := strings.TrimSuffix(path.Base(f.Path), path.Ext(f.Path))
		if base != "middleware" && base != "proxy" {
			continue
		}
		local, line := f.Imported(authkitNext, "authkitMiddleware")
		if local == "" {
			if local, line = f.Imported(authkitNext, "authkit"); local == "" {
				continue
			}
		}
		if right(f.Path) {
			placed = true
		} else {
			misplaced = f.At(line)
		}
	}
	switch {
	case placed:
	case misplaced != "":
		found = append(found, Finding{Code: middlewareMisplaced, Where: misplaced, Seen: "AuthKit's middleware is in " + misplaced})
	default:
		found = append(found, Finding{Code: middlewareMissing, Seen: "neither proxy.ts nor middleware.ts uses authkitMiddleware"})
	}
	for _, f := range s.Source.Files {
		p, ok := routePath(f.Path)
		if !ok || !slices.Contains(s.callbackPaths(), p) {
			continue
		}
		handled := slices.ContainsFunc(f.Calls, func(c *Call) bool { return c.Callee == Ref{authkitNext, "handleAuth"} })
		reExported := slices.ContainsFunc(f.Imports, func(i Import) bool { return i.Name == "handleAuth" })
		if !handled && !reExported && slices.Contains(f.Exports, "GET") {
			found = append(found, Finding{Code: callbackWithoutHandler, Where: f.Path, Seen: "GET " + p + " does not call handleAuth()"})
		}
	}
	return found, nil
}

// callbackPaths are the paths of the redirect URIs in convex.json.
func (s *Subject) callbackPaths() []string {
	var all []string
	if s.Config == nil {
		return nil
	}
	for _, kind := range project.Kinds {
		section := s.Config.Section(kind)
		if section == nil || section.Configure == nil {
			continue
		}
		for _, uri := range section.Configure.RedirectURIs {
			rest := uri
			if _, after, ok := strings.Cut(uri, "://"); ok {
				rest = after
			}
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				all = append(all, strings.TrimRight(rest[i:], "/"))
			}
		}
	}
	return all
}

var _ = register(Check{Name: "variables in browser code", Needs: NeedsApp, Codes: []string{secretInBrowser, notPublic, otherAdapter}, Run: checkBrowserCode})

var secretNames = []string{"WORKOS_API_KEY", "WORKOS_COOKIE_PASSWORD", "CONVEX_DEPLOY_KEY"}

func checkBrowserCode(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	prefix := s.App.Framework.Prefix
	server := s.App.Framework.Server
	functions := s.App.Rel(s.App.FunctionsDir)
	for _, f := range s.Source.Files {
		if f.Path == functions || strings.HasPrefix(f.Path, functions+"/") || strings.Contains(path.Base(f.Path), ".config.") {
			continue
		}
		browser := !server || slices.Contains(f.Directives, "use client")
		for _, r := range f.Reads {
			bare := r.Name
			if prefix != "" {
				bare = strings.TrimPrefix(r.Name, prefix)
			}
			switch {
			case slices.Contains(secretNames, bare) && (browser || bare != r.Name):
				found = append(found, Finding{Code: secretInBrowser, Where: f.At(r.Line), Seen: r.Name + " is read in code of the browser"})
			case browser && prefix != "" && !strings.HasPrefix(r.Name, prefix) && (strings.Contains(r.Name, "WORKOS") || strings.Contains(r.Name, "CONVEX")):
				found = append(found, Finding{Code: notPublic, Where: f.At(r.Line), Seen: r.Name + " is read in code of the browser, which only gets names with " + prefix,
					Fix: "read " + prefix + strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(r.Name, "NEXT_PUBLIC_"), "VITE_"), "PUBLIC_") + ", and set it"})
			}
		}
		for _, i := range f.Imports {
			wrong := s.App.Framework.ID == "nextjs" && i.Module == authkitReact || !server && strings.HasPrefix(i.Module, authkitNext)
			if wrong {
				found = append(found, Finding{Code: otherAdapter, Where: f.At(i.Line), Seen: i.Module + " is imported in a " + s.App.Framework.Name + " app"})
			}
		}
	}
	return found, nil
}
