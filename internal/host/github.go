package host

import (
	"encoding/json"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// maxEvent bounds the event file. GitHub caps webhook payloads at 25 MB.
const maxEvent = 25 << 20

// event is the part of a GitHub webhook payload that counts here.
type event struct {
	Action      string `json:"action"`
	Number      int    `json:"number"`
	PullRequest *struct {
		Number int     `json:"number"`
		Head   refSpec `json:"head"`
		Base   refSpec `json:"base"`
	} `json:"pull_request"`
	Repository struct {
		DefaultBranch string `json:"default_branch"`
	} `json:"repository"`
}

type refSpec struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	} `json:"repo"` // null when the fork was deleted
}

func (d *detection) readGitHub() error {
	b, env := d.b, d.env
	b.ProjectID, b.DeploymentID = env.get("GITHUB_REPOSITORY_ID"), env.get("GITHUB_RUN_ID")
	b.Commit = env.get("GITHUB_SHA")
	ev, err := d.readEvent()
	if err != nil {
		return err
	}
	switch name := env.get("GITHUB_EVENT_NAME"); name {
	case "pull_request", "pull_request_target":
		d.kind(Preview, "GITHUB_EVENT_NAME is "+name)
		d.readPullRequest(ev)
		if name == "pull_request_target" && b.Fork != "" {
			b.warn("untrusted_code", "pull_request_target gives this build the secrets of the repository while the code may come from a fork", "use the pull_request event for builds")
		}
	case "push":
		if ref := env.get("GITHUB_REF"); strings.HasPrefix(ref, "refs/tags/") || env.get("GITHUB_REF_TYPE") == "tag" {
			d.ask, d.askTags = "this is a build of a tag", true
			break
		}
		d.branch("GITHUB_REF_NAME")
		if b.Branch == "" {
			d.branchFromRef()
		}
		main := ev.Repository.DefaultBranch
		switch {
		case d.o.ProductionBranch == "" && main != "" && b.Branch != "" && b.Branch != main:
			b.Kind, b.KindFrom = Preview, "a push to a branch other than the repository's default branch"
		case main != "" && b.Branch == main:
			d.ask = "a push to the default branch of a repository may or may not be production"
		default:
			d.ask = "GitHub does not tell which branch is production"
		}
	case "merge_group":
		d.branchFromRef()
		d.kind(Preview, "GITHUB_EVENT_NAME is merge_group")
	case "workflow_run", "issue_comment", "schedule", "repository_dispatch", "delete":
		// The reference of these events is the default branch, whatever caused them.
		d.ask, d.askTags = "the event "+name+" does not tell what is being built", true
	default:
		if env.get("GITHUB_REF_TYPE") == "tag" {
			d.ask, d.askTags = "this is a build of a tag", true
			break
		}
		d.branchFromRef()
		d.ask = "the event " + quote(name) + " does not tell the kind"
	}
	return nil
}

// branchFromRef reads GITHUB_REF, which unlike GITHUB_REF_NAME says what it is.
func (d *detection) branchFromRef() {
	if name, ok := strings.CutPrefix(d.env.get("GITHUB_REF"), "refs/heads/"); ok && name != "" {
		d.b.Branch, d.b.BranchFrom = name, "GITHUB_REF"
	}
}

func (d *detection) readPullRequest(ev *event) {
	b, env := d.b, d.env
	d.branch("GITHUB_HEAD_REF")
	// refs/pull/42/merge; the base branch once a pull request is merged, so
	// the event file is asked first.
	if ref, ok := strings.CutPrefix(env.get("GITHUB_REF"), "refs/pull/"); ok {
		n, _, _ := strings.Cut(ref, "/")
		b.PullRequest = number(n)
	}
	b.Closed = ev.Action == "closed"
	pr := ev.PullRequest
	if pr == nil {
		b.warn("merge_commit", "without the event file the commit of a pull request is that of GitHub's test merge", "")
		return
	}
	if n := max(pr.Number, ev.Number); n > 0 {
		b.PullRequest = n
	}
	if pr.Head.SHA != "" {
		b.Commit = pr.Head.SHA
	}
	if b.Branch == "" && pr.Head.Ref != "" {
		b.Branch, b.BranchFrom = pr.Head.Ref, "the event file"
	}
	switch head, base := pr.Head.Repo, pr.Base.Repo; {
	case head == nil:
		b.Fork = "a deleted fork"
	case base != nil && (head.ID != base.ID || head.FullName != base.FullName):
		b.Fork = head.FullName
	}
}

// readEvent reads the payload that GITHUB_EVENT_PATH names. A missing file is
// an empty event: act and other imitations have none. A broken one is an
// error, because a wrong guess could make a fork look like a branch.
func (d *detection) readEvent() (*event, error) {
	path := d.env.get("GITHUB_EVENT_PATH")
	if path == "" || d.o.ReadFile == nil {
		return &event{}, nil
	}
	data, err := d.o.ReadFile(path)
	if err != nil {
		d.b.warn("event_unreadable", "the event file named by GITHUB_EVENT_PATH cannot be read", "")
		return &event{}, nil
	}
	ev := &event{}
	if len(data) > maxEvent {
		return nil, fault.New(fault.Invalid, "the event file named by GITHUB_EVENT_PATH is larger than %d bytes", maxEvent)
	}
	if err := json.Unmarshal(data, ev); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the event file named by GITHUB_EVENT_PATH is not the JSON of an event").
			WithFix("pass --kind, --branch and --url, and unset GITHUB_EVENT_PATH")
	}
	return ev, nil
}
