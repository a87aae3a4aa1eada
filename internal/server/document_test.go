package server_test

import (
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/berthdev/berth/internal/server/servertest"
)

// TestMain holds every answer that a test of this package gets through
// http.DefaultTransport to the OpenAPI document: one that does not fit fails
// the request (R99).
func TestMain(m *testing.M) {
	http.DefaultTransport = &servertest.Transport{Base: http.DefaultTransport, Document: sync.OnceValues(servertest.Load), Exceptions: exceptions}
	os.Exit(m.Run())
}

// exceptions are the answers that differ from the document on purpose.
var exceptions = []servertest.Exception{
	{Operation: "GET /user_management/authorize", Status: http.StatusBadRequest,
		Reason: "a page that says why nobody is sent back (RFC 6749 section 4.1.2.1); the vendor shows one at the end of a chain of redirects"},
	{Operation: "*", Status: http.StatusTooManyRequests,
		Reason: "the document has the daily quota only; a rate per minute is none, and is answered as version 0.61.0 and the rates' own page say"},
	{Operation: "POST /user_management/authenticate", Status: http.StatusForbidden, Code: "origin_not_allowed",
		Reason: "what the vendor answers to an origin outside the environment's list is not documented; no browser shows it to the page"},
	{Operation: "POST /user_management/organization_memberships", Status: http.StatusBadRequest, Code: "user_already_organization_member",
		Reason: "the document names one code of several here; this is the one that invitations have for it"},
	{Operation: "GET /user_management/authorize", Status: http.StatusNotFound,
		Reason: "the same page, about a client that is not there"},
	{Operation: "GET /sso/authorize", Status: http.StatusBadRequest, Reason: "the same page"},
	{Operation: "GET /sso/authorize", Status: http.StatusNotFound, Reason: "the same page"},
	{Operation: "GET /sso/logout", Status: http.StatusBadRequest, Reason: "the same page"},
	{Operation: "GET /sso/logout", Status: http.StatusNotFound, Reason: "the same page"},
	{Operation: "*", Status: http.StatusUnprocessableEntity, Code: "invalid_request_parameters",
		Reason: "a body or parameter that cannot be read: the document lists 422 for most operations that have one, and means all"},
	{Operation: "POST /organization_domains", Status: http.StatusUnprocessableEntity, Code: "invalid_domain",
		Reason: "the document lists no failure but a domain that is taken"},
	{Operation: "GET /authorization/resources", Status: http.StatusBadRequest, Code: "missing_organization_id_or_resource_type_slug",
		Reason: "version 0.61.0 of the document lists it"},
	{Operation: "*", Status: http.StatusNotImplemented, Code: "not_supported_by_berth",
		Reason: "operations that Berth has no route for"},
}
