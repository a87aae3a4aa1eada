package berthapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
)

// githubPayload is what is read of the events `delete` and `pull_request`.
type githubPayload struct {
	Action      string `json:"action"`
	RefType     string `json:"ref_type"`
	Ref         string `json:"ref"`
	PullRequest struct {
		Head struct {
			Ref  string `json:"ref"`
			Repo struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"head"`
	} `json:"pull_request"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// githubEvent releases the previews of a branch that was deleted or whose pull
// request was closed. The body is authenticated by X-Hub-Signature-256, an
// HMAC-SHA256 with the webhook's secret.
func (a *API) githubEvent(w http.ResponseWriter, r *http.Request) error {
	if a.GitHubSecret == "" {
		return fault.New(fault.Denied, "this server has no webhook secret").WithFix("start it with BERTH_GITHUB_WEBHOOK_SECRET set to the webhook's secret")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, route.MaxBody))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the event could not be read")
	}
	mac := hmac.New(sha256.New, []byte(a.GitHubSecret.Reveal()))
	mac.Write(body)
	given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return fault.New(fault.Unauthenticated, "the signature does not fit").WithFix("give webhook and server the same secret")
	}
	var p githubPayload
	if err := json.Unmarshal(body, &p); err != nil {
		return fault.Wrap(err, fault.Invalid, "the event is not JSON").WithFix("set the webhook's content type to application/json")
	}
	repository, branch := p.Repository.FullName, ""
	switch r.Header.Get("X-GitHub-Event") {
	case "delete":
		if p.RefType == "branch" {
			branch = p.Ref
		}
	case "pull_request":
		// A fork's branch of the same name is another branch.
		if p.Action == "closed" && p.PullRequest.Head.Repo.FullName == repository {
			branch = p.PullRequest.Head.Ref
		}
	}
	released := 0
	if branch != "" && repository != "" {
		teams, err := a.DB.Teams(r.Context())
		if err != nil {
			return err
		}
		for _, t := range teams {
			ids, err := t.PreviewsOf(r.Context(), a.BaseURL(), repository, branch)
			if err != nil {
				return err
			}
			n, err := a.reapAll(r.Context(), t, ids, t.Release)
			released += n
			if err != nil {
				return err
			}
		}
	}
	return route.JSON(w, http.StatusOK, map[string]int{"released": released})
}
