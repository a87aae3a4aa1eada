package web

import (
	"fmt"
	"html"
	"html/template"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Brand is how an environment presents itself.
type Brand struct {
	Name    string // product name; empty shows no name
	LogoURL string // https URL, data:image URL or path of this origin; else the initials are shown
	Accent  string // #rgb or #rrggbb; anything else gives the default accent
}

// Initials returns one or two letters for the mark: the first of the first word
// and the first of the last one. It is empty when the name has no letter or digit.
func (b Brand) Initials() string {
	words := strings.FieldsFunc(b.Name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	first := func(word string) string {
		r, _ := utf8.DecodeRuneInString(word)
		return string(unicode.ToUpper(r))
	}
	switch len(words) {
	case 0:
		return ""
	case 1:
		return first(words[0])
	default:
		return first(words[0]) + first(words[len(words)-1])
	}
}

// Logo returns LogoURL when the page's policy lets it load, and "" otherwise.
func (b Brand) Logo() template.URL {
	u, err := url.Parse(b.LogoURL)
	if err != nil {
		return ""
	}
	switch {
	case u.Scheme == "https" && u.Host != "",
		u.Scheme == "data" && strings.HasPrefix(u.Opaque, "image/"),
		u.Scheme == "" && safeLink(b.LogoURL) != "":
		return template.URL(b.LogoURL) //nolint:gosec // an image source of a checked scheme; the template escapes the attribute
	default:
		return ""
	}
}

// icon is the favicon: the brand's initials on its accent, or Berth's icon.
func (b Brand) icon() template.URL {
	initials := b.Initials()
	if initials == "" {
		return template.URL(IconPath()) //nolint:gosec // a constant path
	}
	back := b.accent()
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="%s"/>`+
		`<text x="16" y="21.5" text-anchor="middle" font-family="system-ui,sans-serif" font-size="15" font-weight="600" fill="%s">%s</text></svg>`,
		back, textOn(back), html.EscapeString(initials))
	return template.URL("data:image/svg+xml," + url.PathEscape(svg)) //nolint:gosec // built and escaped here
}

// defaultAccent is used where a brand names no colour.
var defaultAccent = rgb{0x1f, 0x5f, 0xae}

func (b Brand) accent() rgb {
	if c, ok := parseColor(b.Accent); ok {
		return c
	}
	return defaultAccent
}

// The surfaces of the stylesheet that coloured text and buttons stand on. A test holds
// them equal to the stylesheet.
var (
	lightCard = rgb{0xff, 0xff, 0xff}
	lightPage = rgb{0xf5, 0xf6, 0xf8}
	darkCard  = rgb{0x18, 0x1b, 0x21}
	darkPage  = rgb{0x0f, 0x11, 0x15}
)

// Least contrast ratios of WCAG 2.2: text (1.4.3), and control boundaries (1.4.11).
const (
	textContrast    = 4.5
	controlContrast = 3.0

	// Coloured text on dark looks thinner than the ratio says.
	darkLinkContrast = 6.0
)

// scheme is the brand's colours in one colour scheme.
type scheme struct {
	Accent   rgb // fill of the main button
	OnAccent rgb // text on it
	Hover    rgb // fill under the pointer
	Edge     rgb // its boundary
	Link     rgb // links and the focus ring, readable on card and page
}

// schemes derives the colours for light and dark from the brand's accent. Whatever
// the accent is, every text keeps 4.5:1 and every boundary 3:1.
func (b Brand) schemes() (light, dark scheme) {
	accent := b.accent()
	light = deriveScheme(accent, rgb{0, 0, 0}, textContrast, lightCard, lightPage)
	if contrast(accent, darkCard) < controlContrast {
		if accent.saturation() < 0x18 {
			accent = rgb{0xee, 0xf0, 0xf3} // a black brand is white in the dark
		} else {
			accent = accent.until(rgb{0xff, 0xff, 0xff}, controlContrast, darkCard)
		}
	}
	dark = deriveScheme(accent, rgb{0xff, 0xff, 0xff}, darkLinkContrast, darkCard, darkPage)
	return light, dark
}

// deriveScheme adapts accent to its surfaces by moving towards the far end.
func deriveScheme(accent, far rgb, linkContrast float64, surfaces ...rgb) scheme {
	s := scheme{Accent: accent, OnAccent: textOn(accent)}
	away := rgb{0, 0, 0}
	if s.OnAccent == away {
		away = rgb{0xff, 0xff, 0xff}
	}
	s.Hover = accent.mix(away, 0.12)
	s.Edge = accent.until(far, controlContrast, surfaces...)
	s.Link = accent.until(far, linkContrast, surfaces...)
	return s
}

// style returns the custom properties of both schemes for the style element. It is
// made of numbers only, whatever Accent holds.
func (b Brand) style() template.CSS {
	light, dark := b.schemes()
	//nolint:gosec // made of parsed colours
	return template.CSS(":root{" + light.css() + "}@media(prefers-color-scheme:dark){:root{" + dark.css() + "}}")
}

func (s scheme) css() string {
	return fmt.Sprintf("--accent:%s;--on-accent:%s;--accent-hover:%s;--accent-edge:%s;--link:%s",
		s.Accent, s.OnAccent, s.Hover, s.Edge, s.Link)
}
