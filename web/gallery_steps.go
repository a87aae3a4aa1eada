package web

import "time"

// stepSamples are the pages of further steps of a sign-in.
func stepSamples() []Sample {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	enroll := TOTPEnroll{
		Frame: previewFrame, Form: sampleForm, Email: "ada@example.com", Secret: secret, SignInURL: "/sign-in",
		URI: "otpauth://totp/Harbour%20Notes:ada@example.com?algorithm=SHA1&digits=6&issuer=Harbour%20Notes&period=30&secret=" + secret,
	}
	enrollWrong := enroll
	enrollWrong.Frame, enrollWrong.CodeError = prodFrame, "The code is not right. Check the clock of your device, then try the next code."
	enrollLong := enroll
	enrollLong.Frame, enrollLong.Email, enrollLong.Secret = longFrame, longEmail, secret+secret+secret
	enrollNoCode := enroll
	enrollNoCode.URI, enrollNoCode.Email = "", ""

	verify := TOTPVerify{Frame: previewFrame, Form: sampleForm, Email: "ada@example.com", SignInURL: "/sign-in"}
	verifyWrong := verify
	verifyWrong.Frame, verifyWrong.CodeError = prodFrame, "The code was used before. Wait for the next one."

	code := MagicCode{
		Frame: previewFrame, Form: sampleForm, ResendForm: Form{Action: "/magic-code/send"}, Email: "ada@example.com", SignInURL: "/sign-in",
		Inbox: Inbox{URL: "/inbox", Command: "berth inbox"},
	}
	codeWrong := code
	codeWrong.Frame, codeWrong.CodeError = prodFrame, "The code is not right."
	codeAgain := code
	codeAgain.Frame, codeAgain.Email, codeAgain.Notice = rtlFrame, longEmail, "A new code is on its way."

	choose := OrganizationSelection{
		Frame: previewFrame, Form: sampleForm, Email: "ada@example.com", SignInURL: "/sign-in",
		Organizations: []Organization{{"org_01", "Acme"}, {"org_02", "Globex Corporation"}, {"org_03", "מעבדות תל אביב"}, {"org_04", longName}},
	}
	chooseFailed := choose
	chooseFailed.Frame, chooseFailed.Error = prodFrame, "You are no longer a member of that organization. Choose another."
	chooseFailed.Organizations = choose.Organizations[:2]

	consent := Consent{
		Frame: previewFrame, Form: sampleForm, Application: "Tide Tables", Host: "tides.example.com", Email: "ada@example.com", SignInURL: "/sign-in",
		Scopes: []Scope{{"openid", "Know who you are"}, {"profile", "See your name and picture"}, {"email", "See your email address"}, {"notes:read", ""}},
	}
	consentLong := consent
	consentLong.Frame, consentLong.Application, consentLong.Email = longFrame, longName, longEmail
	consentLong.Error = "This did not work. Try again."
	return []Sample{
		{"mfa-enrollment", enroll},
		{"mfa-enrollment-wrong-code", enrollWrong},
		{"mfa-enrollment-long", enrollLong},
		{"mfa-enrollment-no-qr", enrollNoCode},
		{"mfa-verification", verify},
		{"mfa-verification-used-code", verifyWrong},
		{"magic-code", code},
		{"magic-code-wrong", codeWrong},
		{"magic-code-resent-rtl", codeAgain},
		{"organization-selection", choose},
		{"organization-selection-failed", chooseFailed},
		{"consent", consent},
		{"consent-long", consentLong},
		{"consent-plain", Consent{Form: sampleForm}},
	}
}

func deviceSamples() []Sample {
	device := Device{Frame: previewFrame, Form: sampleForm}
	wrong := device
	wrong.Frame, wrong.UserCode, wrong.CodeError = prodFrame, "BCDF-GHJX", "No device waits for this code. Check it, or start again on the device."
	confirm := DeviceConfirm{Frame: previewFrame, Form: sampleForm, UserCode: "BCDF-GHJK", Application: "Harbour command line", Email: "ada@example.com", SignInURL: "/sign-in"}
	failed := confirm
	failed.Frame, failed.Error, failed.Email = longFrame, "This did not work. Try again.", longEmail
	return []Sample{
		{"device", device},
		{"device-wrong-code", wrong},
		{"device-confirm", confirm},
		{"device-confirm-failed", failed},
		{"device-done", DeviceDone{previewFrame}},
		{"device-denied", DeviceDenied{prodFrame}},
	}
}

func inboxSamples() []Sample {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	code := Mail{
		URL: "/inbox/message_01", To: "ada@example.com", Subject: "Your sign-in code for Harbour Notes", Code: "482913", SentAt: now.Add(-20 * time.Second),
		Text: "Your sign-in code is 482913.\n\nIt works once, for ten minutes. If you did not ask for it, ignore this mail.\n",
	}
	reset := Mail{
		URL: "/inbox/message_02", To: longEmail, Subject: "Choose a new password", SentAt: now.Add(-3 * time.Hour), Link: "https://auth.example.com/reset-password?token=abc",
		Text: "Open this address to choose a new password:\n\nhttps://auth.example.com/reset-password?client_id=client_01JZ8Q4T7N3V9Y2K5M6P8R0S1T&token=4f7e1c9a8b2d4f7e1c9a8b2d4f7e1c9a8b2d\n",
	}
	list := InboxPage{Frame: previewFrame, Now: now, ReloadURL: "/inbox?client_id=client_1", Command: "berth inbox", Mails: []Mail{
		code, {URL: "/inbox/message_03", To: "דנה@example.com", Subject: "קוד הכניסה שלך", Code: "003177", SentAt: now.Add(-7 * time.Minute)}, reset,
		{To: "old@example.com", Subject: longName + " invites you", SentAt: now.AddDate(0, 0, -3)},
	}}
	return []Sample{
		{"inbox", list},
		{"inbox-empty", InboxPage{Frame: devFrame, Now: now, ReloadURL: "/inbox?client_id=client_1", Command: "berth inbox"}},
		{"inbox-message-code", InboxMessage{Frame: previewFrame, Mail: code, InboxURL: "/inbox?client_id=client_1"}},
		{"inbox-message-link", InboxMessage{Frame: longFrame, Mail: reset, InboxURL: "/inbox?client_id=client_1"}},
	}
}
