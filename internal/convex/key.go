package convex

import (
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Class says what a deploy key stands for.
type Class string

const (
	ClassNone       Class = ""           // no key, or the marker that says to ignore one
	ClassDeployment Class = "deployment" // one deployment
	ClassPreview    Class = "preview"    // makes preview deployments of a project
	ClassProject    Class = "project"    // provisions deployments of a project
)

// Type is the type of a deployment. The control plane knows more than the
// four named here; a key's prefix is kept as it is.
type Type string

const (
	Prod    Type = "prod"
	Dev     Type = "dev"
	Preview Type = "preview"
	Custom  Type = "custom"
)

// Key is a parsed deploy key. It prints without its secret.
type Key struct {
	Class          Class
	Type           Type          // of the deployment; Preview for ClassPreview; "" for ClassProject and ClassNone
	DeploymentName string        // with ClassDeployment
	Team, Project  string        // slugs, with ClassPreview and, when the key names them, ClassProject
	Value          secret.String // the whole key
}

const (
	ignoreMarker  = "<ignore_deploy_key>"
	missingMarker = "<missing_deploy_key:"
)

// ParseDeployKey reads the value of CONVEX_DEPLOY_KEY:
//
//	prod:NAME|SECRET  dev:NAME|SECRET          a deployment
//	preview:NAME|…    custom:NAME|…   NAME|…   a deployment, see [Key.Authorizes]
//	preview:TEAM:PROJECT|SECRET                makes previews
//	project:TEAM:PROJECT|SECRET                provisions deployments
//	<ignore_deploy_key>                        as if it were unset
//	<missing_deploy_key:TEXT>                  an error with that text
//
// An empty value gives a Key of ClassNone. Errors are of kind Invalid and
// never hold any part of the value but a marker's text.
func ParseDeployKey(value string) (Key, error) {
	if value == "" || value == ignoreMarker {
		return Key{}, nil
	}
	if text, ok := strings.CutPrefix(value, missingMarker); ok {
		return Key{}, fault.New(fault.Invalid, "%s", strings.TrimSuffix(text, ">")).WithCode("missing_deploy_key")
	}
	if strings.ContainsAny(value, " \t\r\n\"'") {
		return Key{}, malformed("holds blanks or quotes")
	}
	name, rest, found := strings.Cut(value, "|")
	if !found {
		return Key{}, malformed("has no | between its name and its secret")
	}
	if rest == "" {
		return Key{}, malformed("has no secret after its |")
	}
	parts := strings.Split(name, ":")
	key := Key{Value: secret.String(value)}
	switch {
	case parts[0] == "project" && len(parts) > 1:
		key.Class = ClassProject
		if len(parts) == 3 {
			key.Team, key.Project = parts[1], parts[2]
		}
		return key, nil
	case parts[0] == "preview" && len(parts) == 3:
		if parts[1] == "" || parts[2] == "" {
			return Key{}, malformed("is a preview key without team or project")
		}
		key.Class, key.Type, key.Team, key.Project = ClassPreview, Preview, parts[1], parts[2]
		return key, nil
	}
	// The vendor looks for the type in the whole key, so that a colon in the
	// secret of an untyped key hides its being a production key. It is one.
	key.Class, key.Type, key.DeploymentName = ClassDeployment, Prod, parts[len(parts)-1]
	if len(parts) > 1 {
		key.Type = Type(parts[0])
	}
	if key.DeploymentName == "" {
		return Key{}, malformed("names no deployment")
	}
	return key, nil
}

func malformed(why string) error {
	return fault.New(fault.Invalid, "the Convex deploy key %s", why).
		WithCode("malformed_deploy_key").
		WithFix("copy the whole key from the deployment's or project's settings in the Convex dashboard")
}

// Authorizes reports whether the control plane takes the key as a credential.
// Keys for one deployment that do not begin with prod: or dev: only select it.
func (k Key) Authorizes() bool {
	switch k.Class {
	case ClassPreview, ClassProject:
		return true
	case ClassDeployment:
		return strings.HasPrefix(k.Value.Reveal(), "prod:") || strings.HasPrefix(k.Value.Reveal(), "dev:")
	default:
		return false
	}
}

// String names what the key is for, without its secret.
func (k Key) String() string {
	switch k.Class {
	case ClassNone:
		return "no deploy key"
	case ClassProject:
		return "project key" + slugs(k)
	case ClassPreview:
		return "preview deploy key" + slugs(k)
	default:
		return string(k.Type) + " deploy key for " + k.DeploymentName
	}
}

// GoString is String: a dump of the struct shows no secret either.
func (k Key) GoString() string { return k.String() }

func slugs(k Key) string {
	if k.Team == "" {
		return ""
	}
	return " for " + k.Team + "/" + k.Project
}

// DeploymentRef is the value of CONVEX_DEPLOYMENT.
type DeploymentRef struct {
	Type Type // prod, dev, preview or local; "" when the value names no known type
	Name string
}

// ParseDeployment reads the value of CONVEX_DEPLOYMENT, "[TYPE:]NAME" with an
// optional comment that the command line writes after it.
func ParseDeployment(value string) DeploymentRef {
	value, _, _ = strings.Cut(value, "#")
	value = strings.TrimSpace(value)
	kind, name, typed := strings.Cut(value, ":")
	if !typed {
		return DeploymentRef{Name: value}
	}
	switch Type(kind) {
	case Prod, Dev, Preview, "local":
		return DeploymentRef{Type: Type(kind), Name: name}
	default:
		return DeploymentRef{Name: name}
	}
}
