package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
)

const clientIDVar = "WORKOS_CLIENT_ID"

var (
	authMissing = define(Entry{Code: "auth-config-missing", Leg: Backend, Severity: Broken, Likely: 93, Requirements: []string{"R86"},
		Title: "convex/auth.config.ts is missing",
		Why:   "Without it the backend knows nobody who may issue tokens: it refuses them all, and every query is anonymous.",
		Fix:   "Run berth init; it writes the file for AuthKit."})
	authTwice = define(Entry{Code: "auth-config-twice", Leg: Setup, Severity: Broken, Likely: 85, Requirements: []string{"R86"},
		Title: "there are two auth.config files",
		Why:   "The convex command line refuses to push when auth.config.ts and auth.config.js are both there.",
		Fix:   "Delete one of them."})
	authBroken = define(Entry{Code: "auth-config-broken", Leg: Backend, Severity: Broken, Likely: 90, Requirements: []string{"R86"},
		Title: "auth.config cannot be used",
		Why:   "A push with it fails, so the deployment keeps the one before, or none.",
		Fix:   "Mend what the finding names. berth init shows a file that works."})
	authEmpty = define(Entry{Code: "auth-config-without-providers", Leg: Backend, Severity: Broken, Likely: 88, Requirements: []string{"R86"},
		Title: "auth.config names no provider",
		Why:   "The backend then refuses every token.",
		Fix:   "Run berth init, or list the two AuthKit providers."})
	authOneIssuer = define(Entry{Code: "auth-config-one-issuer", Leg: Backend, Severity: Broken, Likely: 86, Requirements: []string{"R86", "R112"},
		Title: "auth.config lists only one of AuthKit's two issuers",
		Why:   "AuthKit's tokens name https://api.workos.com/ or https://api.workos.com/user_management/<client ID> as their issuer. The backend refuses the form that is not listed.",
		Fix:   "List both: the first with applicationID, the second without. berth init writes them."})
	authOtherClient = define(Entry{Code: "auth-config-other-client", Leg: Backend, Severity: Broken, Likely: 89, Requirements: []string{"R38", "R87", "R112"},
		Title: "auth.config is for another client ID than the app's",
		Why:   "The app's tokens come from one AuthKit environment and the backend expects those of another: it refuses all of them.",
		Fix:   "Read process.env.WORKOS_CLIENT_ID in auth.config in place of a fixed client ID, and set the variable on the deployment to the app's."})
	authKeysOfOther = define(Entry{Code: "auth-config-keys-of-another-client", Leg: Backend, Severity: Broken, Likely: 84, Requirements: []string{"R86", "R91"},
		Title: "a provider of auth.config has the issuer of one client and the keys of another",
		Why:   "The backend looks for the token's key in the wrong set and refuses it as not decodable.",
		Fix:   "Use the same client ID in issuer and jwks."})
	authShadowed = define(Entry{Code: "auth-config-provider-shadowed", Leg: Backend, Severity: Broken, Likely: 60, Requirements: []string{"R87"},
		Title: "a provider of auth.config is never asked",
		Why:   "The backend asks only the first provider that fits a token. An earlier one with the same issuer takes the tokens of this one, and refuses them when its keys are others.",
		Fix:   "Remove the earlier one, or give it the applicationID that its tokens carry."})
	authFallback = define(Entry{Code: "auth-config-fallback", Leg: Setup, Severity: Risky, Likely: 40, Requirements: []string{"R86"},
		Title: "auth.config counts on a fallback for an unset variable",
		Why:   "Reading an unset variable in auth.config throws in Convex, so what stands behind ?? or || is never used.",
		Fix:   "Set the variable on every deployment, before the push."})
	authPlaceholder = define(Entry{Code: "auth-config-placeholder", Leg: Backend, Severity: Broken, Likely: 91, Requirements: []string{"R86", "R127"},
		Title: "auth.config still holds a placeholder of an example",
		Why:   "The text in its place is no client ID: the backend refuses every token.",
		Fix:   "Replace it by process.env.WORKOS_CLIENT_ID."})
	authWrongIssuer = define(Entry{Code: "auth-config-issuer-missing", Leg: Backend, Severity: Broken, Likely: 90, Requirements: []string{"R87", "R89"},
		Title: "auth.config does not list the issuer of this environment",
		Why:   "The environment's tokens name an issuer that no provider has: the backend refuses them.",
		Fix:   "Add a provider with that issuer. berth dev and berth deploy give the deployment the variables that the file reads."})
	authUnpushed = define(Entry{Code: "auth-config-unpushed", Leg: Backend, Severity: Broken, Likely: 80, Requirements: []string{"R80"},
		Title: "auth.config was changed and not pushed",
		Why:   "The deployment still decides by the one that was pushed last.",
		Fix:   "Push it: npx convex dev --once, or npx convex deploy."})
	authVariableUnset = define(Entry{Code: "auth-config-variable-unset", Leg: Backend, Severity: Broken, Likely: 94, Requirements: []string{"R15", "R88", "R112"},
		Title: "the deployment lacks a variable that auth.config reads",
		Why:   "Convex refuses the push: the providers cannot be worked out without it.",
		Fix:   "Set it on the deployment: berth dev and berth deploy do, or npx convex env set NAME VALUE."})
)

var _ = register(Check{Name: "auth.config", Needs: NeedsApp, Run: checkAuthConfig, Codes: []string{authMissing, authTwice, authBroken, authEmpty, authOneIssuer, authOtherClient,
	authKeysOfOther, authShadowed, authFallback, authPlaceholder, authWrongIssuer, authVariableUnset}})

var (
	fallback    = regexp.MustCompile(`process\.env(?:\.[A-Za-z_]\w*|\[[^\]]+\])\s*!?\s*(\?\?|\|\|)`)
	placeholder = regexp.MustCompile(`(?i)<[^>"'\x60$]*(client|workos)[^>"'\x60$]*>|your[-_ ]?(workos)?[-_ ]?client|client_(x{3,}|\.{3}|123)`)
	clientIn    = regexp.MustCompile(`client_[0-9A-Za-z]+`)
)

// standIn is the value that stands for a variable that is not known here: the
// providers can be compared all the same.
const standIn = "client_00000000000000000000000000"

func checkAuthConfig(ctx context.Context, s *Subject) ([]Finding, error) {
	source, err := s.App.ReadAuthConfig()
	if err != nil {
		code := map[string]string{"auth-config-missing": authMissing, "auth-config-twice": authTwice}[fault.Code(err)]
		if code == "" {
			return []Finding{{Code: authBroken, Where: s.App.Rel(s.App.FunctionsDir), Seen: fault.From(err).Message}}, nil
		}
		if code == authMissing && !s.imports(authkitReact) && !s.imports(authkitNext) {
			return nil, nil
		}
		return []Finding{{Code: code, Seen: fault.From(err).Message, Fix: fault.From(err).Fix}}, nil
	}
	where := s.App.Rel(source.Path)
	var found []Finding
	for _, f := range s.Source.Files {
		if f.Path != where {
			continue
		}
		if at := fallback.FindIndex(f.Text); at != nil {
			found = append(found, Finding{Code: authFallback, Where: f.At(lineOf(f.Text, at[0])), Seen: strings.TrimSpace(string(f.Text[at[0]:at[1]])) + " …"})
		}
		if at := placeholder.FindIndex(f.Text); at != nil {
			return append(found, Finding{Code: authPlaceholder, Where: f.At(lineOf(f.Text, at[0])), Seen: fmt.Sprintf("it says %q", f.Text[at[0]:at[1]])}), nil
		}
	}
	vars, unset := s.authVariables(source)
	if len(unset) > 0 {
		for _, name := range unset {
			found = append(found, Finding{Code: authVariableUnset, Where: "deployment variables", Seen: where + " reads " + name + ", which is not set on " + s.Deployment.Name,
				Fix: "run berth dev or berth deploy, or npx convex env set " + name + " VALUE"})
		}
		return found, nil
	}
	result, err := authconfig.Eval(ctx, source.Source, vars)
	if e, ok := errors.AsType[*authconfig.Error](err); ok {
		return append(found, Finding{Code: authBroken, Where: where, Seen: e.Message}), nil
	}
	if err != nil {
		return found, err
	}
	if len(result.Providers) == 0 {
		return append(found, Finding{Code: authEmpty, Where: where, Seen: "the list of providers is empty"}), nil
	}
	return append(found, s.judgeProviders(where, result.Providers)...), nil
}

func lineOf(text []byte, at int) int { return strings.Count(string(text[:at]), "\n") + 1 }

// authVariables returns the variables to evaluate auth.config with: the
// deployment's when they can be read, else the app's own with stand-ins. unset
// are those that the deployment certainly lacks.
func (s *Subject) authVariables(source *project.AuthSource) (vars map[string]string, unset []string) {
	vars = map[string]string{"CONVEX_CLOUD_URL": "https://deployment.convex.cloud", "CONVEX_SITE_URL": "https://deployment.convex.site"}
	if s.Deployment != nil && s.Deployment.CanRead {
		for name, v := range s.Deployment.Variables {
			vars[name] = v
		}
		for _, name := range source.Reads {
			if _, set := vars[name]; !set {
				unset = append(unset, name)
			}
		}
		return vars, unset
	}
	for _, name := range source.Reads {
		if _, set := vars[name]; set {
			continue
		}
		vars[name] = standIn
		if v := s.appClientID(); name == clientIDVar && v != "" {
			vars[name] = v
		}
		switch {
		case strings.Contains(name, "ALG"):
			vars[name] = "RS256"
		case strings.Contains(name, "URL"), strings.Contains(name, "ISSUER"), strings.Contains(name, "JWKS"), strings.Contains(name, "DOMAIN"):
			vars[name] = "https://issuer.example.com"
		}
	}
	return vars, nil
}

// appClientID is the client ID that the web app uses, or "".
func (s *Subject) appClientID() string {
	for _, name := range []string{s.App.Framework.ClientID, clientIDVar} {
		if name == "" {
			continue
		}
		if s.Env != nil {
			if v, set := s.Env.Lookup(name); set && v != "" {
				return v
			}
		}
		if v, set := s.Lookup(name); set && v != "" {
			return v
		}
	}
	return ""
}

func (s *Subject) judgeProviders(where string, providers []authconfig.Provider) []Finding {
	var found []Finding
	older, newer := false, false
	for i, p := range providers {
		issuer, err := url.Parse(p.Issuer)
		if err != nil {
			continue
		}
		vendor := issuer.Host == "api.workos.com"
		inIssuer, inKeys := clientIn.FindString(p.Issuer), clientIn.FindString(p.JWKS)
		switch {
		case vendor && inIssuer == "":
			older = true
			if p.ApplicationID != nil {
				inIssuer = *p.ApplicationID
			}
		case vendor:
			newer = true
		}
		if vendor && inIssuer != "" && inKeys != "" && inIssuer != inKeys {
			found = append(found, Finding{Code: authKeysOfOther, Where: where, Seen: fmt.Sprintf("provider %d is for %s and has the keys of %s", i+1, inIssuer, inKeys)})
		}
		if app := s.appClientID(); vendor && inIssuer != "" && app != "" && inIssuer != app && inIssuer != standIn {
			found = append(found, Finding{Code: authOtherClient, Where: where, Seen: fmt.Sprintf("provider %d is for %s, the app signs in with %s", i+1, inIssuer, app)})
		}
		for j, earlier := range providers[:i] {
			takesAll := earlier.ApplicationID == nil || p.ApplicationID != nil && *p.ApplicationID == *earlier.ApplicationID
			if strings.TrimRight(earlier.Issuer, "/") == strings.TrimRight(p.Issuer, "/") && takesAll && earlier.JWKS != p.JWKS {
				found = append(found, Finding{Code: authShadowed, Where: where, Seen: fmt.Sprintf("provider %d has the issuer of provider %d, which is asked first and has other keys", i+1, j+1)})
			}
		}
	}
	if older != newer {
		missing := "https://api.workos.com/user_management/<client ID>"
		if newer {
			missing = "https://api.workos.com/ with applicationID"
		}
		found = append(found, Finding{Code: authOneIssuer, Where: where, Seen: "the provider with the issuer " + missing + " is missing"})
	}
	if e := s.Environment; e != nil && e.Issuer != "" {
		listed := slices.ContainsFunc(providers, func(p authconfig.Provider) bool {
			return strings.TrimRight(p.Issuer, "/") == strings.TrimRight(e.Issuer, "/")
		})
		if !listed {
			found = append(found, Finding{Code: authWrongIssuer, Where: where, Seen: "tokens of this environment have the issuer " + e.Issuer})
		}
	}
	return found
}

var _ = register(Check{Name: "auth.config on the deployment", Needs: NeedsApp | NeedsDeployment, Codes: []string{authUnpushed}, Run: func(ctx context.Context, s *Subject) ([]Finding, error) {
	if s.Deployment.Providers == nil || !s.Deployment.CanRead {
		return nil, nil
	}
	source, err := s.App.ReadAuthConfig()
	if err != nil {
		return nil, nil //nolint:nilerr // the check of the file says what is wrong with it
	}
	vars, unset := s.authVariables(source)
	if len(unset) > 0 {
		return nil, nil
	}
	result, err := authconfig.Eval(ctx, source.Source, vars)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	local, pushed := authconfig.Merge(nil, result.Providers), authconfig.Merge(nil, s.Deployment.Providers)
	if slices.EqualFunc(local, pushed, authconfig.Provider.Equal) {
		return nil, nil
	}
	f := Finding{Code: authUnpushed, Where: s.App.Rel(source.Path), Seen: fmt.Sprintf("the file gives %d providers, %s has %d others", len(local), s.Deployment.Name, len(pushed))}
	for _, p := range local {
		f.Proof = append(f.Proof, "file: "+p.String())
	}
	for _, p := range pushed {
		f.Proof = append(f.Proof, "deployment: "+p.String())
	}
	return []Finding{f}, nil
}})
