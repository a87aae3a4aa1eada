package convex

import (
	"encoding/json"
	"log/slog"

	"github.com/berthdev/berth/internal/secret"
)

// Token is a credential inside a JSON shape: encoded as it is, since it goes
// over the wire, but printed and logged as a placeholder.
type Token string

// Secret gives the credential in the form that the rest of the program keeps.
func (t Token) Secret() secret.String { return secret.String(t) }

// String implements fmt.Stringer with a placeholder.
func (t Token) String() string { return t.Secret().String() }

// GoString implements fmt.GoStringer with a placeholder.
func (t Token) GoString() string { return t.String() }

// LogValue implements slog.LogValuer with a placeholder.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// ErrorBody is the body of every answer outside 2xx, of both protocols.
type ErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ProjectSelection names a project by one of its deployments or by slugs.
// Make one with [ByDeployment] or [BySlugs].
type ProjectSelection struct {
	Kind           string `json:"kind"` // deploymentName or teamAndProjectSlugs
	DeploymentName string `json:"deploymentName,omitempty"`
	DeploymentType *Type  `json:"deploymentType,omitempty"`
	TeamSlug       string `json:"teamSlug,omitempty"`
	ProjectSlug    string `json:"projectSlug,omitempty"`
}

// ByDeployment selects the project of a deployment. The type may be "".
func ByDeployment(name string, kind Type) ProjectSelection {
	s := ProjectSelection{Kind: "deploymentName", DeploymentName: name}
	if kind != "" {
		s.DeploymentType = &kind
	}
	return s
}

// BySlugs selects a project by the slugs of its team and itself.
func BySlugs(team, project string) ProjectSelection {
	return ProjectSelection{Kind: "teamAndProjectSlugs", TeamSlug: team, ProjectSlug: project}
}

// MarshalJSON writes an unknown deployment type as null, as the command line
// does.
func (s ProjectSelection) MarshalJSON() ([]byte, error) {
	if s.Kind == "deploymentName" {
		return json.Marshal(struct {
			Kind           string `json:"kind"`
			DeploymentName string `json:"deploymentName"`
			DeploymentType *Type  `json:"deploymentType"`
		}{s.Kind, s.DeploymentName, s.DeploymentType})
	}
	type plain ProjectSelection // without this method
	return json.Marshal(plain(s))
}

// TeamAndProject answers the lookups by deployment and by key. The ids are 0
// where the control plane leaves them out.
type TeamAndProject struct {
	Team      string  `json:"team"`    // slug
	Project   string  `json:"project"` // slug
	TeamID    int64   `json:"teamId,omitempty"`
	ProjectID int64   `json:"projectId,omitempty"`
	Reference *string `json:"reference,omitempty"` // by key only
	IsDefault *bool   `json:"isDefault,omitempty"` // by key only
}

// Credentials answers the authorize and provision calls.
type Credentials struct {
	AdminKey       Token   `json:"adminKey"`
	URL            string  `json:"url"` // origin of the deployment
	DeploymentName string  `json:"deploymentName"`
	DeploymentType Type    `json:"deploymentType,omitempty"`
	Reference      *string `json:"reference,omitempty"`
	IsDefault      *bool   `json:"isDefault,omitempty"`
}

// AuthorizeWithinRequest is the body of authorize_within_current_project.
type AuthorizeWithinRequest struct {
	SelectedDeploymentName string           `json:"selectedDeploymentName"`
	ProjectSelection       ProjectSelection `json:"projectSelection"`
}

// AuthorizeProdRequest is the body of authorize_prod.
type AuthorizeProdRequest struct {
	DeploymentName string `json:"deploymentName"` // any deployment of the project
}

// AuthorizePreviewRequest is the body of authorize_preview.
type AuthorizePreviewRequest struct {
	PreviewName      string           `json:"previewName"`
	ProjectSelection ProjectSelection `json:"projectSelection"`
}

// ProvisionRequest is the body of provision_and_authorize. The slugs are null
// with a project key.
type ProvisionRequest struct {
	TeamSlug       *string `json:"teamSlug"`
	ProjectSlug    *string `json:"projectSlug"`
	DeploymentType Type    `json:"deploymentType"` // Dev or Prod
}

// ClaimPreviewRequest is the body of claim_preview_deployment. Without Reuse
// an existing deployment of that name is deleted and made anew.
type ClaimPreviewRequest struct {
	ProjectSelection ProjectSelection `json:"projectSelection"`
	Identifier       string           `json:"identifier"` // preview name
	Reuse            bool             `json:"reuse"`
}

// PreviewDeployment answers claim_preview_deployment.
type PreviewDeployment struct {
	AdminKey        Token   `json:"adminKey"`
	InstanceURL     string  `json:"instanceUrl"` // origin of the deployment
	DeploymentName  string  `json:"deploymentName"`
	IsNewDeployment bool    `json:"isNewDeployment"`
	Reference       *string `json:"reference,omitempty"`
}

// DeployKeyRequest is the body of url_for_key and team_and_project_for_key.
type DeployKeyRequest struct {
	DeployKey Token `json:"deployKey"`
}

// VariableChange sets a variable, or removes it when Value is null.
type VariableChange struct {
	Name  string  `json:"name"`
	Value *string `json:"value"`
}

// UpdateVariablesRequest is the body of update_environment_variables. All
// changes take effect together or not at all.
type UpdateVariablesRequest struct {
	Changes []VariableChange `json:"changes"`
}

// ListVariablesResponse answers list_environment_variables.
type ListVariablesResponse struct {
	EnvironmentVariables map[string]string `json:"environmentVariables"`
}

// CanonicalURLs answers get_canonical_urls.
type CanonicalURLs struct {
	CloudURL string `json:"convexCloudUrl"` // functions and sync
	SiteURL  string `json:"convexSiteUrl"`  // HTTP actions
}
