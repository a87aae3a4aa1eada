package web

import "io"

// OrganizationSelection asks which of a person's organizations to sign in to. Its
// buttons post FieldOrganization.
type OrganizationSelection struct {
	Frame
	Form          Form
	Email         string
	Organizations []Organization
	Error         string
	SignInURL     string // to start over with another account; empty: no link
}

// Organization is one that a person is a member of.
type Organization struct {
	ID   string // posted as FieldOrganization
	Name string
}

// Render implements [Page].
func (p OrganizationSelection) Render(w io.Writer, nonce string) error {
	return view{
		file: "organization_selection.html", Marker: "organization-selection", Title: "Choose an organization", Frame: p.Frame, Page: p,
		Failed: p.Error != "",
	}.render(w, nonce)
}
