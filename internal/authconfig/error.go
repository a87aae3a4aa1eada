package authconfig

import "github.com/berthdev/berth/internal/fault"

// The codes of an [Error]. Only CodeMissingVariable reaches a client of Convex
// under its own name, see [Error.Wire].
const (
	CodeMissingVariable = "AuthConfigMissingEnvironmentVariable" // an unset variable was read
	CodeMissingExport   = "AuthConfigMissingExportError"         // no default export, or null
	CodeUnserializable  = "AuthConfigUnserializableError"        // JSON cannot hold the export
	CodeSchema          = "AuthConfigNotMatchingSchemaError"     // not {providers: [...]} of the two forms
	CodeProviderURL     = "InvalidProviderDomainUrl"             // issuer or domain is no URL
	CodeInsecure        = "InsecureConfiguration"                // a shared issuer without an application ID
	CodeInvalid         = "InvalidAuthConfig"                    // the module threw, or ran out of time, memory or stack
)

// The explanations that Convex puts before the text of an [Error].
const (
	ExplainPush   = "The pushed auth config is invalid"
	ExplainChange = "This change would make the auth config invalid"
)

// Error says why an auth.config is not usable, in Convex's words. It unwraps
// to a *fault.Error of kind Invalid with the same text and code.
type Error struct {
	Code     string
	Message  string // Convex's text, without the explanation
	Variable string // the unset variable, with CodeMissingVariable
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the error in the form that callers branch on.
func (e *Error) Unwrap() error {
	f := fault.New(fault.Invalid, "%s", e.Message).WithCode(e.Code)
	if e.Variable != "" {
		f = f.WithFix("set %s on the deployment before auth.config is pushed", e.Variable)
	}
	return f
}

// Wire gives the code and the message that a deployment answers with, status
// 400. The explanation is [ExplainPush] or [ExplainChange]; push routes also
// put "Hit an error while pushing:\n" before the message.
func (e *Error) Wire(explanation string) (code, message string) {
	if e.Code == CodeMissingVariable {
		return e.Code, e.Message
	}
	return CodeInvalid, explanation + ": " + e.Message
}
