package web

import (
	"fmt"
	"time"
)

// Sample is a page in one state, with made-up data.
type Sample struct {
	Name string // unique, fit for a file name
	Page Page
}

// Gallery returns every page in its states: plain, with errors, with long, foreign
// and many values. It needs no server; tests render each entry, and people look at them.
func Gallery() []Sample {
	var samples []Sample
	for _, group := range [][]Sample{accountSamples(), stepSamples(), deviceSamples(), inboxSamples(), connectionSamples(), failureSamples(), consoleSamples()} {
		samples = append(samples, group...)
	}
	return samples
}

const (
	longName   = "The Honourable Society of Exceptionally Long Product Names and Associates"
	longBranch = "dependabot/npm_and_yarn/packages/backend/typescript-eslint/eslint-plugin-8.41.0"
	longEmail  = "maximiliane.von.hohenstein-wolkenburg+preview-testing@subsidiary.international-example.com"
)

var (
	sampleRules  = []string{"At least 10 characters"}
	sampleForm   = Form{Action: "/sign-in", Hidden: []Field{{"csrf", "Yk3vQ0"}, {"state", "eyJyIjoiLyJ9"}}}
	previewFrame = Frame{Brand: Brand{Name: "Harbour Notes", Accent: "#0f766e"}, Kind: Preview, Deployment: "feature/login"}
	devFrame     = Frame{Brand: Brand{Name: "Harbour Notes", Accent: "#0f766e"}, Kind: Dev, Deployment: "happy-otter-123"}
	prodFrame    = Frame{Brand: Brand{Name: "Harbour Notes", Accent: "#0f766e"}, Kind: Prod}
	longFrame    = Frame{Brand: Brand{Name: longName, Accent: "#ffe600"}, Kind: Preview, Deployment: longBranch}
	rtlFrame     = Frame{Brand: Brand{Name: "مرفأ الملاحظات", Accent: "#7c3aed"}, Kind: Preview, Deployment: "ميزة/تسجيل"}
	blackFrame   = Frame{Brand: Brand{Name: "Monochrome", Accent: "#000"}, Kind: Dev, Deployment: "quiet-heron-8"}
	logoFrame    = Frame{Brand: Brand{
		Name: "Lighthouse", Accent: "#c2410c",
		LogoURL: "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 160 36'%3E%3Ccircle cx='18' cy='18' r='16' fill='%23c2410c'/%3E%3Crect x='46' y='10' width='110' height='16' rx='4' fill='%23c2410c'/%3E%3C/svg%3E",
	}, Kind: Prod}
)

func sampleUsers(n int) []TestUser {
	names := []string{"Ada Admin", "Bo Member", "", "Chidi Okafor-Lindqvist", "דנה כהן", "Eve (no organization)"}
	users := make([]TestUser, n)
	for i := range users {
		users[i] = TestUser{ID: fmt.Sprintf("user_%02d", i+1), Name: names[i%len(names)], Email: fmt.Sprintf("test%d@example.com", i+1)}
	}
	return users
}

func accountSamples() []Sample {
	signIn := SignIn{Frame: previewFrame, Form: sampleForm, SignUpURL: "/sign-up?state=1", ResetURL: "/reset-password", MagicCodeURL: "/magic-code/send"}

	withUsers := signIn
	withUsers.TestUsers, withUsers.TestUserForm = sampleUsers(3), Form{Action: "/sign-in/test-user", Hidden: sampleForm.Hidden}
	manyUsers := withUsers
	manyUsers.TestUsers = append(sampleUsers(11), TestUser{ID: "user_12", Name: longName, Email: longEmail})
	failed := withUsers
	failed.Email, failed.Error = "ada@example.com", "That email and password do not match. Check both and try again."
	fields := signIn
	fields.Frame, fields.Email, fields.EmailError, fields.PasswordError = prodFrame, "ada@", "Enter an email address such as name@example.com.", "Enter your password."
	changed := signIn
	changed.Frame, changed.Email, changed.Notice = logoFrame, "ada@example.com", "Your password was changed. Sign in with the new one."
	production := withUsers
	production.Frame = prodFrame
	long := withUsers
	long.Frame, long.Email = longFrame, longEmail
	rtl := withUsers
	rtl.Frame = rtlFrame
	black := withUsers
	black.Frame = blackFrame
	plain := SignIn{Form: sampleForm}

	signUp := SignUp{Frame: previewFrame, Form: sampleForm, PasswordRules: sampleRules, MinPassword: 10, SignInURL: "/sign-in"}
	signUpErrors := signUp
	signUpErrors.Name, signUpErrors.Email = "Ada", "ada@example"
	signUpErrors.NameError = "A name can have at most 100 characters."
	signUpErrors.EmailError, signUpErrors.PasswordError = "Enter an email address such as name@example.com.", "This password is in lists of leaked passwords. Choose another."
	signUpFailed := signUp
	signUpFailed.Frame, signUpFailed.Email, signUpFailed.Error = prodFrame, "ada@example.com", "Sign-up is closed for this application. Ask for an invitation."

	inbox := Inbox{URL: "/inbox", Command: "berth inbox"}
	verify := EmailVerification{Frame: previewFrame, Form: sampleForm, ResendForm: Form{Action: "/verify/resend"}, Email: "ada@example.com", SignInURL: "/sign-in", Inbox: inbox}
	verifyWrong := verify
	verifyWrong.CodeError = "This code is wrong or has expired. Check it, or send a new one."
	verifyAgain := verify
	verifyAgain.Frame, verifyAgain.Email, verifyAgain.Notice = rtlFrame, longEmail, "We sent a new code. The one before no longer works."
	verifyProd := verify
	verifyProd.Frame = prodFrame

	resetNew := ResetNew{Frame: previewFrame, Form: sampleForm, Email: "ada@example.com", PasswordRules: sampleRules, MinPassword: 10}
	resetShort := resetNew
	resetShort.PasswordError = "Use at least 10 characters."
	reset := ResetRequest{Frame: previewFrame, Form: sampleForm, SignInURL: "/sign-in"}
	resetExpired := reset
	resetExpired.Frame, resetExpired.Email = prodFrame, "ada@example.com"
	resetExpired.Error = "This link has expired or was used before. Ask for a new one."

	return []Sample{
		{"sign-in", signIn},
		{"sign-in-test-users", withUsers},
		{"sign-in-12-test-users", manyUsers},
		{"sign-in-wrong-password", failed},
		{"sign-in-field-errors", fields},
		{"sign-in-password-changed-logo", changed},
		{"sign-in-production", production},
		{"sign-in-long", long},
		{"sign-in-rtl", rtl},
		{"sign-in-black-brand", black},
		{"sign-in-no-brand", plain},
		{"sign-up", signUp},
		{"sign-up-field-errors", signUpErrors},
		{"sign-up-closed", signUpFailed},
		{"email-verification", verify},
		{"email-verification-wrong-code", verifyWrong},
		{"email-verification-resent-rtl", verifyAgain},
		{"email-verification-production", verifyProd},
		{"reset-request", reset},
		{"reset-request-expired-link", resetExpired},
		{"reset-sent", ResetSent{Frame: previewFrame, Email: "ada@example.com", SignInURL: "/sign-in", Inbox: inbox}},
		{"reset-new", resetNew},
		{"reset-new-too-short", resetShort},
	}
}

func failureSamples() []Sample {
	const requestID = "req_01JZ8Q4T7N3V9Y2K5M6P8R0S1T"
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("https://harbour-notes-git-branch-%d-acme.vercel.app/callback", i+1)
	}
	hostile := RedirectURIInvalid{
		Frame: prodFrame, Asked: "https://harbour.example.com\u202e/кcallback <script>alert(1)</script>",
		Registered: []string{"https://harbour.example.com/callback"}, RequestID: requestID,
	}
	return []Sample{
		{"redirect-uri-port", RedirectURIInvalid{
			Frame: devFrame, Asked: "http://localhost:3001/callback", RequestID: requestID,
			Registered: []string{"http://localhost:3000/callback", "http://localhost:5173/callback"},
		}},
		{"redirect-uri-40-registered", RedirectURIInvalid{
			Frame: previewFrame, Asked: "https://harbour-notes-git-branch-41-acme.vercel.app/callback",
			Registered: many, RequestID: requestID, Command: "berth deploy",
		}},
		{"redirect-uri-slash", RedirectURIInvalid{
			Frame: previewFrame, Asked: "https://login-acme.example.com/callback",
			Registered: []string{"https://login-acme.example.com/callback/"}, RequestID: requestID,
		}},
		{"redirect-uri-wildcard-long", RedirectURIInvalid{
			Frame: longFrame, Asked: "https://a.b.preview-of-a-very-long-branch-name-that-goes-on.example.com/api/auth/callback?tenant=1",
			Registered: []string{"https://*.example.com/api/auth/callback"}, RequestID: requestID,
			Problem: "Production redirect URIs cannot have a query.",
		}},
		{"redirect-uri-hostile", hostile},
		{"redirect-uri-none-registered", RedirectURIInvalid{Frame: rtlFrame, Asked: "http://localhost:3000/callback"}},
		{"redirect-uri-missing", RedirectURIInvalid{Frame: devFrame, Registered: []string{"http://localhost:3000/callback"}}},
		{"client-id-invalid", ClientIDInvalid{ClientID: "client_01JZ8Q4T7N3V9Y2K5M6P8R0S1T", RequestID: requestID}},
		{"client-id-missing", ClientIDInvalid{}},
		{"homepage-not-found", HomepageNotFound{Frame: previewFrame, RequestID: requestID}},
		{"signed-out", SignedOut{Frame: previewFrame, HomeURL: "https://harbour.example.com/", SignInURL: "https://harbour.example.com/sign-in"}},
		{"signed-out-plain", SignedOut{}},
		{"origin-not-allowed", OriginNotAllowed{
			Frame: devFrame, Origin: "http://localhost:5174", Allowed: []string{"http://localhost:5173", "http://localhost:3000"}, RequestID: requestID,
		}},
		{"rate-limited", RateLimited{Frame: prodFrame, RetryAfter: 42 * time.Second, RetryURL: "/sign-in", RequestID: requestID}},
		{"error", ErrorPage{Frame: prodFrame, RequestID: requestID}},
		{"error-with-fix", ErrorPage{
			Frame: previewFrame, Title: "This sign-in has expired", Message: "It was open for more than an hour, so we let it go.",
			Fix: "Start again from the application.", Action: Link{"Back to Harbour Notes", "https://harbour.example.com/"}, RequestID: requestID,
		}},
		{"not-found", NotFound{Frame: prodFrame, HomeURL: "https://harbour.example.com/", RequestID: requestID}},
	}
}

func consoleSamples() []Sample {
	links := []Link{{"Sign in", "/user_management/authorize?client_id=client_1"}, {"Inbox", "/inbox"}}
	deployments := []ConsoleDeployment{
		{Name: "happy-otter-123", Kind: Dev, URL: "http://localhost:3000", Environment: "harbour dev", ClientID: "client_01JZ8Q4T7N3V9Y2K5M6P8R0S1T", Users: 3, Links: links},
		{Name: "calm-heron-417", Kind: Preview, Branch: "feature/login", URL: "http://127.0.0.1:41233", Environment: "harbour preview", ClientID: "client_01JZ8Q4T7N3V9Y2K5M6P8R0S2T", Users: 1, Links: links},
		{Name: "steady-tern-55", Kind: Preview, Branch: longBranch, URL: "https://harbour-notes-git-dependabot-npm-and-yarn-packages-backend-acme.vercel.app", ClientID: "client_01JZ8Q4T7N3V9Y2K5M6P8R0S3T", Links: links},
		{Name: "ميناء-هادئ", Kind: Preview, Branch: "ميزة/تسجيل", ClientID: "client_01JZ8Q4T7N3V9Y2K5M6P8R0S4T"},
		{Name: "bold-albatross-900", Kind: Prod, URL: "https://harbour.example.com", Environment: "harbour production", ClientID: "client_01JZ8Q4T7N3V9Y2K5M6P8R0S5T", Users: 1204, Links: links[:1]},
	}
	return []Sample{
		{"console", ConsolePage{Server: "http://127.0.0.1:4500", Version: "0.1.0", Deployments: deployments}},
		{"console-empty", ConsolePage{Server: "http://127.0.0.1:4500", Version: "0.1.0"}},
	}
}
