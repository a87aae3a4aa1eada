package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/workos"
)

// What WorkOS and Convex answer when an account stands in the way.
var (
	emailTaken = define(Entry{Code: "account-email-taken", Leg: Setup, Severity: Broken, Likely: 94, Requirements: []string{"R29", "R30"},
		Title: "a WorkOS team already exists with this e-mail address",
		Why:   "One e-mail address belongs to one WorkOS team. A second team cannot be made with it, so there is no environment and no sign-in.",
		Fix:   "Three ways on: attach the environment that exists (set its WORKOS_CLIENT_ID and WORKOS_API_KEY on the deployment: npx convex env set), use a plus-address of the same mailbox (you+app@example.com), or use another verified address; the last two with npx convex integration workos provision-team."})
	platformRevoked = define(Entry{Code: "account-platform-not-authorized", Leg: Setup, Severity: Broken, Likely: 93, Requirements: []string{"R31"},
		Title: "the platform may no longer manage the WorkOS team",
		Why:   "An administrator of the team withdrew the permission. What exists goes on working; nothing new can be made and no setting changed.",
		Fix:   "Restore the permission in the WorkOS dashboard, which loses nothing; or npx convex integration workos disconnect-team and provision-team, which starts with empty environments: users and keys of the old ones stay behind."})
	teamMissing = define(Entry{Code: "account-team-not-provisioned", Leg: Setup, Severity: Broken, Likely: 92, Requirements: []string{"R27", "R32"},
		Title: "there is no WorkOS team for this Convex team",
		Why:   "Environments are made inside a WorkOS team. Without one each push stops, or goes on without a sign-in.",
		Fix:   "Make one: npx convex integration workos provision-team. Or attach an existing environment: set its WORKOS_CLIENT_ID and WORKOS_API_KEY on the deployment. A Berth server needs no team."})
	billingNeeded = define(Entry{Code: "account-needs-billing", Leg: Setup, Severity: Broken, Likely: 91, Requirements: []string{"R19", "R79"},
		Title: "WorkOS wants billing details before it makes a production environment",
		Why:   "The production deployment has no environment, so nobody signs in there.",
		Fix:   "Add a payment method to the WorkOS team, or set authKit.prod.environmentType in convex.json to development or staging for as long as the app is not public."})
)

// accountCodes are the words of the Platform API (workos) and of Convex's own
// answers, with the finding that they mean.
var accountCodes = map[string]string{
	workos.CodeUserAlreadyExists: emailTaken, "WorkosAccountAlreadyExistsWithThisEmail": emailTaken,
	workos.CodePlatformUnauthorized: platformRevoked, "WorkOSPlatformNotAuthorized": platformRevoked,
	workos.CodeTeamNotFound: teamMissing, "WorkOSTeamNotProvisioned": teamMissing,
	workos.CodeBillingRequired: billingNeeded,
}

var _ = register(Check{Name: "accounts", Codes: []string{emailTaken, platformRevoked, teamMissing, billingNeeded}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	var found []Finding
	for _, problem := range s.Problems {
		code := accountCodes[fault.Code(problem)]
		if code == "" {
			for word, of := range accountCodes {
				if strings.Contains(problem.Error(), word) {
					code = of
				}
			}
		}
		if code == "" || slices.ContainsFunc(found, func(f Finding) bool { return f.Code == code }) {
			continue
		}
		f := fault.From(problem)
		found = append(found, Finding{Code: code, Seen: redactLine(f.Message)})
	}
	return found, nil
}})
