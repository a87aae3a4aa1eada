package web

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// palette reads the custom colours of the stylesheet: the first block is light, the
// second, where it differs, dark.
func palette(t *testing.T) (light, dark map[string]rgb) {
	t.Helper()
	css := string(stylesheet)
	lightBlock, rest, found := strings.Cut(css, "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("stylesheet has no dark block")
	}
	darkBlock, _, _ := strings.Cut(rest, "\n}\n")
	read := func(block string) map[string]rgb {
		colors := map[string]rgb{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
			c, ok := parseColor(m[2])
			if !ok {
				t.Fatalf("parseColor(%q) = false, want true", m[2])
			}
			colors[m[1]] = c
		}
		return colors
	}
	light, dark = read(lightBlock), read(darkBlock)
	if len(light) < 20 || len(dark) != len(light) {
		t.Fatalf("stylesheet has %d light and %d dark colours, want the same number, at least 20", len(light), len(dark))
	}
	return light, dark
}

func TestStylesheetContrast(t *testing.T) {
	light, dark := palette(t)
	pairs := []struct {
		front, back string
		want        float64
	}{
		{"ink", "card", textContrast}, {"ink", "page", textContrast}, {"ink", "sunken", textContrast},
		{"muted", "card", textContrast}, {"muted", "page", textContrast}, {"muted", "sunken", textContrast},
		{"link", "card", textContrast}, {"link", "page", textContrast}, {"link", "sunken", textContrast},
		{"danger", "card", textContrast}, {"danger", "danger-back", textContrast},
		{"good", "good-back", textContrast}, {"on-mark", "mark", textContrast},
		{"on-accent", "accent", textContrast}, {"on-accent", "accent-hover", textContrast},
		{"control", "card", controlContrast}, {"control", "page", controlContrast},
		{"danger", "card", controlContrast}, {"accent-edge", "card", controlContrast}, {"accent-edge", "page", controlContrast},
	}
	for name, colors := range map[string]map[string]rgb{"light": light, "dark": dark} {
		for _, p := range pairs {
			if got := contrast(colors[p.front], colors[p.back]); got < p.want {
				t.Errorf("%s: contrast(%s, %s) = %.2f, want at least %.1f", name, p.front, p.back, got, p.want)
			}
		}
	}
}

func TestSurfacesEqualTheStylesheet(t *testing.T) {
	light, dark := palette(t)
	for _, c := range []struct {
		name      string
		got, want rgb
	}{
		{"light card", lightCard, light["card"]}, {"light page", lightPage, light["page"]},
		{"dark card", darkCard, dark["card"]}, {"dark page", darkPage, dark["page"]},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, stylesheet has %v", c.name, c.got, c.want)
		}
	}
	l, d := Brand{}.schemes()
	for name, c := range map[string]struct {
		got    scheme
		colors map[string]rgb
	}{"light": {l, light}, "dark": {d, dark}} {
		want := scheme{c.colors["accent"], c.colors["on-accent"], c.colors["accent-hover"], c.colors["accent-edge"], c.colors["link"]}
		if c.got != want {
			t.Errorf("%s scheme of the default accent = %v, stylesheet has %v", name, c.got.css(), want.css())
		}
	}
}

// A team may choose any accent. Walk the colour cube.
func TestEveryAccentIsReadable(t *testing.T) {
	surfaces := map[string][2]rgb{"light": {lightCard, lightPage}, "dark": {darkCard, darkPage}}
	for r := 0; r < 256; r += 17 {
		for g := 0; g < 256; g += 17 {
			for b := 0; b < 256; b += 17 {
				accent := rgb{uint8(r), uint8(g), uint8(b)}
				light, dark := Brand{Accent: accent.String()}.schemes()
				for name, s := range map[string]scheme{"light": light, "dark": dark} {
					check := func(what string, a, b rgb, want float64) {
						if got := contrast(a, b); got < want {
							t.Errorf("%s in %s: contrast of %s = %.2f, want at least %.1f", accent, name, what, got, want)
						}
					}
					check("text on button", s.OnAccent, s.Accent, textContrast)
					check("text on hovered button", s.OnAccent, s.Hover, textContrast)
					for _, surface := range surfaces[name] {
						check("link", s.Link, surface, textContrast)
						check("button edge", s.Edge, surface, controlContrast)
					}
				}
			}
		}
	}
}

func TestContrastKnownValues(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"#000", "#fff", "21.00"}, {"#777777", "#ffffff", "4.48"}, {"#767676", "#ffffff", "4.54"}, {"#0000ff", "#fff", "8.59"},
	} {
		a, _ := parseColor(c.a)
		b, _ := parseColor(c.b)
		if got := fmt.Sprintf("%.2f", contrast(a, b)); got != c.want {
			t.Errorf("contrast(%s, %s) = %s, want %s", c.a, c.b, got, c.want)
		}
	}
}

func TestStyleIsMadeOfNumbersOnly(t *testing.T) {
	for _, accent := range []string{"", "red", "#12", "#12345", "#1234567", "#gggggg", "#+12345", `#fff}body{display:none`, "</style><script>"} {
		if got, want := (Brand{Accent: accent}).style(), (Brand{}).style(); got != want {
			t.Errorf("style of accent %q = %s, want the default %s", accent, got, want)
		}
	}
}

func FuzzParseColor(f *testing.F) {
	for _, seed := range []string{"#fff", "#1f5fae", "#", "fff", "# ff", "#00é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseColor(s)
		if !ok {
			return
		}
		if again, ok := parseColor(c.String()); !ok || again != c {
			t.Errorf("parseColor(%q) = %v, which does not read back", s, c)
		}
	})
}
