package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
)

// setting is one thing that `berth settings set` can change.
type setting struct {
	key  string
	what string // for help
	set  func(to *berth.Settings, value string) error
	show func(berth.Settings) string
}

// settings lists them in the order in which they are shown.
var settings = []setting{
	text("brand.name", "name on the pages (default: of the project)", func(s *berth.Settings) **string { return &brandOf(s).Name }),
	text("brand.logo-url", "https or data:image URL of the logo", func(s *berth.Settings) **string { return &brandOf(s).LogoURL }),
	text("brand.accent", "colour of buttons and links, such as #06c", func(s *berth.Settings) **string { return &brandOf(s).Accent }),
	text("algorithm", "of access tokens: RS256 (default) or ES256", func(s *berth.Settings) **string { return &s.Algorithm }),
	text("audience", "aud of access tokens (default: none)", func(s *berth.Settings) **string { return &s.Audience }),
	span("access-token-lifetime", "1m to 24h (default: 5m)", func(s *berth.Settings) **int64 { return &s.AccessTokenLifetime }),
	span("session-lifetime", "from sign-in on, 5m to 365d (default: 30d)", func(s *berth.Settings) **int64 { return &s.SessionLifetime }),
	span("session-inactivity", "without a refresh, 5m to 365d (default: no limit)", func(s *berth.Settings) **int64 { return &s.SessionInactivity }),
	toggle("methods.password", "sign-in by password: on or off", true, func(s *berth.Settings) **bool { return &methodsOf(s).Password }),
	toggle("methods.magic-code", "sign-in by a mailed code: on or off", true, func(s *berth.Settings) **bool { return &methodsOf(s).MagicCode }),
	toggle("methods.sso", "single sign-on: on or off", true, func(s *berth.Settings) **bool { return &methodsOf(s).SSO }),
	toggle("methods.sign-up", "people make accounts themselves: on or off", true, func(s *berth.Settings) **bool { return &methodsOf(s).SignUp }),
	toggle("mfa-required", "a second factor at every sign-in but single sign-on: on or off (default)", false, func(s *berth.Settings) **bool { return &s.MFARequired }),
	toggle("pages.list-test-users", "everybody may sign in as a test user, not in production: on or off (default)", false, func(s *berth.Settings) **bool { return &pagesOf(s).ListTestUsers }),
	text("connect.login-uri", "where you sign people in to OAuth applications (default: the pages)", func(s *berth.Settings) **string { return &connectOf(s).LoginURI }),
}

func pagesOf(s *berth.Settings) *berth.Pages {
	if s.Pages == nil {
		s.Pages = &berth.Pages{}
	}
	return s.Pages
}

func connectOf(s *berth.Settings) *berth.Connect {
	if s.Connect == nil {
		s.Connect = &berth.Connect{}
	}
	return s.Connect
}

func brandOf(s *berth.Settings) *berth.Brand {
	if s.Brand == nil {
		s.Brand = &berth.Brand{}
	}
	return s.Brand
}

func methodsOf(s *berth.Settings) *berth.Methods {
	if s.Methods == nil {
		s.Methods = &berth.Methods{}
	}
	return s.Methods
}

func text(key, what string, at func(*berth.Settings) **string) setting {
	return setting{key, what, func(to *berth.Settings, value string) error {
		*at(to) = &value
		return nil
	}, func(s berth.Settings) string {
		v := *at(&s)
		if v == nil || *v == "" {
			return "-"
		}
		return *v
	}}
}

func span(key, what string, at func(*berth.Settings) **int64) setting {
	return setting{key, what, func(to *berth.Settings, value string) error {
		seconds, err := readSpan(value)
		if err != nil {
			return fault.New(fault.Invalid, "%s=%s is no length of time", key, value).WithFix("write it like 90s, 10m, 12h or 30d; nothing after = gives the default").WithCode("setting_invalid")
		}
		*at(to) = &seconds
		return nil
	}, func(s berth.Settings) string {
		v := *at(&s)
		if v == nil || *v == 0 {
			return "-"
		}
		return spanText(*v)
	}}
}

func toggle(key, what string, byDefault bool, at func(*berth.Settings) **bool) setting {
	return setting{key, what, func(to *berth.Settings, value string) error {
		switch value {
		case "":
			*at(to) = new(byDefault)
		case "on", "true":
			*at(to) = new(true)
		case "off", "false":
			*at(to) = new(false)
		default:
			return fault.New(fault.Invalid, "%s=%s is neither on nor off", key, value).WithFix("write %s=on or %s=off", key, key).WithCode("setting_invalid")
		}
		return nil
	}, func(s berth.Settings) string {
		on := byDefault
		if v := *at(&s); v != nil {
			on = *v
		}
		if on {
			return "on"
		}
		return "off"
	}}
}

const secondsOfDay = 24 * 60 * 60

// readSpan reads a length of time in whole seconds; days are written 30d, and
// "" is 0, which stands for the default.
func readSpan(value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(value, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return int64(n) * secondsOfDay, err
	}
	d, err := time.ParseDuration(value)
	if err == nil && (d < 0 || d%time.Second != 0) {
		err = strconv.ErrRange
	}
	return int64(d / time.Second), err
}

// spanText writes seconds as readSpan reads them.
func spanText(seconds int64) string {
	if seconds%secondsOfDay == 0 {
		return fmt.Sprintf("%dd", seconds/secondsOfDay)
	}
	out := (time.Duration(seconds) * time.Second).String()
	out = strings.TrimSuffix(out, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(out, "m0s")]
	return strings.TrimSuffix(out, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(out, "h0m")]
}

type settingsOptions struct {
	env    *Env
	target targetFlags
}

func newSettingsCommand(env *Env) *cobra.Command {
	show := &settingsOptions{env: env, target: targetFlags{env: env, noPort: true, readOnly: true}}
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "brand, tokens, sessions and sign-in methods of an environment",
		Long: `Shows the settings of one deployment's environment on a Berth server, as they take effect.
WorkOS has them in its dashboard alone.`,
		Example: `berth settings	of this checkout
berth settings --kind preview --branch feature-a --json
berth settings set access-token-lifetime=10m algorithm=ES256`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSettings(cmd.Context(), show) },
	}
	show.target.register(cmd)

	set := &settingsOptions{env: env, target: targetFlags{env: env, noPort: true}}
	long := "Changes settings. What is not named stays; nothing after = gives the default. Production needs --yes.\n\nSettings:"
	var rows [][2]string
	for _, s := range settings {
		rows = append(rows, [2]string{s.key + "=", s.what})
	}
	for _, row := range aligned(rows) {
		long += "\n  " + row
	}
	s := &cobra.Command{Use: "set KEY=VALUE...", Short: "change settings", Long: long,
		Example: `berth settings set brand.name="Acme" brand.accent=#06c
berth settings set session-lifetime=7d session-inactivity=12h
berth settings set methods.password=off --kind prod --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runSettingsSet(cmd.Context(), set, args) }}
	set.target.register(s)
	cmd.AddCommand(s)
	return cmd
}

// errWorkOSSettings says where WorkOS has them.
func errWorkOSSettings() error {
	return fault.New(fault.Unsupported, "WorkOS has no call for the settings of an environment").
		WithFix("open https://dashboard.workos.com: Branding for the pages, Authentication > Sessions for lifetimes, Authentication > Methods for ways to sign in").
		WithCode("workos_has_no_settings")
}

func runSettings(ctx context.Context, o *settingsOptions) error {
	s, g, err := o.target.bound(ctx, errWorkOSSettings())
	if err != nil {
		return err
	}
	defer s.close()
	v, err := s.conn.Ledger.Settings(ctx, g.Placement.ClientID)
	if err != nil {
		return err
	}
	return o.env.Output().Result(v, func(p *Printer) { p.settings(v) })
}

func (p *Printer) settings(v berth.Settings) {
	rows := make([][]string, len(settings))
	for i, s := range settings {
		rows[i] = []string{s.key, shorten(s.show(v))}
	}
	p.Table([]string{"SETTING", "VALUE"}, rows)
}

// shorten keeps a logo's data from filling the terminal; --json has all of it.
func shorten(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:77]) + "..."
	}
	return s
}

// readSettings turns KEY=VALUE arguments into a patch.
func readSettings(args []string) (berth.Settings, error) {
	var patch berth.Settings
	if len(args) == 0 {
		return patch, fault.New(fault.Invalid, "berth settings set takes at least one KEY=VALUE").
			WithFix("for example: berth settings set access-token-lifetime=10m").WithCode("argument_missing")
	}
	seen := map[string]bool{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return patch, fault.New(fault.Invalid, "%q is no KEY=VALUE", arg).WithFix("for example: berth settings set %s=VALUE", arg).WithCode("argument_invalid")
		}
		if seen[key] {
			return patch, fault.New(fault.Invalid, "%s is given twice", key).WithCode("argument_invalid")
		}
		seen[key] = true
		found, err := findSetting(key)
		if err != nil {
			return patch, err
		}
		if err := found.set(&patch, value); err != nil {
			return patch, err
		}
	}
	return patch, nil
}

func findSetting(key string) (setting, error) {
	near, best := "", 4
	for _, s := range settings {
		if s.key == key {
			return s, nil
		}
		if d := editDistance(key, s.key); d < best {
			near, best = s.key, d
		}
	}
	fix := "berth settings set --help lists them"
	if near != "" {
		fix = "did you mean " + near + "? " + fix
	}
	return setting{}, fault.New(fault.Invalid, "there is no setting %q", key).WithFix("%s", fix).WithCode("setting_unknown")
}

func runSettingsSet(ctx context.Context, o *settingsOptions, args []string) error {
	patch, err := readSettings(args)
	if err != nil {
		return err
	}
	s, g, err := o.target.bound(ctx, errWorkOSSettings())
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.agreed(g); err != nil {
		return err
	}
	out := o.env.Output()
	if o.env.DryRun() {
		out.Line("would set %s in %s; nothing was changed", strings.Join(args, " "), g.Placement.EnvironmentName)
		return out.Result(patch, func(*Printer) {})
	}
	v, err := s.conn.Ledger.PatchSettings(ctx, g.Placement.ClientID, patch)
	if err != nil {
		return err
	}
	out.OK("changed %s of %s", counted(len(args), "setting"), g.Placement.EnvironmentName)
	if patch.Algorithm != nil || patch.Audience != nil {
		out.Line("  auth.config must name the same: berth dev or berth deploy sets it in the backend")
	}
	return out.Result(v, func(p *Printer) { p.settings(v) })
}
