package authkit

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// mountOrganizations registers organizations and what belongs to them.
func (a *API) mountOrganizations(on *keyed.Routes) {
	on.Handle("POST /organizations", a.createOrganization)
	on.Handle("GET /organizations", a.listOrganizations)
	on.Handle("GET /organizations/{id}", a.getOrganization)
	// The pattern with "external_id" as a literal would conflict with those of
	// what an organization has, such as /organizations/{id}/api_keys.
	on.Handle("GET /organizations/{by}/{external_id}", a.getOrganizationByExternalID)
	on.Handle("PUT /organizations/{id}", a.updateOrganization)
	on.Handle("DELETE /organizations/{id}", a.deleteOrganization)

	on.Handle("POST /organization_domains", a.createDomain)
	on.Handle("GET /organization_domains/{id}", a.getDomain)
	on.Handle("DELETE /organization_domains/{id}", a.deleteDomain)
	on.Handle("POST /organization_domains/{id}/verify", a.verifyDomain)

	a.mountMemberships(on)
	a.mountInvitations(on)
}

// organizationSelection is the step of a member of several organizations.
func organizationSelection(s *auth.StepUp) workos.Answer {
	list := make([]workos.NamedEntry, len(s.Memberships))
	for i, m := range s.Memberships {
		list[i] = workos.NamedEntry{ID: m.OrganizationID, Name: m.OrganizationName}
	}
	return workos.OrganizationSelectionRequired(workos.Credential(s.Token), User(s.User), list)
}

func organization(o identity.Organization) workos.Organization {
	out := workos.Organization{Object: "organization", ID: o.ID, Name: o.Name, Domains: make([]workos.OrganizationDomain, len(o.Domains)), Metadata: o.Metadata,
		ExternalID: keyed.OrNull(o.ExternalID), StripeCustomerID: o.StripeCustomerID, OutsideProfiles: o.OutsideProfiles, CreatedAt: workos.At(o.CreatedAt), UpdatedAt: workos.At(o.UpdatedAt)}
	for i, d := range o.Domains {
		out.Domains[i] = domain(d)
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}

func domain(d identity.OrganizationDomain) workos.OrganizationDomain {
	out := workos.OrganizationDomain{Object: "organization_domain", ID: d.ID, OrganizationID: d.OrganizationID, Domain: d.Domain, State: string(d.State),
		Strategy: "manual", CreatedAt: workos.At(d.CreatedAt), UpdatedAt: workos.At(d.UpdatedAt)}
	if !d.Manual {
		out.Strategy, out.Prefix, out.Token = "dns", d.Prefix, workos.Credential(d.Token)
	}
	return out
}

// organizationBody is the body of creating and updating an organization.
// Members that are absent keep their value.
type organizationBody struct {
	Name             *string                `json:"name"`
	OutsideProfiles  *bool                  `json:"allow_profiles_outside_organization"`
	Domains          *[]string              `json:"domains"` // the older form: stated, so verified
	DomainData       *[]domainBody          `json:"domain_data"`
	StripeCustomerID *string                `json:"stripe_customer_id"`
	Metadata         keyed.Nullable[texts]  `json:"metadata"`
	ExternalID       keyed.Nullable[string] `json:"external_id"`
}

type texts = map[string]*string

type domainBody struct {
	Domain string `json:"domain"`
	State  string `json:"state"`
}

// maxExternalID is the length of an external id that the OpenAPI document allows.
const maxExternalID = 128

func unprocessable(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithCode("unprocessable")
}

// apply writes the body's members into o.
func (b organizationBody) apply(o *identity.Organization) error {
	if b.Name != nil {
		o.Name = strings.TrimSpace(*b.Name)
	}
	if o.Name == "" {
		return unprocessable("name is required.")
	}
	if b.OutsideProfiles != nil {
		o.OutsideProfiles = *b.OutsideProfiles
	}
	if b.StripeCustomerID != nil {
		o.StripeCustomerID = *b.StripeCustomerID
	}
	if b.ExternalID.Set {
		o.ExternalID = b.ExternalID.Value
	}
	if len(o.ExternalID) > maxExternalID {
		return unprocessable("external_id has at most %d characters.", maxExternalID)
	}
	if b.Metadata.Set {
		if b.Metadata.Null {
			o.Metadata = nil
		}
		if err := keyed.MergeMetadata(&o.Metadata, b.Metadata.Value); err != nil {
			return err
		}
	}
	if b.Domains == nil && b.DomainData == nil {
		return nil
	}
	o.Domains = nil
	if b.Domains != nil {
		for _, name := range *b.Domains {
			if err := addDomain(o, domainBody{name, string(identity.DomainVerified)}); err != nil {
				return err
			}
		}
	}
	if b.DomainData != nil {
		for _, d := range *b.DomainData {
			if err := addDomain(o, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func addDomain(o *identity.Organization, b domainBody) error {
	name, err := identity.NormalDomain(b.Domain)
	if err != nil {
		return unprocessable("%s.", fault.From(err).Message)
	}
	state := identity.DomainState(b.State)
	if state != identity.DomainPending && state != identity.DomainVerified {
		return unprocessable("The state of a domain must be pending or verified.")
	}
	if !slices.ContainsFunc(o.Domains, func(d identity.OrganizationDomain) bool { return d.Domain == name }) {
		o.Domains = append(o.Domains, identity.OrganizationDomain{Domain: name, State: state, Manual: state == identity.DomainVerified})
	}
	return nil
}

// answerOrganization turns the failures of writing an organization into their answer.
func answerOrganization(w http.ResponseWriter, err error) error {
	switch f := fault.From(err); f.Code {
	case "domain_already_exists":
		return workos.MessageAnswer(http.StatusConflict, f.Message).Write(w)
	case "unprocessable":
		return workos.MessageAnswer(http.StatusUnprocessableEntity, f.Message).Write(w)
	case "invalid_metadata":
		return workos.CodeAnswer(http.StatusBadRequest, f.Code, f.Message).Write(w)
	}
	return err
}

func (a *API) createOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b organizationBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	var o identity.Organization
	if err := b.apply(&o); err != nil {
		return answerOrganization(w, err)
	}
	o, err := e.CreateOrganization(r.Context(), o)
	if err != nil {
		return answerOrganization(w, err)
	}
	return route.JSON(w, http.StatusCreated, organization(o))
}

func (a *API) updateOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b organizationBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	o, err := e.Organization(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := b.apply(&o); err != nil {
		return answerOrganization(w, err)
	}
	if o, err = e.UpdateOrganization(r.Context(), o); err != nil {
		return answerOrganization(w, err)
	}
	return route.JSON(w, http.StatusOK, organization(o))
}

func (a *API) listOrganizations(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return workos.MessageAnswer(http.StatusUnprocessableEntity, fault.From(err).Message).Write(w)
	}
	f := store.OrganizationFilter{Search: r.URL.Query().Get("search")}
	for _, name := range several(r, "domains") {
		f.Domains = append(f.Domains, strings.ToLower(strings.TrimSpace(name)))
	}
	list, before, after, err := e.Organizations(r.Context(), f, p)
	if err != nil {
		return err
	}
	out := make([]workos.Organization, len(list))
	for i, o := range list {
		out[i] = organization(o)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

// several reads a list parameter: a repeated key, with or without brackets, or
// one value with commas. The official SDKs differ.
func several(r *http.Request, name string) []string {
	var out []string
	for key, values := range r.URL.Query() {
		if key != name && key != name+"[]" && !(strings.HasPrefix(key, name+"[") && strings.HasSuffix(key, "]")) {
			continue
		}
		for _, v := range values {
			for _, item := range strings.Split(v, ",") {
				if item != "" {
					out = append(out, item)
				}
			}
		}
	}
	return out
}

func (a *API) getOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	o, err := e.Organization(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, organization(o))
}

func (a *API) getOrganizationByExternalID(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("by") != "external_id" {
		return fault.New(fault.NotFound, "Not Found").WithCode("not_found")
	}
	o, err := e.OrganizationByExternalID(r.Context(), r.PathValue("external_id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, organization(o))
}

func (a *API) deleteOrganization(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteOrganization(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *API) createDomain(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Domain         string `json:"domain"`
		OrganizationID string `json:"organization_id"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	name, err := identity.NormalDomain(b.Domain)
	if err != nil {
		return err
	}
	d, err := e.AddDomain(r.Context(), identity.OrganizationDomain{OrganizationID: b.OrganizationID, Domain: name, State: identity.DomainPending})
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, domain(d))
}

func (a *API) getDomain(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	d, err := e.Domain(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, domain(d))
}

func (a *API) deleteDomain(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteDomain(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// lookupTimeout bounds the look-up of a DNS record.
const lookupTimeout = 5 * time.Second

// verifyDomain looks for the TXT record. Without it the domain stays pending:
// a record takes a while to be seen everywhere, so the call can be repeated.
func (a *API) verifyDomain(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	d, err := e.Domain(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if d.State == identity.DomainVerified {
		return fault.New(fault.Invalid, "Domain is already verified.").WithCode("domain_already_verified")
	}
	lookup := a.LookupTXT
	if lookup == nil {
		lookup = net.DefaultResolver.LookupTXT
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupTimeout)
	defer cancel()
	// No record and no network are the same to the caller: not proven yet.
	if records, err := lookup(ctx, d.Prefix+"."+d.Domain); err == nil && slices.Contains(records, d.Token) {
		if d, err = e.VerifyDomain(r.Context(), d.ID); err != nil {
			return err
		}
	}
	return route.JSON(w, http.StatusCreated, domain(d))
}
