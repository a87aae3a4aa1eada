// Package fault holds errors that are made to be read.
//
// An Error carries three things for three readers: a Kind that callers branch
// on, a Message and a Fix for the person at the other end, and a cause for the
// log. An error that is not an *Error is internal: it is logged once with its
// cause and shown as a generic failure.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is what callers branch on. It decides HTTP status and exit code.
type Kind string

const (
	Internal        Kind = "internal"        // a defect or an unforeseen failure; the cause is for logs only
	Invalid         Kind = "invalid"         // input that breaks a rule
	NotFound        Kind = "not_found"       // the named thing does not exist, or not for this caller
	Conflict        Kind = "conflict"        // the state of the world forbids it now
	Denied          Kind = "denied"          // known caller, no right
	Unauthenticated Kind = "unauthenticated" // no or unusable credential
	RateLimited     Kind = "rate_limited"    // try again later
	Unavailable     Kind = "unavailable"     // another party did not answer, or answered with a failure
	Unsupported     Kind = "unsupported"     // a vendor or Berth cannot do this
	NeedsPerson     Kind = "needs_person"    // a choice or consent that only a person can give
	Interrupted     Kind = "interrupted"     // stopped by a signal
)

// Error is an error with a kind, a text for people and the next step.
type Error struct {
	Kind    Kind
	Code    string // stable machine-readable word, optional
	Message string // for the reader: what happened, no cause, no secret
	Fix     string // the next step, when there is one
	Err     error  // for logs only
}

// New returns an error of kind k whose message is made by [fmt.Sprintf].
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of kind k around the cause err.
func Wrap(err error, k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), Err: err}
}

// WithFix sets the next step and returns e.
func (e *Error) WithFix(format string, args ...any) *Error {
	e.Fix = fmt.Sprintf(format, args...)
	return e
}

// WithCode sets the machine-readable word and returns e.
func (e *Error) WithCode(code string) *Error {
	e.Code = code
	return e
}

// Error returns the message, followed by the cause when there is one.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	if cause := e.Err.Error(); !strings.Contains(e.Message, cause) {
		return e.Message + ": " + cause
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// From returns the *Error in err's chain, or an Internal one around err.
// It returns nil for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Message: "something went wrong", Err: err}
}

// Is reports whether err carries an *Error of kind k.
func Is(err error, k Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == k
}

// Code returns the machine-readable word of err, or "".
func Code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
