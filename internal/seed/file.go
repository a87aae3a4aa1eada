// Package seed reads files that describe the users, organizations, roles and
// permissions of a test environment, and makes an environment so. It uses the
// calls that WorkOS and Berth have in common, adds and changes, and never
// removes: what a file does not name stays as it is.
package seed

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// File is a seed file: JSON in which comments and trailing commas are allowed
// (JWCC). Members that it does not know are refused.
type File struct {
	Permissions   []Permission   `json:"permissions"`
	Roles         []Role         `json:"roles"` // of the environment
	Organizations []Organization `json:"organizations"`
	Users         []User         `json:"users"`
}

// Permission is something that a role allows. Its slug is its identity.
type Permission struct {
	Slug        string  `json:"slug"`
	Name        string  `json:"name"` // default: the slug
	Description *string `json:"description"`
}

// Role is a named set of permissions. Its slug is its identity.
type Role struct {
	Slug        string    `json:"slug"`
	Name        string    `json:"name"` // default: the slug
	Description *string   `json:"description"`
	Permissions *[]string `json:"permissions"` // slugs, all of them; absent: left as they are
}

// Organization is known by its external id where it has one, else by its name.
type Organization struct {
	Name       string            `json:"name"`
	ExternalID string            `json:"external_id"`
	Domains    []string          `json:"domains"` // verified
	Metadata   map[string]string `json:"metadata"`
	Roles      []Role            `json:"roles"` // of this organization alone; slugs begin with org-
}

// User is known by its address.
type User struct {
	Email         string            `json:"email"`
	Password      string            `json:"password"` // default: the one of the accounts file, or a new one
	Name          string            `json:"name"`     // instead of the two below
	FirstName     string            `json:"first_name"`
	LastName      string            `json:"last_name"`
	Verified      *bool             `json:"verified"` // default true
	ExternalID    string            `json:"external_id"`
	Metadata      map[string]string `json:"metadata"`
	Organizations []Membership      `json:"organizations"`
}

// IsVerified tells whether the address counts as proven.
func (u User) IsVerified() bool { return u.Verified == nil || *u.Verified }

// Names returns first and last name.
func (u User) Names() (first, last string) {
	if u.Name != "" {
		first, last, _ = strings.Cut(strings.TrimSpace(u.Name), " ")
		return first, strings.TrimSpace(last)
	}
	return u.FirstName, u.LastName
}

// Membership puts a user into an organization of the same file.
type Membership struct {
	Organization string   `json:"organization"` // its name or external id
	Roles        []string `json:"roles"`        // absent: the environment's default, or left as they are
}

// Parse reads a seed file; name stands in errors, which say line and column.
func Parse(name string, data []byte) (*File, error) {
	v, err := hujson.Parse(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is no JSON: %s", name, strings.TrimPrefix(err.Error(), "hujson: ")).WithCode("seed_invalid")
	}
	p := &place{name: name, data: data}
	if err := p.check(&v, reflect.TypeFor[File](), ""); err != nil {
		return nil, err
	}
	p.find(&v)
	v.Standardize()
	var f File
	if err := json.Unmarshal(v.Pack(), &f); err != nil {
		return nil, fault.New(fault.Invalid, "%s cannot be read: %s", name, err).WithCode("seed_invalid")
	}
	return &f, f.check(p)
}

// place turns offsets of a file into lines and columns.
type place struct {
	name  string
	data  []byte
	marks map[string]int // offsets of elements, such as users[2]
}

// bad is an error at an offset.
func (p *place) bad(offset int, format string, args ...any) *fault.Error {
	before := string(p.data[:min(offset, len(p.data))])
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return fault.New(fault.Invalid, "%s line %d column %d: %s", p.name, line, column, fmt.Sprintf(format, args...)).WithCode("seed_invalid")
}

// find remembers where the elements of the top lists are.
func (p *place) find(v *hujson.Value) {
	p.marks = map[string]int{}
	top, ok := v.Value.(*hujson.Object)
	if !ok {
		return
	}
	for _, m := range top.Members {
		list, ok := m.Value.Value.(*hujson.Array)
		if !ok {
			continue
		}
		for i := range list.Elements {
			p.marks[fmt.Sprintf("%s[%d]", m.Name.Value.(hujson.Literal).String(), i)] = list.Elements[i].StartOffset
		}
	}
}

// check holds a value to the shape of a Go type.
func (p *place) check(v *hujson.Value, t reflect.Type, path string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	where := path
	if where == "" {
		where = "the file"
	}
	wrong := func(want string) error { return p.bad(v.StartOffset, "%s has to be %s", where, want) }
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		o, ok := v.Value.(*hujson.Object)
		if !ok {
			return wrong("an object")
		}
		return p.checkMembers(o, t, path)
	case reflect.Slice:
		a, ok := v.Value.(*hujson.Array)
		if !ok {
			return wrong("a list")
		}
		for i := range a.Elements {
			if err := p.check(&a.Elements[i], t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.String:
		if l, ok := v.Value.(hujson.Literal); !ok || l.Kind() != '"' {
			return wrong("a text")
		}
	case reflect.Bool:
		if l, ok := v.Value.(hujson.Literal); !ok || l.Kind() != 't' && l.Kind() != 'f' {
			return wrong("true or false")
		}
	}
	return nil
}

func (p *place) checkMembers(o *hujson.Object, t reflect.Type, path string) error {
	types := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			types[f.Tag.Get("json")] = f.Type
		}
	}
	seen := map[string]bool{}
	for i := range o.Members {
		m := &o.Members[i]
		name := m.Name.Value.(hujson.Literal).String()
		member, known := types[name]
		if t.Kind() == reflect.Map {
			member, known = t.Elem(), true
		}
		switch {
		case seen[name]:
			return p.bad(m.Name.StartOffset, "%q is there twice", name)
		case !known:
			return p.bad(m.Name.StartOffset, "%q is not known here", name).WithFix("known are %s", strings.Join(slices.Sorted(maps.Keys(types)), ", "))
		}
		seen[name] = true
		below := name
		if path != "" {
			below = path + "." + name
		}
		if err := p.check(&m.Value, member, below); err != nil {
			return err
		}
	}
	return nil
}

// check holds the file to what its parts say of each other.
func (f *File) check(p *place) error {
	at := func(list string, i int, format string, args ...any) error {
		return p.bad(p.marks[fmt.Sprintf("%s[%d]", list, i)], format, args...)
	}
	slugs := map[string]bool{}
	for i, v := range f.Permissions {
		if v.Slug == "" || slugs[v.Slug] {
			return at("permissions", i, "a permission needs a slug of its own")
		}
		slugs[v.Slug] = true
	}
	if i, problem := checkRoles(f.Roles, ""); problem != "" {
		return at("roles", i, "%s", problem)
	}
	known := map[string]bool{}
	for i, o := range f.Organizations {
		switch {
		case o.Name == "":
			return at("organizations", i, "an organization needs a name")
		case known[o.Name] || o.ExternalID != "" && known[o.ExternalID]:
			return at("organizations", i, "another organization has this name or external_id")
		}
		known[o.Name] = true
		if o.ExternalID != "" {
			known[o.ExternalID] = true
		}
		if _, problem := checkRoles(o.Roles, identity.OrganizationRolePrefix); problem != "" {
			return at("organizations", i, "%s", problem)
		}
	}
	seen := map[string]bool{}
	for i, u := range f.Users {
		if err := identity.CheckEmail(u.Email); err != nil {
			return at("users", i, "%s", fault.From(err).Message)
		}
		if key := identity.EmailKey(u.Email); seen[key] {
			return at("users", i, "%s is there twice", u.Email)
		}
		seen[identity.EmailKey(u.Email)] = true
		if u.Password != "" {
			if err := identity.CheckPassword(u.Password, u.Email); err != nil {
				return at("users", i, "%s: %s", u.Email, fault.From(err).Message)
			}
		}
		if u.Name != "" && (u.FirstName != "" || u.LastName != "") {
			return at("users", i, "%s has a name, and a first_name or last_name", u.Email)
		}
		for _, m := range u.Organizations {
			if !known[m.Organization] {
				return at("users", i, "%s is in %q, which is no organization of this file", u.Email, m.Organization)
			}
		}
	}
	return nil
}

// checkRoles returns the first role that cannot be, and why.
func checkRoles(list []Role, prefix string) (int, string) {
	seen := map[string]bool{}
	for i, r := range list {
		if r.Slug == "" || seen[r.Slug] {
			return i, "a role needs a slug of its own"
		}
		if !strings.HasPrefix(r.Slug, prefix) {
			return i, fmt.Sprintf("the role %q of an organization has to begin with %s", r.Slug, prefix)
		}
		seen[r.Slug] = true
	}
	return 0, ""
}
