// Package examples holds small apps in the shape of the vendors' templates, for
// the demo and the tests. They are embedded, so that a binary alone can show
// itself.
package examples

import (
	"embed"
	"io/fs"

	"github.com/berthdev/berth/internal/fault"
)

// The patterns name what belongs to an app. A folder as a whole, or a pattern
// such as *.*, would take in node_modules and .env.local of whoever tried the
// app here before building.
//
//go:embed react-vite-authkit/.gitignore react-vite-authkit/*.json react-vite-authkit/*.md
//go:embed react-vite-authkit/index.html react-vite-authkit/vite.config.ts react-vite-authkit/convex react-vite-authkit/src
//go:embed nextjs-authkit/.gitignore nextjs-authkit/*.json nextjs-authkit/*.md
//go:embed nextjs-authkit/next.config.ts nextjs-authkit/proxy.ts nextjs-authkit/convex nextjs-authkit/app nextjs-authkit/components
//go:embed monorepo/.gitignore monorepo/*.json monorepo/*.md
//go:embed monorepo/packages/backend/*.json monorepo/packages/backend/convex
//go:embed monorepo/apps/web/*.json monorepo/apps/web/index.html monorepo/apps/web/vite.config.ts monorepo/apps/web/src
var files embed.FS

// Names of the apps, in the order in which they are shown.
const (
	ReactVite = "react-vite-authkit" // sign-in in the browser, port 5173
	NextJS    = "nextjs-authkit"     // sign-in on the server, port 3000
	Monorepo  = "monorepo"           // convex.json in packages/backend, the web app in apps/web
)

// Names returns the names of all apps.
func Names() []string { return []string{ReactVite, NextJS, Monorepo} }

// App returns the files of the app called name, convex.json of a single app at
// the top. [os.CopyFS] writes them into a folder. An unknown name is
// [fault.NotFound].
func App(name string) (fs.FS, error) {
	for _, known := range Names() {
		if name == known {
			return fs.Sub(files, name)
		}
	}
	return nil, fault.New(fault.NotFound, "no example app is called %q", name).WithFix("choose one of %s, %s, %s", ReactVite, NextJS, Monorepo)
}
