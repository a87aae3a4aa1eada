package host

// ConvexView is what the Convex command line concludes from the same
// variables. It decides the name of the preview deployment and whether a
// production key is accepted, so a difference to [Build] matters.
type ConvexView struct {
	PreviewName string // the raw branch name
	Named       bool   // the variable is set, perhaps to nothing
	Production  bool   // a production deploy key is accepted
}

// ConvexSees follows the rules of convex 1.48: first the name, then whether
// the build is not production. Presence of a variable is enough there, an
// empty value counts.
func ConvexSees(lookup Lookup) ConvexView {
	set := func(name string) bool { v, ok := lookup(name); return ok && v != "" }
	named := func(names ...string) (string, bool) {
		for _, name := range names {
			if v, ok := lookup(name); ok {
				return v, true
			}
		}
		return "", false
	}
	is := func(name, value string) bool { v, _ := lookup(name); return v == value }
	var v ConvexView
	switch {
	case set("VERCEL"):
		v.PreviewName, v.Named = named("VERCEL_GIT_COMMIT_REF")
		v.Production = is("VERCEL_ENV", "production")
	case set("NETLIFY"):
		v.PreviewName, v.Named = named("HEAD")
		v.Production = is("CONTEXT", "production")
	case set("CF_PAGES") || set("WORKERS_CI"):
		v.PreviewName, v.Named = named("CF_PAGES_BRANCH", "WORKERS_CI_BRANCH")
		v.Production = v.PreviewName == "main"
	default:
		if set("CI") {
			v.PreviewName, v.Named = named("GITHUB_HEAD_REF", "CI_COMMIT_REF_NAME")
		}
		v.Production = true
	}
	return v
}

// PreviewName is the name to give to "convex deploy --preview-name": the raw
// branch name, as Convex computes it itself.
func (b *Build) PreviewName() string {
	if b.Kind != Preview {
		return ""
	}
	return b.Branch
}

// compareWithConvex warns where the two command lines would part.
func (d *detection) compareWithConvex() {
	b := d.b
	if b.Host == None {
		return
	}
	v := ConvexSees(d.env)
	switch {
	case b.Kind == Preview && (!v.Named || v.PreviewName == ""):
		b.warn("convex_preview_name", "the Convex command line finds no preview name in this build", "pass --preview-name "+quote(b.Branch)+" to convex deploy")
	case b.Kind == Preview && v.PreviewName != b.Branch:
		b.warn("convex_preview_name", "the Convex command line would name this preview "+quote(v.PreviewName), "pass --preview-name "+quote(b.Branch)+" to convex deploy")
	case b.Kind == Prod && !v.Production:
		b.warn("convex_not_production", "the Convex command line takes this build for a preview and refuses a production deploy key", "pass --check-build-environment disable to convex deploy")
	}
	if b.Kind == Preview && v.Production && (b.Host == CloudflarePages || b.Host == CloudflareWorkers) {
		b.warn("convex_production", "the Convex command line takes builds of branch main for production", "use a preview deploy key in this scope")
	}
}
