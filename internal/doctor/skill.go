package doctor

import (
	"fmt"
	"strings"
)

// Box is one box of the checklist of a finished set-up (R103).
type Box struct {
	ID    string `json:"id"` // stable
	Title string `json:"title"`
}

// Checklist are the eight boxes, in the order in which they are filled.
var Checklist = []Box{
	{"path", "It is chosen where environments come from: a Berth server, or an existing WorkOS account."},
	{"convex-json", "convex.json has the authKit section, and nothing in it is wrong."},
	{"variables", "The app and the deployment have the variables that they read."},
	{"auth-config", "convex/auth.config.ts accepts this environment's tokens."},
	{"client", "The client code, its providers and the callback are wired."},
	{"sign-in", "A person signs in and comes back to the app."},
	{"backend", "The backend sees who that person is."},
	{"production", "Production has its own environment, when it is asked for."},
}

// Skill writes the guide for coding assistants (skills/berth/SKILL.md): how to
// drive the whole set-up without a terminal.
func Skill() string {
	var b strings.Builder
	b.WriteString(`---
name: berth
description: Set up, check and mend AuthKit sign-in on Convex with the berth command line, without a terminal.
---

# Sign-in on Convex + WorkOS AuthKit with Berth

Every command takes ` + "`--json`" + ` (results and errors as JSON on standard output) and ` + "`--app DIR`" + `. Without a terminal a
missing choice is an error that names the flag. Exit codes: 0 done, 1 error, 2 findings or changes pending,
3 a person is needed (the error's ` + "`fix`" + ` is the exact next command), 4 a login is needed.

## Rules

- Ask the person when the path is not clear: a new environment on a Berth server, or an existing WorkOS account. Do not guess.
- Stop at exit code 3 and show the person the command in ` + "`fix`" + `. Do not go around it.
- Keep what is there: an existing tenant model, values in .env.local that a person set, files that Berth does not own.
- Write no notes or hand-over file unless the person asks for one.
- Never print or commit a secret. Nothing that Berth prints is one.
- It is done when ` + "`berth verify --checklist --json`" + ` has no box that is not ok, not when the sign-in page opens.

## Steps

1. ` + "`berth doctor --json`" + `: what is there, and what is wrong with it. Mend the findings from the first on; each has a ` + "`fix`" + `.
2. ` + "`berth init --json --yes`" + `: writes the authKit section and convex/auth.config.ts. Add ` + "`--dry-run`" + ` first to see it.
3. Wire the client as the finding's fix says when ` + "`berth doctor`" + ` names a provider, middleware or callback.
4. ` + "`berth dev --once --json`" + `: gives the checkout its environment and writes .env.local. With an existing WorkOS environment, WORKOS_CLIENT_ID
   and WORKOS_API_KEY have to be set by the person first.
5. ` + "`berth verify --checklist --json`" + `: the boxes below. Go back to step 1 for a box that is not ok.
6. In a build: ` + "`berth deploy --json -- BUILD COMMAND`" + `.

## The boxes

`)
	for i, box := range Checklist {
		fmt.Fprintf(&b, "%d. `%s`: %s\n", i+1, box.ID, box.Title)
	}
	b.WriteString("\n## Findings\n\n`berth doctor --explain CODE --json` says what one means.\n\n| code | means | fix |\n|---|---|---|\n")
	for _, e := range Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Code, upperFirst(e.Title), strings.ReplaceAll(e.Fix, "|", "\\|"))
	}
	return b.String()
}
