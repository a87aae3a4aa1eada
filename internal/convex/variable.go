package convex

import (
	"regexp"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// Limits of a deployment's variables, as the backend checks them.
const (
	MaxVariableName  = 256       // characters
	MaxVariableValue = 8192      // bytes
	MaxVariables     = 512       // per deployment
	MaxVariableTotal = 512 << 10 // bytes, names and values
)

var variableName = regexp.MustCompile(`^[a-zA-Z_]+[a-zA-Z0-9_]*$`)

// CheckVariable refuses what a deployment would refuse, before anything is
// sent: names that are malformed, too long or reserved, and values that are too
// large. The codes are the backend's. The error never holds the value.
func CheckVariable(name, value string) error {
	switch {
	case !variableName.MatchString(name):
		return fault.New(fault.Invalid, "%q is no name for a variable", name).WithCode(CodeVariableNameInvalid).
			WithFix("use letters, digits and _, not beginning with a digit")
	case len(name) > MaxVariableName:
		return fault.New(fault.Invalid, "the name %s… is longer than %d characters", name[:32], MaxVariableName).WithCode(CodeVariableNameTooLong).WithFix("choose a shorter name")
	case Reserved(name):
		return fault.New(fault.Invalid, "Convex sets %s itself", name).WithCode(CodeVariableNameForbidden).WithFix("choose another name")
	case len(value) > MaxVariableValue:
		return fault.New(fault.Invalid, "the value of %s has %d bytes, and a deployment takes at most %d", name, len(value), MaxVariableValue).
			WithCode(CodeVariableValueTooLarge).WithFix("keep large values in a document or in file storage")
	}
	return nil
}

// Reserved reports whether a name is one of those that every deployment has by
// itself, with values that nobody sets.
func Reserved(name string) bool {
	switch strings.ToUpper(name) {
	case "CONVEX_CLOUD_URL", "CONVEX_SITE_URL":
		return true
	}
	return false
}
