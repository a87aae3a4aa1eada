package browser

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Markers of AuthKit's pages (the data-hak-page of their body).
const (
	markSignIn       = "sign-in"
	markVerification = "email-verification"
	markOrganization = "organization-selection"
)

// Person is who signs in.
type Person struct {
	Email        string
	Password     secret.String
	Organization string // name or id of the one to choose, where there are several
	// Code returns the newest code that was mailed to the person. Nil: nobody
	// reads that mail.
	Code func(ctx context.Context) (secret.String, error)
}

// maxSteps is more than any sign-in has.
const maxSteps = 6

// SignIn fills in the pages from the sign-in page on, as the person would, until
// one is reached that is none of AuthKit's: the application's, or the redirect
// to it that Stop held back. Every check of the server runs.
func (b *Browser) SignIn(ctx context.Context, page *Page, who Person) (*Page, error) {
	server := page.URL.Host
	typed := false
	for range maxSteps {
		if page.Next != nil || page.URL.Host != server || page.Marker == "" {
			return page, nil
		}
		next, err := b.step(ctx, page, who, typed)
		if err != nil {
			return nil, err
		}
		typed = typed || page.Marker == markSignIn
		page = next
	}
	return nil, fault.New(fault.Unavailable, "the sign-in of %s comes to no end", who.Email).WithCode("sign_in_failed")
}

// step fills in one page.
func (b *Browser) step(ctx context.Context, page *Page, who Person, typed bool) (*Page, error) {
	failed := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Denied, format, args...).WithCode("sign_in_failed")
	}
	switch page.Marker {
	case markSignIn:
		f, ok := page.Form("password")
		if !ok {
			return nil, failed("the sign-in page asks for no password")
		}
		if typed {
			return nil, failed("%s could not sign in: %s", who.Email, page.Alert).WithFix("berth users reset gives the account its password back")
		}
		return b.Submit(ctx, f, url.Values{"email": {who.Email}, "password": {who.Password.Reveal()}})
	case markVerification:
		f, ok := page.Form("code")
		if !ok || who.Code == nil {
			return nil, failed("%s has to prove the address with a code first", who.Email).WithFix("sign in once by hand, or make the account with a proven address")
		}
		code, err := who.Code(ctx)
		if err != nil {
			return nil, err
		}
		return b.Submit(ctx, f, url.Values{"code": {code.Reveal()}})
	case markOrganization:
		return b.chooseOrganization(ctx, page, who)
	}
	if strings.HasPrefix(page.Marker, "mfa/") {
		return nil, failed("%s needs a second factor", who.Email).WithFix("berth users reset removes the factors of a test account; where the environment requires one, use another for browser tests")
	}
	why := page.Alert
	if why == "" {
		why = "the page says " + page.Marker
	}
	return nil, failed("%s could not sign in: %s", who.Email, why)
}

func (b *Browser) chooseOrganization(ctx context.Context, page *Page, who Person) (*Page, error) {
	var names []string
	for _, f := range page.Forms {
		for _, o := range f.Buttons {
			if o.Name != "organization_id" {
				continue
			}
			if who.Organization != "" && (o.Value == who.Organization || strings.EqualFold(o.Text, who.Organization)) {
				return b.Submit(ctx, f, url.Values{o.Name: {o.Value}})
			}
			names = append(names, o.Text)
		}
	}
	slices.Sort(names)
	return nil, fault.New(fault.NeedsPerson, "%s is in several organizations: %s", who.Email, strings.Join(names, ", ")).
		WithFix("name one with --organization NAME").WithCode("organization_needed")
}
