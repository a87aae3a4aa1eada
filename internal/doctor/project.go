package doctor

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/berthdev/berth/internal/project"
)

// Findings of package project: what can be read in convex.json and the files
// around it, before any program runs.
var (
	_ = define(Entry{Code: project.CodeUnknownKey, Leg: Setup, Severity: Broken, Likely: 90, Fixable: true, Requirements: []string{"R12"},
		Title: "convex.json has a key that nothing reads",
		Why:   "The convex command line drops unknown keys inside authKit without a word: what was meant, a redirect URI for example, is never set.",
		Fix:   "Rename the key to the one that is meant. The finding names it."})
	_ = define(Entry{Code: project.CodeDuplicateKey, Leg: Setup, Severity: Risky, Likely: 70, Requirements: []string{"R12"},
		Title: "a key of convex.json is given twice",
		Why:   "Only the last one counts, so an edit of the first has no effect.",
		Fix:   "Keep one of them."})
	_ = define(Entry{Code: project.CodeMalformedURI, Leg: Setup, Severity: Broken, Likely: 95, Requirements: []string{"R13"},
		Title: "an address in convex.json is malformed",
		Why:   "Redirect URIs are compared letter by letter. Brackets, quotes or a missing scheme that came with copying make one that never fits.",
		Fix:   "Write a whole address, such as http://localhost:5173/callback."})
	_ = define(Entry{Code: project.CodeLocalInProd, Leg: Setup, Severity: Broken, Likely: 80, Requirements: []string{"R39"},
		Title: "production has an address that only works on one machine",
		Why:   "WorkOS refuses http and localhost in production environments.",
		Fix:   "Use the https address of the production app."})
	_ = define(Entry{Code: project.CodeUnknownTemplate, Leg: Setup, Severity: Broken, Likely: 85, Requirements: []string{"R12"},
		Title: "a template in convex.json names something unknown",
		Why:   "The convex command line stops at it, after it has applied the entries before.",
		Fix:   "Use ${buildEnv.NAME}, ${authEnv.WORKOS_CLIENT_ID} and its like only."})
	_ = define(Entry{Code: project.CodePublicKey, Leg: Setup, Severity: Broken, Likely: 60, Requirements: []string{"R12", "R42"},
		Title: "an API key is in a variable that browsers get",
		Why:   "Variables with the framework's public prefix are built into the pages: everybody who opens the app has the key.",
		Fix:   "Use the name WORKOS_API_KEY, only in an app with server code, and revoke the key if a build was published."})
	_ = define(Entry{Code: project.CodeKeyInConfig, Leg: Setup, Severity: Broken, Likely: 60, Requirements: []string{"R42"},
		Title: "an API key is written into convex.json",
		Why:   "convex.json is committed: everybody with the repository has the key.",
		Fix:   "Write ${authEnv.WORKOS_API_KEY} and revoke the key."})
	_ = define(Entry{Code: project.CodeEnvName, Leg: Setup, Severity: Broken, Likely: 50, Requirements: []string{"R12"},
		Title: "a variable has a name that cannot be read",
		Why:   "Shells and frameworks read names of letters, digits and underscores only.",
		Fix:   "Rename it."})
	_ = define(Entry{Code: project.CodeWrongPrefix, Leg: Setup, Severity: Broken, Likely: 92, Requirements: []string{"R12"},
		Title: "a variable has the public prefix of another framework",
		Why:   "A Vite app never sees NEXT_PUBLIC_ variables, and a Next.js app no VITE_ ones: the client ID stays undefined.",
		Fix:   "Rename it to the name that the app's framework reads. The finding says which."})
	_ = define(Entry{Code: project.CodeHandSet, Leg: Setup, Severity: Risky, Likely: 55, Requirements: []string{"R12", "R45"},
		Title: "credentials were set by hand beside a managed section",
		Why:   "convex.json asks for credentials that are set for each deployment; the hand-set ones count first and tie every deployment to one environment.",
		Fix:   "Remove them from .env.local, or remove the section from convex.json."})
	_ = define(Entry{Code: project.CodePackages, Leg: Setup, Severity: Broken, Likely: 75, Requirements: []string{"R54"},
		Title: "the packages of the sign-in are not installed",
		Why:   "The app cannot sign anybody in without the AuthKit package of its framework, and Convex gets no token without the adapter.",
		Fix:   "Install them. The finding has the command for the app's package manager."})
	_ = define(Entry{Code: project.CodeNoCallback, Leg: Session, Severity: Broken, Likely: 88, Requirements: []string{"R56"},
		Title: "nothing answers at the redirect URI",
		Why:   "After the sign-in page the browser comes back to this address with a code. When no route answers there, the sign-in ends with a 404.",
		Fix:   "Add the route, or change the redirect URI to the one that there is."})
)

var _ = register(Check{Name: "convex.json and the app around it", Needs: NeedsApp,
	Codes: []string{project.CodeUnknownKey, project.CodeDuplicateKey, project.CodeMalformedURI, project.CodeLocalInProd, project.CodeUnknownTemplate, project.CodePublicKey,
		project.CodeKeyInConfig, project.CodeEnvName, project.CodeWrongPrefix, project.CodeHandSet, project.CodePackages, project.CodeNoCallback},
	Run: func(_ context.Context, s *Subject) ([]Finding, error) {
		if s.Config == nil {
			return nil, nil
		}
		found := s.Config.Findings
		if s.Env != nil {
			more, err := s.App.Check(s.Config, s.Env)
			if err != nil {
				return nil, err
			}
			found = append(found[:len(found):len(found)], more...)
		}
		_, own := s.Source.Uses(convexReact, "ConvexProviderWithAuth")
		var out []Finding
		for _, f := range found {
			if f.Code == project.CodePackages && len(own) > 0 && strings.Contains(f.Message, convexWorkOS) {
				continue // the app brings its own adapter
			}
			where := f.Path
			if filepath.IsAbs(where) {
				where = s.App.Rel(where)
			}
			out = append(out, Finding{Code: f.Code, Where: place(where, f.Line), Seen: f.Message, Fix: f.Fix})
		}
		return out, nil
	}})
