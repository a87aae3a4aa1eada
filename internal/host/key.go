package host

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// DeploymentKey returns the stable key of one deployment of a project:
//
//	<project>:prod
//	<project>:preview:<branch>
//	<project>:dev:<worktree>
//
// name is the raw branch of a preview or the id of a developer's worktree (see
// [WorktreeID]); it is ignored for production. Each part is put as [Slug] does,
// so two keys are equal only when project, kind and name are equal byte for
// byte. A key holds only lower-case letters, digits, "-" and ":", at most 140
// bytes.
func DeploymentKey(project string, kind Kind, name string) (string, error) {
	if project == "" {
		return "", fault.New(fault.Invalid, "a deployment without a project has no key")
	}
	switch kind {
	case Prod:
		return Slug(project) + ":prod", nil
	case Preview, Dev:
		if name == "" {
			return "", fault.New(fault.Invalid, "a %s deployment without a name has no key", kind).WithFix("pass --branch NAME")
		}
		return Slug(project) + ":" + string(kind) + ":" + Slug(name), nil
	}
	return "", fault.New(fault.Invalid, "%q is not a kind of deployment", string(kind)).WithFix("use dev, preview or prod")
}

// Key returns the [DeploymentKey] of the build, of which project is the stable
// id. The branch of a fork is kept apart from a branch of the same name in the
// repository itself: "main" of a stranger is not our "main". For dev builds
// the name is the branch; developers use [DeploymentKey] with [WorktreeID].
func (b *Build) Key(project string) (string, error) {
	name := b.Branch
	if b.Fork != "" && name != "" {
		name = b.Fork + ":" + name // git allows no colon in a branch name
	}
	return DeploymentKey(project, b.Kind, name)
}

const slugLength = 40

// Slug returns name unchanged when it consists of lower-case ASCII letters and
// digits with single hyphens between them and has at most 40 bytes. Any other
// name becomes a readable rest, "--" and 100 bits of its SHA-256. No name that
// stays unchanged holds "--", so different names give different slugs. The
// result is at most 62 bytes, so it fits a DNS label.
func Slug(name string) string {
	var slug strings.Builder
	hyphen := false
	for _, r := range name {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			if hyphen && slug.Len() > 0 {
				slug.WriteByte('-')
			}
			hyphen = false
			slug.WriteRune(r)
		} else {
			hyphen = true
		}
	}
	rest := slug.String()
	if rest == name && rest != "" && len(rest) <= slugLength {
		return name
	}
	rest = strings.TrimRight(rest[:min(len(rest), slugLength)], "-")
	if rest == "" {
		rest = "x"
	}
	return rest + "--" + digest(name)
}

// digest returns 20 characters, 100 bits, of the SHA-256 of the parts.
func digest(parts ...string) string {
	h := sha256.New()
	for i, part := range parts {
		if i > 0 {
			h.Write([]byte{0})
		}
		h.Write([]byte(part))
	}
	return strings.ToLower(base32.HexEncoding.EncodeToString(h.Sum(nil))[:20])
}

// WorktreeID returns the stable id of one developer's worktree: machine is a
// random id that the caller keeps on this machine, root the absolute path of
// the worktree with symbolic links resolved. It reveals neither.
func WorktreeID(machine, root string) (string, error) {
	if machine == "" || strings.ContainsRune(machine, 0) {
		return "", fault.New(fault.Invalid, "a worktree needs the id of its machine")
	}
	if !filepath.IsAbs(root) {
		return "", fault.New(fault.Invalid, "the worktree %s is not an absolute path", quote(root))
	}
	return "wt-" + digest(machine, filepath.Clean(root)), nil
}

const pagesAliasLength = 28

// PagesAlias returns the label under <project>.pages.dev at which Cloudflare
// Pages serves the newest build of a branch, or "" when the name leaves
// nothing. Lower case and "-" for other characters are documented; that the
// label is cut at 28 characters, without a hash, was said by staff only and
// what happens to hyphens at the ends by nobody, so guess is true then.
func PagesAlias(branch string) (alias string, guess bool) {
	var b strings.Builder
	for _, r := range branch {
		switch {
		case 'A' <= r && r <= 'Z':
			b.WriteRune(r + 'a' - 'A')
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	full := b.String()
	alias = strings.Trim(full[:min(len(full), pagesAliasLength)], "-")
	return alias, alias != full
}

// WorkersAlias returns the alias that wrangler gives to the versions of a
// branch, the first label of <alias>-<worker>.<account>.workers.dev, or ""
// when it gives none. The rule is that of wrangler 4: other characters than
// letters, digits and "-" become "-", runs are collapsed, ends trimmed; what
// does not fit into 63 characters together with the worker's name is cut and
// gets 4 hexadecimal digits of the branch's SHA-256. It is a guess until
// wrangler reports the address.
func WorkersAlias(branch, worker string) string {
	var b strings.Builder
	hyphen := false
	for _, r := range strings.ToLower(branch) {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			if hyphen && b.Len() > 0 {
				b.WriteByte('-')
			}
			hyphen = false
			b.WriteRune(r)
		} else {
			hyphen = true
		}
	}
	alias := b.String()
	room := 63 - len(worker) - len("-")
	if len(alias) > room {
		const hashLength = 4
		keep := room - hashLength - len("-")
		if keep < 1 {
			return ""
		}
		sum := sha256.Sum256([]byte(branch))
		alias = alias[:keep] + "-" + hex.EncodeToString(sum[:])[:hashLength]
	}
	if alias == "" || alias[0] < 'a' || alias[0] > 'z' {
		return "" // an alias must start with a letter
	}
	return alias
}
