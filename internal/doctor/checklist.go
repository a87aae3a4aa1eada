package doctor

import "slices"

// BoxVerdict is one box with what was seen.
type BoxVerdict struct {
	Box
	OK    bool   `json:"ok"`
	Asked bool   `json:"asked"` // false: nobody wants it, so it is not missing
	Seen  string `json:"seen"`
	Fix   string `json:"fix,omitempty"`
}

// boxOf says into which box a finding belongs. Those that are not named here
// belong to the wiring of the client.
func boxOf(code string) string {
	of := map[string][]string{
		"convex-json": {"authkit-unknown-key", "json-duplicate-key", "uri-malformed", "uri-not-for-production", "template-unknown", "api-key-in-config", "env-name-invalid", "env-prefix-wrong", "api-key-public"},
		"variables": {clientDiffers, clientMissing, halfCredentials, liveKeyInDev, testKeyInProd, cookiePassword, redirectVariable, backendURLDiffers, deployKeyKind, cannotRead,
			"credentials-hand-set", uriNotRegistered, portDiffers, originNotAllowed, homepageMissing, wildcardBroad, localURIInProd},
		"auth-config": {authMissing, authTwice, authBroken, authEmpty, authOneIssuer, authOtherClient, authKeysOfOther, authShadowed, authFallback, authPlaceholder, authWrongIssuer, authUnpushed, authVariableUnset},
	}
	for box, codes := range of {
		if slices.Contains(codes, code) {
			return box
		}
	}
	return "client"
}

// Known is what a checklist is made from, besides findings and verdicts.
type Known struct {
	Path          string // where environments come from; "" when nothing is chosen
	HasConfig     bool   // convex.json has the authKit section
	HasProduction bool   // production has its environment
	WantsProd     bool   // convex.json has a prod section
}

// Boxes fills the checklist. legs may be empty: then nobody tried to sign in.
func Boxes(k Known, report *Report, legs []Verdict) []BoxVerdict {
	out := make([]BoxVerdict, len(Checklist))
	worst := map[string]Finding{}
	for _, f := range report.Findings {
		if _, first := worst[boxOf(f.Code)]; !first && Explain(f.Code).Severity == Broken {
			worst[boxOf(f.Code)] = f
		}
	}
	for i, box := range Checklist {
		v := BoxVerdict{Box: box, OK: true, Asked: true, Seen: "nothing is wrong"}
		if f, broken := worst[box.ID]; broken {
			v.OK, v.Seen, v.Fix = false, f.Code+": "+f.Seen, f.Fix
			if v.Fix == "" {
				v.Fix = Explain(f.Code).Fix
			}
		}
		switch box.ID {
		case "path":
			if v.Seen = k.Path; k.Path == "" {
				v.OK, v.Seen, v.Fix = false, "no server and no credentials are named", "run berth dev for a server on this machine, or set WORKOS_CLIENT_ID and WORKOS_API_KEY of an existing WorkOS environment"
			}
		case "convex-json":
			if !k.HasConfig {
				v.OK, v.Seen, v.Fix = false, "there is no authKit section", "run berth init"
			}
		case "sign-in":
			v.leg(legs, Session)
		case "backend":
			v.leg(legs, Token, Backend)
		case "production":
			if v.Asked = k.WantsProd; !k.WantsProd {
				v.Seen = "it was not asked for: convex.json has no prod section"
			} else if !k.HasProduction {
				v.OK, v.Asked, v.Seen = true, false, "it gets its environment with the first production deploy"
			} else {
				v.Seen = "production has its own environment"
			}
		}
		out[i] = v
	}
	return out
}

// leg takes the verdict of the last of the legs that was looked at.
func (v *BoxVerdict) leg(legs []Verdict, of ...Leg) {
	v.OK, v.Seen = false, "nobody tried to sign in"
	for _, l := range legs {
		if !slices.Contains(of, l.Leg) {
			continue
		}
		v.OK, v.Seen, v.Fix = l.State == Holds, l.Seen, l.Fix
		if !v.OK {
			return
		}
	}
}
