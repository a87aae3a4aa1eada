package host

import (
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Types of Convex deploy keys, as [KeyType] tells them.
const (
	KeyProd              = "prod"
	KeyDev               = "dev"
	KeyPreview           = "preview"            // preview:<team>:<project>|...: makes previews
	KeyPreviewDeployment = "preview-deployment" // preview:<name>|...: one existing preview
	KeyProject           = "project"
	KeyCustom            = "custom" // another type word
)

// KeyType reads the type of a Convex deploy key off its text, as the Convex
// command line does: the word before the first colon, "prod" without one. It
// returns "" for an empty key and for text that is no key (no "|").
func KeyType(key secret.String) string {
	name, _, ok := strings.Cut(strings.TrimSpace(key.Reveal()), "|")
	if !ok {
		return ""
	}
	word, rest, ok := strings.Cut(name, ":")
	if !ok {
		return KeyProd
	}
	switch word {
	case "prod", "dev", "project":
		return word
	case "preview":
		if strings.Contains(rest, ":") {
			return KeyPreview
		}
		return KeyPreviewDeployment
	}
	return KeyCustom
}

// CheckDeployKey reports whether a deploy key of the given type belongs in
// this build: a preview key in preview builds, a production or project key in
// production builds (R82). Call it before the first write. An empty keyType,
// so no key, is no error here. The error is [fault.Invalid] with the code
// "wrong_deploy_key" and says where to set the right key on this platform.
func CheckDeployKey(b *Build, keyType string) error {
	var want string
	switch b.Kind {
	case Prod:
		if keyType == KeyProd || keyType == KeyProject {
			return nil
		}
		want = "production"
	case Preview:
		// A project key has no preview name: convex deploy would write to production.
		if keyType == KeyPreview || keyType == KeyPreviewDeployment {
			return nil
		}
		want = "preview"
	default:
		if keyType == KeyDev || keyType == KeyProject {
			return nil
		}
		want = "dev"
	}
	if keyType == "" {
		return nil
	}
	return fault.New(fault.Invalid, "CONVEX_DEPLOY_KEY is a %s in a %s build (%s)", keyTitle(keyType), b.Kind, b.KindFrom).
		WithCode("wrong_deploy_key").
		WithFix("make a %s deploy key in the Convex dashboard and set it in %s", want, keyPlace(b.Host, b.Kind))
}

func keyTitle(keyType string) string {
	switch keyType {
	case KeyProd:
		return "production deploy key"
	case KeyDev:
		return "dev deploy key"
	case KeyPreview:
		return "preview deploy key"
	case KeyPreviewDeployment:
		return "key of one preview deployment"
	case KeyProject:
		return "project key, which would deploy to production or dev"
	}
	return "key of a custom deployment"
}

// VariablesPlace says where the variables of builds of this kind are set on
// this platform, for a message that names a missing one.
func (b *Build) VariablesPlace() string { return keyPlace(b.Host, b.Kind) }

// keyPlace says where variables of one kind of build are set.
func keyPlace(h Host, k Kind) string {
	switch h {
	case Vercel:
		scope := map[Kind]string{Prod: "Production", Preview: "Preview", Dev: "Development"}[k]
		return "Vercel: project Settings, Environment Variables, environment " + scope + " only"
	case Netlify:
		scope := map[Kind]string{Prod: "Production", Preview: "Deploy Previews and Branch deploys", Dev: "Local development"}[k]
		return "Netlify: project configuration, Environment variables, the value for " + scope + " only"
	case CloudflarePages:
		scope := map[Kind]string{Prod: "Production", Preview: "Preview", Dev: "Preview"}[k]
		return "Cloudflare Pages: project Settings, Variables and Secrets, environment " + scope
	case CloudflareWorkers:
		return "Cloudflare: the Worker's Settings, Build, Build variables and secrets (one set for all branches: choose by WORKERS_CI_BRANCH in the build command)"
	case GitHubActions:
		return "GitHub: repository Settings, Secrets and variables, Actions, and pass that secret to this job only"
	case Render:
		if k == Preview {
			return "Render: previewValue of the variable in render.yaml"
		}
		return "Render: the service's Environment page"
	case Railway:
		return "Railway: Variables of this environment"
	case Fly:
		return "the build's environment: image builds on Fly see no app secrets"
	case CI:
		return "the variables of this CI, limited to " + string(k) + " builds"
	}
	return "the environment of this command, or in .env.local"
}
