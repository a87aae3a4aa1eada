package plan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// Desired is what one deployment should have.
type Desired struct {
	Target         Target
	Environment    Wish
	RedirectURIs   []string
	Origins        []string
	Homepage       string // "" asks for none
	JWTTemplate    string // "" asks for none
	Issuer         *Issuance
	AuthConfig     *string // bundled source for an embedded deployment; nil leaves it alone
	AuthConfigName string  // the file it was made from, for people
	Variables      []DesiredVariable
	Files          []DesiredFile
	Ours           Ours   // recorded as put there by this deployment; what of it is no longer desired goes
	Others         Others // what other live claims hold; never removed, never flipped
}

// Wish says what should happen to the environment itself. The zero value
// leaves it alone.
type Wish struct {
	Name       string // make it under this name when it is missing; "" never makes one
	Production bool
	Release    bool // the deployment is gone: remove the environment when it is its own
}

// Issuance is the wished iss of access tokens. Value "" is the server's own form.
type Issuance struct {
	Value   string
	Pending bool // the value holds the client ID, which is not known yet: Value then has ClientIDMark
}

// ClientIDMark stands for the client ID in an Issuance that is pending.
const ClientIDMark = "{client_id}"

// DesiredVariable is a variable of the deployment.
type DesiredVariable struct {
	Name    string
	Value   secret.String
	Secret  bool // views hide the value
	Pending bool // the value comes with the environment, which is not made yet
	Default bool // set when unset; another value, set by a person, is kept and reported
}

// DesiredFile is a file of the app folder with its whole new content, made by
// whoever knows the file's form.
type DesiredFile struct {
	Path    string
	Content []byte
	Pending bool   // the content holds values that come with the environment
	Summary string // what changes, without values: "WORKOS_CLIENT_ID, WORKOS_API_KEY set"
}

// Ours is what this deployment put into its environment and backend.
type Ours struct {
	RedirectURIs []string
	Origins      []string
	Homepage     string
	JWTTemplate  string
	Variables    []string
}

// Others is what the other live claims on the environment hold.
type Others struct {
	RedirectURIs []string
	Origins      []string
	Homepage     string // "" when no live claim set one
	HomepageBy   string // whose it is, for the note
	JWTTemplate  string
}

// Actual is what there is.
type Actual struct {
	Environment      *EnvironmentState // nil when it is not made yet
	RedirectURIs     []workos.RedirectURI
	Origins          []workos.CORSOrigin
	OriginsRemovable bool // WorkOS cannot remove origins; a Berth server can
	DefaultRemovable bool // nor the default redirect URI
	Homepage         AppliedHomepage
	JWTTemplate      string                   // "" when never set
	Issuer           string                   // as set; "" is the server's own form
	AuthConfig       string                   // source that the embedded deployment has
	Variables        map[string]secret.String // nil when they cannot be read (R84)
	Files            map[string][]byte        // by path; a missing file has no entry
}

// EnvironmentState is the environment as found.
type EnvironmentState struct {
	ID         string
	Production bool
	Ours       bool // made by Berth, recorded
}

// AppliedHomepage is the homepage as last applied: the protocol has no call
// that reads it. The zero value is unknown, and unknown is set.
type AppliedHomepage struct {
	Value   string
	Known   bool
	Refused string // why the other end refused Value; it is not tried again
}

// Diff returns the changes from actual to desired. It is pure, and its result
// is sorted in the order in which Apply works.
func Diff(desired Desired, actual Actual) Plan {
	d := differ{Desired: desired, actual: actual, plan: Plan{Target: desired.Target}}
	released := d.environment()
	if !released {
		d.redirectURIs()
		d.origins()
		d.homepage()
		d.jwtTemplate()
		d.issuer()
	}
	d.variables()
	if d.AuthConfig != nil && *d.AuthConfig != d.actual.AuthConfig {
		c := Change{Action: Set, Resource: AuthConfig, Name: d.AuthConfigName, Before: d.actual.AuthConfig, After: *d.AuthConfig}
		if c.Before == "" {
			c.Action = Add
		}
		d.change(c)
	}
	d.files()
	slices.SortStableFunc(d.plan.Changes, compareChanges)
	slices.SortStableFunc(d.plan.Notes, compareNotes)
	return d.plan
}

type differ struct {
	Desired
	actual Actual
	plan   Plan
}

func (d *differ) change(c Change) {
	if c.Target == "" {
		switch c.Resource {
		case Variable:
			c.Target = d.Target.Deployment
		case File:
		default:
			c.Target = d.Target.Environment
		}
	}
	d.plan.Changes = append(d.plan.Changes, c)
}

func (d *differ) note(r Resource, name, reason string) {
	d.plan.Notes = append(d.plan.Notes, Note{r, name, reason})
}

// environment plans the environment itself and reports whether it goes, with
// all that is in it.
func (d *differ) environment() bool {
	have, wish := d.actual.Environment, d.Desired.Environment
	switch {
	case wish.Release && have == nil:
		return true
	case wish.Release && d.Target.Placement == Dedicated:
		switch {
		case have.Production:
			d.note(Environment, have.ID, "a production environment is never removed by Berth; remove it in the dashboard when you are sure")
		case !have.Ours:
			d.note(Environment, have.ID, "Berth has no record of making this environment and leaves it alone")
		default:
			d.change(Change{Action: Remove, Resource: Environment, Name: have.ID, ID: have.ID, Reason: "its deployment is gone"})
			return true
		}
	case have == nil && wish.Name != "":
		reason := ""
		if wish.Production {
			reason = "production"
		}
		d.change(Change{Action: Add, Resource: Environment, Name: wish.Name, Reason: reason})
	}
	return false
}

func (d *differ) redirectURIs() {
	want := unique(d.RedirectURIs)
	have := map[string]workos.RedirectURI{}
	for _, u := range d.actual.RedirectURIs {
		have[u.URI] = u
	}
	for _, uri := range want {
		if _, ok := have[uri]; !ok {
			d.change(Change{Action: Add, Resource: RedirectURI, Name: uri, After: uri})
		}
	}
	for _, uri := range unique(d.Ours.RedirectURIs) {
		u, there := have[uri]
		if !there || slices.Contains(want, uri) || slices.Contains(d.Others.RedirectURIs, uri) {
			continue
		}
		if u.Default && !d.actual.DefaultRemovable {
			d.note(RedirectURI, uri, "no longer wanted, but the environment's default redirect URI cannot be removed; choose another default in the dashboard")
			continue
		}
		d.change(Change{Action: Remove, Resource: RedirectURI, Name: uri, ID: u.ID, Before: uri, Reason: "ours, no longer wanted"})
	}
}

func (d *differ) origins() {
	want := unique(normalOrigins(d.Origins))
	others := normalOrigins(d.Others.Origins)
	have := map[string]workos.CORSOrigin{}
	for _, o := range d.actual.Origins {
		have[normalOrigin(o.Origin)] = o
	}
	for _, origin := range want {
		if _, ok := have[origin]; !ok {
			d.change(Change{Action: Add, Resource: CORSOrigin, Name: origin, After: origin})
		}
	}
	for _, origin := range unique(normalOrigins(d.Ours.Origins)) {
		o, there := have[origin]
		if !there || slices.Contains(want, origin) || slices.Contains(others, origin) {
			continue
		}
		if !d.actual.OriginsRemovable {
			d.note(CORSOrigin, o.Origin, "no longer wanted, but WorkOS has no call that removes a CORS origin; remove it in the dashboard")
			continue
		}
		d.change(Change{Action: Remove, Resource: CORSOrigin, Name: o.Origin, ID: o.ID, Before: o.Origin, Reason: "ours, no longer wanted"})
	}
}

// homepage has no read call and one value per environment. Where claims share
// an environment the first live one keeps it: flipping it on every deploy
// would send people who sign out of one branch to another.
func (d *differ) homepage() {
	applied := d.actual.Homepage
	switch {
	case d.Homepage == "":
		if d.Ours.Homepage != "" && applied.Known && applied.Value == d.Ours.Homepage && d.Others.Homepage == "" {
			d.note(Homepage, applied.Value, "no longer wanted, but there is no call that removes a homepage; it stays until another deployment sets one")
		}
	case d.Target.Placement == Shared && d.Others.Homepage != "" && d.Others.Homepage != d.Homepage:
		by := ""
		if d.Others.HomepageBy != "" {
			by = " by " + d.Others.HomepageBy
		}
		d.note(Homepage, d.Homepage, "not set: this environment is shared and its one homepage is "+d.Others.Homepage+", set"+by+"; sign-out must pass return_to to come back here")
	case applied.Known && applied.Value == d.Homepage:
		if applied.Refused != "" {
			d.plan.Warnings = append(d.plan.Warnings, "homepage "+d.Homepage+" was refused before and is not tried again: "+applied.Refused+"; sign-out must pass return_to")
		}
	default:
		c := Change{Action: Set, Resource: Homepage, Name: string(Homepage), After: d.Homepage}
		switch {
		case applied.Known:
			c.Before = applied.Value
		case d.actual.Environment == nil:
			c.Action = Add
		default:
			c.Reason = "the present value cannot be read"
		}
		d.change(c)
	}
}

func (d *differ) jwtTemplate() {
	have := d.actual.JWTTemplate
	switch {
	case d.JWTTemplate == "" || sameTemplate(have, d.JWTTemplate):
	case have == "":
		d.change(Change{Action: Add, Resource: JWTTemplate, Name: string(JWTTemplate), After: d.JWTTemplate})
	case d.Target.Placement == Shared && !sameTemplate(have, d.Ours.JWTTemplate):
		d.note(JWTTemplate, "", "not set: this environment is shared and already has a template that this deployment did not put there; merge the two in the dashboard")
	case d.Target.Placement == Shared && d.Others.JWTTemplate != "" && !sameTemplate(d.Others.JWTTemplate, d.JWTTemplate):
		d.note(JWTTemplate, "", "not changed: another deployment that shares this environment wants the template as it is")
	default:
		d.change(Change{Action: Set, Resource: JWTTemplate, Name: string(JWTTemplate), Before: have, After: d.JWTTemplate})
	}
}

func (d *differ) issuer() {
	if d.Issuer == nil || d.Issuer.Value == d.actual.Issuer {
		return
	}
	c := Change{Action: Set, Resource: Issuer, Name: string(Issuer), Before: d.actual.Issuer, After: d.Issuer.Value, Reason: "auth.config names it"}
	if c.After == "" {
		c.Reason = "back to the server's own, which auth.config names"
	}
	d.change(c)
}

func (d *differ) variables() {
	want := map[string]bool{}
	readable := d.actual.Variables != nil
	for _, v := range d.Variables {
		if want[v.Name] {
			continue // the first of a name counts
		}
		want[v.Name] = true
		have, there := d.actual.Variables[v.Name]
		c := Change{Action: Set, Resource: Variable, Name: v.Name, Before: have.Reveal(), After: v.Value.Reveal(), Secret: v.Secret, Pending: v.Pending}
		switch {
		case v.Pending && d.actual.Environment != nil:
			d.note(Variable, v.Name, "its value was not found although the environment exists")
		case there && v.Default && (v.Pending || have != v.Value):
			c.Action, c.Reason, c.Pending = Keep, "set by a person", false
			d.change(c)
		case v.Pending && !there && readable:
			c.Action = Add
			d.change(c)
		case v.Pending:
			d.change(c)
		case !readable:
			c.Reason = "the deployment's variables cannot be read with this key"
			d.change(c)
		case !there:
			c.Action = Add
			d.change(c)
		case have != v.Value:
			d.change(c)
		}
	}
	for _, name := range unique(d.Ours.Variables) {
		if have, there := d.actual.Variables[name]; there && !want[name] {
			d.change(Change{Action: Remove, Resource: Variable, Name: name, Before: have.Reveal(), Secret: true, Reason: "ours, no longer wanted"})
		}
	}
}

func (d *differ) files() {
	done := map[string]bool{}
	for _, f := range d.Files {
		if done[f.Path] {
			continue // the first of a path counts
		}
		done[f.Path] = true
		have, there := d.actual.Files[f.Path]
		if there && !f.Pending && bytes.Equal(have, f.Content) {
			continue
		}
		if f.Pending && d.actual.Environment != nil {
			d.note(File, f.Path, "a value it needs was not found although the environment exists")
			continue
		}
		c := Change{Action: Set, Resource: File, Name: f.Path, Before: string(have), After: string(f.Content), Secret: true, Pending: f.Pending, Reason: f.Summary}
		if !there {
			c.Action = Add
		}
		d.change(c)
	}
}

// unique returns the non-empty entries of list, each once, sorted.
func unique(list []string) []string {
	out := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	slices.Sort(out)
	return slices.Compact(out)
}

func normalOrigins(list []string) []string {
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = normalOrigin(o)
	}
	return out
}

// normalOrigin writes an origin as a browser sends it, so that a slash or
// capitals in one place do not register it again on every run.
func normalOrigin(origin string) string {
	origin = strings.TrimSuffix(strings.TrimSpace(origin), "/")
	if o, err := identity.OriginOf(strings.ToLower(origin)); err == nil {
		return o
	}
	return origin
}

// sameTemplate compares two JWT templates without the space between tokens:
// the other end may store them reformatted.
func sameTemplate(a, b string) bool { return compact(a) == compact(b) }

func compact(template string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(template)) != nil {
		return strings.TrimSpace(template)
	}
	return b.String()
}

// WithClientID puts the client ID into an issuer that was pending.
func WithClientID(issuer, clientID string) string {
	return strings.ReplaceAll(issuer, ClientIDMark, clientID)
}
