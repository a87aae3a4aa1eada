package limit

import "time"

// Rules are the rates that a server holds its callers to. A zero Rule is off,
// so the zero Rules are no limits at all.
type Rules struct {
	Requests           Rule // all requests, per client address
	Reads              Rule // GET under /user_management with an API key, per environment
	Writes             Rule // the other methods there
	Authenticate       Rule // sign-in grants, per e-mail address or challenge; second factors on pages
	Sends              Rule // mails that somebody asks for, per address and kind of mail; pages and API together
	HostedEmail        Rule // passwords on the pages, per e-mail and client address
	CodeEntry          Rule // mailed codes on the pages, per e-mail address
	DeleteOrganization Rule // per environment
	HostedSSO          Rule // sign-ins that leave for an identity provider, per client address
}

// Documented returns the limits that WorkOS documents
// (https://workos.com/docs/reference/rate-limits).
func Documented() Rules {
	return Rules{
		Requests:           Rule{6000, time.Minute},
		Reads:              Rule{1000, 10 * time.Second},
		Writes:             Rule{500, 10 * time.Second},
		Authenticate:       Rule{10, time.Minute},
		Sends:              Rule{3, time.Minute},
		HostedEmail:        Rule{10, time.Minute},
		CodeEntry:          Rule{10, time.Minute},
		DeleteOrganization: Rule{50, time.Minute},
		HostedSSO:          Rule{3, time.Minute},
	}
}

// Set is one Limiter per rule. The zero Set allows everything.
type Set struct {
	Requests, Reads, Writes, Authenticate, Sends, HostedEmail, CodeEntry, DeleteOrganization, HostedSSO *Limiter
}

// NewSet returns the limiters of the rules on one clock.
func NewSet(r Rules, now func() time.Time) Set {
	return Set{
		Requests: New(r.Requests, now), Reads: New(r.Reads, now), Writes: New(r.Writes, now), Authenticate: New(r.Authenticate, now), Sends: New(r.Sends, now),
		HostedEmail: New(r.HostedEmail, now), CodeEntry: New(r.CodeEntry, now), DeleteOrganization: New(r.DeleteOrganization, now), HostedSSO: New(r.HostedSSO, now),
	}
}
