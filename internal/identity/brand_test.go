package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// R91: what the pages of an environment cannot show, or its tokens cannot be,
// is refused before it is kept.
func TestSettingsAreChecked(t *testing.T) {
	const png = "data:image/png;base64,iVBORw0KGgo="
	for name, c := range map[string]struct {
		s  Settings
		ok bool
	}{
		"the defaults":               {Settings{}, true},
		"a whole brand":              {Settings{Brand: Brand{Name: "Acme", LogoURL: "https://acme.example/logo.svg", Accent: "#06c"}}, true},
		"a logo of data":             {Settings{Brand: Brand{LogoURL: png, Accent: "#1F5fae"}}, true},
		"bounds":                     {Settings{Tokens: TokenSettings{Lifetime: time.Minute, Algorithm: "ES256"}, Sessions: Sessions{Lifetime: 5 * time.Minute, Inactivity: 365 * 24 * time.Hour}}, true},
		"a name of 80 characters":    {Settings{Brand: Brand{Name: strings.Repeat("ä", 80)}}, true},
		"a longer name":              {Settings{Brand: Brand{Name: strings.Repeat("ä", 81)}}, false},
		"a name over two lines":      {Settings{Brand: Brand{Name: "Ac\nme"}}, false},
		"a colour by name":           {Settings{Brand: Brand{Accent: "red"}}, false},
		"a colour with style":        {Settings{Brand: Brand{Accent: "#fff;}"}}, false},
		"a colour of four digits":    {Settings{Brand: Brand{Accent: "#ffff"}}, false},
		"a logo over http":           {Settings{Brand: Brand{LogoURL: "http://acme.example/logo.svg"}}, false},
		"a logo of a script":         {Settings{Brand: Brand{LogoURL: "javascript:alert(1)"}}, false},
		"a logo of text":             {Settings{Brand: Brand{LogoURL: "data:text/html;base64,PGI+"}}, false},
		"a logo of broken data":      {Settings{Brand: Brand{LogoURL: "data:image/png;base64,***"}}, false},
		"a logo without data":        {Settings{Brand: Brand{LogoURL: "data:image/png;base64,"}}, false},
		"a logo with a password":     {Settings{Brand: Brand{LogoURL: "https://a:b@acme.example/logo.svg"}}, false},
		"a logo of this origin":      {Settings{Brand: Brand{LogoURL: "/logo.svg"}}, false},
		"a logo that is too large":   {Settings{Brand: Brand{LogoURL: "data:image/png;base64," + strings.Repeat("AAAA", 10_000)}}, false},
		"another algorithm":          {Settings{Tokens: TokenSettings{Algorithm: "HS256"}}, false},
		"a token of seconds":         {Settings{Tokens: TokenSettings{Lifetime: 59 * time.Second}}, false},
		"a token of days":            {Settings{Tokens: TokenSettings{Lifetime: 25 * time.Hour}}, false},
		"a session of four minutes":  {Settings{Sessions: Sessions{Lifetime: 4 * time.Minute}}, false},
		"a session of more a year":   {Settings{Sessions: Sessions{Lifetime: 366 * 24 * time.Hour}}, false},
		"a pause of four minutes":    {Settings{Sessions: Sessions{Inactivity: 4 * time.Minute}}, false},
		"a lifetime before it began": {Settings{Tokens: TokenSettings{Lifetime: -time.Hour}}, false},
		"a login page":               {Settings{Connect: Connect{LoginURI: "https://app.example.com/login?from=berth"}}, true},
		"a login page while at work": {Settings{Connect: Connect{LoginURI: "http://localhost:3000/login"}}, true},
		"a login page anywhere":      {Settings{Connect: Connect{LoginURI: "https://*.example.com/login"}}, false},
		"a login page in an app":     {Settings{Connect: Connect{LoginURI: "myapp://login"}}, false},
		"a login page of a script":   {Settings{Connect: Connect{LoginURI: "javascript:alert(1)"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.s.Check(false)
			if (err == nil) != c.ok || err != nil && fault.Code(err) != "invalid_settings" {
				t.Errorf("Check = %v, want ok %t with the code invalid_settings", err, c.ok)
			}
		})
	}
}

func TestProductionHasSettingsOfItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		s    Settings
		code string
	}{
		"no test users to list":        {Settings{Pages: Pages{ListTestUsers: true}}, "production_has_no_test_accounts"},
		"no login page over http":      {Settings{Connect: Connect{LoginURI: "http://app.example.com/login"}}, "invalid_settings"},
		"no login page on one machine": {Settings{Connect: Connect{LoginURI: "https://localhost/login"}}, "invalid_settings"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.s.Check(true); fault.Code(err) != c.code {
				t.Errorf("Check in production = %v, want the code %s", err, c.code)
			}
			if err := c.s.Check(false); err != nil {
				t.Errorf("Check elsewhere = %v, want none", err)
			}
		})
	}
}

// FuzzBrand: what is accepted has no way out of an attribute, a style or a
// scheme that loads images.
func FuzzBrand(f *testing.F) {
	f.Add("Acme", "https://acme.example/logo.svg", "#06c")
	f.Add("", "data:image/png;base64,AAAA", "#1f5fae")
	f.Add("x", "javascript:alert(1)", "red;}")
	f.Fuzz(func(t *testing.T, name, logo, accent string) {
		if (Brand{Name: name, LogoURL: logo, Accent: accent}).Check() != nil {
			return
		}
		if logo != "" && !strings.HasPrefix(strings.ToLower(logo), "https:") && !strings.HasPrefix(logo, "data:image/") {
			t.Errorf("Check(%q) = nil, want only https and data:image", logo)
		}
		if strings.ContainsAny(accent, ";{}<>\"'() ") {
			t.Errorf("Check(%q) = nil, want a colour alone", accent)
		}
	})
}
