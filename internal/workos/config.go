package workos

// RedirectURI is a registered callback. Its id begins with "redir_".
type RedirectURI struct {
	Object    string `json:"object"` // "redirect_uri"
	ID        string `json:"id"`
	URI       string `json:"uri"`
	Default   bool   `json:"default"` // used for flows WorkOS starts; cannot be deleted
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// RedirectURIRequest is the body of POST /user_management/redirect_uris.
type RedirectURIRequest struct {
	URI string `json:"uri"`
}

// CORSOrigin is an origin whose pages may call the browser endpoints. Its id
// begins with "cors_origin_".
type CORSOrigin struct {
	Object    string `json:"object"` // "cors_origin"
	ID        string `json:"id"`
	Origin    string `json:"origin"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// CORSOriginRequest is the body of POST /user_management/cors_origins.
type CORSOriginRequest struct {
	Origin string `json:"origin"`
}

// HomepageRequest is the body of PUT /user_management/app_homepage_url. The
// call has no GET, and nobody reads its 200 body.
type HomepageRequest struct {
	URL string `json:"url"`
}

// JWTTemplate adds claims to the access tokens of an environment.
type JWTTemplate struct {
	Object    string `json:"object"` // "jwt_template"
	Content   string `json:"content"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// JWTTemplateRequest is the body of PUT /user_management/jwt_template.
type JWTTemplateRequest struct {
	Content string `json:"content"`
}

// State is what a configuration call turned out to do.
type State string

const (
	Done         State = "done"          // the call made the change
	AlreadyThere State = "already there" // somebody had made it before
	AlreadyGone  State = "already gone"  // there was nothing to remove
	NotRemovable State = "not removable" // the other end does not let it go; Reason says why
	Refused      State = "refused"       // the other end does not take this value; Reason says why
)

// Outcome is the result of a configuration call that did not fail.
type Outcome struct {
	State  State
	Reason string // for NotRemovable and Refused
}
