package convex

import "github.com/berthdev/berth/internal/fault"

// Codes of error answers that callers tell apart with [fault.Code]. They come
// with several statuses; the code alone counts.
const (
	CodeDeploymentNotFound = "DeploymentNotFound"
	CodeProjectNotFound    = "ProjectNotFound"
	CodeTeamNotFound       = "TeamNotFound"
	CodePreviewNotFound    = "PreviewNotFound"
	CodeBadDeployKey       = "BadDeployKey"
	CodeOptInsRequired     = "OptInsRequired"

	CodeTeamNotProvisioned        = "WorkOSTeamNotProvisioned"
	CodeTeamNotAssociated         = "WorkOSTeamNotAssociated"
	CodeEnvironmentNotProvisioned = "WorkOSEnvironmentNotProvisioned"
	CodePlatformNotAuthorized     = "WorkOSPlatformNotAuthorized"
	CodeEmailUsed                 = "WorkosAccountAlreadyExistsWithThisEmail"
	CodeInWorkspace               = "WorkosUserAlreadyInWorkspace"
	CodeInvited                   = "WorkosUserAlreadyInvited"
	CodeInThisTeam                = "WorkosUserAlreadyInThisTeam"

	CodeAuthConfigVariable      = "AuthConfigMissingEnvironmentVariable"
	CodeInvalidAuthConfig       = "InvalidAuthConfig"
	CodeVariableNameForbidden   = "EnvVarNameForbidden"
	CodeVariableNameInvalid     = "EnvironmentVariableNameInvalid"
	CodeVariableNameTooLong     = "EnvironmentVariableNameTooLong"
	CodeVariableValueTooLarge   = "EnvironmentVariableValueTooLarge"
	CodeTooManyVariables        = "EnvVarLimitMet"
	CodeVariablesTooLarge       = "EnvVarTotalSizeLimitMet"
	CodeRequiredVariable        = "RequiredEnvironmentVariable"
	CodeMissingRequiredVariable = "MissingEnvironmentVariables"
)

// NoAccess reports whether an error says that the caller has no access to what
// was named. Convex answers alike when there is no such thing.
func NoAccess(err error) bool {
	switch fault.Code(err) {
	case CodeDeploymentNotFound, CodeProjectNotFound, CodeTeamNotFound:
		return true
	}
	return false
}

// AlreadyMember reports whether an invitation was not needed: the person has
// an account in the workspace, an invitation, or is in the team.
func AlreadyMember(err error) bool {
	switch fault.Code(err) {
	case CodeInWorkspace, CodeInvited, CodeInThisTeam:
		return true
	}
	return false
}
