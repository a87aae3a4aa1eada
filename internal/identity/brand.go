package identity

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a brand. A logo in the settings is read with every page.
const (
	MaxBrandName = 80        // characters
	MaxLogoURL   = 2048      // bytes of an https URL
	MaxLogoData  = 32 * 1024 // bytes of a data URL
)

var (
	colorSyntax = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
	logoTypes   = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"}
)

// Check refuses a brand that pages cannot show. Errors have the code
// invalid_settings.
func (b Brand) Check() error {
	switch {
	case utf8.RuneCountInString(b.Name) > MaxBrandName || strings.ContainsFunc(b.Name, unicode.IsControl) || !utf8.ValidString(b.Name):
		return badSetting("the name of a brand has at most %d characters and no control characters", MaxBrandName)
	case b.Accent != "" && !colorSyntax.MatchString(b.Accent):
		return badSetting("the accent of a brand is a colour such as #1f5fae or #06c, not %q", b.Accent)
	}
	return checkLogo(b.LogoURL)
}

func checkLogo(raw string) error {
	if raw == "" {
		return nil
	}
	if rest, ok := strings.CutPrefix(raw, "data:"); ok {
		kind, data, ok := strings.Cut(rest, ";base64,")
		switch {
		case len(raw) > MaxLogoData:
			return badSetting("a logo in the settings has at most %d bytes; name a larger one by an https URL", MaxLogoData)
		case !ok || !slices.Contains(logoTypes, kind):
			return badSetting("a logo in the settings is data:TYPE;base64,... with one of the types %s", strings.Join(logoTypes, ", "))
		}
		if _, err := base64.StdEncoding.DecodeString(data); err != nil || data == "" {
			return badSetting("the logo's data is not base64")
		}
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(raw) > MaxLogoURL || strings.ContainsFunc(raw, unicode.IsSpace) {
		return badSetting("a logo is an https URL of at most %d characters, or a data:image/... URL", MaxLogoURL)
	}
	return nil
}
