package project

import "slices"

// FrameworkID is the stable word for a web framework.
type FrameworkID string

const (
	Vite           FrameworkID = "vite"
	NextJS         FrameworkID = "nextjs"
	TanStackStart  FrameworkID = "tanstack-start"
	SvelteKit      FrameworkID = "sveltekit"
	ReactRouter    FrameworkID = "react-router"
	Remix          FrameworkID = "remix"
	Expo           FrameworkID = "expo"
	CreateReactApp FrameworkID = "create-react-app"
	Plain          FrameworkID = "plain"
)

// Framework says what Berth has to know of a web framework. The values follow
// the detection table of the convex command line and what each AuthKit kit reads.
type Framework struct {
	ID   FrameworkID
	Name string // as its makers write it

	// Prefix marks variables that end up in the browser; "" when the framework
	// has no such rule.
	Prefix string

	ConvexURL     string // variable with the deployment's URL
	ConvexSiteURL string // variable with the URL of its HTTP actions
	ClientID      string // variable the AuthKit kit reads the client ID from
	RedirectURI   string // variable with the redirect URI

	// Server is true when AuthKit runs in server code, which then needs
	// WORKOS_API_KEY and WORKOS_COOKIE_PASSWORD.
	Server bool

	CallbackPath string   // path of the redirect URI by convention, with leading slash
	Port         int      // port of its dev server when nothing else is said
	Packages     []string // npm packages that sign-in with Convex needs
	commands     []string // names of its dev server command in a package.json script
	dependencies []string // package.json names that give it away
}

const (
	clientIDVar       = "WORKOS_CLIENT_ID"
	apiKeyVar         = "WORKOS_API_KEY"
	environmentIDVar  = "WORKOS_ENVIRONMENT_ID"
	cookiePasswordVar = "WORKOS_COOKIE_PASSWORD"
	redirectURIVar    = "WORKOS_REDIRECT_URI"
)

// frameworks is in order of detection: the first whose dependency is present
// wins. The order is that of the convex command line, with React Router before
// Vite because every React Router app also depends on Vite.
var frameworks = []Framework{
	browserKit(CreateReactApp, "Create React App", "REACT_APP_", 3000, "react-scripts"),
	{
		ID: NextJS, Name: "Next.js", Prefix: "NEXT_PUBLIC_",
		ConvexURL: "NEXT_PUBLIC_CONVEX_URL", ConvexSiteURL: "NEXT_PUBLIC_CONVEX_SITE_URL",
		ClientID: clientIDVar, RedirectURI: "NEXT_PUBLIC_WORKOS_REDIRECT_URI", Server: true,
		CallbackPath: "/callback", Port: 3000,
		Packages: []string{"@workos-inc/authkit-nextjs", "@convex-dev/workos"},
		commands: []string{"next"}, dependencies: []string{"next"},
	},
	browserKit(Expo, "Expo", "EXPO_PUBLIC_", 8081, "expo"),
	serverKit(SvelteKit, "SvelteKit", "PUBLIC_", "/auth/callback", 5173, "@workos/authkit-sveltekit",
		[]string{"vite"}, "@sveltejs/kit"),
	serverKit(TanStackStart, "TanStack Start", "VITE_", "/callback", 3000, "@workos/authkit-tanstack-react-start",
		[]string{"vite", "vinxi"}, "@tanstack/start", "@tanstack/react-start"),
	serverKit(ReactRouter, "React Router", "VITE_", "/callback", 5173, "@workos-inc/authkit-react-router",
		[]string{"react-router", "vite"}, "@react-router/dev"),
	serverKit(Remix, "Remix", "", "/callback", 3000, "@workos-inc/authkit-remix",
		[]string{"remix", "vite"}, "@remix-run/dev"),
	browserKit(Vite, "React (Vite)", "VITE_", 5173, "vite"),
}

func browserKit(id FrameworkID, name, prefix string, port int, dependency string) Framework {
	f := Framework{
		ID: id, Name: name, Prefix: prefix,
		ConvexURL: prefix + "CONVEX_URL", ConvexSiteURL: prefix + "CONVEX_SITE_URL",
		ClientID: prefix + clientIDVar, RedirectURI: prefix + redirectURIVar,
		CallbackPath: "/callback", Port: port,
		Packages:     []string{"@workos-inc/authkit-react", "@convex-dev/workos"},
		commands:     []string{dependency},
		dependencies: []string{dependency},
	}
	return f
}

func serverKit(id FrameworkID, name, prefix, callback string, port int, kit string, commands []string, dependencies ...string) Framework {
	return Framework{
		ID: id, Name: name, Prefix: prefix,
		ConvexURL: prefix + "CONVEX_URL", ConvexSiteURL: prefix + "CONVEX_SITE_URL",
		ClientID: clientIDVar, RedirectURI: redirectURIVar, Server: true,
		CallbackPath: callback, Port: port,
		Packages: []string{kit}, commands: commands, dependencies: dependencies,
	}
}

// plain is a web app whose framework is not known, or a folder without one.
func plain() Framework {
	return Framework{
		ID: Plain, Name: "no known framework",
		ConvexURL: "CONVEX_URL", ConvexSiteURL: "CONVEX_SITE_URL",
		ClientID: clientIDVar, RedirectURI: redirectURIVar,
		CallbackPath: "/callback", Port: 3000,
	}
}

// FrameworkByID returns the framework with that word.
func FrameworkByID(id FrameworkID) (Framework, bool) {
	if id == Plain {
		return plain(), true
	}
	i := slices.IndexFunc(frameworks, func(f Framework) bool { return f.ID == id })
	if i < 0 {
		return Framework{}, false
	}
	return frameworks[i], true
}

// Detect returns the framework of an app whose package.json names dependencies
// (dev dependencies included, peer dependencies not), and Plain when none is known.
func Detect(dependencies map[string]string) Framework {
	for _, f := range frameworks {
		if !slices.ContainsFunc(f.dependencies, func(d string) bool { _, ok := dependencies[d]; return ok }) {
			continue
		}
		if _, vite := dependencies["vite"]; vite && f.ID == Remix {
			// Remix on Vite follows Vite: its port and its rule for browser variables.
			f.Prefix, f.Port = "VITE_", 5173
			f.ConvexURL, f.ConvexSiteURL = "VITE_CONVEX_URL", "VITE_CONVEX_SITE_URL"
		}
		return f
	}
	return plain()
}

// publicPrefixes are the prefixes with which some framework sends a variable to
// the browser.
var publicPrefixes = []string{"NEXT_PUBLIC_", "EXPO_PUBLIC_", "REACT_APP_", "VITE_", "PUBLIC_", "NUXT_PUBLIC_", "GATSBY_"}

// Template is a variable and the template of its value.
type Template struct {
	Name  string
	Value string
}

// LocalEnvVars are the variables of .env.local that f's AuthKit kit reads, as
// templates, in the order they are written. The cookie password is not among
// them: it is made once and never derived (see [CookiePassword]).
func (f Framework) LocalEnvVars(redirectURI string) []Template {
	vars := []Template{{f.ClientID, "${authEnv.WORKOS_CLIENT_ID}"}}
	if f.Server {
		vars = append(vars, Template{apiKeyVar, "${authEnv.WORKOS_API_KEY}"})
	}
	return append(vars, Template{f.RedirectURI, redirectURI})
}

// MissingPackages lists the packages of f that dependencies does not name (R54).
func (f Framework) MissingPackages(dependencies map[string]string) []string {
	var missing []string
	for _, p := range f.Packages {
		if _, ok := dependencies[p]; !ok {
			missing = append(missing, p)
		}
	}
	return missing
}
